//! Trades of one venue against its own candles.

use super::{e8, e16, recording, text_of_file};
use crate::harness::program::{bars, bars_of_one, replay, text_of};
use serde_json::Value;
use std::collections::BTreeMap;
use tidewheel_schemas::{Bar, Interval, SECOND_NS};

/// The two candles that the spot capture holds whole.
const WHOLE_KLINES_MS: [i64; 2] = [1_723_161_300_000, 1_723_161_600_000];

#[test]
fn binance_spot_bars_are_the_exchanges_klines_in_all_nine_columns() {
    let Some(folder) = recording("binance_wire") else { return };
    let lake = tempfile::tempdir().expect("a temporary folder");
    let captures = folder.join("spot_btcusdt_*.gz");
    let counters = replay(lake.path(), &["--input", text_of(&captures), "--intervals", "5m", "--trades-only"]);
    assert_eq!((counters.read, counters.accepted), (19_904, 19_904));

    let klines = text_of_file(&folder.join("BTCUSDT-spot-klines-5m-2024-08-08_09.csv"));
    let mut lines = klines.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let bars = bars_of_one(lake.path(), Interval::M5);
    let mut compared = 0;
    for line in lines {
        let row: BTreeMap<&str, &str> = header.iter().copied().zip(line.split(',')).collect();
        let open_time_ms: i64 = row["open_time"].parse().expect("milliseconds");
        if !WHOLE_KLINES_MS.contains(&open_time_ms) {
            continue;
        }
        let bar = bars[&(open_time_ms * 1_000_000)];
        assert_eq!([bar.open_e8, bar.high_e8], [e8(row["open"]), e8(row["high"])], "{line}");
        assert_eq!([bar.low_e8, bar.close_e8], [e8(row["low"]), e8(row["close"])], "{line}");
        assert_eq!(bar.volume_e8, e8(row["volume"]).into(), "{line}");
        assert_eq!(bar.quote_volume_e16, e16(row["quote_volume"]), "{line}");
        assert_eq!(bar.trade_count.to_string(), row["trade_count"], "{line}");
        assert_eq!(bar.taker_buy_volume_e8, e8(row["taker_buy_volume"]).into(), "{line}");
        assert_eq!(bar.taker_buy_quote_volume_e16, e16(row["taker_buy_quote_volume"]), "{line}");
        compared += 1;
    }
    assert_eq!(compared, WHOLE_KLINES_MS.len());
}

/// A market without trade ids, told apart by position alone, whose sizes are signed.
#[test]
fn bitmex_days_are_the_exchanges_daily_bins() {
    let Some(folder) = recording("bitmex") else { return };
    let lake = tempfile::tempdir().expect("a temporary folder");
    let trades = folder.join("XBTUSD-trades-2018-01-01_02.csv.gz");
    let map = "time=timestamp,quantity=size,signed=true";
    let format = ["--format", "csv", "--csv", map, "--venue", "bitmex", "--symbol", "XBTUSD"];
    let cut = ["--intervals", "1d", "--tick", "10m"];
    let counters = replay(lake.path(), &[&["--input", text_of(&trades)][..], &format, &cut].concat());
    assert_eq!((counters.read, counters.accepted), (501_825, 501_825));

    let bins = text_of_file(&folder.join("XBTUSD-daily-bins-2018-01-01_02.csv"));
    let mut lines = bins.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let bars: Vec<(i64, Bar)> = bars_of_one(lake.path(), Interval::D1).into_iter().collect();
    let rows: Vec<BTreeMap<&str, &str>> =
        lines.map(|line| header.iter().copied().zip(line.split(',')).collect()).collect();
    assert_eq!((bars.len(), rows.len()), (2, 2));
    for ((open_time_ns, bar), row) in bars.iter().zip(&rows) {
        // Bins are stamped at their end.
        let end: jiff::Timestamp = row["Date"].replace(' ', "T").parse().expect("a time");
        assert_eq!(i128::from(open_time_ns + Interval::D1.duration_ns()), end.as_nanosecond());
        let prices = [bar.high_e8, bar.low_e8, bar.close_e8];
        assert_eq!(prices, [e8(row["high"]), e8(row["low"]), e8(row["close"])], "{row:?}");
        // Volume is in contracts.
        assert_eq!(bar.volume_e8, e8(row["volume"]).into(), "{row:?}");
        assert_eq!(bar.trade_count.to_string(), row["trades"], "{row:?}");
    }
    // The open of a bin is the close of the one before.
    assert_eq!(e8(rows[1]["open"]), bars[0].1.close_e8);
}

/// One REST answer, a single JSON document, holds hours of sparse trades.
#[test]
fn every_whole_kraken_minute_is_the_exchanges_candle() {
    let Some(folder) = recording("kraken") else { return };
    let lake = tempfile::tempdir().expect("a temporary folder");
    let trades = folder.join("trades.json");
    let counters = replay(lake.path(), &["--input", text_of(&trades), "--format", "kraken", "--intervals", "1m"]);
    assert_eq!((counters.read, counters.accepted), (488, 488));

    let bars = bars_of_one(lake.path(), Interval::M1);
    let (first, last) = (*bars.keys().next().expect("bars"), *bars.keys().last().expect("bars"));
    let text = text_of_file(&folder.join("ohlc_1m.json"));
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let candles = answer["result"]["XBTUSDT"].as_array().expect("candles");
    let (mut compared, mut empty) = (0, 0);
    for candle in candles {
        let open_time_ns = candle[0].as_i64().expect("seconds") * SECOND_NS;
        // The recording begins and ends inside a minute.
        if open_time_ns <= first || open_time_ns >= last {
            continue;
        }
        let number = |column: usize| e8(candle[column].as_str().expect("decimal text"));
        let count = candle[7].as_u64().expect("a count");
        let Some(bar) = bars.get(&open_time_ns) else {
            // Kraken fills minutes without trades forward; we have no bar for them.
            assert_eq!(count, 0, "{candle}");
            empty += 1;
            continue;
        };
        let prices = [bar.open_e8, bar.high_e8, bar.low_e8, bar.close_e8];
        assert_eq!(prices, [1, 2, 3, 4].map(number), "{candle}");
        assert_eq!(bar.volume_e8, number(6).into(), "{candle}");
        assert_eq!(bar.trade_count, count, "{candle}");
        compared += 1;
    }
    assert_eq!((compared, compared + 2), (bars.len() - 2, bars.len()));
    println!("{compared} Kraken minutes exact, {empty} without trades");
}

#[test]
fn aggregated_trades_count_their_fills() {
    let Some(path) = recording("agg_trades/XRPETH-aggTrades-2019-10-11_13.json.gz") else { return };
    let lake = tempfile::tempdir().expect("a temporary folder");
    let counters = replay(lake.path(), &["--input", text_of(&path), "--intervals", "1d,1h", "--tick", "10m"]);
    assert_eq!((counters.read, counters.accepted), (12_477, 12_477));

    let records: Value = serde_json::from_str(&text_of_file(&path)).expect("JSON");
    let records = records.as_array().expect("records");
    let fills =
        |record: &Value| record["info"]["l"].as_u64().zip(record["info"]["f"].as_u64()).map_or(0, |(l, f)| l - f + 1);
    assert_eq!(records.iter().map(fills).sum::<u64>(), 14_672);
    let bars = bars(lake.path());
    for interval in [Interval::H1, Interval::D1] {
        let of_interval = || bars.iter().filter(|(key, _)| key.0 == interval).map(|(_, bar)| bar);
        assert_eq!(of_interval().map(|bar| bar.trade_count).sum::<u64>(), 14_672);
        let quantity = |record: &Value| i128::from(e8(record["info"]["q"].as_str().expect("decimal text")));
        assert_eq!(of_interval().map(|bar| bar.volume_e8).sum::<i128>(), records.iter().map(quantity).sum());
    }
}
