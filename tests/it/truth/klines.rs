//! Binance's candles of each interval from its own finer ones: what merging bars must give.

use super::{e8, recording};
use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, TimestampNanosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use tidewheel_schemas::{Bar, Interval, TradeId, TradeKey};

#[test]
fn spot_klines_merge_into_the_exchanges_coarser_ones() {
    use Interval::*;
    let Some(folder) = recording("klines_spot") else { return };
    let chain = [M5, M15, H1, H4, D1];
    let compared = compare_chains(&folder, &["BTCUSDT", "DOGEUSDT", "ETHUSDT", "TRXUSDT", "XRPUSDT"], &chain);
    // All series were cut to whole candles, so none of the 206,935 pairs is partial.
    assert_eq!((compared.whole, compared.partial), (206_935, 0));
}

#[test]
fn futures_klines_merge_into_the_exchanges_coarser_ones() {
    use Interval::*;
    let Some(folder) = recording("klines_futures") else { return };
    // The minutes are of other months than the rest: there is nothing to compare them with.
    let compared = compare_chains(&folder, &["ADAUSDT", "BNBUSDT", "BTCUSDT", "ETHUSDT", "LTCUSDT"], &[M5, H1, D1]);
    // ADA has no days; the days of the others reach beyond their minutes and hours at both ends.
    assert_eq!((compared.whole, compared.partial), (5 * 719 + 4 * (27 + 19), 4 * (2 + 10)));
}

#[derive(Debug, Default)]
struct Compared {
    /// Candles equal to the merge of all the finer ones.
    whole: usize,
    /// Candles at the edge of the finer series, which lack some of these.
    partial: usize,
}

/// Compares each interval with the merge of every finer one.
fn compare_chains(folder: &Path, symbols: &[&str], chain: &[Interval]) -> Compared {
    let mut compared = Compared::default();
    for symbol in symbols {
        let series: Vec<(Interval, BTreeMap<i64, Bar>)> = chain
            .iter()
            .map(|&interval| (interval, folder.join(format!("{symbol}-{interval}.parquet"))))
            .filter(|(_, path)| path.exists())
            .map(|(interval, path)| (interval, klines(&path)))
            .collect();
        for (at, finer) in series.iter().enumerate() {
            for coarser in &series[at + 1..] {
                compare(symbol, finer, coarser, &mut compared);
            }
        }
    }
    compared
}

fn compare(
    symbol: &str,
    finer: &(Interval, BTreeMap<i64, Bar>),
    coarser: &(Interval, BTreeMap<i64, Bar>),
    compared: &mut Compared,
) {
    let step_ns = coarser.0.duration_ns();
    let children = usize::try_from(step_ns / finer.0.duration_ns()).expect("a coarser interval");
    let (first, last) = (finer.1.keys().next(), finer.1.keys().next_back());
    for (&open_time_ns, kline) in &coarser.1 {
        let parts: Vec<&Bar> = finer.1.range(open_time_ns..open_time_ns + step_ns).map(|(_, bar)| bar).collect();
        if parts.len() < children {
            // Only where the finer series begins or ends: inside, a missing candle would be a hole in the data.
            let is_inside =
                |edge: Option<&i64>| edge.is_some_and(|edge| (open_time_ns..open_time_ns + step_ns).contains(edge));
            let is_outside = parts.is_empty();
            assert!(is_outside || is_inside(first) || is_inside(last), "{symbol} {} at {open_time_ns}", coarser.0);
            compared.partial += 1;
            continue;
        }
        let merged = Bar::merge_all(parts.into_iter().rev()).expect("some parts");
        assert_eq!(values(&merged), values(kline), "{symbol} {} from {} at {open_time_ns}", coarser.0, finer.0);
        compared.whole += 1;
    }
}

/// What a candle in these files says.
fn values(bar: &Bar) -> ([i64; 4], i128) {
    ([bar.open_e8, bar.high_e8, bar.low_e8, bar.close_e8], bar.volume_e8)
}

/// The candles of a file, by open time in nanoseconds.
pub fn klines(path: &Path) -> BTreeMap<i64, Bar> {
    let file = File::open(path).expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("a reader");
    let mut klines = BTreeMap::new();
    for batch in reader {
        let batch = batch.expect("a batch");
        let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("column {name}"));
        let times = column("date").as_primitive::<TimestampNanosecondType>();
        let numbers = ["open", "high", "low", "close", "volume"].map(|name| column(name).as_primitive::<Float64Type>());
        for row in 0..batch.num_rows() {
            // The files hold doubles; the shortest decimal that reads as one is what the exchange wrote.
            let [open, high, low, close, volume] = numbers.map(|numbers| e8(&numbers.value(row).to_string()));
            let kline = kline(times.value(row), [open, high, low, close], volume);
            assert!(klines.insert(times.value(row), kline).is_none(), "{} row {row}", path.display());
        }
    }
    klines
}

fn kline(open_time_ns: i64, [open_e8, high_e8, low_e8, close_e8]: [i64; 4], volume_e8: i64) -> Bar {
    let key = TradeKey { event_time_ns: open_time_ns, id: TradeId::number(0) };
    Bar {
        volume_e8: volume_e8.into(),
        quote_volume_e16: 0,
        taker_buy_volume_e8: 0,
        taker_buy_quote_volume_e16: 0,
        first: key,
        last: key,
        open_e8,
        high_e8,
        low_e8,
        close_e8,
        trade_count: 0,
    }
}
