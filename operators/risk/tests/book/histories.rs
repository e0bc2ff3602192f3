//! Random histories: late, corrected and cancelled fills, corrected marks and closes, money in and out; held to the oracle.

use crate::oracle::{Oracle, SlowNumbers};
use crate::world::{INSTRUMENTS, MINUTE_NS, SECOND_NS, START_NS, book, config, instrument, reference};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidewheel_risk::book::{AccountBook, AccountNumbers, BookConfig, BookEvent, BookFault, Outcome, PositionNumbers};
use tidewheel_risk::positions::CostMethod;
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{CashMovement, Fill, FillChange, FundingPayment, Holder, Side};

const ACCOUNTS: [&str; 2] = ["main", "euro"];

struct Market {
    random: ChaCha8Rng,
    now_ns: i64,
    made: i64,
    fills: Vec<Fill>,
    sent: Vec<BookEvent>,
}

impl Market {
    fn new(seed: u64) -> Self {
        let random = ChaCha8Rng::seed_from_u64(seed);
        Self { random, now_ns: START_NS, made: 0, fills: Vec::new(), sent: Vec::new() }
    }

    fn symbol(&mut self) -> (&'static str, i64) {
        let at = self.random.random_range(0..INSTRUMENTS.len());
        let price = [6_000_000_000_000, 30_000_000, 110_000_000, 5_000_000, 6_000_000_000_000, 6_000_000_000_000][at];
        (INSTRUMENTS[at].0, self.random.random_range(price / 10 * 9..price / 10 * 11))
    }

    /// Mostly of now, at times older, even than the horizon.
    fn time(&mut self) -> i64 {
        let back = if self.random.random_bool(0.6) { 20 } else { 12 * 60 };
        self.now_ns - self.random.random_range(0..back) * SECOND_NS
    }

    fn fill(&mut self) -> Fill {
        let (symbol, price_e8) = self.symbol();
        self.made += 1;
        Fill {
            holder: Holder {
                account: (*ACCOUNTS.choose(&mut self.random).expect("there are accounts")).into(),
                strategy: (*["one", "two"].choose(&mut self.random).expect("there are strategies")).into(),
            },
            instrument: instrument(symbol),
            // Half of them are numbers.
            fill_id: if self.made % 2 == 0 { self.made.to_string() } else { format!("f{}", self.made) }.into(),
            intent_id: None,
            side: if self.random.random() { Side::Buy } else { Side::Sell },
            // Few sizes, so that positions are closed exactly at times.
            quantity_e8: self.random.random_range(1..4) * 50_000_000,
            price_e8,
            fee_e8: self.random.random_range(-1_000_000..5_000_000),
            fee_currency: (*["USDT", "BTC", "EUR"].choose(&mut self.random).expect("there are currencies")).into(),
            event_time_ns: self.time(),
        }
    }

    fn next(&mut self) -> BookEvent {
        let event = match self.random.random_range(0..100) {
            0..30 => {
                let fill = self.fill();
                self.fills.push(fill.clone());
                BookEvent::Fill(fill)
            }
            30..42 if !self.fills.is_empty() => self.change(),
            42..50 if !self.sent.is_empty() => {
                return self.sent.choose(&mut self.random).expect("something was sent").clone();
            }
            50..55 => {
                self.made += 1;
                BookEvent::Cash(CashMovement {
                    account: (*ACCOUNTS.choose(&mut self.random).expect("there are accounts")).into(),
                    id: format!("c{}", self.made).into(),
                    currency: (*["USDT", "EUR"].choose(&mut self.random).expect("there are currencies")).into(),
                    amount_e8: self.random.random_range(-3..9) * 1_000_000_000_000 + 1,
                    event_time_ns: self.time(),
                })
            }
            55..58 => {
                let (symbol, mark_price_e8) = self.symbol();
                let rate_e12 = self.random.random_range(-1_000_000_000..1_000_000_000);
                BookEvent::Funding(FundingPayment {
                    instrument: instrument(symbol),
                    rate_e12,
                    mark_price_e8: self.random.random::<bool>().then_some(mark_price_e8),
                    event_time_ns: self.time(),
                })
            }
            58..82 => {
                let (symbol, price_e8) = self.symbol();
                self.made += 1;
                let mark = Mark { event_time_ns: self.time(), sequence: self.made, price_e8 };
                let source = if self.random.random_bool(0.9) { MarkSource::Trade } else { MarkSource::Mid };
                BookEvent::Mark { instrument: instrument(symbol), source, mark }
            }
            82..86 => {
                let (symbol, price_e8) = self.symbol();
                let event_time_ns = self.time();
                let minute_end_ns = (event_time_ns.div_euclid(MINUTE_NS) + 1) * MINUTE_NS;
                let mark = self.random.random_bool(0.7).then_some(Mark { event_time_ns, sequence: 0, price_e8 });
                let source = MarkSource::Trade;
                BookEvent::MinuteMark { instrument: instrument(symbol), source, minute_end_ns, mark }
            }
            _ => {
                let (symbol, close) = self.symbol();
                let bar_time_ns = self.time().div_euclid(MINUTE_NS) * MINUTE_NS;
                let close_e8 = self.random.random_bool(0.9).then_some(close);
                BookEvent::Close { instrument: instrument(symbol), bar_time_ns, close_e8 }
            }
        };
        self.sent.push(event.clone());
        event
    }

    fn change(&mut self) -> BookEvent {
        // At times of a fill that is still to come.
        let fill = if self.random.random_bool(0.1) {
            let fill = self.fill();
            self.sent.push(BookEvent::Fill(fill.clone()));
            fill
        } else {
            self.fills.choose(&mut self.random).expect("there are fills").clone()
        };
        let change = if self.random.random_bool(0.4) {
            FillChange::Cancel
        } else {
            self.made += 1;
            let mut other = self.fill();
            (other.instrument, other.fill_id) = (fill.instrument.clone(), fill.fill_id.clone());
            // Another strategy is possible, another account is not.
            other.holder.account = fill.holder.account.clone();
            other.event_time_ns = fill.event_time_ns + self.random.random_range(-60..60) * SECOND_NS;
            FillChange::Correct { fill: Box::new(other), sequence: self.made }
        };
        BookEvent::FillChange {
            account: fill.holder.account.clone(),
            instrument: fill.instrument.clone(),
            fill_id: fill.fill_id,
            change,
            original_time_ns: self.random.random_bool(0.7).then_some(fill.event_time_ns),
            event_time_ns: self.now_ns,
        }
    }
}

/// What the oracle says too.
fn compared(numbers: &AccountNumbers) -> SlowNumbers {
    let is_of_rates = |fault: &BookFault| matches!(fault, BookFault::StaleRate(_) | BookFault::NoRate { .. });
    SlowNumbers {
        cash: numbers.cash_e16,
        equity: numbers.equity_e16,
        realised: numbers.lines.realised_e16,
        unrealised: numbers.lines.unrealised_e16,
        fees: numbers.lines.fees_e16,
        funding: numbers.lines.funding_e16,
        gross: numbers.exposure.map(|exposure| exposure.gross_e16),
        net: numbers.exposure.map(|exposure| exposure.net_e16),
        peak: numbers.peak_e16,
        max_drawdown: numbers.max_drawdown,
        day_profit: numbers.day_profit_e16,
        day_base: numbers.day_base_e16,
        open: numbers.open_positions,
        sectors: (numbers.sectors.iter())
            .map(|(sector, exposure)| (sector.clone(), (exposure.gross_e16, exposure.net_e16)))
            .collect(),
        strategies: (numbers.strategies.iter())
            .map(|part| (part.strategy.clone(), (part.lines.unrealised_e16, part.tail)))
            .collect(),
        largest: numbers.largest_symbol.as_ref().map(|(_, exposure)| exposure.gross_e16).filter(|gross| *gross > 0),
        tail: numbers.tail,
        faults: numbers.faults.iter().filter(|fault| !is_of_rates(fault)).cloned().collect(),
    }
}

fn check(book: &AccountBook, oracle: &Oracle, config: &BookConfig, what: &str) {
    for account in ACCOUNTS {
        let Some(numbers) = book.numbers(account) else { continue };
        assert_eq!(compared(&numbers), oracle.numbers(config, account), "{what} account {account}");
    }
    for ((holder, instrument), slow) in oracle.positions(config, i64::MAX) {
        let fast =
            book.position(&holder, &instrument).unwrap_or_else(|| panic!("{what}: no {holder:?} {instrument:?}"));
        assert_eq!(
            (i128::from(fast.quantity_e8), fast.realised_e16, fast.funding_e16),
            (slow.quantity, slow.realised, slow.funding),
            "{what} {holder:?} {instrument:?}"
        );
        let fees = |fees: &std::collections::BTreeMap<_, i128>| {
            fees.iter().filter(|(_, fee)| **fee != 0).map(|(c, f)| (std::sync::Arc::clone(c), *f)).collect::<Vec<_>>()
        };
        assert_eq!(fees(&fast.fees_e16), fees(&slow.fees), "{what} {holder:?} {instrument:?}");
    }
}

/// Applies a record to both; what the book calls late must be so.
fn apply(book: &mut AccountBook, oracle: &mut Oracle, event: BookEvent, what: &str) -> Option<Outcome> {
    let outcome = book.apply(event.clone()).ok();
    if let BookEvent::Fill(fill) = &event
        && fill.event_time_ns < book.frozen_ns()
    {
        // One that counted, and comes again.
        let is_known = oracle.original(&fill.holder.account, &fill.instrument, &fill.fill_id) == Some(fill);
        let expected = if is_known { Outcome::Duplicate } else { Outcome::Late };
        assert_eq!(outcome, Some(expected), "{what} {event:?}");
    }
    // What changes a fill that is forgotten waits for nothing.
    if let BookEvent::FillChange { account, instrument, fill_id, .. } = &event
        && outcome == Some(Outcome::Waiting)
        && let Some(fill) = oracle.original(account, instrument, fill_id)
    {
        assert!(fill.event_time_ns < book.frozen_ns(), "{what} {event:?}");
        return outcome;
    }
    if !matches!(outcome, None | Some(Outcome::Late)) {
        oracle.events.push(event);
    } else if let BookEvent::Fill(Fill { holder: Holder { account, .. }, instrument, .. })
    | BookEvent::FillChange { account, instrument, .. } = event
    {
        oracle.lost.insert((account, instrument));
    } else if let BookEvent::Cash(movement) = event {
        oracle.lost_cash.insert(movement.account);
    }
    outcome
}

fn oracle_of_the_market() -> Oracle {
    let references = INSTRUMENTS.iter().map(|known| (instrument(known.0), reference(known.0)));
    Oracle { references: references.collect(), now_ns: START_NS, ..Oracle::default() }
}

fn run(seed: u64, method: CostMethod, steps: usize) {
    let config = BookConfig { cost_method: method, ..config() };
    let (mut book, mut oracle) = (book(config.clone()), oracle_of_the_market());
    let mut market = Market::new(seed);
    let mut counts = [0; 5];
    for step in 0..steps {
        let what = format!("seed {seed} step {step}");
        market.now_ns += market.random.random_range(0..40) * SECOND_NS;
        book.advance(market.now_ns);
        let minute = market.now_ns.div_euclid(MINUTE_NS) * MINUTE_NS;
        let last = oracle.samples.last().copied().unwrap_or(minute - MINUTE_NS);
        oracle.samples.extend(((last + MINUTE_NS)..=minute).step_by(MINUTE_NS as usize));
        oracle.now_ns = market.now_ns;
        let event = market.next();
        match apply(&mut book, &mut oracle, event, &what) {
            None => counts[4] += 1,
            Some(outcome) => counts[outcome as usize] += 1,
        }
        check(&book, &oracle, &config, &what);
        if market.random.random_bool(0.05) {
            let saved = book.save();
            let text = serde_json::to_string(&saved).expect("the state can be written");
            let read = serde_json::from_str(&text).expect("the state can be read");
            book = AccountBook::restore(read);
            assert_eq!(book.save(), saved, "{what}");
            check(&book, &oracle, &config, &format!("{what} restored"));
        }
    }
    let [applied, duplicate, late, waiting, _] = counts;
    assert!(applied > steps / 3 && duplicate > 0 && late > 0, "seed {seed}: {counts:?}");
    assert!(waiting > 0 || steps < 200, "seed {seed}: {counts:?}");
}

#[test]
fn the_book_says_what_recomputing_from_scratch_says() {
    for seed in 0..6 {
        println!("seed {seed}");
        run(seed, if seed % 2 == 0 { CostMethod::Average } else { CostMethod::Fifo }, 250);
    }
}

/// All positions in an order of their own, and the numbers of the accounts.
fn answer(book: &AccountBook) -> (Vec<PositionNumbers>, Vec<Option<AccountNumbers>>) {
    let mut positions: Vec<_> = ACCOUNTS.iter().flat_map(|account| book.positions(account)).collect();
    positions.sort_by_key(|position| (position.holder.clone(), position.instrument.clone()));
    // A position whose only fill was cancelled is known in one order and not in another.
    positions.retain(|position| position.fees_e16.values().any(|fee| *fee != 0) || position.quantity_e8 != 0);
    (positions, ACCOUNTS.iter().map(|account| book.numbers(account)).collect())
}

#[test]
fn the_order_of_arrival_inside_the_horizon_makes_no_difference() {
    for seed in 0..40 {
        println!("seed {seed}");
        let mut market = Market::new(seed);
        let mut events = Vec::new();
        for _ in 0..120 {
            market.now_ns = START_NS + market.random.random_range(0..8 * 60) * SECOND_NS;
            let event = market.next();
            // Which of two says what a minute's mark is after all, is by arrival; the records it comes of are not.
            let is_by_arrival = match &event {
                BookEvent::MinuteMark { .. } | BookEvent::Close { close_e8: None, .. } => true,
                BookEvent::Close { instrument, bar_time_ns, .. } => events.iter().any(|other| {
                    matches!(other, BookEvent::Close { instrument: of, bar_time_ns: at, .. }
                        if of == instrument && at == bar_time_ns)
                }),
                BookEvent::Funding(funding) => events.iter().any(|other| {
                    matches!(other, BookEvent::Funding(of)
                        if of.instrument == funding.instrument && of.event_time_ns == funding.event_time_ns)
                }),
                _ => false,
            };
            if !is_by_arrival {
                events.push(event);
            }
        }
        // Long enough for everything, so that nothing is late.
        let config = BookConfig { horizon_ns: 60 * MINUTE_NS, scenarios: 40, ..config() };
        let mut expected = None;
        for arrival in 0..4 {
            let mut book = book(config.clone());
            events.shuffle(&mut market.random);
            for (at, event) in events.iter().enumerate() {
                let outcome = book.apply(event.clone());
                assert!(!matches!(outcome, Ok(Outcome::Late) | Err(_)), "seed {seed}: {outcome:?} {event:?}");
                // Time goes on while they arrive, sooner or later.
                book.advance(START_NS + ((at * (arrival + 1)) as i64 / 10).min(11) * MINUTE_NS);
            }
            // The first look is at the same time in each.
            book.advance(START_NS + 12 * MINUTE_NS);
            let answer = answer(&book);
            assert_eq!(*expected.get_or_insert_with(|| answer.clone()), answer, "seed {seed} arrival {arrival}");
        }
    }
}

#[test]
fn closing_everything_leaves_nothing_exposed() {
    for seed in 0..30 {
        println!("seed {seed}");
        let mut book = book(config());
        let mut market = Market::new(seed);
        for _ in 0..150 {
            let event = market.next();
            let _ = book.apply(event);
        }
        let open: Vec<PositionNumbers> = ACCOUNTS.iter().flat_map(|account| book.positions(account)).collect();
        for position in open.into_iter().filter(|position| position.quantity_e8 != 0) {
            let mut fill = market.fill();
            (fill.holder, fill.instrument) = (position.holder, position.instrument);
            fill.side = if position.quantity_e8 > 0 { Side::Sell } else { Side::Buy };
            fill.quantity_e8 = position.quantity_e8.abs();
            assert_eq!(book.apply(BookEvent::Fill(fill)), Ok(Outcome::Applied));
        }
        assert_eq!(book.size().open_positions, 0, "seed {seed}");
        for account in ACCOUNTS {
            let Some(numbers) = book.numbers(account) else { continue };
            assert_eq!(numbers.lines.unrealised_e16, Some(0), "seed {seed}");
            assert_eq!(numbers.exposure, Some(Default::default()), "seed {seed}");
            assert_eq!(numbers.tail.map(|tail| tail.historical_var_99_e16), Some(0), "seed {seed}");
            assert_eq!((numbers.largest_symbol, numbers.open_positions), (None, 0), "seed {seed}");
            assert!(numbers.sectors.iter().all(|(_, exposure)| *exposure == Default::default()), "seed {seed}");
        }
    }
}

#[test]
fn sums_over_symbols_and_strategies_are_the_account() {
    for seed in 0..30 {
        println!("seed {seed}");
        let mut book = book(config());
        let mut market = Market::new(seed);
        for _ in 0..200 {
            let mut event = market.next();
            // One currency, so that no rounding of rates comes between.
            if let BookEvent::Fill(fill) = &mut event {
                if !fill.instrument.symbol.ends_with("USDT") {
                    continue;
                }
                fill.fee_currency = "USDT".into();
            }
            let _ = book.apply(event);
        }
        let Some(numbers) = book.numbers("main").filter(|numbers| numbers.exposure.is_some()) else { continue };
        let exposure = numbers.exposure.expect("it was asked for");
        let symbols = INSTRUMENTS.map(|known| book.symbol("main", &instrument(known.0)).expect("all is marked"));
        let sum =
            |list: &mut dyn Iterator<Item = (i128, i128)>| list.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let whole = (exposure.gross_e16, exposure.net_e16);
        assert_eq!(sum(&mut symbols.iter().map(|one| (one.gross_e16, one.net_e16))), whole, "seed {seed}");
        for list in [&numbers.sectors, &numbers.asset_classes, &numbers.venues] {
            assert_eq!(sum(&mut list.iter().map(|(_, one)| (one.gross_e16, one.net_e16))), whole, "seed {seed}");
        }
        let parts: Option<i128> = numbers.strategies.iter().map(|part| part.lines.total_e16()).sum();
        assert_eq!(parts, numbers.lines.total_e16(), "seed {seed}");
        let positions: Vec<PositionNumbers> = book.positions("main").collect();
        let realised: i128 = positions.iter().map(|position| position.realised_e16).sum();
        assert_eq!(Some(realised), numbers.lines.realised_e16, "seed {seed}");
        let largest = symbols.iter().map(|one| one.gross_e16).max().filter(|gross| *gross > 0);
        assert_eq!(numbers.largest_symbol.map(|(_, one)| one.gross_e16), largest, "seed {seed}");
    }
}
