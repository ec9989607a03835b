mod customers;
mod faults;

use std::fmt;
use std::time::Duration;

use bigcommerce_sandbox::{
    AttributeType, BatchRejection, Duplicates, ErrorKeys, LimitTooLarge, ListMeta, ListOrder,
    ResponseOrder, Sandbox, SandboxBuilder, TooLarge, UnknownId,
};
use lexopt::{Arg, Parser};

pub const HELP: &str = "\
A local store that simulates BigCommerce's Customer Attribute Values endpoints, and customers.

Prints its base URL, serves until it is interrupted, then prints its counts.

Usage: bigcommerce-sandbox [OPTIONS]

  --port N                 port on 127.0.0.1; 0 picks a free port [8787]
  --store-hash HASH        store hash [sandbox]
  --token TOKEN            the only token accepted [any]
  --read-only              reject PUT, POST and DELETE with 403: the token may only read
  --latency TIME           delay before each request is executed [0ms]
  --quota N/TIME           requests per window, such as 150/30s [none]
  --other-app SHARE        share of the quota that another app uses, at random times [0]
  --in-flight N            maximum number of requests at once [3]
  --customers-per-call N   maximum number of customers per PUT [10]
  --rows-per-call N        maximum number of rows per PUT [any]
  --page-limit N           maximum number of items per page of a GET [250]
  --delete-limit N         maximum number of IDs per DELETE [any]
  --batch MODE             whether a PUT with invalid rows stores no rows or the valid ones:
                           atomic, partial [atomic]
  --error-keys KEYS        how a 422 names an invalid row: indexed, field, empty [indexed]
  --too-large STATUS       status for a PUT, POST or DELETE that is too large: 413, 422 [422]
  --duplicates MODE        what a PUT does with a repeated customer and attribute:
                           last, first, reject [last]
  --response-order ORDER   order of data in the response to a PUT: sent, id, reversed [sent]
  --unknown-id MODE        response to an unknown ID in a DELETE: ignore, 404, 422 [ignore]
  --attribute NAME[=TYPE]  define an attribute of type string, number or date [string];
                           the first has ID 101, the next 102, and so on
  --undefined-attributes MODE  what a PUT does with an attribute that is not defined:
                           accept, reject [reject if any is defined, else accept]
  --cdnow                  put 2,360 real customers with 7,059 values into the store; the first
                           attribute that is defined beside has ID 104
  --customer ID=EMAIL      put a customer into the store; ID/1+2=EMAIL for channels 1 and 2 only
                           [all channels]
  --list-order ORDER       order of values in the response to a GET:
                           id, customer, newest, modified [id]
  --list-meta META         what the response to a GET has in meta: full, no-totals, none [full]
  --limit-too-large MODE   response to a GET whose limit exceeds the page limit:
                           413, 422, clamp [422]
  --ignore-filters         ignore all filters of a GET
  --ignore-filter NAME     ignore one filter of a GET, such as email:in [none]
  --extra-field NAME       keep this field of the rows of a PUT, and show it in records [none]
  --extra-filter NAME      accept this filter of a GET, which is the name of an extra field,
                           with :in for several values [none]
  --email-split WHEN       when a GET of customers splits email:in at its commas:
                           decoded (after decoding), raw (before decoding) [decoded]
  --email-case             distinguish case in email:in
  --cursors MODE           cursors of lists of customers: support, 422, ignore [support]
  --url-limit N            maximum bytes of path and query; longer URLs get a 414 [8192]
  --faults PLAN            random faults, such as seed=7,rate=0.1,only=busy+truncated [none]
  --help, --version

--attribute and --customer and --ignore-filter and --extra-field and --extra-filter can be
repeated. If another option is repeated, the last one wins.

TIME is a whole number with the unit ms, s or m: 20ms, 30s, 1m. SHARE is a number from 0 to 1.

PLAN requires a seed; the same seed always gives the same faults. The rate is the share of
requests that fail [0.1]. Only the faults named by only= are drawn [all but late-execution]:
rate-limited, busy, internal-error, bad-gateway, unavailable, gateway-timeout, maintenance,
html-success, truncated, closed-before-work, closed-after-work, closed-during-response,
error-after-work, trickle, redirect, dropped-rows, hidden-rows, partial-page, normalized,
oversized, slow, late-execution, late-behind-gateway, accepted, stalled-body, short-page,
empty-page, total-too-large, total-too-small, ignored-filters.

Only requests of the operations named by on= fail [all]: upsert, list, delete, list-attributes,
create-attributes, update-attributes, delete-attributes, list-customers, create-customers.";

pub enum Command {
    Serve(Box<SandboxBuilder>),
    Help,
    Version,
}

pub fn parse(mut parser: Parser) -> Result<Command, ArgsError> {
    let mut builder = Sandbox::builder().port(8787);
    let mut attributes = Vec::new();
    let mut has_cdnow = false;
    let mut rejects_undefined = None;
    while let Some(arg) = parser.next()? {
        let Arg::Long(name) = arg else {
            // The argument is not shown: it might be a token without its option.
            return Err(ArgsError::new(
                "unexpected argument: all options start with --, see --help",
            ));
        };
        let name = name.to_owned();
        match name.as_str() {
            "help" => return Ok(Command::Help),
            "version" => return Ok(Command::Version),
            _ => {}
        }
        if let Some(set) = flag(&name) {
            has_cdnow |= name == "cdnow";
            builder = set(builder);
            continue;
        }
        if name == "attribute" {
            let value = parser.value()?.into_string().ok();
            let (name, attribute_type) = value
                .as_deref()
                .and_then(attribute)
                .ok_or_else(|| invalid_value("attribute"))?;
            attributes.push((name.to_owned(), attribute_type));
            continue;
        }
        if name == "undefined-attributes" {
            let mode = parser.value()?.into_string().ok();
            rejects_undefined = match mode.as_deref() {
                Some("accept") => Some(false),
                Some("reject") => Some(true),
                _ => return Err(invalid_value(&name)),
            };
            continue;
        }
        let Some(option) = option(&name) else {
            return Err(ArgsError(format!("unknown option --{name}, see --help")));
        };
        // An invalid value is not shown: it might be a token.
        let value = parser.value()?.into_string().ok();
        builder = value
            .and_then(|value| option(builder, value))
            .ok_or_else(|| invalid_value(&name))?;
    }
    let rejects_undefined = rejects_undefined.unwrap_or(has_cdnow || !attributes.is_empty());
    let first_id = if has_cdnow { 104 } else { 101 };
    for (id, (name, attribute_type)) in (first_id..).zip(attributes) {
        builder = builder.typed_attribute(id, name, attribute_type);
    }
    builder = builder.reject_undefined_attributes(rejects_undefined);
    Ok(Command::Serve(Box::new(builder)))
}

fn invalid_value(option: &str) -> ArgsError {
    ArgsError(format!("invalid value for --{option}, see --help"))
}

/// Returns the setter of an option without a value.
fn flag(name: &str) -> Option<fn(SandboxBuilder) -> SandboxBuilder> {
    match name {
        "read-only" => Some(SandboxBuilder::read_only),
        "cdnow" => Some(SandboxBuilder::cdnow),
        "ignore-filters" => Some(|builder| builder.ignore_filters(true)),
        "email-case" => Some(|builder| builder.distinguish_email_case(true)),
        _ => None,
    }
}

/// Applies an option's value, or returns `None` if the value is invalid.
type Setter = fn(SandboxBuilder, String) -> Option<SandboxBuilder>;

fn option(name: &str) -> Option<Setter> {
    let setter: Setter = match name {
        "port" => |builder, value| Some(builder.port(value.parse().ok()?)),
        "store-hash" => |builder, value| (!value.is_empty()).then(|| builder.store_hash(value)),
        "token" => |builder, value| (!value.is_empty()).then(|| builder.token(value)),
        "latency" => |builder, value| Some(builder.latency(duration(&value)?)),
        "quota" => |builder, value| {
            let (requests, window) = value.split_once('/')?;
            Some(builder.quota(requests.parse().ok()?, duration(window)?))
        },
        // The exact times don't matter for trials, so any fixed seed will do.
        "other-app" => |builder, value| Some(builder.other_app(0, faults::share(&value)?)),
        "faults" => |builder, value| Some(builder.faults(faults::plan(&value)?)),
        "in-flight" => |builder, value| Some(builder.in_flight(value.parse().ok()?)),
        "customers-per-call" => {
            |builder, value| Some(builder.customers_per_call(value.parse().ok()?))
        }
        "rows-per-call" => {
            |builder, value| Some(builder.rows_per_call(value.parse::<usize>().ok()?))
        }
        "page-limit" => |builder, value| Some(builder.page_limit(value.parse().ok()?)),
        "delete-limit" => |builder, value| Some(builder.delete_limit(value.parse::<usize>().ok()?)),
        "batch" => |builder, value| {
            Some(builder.batch_rejection(match value.as_str() {
                "atomic" => BatchRejection::Atomic,
                "partial" => BatchRejection::Partial,
                _ => return None,
            }))
        },
        "error-keys" => |builder, value| {
            Some(builder.error_keys(match value.as_str() {
                "indexed" => ErrorKeys::Indexed,
                "field" => ErrorKeys::Field,
                "empty" => ErrorKeys::Empty,
                _ => return None,
            }))
        },
        "too-large" => |builder, value| {
            Some(builder.too_large(match value.as_str() {
                "413" => TooLarge::Status413,
                "422" => TooLarge::Status422,
                _ => return None,
            }))
        },
        "duplicates" => |builder, value| {
            Some(builder.duplicates(match value.as_str() {
                "last" => Duplicates::LastWins,
                "first" => Duplicates::FirstWins,
                "reject" => Duplicates::Rejected,
                _ => return None,
            }))
        },
        "response-order" => |builder, value| {
            Some(builder.response_order(match value.as_str() {
                "sent" => ResponseOrder::AsSent,
                "id" => ResponseOrder::ById,
                "reversed" => ResponseOrder::Reversed,
                _ => return None,
            }))
        },
        "unknown-id" => |builder, value| {
            Some(builder.unknown_id(match value.as_str() {
                "ignore" => UnknownId::Ignored,
                "404" => UnknownId::NotFound,
                "422" => UnknownId::Unprocessable,
                _ => return None,
            }))
        },
        "list-order" => |builder, value| {
            Some(builder.list_order(match value.as_str() {
                "id" => ListOrder::ById,
                "customer" => ListOrder::ByCustomer,
                "newest" => ListOrder::NewestFirst,
                "modified" => ListOrder::ByModified,
                _ => return None,
            }))
        },
        "list-meta" => |builder, value| {
            Some(builder.list_meta(match value.as_str() {
                "full" => ListMeta::Full,
                "no-totals" => ListMeta::NoTotals,
                "none" => ListMeta::None,
                _ => return None,
            }))
        },
        "limit-too-large" => |builder, value| {
            Some(builder.limit_too_large(match value.as_str() {
                "413" => LimitTooLarge::Status413,
                "422" => LimitTooLarge::Status422,
                "clamp" => LimitTooLarge::Clamped,
                _ => return None,
            }))
        },
        "ignore-filter" => {
            |builder, value| (!value.is_empty()).then(|| builder.ignore_filter(value))
        }
        "extra-field" => |builder, value| (!value.is_empty()).then(|| builder.extra_field(value)),
        "extra-filter" => |builder, value| (!value.is_empty()).then(|| builder.extra_filter(value)),
        "url-limit" => |builder, value| Some(builder.url_limit(value.parse().ok()?)),
        _ => return customers::option(name),
    };
    Some(setter)
}

/// Parses `NAME=TYPE` or `NAME`. The type follows the last `=`, so a name that contains `=` must be
/// given with its type.
fn attribute(text: &str) -> Option<(&str, AttributeType)> {
    let (name, attribute_type) = text.rsplit_once('=').unwrap_or((text, "string"));
    let attribute_type = match attribute_type {
        "string" => AttributeType::Text,
        "number" => AttributeType::Number,
        "date" => AttributeType::Date,
        _ => return None,
    };
    (!name.trim().is_empty()).then_some((name, attribute_type))
}

fn duration(text: &str) -> Option<Duration> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..unit].parse().ok()?;
    match &text[unit..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}

#[derive(Debug)]
pub struct ArgsError(String);

impl ArgsError {
    fn new(message: &str) -> Self {
        Self(message.to_owned())
    }
}

impl fmt::Display for ArgsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<lexopt::Error> for ArgsError {
    fn from(error: lexopt::Error) -> Self {
        use lexopt::Error::{MissingValue, UnexpectedValue};

        match error {
            MissingValue {
                option: Some(option),
            } => Self(format!("{option} requires a value, see --help")),
            // Lexopt's own message would show the value.
            UnexpectedValue { option, .. } => Self(format!("{option} takes no value")),
            _ => Self::new("invalid options, see --help"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bigcommerce_sandbox::Fault;

    use super::*;

    fn parse_error(args: &[&str]) -> String {
        match parse(Parser::from_args(args)) {
            Ok(_) => panic!("{args:?} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_option_in_the_help_is_accepted() {
        let values = [
            ("port", "0"),
            ("store-hash", "abc"),
            ("token", "secret"),
            ("latency", "20ms"),
            ("quota", "150/30s"),
            ("batch", "partial"),
            ("error-keys", "field"),
            ("too-large", "413"),
            ("duplicates", "reject"),
            ("response-order", "reversed"),
            ("unknown-id", "404"),
            ("other-app", "0.3"),
            ("faults", "seed=7"),
            ("attribute", "Loyalty tier=number"),
            ("undefined-attributes", "accept"),
            ("list-order", "newest"),
            ("list-meta", "no-totals"),
            ("limit-too-large", "clamp"),
            ("customer", "7=jane@example.com"),
            ("email-split", "raw"),
            ("cursors", "422"),
        ];
        let options = HELP
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("--"));
        for name in options.filter(|name| !["help,", "version"].contains(name)) {
            let known = values.iter().find(|(known, _)| *known == name);
            let value = known.map_or("7", |(_, value)| value);
            let option = format!("--{name}");
            if flag(name).is_some() {
                assert!(parse(Parser::from_args([&option])).is_ok(), "{option}");
                parse_error(&[&format!("{option}=7")]);
                continue;
            }
            assert!(
                parse(Parser::from_args([option.as_str(), value])).is_ok(),
                "{option}"
            );
            parse_error(&[&option, ""]);
            parse_error(&[&option]);
        }
    }

    #[test]
    fn an_attribute_has_a_name_and_an_optional_type() {
        let (text, number) = (AttributeType::Text, AttributeType::Number);
        assert_eq!(attribute("Loyalty tier"), Some(("Loyalty tier", text)));
        assert_eq!(attribute("Tier=string"), Some(("Tier", text)));
        assert_eq!(attribute("a=b=number"), Some(("a=b", number)));
        for bad in ["", " ", "=", "=date", " =date", "Tier=", "Tier=text"] {
            assert_eq!(attribute(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_help_lists_every_fault() {
        let (_, rest) = HELP.split_once("are drawn").expect("a list of faults");
        let (_, faults) = rest.split_once(':').expect("a list of faults");
        let (faults, _) = faults.split_once("\n\n").expect("a paragraph");
        let listed = faults.trim_end_matches('.').split(',').map(str::trim);
        let all = Fault::ALL.iter().map(|fault| fault.to_string());
        assert!(listed.eq(all));
    }

    #[test]
    fn durations_require_a_unit() {
        assert_eq!(duration("20ms"), Some(Duration::from_millis(20)));
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("1m"), Some(Duration::from_secs(60)));
        for text in [
            "",
            "20",
            "ms",
            "1.5s",
            "1h",
            "-1s",
            "1 s",
            "99999999999999999999s",
        ] {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn errors_never_show_a_possible_token() {
        for args in [
            &["--token=", "secret"][..],
            &["secret"],
            &["--port", "secret"],
            &["--prot=secret"],
            &["-t", "secret"],
        ] {
            let message = parse_error(args);
            assert!(!message.contains("secret"), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
