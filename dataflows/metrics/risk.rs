//! Metrics of risk: what it decided, where its accounts stand, how much it holds.

use super::table::{Metric, Read, View, counter, gauge};
use crate::risk_counts::{ANSWERS, OUTCOMES};
use std::collections::BTreeMap;
use tidewheel_operators::risk::RiskSizes;
use tidewheel_risk::breakers::Rule;
use tidewheel_risk::levels::Level;

/// How many accounts are shown by name; of the others the greatest level is shown.
const ACCOUNTS: usize = 256;

/// Where the others are shown.
const OTHERS: &str = "other";

type Size = fn(&RiskSizes) -> usize;

/// How much risk holds, by what it is: what bounds each is said where it is held.
const SIZES: [(&str, Size); 18] = [
    ("accounts", |sizes| sizes.engine.book.accounts),
    ("instruments", |sizes| sizes.engine.book.instruments),
    ("open_positions", |sizes| sizes.engine.book.open_positions),
    ("fill_ids", |sizes| sizes.engine.book.fill_ids),
    ("marks", |sizes| sizes.engine.book.marks),
    ("samples", |sizes| sizes.engine.book.samples),
    ("sums", |sizes| sizes.engine.book.cells),
    ("vectors", |sizes| sizes.engine.book.vectors),
    ("closes", |sizes| sizes.engine.closes),
    ("minutes", |sizes| sizes.engine.minutes),
    ("orders_of_people", |sizes| sizes.engine.desk.controls),
    ("standings", |sizes| sizes.engine.desk.standings),
    ("measures", |sizes| sizes.engine.desk.measures),
    ("audits", |sizes| sizes.engine.desk.audits),
    ("prints", |sizes| sizes.engine.desk.prints),
    ("volatilities", |sizes| sizes.engine.desk.volatilities),
    ("decisions", |sizes| sizes.engine.desk.decisions),
    ("waiting_instruments", |sizes| sizes.waiting),
];

/// Those of risk, in the order of the document.
pub(super) const RISK: &[Metric] = &[
    counter(
        "tidewheel_risk_decisions_total",
        "intents",
        "Order intents that were answered, by what they were told.",
        Read::Each("answer", |view| counted(&ANSWERS, &view.snapshot.risk_counts.answers)),
    ),
    counter(
        "tidewheel_risk_trips_total",
        "trips",
        "Trips of breakers and kill switches, by rule.",
        Read::Each("rule", |view| counted(&Rule::ALL.map(Rule::name), &view.snapshot.risk_counts.trips)),
    ),
    counter(
        "tidewheel_risk_control_orders_total",
        "orders",
        "Orders of people to risk, by what became of them.",
        Read::Each("outcome", |view| counted(&OUTCOMES, &view.snapshot.risk_counts.orders)),
    ),
    gauge(
        "tidewheel_risk_level",
        "level",
        "The level of an account, that of everything included: 0 green to 4 black. Accounts beyond the 256 that stand highest as other.",
        Read::Each("account", levels),
    ),
    gauge(
        "tidewheel_state_risk_positions",
        "positions",
        "Positions of accounts, closed ones included; bounded by the accounts, strategies and instruments that ever met.",
        Read::One(|view| Some(view.snapshot.risk_sizes.engine.book.positions as f64)),
    ),
    gauge(
        "tidewheel_state_risk_fills",
        "fills",
        "Fills and funding payments of positions held; bounded by the correction horizon.",
        Read::One(|view| Some(view.snapshot.risk_sizes.engine.book.entries as f64)),
    ),
    gauge(
        "tidewheel_state_risk_orders",
        "orders",
        "Orders that are approved and open; bounded by the policy's decisions.open_orders for each account.",
        Read::One(|view| Some(view.snapshot.risk_sizes.engine.desk.open_orders as f64)),
    ),
    gauge(
        "tidewheel_state_risk_items",
        "items",
        "What else risk holds, by what it is.",
        Read::Each("of", |view| {
            let size = |(name, read): (&str, Size)| (name.to_owned(), read(&view.snapshot.risk_sizes) as f64);
            SIZES.into_iter().map(size).collect()
        }),
    ),
];

fn counted(names: &[&'static str], counts: &BTreeMap<&'static str, u64>) -> Vec<(String, f64)> {
    names.iter().map(|name| ((*name).to_owned(), counts.get(name).copied().unwrap_or(0) as f64)).collect()
}

/// The levels of the accounts that stand highest, by name where they stand alike.
fn levels(view: &View<'_>) -> Vec<(String, f64)> {
    let mut all: Vec<_> = view.snapshot.risk_counts.levels.iter().flat_map(|levels| levels.iter()).collect();
    all.sort_by(|(one, level), (other, of_other)| of_other.cmp(level).then(one.cmp(other)));
    let value = |level: Level| f64::from(level as u8);
    let others = all.get(ACCOUNTS).map(|(_, level)| (OTHERS.to_owned(), value(*level)));
    all.truncate(ACCOUNTS);
    // One account may have that very name.
    let named = all.into_iter().filter(|(account, _)| others.is_none() || **account != *OTHERS);
    named.map(|(account, level)| (account.to_string(), value(*level))).chain(others.clone()).collect()
}
