//! Vectors that were published elsewhere or worked by hand.

use crate::features::kernels::{bollinger, cvd::Cvd, flow, rsi::Rsi, volatility::EwmaVariance, vpin};
use crate::features::{FeatureBar, Kernel};

fn bar(close: f64) -> FeatureBar {
    FeatureBar {
        open_time_ns: 0,
        close_time_ns: 60_000_000_000,
        open: close,
        high: close,
        low: close,
        close,
        volume: 1.0,
        quote_volume: close,
        signed_volume: 0.0,
        trade_count: 1.0,
        log_range: 0.0,
        log_body: 0.0,
        driftless_variance: 0.0,
        market: None,
    }
}

fn bars(closes: &[f64]) -> Vec<FeatureBar> {
    closes.iter().copied().map(bar).collect()
}

fn near(value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{value} instead of {expected}");
}

/// Values of a recursion over all bars.
fn run(bars: &[FeatureBar], mut next: impl FnMut(Option<&FeatureBar>, &FeatureBar) -> f64) -> Vec<f64> {
    (0..bars.len()).map(|at| next(at.checked_sub(1).map(|before| &bars[before]), &bars[at])).collect()
}

#[test]
fn rsi_of_the_closes_that_everybody_quotes() {
    let closes = [
        44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.10, 45.42, 45.84, 46.08, 45.89, 46.03, 45.61, 46.28, 46.28, 46.00,
        46.03,
    ];
    let mut rsi = Rsi::new(14);
    let values = run(&bars(&closes), |previous, bar| rsi.next(previous, bar));
    assert!(values[..14].iter().all(|value| value.is_nan()));
    for (value, expected) in values[14..].iter().zip([70.464_135_02, 66.249_618_55, 66.480_941_83]) {
        near(*value, expected, 5e-9);
    }
    let mut rsi = Rsi::new(14);
    assert_eq!(run(&bars(&[7.0; 40]), |previous, bar| rsi.next(previous, bar))[39], 0.0, "a flat series is 0, not 50");
}

#[test]
fn ewma_volatility_includes_the_newest_return_and_begins_with_the_first() {
    let returns = [0.01, -0.02, 0.03, -0.01, 0.02, -0.005, 0.015, -0.03, 0.025, 0.0];
    let mut close = 100.0;
    let mut closes = vec![close];
    for value in returns {
        close *= f64::exp(value);
        closes.push(close);
    }
    let mut ewma = EwmaVariance::default();
    near(run(&bars(&closes), |previous, bar| ewma.next(previous, bar))[10], 0.014_968, 5e-7);
}

#[test]
fn bollinger_bands_are_of_the_population() {
    // Five closes whose mean is 44.104 and whose squared distances sum up to 5 * 0.265750^2.
    let reach = 0.265_75 * (5.0f64 / 2.0).sqrt();
    let closes = bars(&[44.104 - reach, 44.104, 44.104, 44.104, 44.104 + reach]);
    near(bollinger::upper(&closes), 44.6355, 1e-9);
    near(bollinger::lower(&closes), 43.5725, 1e-9);
    near(bollinger::percent_b(&closes), 0.5 + reach / (4.0 * 0.265_75), 1e-9);
    assert!(!bollinger::percent_b(&bars(&[0.1; 20])).is_finite(), "bands that meet have no inside");
}

#[test]
fn flow_by_hand() {
    let with = |close: f64, volume: f64, signed_volume: f64| FeatureBar {
        volume,
        signed_volume,
        quote_volume: volume * 10.0,
        trade_count: 4.0,
        ..bar(close)
    };
    let bars = [with(10.0, 2.0, 2.0), with(11.0, 3.0, -1.0), with(9.0, 5.0, 2.0)];
    near(flow::imbalance(&bars), 0.3, 1e-15);
    near(flow::trade_size(&bars), 10.0 / 12.0, 1e-15);
    near(flow::vwap_deviation(&bars), -0.1, 1e-15);
    near(flow::intensity(&bars[..1]), 4.0 / 60.0, 1e-15);
    // (1 * -1 + -2 * 2) / (1 + 4)
    near(flow::kyle_lambda(&bars), -1.0, 1e-15);
    near(flow::amihud(&bars), (0.1 / 30.0 + 2.0 / 11.0 / 50.0) / 2.0, 1e-15);
    let silent = [with(10.0, 2.0, 0.0), with(11.0, 3.0, 0.0)];
    assert!(flow::kyle_lambda(&silent).is_nan(), "no signed volume, no slope");
}

#[test]
fn vpin_of_one_sided_and_of_even_flow() {
    let side = |signed: f64| FeatureBar { volume: 3.0, signed_volume: 3.0 * signed, ..bar(10.0) };
    near(vpin::vpin(&vec![side(1.0); 200]), 1.0, 1e-12);
    near(vpin::vpin(&vec![side(0.0); 200]), 0.0, 1e-12);
    // Four bars a bucket, and two of them are the other side's.
    let even: Vec<FeatureBar> = (0..200).map(|at| side(if at % 4 < 2 { 1.0 } else { -1.0 })).collect();
    near(vpin::vpin(&even), 0.0, 1e-9);
    let runs: Vec<FeatureBar> = (0..200).map(|at| side(if at % 8 < 4 { 1.0 } else { -1.0 })).collect();
    near(vpin::vpin(&runs), 1.0, 1e-9);
    // One bar with nearly all the volume fills all buckets alike.
    let mut one = vec![FeatureBar { volume: 1e-9, signed_volume: 0.0, ..bar(10.0) }; 200];
    one[70] = FeatureBar { volume: 50.0, signed_volume: -20.0, ..bar(10.0) };
    near(vpin::vpin(&one), 0.4, 1e-8);
}

#[test]
fn the_delta_of_a_day_begins_at_midnight() {
    const DAY: i64 = 86_400_000_000_000;
    let at = |open_time_ns: i64| FeatureBar { open_time_ns, signed_volume: 2.0, ..bar(1.0) };
    let delta = |opens: &[i64]| {
        let bars: Vec<FeatureBar> = opens.iter().map(|open| at(*open)).collect();
        let mut cvd = Cvd::default();
        let values = run(&bars, |previous, bar| cvd.next(previous, bar));
        values
            .iter()
            .map(|value| if value.is_nan() { "-".to_owned() } else { value.to_string() })
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(delta(&[DAY - 120, DAY - 60, DAY, DAY + 60]), "- - 2 4");
    assert_eq!(delta(&[0, 60, 120]), "2 4 6");
    // Nobody traded in the first minute of the day, nor on the day after.
    assert_eq!(delta(&[DAY - 60, DAY + 300, DAY + 360, 3 * DAY + 60]), "- 2 4 2");
}

#[test]
fn a_window_is_as_long_as_its_name_says() {
    let lengths =
        [("return_5@simple", 6), ("sma_20@talib", 20), ("volume_imbalance_60@taker", 60), ("vpin_50@200_bars", 200)];
    for (name, bars) in lengths {
        let feature = crate::features::Feature::find(name).expect("a feature");
        assert!(matches!(feature.kernel, Kernel::Window { bars: needed, .. } if needed == bars), "{name}");
    }
}
