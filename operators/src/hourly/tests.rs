//! Hours by hand, and on random days against sums from scratch, with restarts.

use super::{HourRow, HourlyLedger, SavedHours};
use crate::TickHeader;
use crate::saved::{RestoredState, Saving};
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use tidewheel_schemas::{Bar, BarVersion, Instrument, Interval, SECOND_NS, TradeId, TradeKey};

const HOUR_NS: i64 = 3_600 * SECOND_NS;

fn header(tick: u64, frozen_hour: i64) -> TickHeader {
    TickHeader {
        tick,
        frozen_ns: frozen_hour * HOUR_NS,
        watermark_ns: i64::MAX,
        publish_provisional: false,
        is_last: false,
        save: None,
        is_restore: false,
    }
}

fn version(symbol: &str, hour: i64, volume: Option<i64>) -> BarVersion {
    let key = TradeKey { event_time_ns: hour * HOUR_NS, id: TradeId::number(1) };
    let bar = volume.map(|volume| Bar {
        volume_e8: i128::from(volume) * 100_000_000,
        quote_volume_e16: i128::from(volume) * 30_000_000_000_000_000,
        taker_buy_volume_e8: i128::from(volume) * 25_000_000,
        taker_buy_quote_volume_e16: i128::from(volume) * 7_500_000_000_000_000,
        first: key,
        last: key,
        open_e8: 300_000_000,
        high_e8: 300_000_000,
        low_e8: 300_000_000,
        close_e8: 300_000_000,
        trade_count: 7,
    });
    BarVersion {
        instrument: Instrument::new("binance", symbol).expect("a name"),
        interval: Interval::H1,
        open_time_ns: hour * HOUR_NS,
        tick: 0,
        revision: 0,
        is_final: true,
        bar,
    }
}

/// `3:5/8#1`: hour 3 has a volume of 5, its day 8 by then, revision 1.
fn text(rows: &[HourRow]) -> String {
    let row = |row: &HourRow| {
        let hour = row.open_time_ns / HOUR_NS;
        let values = row.values.map_or_else(
            || "gone".to_owned(),
            |values| format!("{}/{}", values.volume_e8 / 100_000_000, values.day_volume_e8 / 100_000_000),
        );
        format!("{hour}:{values}#{}", row.revision)
    };
    rows.iter().map(row).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_change_revises_its_hour_and_the_later_ones_of_its_day() {
    let mut ledger = HourlyLedger::new(false);
    let mut step = |tick, frozen, hours: &[(i64, Option<i64>)]| {
        let versions: Vec<BarVersion> = hours.iter().map(|(hour, volume)| version("BTCUSDT", *hour, *volume)).collect();
        text(&ledger.apply(&header(tick, frozen), &versions))
    };
    assert_eq!(step(1, 0, &[(0, Some(3)), (2, Some(5))]), "0:3/3#0 2:5/8#0");
    assert_eq!(step(2, 0, &[(1, Some(1))]), "1:1/4#0 2:5/9#1");
    assert_eq!(step(3, 0, &[(1, Some(1))]), "");
    assert_eq!(step(4, 0, &[(0, None)]), "0:gone#1 1:1/1#1 2:5/6#2");
    // Another day begins anew; of the first the hours that are frozen count still.
    assert_eq!(step(5, 2, &[(24, Some(4)), (23, Some(2))]), "23:2/8#0 24:4/4#0");
    assert_eq!(step(6, 24, &[(24, Some(5))]), "24:5/5#1");
    assert_eq!(step(7, 24, &[(0, None)]), "");
}

#[test]
fn rows_are_sums_from_scratch_and_survive_restarts() {
    let (mut compared, mut restarts) = (0, 0);
    for seed in 0..8 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut ledger = HourlyLedger::new(true);
        let mut bars: BTreeMap<(Instrument, i64), Option<i64>> = BTreeMap::new();
        let mut latest: BTreeMap<(Instrument, i64), HourRow> = BTreeMap::new();
        let mut parts: Vec<SavedHours> = Vec::new();
        for step in 0..200i64 {
            let frozen = (step - 9).max(0);
            let mut versions = Vec::new();
            for symbol in ["BTCUSDT", "ETHUSDT", "XRPUSDT"] {
                for hour in [step, rng.random_range(frozen..=step)] {
                    if rng.random_bool(0.6) {
                        let volume = rng.random_bool(0.9).then(|| rng.random_range(1..100));
                        let version = version(symbol, hour, volume);
                        bars.insert((version.instrument.clone(), hour), volume);
                        versions.retain(|other: &BarVersion| {
                            (&other.instrument, other.open_time_ns) != (&version.instrument, version.open_time_ns)
                        });
                        versions.push(version);
                    }
                }
            }
            versions.shuffle(&mut rng);
            for row in ledger.apply(&header(step as u64, frozen), &versions) {
                let key = (row.instrument.clone(), row.open_time_ns / HOUR_NS);
                let before = latest.insert(key, row.clone());
                assert_eq!(row.revision, before.as_ref().map_or(0, |before| before.revision + 1), "seed {seed}");
                assert!(before.is_none_or(|before| before.values != row.values), "seed {seed}: nothing new");
            }
            if rng.random_bool(0.2) {
                let bytes = postcard::to_allocvec(&ledger.save(Saving { every: 4, turn: step as u32 % 4 }));
                let saved: Vec<SavedHours> =
                    postcard::from_bytes(&bytes.expect("it can be written")).expect("it reads");
                parts.extend(saved);
                let state = RestoredState { frozen_ns: frozen * HOUR_NS, hours: parts.clone(), ..Default::default() };
                ledger = HourlyLedger::restore(true, &mut { state });
                restarts += 1;
            }
            assert!(ledger.len() <= 3 * 48, "seed {seed}: {} hours", ledger.len());
        }
        for ((instrument, hour), volume) in &bars {
            let day = hour / 24 * 24;
            let of_day = bars.range((instrument.clone(), day)..=(instrument.clone(), *hour));
            let expected = volume.map(|volume| (volume, of_day.filter_map(|(_, volume)| *volume).sum::<i64>()));
            let found = latest.get(&(instrument.clone(), *hour)).and_then(|row| row.values);
            let e8 = |number: i64| i128::from(number) * 100_000_000;
            assert_eq!(
                found.map(|found| (found.volume_e8, found.day_volume_e8)),
                expected.map(|(volume, of_day)| (e8(volume), e8(of_day))),
                "seed {seed}, {instrument:?} hour {hour}"
            );
            compared += 1;
        }
    }
    println!("{compared} hours compared, {restarts} restarts");
    assert!(compared > 3_000 && restarts > 100);
}
