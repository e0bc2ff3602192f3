//! Regimes against a slow oracle, and their edges.

use super::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn bitcoin() -> Instrument {
    Instrument::new("binance", "BTCUSDT").expect("a name")
}

fn bar(number: i64, value: f64) -> BarReturn {
    BarReturn { instrument: bitcoin(), end_ns: number * 60_000_000_000, value }
}

/// The regimes after each return: each time from all returns.
fn oracle(policy: &RegimePolicy, returns: &[f64]) -> Vec<Option<Regime>> {
    let decay = policy.decay.as_f64();
    let volatilities: Vec<f64> = (0..returns.len())
        .map(|at| {
            let seed = returns[0] * returns[0];
            returns[1..=at].iter().fold(seed, |held, value| decay * held + (1.0 - decay) * (value * value)).sqrt()
        })
        .collect();
    let share = |at: usize| {
        let from = (at + 1).saturating_sub(policy.window_bars as usize);
        let window = &volatilities[from..=at];
        let smaller = window.iter().filter(|held| **held < volatilities[at]).count();
        (window.len() >= policy.warm_bars as usize).then(|| smaller as f64 / window.len() as f64)
    };
    let begins = [0.0, 0.5, 0.85, 0.97];
    let mut states: Vec<Option<Regime>> = Vec::new();
    let mut since_change = 0;
    for at in 0..returns.len() {
        let before = states.last().copied().flatten();
        let next = share(at).map(|now| {
            let asked = (0..4).rev().find(|regime| now >= begins[*regime]).expect("low begins at nothing");
            let Some(before) = before.map(|before| before as usize).filter(|before| asked <= *before) else {
                return Regime::ALL[asked];
            };
            // The last bars since the last change, all of them well.
            let dwell = policy.dwell_bars as usize;
            let well =
                (since_change..=at).rev().take_while(|at| share(*at).is_some_and(|at| at < begins[before] - 0.05));
            if well.count() >= dwell { Regime::ALL[before.saturating_sub(1)] } else { Regime::ALL[before] }
        });
        if next != before {
            since_change = at + 1;
        }
        states.push(next);
    }
    states
}

#[test]
fn random_returns_lead_where_a_slow_oracle_says_over_restarts() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..60 {
        println!("seed {seed}");
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let policy = RegimePolicy { window_bars: 100, warm_bars: 20, ..RegimePolicy::default() };
        let mut size = 0.01;
        let returns: Vec<f64> = (0..random.random_range(1..400))
            .map(|_| {
                if random.random_range(0..25) == 0 {
                    size = [0.002, 0.01, 0.03, 0.1][random.random_range(0..4)];
                }
                random.random_range(-size..size)
            })
            .collect();
        let (mut regimes, mut found) = (Regimes::default(), Vec::new());
        for (number, value) in (1..).zip(&returns) {
            let before = regimes.of(&bitcoin());
            let said = regimes.take(&policy, &bar(number, *value)).expect("a number");
            let after = regimes.of(&bitcoin());
            assert_eq!(said.change.is_some(), before != after, "seed {seed}");
            found.push(after);
            let bytes = postcard::to_allocvec(&regimes).expect("bytes");
            regimes = postcard::from_bytes(&bytes).expect("regimes");
            seen.extend(after);
        }
        assert_eq!(found, oracle(&policy, &returns), "seed {seed}");
    }
    assert_eq!(seen.len(), 4, "some regime was never reached");
}

#[test]
fn the_volatility_is_that_of_the_worked_example() {
    let policy = RegimePolicy { warm_bars: 2, ..RegimePolicy::default() };
    let returns = [0.01, -0.02, 0.03, -0.01, 0.02, -0.005, 0.015, -0.03, 0.025, 0.0];
    let mut regimes = Regimes::default();
    for (number, value) in (1..).zip(returns) {
        regimes.take(&policy, &bar(number, value)).expect("a number");
    }
    let volatility = regimes.symbols[&bitcoin()].past.back().copied().expect("ten bars");
    assert!((volatility - 0.014968).abs() < 5e-7, "{volatility}");
}

#[test]
fn stops_widen_with_the_regime_and_most_where_it_is_unknown() {
    let policy = RegimePolicy::default();
    let multipliers = Regime::ALL.map(|regime| stop_multiplier(Some(regime), &policy).as_f64());
    assert_eq!(multipliers, [1.0, 1.0, 1.5, 2.5]);
    assert_eq!(stop_multiplier(None, &policy).as_f64(), 2.5);
}

#[test]
fn a_spike_is_told_against_the_median_and_bad_returns_change_nothing() {
    let policy = RegimePolicy { warm_bars: 5, ..RegimePolicy::default() };
    let mut regimes = Regimes::default();
    let mut spike = None;
    for number in 1..=50 {
        spike = regimes.take(&policy, &bar(number, 0.001)).expect("a number").spike;
    }
    assert_eq!(spike, Some(1.0));
    let before = regimes.clone();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
        assert_eq!(regimes.take(&policy, &bar(51, value)), Err(Fault::NotANumber));
    }
    assert_eq!(regimes.take(&policy, &bar(50, 0.0)), Err(Fault::Stale { age_ns: 0 }));
    assert_eq!(regimes, before);
    let said = regimes.take(&policy, &bar(51, 0.1)).expect("a number");
    assert!(said.spike.is_some_and(|spike| spike > 20.0), "{said:?}");
    assert_eq!(regimes.of(&bitcoin()), Some(Regime::Extreme));
    // Flat for ever, then a move: against the least that counts.
    let mut regimes = Regimes::default();
    for number in 1..=50 {
        spike = regimes.take(&policy, &bar(number, 0.0)).expect("a number").spike;
    }
    assert_eq!(spike, Some(0.0));
    let spike = regimes.take(&policy, &bar(51, 0.1)).expect("a number").spike.expect("it is warm");
    assert!((spike - 0.06f64.sqrt() * 0.1 / 0.000_2).abs() < 1e-9, "{spike}");
}

#[test]
fn a_stablecoin_that_moves_a_tick_in_a_hundred_bars_is_not_volatile() {
    let (policy, trigger) =
        (RegimePolicy::default(), crate::policy::KillSwitches::default().volatility.trigger.as_f64());
    let (mut regimes, mut greatest) = (Regimes::default(), 0.0f64);
    for number in 1..2_000 {
        let value = if number % 105 == 0 { if number % 210 == 0 { 0.000_1 } else { -0.000_1 } } else { 0.0 };
        let spike = regimes.take(&policy, &bar(number, value)).expect("a return").spike;
        greatest = greatest.max(spike.unwrap_or(0.0));
    }
    assert!(greatest > 0.0 && greatest < trigger / 2.0, "{greatest} of {trigger}");
    // Losing its peg is another matter.
    let spike = regimes.take(&policy, &bar(2_000, -0.02)).expect("a return").spike;
    assert!(spike.is_some_and(|spike| spike.is_finite() && spike > trigger), "{spike:?}");
}
