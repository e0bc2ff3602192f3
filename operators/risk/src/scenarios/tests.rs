//! Numbers against NumPy, QuantLib and empyrical; vectors that leave no trace; the grid against a slow one.

use super::*;
use crate::metrics::{max_drawdown, sharpe, sortino};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::BTreeMap;
use tidewheel_schemas::ContractKind;

/// Made by `make_ratios.py` beside it.
const RATIOS: &str = include_str!("../../tests/fixtures/ratios.json");

fn near(actual: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap_or_else(|| panic!("{what} is no number in the fixture"));
    let tolerance = 1e-12 * expected.abs().max(1.0);
    assert!((actual - expected).abs() <= tolerance, "{what}: {actual} instead of {expected}");
}

#[test]
fn the_vector_of_the_definitions() {
    let returns = [0.01, -0.02, 0.03, -0.01, 0.02, -0.005, 0.015, -0.03, 0.025, 0.0];
    let rounded = |value: f64| format!("{value:.7}");
    let shorter = |value: f64| format!("{value:.5}");
    assert_eq!(rounded(numpy_var(&returns, 0.95)), "0.0255000");
    assert_eq!(rounded(quantlib_var(&returns, 0.95)), "0.0300000");
    assert_eq!(rounded(empyrical_cvar(&returns, 0.25)), "-0.0200000");
    assert_eq!(rounded(normal_var(&returns, Confidence::P95)), "0.0291793");
    assert_eq!(rounded(normal_shortfall(&returns, Confidence::P95)), "0.0374812");
    assert_eq!(rounded(max_drawdown(&returns)), "-0.0300000");
    assert_eq!(sharpe(&returns, 0.0, 252.0).map(shorter).as_deref(), Some("2.79655"));
    assert_eq!(sharpe(&returns, 0.0, 365.0).map(shorter).as_deref(), Some("3.36565"));
    assert_eq!(sortino(&returns, 0.0, 252.0).map(shorter).as_deref(), Some("4.65437"));
    let profits: Vec<i128> = returns.iter().map(|value| (value * 1e3).round() as i128 * 10i128.pow(14)).collect();
    let tail = Tail::of(&profits).expect("ten scenarios are enough");
    assert_eq!(tail.historical_var_95_e16, 3 * 10i128.pow(14));
    assert_eq!(tail.historical_es_95_e16, 3 * 10i128.pow(14));
}

#[test]
fn numbers_agree_with_numpy_quantlib_and_empyrical() {
    let fixture: Value = serde_json::from_str(RATIOS).expect("the fixture is JSON");
    let cases = fixture["cases"].as_array().expect("the fixture has cases");
    assert_eq!(cases.len(), 5);
    for case in cases {
        let name = case["name"].as_str().expect("a case has a name");
        let returns = case["returns"].as_array().expect("a case has returns");
        let returns: Vec<f64> = returns.iter().map(|value| value.as_f64().expect("a return is a number")).collect();
        near(deviation(&returns), &case["deviation"], &format!("{name} deviation"));
        near(ewma_deviation(&returns), &case["ewma_deviation"], &format!("{name} ewma"));
        near(empyrical_cvar(&returns, 0.25), &case["empyrical_cvar_25"], &format!("{name} cvar 25"));
        near(max_drawdown(&returns), &case["max_drawdown"], &format!("{name} drawdown"));
        for periods in [252, 365] {
            let of_year = sharpe(&returns, 0.0, periods.into()).expect("the vectors deviate");
            near(of_year, &case[format!("sharpe_{periods}")], &format!("{name} sharpe {periods}"));
            let expected = &case[format!("sortino_{periods}")];
            match sortino(&returns, 0.0, periods.into()) {
                Some(ratio) => near(ratio, expected, &format!("{name} sortino {periods}")),
                None => assert!(expected.is_null(), "{name} sortino {periods}"),
            }
        }
        // Nine decimals, as profits of an exposure of one.
        let profits: Vec<i128> = returns.iter().map(|value| (value * 1e9).round() as i128 * 10i128.pow(8)).collect();
        let tail = Tail::of(&profits).expect("the vectors are long enough");
        for (percent, confidence) in [(95, Confidence::P95), (99, Confidence::P99)] {
            let at = &case[format!("at_{percent}")];
            let what = |field: &str| format!("{name} {field} {percent}");
            let share = f64::from(percent) / 100.0;
            let (var, es, parametric, parametric_es, ewma) = match confidence {
                Confidence::P95 => (
                    tail.historical_var_95_e16,
                    tail.historical_es_95_e16,
                    tail.parametric_var_95,
                    tail.parametric_es_95,
                    tail.ewma_var_95,
                ),
                Confidence::P99 => (
                    tail.historical_var_99_e16,
                    tail.historical_es_99_e16,
                    tail.parametric_var_99,
                    tail.parametric_es_99,
                    tail.ewma_var_99,
                ),
            };
            near(var as f64 / 1e16, &at["inverted_cdf"], &what("inverted_cdf"));
            near(es as f64 / 1e16, &at["mean_of_worst"], &what("mean_of_worst"));
            near(parametric, &at["normal_var"], &what("normal_var"));
            near(parametric_es, &at["normal_shortfall"], &what("normal_shortfall"));
            near(normal_var(&returns, confidence), &at["normal_var"], &what("normal_var"));
            near(normal_shortfall(&returns, confidence), &at["normal_shortfall"], &what("normal_shortfall"));
            let ewma_deviation = case["ewma_deviation"].as_f64().expect("the fixture has it");
            near(ewma, &Value::from(confidence.quantile() * ewma_deviation), &what("ewma"));
            near(numpy_var(&returns, share), &at["numpy_linear"], &what("numpy_linear"));
            near(quantlib_var(&returns, share), &at["quantlib_var"], &what("quantlib_var"));
            match quantlib_shortfall(&returns, share) {
                Some(shortfall) => near(shortfall, &at["quantlib_shortfall"], &what("quantlib_shortfall")),
                None => assert!(at["quantlib_shortfall"].is_null(), "{}", what("quantlib_shortfall")),
            }
            near(empyrical_var(&returns, 1.0 - share), &at["empyrical_var"], &what("empyrical_var"));
            near(empyrical_cvar(&returns, 1.0 - share), &at["empyrical_cvar"], &what("empyrical_cvar"));
        }
    }
}

#[test]
fn adding_and_taking_away_leaves_no_trace() {
    for seed in 0..50 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let slots = random.random_range(1..60);
        let changes: Vec<(i128, Vec<i64>, i32, Vec<bool>)> = (0..30)
            .map(|_| {
                // Exposures of every size up to the limit, so that both ways of adding are walked.
                let exposure = random.random_range(-9_999_999i128..=9_999_999) * 10i128.pow(random.random_range(0..15));
                let factors = (0..slots).map(|_| random.random_range(-10_000_000_000i64..=10_000_000_000)).collect();
                (exposure, factors, random.random_range(-2..3), (0..slots).map(|_| random.random()).collect())
            })
            .collect();
        let mut vector = PnlVector::new(slots);
        let mut halfway = None;
        for (at, (exposure, factors, positions, missing)) in changes.iter().enumerate() {
            if at == 15 {
                halfway = Some(vector.clone());
            }
            vector.add_exposure(*exposure, factors);
            vector.add_positions(*positions, missing);
        }
        let sum: i128 = changes.iter().map(|(exposure, factors, ..)| exposure * i128::from(factors[0])).sum();
        assert_eq!(vector.sums_e17[0], sum, "seed {seed}");
        for (exposure, factors, positions, missing) in &changes[15..] {
            vector.add_exposure(-exposure, factors);
            vector.add_positions(-positions, missing);
        }
        assert_eq!(Some(&vector), halfway.as_ref(), "seed {seed}");
        for (exposure, factors, positions, missing) in &changes[..15] {
            vector.add_exposure(-exposure, factors);
            vector.add_positions(-positions, missing);
        }
        assert!(vector.is_zero(), "seed {seed}");
    }
}

/// Profits of some portfolios in the same scenarios, with ties.
fn portfolios(random: &mut ChaCha8Rng) -> Vec<Vec<i128>> {
    let scenarios = random.random_range(2..200);
    let portfolio =
        |random: &mut ChaCha8Rng| (0..scenarios).map(|_| random.random_range(-20i128..=20) * 10i128.pow(16)).collect();
    (0..random.random_range(2..6)).map(|_| portfolio(random)).collect()
}

#[test]
fn shortfall_and_parametric_risk_of_a_sum_are_at_most_the_sum_and_contributions_add_up() {
    for seed in 0..300 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let parts = portfolios(&mut random);
        let total: Vec<i128> = (0..parts[0].len()).map(|at| parts.iter().map(|part| part[at]).sum()).collect();
        let of_parts: Vec<Tail> = parts.iter().map(|part| Tail::of(part).expect("two scenarios or more")).collect();
        let of_total = Tail::of(&total).expect("two scenarios or more");
        // Each part is rounded once to sixteen decimals.
        let slack = parts.len() as i128;
        for (name, sum, whole) in [
            (
                "es 95",
                of_parts.iter().map(|tail| tail.historical_es_95_e16).sum::<i128>(),
                of_total.historical_es_95_e16,
            ),
            ("es 99", of_parts.iter().map(|tail| tail.historical_es_99_e16).sum(), of_total.historical_es_99_e16),
        ] {
            assert!(whole <= sum + slack, "seed {seed}: {name} {whole} is more than {sum}");
        }
        let parametric: f64 = of_parts.iter().map(|tail| tail.parametric_var_95).sum();
        assert!(of_total.parametric_var_95 <= parametric + 1e-9, "seed {seed}");

        let floats: Vec<Vec<f64>> =
            parts.iter().map(|part| part.iter().map(|profit| *profit as f64 / 1e17).collect()).collect();
        for (confidence, whole) in
            [(Confidence::P95, of_total.parametric_var_95), (Confidence::P99, of_total.parametric_var_99)]
        {
            let components = component_var(&floats, confidence);
            assert!((components.iter().sum::<f64>() - whole).abs() < 1e-9, "seed {seed}");
            // A contribution is at most what the part would lose alone: the claim that does hold of component risk.
            for (component, part) in components.iter().zip(&floats) {
                assert!(*component <= normal_var(part, confidence) + 1e-9, "seed {seed}");
            }
        }
    }
}

/// Value at risk by scenarios is no coherent measure: a loss rarer than the tail in each part is none there, and one in the sum.
#[test]
fn historical_value_at_risk_of_a_sum_can_be_more_than_the_sum() {
    let unit = 10i128.pow(17);
    let mut parts = vec![vec![0i128; 100]; 2];
    // Each loses in four scenarios of a hundred, other ones.
    parts[0][..4].fill(-100 * unit);
    parts[1][10..14].fill(-100 * unit);
    let total: Vec<i128> = parts[0].iter().zip(&parts[1]).map(|(one, other)| one + other).collect();
    let var = |profits: &[i128]| Tail::of(profits).expect("a hundred scenarios").historical_var_95_e16;
    assert_eq!((var(&parts[0]), var(&parts[1]), var(&total)), (0, 0, 100 * 10i128.pow(16)));
    let es = |profits: &[i128]| Tail::of(profits).expect("a hundred scenarios").historical_es_95_e16;
    assert_eq!(
        (es(&parts[0]), es(&parts[1]), es(&total)),
        (80 * 10i128.pow(16), 80 * 10i128.pow(16), 100 * 10i128.pow(16))
    );
}

const STEP_NS: i64 = 3_600_000_000_000;

/// Factors by bar time from all closes ever given, with nothing kept; none is missing.
fn slow_factors(closes: &BTreeMap<i64, i64>, kind: ContractKind, window: &[i64]) -> Vec<Option<i64>> {
    window
        .iter()
        .map(|time| {
            let (_, previous) = closes.range(..time).next_back()?;
            let Some(close) = closes.get(time) else { return Some(0) };
            let over = if kind == ContractKind::Linear { previous } else { close };
            let exact = (i128::from(*close) - i128::from(*previous)) * 1_000_000_000;
            let over = i128::from(*over);
            // Half to even, by trying.
            let floor = exact.div_euclid(over);
            let twice = 2 * exact.rem_euclid(over);
            let factor = floor + i128::from(twice > over || (twice == over && floor % 2 != 0));
            Some(factor.clamp(-10_000_000_000, 10_000_000_000) as i64)
        })
        .collect()
}

#[test]
fn the_grid_is_what_its_closes_make_whatever_their_order() {
    for seed in 0..200 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let slots = random.random_range(2..12usize);
        let mut grid = ScenarioGrid::new(STEP_NS, slots);
        let kinds = [ContractKind::Linear, ContractKind::Inverse, ContractKind::Linear];
        let mut truth = vec![BTreeMap::new(); kinds.len()];
        for kind in kinds {
            grid.add_instrument(kind);
        }
        let (mut sums, mut missing) = (vec![vec![0; slots]; kinds.len()], vec![vec![1; slots]; kinds.len()]);
        let (mut newest, mut changes) = (i64::MIN, Vec::new());
        for step in 0..120 {
            let instrument = random.random_range(0..kinds.len());
            let at = (i64::from(step) / 4 - random.random_range(-2..slots as i64 + 2)) * STEP_NS;
            let close = random.random_bool(0.85).then(|| random.random_range(1..100_000i64));
            let start = newest.saturating_sub((slots as i64 - 1) * STEP_NS);
            let put = grid.put(instrument, at, close, &mut changes);
            if newest != i64::MIN && at < start {
                // Behind the window only the newest close of all counts, and it is not taken back.
                let newest_before = truth[instrument].range(..start).next_back().map(|(time, _)| *time);
                let counts = close.is_some() && newest_before.is_none_or(|known| known <= at);
                assert_eq!(put == ClosePut::Late, !counts, "seed {seed}");
                if counts {
                    truth[instrument].insert(at, close.expect("a close that counts is one"));
                }
            } else if let Some(close) = close {
                truth[instrument].insert(at, close);
                newest = newest.max(at);
            } else {
                truth[instrument].remove(&at);
            }
            if newest == i64::MIN {
                continue;
            }
            // Each change is told once, so that adding them all up gives what is there.
            for change in changes.drain(..) {
                sums[change.instrument][change.slot] += change.factor_e9;
                missing[change.instrument][change.slot] += change.missing;
            }
            let window: Vec<i64> = (0..slots as i64).rev().map(|back| newest - back * STEP_NS).collect();
            let with_bars: Vec<i64> =
                window.iter().copied().filter(|time| truth.iter().any(|closes| closes.contains_key(time))).collect();
            let scenarios: Vec<(usize, i64)> = grid.scenarios().collect();
            assert_eq!(
                scenarios.iter().map(|(_, time)| *time).collect::<Vec<_>>(),
                with_bars,
                "seed {seed} step {step}"
            );
            for (number, kind) in kinds.into_iter().enumerate() {
                let slow = slow_factors(&truth[number], kind, &with_bars);
                let fast: Vec<Option<i64>> = (scenarios.iter())
                    .map(|(slot, _)| (!grid.is_missing(number)[*slot]).then(|| grid.factors_e9(number)[*slot]))
                    .collect();
                assert_eq!(fast, slow, "seed {seed} step {step} instrument {number}");
                assert_eq!(grid.factors_e9(number), sums[number], "seed {seed} step {step}");
                let flags: Vec<i32> = grid.is_missing(number).iter().map(|flag| i32::from(*flag)).collect();
                assert_eq!(flags, missing[number], "seed {seed} step {step}");
            }
        }
    }
}

#[test]
fn a_bar_time_off_the_grid_is_refused() {
    let mut grid = ScenarioGrid::new(STEP_NS, 5);
    let instrument = grid.add_instrument(ContractKind::Linear);
    assert_eq!(grid.put(instrument, STEP_NS + 1, Some(1), &mut Vec::new()), ClosePut::Misaligned);
    assert_eq!(grid.put(instrument, -STEP_NS, Some(1), &mut Vec::new()), ClosePut::Put);
    assert_eq!(grid.put(instrument, -STEP_NS, Some(1), &mut Vec::new()), ClosePut::Same);
}
