//! Single behaviours of the book, one at a time.

use crate::world::{
    MINUTE_NS, SECOND_NS, START_NS, apply, book, cash, change, close, config, e16, fill, funding, holder, instrument,
    mark, reference, refusal,
};
use tidewheel_risk::book::{AccountBook, AccountNumbers, BookConfig, BookEvent, BookFault, Outcome, Refusal};
use tidewheel_risk::valuation::{Exposure, Mark, MarkSource};
use tidewheel_schemas::{FillChange, format_e16};

fn numbers(book: &AccountBook) -> AccountNumbers {
    book.numbers("main").expect("something was heard of the account")
}

fn text(amount: Option<i128>) -> String {
    amount.map_or("-".to_owned(), format_e16)
}

/// Scenario faults aside: most cases have no closes.
fn faults(book: &AccountBook) -> Vec<BookFault> {
    let is_other = |fault: &BookFault| !matches!(fault, BookFault::Scenarios { .. });
    numbers(book).faults.into_iter().filter(is_other).collect()
}

#[test]
fn a_small_book_line_by_line() {
    let mut book = book(config());
    apply(
        &mut book,
        [
            cash("main", "c1", "USDT", "10000", 0),
            mark("BTCUSDT", "50000", 1),
            BookEvent::Fill(fill("f1 BTCUSDT 0.1@50000 5", 2)),
            funding("BTCUSDT", 100_000_000, "51000", 3),
            BookEvent::Fill(fill("f2 BTCUSDT -0.05@60000 2.5", 4)),
            mark("BTCUSDT", "60000", 5),
        ],
    );
    book.advance(START_NS + 6 * SECOND_NS);
    let now = numbers(&book);
    // 0.1 * 51,000 * 0.0001 is paid, since it is long.
    assert_eq!(text(now.lines.realised_e16), "500");
    assert_eq!(text(now.lines.unrealised_e16), "500");
    assert_eq!(text(now.lines.fees_e16), "7.5");
    assert_eq!(text(now.lines.funding_e16), "-0.51");
    assert_eq!(text(now.lines.total_e16()), "991.99");
    assert_eq!(text(now.cash_e16), "10491.99");
    assert_eq!(text(now.equity_e16), "10991.99");
    assert_eq!(now.exposure, Some(Exposure { gross_e16: e16("3000"), net_e16: e16("3000") }));
    assert_eq!(now.leverage, Some(3000.0 / 10991.99));
    assert_eq!(now.largest_symbol, Some((instrument("BTCUSDT"), now.exposure.expect("all is marked"))));
    assert_eq!(faults(&book), []);
    let position = book.position(&holder("main", "one"), &instrument("BTCUSDT")).expect("it was opened");
    assert_eq!((position.quantity_e8, position.average_price_e8), (5_000_000, Some(5_000_000_000_000)));
    assert_eq!(position.trips.open_e16, e16("491.99"));
}

#[test]
fn a_cancelled_fill_lowers_a_past_peak() {
    let mut book = book(config());
    let lucky = fill("f1 BTCUSDT 1@50000 0", 10);
    apply(
        &mut book,
        [cash("main", "c1", "USDT", "100000", 0), mark("BTCUSDT", "50000", 1), BookEvent::Fill(lucky.clone())],
    );
    book.advance(START_NS + MINUTE_NS);
    apply(&mut book, [mark("BTCUSDT", "60000", 70)]);
    book.advance(START_NS + 2 * MINUTE_NS);
    apply(&mut book, [mark("BTCUSDT", "55000", 130)]);
    book.advance(START_NS + 3 * MINUTE_NS);
    let before = numbers(&book);
    assert_eq!((before.peak_e16, before.equity_e16), (Some(e16("110000")), Some(e16("105000"))));
    assert_eq!(before.drawdown, Some(-5000.0 / 110_000.0));
    apply(&mut book, [change(&lucky, FillChange::Cancel, 200)]);
    let after = numbers(&book);
    assert_eq!((after.peak_e16, after.equity_e16), (Some(e16("100000")), Some(e16("100000"))));
    assert_eq!((after.drawdown, after.max_drawdown), (Some(0.0), Some(0.0)));
    // Once it is behind the horizon nothing changes it any more.
    let late = fill("f2 BTCUSDT 1@50000 0", 100);
    book.advance(START_NS + 30 * MINUTE_NS);
    assert_eq!(book.apply(BookEvent::Fill(late)), Ok(Outcome::Late));
    assert_eq!(book.apply(change(&lucky, FillChange::Cancel, 30 * 60)), Ok(Outcome::Duplicate));
}

#[test]
fn what_has_no_mark_or_a_stale_one_is_a_fault() {
    let mut book = book(config());
    apply(&mut book, [cash("main", "c1", "USDT", "1000", 0), BookEvent::Fill(fill("f1 ADAUSDT 100@0.3 0", 1))]);
    book.advance(START_NS + 10 * SECOND_NS);
    let now = numbers(&book);
    assert_eq!((now.equity_e16, now.exposure, now.drawdown), (None, None, None));
    assert_eq!(text(now.cash_e16), "1000");
    assert_eq!(faults(&book), [BookFault::Unmarked(instrument("ADAUSDT"))]);
    apply(&mut book, [mark("ADAUSDT", "0.31", 11)]);
    assert_eq!((text(numbers(&book).equity_e16).as_str(), faults(&book)), ("1001", vec![]));
    book.advance(START_NS + (11 + 180) * SECOND_NS);
    assert_eq!(faults(&book), []);
    book.advance(START_NS + (11 + 181) * SECOND_NS);
    assert_eq!(faults(&book), [BookFault::StaleMark(instrument("ADAUSDT"))]);
    assert_eq!(text(numbers(&book).equity_e16), "1001");
    // What is closed needs no mark.
    apply(&mut book, [BookEvent::Fill(fill("f2 ADAUSDT -100@0.3 0", 190))]);
    assert_eq!(faults(&book), []);
}

#[test]
fn money_without_a_rate_is_a_fault_and_a_rate_can_be_stale() {
    let mut book = book(config());
    apply(&mut book, [cash("euro", "c1", "EUR", "100", 0), cash("euro", "c2", "BTC", "1", 0)]);
    book.advance(START_NS + SECOND_NS);
    let now = book.numbers("euro").expect("the account has money");
    assert_eq!((now.equity_e16, now.deposits_e16), (None, None));
    assert_eq!(now.faults, [BookFault::NoRate { from: "BTC".into(), to: "EUR".into() }]);
    // Over one hop: 1 BTC is 55,000 USDT, which are 50,000 EUR.
    apply(&mut book, [mark("BTCUSDT", "55000", 1), mark("EURUSDT", "1.1", 2)]);
    let now = book.numbers("euro").expect("the account has money");
    assert_eq!((text(now.equity_e16).as_str(), now.faults), ("50100", vec![]));
    book.advance(START_NS + (1 + 181) * SECOND_NS);
    let now = book.numbers("euro").expect("the account has money");
    assert_eq!(now.faults, [BookFault::StaleRate(instrument("BTCUSDT"))]);
}

#[test]
fn fills_wait_for_reference_data_with_a_fault_and_count_as_if_it_had_been_there() {
    let lost = [BookFault::RefusedFills(instrument("BTCUSDT"))];
    let unknown = Refusal::UnknownInstrument(instrument("BTCUSDT"));
    let first = BookEvent::Fill(fill("f1 BTCUSDT 0.01@50000 0", 1));
    let second = BookEvent::Fill(fill("f2 BTCUSDT 0.02@50000 0", 2));
    let gone = change(&fill("f2 BTCUSDT 0.02@50000 0", 2), FillChange::Cancel, 3);
    let rest = [cash("main", "c1", "USDT", "1000", 0), mark("BTCUSDT", "51000", 1)];

    let mut book = AccountBook::new(config());
    assert_eq!(refusal(&mut book, first.clone()), unknown);
    assert_eq!(book.apply(first.clone()), Ok(Outcome::Duplicate));
    assert_eq!(refusal(&mut book, gone.clone()), unknown);
    assert_eq!(refusal(&mut book, second.clone()), unknown);
    assert_eq!(faults(&book), lost);
    let mut book = AccountBook::restore(book.save());
    assert_eq!(book.accounts_with_lost_fills().count(), 0, "what waits is not lost");
    apply(&mut book, [BookEvent::Reference(reference("BTCUSDT"))]);
    apply(&mut book, rest.clone());

    let mut other = AccountBook::new(config());
    apply(&mut other, [BookEvent::Reference(reference("BTCUSDT")), first, second, gone]);
    apply(&mut other, rest);
    assert_eq!(faults(&book), []);
    assert_eq!(book.numbers("main"), other.numbers("main"));
}

#[test]
fn a_fill_of_a_name_that_is_cancelled_leaves_no_fault() {
    let mut book = book(config());
    apply(&mut book, [cash("main", "c1", "USDT", "1000", 0)]);
    let mistyped = BookEvent::Fill(fill("f1 BTCUSTD 1@50000 0", 1));
    assert!(book.apply(mistyped).is_err());
    assert_eq!(faults(&book), [BookFault::RefusedFills(instrument("BTCUSTD"))]);
    assert!(book.apply(change(&fill("f1 BTCUSTD 1@50000 0", 1), FillChange::Cancel, 2)).is_err());
    assert_eq!(faults(&book), []);
}

#[test]
fn what_waits_for_reference_data_is_not_forgotten_with_the_horizon() {
    let mut book = AccountBook::new(config());
    apply(&mut book, [cash("main", "c1", "USDT", "1000", 0)]);
    assert!(book.apply(BookEvent::Fill(fill("f1 BTCUSDT 0.01@50000 0", 1))).is_err());
    book.advance(START_NS + 10 * config().horizon_ns);
    assert_eq!(faults(&book), [BookFault::RefusedFills(instrument("BTCUSDT"))]);
    let late_s = 10 * config().horizon_ns / SECOND_NS;
    apply(&mut book, [BookEvent::Reference(reference("BTCUSDT")), mark("BTCUSDT", "51000", late_s)]);
    let numbers = book.numbers("main").expect("the account has money");
    assert_eq!((text(numbers.equity_e16).as_str(), faults(&book)), ("1010", vec![]));
}

#[test]
fn a_fill_that_never_counts_stops_its_account_until_somebody_has_seen_to_it() {
    let mut book = book(config());
    apply(&mut book, [cash("main", "c1", "USDT", "1000", 0), mark("BTCUSDT", "50000", 1)]);
    let early = BookEvent::Fill(fill("f1 BTCUSDT 0.01@50000 0", 1));
    apply(&mut book, [early.clone()]);
    let later_s = 2 * config().horizon_ns / SECOND_NS;
    book.advance(START_NS + 2 * config().horizon_ns);
    apply(&mut book, [mark("BTCUSDT", "50000", later_s)]);
    // One that counted and comes again is no news, long after.
    assert_eq!(book.apply(early), Ok(Outcome::Duplicate));
    assert_eq!(faults(&book), []);
    let lost = [BookFault::RefusedFills(instrument("BTCUSDT"))];
    for late in [
        BookEvent::Fill(fill("f2 BTCUSDT 0.01@50000 0", 1)),
        change(&fill("f1 BTCUSDT 0.01@50000 0", 1), FillChange::Cancel, 1),
    ] {
        assert_eq!(book.apply(late), Ok(Outcome::Late));
        assert_eq!(faults(&book), lost);
        book = AccountBook::restore(book.save());
        assert_eq!(book.accounts_with_lost_fills().map(|name| &**name).collect::<Vec<_>>(), ["main"]);
        assert_eq!(book.clear_lost("main"), 1);
        assert_eq!(faults(&book), []);
    }
    // Another fill of the same name, too: nobody knows which is right.
    let seconds = later_s + 1;
    apply(&mut book, [BookEvent::Fill(fill("f3 BTCUSDT 0.01@50000 0", seconds))]);
    let other = BookEvent::Fill(fill("f3 BTCUSDT 0.02@50000 0", seconds));
    assert_eq!(refusal(&mut book, other), Refusal::Conflict("fill"));
    assert_eq!(faults(&book), lost);
}

#[test]
fn cash_that_never_counts_stops_its_account_until_somebody_has_seen_to_it() {
    let mut book = book(config());
    let early = cash("main", "c1", "USDT", "1000", 0);
    apply(&mut book, [early.clone()]);
    book.advance(START_NS + 2 * config().horizon_ns);
    let mut book = AccountBook::restore(book.save());
    // What counted and comes again is no news, long after.
    assert_eq!(book.apply(early), Ok(Outcome::Duplicate));
    assert_eq!(faults(&book), []);
    // A withdrawal that came too late, and another one under a name that is taken.
    let later_s = 2 * config().horizon_ns / SECOND_NS + 1;
    apply(&mut book, [cash("main", "c3", "USDT", "10", later_s)]);
    let lost = [cash("main", "c2", "USDT", "-900", 1), cash("main", "c3", "USDT", "-900", later_s)];
    let outcomes = [Ok(Outcome::Late), Err(Refusal::Conflict("movement"))];
    for (movement, outcome) in lost.into_iter().zip(outcomes) {
        assert_eq!(book.apply(movement), outcome);
        assert_eq!(faults(&book), [BookFault::RefusedCash]);
        book = AccountBook::restore(book.save());
        assert_eq!(book.accounts_with_lost_fills().map(|name| &**name).collect::<Vec<_>>(), ["main"]);
        assert_eq!(book.clear_lost("main"), 1);
        assert_eq!(faults(&book), []);
    }
}

#[test]
fn other_sectors_and_other_marks_value_anew() {
    let mut book = book(config());
    apply(
        &mut book,
        [
            cash("main", "c1", "USDT", "1000", 0),
            BookEvent::Fill(fill("f1 ADAUSDT 100@0.3 0", 1)),
            mark("ADAUSDT", "0.4", 2),
        ],
    );
    let exposure = Exposure { gross_e16: e16("40"), net_e16: e16("40") };
    let sectors = |book: &AccountBook| {
        let held = numbers(book).sectors.into_iter().filter(|(_, exposure)| exposure.gross_e16 != 0);
        held.map(|(sector, exposure)| (sector.to_string(), exposure)).collect::<Vec<_>>()
    };
    assert_eq!(sectors(&book), [("layer1".to_owned(), exposure)]);
    let mut moved = reference("ADAUSDT");
    moved.sector = "defi".into();
    apply(&mut book, [BookEvent::Reference(moved.clone())]);
    assert_eq!(sectors(&book), [("defi".to_owned(), exposure)]);
    moved.multiplier_e8 = 1;
    let refused = refusal(&mut book, BookEvent::Reference(moved));
    assert_eq!(refused, Refusal::ReferenceInUse(instrument("ADAUSDT")));

    let venue = Mark { event_time_ns: START_NS, sequence: 0, price_e8: 50_000_000 };
    apply(&mut book, [BookEvent::Mark { instrument: instrument("ADAUSDT"), source: MarkSource::Venue, mark: venue }]);
    assert_eq!(numbers(&book).exposure, Some(exposure));
    book.set_marks(MarkSource::Venue, MINUTE_NS);
    assert_eq!(text(numbers(&book).equity_e16), "1020");
    book.set_marks(MarkSource::Mid, MINUTE_NS);
    assert_eq!(faults(&book), [BookFault::Unmarked(instrument("ADAUSDT"))]);
}

#[test]
fn a_corrected_minute_takes_its_mark_back() {
    let mut book = book(config());
    apply(
        &mut book,
        [
            cash("main", "c1", "USDT", "1000", 0),
            BookEvent::Fill(fill("f1 ADAUSDT 100@0.3 0", 1)),
            mark("ADAUSDT", "0.4", 2),
        ],
    );
    book.advance(START_NS + MINUTE_NS);
    apply(&mut book, [mark("ADAUSDT", "0.9", 61)]);
    book.advance(START_NS + 2 * MINUTE_NS);
    assert_eq!(numbers(&book).peak_e16, Some(e16("1060")));
    let minute_end_ns = START_NS + 2 * MINUTE_NS;
    let (instrument, source) = (instrument("ADAUSDT"), MarkSource::Trade);
    apply(&mut book, [BookEvent::MinuteMark { instrument, source, minute_end_ns, mark: None }]);
    assert_eq!((text(numbers(&book).equity_e16).as_str(), numbers(&book).peak_e16), ("1010", Some(e16("1010"))));
}

#[test]
fn a_change_waits_for_its_fill_but_not_for_ever() {
    let mut book = book(config());
    let (one, two) = (fill("f1 ADAUSDT 100@0.3 0", 30), fill("f2 ADAUSDT 100@0.3 0", 31));
    apply(&mut book, [mark("ADAUSDT", "0.3", 1)]);
    for fill in [&one, &two] {
        assert_eq!(book.apply(change(fill, FillChange::Cancel, 32)), Ok(Outcome::Waiting));
    }
    apply(&mut book, [BookEvent::Fill(one)]);
    assert_eq!(numbers(&book).open_positions, 0);
    assert_eq!(book.advance(START_NS + 5 * MINUTE_NS), []);
    let expired = book.advance(START_NS + 12 * MINUTE_NS);
    assert_eq!(expired.iter().map(|change| &*change.fill_id).collect::<Vec<_>>(), ["f2"]);
    assert_eq!(book.size().fill_ids, 0);
}

#[test]
fn contributions_add_up_to_the_value_at_risk() {
    let mut book = book(BookConfig { scenarios: 60, ..config() });
    let mut events =
        vec![cash("main", "c1", "USDT", "100000", 0), mark("BTCUSDT", "50000", 1), mark("ADAUSDT", "0.3", 1)];
    for minute in 0..50 {
        // Two prices that go their ways, the second at times against the first.
        let (one, two) = (50_000 + (minute * 37) % 11 * 100, 300 + (minute * 53) % 7 * 3 - (minute * 37) % 11);
        events.push(close("BTCUSDT", &format!("{one}"), minute));
        events.push(close("ADAUSDT", &format!("0.{two}"), minute));
    }
    events.push(BookEvent::Fill(fill("f1 BTCUSDT 1@50000 0", 2)));
    events.push(BookEvent::Fill(fill("f2 ADAUSDT -100000@0.3 0", 3)));
    apply(&mut book, events);
    let tail = numbers(&book).tail.expect("there are scenarios enough");
    assert_eq!(tail.scenarios, 49);
    let components = book.components("main").expect("there are scenarios enough");
    assert_eq!(components.len(), 2);
    let sum: f64 = components.iter().map(|component| component.parametric_var_95).sum();
    assert!((sum - tail.parametric_var_95).abs() < 1e-9 * tail.parametric_var_95, "{sum} {tail:?}");
    let sum: f64 = components.iter().map(|component| component.parametric_var_99).sum();
    assert!((sum - tail.parametric_var_99).abs() < 1e-9 * tail.parametric_var_99, "{sum} {tail:?}");
    let sum: i128 = components.iter().map(|component| component.historical_var_95_e16).sum();
    assert_eq!(sum, tail.historical_var_95_e16);
    // A strategy that is all of the account could lose the same.
    assert_eq!(numbers(&book).strategies[0].tail, Some(tail));
}

#[test]
fn the_state_is_bounded_by_the_horizon() {
    let mut book = book(config());
    let mut largest = book.size();
    for minute in 0..200 {
        let seconds = minute * 60;
        let text = format!("f{minute} ADAUSDT {}@0.3 0", if minute % 2 == 0 { 1 } else { -1 });
        apply(&mut book, [mark("ADAUSDT", "0.3", seconds), BookEvent::Fill(fill(&text, seconds + 1))]);
        apply(&mut book, [cash("main", &format!("c{minute}"), "USDT", "1", seconds)]);
        book.advance(START_NS + (seconds + 30) * SECOND_NS);
        let size = book.size();
        largest.entries = largest.entries.max(size.entries);
        largest.fill_ids = largest.fill_ids.max(size.fill_ids);
        largest.marks = largest.marks.max(size.marks);
        largest.samples = largest.samples.max(size.samples);
    }
    assert!(largest.entries <= 12 && largest.fill_ids <= 12, "{largest:?}");
    assert!(largest.marks <= 13 && largest.samples <= 12, "{largest:?}");
    assert_eq!(text(numbers(&book).equity_e16), "200");
}

/// A price that became the fifteenfold is the worst there is for who is short, and no reason to leave the scenario out.
#[test]
fn a_return_beyond_the_limit_is_a_scenario_at_the_limit() {
    let mut book = book(BookConfig { scenarios: 60, ..config() });
    let mut events = vec![cash("main", "c1", "USDT", "1000", 0), mark("ADAUSDT", "1", 1)];
    events.push(BookEvent::Fill(fill("f1 ADAUSDT -1@1 0", 2)));
    for minute in 0..12 {
        events.push(close("ADAUSDT", if minute < 6 { "1" } else { "15" }, minute));
    }
    apply(&mut book, events);
    let tail = book.numbers("main").and_then(|numbers| numbers.tail).expect("there are scenarios enough");
    assert_eq!((tail.scenarios, tail.historical_var_95_e16), (11, e16("10")));
}

#[test]
fn ids_that_are_numbers_count_by_size_within_a_time() {
    let mut book = book(config());
    apply(
        &mut book,
        [
            mark("ADAUSDT", "0.3", 1),
            BookEvent::Fill(fill("7 ADAUSDT 1@50 0", 2)),
            BookEvent::Fill(fill("100 ADAUSDT -1@110 0", 3)),
            BookEvent::Fill(fill("99 ADAUSDT 1@100 0", 3)),
        ],
    );
    let position = book.position(&holder("main", "one"), &instrument("ADAUSDT")).expect("it was opened");
    // The average of 50 and 100 was sold at 110.
    assert_eq!(position.realised_e16, e16("35"));
}
