//! What becomes rows: nothing that was decided or is no more goes without one.

use super::*;
use tidewheel_operators::TickHeader;
use tidewheel_operators::risk::{MarketChange, RiskConfig, RiskLedger, RiskRecords};
use tidewheel_risk::book::BookConfig;
use tidewheel_risk::breakers::Rule;
use tidewheel_risk::levels::Level;
use tidewheel_risk::policy::{Policy, Ratio};
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{
    AccountContent, AccountRecord, ContractKind, Fill, Holder, InstrumentReference, Interval, Side,
};

const UNIT: i64 = 100_000_000;
const MINUTE_NS: i64 = 60_000_000_000;

fn bitcoin() -> Instrument {
    Instrument::new("venue", "BTCUSDT").expect("a name")
}

fn decision(number: u64) -> Decision {
    let intent = OrderIntent {
        holder: Holder { account: "main".into(), strategy: "s".into() },
        instrument: bitcoin(),
        intent_id: "i".into(),
        side: Side::Buy,
        quantity_e8: UNIT,
        limit_price_e8: None,
        stop_price_e8: None,
        is_reduce_only: false,
        expires_ns: None,
        event_time_ns: number as i64,
    };
    Decision {
        intent,
        ruling: if number == 1 { Ruling::Rejected } else { Ruling::Approved },
        quantity_e8: if number == 1 { 0 } else { UNIT },
        price_e8: Some(UNIT),
        reasons: Vec::new(),
        risk_score: Ratio::ONE,
        level: Level::Green,
        policy_version: 1,
        state_version: 1,
        number,
        tick: 1,
        time_ns: 1,
        expires_ns: None,
    }
}

#[test]
fn each_decision_has_a_row_even_if_two_are_of_one_name() {
    let answers = vec![
        Answer::Decided(decision(1)),
        Answer::Decided(decision(2)),
        Answer::Repeated(decision(2)),
        Answer::NameReused { intent: decision(3).intent, number: 2 },
    ];
    let outcome = RiskOutcome { answers, ..RiskOutcome::default() };
    let rows = RiskTables::new(0, true).rows(1, &outcome, &[]);
    let column = |row: &Row, name: &str| {
        let at = DECISION.iter().position(|(column, _)| *column == name).expect("a column");
        row.values.as_ref().expect("a fact")[at].clone()
    };
    let told: Vec<_> =
        rows.iter().map(|row| (row.qualifier.to_string(), column(row, "ruling"), column(row, "times_asked"))).collect();
    let row = |key: &str, ruling: &str, times| (key.to_owned(), Value::text(ruling), Value::Integer(times));
    let expected =
        [row("main|i", "rejected", 1), row("main|i|decision|2", "approved", 2), row("main|i|other|1", "rejected", 1)];
    assert_eq!(told, expected);
}

fn record(position: u64, content: AccountContent) -> AccountRecord {
    AccountRecord { event_time_ns: 10 * MINUTE_NS, partition: 0, position, index: 0, receive_time_ns: None, content }
}

fn fill(id: &str, side: Side) -> AccountContent {
    AccountContent::Fill(Fill {
        holder: Holder { account: "main".into(), strategy: "s".into() },
        instrument: bitcoin(),
        fill_id: id.into(),
        intent_id: None,
        side,
        quantity_e8: UNIT,
        price_e8: 100 * UNIT,
        fee_e8: 0,
        fee_currency: "USDT".into(),
        event_time_ns: 10 * MINUTE_NS,
    })
}

fn header(tick: u64) -> TickHeader {
    TickHeader {
        tick,
        frozen_ns: i64::MIN,
        watermark_ns: tick as i64 * 1_000_000,
        publish_provisional: false,
        is_last: false,
        save: None,
        is_restore: false,
    }
}

#[test]
fn the_newest_row_of_a_part_says_how_it_is() {
    let book = BookConfig { scenario_step_ns: MINUTE_NS, scenarios_min: 2, ..BookConfig::default() };
    let policy = Policy::with_version(1);
    let mut ledger = RiskLedger::new(RiskConfig { book, step: Interval::M1, policy, publish_every_ms: 1_000 });
    let reference = AccountContent::Reference(InstrumentReference {
        instrument: bitcoin(),
        asset_class: "crypto".into(),
        sector: "coin".into(),
        base_currency: "BTC".into(),
        quote_currency: "USDT".into(),
        kind: ContractKind::Linear,
        multiplier_e8: UNIT,
    });
    let mark = MarketChange::Mark {
        instrument: bitcoin(),
        source: MarkSource::Trade,
        minute_end_ns: 10 * MINUTE_NS,
        mark: Some(Mark { event_time_ns: 10 * MINUTE_NS - 1, sequence: 0, price_e8: 100 * UNIT }),
    };
    let mut exact: BTreeMap<String, String> = BTreeMap::new();
    let mut newest: BTreeMap<String, (Value, Value, Value)> = BTreeMap::new();
    let mut give = |tick: u64, account: Vec<AccountRecord>, changes: Vec<MarketChange>| {
        let outcome = ledger.apply(&header(tick), RiskRecords { account, changes, ..RiskRecords::default() });
        let rows = RiskTables::new(0, true).rows(tick, &outcome, &[]);
        let column = |row: &Row, name: &str| {
            let at = numbers::RISK.iter().position(|(column, _)| *column == name).expect("a column");
            row.values.as_ref().expect("a fact")[at].clone()
        };
        for row in rows.iter().filter(|row| row.table == RISK) {
            let gross = column(row, "gross_exposure");
            let values = (gross, column(row, "component_historical_var_95"), column(row, "is_trusted"));
            newest.insert(row.qualifier.to_string(), values);
            let Value::Text(text) = column(row, "exact") else { panic!("it is a text") };
            exact.insert(row.qualifier.to_string(), text.to_string());
        }
        newest.clone()
    };
    let (nothing, hundred) = (Value::number(Some(0.0)), Value::number(Some(100.0)));
    let account = vec![record(1, reference), record(2, fill("1", Side::Buy))];
    let parts = ["asset_class|crypto", "sector|coin", "symbol|venue|BTCUSDT", "venue|venue"];
    // Without a mark nothing can be told, and that is told.
    let rows = give(600_000, account, Vec::new());
    for part in parts {
        assert_eq!(rows[&format!("main|{part}")], (Value::Null, Value::Null, Value::Boolean(false)), "{part}");
    }
    let rows = give(601_000, Vec::new(), vec![mark]);
    for part in parts {
        assert_eq!(rows[&format!("main|{part}")].0, hundred, "{part}");
    }
    let rows = give(602_000, vec![record(3, fill("2", Side::Sell))], Vec::new());
    for part in parts {
        assert_eq!(rows[&format!("main|{part}")].0, nothing, "{part}");
    }
    assert_eq!(rows["main|symbol|venue|BTCUSDT"].1, nothing);
    assert_eq!(rows["main|strategy|s"].0, nothing);
    assert!(exact["main|account|main"].contains(r#""gross_exposure":"0""#), "{exact:?}");
    assert!(exact["main|sector|coin"].contains(r#""equity":null"#), "{exact:?}");
}

#[test]
fn the_document_names_every_column_kind_rule_level_and_setting() {
    const DOCUMENT: &str = include_str!("../../../deploy/risk.md");
    let check = |name: &str| {
        let is_there = DOCUMENT.contains(&format!("`{name}`")) || DOCUMENT.contains(&format!(".{name}`"));
        assert!(is_there, "deploy/risk.md does not name {name:?}");
    };
    for spec in specs(true) {
        spec.columns.iter().for_each(|column| check(&column.name));
    }
    // The kinds stand in the first column of the table in the head of their file.
    let kinds = include_str!("events.rs").lines().filter_map(|line| line.strip_prefix("//! | `")?.split(" | ").next());
    let kinds: Vec<&str> = kinds.flat_map(|cell| cell.split("`, `")).collect();
    assert!(kinds.len() > 20, "{kinds:?}");
    kinds.iter().for_each(|kind| check(kind.trim_end_matches('`')));
    Rule::ALL.iter().for_each(|rule| check(rule.name()));
    for level in Level::ALL {
        assert!(DOCUMENT.contains(&format!("\n| {} | ", level.name())), "{}", level.name());
    }
    let policy = serde_json::to_value(Policy::with_version(1)).expect("a policy is JSON");
    for (key, value) in policy.as_object().expect("it has keys") {
        // Of breakers and switches each has the same keys.
        let is_listed = ["breakers", "switches"].contains(&key.as_str());
        match value.as_object().filter(|_| !is_listed) {
            Some(inner) if ["limits", "margin"].contains(&key.as_str()) => inner.keys().for_each(|inner| check(inner)),
            Some(inner) => std::iter::once(key).chain(inner.keys()).for_each(|inner| check(inner)),
            None => check(key),
        }
    }
}
