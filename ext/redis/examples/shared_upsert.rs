//! Upserts values within limits that all processes with the same Redis share: run it twice at once.
//!
//! `cargo run -p bigcommerce-ext-redis --example shared_upsert -- --help`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bigcommerce_ext::limiter::{OnUnreachable, SharedLimits};
use bigcommerce_ext::{Event, Limits, RetryPolicy, Store, UpsertRow};
use bigcommerce_ext_redis::RedisLimiter;
use futures::{StreamExt, stream};

const HELP: &str = "\
Upserts made-up values, within limits shared through Redis.

  --store URL            base URL of the store, such as the sandbox prints (required);
                         the token is BIGCOMMERCE_ACCESS_TOKEN
  --redis URL            the Redis that keeps the limits (default: limits of this process only)
  --customers FROM..TO   the customers (default 1..1001)
  --values N             values per customer (default 3)
  --name NAME            the name of this process in the status of the limits
  --lease-customers      never has a customer in flight that another process has
  --stop                 stops if Redis can't be reached (default: goes on with one request in flight)
  --attempt-timeout MS   the time for a request (default 30000)
  --grace MS             the time that an abandoned request counts as in flight (default 5000)
";

struct Args {
    store: String,
    redis: Option<String>,
    customers: std::ops::Range<i64>,
    values: i64,
    name: Option<String>,
    lease_customers: bool,
    stop: bool,
    attempt_timeout: Duration,
    grace: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let run = async {
        match parse(lexopt::Parser::from_env())? {
            Some(args) => run(args).await,
            None => {
                print!("{HELP}");
                Ok(true)
            }
        }
    };
    match run.await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("shared_upsert: {error}");
            ExitCode::from(2)
        }
    }
}

/// Returns `true` if all rows were stored.
async fn run(args: Args) -> Result<bool, Box<dyn std::error::Error>> {
    let token = std::env::var("BIGCOMMERCE_ACCESS_TOKEN").unwrap_or_else(|_| "placeholder".into());
    let mut builder = Store::builder_with_base_url(args.store, token)
        .limits(Limits::default().grace_period(args.grace))
        .retry(RetryPolicy::default().attempt_timeout(args.attempt_timeout));
    if let Some(url) = &args.redis {
        let mut limits = SharedLimits::new(RedisLimiter::connect(url).await?);
        if let Some(name) = args.name {
            limits = limits.process_name(name);
        }
        if args.lease_customers {
            limits = limits.lease_customers();
        }
        if args.stop {
            limits = limits.on_unreachable(OnUnreachable::Stop);
        }
        builder = builder.limiter(limits);
    }
    let store = builder.build()?;
    let rows = args.customers.flat_map(|customer| {
        (1..=args.values).map(move |attribute| {
            UpsertRow::new(customer, attribute, format!("{attribute} of {customer}"))
        })
    });
    let began = Instant::now();
    let mut outcomes = store
        .upsert()
        .observe(|event| match event {
            Event::LimitsUnshared { cause, .. } => println!("by itself: {cause}"),
            Event::LimitsShared { lasted, .. } => println!("shared again after {lasted:.1?}"),
            _ => {}
        })
        .stream(stream::iter(rows));
    while outcomes.next().await.is_some() {}
    let summary = outcomes.summary();
    println!("{summary}, in {:.2} s", began.elapsed().as_secs_f64());
    if let Some(error) = outcomes.stopped_by() {
        eprintln!("stopped: {error}");
    }
    Ok(summary.stored == summary.rows())
}

fn parse(mut parser: lexopt::Parser) -> Result<Option<Args>, lexopt::Error> {
    use lexopt::prelude::*;

    let mut store = None;
    let mut args = Args {
        store: String::new(),
        redis: None,
        customers: 1..1001,
        values: 3,
        name: None,
        lease_customers: false,
        stop: false,
        attempt_timeout: Duration::from_secs(30),
        grace: Duration::from_secs(5),
    };
    let ms = |text: &str| text.parse().map(Duration::from_millis);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("store") => store = Some(parser.value()?.string()?),
            Long("redis") => args.redis = Some(parser.value()?.string()?),
            Long("customers") => {
                args.customers = parser.value()?.parse_with(|text| {
                    let (from, to) = text.split_once("..").ok_or("expected FROM..TO")?;
                    let number = |text: &str| text.parse::<i64>().map_err(|_| "not a number");
                    Ok::<_, &str>(number(from)?..number(to)?)
                })?;
            }
            Long("values") => args.values = parser.value()?.parse()?,
            Long("name") => args.name = Some(parser.value()?.string()?),
            Long("lease-customers") => args.lease_customers = true,
            Long("stop") => args.stop = true,
            Long("attempt-timeout") => args.attempt_timeout = parser.value()?.parse_with(ms)?,
            Long("grace") => args.grace = parser.value()?.parse_with(ms)?,
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    args.store = store.ok_or("--store is missing")?;
    Ok(Some(args))
}
