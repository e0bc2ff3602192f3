//! The demo shows what it is for: the models that are part of the program predict, give signals, and are promoted; its paper account
//! trades on them and is judged; a price crashes, and the account is killed and reset. What it tells is what its lake holds.

use crate::kafka_live::program::{succeeds, tidewheel};
use crate::recorded::verified::identical;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tidewheel::tables::Tables;
use tidewheel_connectors::lake::read;
use tidewheel_connectors::lake::rows::RowsByTick;
use tidewheel_schemas::{Row, Value};

/// Rows of a table of risk, by the names of their columns.
struct Stored {
    names: Vec<String>,
    rows: Vec<Row>,
}

impl Stored {
    fn open(lake: &Path, family: &str) -> Self {
        let state = read::manifest(lake).expect("a lake");
        let tables = Tables::default().with_risk(true, true);
        let number = tables.specs().iter().position(|spec| &*spec.family == family).expect("a table");
        let spec = &tables.specs()[number];
        let mut stored = RowsByTick::open(lake, &state, spec, number as u16, 0).expect("a lake");
        let mut rows = Vec::new();
        stored.drain(|row| rows.push(row)).expect("sound files");
        Self { names: spec.columns.iter().map(|column| column.name.to_string()).collect(), rows }
    }

    fn value<'a>(&self, row: &'a Row, name: &str) -> &'a Value {
        let at = self.names.iter().position(|known| known == name).expect("a column");
        &row.values.as_deref().expect("facts have values")[at]
    }

    fn text<'a>(&self, row: &'a Row, name: &str) -> &'a str {
        if let Value::Text(text) = self.value(row, name) { text } else { "" }
    }

    fn number(&self, row: &Row, name: &str) -> f64 {
        match self.value(row, name) {
            Value::Double(number) => *number,
            Value::Integer(number) => *number as f64,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn where_text<'a>(&'a self, name: &'a str, text: &'a str) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| self.text(row, name) == text)
    }
}

/// Rows of what accounts did.
fn rows_in(lake: &Path, table: &str) -> u64 {
    let state = read::manifest(lake).expect("a lake");
    let of_it = state.files.values().filter(|file| file.path.starts_with(&format!("{table}/")));
    of_it.map(|file| file.rows).sum()
}

#[test]
fn the_demo_predicts_trades_crashes_and_is_killed_while_it_is_watched() {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = folder.path().join("lake");
    let mut demo = tidewheel(&["demo", "--for", "25s", "--rate", "500", "--lake"]);
    demo.arg(&lake);
    let told = succeeds(demo);
    for ensemble in ["plain@1 (challenger", "demo@1 (production", "demo@2 (production", "demo@1 (challenger"] {
        assert!(told.contains(&format!("ensemble_activated {ensemble}")), "{ensemble}: {told}");
    }
    let rows = |table: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(table)?.strip_prefix(" rows "));
        line.and_then(|number| number.replace(',', "").parse::<u64>().ok()).unwrap_or_default()
    };
    let (predictions, signals, shadow) = (rows("predictions"), rows("signals"), rows("shadow_predictions"));
    println!("{predictions} predictions, {shadow} beside them");
    assert!(predictions > 100 && signals == predictions && shadow > 100, "{told}");
    assert!(told.contains("signal: act "), "of so many predictions none was sure: {told}");
    assert!(told.contains("(reconciles)"), "{told}");
    identical(&lake, &[]);
    decisions_are_told_as_they_are(&lake, &told);
    the_crash_and_the_kill_are_events(&lake, &told);
    the_profit_is_that_of_the_account(&lake, &told);
}

fn decisions_are_told_as_they_are(lake: &Path, told: &str) {
    let stored = Stored::open(lake, "order_decisions");
    let names: BTreeSet<&str> = stored.rows.iter().map(|row| stored.text(row, "intent_id")).collect();
    assert_eq!(names.len(), stored.rows.len(), "each intent has one decision");
    assert_eq!(stored.where_text("answer", "decided").count(), names.len());
    let asked = rows_in(lake, "order_intents");
    assert_eq!(asked, names.len() as u64, "each intent has a decision");
    let of = |ruling: &str| stored.where_text("ruling", ruling).count();
    let (approved, reduced, rejected) = (of("approved"), of("reduced"), of("rejected"));
    let fills = rows_in(lake, "fills");
    let line = format!(
        "paper intents {asked} = approved {approved} + reduced {reduced} + rejected {rejected}; fills {fills}\n"
    );
    print!("{line}");
    assert!(told.contains(&line), "{told}");
    assert!(approved > 0 && fills > 0 && fills <= (approved + reduced) as u64, "{told}");
    assert_eq!(rows_in(lake, "order_ends"), (approved + reduced) as u64, "nothing is left open");
    assert!(Stored::open(lake, "positions").rows.len() as u64 >= fills, "a position is told where it is filled");
}

fn the_crash_and_the_kill_are_events(lake: &Path, told: &str) {
    let events = Stored::open(lake, "risk_events");
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    events.rows.iter().for_each(|row| *kinds.entry(events.text(row, "kind")).or_default() += 1);
    let counted: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let line = format!("risk events {}: {}\n", events.rows.len(), counted.join(", "));
    print!("{line}");
    assert!(told.contains(&line), "{told}");
    assert!(!told.contains("not all of that was read"), "{told}");

    let crash = events.where_text("kind", "flash_crash").next().expect("a flash crash");
    assert_eq!(events.text(crash, "scope"), "symbol:binance|BTCUSDT");
    assert!((0.03..0.06).contains(&events.number(crash, "value")), "{crash:?}");
    let detail: Json = serde_json::from_str(events.text(crash, "detail")).expect("JSON");
    let time_ns = |print: &str| detail["flash_crash"][print]["time_ns"].as_i64().expect("a time");
    assert!(time_ns("completed_by") - time_ns("peak") <= 10_000_000_000, "{detail}");
    assert!(events.where_text("rule", "flash_crash").any(|row| events.text(row, "level") == "orange"));
    assert!(told.contains("risk: flash_crash symbol:binance|BTCUSDT: 3."), "{told}");

    // The kill, and the reset of the trip that it made, by the ticks at which they were done.
    let tick = |row: &Row| row.event_time_ns / 1_000_000;
    let killed = events.where_text("control", "demo-kill").next().expect("the kill was answered");
    assert_eq!(events.text(killed, "kind"), "order_done");
    let level = |from: &str, to: &str| {
        let of_account = events.where_text("scope", "account:paper");
        let mut of_it = of_account.filter(|row| events.text(row, "kind") == "level_changed");
        of_it
            .find(|row| events.text(row, "level") == to && (from.is_empty() || events.text(row, "from_level") == from))
            .map(tick)
    };
    assert_eq!(level("", "red"), Some(tick(killed)), "{told}");
    assert!(told.contains("by kill_manual") && told.contains("highest level red ("), "{told}");
    let lowered = events.where_text("kind", "lowered").find(|row| events.text(row, "rule") == "kill_manual").map(tick);
    println!("killed at {}, reset at {lowered:?}", tick(killed));
    let decisions = Stored::open(lake, "order_decisions");
    let is_killed = |row: &Row| {
        let Value::Integer(at) = decisions.value(row, "decided_tick") else { panic!("{row:?}") };
        *at >= tick(killed) && lowered.is_none_or(|lowered| *at < lowered)
    };
    let meanwhile: Vec<&Row> = decisions.rows.iter().filter(|row| is_killed(row)).collect();
    println!("{} decisions while it was killed", meanwhile.len());
    assert!(!meanwhile.is_empty(), "{told}");
    for row in meanwhile {
        let of = ["ruling", "level", "quantity"].map(|name| decisions.text(row, name));
        assert_eq!(of, ["rejected", "red", "0"], "{row:?}");
        assert!(decisions.text(row, "reasons").contains("kill_manual@account:paper@red@demo-kill"), "{row:?}");
    }
}

fn the_profit_is_that_of_the_account(lake: &Path, told: &str) {
    let numbers = Stored::open(lake, "risk");
    let last = numbers.where_text("kind", "account").max_by_key(|row| row.event_time_ns).expect("numbers");
    let of = |name: &str| numbers.number(last, name);
    let line = format!(
        "paper profit {:.2} USDT: equity {:.2} of 100000.00, realised {:.2}, unrealised {:.2}, fees {:.2}, drawdown ",
        of("equity") - of("deposits"),
        of("equity"),
        of("realised"),
        of("unrealised"),
        of("fees"),
    );
    println!("{line}");
    assert!(told.contains(&line), "{told}");
    assert_eq!(numbers.text(last, "faults"), "[]");
    assert!(of("fees") > 0.0, "{told}");
    // What is there is what was put in and what was made, to the rounding of floats.
    let made = of("deposits") + of("realised") + of("unrealised") + of("funding") - of("fees");
    assert!((of("equity") - made).abs() < 1e-6, "{last:?}");
    let scenarios = numbers.rows.iter().filter(|row| matches!(numbers.value(row, "scenarios"), Value::Integer(20..)));
    assert!(scenarios.count() > 0, "there was no value at risk");
}
