mod faults;

use std::fmt;
use std::time::Duration;

use bigcommerce_sandbox::{
    AnswerOrder, AttributeType, BatchRejection, Duplicates, ErrorKeys, LimitTooLarge, ListMeta,
    ListOrder, Sandbox, SandboxBuilder, TooLarge, UnknownId,
};
use lexopt::{Arg, Parser};

pub const HELP: &str = "\
A local store that plays BigCommerce's Customer Attribute Values endpoints.

Prints its base URL, serves until it is interrupted, then prints what it has seen.

Usage: bigcommerce-sandbox [OPTIONS]

  --port N                 port on 127.0.0.1; 0 takes a free one [8787]
  --store-hash HASH        the store's hash [sandbox]
  --token TOKEN            the only token accepted [any]
  --read-only              the token may read only: 403 for PUT, POST and DELETE
  --latency TIME           wait before the work of each request [0ms]
  --quota N/TIME           requests per window, as in 150/30s [none]
  --other-app SHARE        share of the quota that another app takes at random [0]
  --in-flight N            requests at once [3]
  --customers-per-call N   customers per PUT [10]
  --rows-per-call N        rows per PUT [any]
  --value-length N         characters per value [255]
  --page-limit N           values per page of a GET [250]
  --delete-limit N         IDs per DELETE [any]
  --batch MODE             a PUT with bad rows is refused whole or stored in part:
                           atomic, partial [atomic]
  --error-keys KEYS        how a 422 names a bad row: indexed, field, empty [indexed]
  --too-large STATUS       refusal of too large a batch: 413, 422 [422]
  --duplicates MODE        the same customer and attribute twice in a PUT:
                           last, first, refuse [last]
  --order ORDER            data in the answer to a PUT: sent, id, reversed [sent]
  --unknown-id MODE        an unknown ID in a DELETE: ignore, 404, 422 [ignore]
  --attribute NAME[=TYPE]  defines an attribute, with the type string, number or date
                           [string]; the first has the ID 101, the next 102, and so on
  --list-order ORDER       values in the answer to a GET:
                           id, customer, newest, modified [id]
  --list-meta META         the meta in it: full, no-totals, none [full]
  --limit-too-large MODE   a GET with a limit above the page limit: 413, 422, clamp [422]
  --ignore-filters         a GET ignores all filters
  --url-limit N            bytes of path and query, 414 above [8192]
  --faults PLAN            what goes wrong at random, as in
                           seed=7,rate=0.1,only=busy+truncated [nothing]
  --help, --version

--attribute can be given several times; of any other option the last one counts.

TIME is a whole number with ms, s or m: 20ms, 30s, 1m. SHARE is a number from 0 to 1.

PLAN needs a seed, and the same seed is the same plan. The rate is the share of requests
that go wrong [0.1]; only the kinds that are named are drawn [all but late-execution]:
rate-limited, busy, internal-error, bad-gateway, unavailable, gateway-timeout, maintenance,
html-success, truncated, closed-before-work, closed-after-work, closed-during-answer,
error-after-work, trickle, redirect, leaves-out, hides-rows, partial-page, normalised,
oversized, slow, late-execution.";

pub enum Command {
    Serve(Box<SandboxBuilder>),
    Help,
    Version,
}

pub fn parse(mut parser: Parser) -> Result<Command, BadArgs> {
    let mut builder = Sandbox::builder().port(8787);
    let mut attribute_ids = 101..;
    while let Some(arg) = parser.next()? {
        let Arg::Long(name) = arg else {
            // Without its text: it might be a token that has lost its option.
            return Err(BadArgs::new("only --options are understood, see --help"));
        };
        let name = name.to_owned();
        match name.as_str() {
            "help" => return Ok(Command::Help),
            "version" => return Ok(Command::Version),
            _ => {}
        }
        if let Some(set) = flag(&name) {
            builder = set(builder);
            continue;
        }
        if name == "attribute" {
            let value = parser.value()?.into_string().ok();
            let (name, attribute_type) = value
                .as_deref()
                .and_then(attribute)
                .ok_or_else(|| BadArgs::new("--attribute has no valid value, see --help"))?;
            if let Some(id) = attribute_ids.next() {
                builder = builder.typed_attribute(id, name, attribute_type);
            }
            continue;
        }
        let Some(option) = option(&name) else {
            return Err(BadArgs(format!("unknown option --{name}, see --help")));
        };
        // Not shown when it is wrong, for it might be a token.
        let value = parser.value()?.into_string().ok();
        builder = value
            .and_then(|value| option(builder, value))
            .ok_or_else(|| BadArgs(format!("--{name} has no valid value, see --help")))?;
    }
    Ok(Command::Serve(Box::new(builder)))
}

/// Options without a value.
fn flag(name: &str) -> Option<fn(SandboxBuilder) -> SandboxBuilder> {
    match name {
        "read-only" => Some(SandboxBuilder::read_only),
        "ignore-filters" => Some(|to| to.ignore_filters(true)),
        _ => None,
    }
}

/// Sets what an option says, if its value can be read.
type Setter = fn(SandboxBuilder, String) -> Option<SandboxBuilder>;

fn option(name: &str) -> Option<Setter> {
    let setter: Setter = match name {
        "port" => |to, value| Some(to.port(value.parse().ok()?)),
        "store-hash" => |to, value| (!value.is_empty()).then(|| to.store_hash(value)),
        "token" => |to, value| (!value.is_empty()).then(|| to.token(value)),
        "latency" => |to, value| Some(to.latency(duration(&value)?)),
        "quota" => |to, value| {
            let (requests, window) = value.split_once('/')?;
            Some(to.quota(requests.parse().ok()?, duration(window)?))
        },
        // The seed is of no matter to somebody who looks on.
        "other-app" => |to, value| Some(to.other_app(0, faults::share(&value)?)),
        "faults" => |to, value| Some(to.faults(faults::plan(&value)?)),
        "in-flight" => |to, value| Some(to.in_flight(value.parse().ok()?)),
        "customers-per-call" => |to, value| Some(to.customers_per_call(value.parse().ok()?)),
        "rows-per-call" => |to, value| Some(to.rows_per_call(value.parse::<usize>().ok()?)),
        "value-length" => |to, value| Some(to.value_length(value.parse().ok()?)),
        "page-limit" => |to, value| Some(to.page_limit(value.parse().ok()?)),
        "delete-limit" => |to, value| Some(to.delete_limit(value.parse::<usize>().ok()?)),
        "batch" => |to, value| {
            Some(to.batch_rejection(match value.as_str() {
                "atomic" => BatchRejection::Atomic,
                "partial" => BatchRejection::Partial,
                _ => return None,
            }))
        },
        "error-keys" => |to, value| {
            Some(to.error_keys(match value.as_str() {
                "indexed" => ErrorKeys::Indexed,
                "field" => ErrorKeys::Field,
                "empty" => ErrorKeys::Empty,
                _ => return None,
            }))
        },
        "too-large" => |to, value| {
            Some(to.too_large(match value.as_str() {
                "413" => TooLarge::Status413,
                "422" => TooLarge::Status422,
                _ => return None,
            }))
        },
        "duplicates" => |to, value| {
            Some(to.duplicates(match value.as_str() {
                "last" => Duplicates::LastWins,
                "first" => Duplicates::FirstWins,
                "refuse" => Duplicates::Refused,
                _ => return None,
            }))
        },
        "order" => |to, value| {
            Some(to.answer_order(match value.as_str() {
                "sent" => AnswerOrder::AsSent,
                "id" => AnswerOrder::ById,
                "reversed" => AnswerOrder::Reversed,
                _ => return None,
            }))
        },
        "unknown-id" => |to, value| {
            Some(to.unknown_id(match value.as_str() {
                "ignore" => UnknownId::Ignored,
                "404" => UnknownId::NotFound,
                "422" => UnknownId::Unprocessable,
                _ => return None,
            }))
        },
        "list-order" => |to, value| {
            Some(to.list_order(match value.as_str() {
                "id" => ListOrder::ById,
                "customer" => ListOrder::ByCustomer,
                "newest" => ListOrder::NewestFirst,
                "modified" => ListOrder::ByModified,
                _ => return None,
            }))
        },
        "list-meta" => |to, value| {
            Some(to.list_meta(match value.as_str() {
                "full" => ListMeta::Full,
                "no-totals" => ListMeta::NoTotals,
                "none" => ListMeta::None,
                _ => return None,
            }))
        },
        "limit-too-large" => |to, value| {
            Some(to.limit_too_large(match value.as_str() {
                "413" => LimitTooLarge::Status413,
                "422" => LimitTooLarge::Status422,
                "clamp" => LimitTooLarge::Clamped,
                _ => return None,
            }))
        },
        "url-limit" => |to, value| Some(to.url_limit(value.parse().ok()?)),
        _ => return None,
    };
    Some(setter)
}

/// Reads `Loyalty tier=number`, or the name alone. What follows the last `=` is the type, so a name
/// that has one itself needs its type too.
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
pub struct BadArgs(String);

impl BadArgs {
    fn new(message: &str) -> Self {
        Self(message.to_owned())
    }
}

impl fmt::Display for BadArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<lexopt::Error> for BadArgs {
    fn from(error: lexopt::Error) -> Self {
        use lexopt::Error::{MissingValue, UnexpectedValue};

        match error {
            MissingValue {
                option: Some(option),
            } => Self(format!("{option} needs a value, see --help")),
            // As it is, the message would show the value.
            UnexpectedValue { option, .. } => Self(format!("{option} takes no value")),
            _ => Self::new("the options can't be read, see --help"),
        }
    }
}

#[cfg(test)]
mod tests {
    use bigcommerce_sandbox::Fault;

    use super::*;

    fn refusal(args: &[&str]) -> String {
        match parse(Parser::from_args(args)) {
            Ok(_) => panic!("{args:?} was accepted"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_option_of_the_help_is_understood() {
        let values = [
            ("port", "0"),
            ("store-hash", "abc"),
            ("token", "secret"),
            ("latency", "20ms"),
            ("quota", "150/30s"),
            ("batch", "partial"),
            ("error-keys", "field"),
            ("too-large", "413"),
            ("duplicates", "refuse"),
            ("order", "reversed"),
            ("unknown-id", "404"),
            ("other-app", "0.3"),
            ("faults", "seed=7"),
            ("attribute", "Loyalty tier=number"),
            ("list-order", "newest"),
            ("list-meta", "no-totals"),
            ("limit-too-large", "clamp"),
        ];
        let named = HELP
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("--"));
        for name in named.filter(|name| !["help,", "version"].contains(name)) {
            let known = values.iter().find(|(known, _)| *known == name);
            let value = known.map_or("7", |(_, value)| value);
            let option = format!("--{name}");
            if flag(name).is_some() {
                assert!(parse(Parser::from_args([&option])).is_ok(), "{option}");
                refusal(&[&format!("{option}=7")]);
                continue;
            }
            assert!(
                parse(Parser::from_args([option.as_str(), value])).is_ok(),
                "{option}"
            );
            refusal(&[&option, ""]);
            refusal(&[&option]);
        }
    }

    #[test]
    fn an_attribute_has_a_name_and_may_have_a_type() {
        let (text, number) = (AttributeType::Text, AttributeType::Number);
        assert_eq!(attribute("Loyalty tier"), Some(("Loyalty tier", text)));
        assert_eq!(attribute("Tier=string"), Some(("Tier", text)));
        assert_eq!(attribute("a=b=number"), Some(("a=b", number)));
        for bad in ["", " ", "=", "=date", " =date", "Tier=", "Tier=text"] {
            assert_eq!(attribute(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_help_names_every_fault() {
        let (_, kinds) = HELP.split_once("are drawn").expect("a list");
        let (_, kinds) = kinds.split_once(':').expect("a list");
        let named = kinds.trim_end_matches('.').split(',').map(str::trim);
        let all = Fault::ALL.iter().map(|fault| fault.to_string());
        assert!(named.eq(all));
    }

    #[test]
    fn durations_have_a_unit() {
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
    fn no_refusal_shows_what_may_be_a_token() {
        for args in [
            &["--token=", "secret"][..],
            &["secret"],
            &["--port", "secret"],
            &["--prot=secret"],
            &["-t", "secret"],
        ] {
            let message = refusal(args);
            assert!(!message.contains("secret"), "{message}");
            assert!(!message.contains('\n'), "{message}");
        }
    }
}
