use bigcommerce_sandbox::{Fault, FaultPlan};

/// Parses a plan such as `seed=7,rate=0.1,only=busy+truncated`. The seed is required.
pub fn plan(text: &str) -> Option<FaultPlan> {
    let (mut seed, mut rate, mut only) = (None, None, None);
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
    Some(plan)
}

/// Parses a number from 0 to 1.
pub fn share(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
}

#[cfg(test)]
mod tests {
    use bigcommerce_sandbox::Operation;

    use super::*;

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
        ] {
            assert!(plan(text).is_none(), "{text:?}");
        }
    }
}
