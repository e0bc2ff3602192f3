//! What accounts do: what is kept of it, in which order, and that it comes back as it was.

use super::*;
use crate::file::{FileOptions, open_inputs};
use crate::source::Work;
use tidewheel_schemas::{
    AccountContent, AccountRecord, CashMovement, ContractKind, Fill, FillAmendment, FillChange, Holder,
    InstrumentReference, OrderEnd, OrderIntent, PRICE_LIMIT_E8, RejectReason, Side,
};

/// Days of [`records`], over all tables.
pub(super) const DAYS: u64 = 10;

fn fill(number: u64, event_time_ns: i64) -> Fill {
    Fill {
        holder: Holder { account: "main".into(), strategy: "trend".into() },
        instrument: instrument("BTC"),
        fill_id: format!("f-{number}").into(),
        intent_id: Some("i:1".into()),
        side: Side::Buy,
        quantity_e8: i64::MAX,
        price_e8: 1,
        fee_e8: 1 - PRICE_LIMIT_E8,
        fee_currency: "BNB".into(),
        event_time_ns,
    }
}

/// Records of every kind with their extremes, of two sources and two days, in the order of their source.
pub(super) fn records(number: u64) -> Vec<AccountRecord> {
    let at = |hours: i64| START_NS + hours * 3_600_000_000_000 + 1;
    let amendment = |change, original_time_ns| {
        let (account, instrument, fill_id) = ("main".into(), instrument("BTC"), format!("f-{number}").into());
        AccountContent::FillAmendment(FillAmendment { account, instrument, fill_id, change, original_time_ns })
    };
    let corrected = FillChange::Correct { fill: Box::new(fill(number, at(-7))), sequence: i64::MIN };
    let cash = |id: &str, amount_e8, event_time_ns| {
        let (account, id, currency) = ("main".into(), id.into(), "USDT".into());
        AccountContent::Cash(CashMovement { account, id, currency, amount_e8, event_time_ns })
    };
    let bare = OrderIntent {
        holder: Holder { account: "other".into(), strategy: "~".into() },
        instrument: instrument("ETH"),
        intent_id: "x".repeat(64).into(),
        side: Side::Sell,
        quantity_e8: 1,
        limit_price_e8: None,
        stop_price_e8: None,
        is_reduce_only: true,
        expires_ns: None,
        event_time_ns: at(5),
    };
    let whole = OrderIntent {
        limit_price_e8: Some(PRICE_LIMIT_E8 - 1),
        stop_price_e8: Some(1),
        is_reduce_only: false,
        expires_ns: Some(at(6)),
        event_time_ns: at(30),
        ..bare.clone()
    };
    let reference = InstrumentReference {
        instrument: instrument("ETH"),
        asset_class: "crypto".into(),
        sector: "layer1".into(),
        base_currency: "ETH".into(),
        quote_currency: "USD".into(),
        kind: ContractKind::Inverse,
        multiplier_e8: i64::MAX,
    };
    let linear = InstrumentReference { kind: ContractKind::Linear, multiplier_e8: 1, ..reference.clone() };
    let other = Fill {
        intent_id: None,
        side: Side::Sell,
        price_e8: PRICE_LIMIT_E8 - 1,
        quantity_e8: 1,
        fee_e8: 0,
        ..fill(number + 1, at(30))
    };
    let contents = [
        (at(0), AccountContent::Fill(fill(number, at(0)))),
        (at(30), AccountContent::Fill(other)),
        (at(1), amendment(FillChange::Cancel, None)),
        (at(30), amendment(corrected, Some(at(-8)))),
        (at(2), cash("d-1", PRICE_LIMIT_E8 - 1, at(2))),
        (at(3), cash("w-1", -1, at(3))),
        (at(5), AccountContent::Intent(bare)),
        (at(30), AccountContent::Intent(whole)),
        (at(6), AccountContent::OrderEnd(OrderEnd { account: "main".into(), intent_id: "i:1".into() })),
        (1_230_768_000_000_000_000, AccountContent::Reference(reference)),
        (at(7), AccountContent::Reference(linear)),
    ];
    let of_source = |partition: u32| {
        contents.iter().enumerate().map(move |(at, (event_time_ns, content))| AccountRecord {
            event_time_ns: *event_time_ns,
            partition,
            position: number * 10 + at as u64 / 2,
            index: (at % 2) as u16,
            receive_time_ns: (at % 3 == 0).then_some(START_NS + at as i64),
            content: content.clone(),
        })
    };
    (0..2).flat_map(of_source).collect()
}

/// All rows of the six tables, a row a line.
pub(super) fn text(root: &Path) -> String {
    let own: [&[&str]; 6] = [
        &[
            "account",
            "strategy",
            "venue",
            "symbol",
            "fill_id",
            "intent_id",
            "side",
            "quantity",
            "price",
            "fee",
            "fee_currency",
        ],
        &[
            "op",
            "account",
            "venue",
            "symbol",
            "fill_id",
            "original_event_time_ns",
            "sequence",
            "strategy",
            "intent_id",
            "side",
            "quantity",
            "price",
            "fee",
            "fee_currency",
            "fill_time_ns",
        ],
        &["account", "cash_id", "currency", "amount"],
        &[
            "account",
            "strategy",
            "venue",
            "symbol",
            "intent_id",
            "side",
            "quantity",
            "limit_price",
            "stop_price",
            "is_reduce_only",
            "expires_ns",
        ],
        &["account", "intent_id"],
        &["venue", "symbol", "asset_class", "sector", "base_currency", "quote_currency", "contract", "multiplier"],
    ];
    let origin = ["tick", "source", "position", "position_index", "receive_time_ns"];
    let tables = Table::ACCOUNT.into_iter().zip(own);
    tables.map(|(table, own)| records::table_text(root, table, &[&["event_time_ns"], own, &origin].concat())).collect()
}

fn written(folder: &TempDir) -> PathBuf {
    let sources = vec!["a".to_owned(), "b".to_owned()];
    let mut lake = Lake::open(LakeConfig { sources, ..config(folder) }).expect("a new lake");
    lake.append(TickOutput { tick: 1_700_000_000_000, account: records(5), ..TickOutput::default() });
    assert_eq!(lake.buffered_rows(), 22);
    lake.commit(&progress(2_000_000_000_000)).expect("a commit");
    check_consistent(&config(folder).root);
    config(folder).root
}

#[test]
fn each_kind_is_a_table_with_the_columns_of_its_own() {
    let folder = TempDir::new().expect("a temporary folder");
    let root = written(&folder);
    let text = text(&root);
    let of_a: Vec<&str> = text.lines().filter(|line| line.contains(" a 5")).collect();
    let long = "x".repeat(64);
    let intents = [
        format!(
            "1700017200000000001 other ~ binance ETH {long} sell 0.00000001 true 1700000000000 a 53 0 1699999200000000006"
        ),
        format!(
            "1700107200000000001 other ~ binance ETH {long} sell 0.00000001 9999999999.99999999 0.00000001 false 1700020800000000001 1700000000000 a 53 1"
        ),
    ];
    assert_eq!(
        of_a,
        [
            "1699999200000000001 main trend binance BTC f-5 i:1 buy 92233720368.54775807 0.00000001 -9999999999.99999999 BNB 1700000000000 a 50 0 1699999200000000000",
            "1700107200000000001 main trend binance BTC f-6 sell 0.00000001 9999999999.99999999 0.00000000 BNB 1700000000000 a 50 1",
            "1700002800000000001 cancel main binance BTC f-5 1700000000000 a 51 0",
            "1700107200000000001 correct main binance BTC f-5 1699970400000000001 -9223372036854775808 trend i:1 buy 92233720368.54775807 0.00000001 -9999999999.99999999 BNB 1699974000000000001 1700000000000 a 51 1 1699999200000000003",
            "1700006400000000001 main d-1 USDT 9999999999.99999999 1700000000000 a 52 0",
            "1700010000000000001 main w-1 USDT -0.00000001 1700000000000 a 52 1",
            &intents[0],
            &intents[1],
            "1700020800000000001 main i:1 1700000000000 a 54 0",
            "1230768000000000000 binance ETH crypto layer1 ETH USD inverse 92233720368.54775807 1700000000000 a 54 1 1699999200000000009",
            "1700024400000000001 binance ETH crypto layer1 ETH USD linear 0.00000001 1700000000000 a 55 0",
        ]
    );
}

/// All that the files of these patterns hold, each file as a partition.
fn read_back(patterns: &[String]) -> (Vec<AccountRecord>, Vec<(RejectReason, String)>) {
    let (mut found, mut rejects) = (Vec::new(), Vec::new());
    let readers = open_inputs(patterns, &FileOptions::default()).expect("files of known tables");
    for (partition, mut reader) in (0..).zip(readers) {
        while let Some(work) = reader.read().expect("a sound file") {
            let Work::Rows(decode) = work else { panic!("Parquet comes as rows") };
            let chunk = decode();
            assert_eq!((chunk.market.len(), chunk.columns.len(), chunk.columns.partition), (0, 0, partition));
            assert_eq!(chunk.end_position, (chunk.account.len() + chunk.rejects.len()) as u64);
            rejects.extend(chunk.rejects.into_iter().map(|reject| (reject.reason, reject.detail)));
            found.extend(chunk.account);
        }
        assert_eq!(reader.progress().done, reader.progress().total);
    }
    (found, rejects)
}

#[test]
fn its_files_are_input_again() {
    let folder = TempDir::new().expect("a temporary folder");
    let root = written(&folder);
    let patterns = Table::ACCOUNT.map(|table| format!("{}/{}", root.display(), table.name()));
    let (found, rejects) = read_back(&patterns);
    assert_eq!(rejects, []);
    // Where they came from is new; the two sources had the same.
    let anonymous = |record: AccountRecord| AccountRecord { partition: 0, position: 0, index: 0, ..record };
    let mut found: Vec<String> = found.into_iter().map(|record| format!("{:?}", anonymous(record))).collect();
    let mut expected: Vec<String> = records(5).into_iter().map(|record| format!("{:?}", anonymous(record))).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// A table that somebody made is held to the same bounds as a message.
#[test]
fn rows_that_no_message_could_have_made_are_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut lake = Lake::open(config(&folder)).expect("a new lake");
    let start = fill(1, START_NS);
    let named = |account: &str| Holder { account: account.into(), ..start.holder.clone() };
    let fills = [
        Fill { holder: named(""), ..start.clone() },
        Fill { holder: named("a b"), ..start.clone() },
        Fill { quantity_e8: -1, ..start.clone() },
        Fill { price_e8: 0, ..start.clone() },
        Fill { price_e8: 100_000_000_000, ..start.clone() },
        Fill { fee_e8: i64::MAX, ..start.clone() },
        Fill { event_time_ns: 5, ..start.clone() },
        start,
    ];
    let record = |(position, fill): (u64, Fill)| AccountRecord {
        event_time_ns: fill.event_time_ns,
        partition: 0,
        position,
        index: 0,
        receive_time_ns: None,
        content: AccountContent::Fill(fill),
    };
    let account = (0..).zip(fills).map(record).collect();
    lake.append(TickOutput { tick: 1_700_000_000_000, account, ..TickOutput::default() });
    lake.commit(&progress(2_000_000_000_000)).expect("a commit");
    let (found, mut rejects) = read_back(&[format!("{}/fills", config(&folder).root.display())]);
    assert_eq!(found.len(), 1);
    rejects.sort();
    let told: Vec<String> = rejects.into_iter().map(|(reason, detail)| format!("{reason} {detail}")).collect();
    assert_eq!(
        told,
        [
            "field row of fills: account: holds a character other than visible ASCII without quotes, backslashes and |",
            "field row of fills: account: is empty",
            "number row of fills: fee: out of range",
            "number row of fills: price times quantity: out of range",
            "number row of fills: price: not positive",
            "number row of fills: quantity: not positive",
            "time row of fills: event_time: before 2009 or after 2200",
        ]
    );
}
