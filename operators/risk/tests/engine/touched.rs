//! Numbers are reckoned anew only where something touched them: held to an engine that was restored and so reckons all, after every tick.

use crate::histories::{LISTED, SECOND_NS, START_NS, UNIT, engine, instrument};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidewheel_risk::book::BookEvent;
use tidewheel_risk::engine::{EngineTick, RiskEngine};
use tidewheel_risk::policy::Policy;
use tidewheel_risk::switches::{ControlEvent, Order};
use tidewheel_risk::valuation::{Mark, MarkSource, minute_end_ns};
use tidewheel_schemas::{CashMovement, Fill, FillChange, FundingPayment, Holder, InstrumentReference, Side};

/// The first two have nothing to do with any currency but their own, if their luck will have it.
const ACCOUNTS: [&str; 5] = ["one", "two", "three", "four", "euro"];

struct Life {
    random: ChaCha8Rng,
    now_ns: i64,
    made: usize,
    fills: Vec<Fill>,
}

impl Life {
    fn account(&mut self) -> usize {
        self.random.random_range(0..ACCOUNTS.len())
    }

    /// What an account trades: in dollars alone, but for two.
    fn listed(&mut self, account: usize) -> usize {
        *if account < 3 { &[0, 1, 2][..] } else { &[0, 1, 2, 3, 4] }.choose(&mut self.random).expect("some are listed")
    }

    fn fill(&mut self) -> Fill {
        let account = self.account();
        let listed = &LISTED[self.listed(account)];
        self.made += 1;
        Fill {
            holder: Holder {
                account: ACCOUNTS[account].into(),
                strategy: (*["s", "t"].choose(&mut self.random).expect("two")).into(),
            },
            instrument: instrument(listed),
            fill_id: self.made.to_string().into(),
            intent_id: None,
            side: if self.random.random() { Side::Buy } else { Side::Sell },
            quantity_e8: self.random.random_range(1..3) * UNIT,
            price_e8: listed.8,
            fee_e8: UNIT,
            fee_currency: "USDT".into(),
            event_time_ns: self.time(),
        }
    }

    /// Now, or some minutes ago.
    fn time(&mut self) -> i64 {
        let back = if self.random.random_bool(0.8) { 1 } else { 240 };
        self.now_ns - self.random.random_range(0..back) * SECOND_NS
    }

    fn mark(&mut self) -> (usize, Mark) {
        let listed = self.random.random_range(0..LISTED.len());
        self.made += 1;
        let price_e8 = LISTED[listed].8 / 1_000 * self.random.random_range(900..1_100);
        (listed, Mark { event_time_ns: self.time(), sequence: self.made as i64, price_e8 })
    }

    fn record(&mut self) -> BookEvent {
        match self.random.random_range(0..20) {
            0..4 => {
                let fill = self.fill();
                self.fills.push(fill.clone());
                BookEvent::Fill(fill)
            }
            4..6 if !self.fills.is_empty() => {
                let fill = self.fills.choose(&mut self.random).expect("some were made").clone();
                BookEvent::FillChange {
                    account: fill.holder.account.clone(),
                    instrument: fill.instrument.clone(),
                    fill_id: fill.fill_id.clone(),
                    change: FillChange::Cancel,
                    original_time_ns: Some(fill.event_time_ns),
                    event_time_ns: self.now_ns,
                }
            }
            6..8 => {
                let account = self.account();
                self.made += 1;
                let currency = if account < 3 || self.random.random() { "USDT" } else { "BTC" };
                BookEvent::Cash(CashMovement {
                    account: ACCOUNTS[account].into(),
                    id: self.made.to_string().into(),
                    currency: currency.into(),
                    amount_e8: self.random.random_range(-3..10) * 1_000 * UNIT + 1,
                    event_time_ns: self.time(),
                })
            }
            8 => {
                let (listed, mark) = self.mark();
                BookEvent::Funding(FundingPayment {
                    instrument: instrument(&LISTED[listed]),
                    rate_e12: 100_000_000,
                    mark_price_e8: Some(mark.price_e8),
                    event_time_ns: mark.event_time_ns,
                })
            }
            9 => {
                let (listed, mark) = self.mark();
                let (source, minute_end_ns) = (MarkSource::Trade, minute_end_ns(mark.event_time_ns));
                let mark = self.random.random_bool(0.7).then_some(mark);
                BookEvent::MinuteMark { instrument: instrument(&LISTED[listed]), source, minute_end_ns, mark }
            }
            10 => {
                let (listed, mark) = self.mark();
                let bar_time_ns = mark.event_time_ns.div_euclid(60 * SECOND_NS) * 60 * SECOND_NS;
                BookEvent::Close { instrument: instrument(&LISTED[listed]), bar_time_ns, close_e8: Some(mark.price_e8) }
            }
            11 => {
                let listed = self.random.random_range(0..LISTED.len());
                let sector = *["coin", "other"].choose(&mut self.random).expect("two");
                BookEvent::Reference(reference(listed, sector))
            }
            _ => {
                let (listed, mark) = self.mark();
                BookEvent::Mark { instrument: instrument(&LISTED[listed]), source: MarkSource::Trade, mark }
            }
        }
    }

    fn policy(&mut self, version: u64) -> ControlEvent {
        let mut policy = Policy::with_version(version);
        policy.staleness.mark_ms = self.random.random_range(10..300) * 1_000;
        policy.day_boundary_minutes = self.random.random_range(0..30);
        let id = format!("o{version}");
        let order = Order::SetPolicy(Box::new(policy));
        ControlEvent { id, who: "ann".into(), why: "test".into(), time_ns: self.now_ns, order }
    }
}

fn reference(listed: usize, sector: &str) -> InstrumentReference {
    let listed = &LISTED[listed];
    InstrumentReference {
        instrument: instrument(listed),
        asset_class: listed.3.into(),
        sector: sector.into(),
        base_currency: listed.4.into(),
        quote_currency: listed.5.into(),
        kind: listed.6,
        multiplier_e8: listed.7,
    }
}

#[test]
fn what_is_not_touched_has_the_numbers_that_it_would_have_anew() {
    let (mut changed, mut same) = (0, 0);
    for seed in 0..20 {
        println!("seed {seed}");
        let mut life = Life { random: ChaCha8Rng::seed_from_u64(seed), now_ns: START_NS, made: 0, fills: Vec::new() };
        let mut engine = engine();
        for number in 1..=250u64 {
            // Mostly inside a second; at times over minutes, so that marks grow old and days begin.
            let after = if life.random.random_bool(0.8) { 200 } else { life.random.random_range(1_000..60_000) };
            life.now_ns += after * SECOND_NS / 1_000;
            let mut records: Vec<_> = (0..life.random.random_range(0..3)).map(|_| life.record()).collect();
            if number == 1 {
                records.extend((0..LISTED.len()).map(|listed| BookEvent::Reference(reference(listed, "coin"))));
            }
            let controls = if life.random.random_bool(0.02) { vec![life.policy(number + 1)] } else { Vec::new() };
            let tick = EngineTick {
                tick: number,
                time_ns: life.now_ns,
                watermark_ns: life.now_ns - SECOND_NS / 10,
                records,
                controls,
                ..EngineTick::default()
            };
            let before = engine.numbers().clone();
            let facts = engine.tick(tick);
            let anew = RiskEngine::restore(engine.save());
            assert_eq!(engine.numbers(), anew.numbers(), "seed {seed} tick {number}");
            // Those are told that are others than before but for their time, and no more.
            let is_other = |account: &std::sync::Arc<str>| {
                let now = &engine.numbers()[account];
                before.get(account).is_none_or(|known| {
                    let mut known = known.clone();
                    known.now_ns = now.now_ns;
                    known != *now
                })
            };
            let others: Vec<_> = engine.numbers().keys().filter(|account| is_other(account)).cloned().collect();
            let told: Vec<_> = facts.accounts.iter().map(|numbers| numbers.account.clone()).collect();
            assert_eq!(told, others, "seed {seed} tick {number}");
            changed += told.len();
            same += engine.numbers().len() - told.len();
            if life.random.random_bool(0.02) {
                engine = anew;
            }
        }
    }
    println!("{changed} numbers changed, {same} did not");
    assert!(changed > 2_000 && same > 5_000, "{changed} {same}: too little was tested");
}
