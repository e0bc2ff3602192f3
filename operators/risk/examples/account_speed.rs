//! What a tick of a thousand accounts costs: when nothing happens, when one mark moves, when one account trades, when a minute ends.
//!
//! Estimate, of 1,000 accounts with ten positions each over 100 instruments and 250 scenarios, one thread: the numbers of an account
//! sort two vectors of 250 and fold up to 60 samples, some 100 us; so a tick that reckons all is some 100 ms, and one that reckons
//! only the accounts that something touched costs what tells the rules of the others that nothing has changed: five readings
//! an account at less than a microsecond each, 5 ms.
//!
//! ```text
//! cargo run --release -p tidewheel-risk --example account_speed
//! ```
//!
//! Measured by the clock, on a cloud machine of two cores with a load of 13 from other builds (p50; the policy of the example bears old
//! marks, so that nothing is stale):
//!
//! | tick | all are reckoned | those that are touched |
//! | --- | --- | --- |
//! | nothing comes | 88 ms | 9 ms |
//! | one mark, which 100 accounts hold | 80 ms | 13 ms |
//! | one fill | 72 ms | 8 ms |
//! | a mark of each instrument | 85 ms | 67 ms |
//! | a minute ends | 75 ms | 75 ms |
//!
//! What is left of a tick in which nothing comes is readings, which tell the rules each tick that they are of now.

#![expect(clippy::disallowed_types, reason = "an example measures time")]

use std::time::{Duration, Instant};
use tidewheel_risk::book::{BookConfig, BookEvent};
use tidewheel_risk::engine::{EngineTick, FeedHealth, RiskEngine};
use tidewheel_risk::policy::Policy;
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{CashMovement, ContractKind, Fill, Holder, Instrument, InstrumentReference, Side};

const START_NS: i64 = 1_722_816_000_000_000_000;
const TICK_NS: i64 = 100_000_000;
const MINUTE_NS: i64 = 60_000_000_000;
const HOUR_NS: i64 = 60 * MINUTE_NS;
const ACCOUNTS: usize = 1_000;
const INSTRUMENTS: usize = 100;
const SCENARIOS: i64 = 250;

fn instrument(number: usize) -> Instrument {
    Instrument::new("venue", &format!("S{number}USDT")).expect("the name is well formed")
}

fn mark(number: usize, time_ns: i64) -> BookEvent {
    // A price that moves a little, the same on every run.
    let price_e8 = 10_000_000_000 + (time_ns / TICK_NS * 7_919 + number as i64 * 104_729) % 10_000_000;
    let mark = Mark { event_time_ns: time_ns, sequence: 0, price_e8 };
    BookEvent::Mark { instrument: instrument(number), source: MarkSource::Trade, mark }
}

fn fill(id: &str, account: usize, number: usize, time_ns: i64) -> BookEvent {
    BookEvent::Fill(Fill {
        holder: Holder { account: format!("a{account}").into(), strategy: "s".into() },
        instrument: instrument(number),
        fill_id: id.into(),
        intent_id: None,
        side: if (account + number).is_multiple_of(3) { Side::Sell } else { Side::Buy },
        quantity_e8: 1_000_000,
        price_e8: 10_000_000_000,
        fee_e8: 10_000,
        fee_currency: "USDT".into(),
        event_time_ns: time_ns,
    })
}

/// References, closes, money, ten positions for each account.
fn beginning() -> Vec<BookEvent> {
    let mut records = Vec::new();
    for number in 0..INSTRUMENTS {
        records.push(BookEvent::Reference(InstrumentReference {
            instrument: instrument(number),
            asset_class: "crypto".into(),
            sector: format!("sector{}", number % 5).into(),
            base_currency: format!("S{number}").into(),
            quote_currency: "USDT".into(),
            kind: ContractKind::Linear,
            multiplier_e8: 100_000_000,
        }));
        for back in 0..=SCENARIOS {
            let close_e8 = Some(10_000_000_000 + (back * 7_907 + number as i64 * 3_571) % 200_000_000);
            let bar_time_ns = START_NS - (SCENARIOS - back + 1) * HOUR_NS;
            records.push(BookEvent::Close { instrument: instrument(number), bar_time_ns, close_e8 });
        }
        records.push(mark(number, START_NS - 1));
    }
    for account in 0..ACCOUNTS {
        records.push(BookEvent::Cash(CashMovement {
            account: format!("a{account}").into(),
            id: "start".into(),
            currency: "USDT".into(),
            amount_e8: 10_000_000_000_000,
            event_time_ns: START_NS - 1,
        }));
        for at in 0..10 {
            records.push(fill("start", account, (account * 7 + at * 11) % INSTRUMENTS, START_NS - 1));
        }
    }
    records
}

struct Run {
    engine: RiskEngine,
    tick: u64,
    now_ns: i64,
}

impl Run {
    /// One tick; marks that are not said stay fresh, since the policy of the example bears an hour.
    fn tick(&mut self, after_ns: i64, records: Vec<BookEvent>) -> Duration {
        (self.tick, self.now_ns) = (self.tick + 1, self.now_ns + after_ns);
        let tick = EngineTick {
            tick: self.tick,
            time_ns: self.now_ns,
            watermark_ns: self.now_ns,
            records,
            health: Some(FeedHealth { data_age_s: 0.0, rejected_share: 0.0, frontier_lag_s: 0.0 }),
            ..EngineTick::default()
        };
        let start = Instant::now();
        let facts = self.engine.tick(tick);
        let spent = start.elapsed();
        assert_eq!(facts.refused, [], "the records of the example are right");
        spent
    }

    fn report(&mut self, what: &str, count: usize, after_ns: i64, records: impl Fn(usize, i64) -> Vec<BookEvent>) {
        let mut times: Vec<Duration> = (0..count)
            .map(|at| {
                let records = records(at, self.now_ns + after_ns - 1);
                self.tick(after_ns, records)
            })
            .collect();
        times.sort_unstable();
        let middle = times[(times.len() - 1) / 2];
        println!("{what:<24} p50 {middle:>9.1?}  max {:>9.1?}", times[times.len() - 1]);
    }
}

fn main() {
    let mut policy = Policy::with_version(1);
    (policy.staleness.mark_ms, policy.staleness.reading_ms) = (24 * 3_600_000, 24 * 3_600_000);
    let config = BookConfig { scenarios: SCENARIOS as usize, ..BookConfig::default() };
    let engine = RiskEngine::new(config, policy, "example", "begin").expect("the policy is valid");
    let mut run = Run { engine, tick: 0, now_ns: START_NS };
    println!("the beginning            {:.1?}", run.tick(0, beginning()));
    // A whole horizon of minutes.
    run.report("a minute ends", 65, MINUTE_NS, |_, _| Vec::new());
    run.report("nothing", 30, TICK_NS, |_, _| Vec::new());
    run.report("one mark", 30, TICK_NS, |at, time_ns| vec![mark(at, time_ns)]);
    run.report("one fill", 30, TICK_NS, |at, time_ns| vec![fill(&format!("n{at}"), at, at, time_ns)]);
    run.report("a mark of each", 10, TICK_NS, |_, time_ns| (0..INSTRUMENTS).map(|at| mark(at, time_ns)).collect());
    let engine = RiskEngine::restore(run.engine.save());
    assert_eq!(engine.numbers(), run.engine.numbers(), "numbers are those that are made anew");
}
