use bigcommerce_sandbox::{Fault, FaultPlan, Operation};

/// Parses a plan such as `seed=7,rate=0.1,only=busy+truncated,on=list`. The seed is required.
pub fn plan(text: &str) -> Option<FaultPlan> {
    let (mut seed, mut rate, mut only, mut on) = (None, None, None, None);
    for part in text.split(',') {
        let (key, value) = part.split_once('=')?;
        let is_repeated = match key {
            "seed" => seed.replace(value.parse().ok()?).is_some(),
            "rate" => rate.replace(share(value)?).is_some(),
            "only" => {
                let faults = value.split('+').map(str::parse);
                let faults: Vec<Fault> = faults.collect::<Result<_, _>>().ok()?;
                only.replace(faults).is_some()
            }
            "on" => {
                let operations = value.split('+').map(operation);
                let operations: Vec<Operation> = operations.collect::<Option<_>>()?;
                on.replace(operations).is_some()
            }
            _ => return None,
        };
        if is_repeated {
            return None;
        }
    }
    let mut plan = FaultPlan::seeded(seed?);
    if let Some(rate) = rate {
        plan = plan.rate(rate);
    }
    if let Some(only) = only {
        plan = plan.only(only);
    }
    if let Some(on) = on {
        plan = plan.operations(on);
    }
    Some(plan)
}

/// Parses the name of an operation, which is the variant's name in kebab case.
fn operation(name: &str) -> Option<Operation> {
    Some(match name {
        "upsert" => Operation::Upsert,
        "list" => Operation::List,
        "delete" => Operation::Delete,
        "list-attributes" => Operation::ListAttributes,
        "create-attributes" => Operation::CreateAttributes,
        "update-attributes" => Operation::UpdateAttributes,
        "delete-attributes" => Operation::DeleteAttributes,
        "list-customers" => Operation::ListCustomers,
        "create-customers" => Operation::CreateCustomers,
        _ => return None,
    })
}

/// Parses a number from 0 to 1.
pub fn share(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::HELP;

    #[test]
    fn a_plan_is_parsed() {
        let faults = |text| {
            let plan = plan(text).expect(text);
            (0..200)
                .map(|number| plan.fault_for(number, Operation::Upsert))
                .collect::<Vec<_>>()
        };
        let all = faults("seed=7,rate=1,only=busy");
        assert_eq!(all, [Some(Fault::Busy); 200]);
        let some = faults("only=slow+late-execution,seed=7,rate=0.5");
        let (slow, late) = (Fault::Slow, Fault::LateExecution);
        assert!(some.contains(&Some(slow)) && some.contains(&Some(late)) && some.contains(&None));
        assert_eq!(faults("seed=7"), faults("seed=7,rate=0.1"));
    }

    #[test]
    fn a_plan_can_name_its_operations() {
        let plan = plan("seed=7,rate=1,only=busy,on=list-customers+upsert").expect("a plan");
        for operation in Operation::ALL {
            let is_named = matches!(operation, Operation::ListCustomers | Operation::Upsert);
            let expected = is_named.then_some(Fault::Busy);
            assert_eq!(plan.fault_for(0, *operation), expected, "{operation:?}");
        }
    }

    #[test]
    fn the_help_lists_every_operation() {
        let (_, rest) = HELP
            .split_once("named by on=")
            .expect("a list of operations");
        let (_, names) = rest.split_once(':').expect("a list of operations");
        let names = names.trim_end_matches('.').split(',').map(str::trim);
        let listed: Vec<_> = names.filter_map(operation).collect();
        assert_eq!(listed, Operation::ALL);
    }

    #[test]
    fn other_texts_are_rejected() {
        for text in [
            "",
            "7",
            "rate=0.1",
            "seed=",
            "seed=-1",
            "seed=7,",
            "seed=7,seed=7",
            "seed=7,rate=1.1",
            "seed=7,rate=-0.1",
            "seed=7,rate=NaN",
            "seed=7,only=",
            "seed=7,only=busy+",
            "seed=7,only=busy,truncated",
            "seed=7,only=Busy",
            "seed=7,kinds=busy",
            "seed=7,on=",
            "seed=7,on=customers",
            "seed=7,on=list,on=upsert",
        ] {
            assert!(plan(text).is_none(), "{text:?}");
        }
    }
}
