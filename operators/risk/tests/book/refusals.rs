//! Bad records: refused with a reason, and the book is as it was.

use crate::world::{
    START_NS, apply, book, cash, change, close, config, e16, fill, funding, holder, instrument, mark, refusal,
};
use tidewheel_risk::book::{AccountBook, BookEvent, BookFault, Outcome, Refusal};
use tidewheel_risk::positions::OutOfRange;
use tidewheel_risk::valuation::MarkSource;
use tidewheel_schemas::{Fill, FillChange, Side};

fn started() -> AccountBook {
    let mut book = book(config());
    apply(
        &mut book,
        [
            cash("main", "c1", "USDT", "1000", 0),
            mark("ADAUSDT", "0.3", 1),
            BookEvent::Fill(fill("f1 ADAUSDT 100@0.3 0", 2)),
            funding("ADAUSDT", 1_000_000, "0.3", 3),
        ],
    );
    book.advance(START_NS + 60_000_000_000);
    book
}

/// The record is refused for the reason, and nothing that is kept or said has changed.
fn check(event: BookEvent, reason: &Refusal) {
    let mut book = started();
    let before = (book.save(), book.numbers("main"));
    assert_eq!(refusal(&mut book, event.clone()), *reason, "{event:?}");
    // But for the fault of a fill, or of cash, that does not count.
    let is_of_the_account = match &event {
        BookEvent::Fill(_) | BookEvent::FillChange { .. } => true,
        BookEvent::Cash(movement) => &*movement.account == "main",
        _ => false,
    };
    assert_eq!(book.clear_lost("main"), usize::from(is_of_the_account), "{event:?}");
    assert_eq!((book.save(), book.numbers("main")), before, "{event:?}");
}

#[test]
fn absurd_fills() {
    let with = |edit: &dyn Fn(&mut Fill)| {
        let mut fill = fill("f9 ADAUSDT 1@0.3 0", 4);
        edit(&mut fill);
        BookEvent::Fill(fill)
    };
    check(with(&|fill| fill.quantity_e8 = 0), &Refusal::NotPositive("quantity"));
    check(with(&|fill| fill.quantity_e8 = i64::MIN), &Refusal::NotPositive("quantity"));
    check(with(&|fill| fill.price_e8 = -1), &Refusal::NotPositive("price"));
    check(with(&|fill| fill.price_e8 = i64::MAX), &OutOfRange("price").into());
    check(with(&|fill| fill.quantity_e8 = i64::MAX), &OutOfRange("quantity").into());
    check(
        with(&|fill| (fill.quantity_e8, fill.price_e8) = (10i64.pow(15), 10i64.pow(14))),
        &OutOfRange("price times quantity").into(),
    );
    check(with(&|fill| fill.fee_e8 = i64::MIN), &OutOfRange("fee").into());
    check(with(&|fill| fill.fill_id = "".into()), &Refusal::Missing("fill id"));
    check(with(&|fill| fill.holder.strategy = "".into()), &Refusal::Missing("strategy"));
    check(with(&|fill| fill.fill_id = "f1".into()), &Refusal::Conflict("fill"));
}

#[test]
fn absurd_changes() {
    let known = fill("f1 ADAUSDT 100@0.3 0", 2);
    let other = fill("f1 BTCUSDT 1@50000 0", 2);
    let correct = |fill: &Fill| FillChange::Correct { fill: Box::new(fill.clone()), sequence: 1 };
    check(change(&known, correct(&other), 5), &Refusal::OtherFill);
    let worthless = Fill { quantity_e8: 0, ..known.clone() };
    check(change(&known, correct(&worthless), 5), &Refusal::NotPositive("quantity"));
    // Another correction of the same sequence.
    let mut book = started();
    let (one, two) = (Fill { fee_e8: 1, ..known.clone() }, Fill { fee_e8: 2, ..known.clone() });
    apply(&mut book, [change(&known, correct(&one), 5)]);
    assert_eq!(book.apply(change(&known, correct(&one), 6)), Ok(Outcome::Duplicate));
    assert_eq!(refusal(&mut book, change(&known, correct(&two), 7)), Refusal::Conflict("correction"));
}

#[test]
fn absurd_markets_and_money() {
    check(mark("ADAUSDT", "0", 4), &Refusal::NotPositive("mark"));
    check(mark("ADAUSDT", "10000000000", 4), &OutOfRange("mark").into());
    check(close("ADAUSDT", "-1", 1), &Refusal::NotPositive("close"));
    let bar_time_ns = START_NS + 1;
    check(
        BookEvent::Close { instrument: instrument("ADAUSDT"), bar_time_ns, close_e8: Some(1) },
        &Refusal::Misaligned("bar time"),
    );
    let (source, minute_end_ns) = (MarkSource::Trade, START_NS + 1);
    check(
        BookEvent::MinuteMark { instrument: instrument("ADAUSDT"), source, minute_end_ns, mark: None },
        &Refusal::Misaligned("minute"),
    );
    check(funding("ADAUSDT", 1, "0", 4), &Refusal::NotPositive("mark price"));
    check(funding("ADAUSDT", i64::MAX, "1", 4), &OutOfRange("rate").into());
    check(funding("ADAUSDT", 2_000_000, "0.3", 3), &Refusal::Conflict("funding payment"));
    check(cash("main", "c2", "USDT", "0", 4), &Refusal::NotPositive("amount"));
    check(cash("main", "c2", "", "1", 4), &Refusal::Missing("currency"));
    check(cash("main", "c2", "USDT", "-92233720368.54775807", 4), &OutOfRange("amount").into());
    check(cash("main", "c1", "USDT", "1001", 0), &Refusal::Conflict("movement"));
}

#[test]
fn a_worth_out_of_range_leaves_its_position_unmarked_and_the_mark_counts_for_all_others() {
    let mut book = started();
    let absurd = Fill { holder: holder("absurd", "one"), ..fill("f2 ADAUSDT 60000000000@0.3 0", 5) };
    apply(&mut book, [BookEvent::Fill(absurd.clone())]);
    book.advance(START_NS + 120_000_000_000);
    // 60 thousand million times 9 thousand million is beyond a hundred trillion.
    apply(&mut book, [mark("ADAUSDT", "9000000000", 121)]);
    let faults = |book: &AccountBook, account: &str| {
        let faults = book.numbers(account).expect("something was heard of the account").faults;
        faults.into_iter().filter(|fault| !matches!(fault, BookFault::Scenarios { .. })).collect::<Vec<_>>()
    };
    let unmarked = [BookFault::Unmarked(instrument("ADAUSDT"))];
    assert_eq!((faults(&book, "main"), faults(&book, "absurd")), (vec![], unmarked.to_vec()));
    let gross = book.numbers("main").and_then(|numbers| numbers.exposure).expect("it is marked").gross_e16;
    assert_eq!(gross, e16("9000000000") * 100);
    let again = AccountBook::restore(book.save());
    assert_eq!(again.numbers("absurd"), book.numbers("absurd"));
    // What was traded counts whatever it is worth, and a payment that does not fit stops no other.
    let (fill_id, quantity_e8) = ("f3".into(), absurd.quantity_e8 / 6);
    let more = Fill { fill_id, quantity_e8, event_time_ns: START_NS + 122_000_000_000, ..absurd.clone() };
    let less = Fill { fill_id: "f4".into(), side: Side::Sell, ..more.clone() };
    apply(&mut book, [BookEvent::Fill(more), BookEvent::Fill(less), funding("ADAUSDT", 100, "9000000000", 123)]);
    let paid = book.numbers("main").and_then(|numbers| numbers.lines.funding_e16);
    assert!(paid.is_some_and(|paid| paid < e16("-89")), "{paid:?}");
    assert!(faults(&book, "absurd").contains(&unmarked[0]));
    apply(&mut book, [mark("ADAUSDT", "0.3", 124)]);
    assert_eq!(faults(&book, "main"), []);
    let again = AccountBook::restore(book.save());
    assert_eq!(again.numbers("absurd"), book.numbers("absurd"));
}
