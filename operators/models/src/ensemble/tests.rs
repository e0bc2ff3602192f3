//! Ensembles against numbers worked by hand.

use super::*;

/// An ensemble of probabilities whose members are named a, b, c and so on.
fn ensemble(method: Method, missing: MissingPolicy, weights: &[f64]) -> Ensemble {
    let member = |(at, weight): (usize, &f64)| MemberDefinition {
        model: format!("any-up-{}", char::from(b'a' + u8::try_from(at).expect("few members"))).parse().expect("an id"),
        version: 1,
        weight: *weight,
    };
    let members = weights.iter().enumerate().map(member).collect();
    let (name, output) = ("mix".to_owned(), OutputKind::Probability);
    let definition = EnsembleDefinition { name, version: 1, output, method, missing, return_scale: None, members };
    Ensemble::new(definition).expect("a definition")
}

fn values(values: &[f64]) -> Vec<Result<f64, Refusal>> {
    values.iter().map(|value| Ok(*value)).collect()
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-12
}

#[test]
fn a_weighted_mean_by_hand() {
    let mix = ensemble(Method::WeightedMean, MissingPolicy::Refuse, &[1.0, 2.0, 1.0]);
    // (0.4 + 2 x 0.7 + 0.6) / 4 = 0.6; variance (0.04 + 2 x 0.01 + 0) / 4 = 0.015.
    let decision = mix.combine(&values(&[0.4, 0.7, 0.6])).expect("a decision");
    assert!(near(decision.value, 0.6) && near(decision.confidence, 0.6), "{decision:?}");
    assert!(near(decision.disagreement, 0.015_f64.sqrt()), "{decision:?}");
    assert_eq!((decision.direction, decision.present), (Direction::Up, 1.0));
    let down = mix.combine(&values(&[0.3, 0.3, 0.3])).expect("a decision");
    assert!(near(down.confidence, 0.7) && down.direction == Direction::Down, "{down:?}");
    let flat = mix.combine(&values(&[0.5, 0.5, 0.5])).expect("a decision");
    assert_eq!((flat.direction, flat.confidence, flat.disagreement), (Direction::Flat, 0.5, 0.0));
}

#[test]
fn a_wrong_number_of_outputs_is_a_refusal() {
    for method in [Method::WeightedMean, Method::Median, Method::Stacking { intercept: 0.0 }] {
        let mix = ensemble(method, MissingPolicy::Refuse, &[1.0, 1.0]);
        for outputs in [&[][..], &[0.5], &[0.5; 3]] {
            let refusal = mix.combine(&values(outputs)).expect_err("a refusal");
            assert_eq!((refusal.name(), outputs.len() == 2), ("member_count", false), "{outputs:?}");
        }
    }
}

#[test]
fn a_median_by_hand() {
    for (weights, outputs, expected) in [
        (&[1.0, 1.0, 1.0][..], &[0.9, 0.1, 0.3][..], 0.3),
        // Four of equal weight: the mean of the two in the middle.
        (&[1.0, 1.0, 1.0, 1.0], &[0.9, 0.1, 0.3, 0.5], 0.4),
        // Half of the weights is 2.5 and lies inside the heavy one.
        (&[3.0, 1.0, 1.0], &[0.9, 0.1, 0.3], 0.9),
        // Exactly half at 0.3: the mean of it and the next.
        (&[2.0, 1.0, 1.0], &[0.9, 0.1, 0.3], 0.6),
    ] {
        let mix = ensemble(Method::Median, MissingPolicy::Refuse, weights);
        let value = mix.combine(&values(outputs)).expect("a decision").value;
        assert!(near(value, expected), "{weights:?} {outputs:?}: {value}, not {expected}");
    }
}

#[test]
fn stacking_by_hand() {
    let mix = ensemble(Method::Stacking { intercept: -1.0 }, MissingPolicy::Refuse, &[2.0, -1.0]);
    // -1 + 2 x 0.8 - 1 x 0.1 = 0.5; logistic(0.5) = 0.6224593312018546.
    let decision = mix.combine(&values(&[0.8, 0.1])).expect("a decision");
    assert!(near(decision.value, 0.622_459_331_201_854_6), "{decision:?}");
    // Unweighted: mean 0.45, deviation 0.35.
    assert!(near(decision.disagreement, 0.35), "{decision:?}");
}

#[test]
fn expected_returns_have_the_confidence_their_scale_says() {
    let mut definition = ensemble(Method::WeightedMean, MissingPolicy::Refuse, &[1.0, 1.0]).definition;
    definition.output = OutputKind::ExpectedReturn;
    definition.return_scale = Some(0.002);
    let mix = Ensemble::new(definition).expect("a definition");
    // Mean -0.002, one scale below 0: logistic(1) = 0.7310585786300049.
    let decision = mix.combine(&values(&[-0.003, -0.001])).expect("a decision");
    assert!(near(decision.value, -0.002) && near(decision.confidence, 0.731_058_578_630_004_9), "{decision:?}");
    assert_eq!(decision.direction, Direction::Down);
    assert!(near(decision.disagreement, 0.001), "{decision:?}");
}

#[test]
fn a_member_without_a_number_is_dealt_with_as_the_policy_says() {
    let stale = Refusal::Stale { age_ms: 2, allowed_ms: 1 };
    let outputs = [Ok(0.4), Err(stale.clone()), Ok(0.8)];
    let refuse = ensemble(Method::WeightedMean, MissingPolicy::Refuse, &[1.0, 1.0, 3.0]);
    assert_eq!(refuse.combine(&outputs), Err(stale.clone()));
    let policy = |minimum_weight| MissingPolicy::Renormalise { minimum_weight };
    // (0.4 + 3 x 0.8) / 4 = 0.7, with 4 of the 5 weights.
    let mix = ensemble(Method::WeightedMean, policy(0.8), &[1.0, 1.0, 3.0]);
    let decision = mix.combine(&outputs).expect("a decision");
    assert!(near(decision.value, 0.7) && decision.present == 0.8, "{decision:?}");
    let strict = ensemble(Method::WeightedMean, policy(0.81), &[1.0, 1.0, 3.0]);
    assert_eq!(strict.combine(&outputs), Err(Refusal::TooFewMembers { present: 0.8, minimum: 0.81 }));
    let none = [Err(stale.clone()), Err(stale.clone()), Err(stale)];
    let lenient = ensemble(Method::Median, policy(0.01), &[1.0, 1.0, 3.0]);
    assert_eq!(lenient.combine(&none), Err(Refusal::TooFewMembers { present: 0.0, minimum: 0.01 }));
}

#[test]
fn the_order_in_which_members_are_written_changes_no_bit() {
    // Sums of these differ in their last bit with the order.
    let written = ensemble(Method::WeightedMean, MissingPolicy::Refuse, &[0.1, 0.2, 0.3, 0.7]).definition;
    let outputs = [0.1, 0.7, 0.2, 0.35];
    let decide = |definition: EnsembleDefinition| {
        let mix = Ensemble::new(definition).expect("a definition");
        let by_name = |member: &MemberDefinition| outputs[usize::from(member.model.kind.as_bytes()[0] - b'a')];
        let outputs: Vec<_> = mix.definition().members.iter().map(|member| Ok(by_name(member))).collect();
        mix.combine(&outputs).expect("a decision")
    };
    let first = decide(written.clone());
    for turn in 1..4 {
        let mut turned = written.clone();
        turned.members.rotate_left(turn);
        let decision = decide(turned);
        assert_eq!(decision.value.to_bits(), first.value.to_bits(), "turned by {turn}");
        assert_eq!(decision.disagreement.to_bits(), first.disagreement.to_bits(), "turned by {turn}");
    }
}

#[test]
fn a_definition_that_cannot_be_is_refused_by_field() {
    let fine = ensemble(Method::WeightedMean, MissingPolicy::Refuse, &[1.0, 1.0]).definition;
    let refused = |change: fn(&mut EnsembleDefinition)| {
        let mut definition = fine.clone();
        change(&mut definition);
        Ensemble::new(definition).expect_err("a definition that cannot be").to_string()
    };
    for (error, told) in [
        (refused(|it| it.name = "Mix".to_owned()), "field name"),
        (refused(|it| it.version = 0), "field version"),
        (refused(|it| it.members.clear()), "field members"),
        (refused(|it| it.members[0].weight = 0.0), "any-up-a: 0 is no weight"),
        (refused(|it| it.members[1].weight = f64::NAN), "any-up-b: NaN is no weight"),
        (refused(|it| it.members[1].model = it.members[0].model.clone()), "model any-up-a stands there twice"),
        (refused(|it| it.missing = MissingPolicy::Renormalise { minimum_weight: 0.0 }), "field missing"),
        (refused(|it| it.output = OutputKind::ExpectedReturn), "field return_scale"),
        (refused(|it| it.return_scale = Some(1.0)), "field return_scale"),
        (
            refused(|it| {
                it.method = Method::Stacking { intercept: 0.0 };
                it.missing = MissingPolicy::Renormalise { minimum_weight: 0.5 };
            }),
            "field missing",
        ),
    ] {
        assert!(error.contains(told), "{error}");
    }
}
