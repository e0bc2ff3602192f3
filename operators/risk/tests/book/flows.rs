//! Money that comes and goes: no profit, no loss, and no cloak for either.

use crate::world::{MINUTE_NS, SECOND_NS, START_NS, apply, book, cash, config, e16, fill, mark};
use tidewheel_risk::book::{AccountBook, AccountNumbers, BookConfig, BookEvent, BookFault};

fn numbers(book: &AccountBook) -> AccountNumbers {
    book.numbers("main").expect("something was heard of the account")
}

fn daily_loss(book: &AccountBook) -> f64 {
    let numbers = numbers(book);
    let (base, equity) = numbers.day_base_e16.zip(numbers.equity_e16).expect("all is valued");
    (base - equity) as f64 / base as f64
}

/// An account that began the day, a quarter of an hour after the start, with 1,000 and lost some of it since in a coin that cost one.
fn after_a_loss(price: &str) -> AccountBook {
    let mut book = book(BookConfig { horizon_ns: 60 * MINUTE_NS, ..config() });
    let bought = BookEvent::Fill(fill("f1 ADAUSDT 500@1 0", 2));
    apply(&mut book, [cash("main", "c1", "USDT", "1000", 0), mark("ADAUSDT", "1", 1), bought]);
    book.advance(START_NS + 15 * MINUTE_NS + SECOND_NS);
    apply(&mut book, [mark("ADAUSDT", price, 15 * 60 + 2)]);
    book.advance(START_NS + 20 * MINUTE_NS);
    book
}

#[test]
fn what_waits_for_a_rate_over_minutes_is_no_profit_when_the_rate_comes() {
    let mut book = after_a_loss("0.7");
    let before = numbers(&book);
    assert_eq!((before.drawdown, before.day_profit_e16), (Some(-0.15), Some(e16("-150"))));
    apply(&mut book, [cash("main", "c2", "BTC", "1", 20 * 60 + 1)]);
    for minute in [21, 22] {
        book.advance(START_NS + minute * MINUTE_NS + SECOND_NS);
        assert_eq!(numbers(&book).equity_e16, None, "there is no rate");
    }
    apply(&mut book, [mark("BTCUSDT", "60000", 22 * 60 + 2), mark("ADAUSDT", "0.7", 22 * 60 + 2)]);
    for second in [22 * 60 + 3, 23 * 60 + 3] {
        book.advance(START_NS + second * SECOND_NS);
        let after = numbers(&book);
        assert_eq!(after.equity_e16, Some(e16("60850")), "{second}");
        assert_eq!(after.day_profit_e16, Some(e16("-150")), "{second}");
        let drawdown = after.drawdown.expect("all is valued");
        assert!((drawdown + 0.15).abs() < 1e-12, "{second}: {drawdown}");
        assert!((daily_loss(&book) - 0.15).abs() < 1e-12, "{second}");
    }
    // Behind the horizon as inside it, and over restarts.
    let mut waiting = after_a_loss("0.7");
    apply(&mut waiting, [cash("main", "c2", "BTC", "1", 20 * 60 + 1)]);
    for minute in [21, 50, 100, 160] {
        waiting.advance(START_NS + minute * MINUTE_NS);
        let saved = serde_json::to_string(&waiting.save()).expect("the state can be written");
        waiting = AccountBook::restore(serde_json::from_str(&saved).expect("the state can be read"));
    }
    apply(&mut waiting, [mark("BTCUSDT", "60000", 160 * 60), mark("ADAUSDT", "0.7", 160 * 60)]);
    waiting.advance(START_NS + 161 * MINUTE_NS);
    let after = numbers(&waiting);
    assert_eq!((after.equity_e16, after.day_profit_e16), (Some(e16("60850")), Some(e16("-150"))));
    assert!((after.drawdown.expect("all is valued") + 0.15).abs() < 1e-12);
}

#[test]
fn neither_a_withdrawal_nor_a_deposit_changes_the_share_that_the_day_lost() {
    for amount in ["-800", "-100", "500", "100000"] {
        let mut book = after_a_loss("0.92");
        assert!((daily_loss(&book) - 0.04).abs() < 1e-12);
        apply(&mut book, [cash("main", "c2", "USDT", amount, 20 * 60 + 1)]);
        for second in [20 * 60 + 2, 21 * 60 + 2] {
            book.advance(START_NS + second * SECOND_NS);
            assert!((daily_loss(&book) - 0.04).abs() < 1e-12, "{amount}: {}", daily_loss(&book));
            assert_eq!(numbers(&book).day_profit_e16, Some(e16("-40")), "{amount}");
        }
    }
}

#[test]
fn another_beginning_of_days_hides_no_loss() {
    // To an hour that is over, to one that is to come, and to one inside the horizon.
    for offset_minutes in [0, 5, 10, 16, 60, 23 * 60] {
        for minutes in [20, 200] {
            let mut book = after_a_loss("0.9");
            book.advance(START_NS + minutes * MINUTE_NS);
            assert_eq!(numbers(&book).day_profit_e16, Some(e16("-50")));
            book.set_day_offset(offset_minutes * MINUTE_NS);
            let expected = match offset_minutes {
                // The day that began after the loss, as the samples inside the horizon tell.
                16 if minutes == 20 => "0",
                _ => "-50",
            };
            assert_eq!(numbers(&book).day_profit_e16, Some(e16(expected)), "{offset_minutes} {minutes}");
            let again = AccountBook::restore(book.save());
            assert_eq!(again.numbers("main"), book.numbers("main"), "{offset_minutes} {minutes}");
        }
    }
}

#[test]
fn a_sample_that_does_not_fit_is_a_fault_and_its_flows_are_not_lost() {
    let mut book = book(config());
    apply(&mut book, [cash("main", "c1", "USDT", "1000", 0)]);
    book.advance(START_NS + MINUTE_NS);
    let marks = |seconds| ["BTCUSDT", "EURUSDT"].map(|symbol| mark(symbol, "9000000000", seconds));
    apply(&mut book, marks(61));
    // A number above 10^38 each, of which one fits and two do not.
    let moved = |sign: &str, seconds| {
        let of = |at: usize| {
            let amount = format!("{sign}9999999999");
            ["BTC", "EUR"].map(|currency| cash("main", &format!("{sign}{currency}{at}"), currency, &amount, seconds))
        };
        (0..130).flat_map(of).collect::<Vec<_>>()
    };
    apply(&mut book, moved("", 62));
    book.advance(START_NS + 2 * MINUTE_NS + SECOND_NS);
    let now = numbers(&book);
    assert_eq!((now.equity_e16, now.faults), (None, vec![BookFault::OutOfRange]));
    apply(&mut book, moved("-", 122));
    book.advance(START_NS + 3 * MINUTE_NS + SECOND_NS);
    let now = numbers(&book);
    assert_eq!((now.equity_e16, now.day_profit_e16, now.drawdown), (Some(e16("1000")), Some(0), Some(0.0)));
    assert_eq!(now.faults, [BookFault::OutOfRange], "a sample is not known");
    apply(&mut book, marks(180));
    book.advance(START_NS + 12 * MINUTE_NS + SECOND_NS);
    assert_eq!(numbers(&book).faults, []);
}
