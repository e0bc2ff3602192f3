//! Cases worked by hand: which updates follow, gaps and their ends, what leaves hold, what is a duplicate and what a conflict.

use super::{MINUTE_NS, change, header, level, levels, record, snapshot};
use crate::features::MarketBar;
use crate::market::{BookState, GapKind, MarketConfig, MarketLeaf, MarketLedger, MarketOutcome, Touch};
use tidewheel_schemas::{
    AggressorSide, BookUpdate, Funding, Liquidation, Mark, MarketContent, MarketRecord, Quote, RejectReason, SECOND_NS,
};

pub fn ledger() -> MarketLedger {
    MarketLedger::new(MarketConfig { archive: true, is_saved: false, has_leaves: true, tells: false })
}

/// Updates at seconds, all in one tick, whose minute has ended: the state of the book, its touch, and the gaps.
fn fold(updates: &[BookUpdate]) -> (BookState, Option<String>, Vec<(GapKind, u64)>) {
    let records =
        (0..).zip(updates).map(|(at, update)| record(at as i64 * SECOND_NS, at, MarketContent::Book(update.clone())));
    let mut ledger = ledger();
    let outcome = ledger.apply(&header(1, i64::MIN, MINUTE_NS), records.collect());
    let book = outcome.leaves[0].leaf.expect("a leaf").book.expect("a book");
    let touch = book.touches.last.sides().map(|(bid, ask)| {
        let text = |level: tidewheel_schemas::Level| {
            format!("{}x{}", level.price_e8 as f64 / 1e8, level.quantity_e8 as f64 / 1e8)
        };
        format!("{} {}", text(bid), text(ask))
    });
    (book.close.state, touch, outcome.gaps.iter().map(|gap| (gap.kind, gap.sequence)).collect())
}

fn check(updates: &[BookUpdate], state: BookState, touch: Option<&str>, gaps: &[(GapKind, u64)]) {
    let found = fold(updates);
    assert_eq!(found, (state, touch.map(str::to_owned), gaps.to_vec()), "{updates:?}");
}

#[test]
fn changes_follow_by_the_rules_of_spot() {
    let begin = snapshot(100, "99x1 98x2", "101x1 102x2");
    // The first may begin before the snapshot, and what ends before it is part of it; one of its own number too.
    let first = change(98, 101, None, "99x5", "");
    check(&[begin.clone(), first.clone()], BookState::Valid, Some("99x5 101x1"), &[]);
    let within = [change(90, 97, None, "99x7", ""), change(98, 100, None, "99x8", "")];
    check(&[within[0].clone(), within[1].clone(), begin.clone()], BookState::Valid, Some("99x1 101x1"), &[]);
    // One more follows, whatever order they come in; a level of no quantity goes, an unknown one is ignored.
    let second = change(102, 104, None, "99x0 50x0", "100.5x3");
    check(&[second.clone(), first.clone(), begin.clone()], BookState::Valid, Some("98x2 100.5x3"), &[]);
    // One is missing: nothing counts until a snapshot.
    let gap = change(106, 107, None, "99x6", "");
    let after = change(108, 109, None, "99x6", "");
    check(&[begin.clone(), first.clone(), gap.clone(), after.clone()], BookState::Gap, None, &[(GapKind::Lost, 107)]);
    let again = snapshot(108, "97x1", "103x1");
    let gaps = [(GapKind::Lost, 107), (GapKind::Found, 107)];
    check(&[begin, first, gap, after, again], BookState::Valid, Some("99x6 103x1"), &gaps);
}

#[test]
fn changes_follow_by_the_rules_of_futures() {
    let begin = snapshot(100, "99x1", "101x1");
    // Numbers have holes: only the number before tells.
    let first = change(95, 103, Some(90), "99x2", "");
    let second = change(110, 120, Some(103), "99x3", "");
    check(&[begin.clone(), first.clone(), second.clone()], BookState::Valid, Some("99x3 101x1"), &[]);
    // The first after a snapshot may begin in a hole that the snapshot lies in.
    let in_hole = change(105, 110, Some(99), "99x4", "");
    check(&[begin.clone(), in_hole], BookState::Valid, Some("99x4 101x1"), &[]);
    // Numbers without a hole do not help where the one before is another.
    let wrong = change(121, 130, Some(119), "99x9", "");
    check(&[begin.clone(), first, second, wrong], BookState::Gap, None, &[(GapKind::Lost, 130)]);
    let missed = change(105, 110, Some(104), "99x4", "");
    check(&[begin, missed], BookState::Gap, None, &[(GapKind::Lost, 110)]);
}

#[test]
fn a_venue_that_starts_again_sends_a_snapshot() {
    // Bybit: updates count from 1 again, the sequence goes on.
    let begin = snapshot(7_000, "99x1", "101x1");
    let next = BookUpdate { sequence: 7_010, ..change(7_001, 7_001, None, "99x2", "") };
    let again = BookUpdate { sequence: 7_020, first_id: 1, last_id: 1, ..snapshot(1, "90x1", "91x1") };
    let then = BookUpdate { sequence: 7_030, ..change(2, 2, None, "", "91x4") };
    check(&[begin, next, again, then], BookState::Valid, Some("90x1 91x4"), &[]);
}

#[test]
fn a_book_that_cannot_be_used_says_why() {
    check(&[change(5, 6, None, "99x1", "")], BookState::Unknown, None, &[]);
    check(&[snapshot(1, "99x1", "")], BookState::OneSided, None, &[]);
    check(&[snapshot(1, "99x1 100x1", "99x2")], BookState::Crossed, None, &[]);
    check(&[snapshot(1, "99x1", "99x2")], BookState::Crossed, None, &[]);
    check(&[snapshot(1, "99x1", "101x1"), change(2, 2, None, "99x0", "")], BookState::OneSided, None, &[]);
    // Of one price told twice the last stands.
    check(&[snapshot(1, "99x1 99x4 98x2 98x0", "101x1")], BookState::Valid, Some("99x4 101x1"), &[]);
}

#[test]
fn what_was_missing_may_come_late() {
    let mut ledger = ledger();
    let book = |second: i64, position: u64, update: BookUpdate| {
        record(second * SECOND_NS, position, MarketContent::Book(update))
    };
    let kinds = |outcome: &MarketOutcome| outcome.gaps.iter().map(|gap| gap.kind).collect::<Vec<_>>();
    let first = vec![book(1, 0, snapshot(1, "99x1", "101x1")), book(3, 1, change(3, 3, None, "99x3", ""))];
    assert_eq!(kinds(&ledger.apply(&header(1, i64::MIN, 0), first)), [GapKind::Lost]);
    assert_eq!(kinds(&ledger.apply(&header(2, i64::MIN, 0), Vec::new())), []);
    let outcome = ledger.apply(&header(3, i64::MIN, MINUTE_NS), vec![book(2, 2, change(2, 2, None, "98x1", ""))]);
    assert_eq!(kinds(&outcome), [GapKind::Mended]);
    assert_eq!((outcome.gaps[0].sequence, outcome.gaps[0].last_id, outcome.gaps[0].first_id), (3, 1, 3));
    let closed = outcome.leaves[0].leaf.and_then(|leaf| leaf.book).expect("a book");
    assert_eq!((closed.close.state, closed.touches.count), (BookState::Valid, 3));
    assert_eq!(closed.touches.last.bid, Some(level(99.0, 3.0)));
    // A book's place that is frozen is too old, though the record's own time is not.
    let newest = book(595, 4, change(4, 6, None, "97x1", ""));
    ledger.apply(&header(4, 9 * MINUTE_NS, 10 * MINUTE_NS), vec![newest]);
    ledger.apply(&header(5, 10 * MINUTE_NS, 11 * MINUTE_NS), Vec::new());
    let late = book(610, 3, change(5, 5, Some(9), "98x1", ""));
    let outcome = ledger.apply(&header(6, 10 * MINUTE_NS, 11 * MINUTE_NS), vec![late]);
    assert_eq!(outcome.refused[0].reason, RejectReason::TooOld);
    assert!(outcome.counters.accepted == 4 && outcome.counters.rejected == 1);
}

fn quote(bid: &str, ask: &str) -> Quote {
    Quote { update_id: None, bid: levels(bid).first().copied(), ask: levels(ask).first().copied() }
}

fn touch(bid: &str, ask: &str) -> Touch {
    let Quote { bid, ask, .. } = quote(bid, ask);
    Touch { time_ns: 0, bid, ask }
}

#[test]
fn order_flow_by_hand() {
    let before = touch("100x5", "101x3");
    let step = |after: Touch| after.order_flow_e8(&before).map(|sum| sum / 100_000_000);
    // Same prices: what was added to the bid, less what was added to the ask.
    assert_eq!(step(touch("100x7", "101x4")), Some(7 - 5 - 4 + 3));
    // Bid up: all of the new. Bid down: less all of the old.
    assert_eq!(step(touch("100.5x2", "101x3")), Some(2));
    assert_eq!(step(touch("99x9", "101x3")), Some(-5));
    // Ask down: less all of the new. Ask up: all of the old.
    assert_eq!(step(touch("100x5", "100.5x4")), Some(-4));
    assert_eq!(step(touch("100x5", "102x8")), Some(3));
    assert_eq!(step(touch("100x5", "")), None);
    assert_eq!(step(touch("102x5", "101x3")), None);
}

/// The market bar of one minute that all records lie in.
fn minute(records: Vec<MarketRecord>) -> (MarketLeaf, MarketBar) {
    let outcome = ledger().apply(&header(1, i64::MIN, MINUTE_NS), records);
    let leaf = outcome.leaves[0].leaf.expect("a leaf");
    (leaf, MarketBar::of(&leaf, MINUTE_NS))
}

#[test]
fn a_minute_by_hand() {
    let at = |second: i64, position: u64, content| record(second * SECOND_NS, position, content);
    let quotes = [("100x5", "101x3"), ("100x7", "101x4"), ("100.5x2", "101x4"), ("", "101x1"), ("100x1", "101x3")];
    let mut records: Vec<MarketRecord> = (1..)
        .zip(quotes)
        .map(|(second, (bid, ask))| at(second, second as u64, MarketContent::Quote(quote(bid, ask))))
        .collect();
    let liquidation = |side, price: f64, quantity: f64| {
        let level = level(price, quantity);
        let (price_e8, quantity_e8) = (level.price_e8, level.quantity_e8);
        MarketContent::Liquidation(Liquidation { side, price_e8, quantity_e8, occurrence: 0 })
    };
    records.push(at(9, 10, liquidation(AggressorSide::Sell, 100.0, 2.0)));
    records.push(at(9, 11, liquidation(AggressorSide::Sell, 99.0, 1.0)));
    records.push(at(10, 12, liquidation(AggressorSide::Buy, 102.0, 0.5)));
    let mark = |mark_price_e8, index_price_e8| Mark { mark_price_e8, index_price_e8, ..Mark::default() };
    records.push(at(5, 13, MarketContent::Mark(mark(Some(10_010_000_000), None))));
    records.push(at(6, 14, MarketContent::Mark(mark(None, Some(10_000_000_000)))));
    records.push(at(
        7,
        15,
        MarketContent::Mark(Mark {
            funding_rate_e8: Some(10_000),
            next_funding_time_ns: Some(31 * MINUTE_NS),
            ..Mark::default()
        }),
    ));
    records.push(at(0, 16, MarketContent::Funding(Funding { rate_e8: -2_500, mark_price_e8: None })));
    let (leaf, bar) = minute(records);
    // (7 - 5 - 4 + 3) + 2, then a quote of one side breaks the steps.
    let flow = leaf.quotes.expect("quotes");
    assert_eq!((flow.order_flow_e8, flow.count, flow.two_sided), (300_000_000, 5, 4));
    assert_eq!((bar.bid, bar.ask, bar.ask_quantity, bar.quotes), (100.0, 101.0, 3.0, 5.0));
    assert_eq!(bar.touch_age_seconds, 55.0);
    // (8 + 11 + 6 + 4) / 2 / 4.
    assert_eq!(bar.touch_depth, 29.0 / 8.0);
    assert_eq!((bar.liquidated_sold, bar.liquidated_bought), (3.0, 0.5));
    assert_eq!(leaf.liquidations.expect("some").sold_quote_e16, 299 * 10_i128.pow(16));
    assert_eq!((bar.mark, bar.index, bar.funding_rate, bar.settled_rate), (100.1, 100.0, 0.0001, -0.000025));
    assert_eq!(bar.minutes_to_funding, 30.0);
    assert!(bar.book_valid.is_nan() && bar.bid_depth[0].is_nan());
    // What is left of it when it is over: where all stood, but no flows.
    let later = MarketBar::of(&leaf.closing(), 2 * MINUTE_NS);
    assert_eq!((later.bid, later.touch_age_seconds, later.quotes), (100.0, 115.0, 0.0));
    assert_eq!((later.order_flow, later.liquidated_sold, later.minutes_to_funding), (0.0, 0.0, 29.0));
}

#[test]
fn the_same_again_is_a_duplicate_and_another_of_the_same_identity_a_conflict() {
    let mut ledger = ledger();
    let quote = |update_id, bid: &str| MarketContent::Quote(Quote { update_id, ..quote(bid, "101x1") });
    let mark =
        |mark_price_e8, index_price_e8| MarketContent::Mark(Mark { mark_price_e8, index_price_e8, ..Mark::default() });
    let funding = |rate_e8| MarketContent::Funding(Funding { rate_e8, mark_price_e8: None });
    let liquidation = |occurrence| {
        let side = AggressorSide::Buy;
        MarketContent::Liquidation(Liquidation { side, price_e8: 1, quantity_e8: 1, occurrence })
    };
    let contents = [
        (quote(Some(7), "99x1"), 'a'),
        (quote(Some(7), "99x1"), 'd'),
        (quote(Some(7), "99x2"), 'c'),
        // Without a number each is one of its own.
        (quote(None, "99x1"), 'a'),
        (quote(None, "99x1"), 'a'),
        (MarketContent::Book(snapshot(3, "99x1", "")), 'a'),
        (MarketContent::Book(snapshot(3, "99x1", "")), 'd'),
        (MarketContent::Book(snapshot(3, "99x2", "")), 'c'),
        (MarketContent::Book(change(2, 3, None, "99x2", "")), 'a'),
        (mark(Some(5), None), 'a'),
        (mark(None, Some(6)), 'a'),
        (mark(Some(5), None), 'd'),
        (mark(None, Some(7)), 'c'),
        (funding(3), 'a'),
        (funding(3), 'd'),
        (funding(4), 'c'),
        // Two of one message are two; told by another message they are the same.
        (liquidation(0), 'a'),
        (liquidation(1), 'a'),
        (liquidation(0), 'd'),
    ];
    let (mut accepted, mut duplicate, mut conflict) = (0, 0, 0);
    for (position, (content, fate)) in (0..).zip(contents) {
        match fate {
            'a' => accepted += 1,
            'd' => duplicate += 1,
            _ => conflict += 1,
        }
        let outcome = ledger.apply(&header(position + 1, 0, 0), vec![record(5, position, content)]);
        let counters = &outcome.counters;
        assert_eq!(
            (counters.accepted, counters.duplicate, counters.rejected),
            (accepted, duplicate, conflict),
            "{position}"
        );
        assert_eq!(outcome.refused.len(), usize::from(fate == 'c'), "{position}");
        assert_eq!(outcome.accepted.len(), usize::from(fate == 'a'), "{position}");
    }
}

#[test]
fn a_leaf_is_given_once_its_minute_has_ended_and_when_it_changes() {
    let mut ledger = ledger();
    let quote =
        |second: i64, position| record(second * SECOND_NS, position, MarketContent::Quote(quote("99x1", "101x1")));
    let given =
        |outcome: MarketOutcome| outcome.leaves.iter().map(|leaf| leaf.open_time_ns / MINUTE_NS).collect::<Vec<_>>();
    assert_eq!(given(ledger.apply(&header(1, 0, 59 * SECOND_NS), vec![quote(3, 0)])), []);
    assert_eq!(given(ledger.apply(&header(2, 0, 60 * SECOND_NS), vec![quote(70, 1)])), [0]);
    assert_eq!(given(ledger.apply(&header(3, 0, 200 * SECOND_NS), vec![])), [1]);
    assert_eq!(given(ledger.apply(&header(4, 0, 200 * SECOND_NS), vec![quote(9, 2)])), [0]);
    assert_eq!(given(ledger.apply(&header(5, 0, 200 * SECOND_NS), vec![])), []);
}
