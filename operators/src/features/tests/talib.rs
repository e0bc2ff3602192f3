//! Every feature against TA-Lib, and where TA-Lib has none against the same formula written a second time over NumPy. The
//! tolerance is one part in 10^9.

use crate::TickHeader;
use crate::features::{FEATURES, Feature, FeatureLedger, FeaturesConfig, Kernel, Scope, View};
use std::collections::BTreeMap;
use tidewheel_schemas::{Bar, BarVersion, Instrument, Interval, SECOND_NS, TradeId, TradeKey, parse_e8};

const FIXTURE: &str = include_str!("../../../../tests/fixtures/features/talib.csv");

/// The values of a column by series, `None` for null; and the bars.
struct Fixture {
    names: Vec<String>,
    bars: BTreeMap<String, Vec<(i64, Bar)>>,
    values: BTreeMap<String, Vec<Vec<Option<f64>>>>,
}

fn fixture() -> Fixture {
    let mut lines = FIXTURE.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().expect("a head")[10..].iter().map(|name| (*name).to_owned()).collect();
    let mut fixture = Fixture { names, bars: BTreeMap::new(), values: BTreeMap::new() };
    for cells in lines {
        let e8 = |at: usize| parse_e8(cells[at].as_bytes()).expect("a decimal");
        let open_time_ns = cells[1].parse::<i64>().expect("seconds") * SECOND_NS;
        let key = TradeKey { event_time_ns: open_time_ns, id: TradeId::number(1) };
        let bar = Bar {
            volume_e8: e8(6).into(),
            quote_volume_e16: i128::from(e8(7)) * 100_000_000,
            taker_buy_volume_e8: e8(8).into(),
            taker_buy_quote_volume_e16: 0,
            first: key,
            last: key,
            open_e8: e8(2),
            high_e8: e8(3),
            low_e8: e8(4),
            close_e8: e8(5),
            trade_count: cells[9].parse().expect("a count"),
        };
        fixture.bars.entry(cells[0].to_owned()).or_default().push((open_time_ns, bar));
        let values = cells[10..].iter().map(|cell| (!cell.is_empty()).then(|| cell.parse().expect("a float")));
        fixture.values.entry(cells[0].to_owned()).or_default().push(values.collect());
    }
    fixture
}

/// Where TA-Lib calls a variance below 1e-14 zero, which for prices of a few units in the eighth place is all of them.
fn is_left_out(series: &str, name: &str) -> bool {
    series == "tiny" && name.starts_with("bollinger")
}

#[test]
fn all_features_are_those_of_talib_and_numpy() {
    let fixture = fixture();
    let told: Vec<&str> = fixture.names.iter().map(String::as_str).collect();
    // TA-Lib knows bars only.
    let of_bars = FEATURES.iter().filter(|feature| feature.family.scope != Scope::Market);
    let missing: Vec<&str> = of_bars.map(|feature| feature.name).filter(|name| !told.contains(name)).collect();
    assert!(missing.is_empty(), "the fixture has no column for {missing:?}");
    let view = View::resolve("all", 1, Interval::M1, &told).expect("the fixture's columns are features");
    let config = FeaturesConfig { views: vec![view], is_saved: false, min_quality: None };
    let (mut compared, mut nulls, mut worst) = (0, 0, (0.0, String::new()));
    let mut problems = Vec::new();
    for (series, bars) in &fixture.bars {
        let rows = rows_of(&config, bars);
        for (at, (row, expected)) in rows.iter().zip(&fixture.values[series]).enumerate() {
            for ((name, value), expected) in told.iter().zip(row).zip(expected) {
                if is_left_out(series, name) {
                    continue;
                }
                compared += 1;
                match (value, expected) {
                    (None, None) => nulls += 1,
                    (Some(value), Some(expected)) => {
                        let scale = expected.abs().max(smallest(series, name));
                        let error = (value - expected).abs() / scale;
                        if error > worst.0 {
                            worst = (error, format!("{series} {name} {at}"));
                        }
                        if error > 1e-9 {
                            problems.push(format!("{series} {name} bar {at}: {value} instead of {expected}"));
                        }
                    }
                    _ => problems.push(format!("{series} {name} bar {at}: {value:?} instead of {expected:?}")),
                }
            }
        }
    }
    problems.truncate(40);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    println!(
        "{compared} values compared, {nulls} of them null; the largest relative difference {:.1e} at {}",
        worst.0, worst.1
    );
    assert_eq!(compared, 346 * fixture.names.len() - 70 * 4);
}

/// A value nearer to zero than this is compared by this.
fn smallest(series: &str, name: &str) -> f64 {
    let unit = Feature::find(name).map_or("", |feature| feature.family.unit);
    match unit {
        // Values of a fixed range, and ratios, which can cancel to nothing.
        _ if unit.contains(" to ") => 1.0,
        "ratio" => 1e-6,
        "price" if series != "tiny" => 1e-6,
        _ => 1e-15,
    }
}

/// The values of each row, from one bar a tick.
fn rows_of(config: &FeaturesConfig, bars: &[(i64, Bar)]) -> Vec<Vec<Option<f64>>> {
    let instrument = Instrument::new("binance", "BTCUSDT").expect("a name");
    let mut ledger = FeatureLedger::new(config);
    let mut rows = Vec::new();
    for (tick, (open_time_ns, bar)) in (1..).zip(bars) {
        let header = TickHeader {
            tick,
            frozen_ns: open_time_ns - 3_600 * SECOND_NS,
            watermark_ns: open_time_ns + 60 * SECOND_NS,
            publish_provisional: false,
            is_last: false,
            save: None,
            is_restore: false,
        };
        let version = BarVersion {
            instrument: instrument.clone(),
            interval: Interval::M1,
            open_time_ns: *open_time_ns,
            tick,
            revision: 0,
            is_final: true,
            bar: Some(*bar),
        };
        let changed = ledger.apply_bars(&header, &[version]);
        assert_eq!(changed.len(), 1, "one bar more, one row more");
        rows.extend(changed.into_iter().map(|row| row.values.expect("a row").into_vec()));
    }
    rows
}

#[test]
fn the_first_value_comes_with_the_bar_that_the_table_says() {
    let fixture = fixture();
    for (at, name) in fixture.names.iter().enumerate() {
        let feature = Feature::find(name).expect("a feature");
        let is_of_a_day = name.starts_with("cvd");
        let first = fixture.values["walk"].iter().position(|row| row[at].is_some()).expect("a value");
        assert!(is_of_a_day || first + 1 == feature.kernel.needs(), "{name}: first at bar {first}");
        if let Kernel::Recursive { needs, warm_up, .. } = feature.kernel {
            assert!(warm_up >= needs, "{name}");
        }
    }
}
