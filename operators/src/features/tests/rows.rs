//! Rows by example: joins, late bars, tombstones, quality.

use crate::TickHeader;
use crate::features::{FeatureLedger, FeaturesConfig, View};
use tidewheel_schemas::{Bar, BarVersion, FeatureRow, Instrument, Interval, SECOND_NS, TradeId, TradeKey};

const MINUTE_NS: i64 = 60 * SECOND_NS;

/// A bar of one trade whose price and quantity are this, so that the average trade size shows it.
fn bar(value: i64) -> Bar {
    let key = TradeKey { event_time_ns: 0, id: TradeId::number(1) };
    Bar {
        volume_e8: i128::from(value) * 100_000_000,
        quote_volume_e16: i128::from(value * value) * 10_000_000_000_000_000,
        taker_buy_volume_e8: 0,
        taker_buy_quote_volume_e16: 0,
        first: key,
        last: key,
        open_e8: value * 100_000_000,
        high_e8: value * 100_000_000,
        low_e8: value * 100_000_000,
        close_e8: value * 100_000_000,
        trade_count: 1,
    }
}

/// `1m@3=7`: the minute that opens at minute 3 has the value 7; `-` for none, `?` behind it where it is not final.
pub(super) fn version(text: &str) -> BarVersion {
    let (interval, rest) = text.split_once('@').expect("interval@");
    let (open, value) = rest.split_once('=').expect("open=value");
    let provisional = value.ends_with('?');
    BarVersion {
        instrument: Instrument::new("binance", "BTCUSDT").expect("a name"),
        interval: interval.parse().expect("an interval"),
        open_time_ns: open.parse::<i64>().expect("a minute") * MINUTE_NS,
        tick: 0,
        revision: 0,
        is_final: !provisional,
        bar: value.trim_end_matches('?').parse().ok().map(bar),
    }
}

/// `3:7,2/1`: the row of minute 3 has the values 7 and 2 and is revision 1; `-` for null, `gone` for a tombstone.
fn text(row: &FeatureRow) -> String {
    let open = row.open_time_ns / MINUTE_NS;
    let values = row.values.as_ref().map_or_else(
        || "gone".to_owned(),
        |values| {
            let values = values.iter().map(|value| value.map_or_else(|| "-".to_owned(), |value| value.to_string()));
            values.collect::<Vec<_>>().join(",")
        },
    );
    format!("{open}:{values}/{}", row.revision)
}

pub(super) fn header(tick: usize, frozen_minute: i64) -> TickHeader {
    TickHeader {
        tick: tick as u64,
        frozen_ns: frozen_minute * MINUTE_NS,
        watermark_ns: i64::MAX,
        publish_provisional: true,
        is_last: false,
        save: None,
        is_restore: false,
    }
}

/// Steps: the frozen minute, versions, rows.
fn check(columns: &[&str], steps: &[(i64, &str, &str)]) {
    let view = View::resolve("mine", 1, Interval::M1, columns).expect("all are features");
    let mut ledger = FeatureLedger::new(&FeaturesConfig { views: vec![view], is_saved: false, min_quality: None });
    for (step, (frozen, versions, expected)) in steps.iter().enumerate() {
        let versions: Vec<BarVersion> = versions.split_whitespace().map(version).collect();
        let rows = ledger.apply_bars(&header(step, *frozen), &versions);
        assert_eq!(rows.iter().map(text).collect::<Vec<_>>().join(" "), *expected, "step {step}");
    }
}

const SIZE: &str = "average_trade_size_1@base";
const SIZE_5M: &str = "5m.average_trade_size_1@base";

#[test]
fn a_row_joins_the_newest_bar_that_had_closed() {
    check(
        &[SIZE, SIZE_5M],
        &[
            (0, "1m@0=1 5m@0=9?", "0:1,-/0"),
            (0, "1m@3=4", "3:4,-/0"),
            // The five minutes that end with the minute become final with it, and come in any order.
            (0, "5m@0=50 1m@4=5", "4:5,50/0"),
            (0, "1m@5=6", "5:6,50/0"),
            (0, "1m@9=10 5m@5=60", "9:10,60/0"),
            // A change of the first five minutes revises the rows that join them, and no others.
            (0, "5m@0=51", "4:5,51/1 5:6,51/1"),
            // And of a minute in the second: its row, and the rows that join them.
            (0, "1m@6=7 5m@5=61", "6:7,51/0 9:10,61/1"),
            // The first five minutes lost everything.
            (0, "5m@0=-", "4:5,-/2 5:6,-/2 6:7,-/1"),
            (0, "5m@0=51", "4:5,51/3 5:6,51/3 6:7,51/2"),
        ],
    );
}

#[test]
fn a_lost_bar_leaves_a_tombstone_and_can_come_again() {
    check(
        &[SIZE, "return_1@simple"],
        &[
            (0, "1m@0=1", "0:1,-/0"),
            (0, "1m@1=2 1m@2=3", "1:2,1/0 2:3,0.5/0"),
            (0, "1m@1=-", "1:gone/1 2:3,2/1"),
            (0, "1m@1=-", ""),
            (0, "1m@1=2", "1:2,1/2 2:3,0.5/2"),
            (0, "1m@1=2", ""),
            (0, "1m@2=-", "2:gone/3"),
            (0, "1m@7=-", ""),
            // Found again under the same tick as lost: the last version that came stands.
            (0, "1m@0=-", "0:gone/1 1:2,-/3"),
        ],
    );
}

#[test]
fn a_bar_that_comes_late_revises_what_follows_until_it_is_frozen() {
    check(
        &[SIZE, "return_1@simple"],
        &[
            (0, "1m@0=4 1m@2=8 1m@3=16", "0:4,-/0 2:8,1/0 3:16,1/0"),
            (1, "1m@1=5", "1:5,0.25/0 2:8,0.6000000000000001/1"),
            // Minute 1 is frozen; minute 2 still looks back at it.
            (2, "1m@2=10", "2:10,1/2 3:16,0.6000000000000001/1"),
            (4, "", ""),
            (4, "1m@4=32", "4:32,1/0"),
        ],
    );
}

#[test]
#[should_panic(expected = "changed after it was frozen")]
fn a_frozen_bar_does_not_change() {
    check(&[SIZE], &[(0, "1m@0=4 1m@1=8", "0:4/0 1:8/0"), (2, "1m@0=5", "")]);
}

#[test]
fn a_row_tells_its_quality() {
    let view = View::resolve("mine", 1, Interval::M1, &["rsi_14@talib", "sma_10@talib", SIZE_5M]).expect("features");
    let mut ledger = FeatureLedger::new(&FeaturesConfig { views: vec![view], is_saved: false, min_quality: None });
    let mut rows = Vec::new();
    for minute in 0..90 {
        let mut versions = vec![version(&format!("1m@{minute}={}", 100 + minute % 7))];
        // The five minutes from 30 on are missing.
        if minute % 5 == 4 && !(30..40).contains(&minute) {
            versions.push(version(&format!("5m@{}=1", minute - 4)));
        }
        rows.extend(ledger.apply_bars(&header(minute as usize, 0), &versions));
    }
    let quality = |minute: usize| {
        let row = &rows[minute];
        let shares = [row.null_share, row.warm_share].map(|share| (share * 3.0).round() as i64);
        (shares, row.is_ready, row.staleness_ns / MINUTE_NS)
    };
    assert_eq!(quality(0), ([3, 0], false, 0));
    assert_eq!(quality(4), ([2, 1], false, 0));
    assert_eq!(quality(9), ([1, 2], false, 0));
    assert_eq!(quality(13), ([1, 2], false, 0));
    assert_eq!(quality(14), ([0, 2], true, 0));
    assert_eq!(quality(33), ([0, 2], true, 0));
    assert_eq!(quality(34), ([0, 2], true, 5));
    assert_eq!(quality(43), ([0, 2], true, 10));
    assert_eq!(quality(44), ([0, 2], true, 0));
    assert_eq!(quality(76), ([0, 2], true, 0));
    assert_eq!(quality(77), ([0, 3], true, 0));
    assert!(rows.iter().all(|row| row.anchor_time_ns == 0 && row.close_time_ns == row.open_time_ns + MINUTE_NS));
}
