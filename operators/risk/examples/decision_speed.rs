//! How fast order intents are judged: 5,000 a second on a book of 10,000 positions over 1,000 symbols.
//!
//! ```sh
//! cargo run --release -p tidewheel-risk --example decision_speed
//! ```
//!
//! Estimate: an intent asks the book ten times (0.1 us each by ordered maps), compares eleven limits with some thirty wide products
//! (20 ns each), and is put into four ordered sets of some ten thousand (0.5 us each): 4 us. The open orders are valued anew once a tick,
//! 1 us a position that has some: 10 ms where all 10,000 do. So 500 intents of a tick of 100 ms take 2 ms beside at most 10 ms.
//!
//! Measured on a cloud machine of two cores with a load of 13 to 18 (processor time, since the clock says little there): 21 ms a tick of
//! 100 ms where all 10,000 positions have open orders, 5.5 ms where 1,000 do; of a tick of 10 ms 2.0 ms where 1,000 do, and 0.5 ms where
//! 100 do: 8 us an intent and 1.7 us a position with open orders. Before the limits of all open orders were kept it was 9.1, 3.5, 0.8
//! and 0.3 ms. A tick of 10 ms has no room for 10,000 of these.
#![allow(clippy::disallowed_types, reason = "a bench reads the clock")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tidewheel_risk::breakers::{Fault, Now};
use tidewheel_risk::decisions::{Answer, Book, Decisions, Early, GroupRef, Judging, Market, Money, Progress, Ruling};
use tidewheel_risk::levels::Level;
use tidewheel_risk::policy::{Policy, Ratio};
use tidewheel_risk::regimes::Regime;
use tidewheel_risk::valuation::Mark;
use tidewheel_schemas::{ContractKind, Holder, Instrument, OrderIntent, Side};

const UNIT: i64 = 100_000_000;
const MONEY: i128 = 10_000_000_000_000_000;
const ACCOUNTS: usize = 10;
const SYMBOLS: usize = 1_000;

/// A book with its sums kept, as the real one has them.
struct SummedBook {
    instruments: Vec<Instrument>,
    holders: Vec<Holder>,
    held_e8: BTreeMap<(Holder, Instrument), i64>,
    sectors: BTreeMap<Instrument, String>,
    by_symbol: BTreeMap<(Arc<str>, Instrument), i128>,
    by_name: BTreeMap<(Arc<str>, String), i128>,
    time_ns: i64,
}

impl SummedBook {
    fn new() -> Self {
        let instruments: Vec<_> =
            (0..SYMBOLS).map(|number| Instrument::new("binance", &format!("S{number}")).expect("a name")).collect();
        let holders: Vec<_> = (0..ACCOUNTS)
            .map(|number| Holder { account: format!("account{number}").into(), strategy: "one".into() })
            .collect();
        let sectors: BTreeMap<_, _> = instruments
            .iter()
            .enumerate()
            .map(|(number, name)| (name.clone(), format!("sector{}", number % 20)))
            .collect();
        let mut book = Self {
            instruments,
            holders,
            held_e8: BTreeMap::new(),
            sectors,
            by_symbol: BTreeMap::new(),
            by_name: BTreeMap::new(),
            time_ns: 0,
        };
        // Ten units at a price of 100 each: a million an account, gross of 0.1.
        for holder in &book.holders {
            for instrument in &book.instruments {
                let value = 1_000 * MONEY;
                book.held_e8.insert((holder.clone(), instrument.clone()), 10 * UNIT);
                *book.by_symbol.entry((holder.account.clone(), instrument.clone())).or_default() += value;
                for name in [book.sectors[instrument].as_str(), ""] {
                    *book.by_name.entry((holder.account.clone(), name.to_owned())).or_default() += value;
                }
            }
        }
        book
    }
}

impl Book for SummedBook {
    fn account(&self, _: &str) -> Result<Money, Fault> {
        let money = 10_000_000 * MONEY;
        Ok(Money { equity_e16: money, peak_e16: money, day_start_e16: money, positions: 1_000 })
    }

    fn exposure_e16(&self, account: &str, group: GroupRef<'_>) -> Result<i128, Fault> {
        let named = |name: &str| self.by_name.get(&(account.into(), name.to_owned())).copied().unwrap_or_default();
        Ok(match group {
            GroupRef::Symbol(symbol) => {
                self.by_symbol.get(&(account.into(), symbol.clone())).copied().unwrap_or_default()
            }
            GroupRef::Sector(sector) => named(sector),
            GroupRef::Account | GroupRef::Strategy(_) | GroupRef::AssetClass(_) | GroupRef::Venue(_) => named(""),
        })
    }

    fn margin_equity_e16(&self, _: &str, _: &str) -> Result<i128, Fault> {
        Ok(10_000_000 * MONEY)
    }

    fn quantity_e8(&self, holder: &Holder, instrument: &Instrument) -> i64 {
        self.held_e8.get(&(holder.clone(), instrument.clone())).copied().unwrap_or_default()
    }

    fn mark(&self, _: &Instrument) -> Result<Mark, Fault> {
        Ok(Mark { event_time_ns: self.time_ns, sequence: 0, price_e8: 100 * UNIT })
    }

    fn market(&self, _: &str, instrument: &Instrument) -> Result<Market<'_>, Fault> {
        Ok(Market {
            kind: ContractKind::Linear,
            multiplier_e8: UNIT,
            sector: self.sectors.get(instrument).ok_or(Fault::Missing("reference".into()))?,
            asset_class: "crypto",
            mark_e8: 100 * UNIT,
            mark_ns: self.time_ns,
            quote_rate_e18: 10i128.pow(18),
        })
    }
}

fn main() {
    println!("{} positions over {SYMBOLS} symbols in {ACCOUNTS} accounts, 5,000 intents a second", ACCOUNTS * SYMBOLS);
    println!(
        "  tick   open orders  in positions   tick: p50          p99          max    processor: tick   an intent  approved"
    );
    for (tick_ms, spread) in [(100, SYMBOLS), (100, 100), (10, 100), (10, 10)] {
        run(tick_ms, spread);
    }
}

/// Nanoseconds that this thread was on a processor; 0 where the system does not tell.
fn processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

/// Sixteen seconds of ticks; orders go into so many symbols, nine in ten are cancelled within two seconds, the rest expire after eight.
fn run(tick_ms: i64, spread: usize) {
    let mut policy = Policy::with_version(1);
    policy.limits.concurrent_positions = 5_000;
    policy.limits.position_value = 100_000_000;
    policy.decisions.open_orders = 1_000_000;
    policy.decisions.reservation_ms = 8_000;
    policy.limits.single_position = Ratio::thousandths(250);
    let (mut book, mut decisions) = (SummedBook::new(), Decisions::default());
    let intents_a_tick = 5 * tick_ms as usize;
    let (mut took, mut number, mut approved, mut to_cancel) = (Vec::new(), 0usize, 0usize, Vec::new());
    for tick in 1..=16_000 / tick_ms {
        book.time_ns = tick * tick_ms * 1_000_000;
        let intents: Vec<_> = (0..intents_a_tick)
            .map(|_| {
                number += 1;
                let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                an_intent(&book, mixed, number, spread)
            })
            .collect();
        let cancels: Vec<Progress> =
            if to_cancel.len() > 2_000 / tick_ms as usize { to_cancel.remove(0) } else { Vec::new() };
        let (begun, processor_begun) = (Instant::now(), processor_ns());
        decisions.progress(&cancels);
        decisions.expire(book.time_ns, policy.decisions.memory_ms);
        let judging = Judging {
            policy: &policy,
            now: Now { tick: tick as u64, time_ns: book.time_ns },
            state_version: tick as u64,
            level: &|_| (Level::Green, Vec::new()),
            regime: &|_| Some(Regime::Normal),
        };
        let (answers, _) = decisions.take(&judging, &book, intents, Early::default());
        let on_processor_ms = (processor_ns() - processor_begun) as f64 / 1e6;
        took.push((begun.elapsed().as_secs_f64() * 1e3, on_processor_ms));
        let mut cancels = Vec::new();
        for answer in answers {
            let Answer::Decided(decision) = answer else { panic!("every intent is new") };
            approved += usize::from(decision.ruling == Ruling::Approved);
            if decision.number % 10 != 0 {
                let (account, intent_id) = (decision.intent.holder.account, decision.intent.intent_id);
                cancels.push(Progress::Cancelled { account, intent_id });
            }
        }
        to_cancel.push(cancels);
    }
    // The first half fills the sets.
    let took = took.split_off(took.len() / 2);
    let processor_ms = took.iter().map(|(_, on_processor_ms)| on_processor_ms).sum::<f64>() / took.len() as f64;
    let mut took: Vec<_> = took.into_iter().map(|(ms, _)| ms).collect();
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took[(took.len() as f64 * share) as usize];
    println!(
        "{tick_ms:>3} ms {:>13} {:>13} {:>9.2} ms {:>9.2} ms {:>9.2} ms {:>12.2} ms {:>9.2} us {:>8.1} %",
        decisions.sizes()[1],
        spread * ACCOUNTS,
        at(0.5),
        at(0.99),
        took[took.len() - 1],
        processor_ms,
        processor_ms * 1e3 / intents_a_tick as f64,
        100.0 * approved as f64 / number as f64,
    );
}

fn an_intent(book: &SummedBook, mixed: usize, number: usize, spread: usize) -> OrderIntent {
    OrderIntent {
        holder: book.holders[(mixed >> 50) % ACCOUNTS].clone(),
        instrument: book.instruments[(mixed >> 32) % spread].clone(),
        intent_id: number.to_string().into(),
        side: if mixed >> 20 & 1 == 0 { Side::Buy } else { Side::Sell },
        quantity_e8: UNIT / 10,
        limit_price_e8: (mixed >> 21 & 1 == 0).then_some((95 + (mixed >> 40) as i64 % 10) * UNIT),
        stop_price_e8: None,
        is_reduce_only: false,
        expires_ns: None,
        event_time_ns: book.time_ns,
    }
}
