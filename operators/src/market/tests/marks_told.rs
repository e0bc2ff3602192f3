//! What risk is told of markets: by hand.

use super::{MINUTE_NS, header, level, record};
use crate::market::{MarketConfig, MarketLedger};
use crate::risk::MarketChange;
use tidewheel_schemas::{Funding, Mark, MarketContent, MarketRecord, Quote, SECOND_NS};

fn quote(second: i64, position: u64, bid: f64, ask: f64) -> MarketRecord {
    let (bid, ask) = (Some(level(bid, 1.0)), Some(level(ask, 1.0)));
    record(second * SECOND_NS, position, MarketContent::Quote(Quote { update_id: Some(position), bid, ask }))
}

fn mark(second: i64, position: u64, price: Option<f64>) -> MarketRecord {
    let mark = Mark { mark_price_e8: price.map(|price| level(price, 0.0).price_e8), ..Mark::default() };
    record(second * SECOND_NS, position, MarketContent::Mark(mark))
}

fn funding(second: i64, position: u64, mark_price_e8: Option<i64>) -> MarketRecord {
    record(second * SECOND_NS, position, MarketContent::Funding(Funding { rate_e8: 10_000, mark_price_e8 }))
}

/// As `mid 2m 100.5@60s`: source, end of the minute, price and time; prices of prints as `print mid 100.5@60s`.
fn texts(told: &[MarketChange]) -> Vec<String> {
    let price = |e8: i128| e8 as f64 / 1e8;
    let told = told.iter().map(|change| match change {
        MarketChange::Mark { source, minute_end_ns, mark, .. } => {
            let mark = mark.map(|mark| format!("{}@{}s", price(mark.price_e8.into()), mark.event_time_ns / SECOND_NS));
            format!("{source:?} {}m {}", minute_end_ns / MINUTE_NS, mark.unwrap_or_else(|| "none".to_owned()))
        }
        MarketChange::Print(print) => {
            format!("print {:?} {}@{}s", print.source, price(print.print.value), print.print.time_ns / SECOND_NS)
        }
        MarketChange::Funding(funding) => format!("funding {:?}", funding.mark_price_e8.map(|e8| price(e8.into()))),
        MarketChange::Counts(counts) => format!("counts {} {}", counts.all, counts.rejected),
    });
    told.collect()
}

#[test]
fn a_quote_that_is_told_again_is_no_other_price_and_moves_no_mark() {
    let mut ledger = MarketLedger::new(MarketConfig { tells: true, ..MarketConfig::default() });
    let mut tick = |number: u64, records: Vec<MarketRecord>| {
        texts(&ledger.apply(&header(number, i64::MIN, i64::MIN), records).told)
    };
    let again = |second, first: &MarketRecord| MarketRecord {
        event_time_ns: second * SECOND_NS,
        position: first.position + 100,
        ..first.clone()
    };
    let (first, second) = (quote(61, 1, 90.0, 91.0), quote(62, 2, 100.0, 101.0));
    let told = tick(1, vec![first.clone(), second.clone()]);
    assert_eq!(told, ["Mid 2m 100.5@62s", "Venue 2m none", "print Mid 90.5@61s", "print Mid 100.5@62s", "counts 2 0"]);
    // In its minute, and in the one after it: there nothing is left of it.
    assert_eq!(tick(2, vec![again(63, &first)]), ["Mid 2m 100.5@62s", "Venue 2m none", "counts 1 0"]);
    let told = tick(3, vec![again(121, &second)]);
    assert_eq!(told, ["Mid 3m none", "Venue 3m none", "counts 1 0"]);
    // The first to come may be the one of the later time: once the other is there it has moved into the minute before.
    let third = quote(130, 3, 80.0, 81.0);
    assert_eq!(tick(4, vec![third.clone()])[..3], ["Mid 3m 80.5@130s", "Venue 3m none", "print Mid 80.5@130s"]);
    let told = tick(5, vec![again(119, &third)]);
    assert_eq!(told, ["Mid 2m 80.5@119s", "Venue 2m none", "Mid 3m none", "Venue 3m none", "counts 1 0"]);
    // Without a time of the venue its numbers tell the order.
    let timeless =
        |second, position, bid: f64| MarketRecord { is_timeless: true, ..quote(second, position, bid, bid + 1.0) };
    let told = tick(6, vec![timeless(181, 8, 70.0), timeless(182, 7, 60.0)]);
    assert_eq!(told[..2], ["Mid 4m 70.5@182s", "Venue 4m none"]);
    // One without a number is another each time.
    let nameless = |second, position| {
        let mut record = quote(second, position, 50.0, 51.0);
        if let MarketContent::Quote(quote) = &mut record.content {
            quote.update_id = None;
        }
        record
    };
    let told = tick(7, vec![nameless(241, 9), nameless(242, 10)]);
    assert_eq!(told[2..], ["print Mid 50.5@241s", "print Mid 50.5@242s", "counts 2 0"]);
    // A mark is told in parts, each with the price or not.
    let part = |position, index_price_e8| {
        let mut record = mark(250, position, Some(49.0));
        if let MarketContent::Mark(mark) = &mut record.content {
            mark.index_price_e8 = index_price_e8;
        }
        record
    };
    let told = tick(8, vec![part(11, None), part(12, Some(1))]);
    assert_eq!(told, ["Mid 5m 50.5@242s", "Venue 5m 49@250s", "print Venue 49@250s", "counts 2 0"]);
}

#[test]
fn the_last_mid_and_mark_of_a_minute_are_told_whatever_came_last() {
    let mut ledger = MarketLedger::new(MarketConfig { tells: true, ..MarketConfig::default() });
    let mut tick = |number: u64, records: Vec<MarketRecord>| {
        texts(&ledger.apply(&header(number, i64::MIN, i64::MIN), records).told)
    };
    let told = tick(1, vec![quote(62, 2, 100.0, 101.0), quote(61, 1, 90.0, 91.0), mark(63, 3, Some(100.2))]);
    let prints = ["print Mid 90.5@61s", "print Mid 100.5@62s", "print Venue 100.2@63s"];
    assert_eq!(told[..2], ["Mid 2m 100.5@62s", "Venue 2m 100.2@63s"]);
    assert_eq!(told[2..5], prints);
    assert_eq!(told[5..], ["counts 3 0"]);
    // One that crosses says nothing, a late one changes no minute's last, and what came before is counted no more.
    let told = tick(2, vec![quote(70, 5, 102.0, 101.0), quote(60, 4, 10.0, 11.0), quote(62, 2, 100.0, 101.0)]);
    assert_eq!(told, ["Mid 2m 100.5@62s", "Venue 2m 100.2@63s", "print Mid 10.5@60s", "counts 2 0"]);
    // Funding is on the venue's word, or on the mark it told last by then: one without a price is none.
    let told = tick(3, vec![funding(120, 6, Some(7_700_000_000)), mark(119, 7, None), mark(150, 8, Some(99.0))]);
    assert_eq!(told.last().map(String::as_str), Some("counts 3 0"));
    assert!(told.contains(&"funding Some(77.0)".to_owned()), "{told:?}");
    let told = tick(4, vec![funding(121, 9, None)]);
    assert_eq!(told, ["funding None", "counts 1 0"], "its price is for marks to tell, whenever they come");
    let told = tick(5, vec![funding(10, 10, None), funding(121, 11, Some(1))]);
    assert_eq!(told, ["funding None", "counts 2 1"], "a second one of a time is a conflict");
}
