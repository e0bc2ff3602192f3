//! Trades, amendments, late records and rejects: what is kept of them, and in which order.

use super::*;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::sync::Arc;
use tidewheel_schemas::{
    AcceptedRows, AggressorSide, Amendment, Change, Correction, LateRecord, Reject, RejectReason, Trade, TradeColumns,
    TradeKind,
};

pub(super) fn reject(position: u64) -> Reject {
    Reject {
        partition: 1,
        position,
        reason: RejectReason::Number,
        records: 1,
        detail: "price: more than 8 decimal places".into(),
        raw: Arc::from(&b"{\"p\":\"\xff\"}"[..]),
        receive_time_ns: (position == 2).then_some(5),
    }
}

fn trade(event_time_ns: i64, id: u64, price_e8: i64) -> Trade {
    Trade {
        event_time_ns,
        id: TradeId::number(id),
        price_e8,
        quantity_e8: 150_000_000,
        count: 2,
        side: AggressorSide::Sell,
        kind: TradeKind::Market,
    }
}

fn amendment(position: u64, change: Change) -> Amendment {
    Amendment {
        instrument: instrument("BTC"),
        id: TradeId::number(7),
        change,
        original_time_ns: Some(START_NS),
        sequence: 3,
        partition: 0,
        position,
        receive_time_ns: None,
        raw: Arc::from(&b"{}"[..]),
    }
}

/// One chunk that two workers took their rows from, an amendment between, and a second source.
pub(super) fn output() -> TickOutput {
    let mut chunk =
        TradeColumns { partition: 0, instruments: vec![instrument("BTC"), instrument("ETH")], ..Default::default() };
    for row in 0..4i64 {
        chunk.push(row as u32 % 2, &trade(START_NS + row, row as u64, 100_000_000 + row), 10 + row as u64 / 2);
    }
    let chunk = Arc::new(chunk);
    let mut other = TradeColumns { partition: 1, instruments: vec![instrument("BTC")], ..Default::default() };
    other.push(0, &trade(START_NS + 999, 50, 1), 1);
    other.receive_time_ns = vec![77];
    let correction = Correction { price_e8: Some(5), side: Some(AggressorSide::Unknown), ..Correction::default() };
    TickOutput {
        tick: 1_700_000_000_000,
        watermark_ns: START_NS,
        accepted: vec![
            AcceptedRows { columns: Arc::new(other), rows: vec![0] },
            AcceptedRows { columns: chunk.clone(), rows: vec![1, 3] },
            AcceptedRows { columns: chunk, rows: vec![0, 2] },
        ],
        amendments: vec![amendment(10, Change::Cancel), amendment(12, Change::Correct(correction))],
        late: vec![
            LateRecord::Trade {
                instrument: instrument("ADA"),
                trade: trade(5, 1, 2),
                partition: 7,
                position: 3,
                receive_time_ns: None,
            },
            LateRecord::Amendment(amendment(4, Change::Cancel)),
        ],
        rejects: vec![reject(1), reject(2)],
        market: market::records(0),
        account: account::records(0),
        rows: rows::rows(0),
        ..TickOutput::default()
    }
}

/// The named columns of a table, a row a line; absent values leave no trace.
pub(super) fn table_text(lake: &Path, table: Table, columns: &[&str]) -> String {
    let mut text = String::new();
    let layout = layout::Layout { root: lake.to_owned() };
    for file in read::manifest(lake).expect("the state can be read").of(table) {
        bars_read::for_each_batch(&layout, file, None, |batch| {
            let options = FormatOptions::new();
            let formatter =
                |column| ArrayFormatter::try_new(bars_read::column(batch, column).expect("a column"), &options);
            let formatters: Vec<_> =
                columns.iter().map(|column| formatter(column).expect("a printable column")).collect();
            for row in 0..batch.num_rows() {
                let cells = formatters.iter().map(|formatter| formatter.value(row).to_string());
                text += &cells.filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(" ");
                text.push('\n');
            }
            Ok(())
        })
        .expect("a file can be read");
    }
    text
}

fn committed(folder: &TempDir) -> PathBuf {
    let sources = vec!["trades[0]".to_owned(), "trades[1]".to_owned()];
    let mut lake = Lake::open(LakeConfig { sources, ..config(folder) }).expect("a new lake");
    lake.append(output());
    // Two rows of each of the tables beside the bars.
    let beside = market::records(0).len() + account::records(0).len();
    assert_eq!(lake.buffered_rows(), 5 + 2 + 2 + 2 + beside + rows::tables().len() * 2);
    lake.commit(&progress(2_000_000_000_000)).expect("a commit");
    check_consistent(&config(folder).root);
    config(folder).root
}

#[test]
fn trades_are_kept_in_the_order_of_arrival() {
    let folder = TempDir::new().expect("a temporary folder");
    let lake = committed(&folder);
    let columns =
        ["symbol", "op", "trade_id", "price", "quantity", "aggressor_side", "trade_count", "source", "position"];
    let expected = "\
        BTC insert 0 1.00000000 1.50000000 sell 2 trades[0] 10\n\
        ETH insert 1 1.00000001 1.50000000 sell 2 trades[0] 10\n\
        BTC cancel 7 trades[0] 10\n\
        BTC insert 2 1.00000002 1.50000000 sell 2 trades[0] 11\n\
        ETH insert 3 1.00000003 1.50000000 sell 2 trades[0] 11\n\
        BTC correct 7 0.00000005 unknown trades[0] 12\n\
        BTC insert 50 0.00000001 1.50000000 sell 2 trades[1] 1\n";
    assert_eq!(table_text(&lake, Table::Trades, &columns), expected);
    let columns = ["event_time_ns", "sequence", "original_event_time_ns", "tick", "receive_time_ns"];
    let text = table_text(&lake, Table::Trades, &columns);
    assert_eq!(text.lines().nth(2), Some("3 1699999200000000000 1700000000000"));
    assert_eq!(text.lines().last(), Some("1699999200000000999 1700000000000 77"));
}

#[test]
fn late_records_say_what_the_watermark_was() {
    let folder = TempDir::new().expect("a temporary folder");
    let lake = committed(&folder);
    let columns = ["symbol", "op", "event_time_ns", "tick", "source", "position", "watermark_ns"];
    let expected = "\
        ADA insert 5 1700000000000 partition 7 3 1699999200000000000\n\
        BTC cancel 1700000000000 trades[0] 4 1699999200000000000\n";
    assert_eq!(table_text(&lake, Table::Late, &columns), expected);
    let files: Vec<LakeFile> = read::manifest(&lake).expect("the state can be read").of(Table::Late).cloned().collect();
    assert!(files[0].path.starts_with("late/date=2023-11-14/"), "{}", files[0].path);
}

#[test]
fn rejects_read_back_with_their_raw_bytes() {
    let folder = TempDir::new().expect("a temporary folder");
    let lake = committed(&folder);
    let read: Vec<StoredReject> =
        read::rejects(&lake).expect("the state can be read").collect::<Result<_, _>>().expect("the files can be read");
    let expected = [reject(1), reject(2)].map(|reject| StoredReject {
        tick: 1_700_000_000_000,
        source: "trades[1]".into(),
        position: reject.position,
        reason: reject.reason,
        detail: reject.detail,
        raw: reject.raw,
        receive_time_ns: reject.receive_time_ns,
        records: reject.records,
    });
    assert_eq!(read, expected);
}

#[test]
fn without_the_archive_trades_are_not_even_buffered() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut lake = Lake::open(LakeConfig { archive: false, ..config(&folder) }).expect("a new lake");
    lake.append(output());
    assert_eq!(lake.buffered_rows(), 4 + rows::tables().len() * 2);
    lake.commit(&progress(2_000_000_000_000)).expect("a commit");
    assert_eq!(lake.state().of(Table::Trades).count(), 0);
}
