//! What is told of books and quotes when records have no time, come again with another, begin their numbers again, or tell of a
//! part only: by hand, in every order.

use super::worked::ledger;
use super::{MINUTE_NS, change, header, level, levels, record, snapshot};
use crate::features::MarketBar;
use crate::market::levels::MOST_LEVELS;
use crate::market::{BookFlow, BookState, GapKind, MarketConfig, MarketLeaf, MarketLedger};
use crate::saved::{RestoredState, Saving};
use std::collections::BTreeMap;
use tidewheel_schemas::{BookUpdate, Level, MarketContent, MarketRecord, Quote, RejectReason, SECOND_NS};

type Leaves = BTreeMap<i64, MarketLeaf>;

fn book(second: i64, update: BookUpdate) -> MarketRecord {
    record(second * SECOND_NS, 0, MarketContent::Book(update))
}

fn timeless(record: MarketRecord) -> MarketRecord {
    MarketRecord { is_timeless: true, ..record }
}

fn quote(second: i64, update_id: u64, bid: &str, ask: &str) -> MarketRecord {
    let side = |text: &str| levels(text).first().copied();
    let quote = Quote { update_id: Some(update_id), bid: side(bid), ask: side(ask) };
    record(second * SECOND_NS, 0, MarketContent::Quote(quote))
}

/// Leaves by minute, and what is left of gaps: sequence, why, whether a snapshot came.
type Told = (Leaves, BTreeMap<(u64, GapKind), bool>);

/// What happens to a ledger after each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Between {
    Nothing,
    /// All freezes that no later record needs.
    Freezing,
    /// The same, and it is saved, whole or what changed, and restored.
    FreezingAndRestart,
}

const EVER: [Between; 3] = [Between::Nothing, Between::Freezing, Between::FreezingAndRestart];

const CONFIG: MarketConfig = MarketConfig { archive: false, is_saved: true, has_leaves: true };

/// The minute that can be frozen before records come: an update without a time, or told with several, has its place at the least
/// time of what it goes before.
fn may_freeze(rest: &[MarketRecord], all: &[MarketRecord]) -> i64 {
    let sequence = |record: &MarketRecord| match &record.content {
        MarketContent::Book(update) => Some(update.sequence),
        _ => None,
    };
    let least = |record: &MarketRecord| {
        let is_told_again = |other: &MarketRecord| other.content == record.content && other != record;
        let is_moved = record.is_timeless || all.iter().any(is_told_again);
        let follows =
            |other: &&MarketRecord| is_moved && sequence(record).is_some() && sequence(other) >= sequence(record);
        all.iter().filter(follows).map(|other| other.event_time_ns).min().unwrap_or(i64::MAX).min(record.event_time_ns)
    };
    rest.iter().map(least).min().map_or(30 * MINUTE_NS, |least_ns| least_ns / MINUTE_NS * MINUTE_NS)
}

/// Gives records to a ledger one a tick, and takes what it tells.
fn told(records: &[MarketRecord], between: Between) -> Told {
    let (mut leaves, mut gaps) = Told::default();
    let mut ledger = MarketLedger::new(CONFIG);
    let mut parts = Vec::new();
    let mut frozen_ns = i64::MIN;
    for tick in 1..=records.len() + 1 {
        let mut of_tick: Vec<MarketRecord> = records[tick - 1..].iter().take(1).cloned().collect();
        of_tick.iter_mut().for_each(|record| record.position = tick as u64);
        if between != Between::Nothing && tick > 1 {
            frozen_ns = frozen_ns.max(may_freeze(&records[tick - 1..], records));
        }
        let header = header(tick as u64, frozen_ns, 60 * MINUTE_NS);
        let outcome = ledger.apply(&header, of_tick);
        assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
        for change in outcome.leaves {
            match change.leaf {
                Some(leaf) => drop(leaves.insert(change.open_time_ns / MINUTE_NS, leaf)),
                None => drop(leaves.remove(&(change.open_time_ns / MINUTE_NS))),
            }
        }
        for gap in outcome.gaps {
            let key = (gap.sequence, gap.cause);
            match gap.kind {
                GapKind::Mended => drop(gaps.remove(&key)),
                GapKind::Found => *gaps.get_mut(&key).expect("it was told before") = true,
                _ => drop(gaps.insert(key, false)),
            }
        }
        if between == Between::FreezingAndRestart {
            parts.extend(ledger.save(Saving { every: 2, turn: tick as u32 % 2 }));
            let state = RestoredState {
                frozen_ns,
                watermark_ns: 60 * MINUTE_NS,
                market: parts.clone(),
                ..RestoredState::default()
            };
            ledger = MarketLedger::restore(CONFIG, &mut { state });
        }
    }
    (leaves, gaps)
}

/// What is told in every order, with freezing and restarts between, which must be the same.
fn in_every_order(records: &[MarketRecord]) -> Told {
    let expected = told(records, Between::Nothing);
    let mut order: Vec<MarketRecord> = records.to_vec();
    let mut turns = vec![0; order.len()];
    let mut at = 1;
    let check = |order: &[MarketRecord]| {
        for between in EVER {
            let found = told(order, between);
            assert!(found == expected, "another answer with {between:?}: {found:#?} not {expected:#?} of {order:#?}");
        }
    };
    check(&order);
    // Heap's permutations.
    while at < order.len() {
        if turns[at] < at {
            order.swap(if at % 2 == 0 { 0 } else { turns[at] }, at);
            check(&order);
            turns[at] += 1;
            at = 1;
        } else {
            turns[at] = 0;
            at += 1;
        }
    }
    expected
}

fn flow(leaves: &Leaves, minute: i64) -> BookFlow {
    leaves[&minute].book.expect("a book")
}

fn minutes(leaves: &Leaves) -> Vec<(i64, u64)> {
    leaves.iter().map(|(minute, leaf)| (*minute, leaf.book.map_or(0, |book| book.touches.count))).collect()
}

#[test]
fn a_snapshot_without_a_time_pulls_no_other_update_with_it() {
    // Half a minute on its way: it has the time of what follows it in the sequence.
    let late = |second: i64| {
        let records = [
            book(5, snapshot(10, "99x1", "101x1")),
            book(10, change(11, 11, None, "99x2", "")),
            timeless(book(second, snapshot(11, "99x2", "101x1"))),
            book(70, change(12, 12, None, "99x3", "")),
            book(130, change(13, 13, None, "99x4", "")),
        ];
        in_every_order(&records)
    };
    let (leaves, gaps) = late(100);
    assert_eq!((minutes(&leaves), gaps.len()), (vec![(0, 2), (1, 2), (2, 1)], 0));
    assert_eq!(flow(&leaves, 0).touches.last.bid, Some(level(99.0, 2.0)));
    // Longer, by a second or by half an hour: it counts for nothing.
    for second in [101, 1_800] {
        assert_eq!(minutes(&late(second).0), [(0, 2), (1, 1), (2, 1)]);
    }
    // The first of all has that of the first that has one; where none has, that of the receipt.
    let first = [timeless(book(100, snapshot(10, "99x1", "101x1"))), book(70, change(11, 11, None, "99x2", ""))];
    assert_eq!(minutes(&in_every_order(&first).0), [(1, 2)]);
    let alone = [7, 65, 190].map(|second| timeless(book(second, snapshot(second as u64, "99x1", "101x1"))));
    assert_eq!(minutes(&in_every_order(&alone).0), [(0, 1), (1, 1), (3, 1)]);
}

#[test]
fn numbers_that_begin_again_are_another_book() {
    let records = [
        book(5, snapshot(7_000, "99x1", "101x1")),
        book(10, change(7_001, 7_001, None, "99x2", "")),
        book(100, snapshot(1, "90x1", "91x1")),
        book(101, change(2, 2, None, "", "91x4")),
        book(160, change(3, 3, None, "90x7", "")),
    ];
    let (leaves, gaps) = in_every_order(&records);
    assert_eq!(minutes(&leaves), [(0, 2), (1, 2), (2, 1)]);
    assert_eq!(gaps, BTreeMap::from([((1, GapKind::Restarted), true)]));
    assert_eq!((flow(&leaves, 1).is_whole, flow(&leaves, 2).is_whole), (false, true));
    let last = flow(&leaves, 2).touches.last;
    assert_eq!((last.bid, last.ask), (Some(level(90.0, 7.0)), Some(level(91.0, 4.0))));
    // The same numbers with other contents, and a change first: not known until a snapshot.
    let records = [
        book(5, snapshot(1, "99x1", "101x1")),
        book(10, change(2, 2, None, "99x2", "")),
        book(100, change(2, 2, None, "90x2", "")),
        book(130, snapshot(3, "90x3", "91x1")),
        book(190, change(4, 4, None, "90x4", "")),
    ];
    let (leaves, gaps) = in_every_order(&records);
    assert_eq!(gaps, BTreeMap::from([((2, GapKind::Restarted), true)]));
    let states = [0, 1, 2, 3].map(|minute| flow(&leaves, minute).close.state);
    assert_eq!(states, [BookState::Valid, BookState::Gap, BookState::Valid, BookState::Valid]);
    // Half a minute is no time to tell by.
    let near = [book(5, snapshot(7, "99x1", "101x1")), book(30, change(6, 6, None, "99x2", ""))];
    assert!(in_every_order(&near).1.is_empty());
}

/// The restart of a book at an update, found at once.
fn restarted(sequence: u64) -> BTreeMap<(u64, GapKind), bool> {
    BTreeMap::from([((sequence, GapKind::Restarted), true)])
}

fn last_bid(leaves: &Leaves, minute: i64) -> Option<Level> {
    flow(leaves, minute).touches.last.bid
}

#[test]
fn what_goes_on_with_the_old_numbers_does_not_come_back() {
    let new = Some(level(90.0, 1.0));
    // The old snapshot told again after the new one.
    let records = [
        book(50, change(6_999, 6_999, None, "99x2", "")),
        book(70, snapshot(7_000, "99x1", "101x1")),
        book(90, snapshot(1, "90x1", "91x1")),
        book(95, snapshot(7_000, "99x1", "101x1")),
    ];
    let (leaves, gaps) = in_every_order(&records);
    assert_eq!((gaps, last_bid(&leaves, 1)), (restarted(1), new));
    // A change, and a snapshot without a time.
    let begin = [book(5, snapshot(7_000, "99x1", "101x1")), book(100, snapshot(1, "90x1", "91x1"))];
    let after = book(101, change(2, 2, None, "", "91x4"));
    for old in [
        vec![book(100, change(7_001, 7_001, None, "99x3", ""))],
        vec![book(102, change(7_001, 7_001, None, "99x3", "")), book(103, change(7_002, 7_002, None, "99x4", ""))],
        vec![timeless(book(102, snapshot(7_001, "99x3", "101x1")))],
        vec![timeless(book(100, snapshot(7_001, "99x3", "101x1")))],
        vec![timeless(book(500, snapshot(7_001, "99x3", "101x1")))],
    ] {
        let (leaves, gaps) = in_every_order(&[&begin[..], std::slice::from_ref(&after), &old].concat());
        assert_eq!((gaps, minutes(&leaves)), (restarted(1), vec![(0, 1), (1, 2)]));
        assert_eq!(last_bid(&leaves, 1), new);
    }
}

#[test]
fn a_snapshot_that_may_be_of_the_old_numbers_counts_for_nothing() {
    // On its way since before the restart, or not: both had such a number.
    let begin = [
        book(0, snapshot(5, "99x1", "101x1")),
        book(10, change(6, 6, None, "99x2", "")),
        book(60, snapshot(1, "90x1", "91x1")),
        book(61, change(2, 9, None, "90x2", "")),
    ];
    let late = timeless(book(65, snapshot(6, "99x2", "101x1")));
    let (leaves, gaps) = in_every_order(&[&begin[..], &[late]].concat());
    assert_eq!((gaps, minutes(&leaves)), (restarted(1), vec![(0, 2), (1, 2)]));
    // This one the old never had.
    let found = timeless(book(65, snapshot(8, "90x7", "91x1")));
    let (leaves, _) = in_every_order(&[&begin[..], &[found]].concat());
    assert_eq!(minutes(&leaves), [(0, 2), (1, 3)]);
}

#[test]
fn a_snapshot_of_past_numbers_counts_for_nothing() {
    // The first of new numbers, before any change of them.
    let records = [
        book(0, snapshot(5, "99x1", "101x1")),
        book(10, change(6, 9, None, "99x2", "")),
        timeless(book(50, snapshot(7, "90x1", "91x1"))),
        book(710, change(10, 10, None, "99x3", "")),
    ];
    let (leaves, gaps) = in_every_order(&records);
    assert_eq!((gaps.len(), minutes(&leaves)), (0, vec![(0, 2), (11, 1)]));
    assert_eq!(last_bid(&leaves, 11), Some(level(99.0, 3.0)));
}

#[test]
fn a_snapshot_that_is_told_again_may_begin_the_numbers_again() {
    // A quiet book, and the same first snapshot after the restart.
    let records = [
        book(5, snapshot(1, "99x1", "101x1")),
        book(10, change(2, 2, None, "99x2", "")),
        book(100, snapshot(1, "99x1", "101x1")),
        book(150, change(2, 2, None, "99x7", "")),
    ];
    let (leaves, gaps) = in_every_order(&records);
    assert_eq!((gaps, last_bid(&leaves, 2)), (restarted(1), Some(level(99.0, 7.0))));
    // Of the last number only one that says something else.
    let records = [book(5, snapshot(1, "99x1", "101x1")), book(650, snapshot(1, "99x1", "101x1"))];
    assert!(in_every_order(&records).1.is_empty());
    let records = [
        book(5, snapshot(1, "99x1", "101x1")),
        book(650, snapshot(1, "90x1", "91x1")),
        book(651, change(2, 2, None, "90x2", "")),
    ];
    let (leaves, gaps) = in_every_order(&records);
    assert_eq!((gaps, last_bid(&leaves, 10)), (restarted(1), Some(level(90.0, 2.0))));
}

#[test]
fn where_there_are_only_receipts_they_tell_of_a_restart() {
    let records = [
        timeless(book(5, snapshot(7_000, "99x1", "101x1"))),
        timeless(book(100, snapshot(1, "90x1", "91x1"))),
        timeless(book(101, snapshot(3, "90x2", "91x1"))),
    ];
    let (leaves, gaps) = in_every_order(&records);
    assert_eq!((gaps, minutes(&leaves)), (restarted(1), vec![(0, 1), (1, 2)]));
    assert_eq!(last_bid(&leaves, 1), Some(level(90.0, 2.0)));
}

#[test]
fn numbers_may_begin_again_close_to_the_last() {
    let records = [
        book(0, snapshot(1, "99x1", "101x1")),
        book(10, change(2, 2, None, "99x2", "")),
        book(39, change(3, 3, None, "99x3", "")),
        book(41, snapshot(1, "90x1", "91x1")),
        book(42, change(2, 2, None, "90x2", "")),
        book(43, change(3, 3, None, "90x3", "")),
    ];
    let (leaves, gaps) = in_every_order(&records);
    assert_eq!((gaps, last_bid(&leaves, 0)), (restarted(1), Some(level(90.0, 3.0))));
    // Too close to be told: what contradicts is not known, whichever is right.
    let records = [
        book(0, snapshot(1, "99x1", "101x1")),
        book(10, change(2, 2, None, "99x2", "")),
        book(20, change(2, 2, None, "90x2", "")),
        book(62, snapshot(3, "90x3", "91x1")),
    ];
    let (leaves, gaps) = in_every_order(&records);
    assert_eq!(gaps, BTreeMap::from([((2, GapKind::Lost), true)]));
    assert_eq!([0, 1].map(|minute| flow(&leaves, minute).close.state), [BookState::Gap, BookState::Valid]);
    // The same with a minute frozen between the two.
    let records = [
        book(0, snapshot(1, "99x1", "101x1")),
        book(55, change(2, 2, None, "99x2", "")),
        book(65, change(2, 2, None, "90x2", "")),
        book(66, change(3, 3, None, "90x3", "")),
    ];
    let (leaves, gaps) = in_every_order(&records);
    assert_eq!(gaps, BTreeMap::from([((2, GapKind::Lost), false)]));
    assert_eq!([0, 1].map(|minute| flow(&leaves, minute).close.state), [BookState::Valid, BookState::Gap]);
    // A change and its copy of another time, one of which is later than greater numbers by more than the span.
    let copies = [25, 50].map(|second| book(second, change(5, 5, None, "99x5", "")));
    let _ = in_every_order(&[&copies[..], &[book(10, snapshot(100, "99x1", "101x1"))]].concat());
}

#[test]
fn a_snapshot_is_told_apart_by_its_depth() {
    let whole = timeless(book(3, snapshot(50, "99x1 98x1 97x1", "101x1")));
    let records = [book(1, part(50, 2, "99x1 98x1", "101x1")), whole, book(4, change(51, 51, None, "96x1", ""))];
    let (leaves, gaps) = in_every_order(&records);
    assert!(gaps.is_empty());
    assert_eq!(flow(&leaves, 0).close.depth, None);
}

#[test]
fn a_snapshot_hides_no_missing_changes() {
    let whole = |next: BookUpdate| {
        let records = [
            book(0, snapshot(1, "99x1", "101x1")),
            book(61, change(2, 2, None, "99x2", "")),
            book(65, snapshot(10, "99x5", "101x1")),
            book(70, next),
            book(125, change(12, 12, None, "99x6", "")),
        ];
        let (leaves, gaps) = in_every_order(&records);
        assert!(gaps.is_empty());
        [1, 2].map(|minute| flow(&leaves, minute).is_whole)
    };
    assert_eq!(whole(change(11, 11, None, "99x7", "")), [false, true]);
    // One that has all that lies between in it.
    assert_eq!(whole(change(3, 11, None, "99x7", "")), [true, true]);
}

#[test]
fn numbers_may_begin_again_after_all_of_those_before_are_frozen() {
    let mut ledger = ledger();
    ledger.apply(&header(1, i64::MIN, 0), vec![book(5, snapshot(7_000, "99x1", "101x1"))]);
    let at = |tick| header(tick, 10 * MINUTE_NS, 11 * MINUTE_NS);
    ledger.apply(&at(2), Vec::new());
    let again = vec![book(650, snapshot(1, "90x1", "91x1")), book(651, change(2, 2, None, "90x2", ""))];
    let outcome = ledger.apply(&at(3), again);
    let kinds: Vec<GapKind> = outcome.gaps.iter().map(|gap| gap.kind).collect();
    assert_eq!((outcome.refused.len(), kinds), (0, vec![GapKind::Restarted, GapKind::Found]));
    assert_eq!(outcome.gaps[0].epoch_ns, 650 * SECOND_NS);
    assert_eq!(outcome.leaves[0].leaf.and_then(|leaf| leaf.book).expect("a book").close.state, BookState::Valid);
    // What is no later than the frozen by more than the span is too old still.
    let mut ledger = self::ledger();
    ledger.apply(&header(1, i64::MIN, 0), vec![book(590, snapshot(7_000, "99x1", "101x1"))]);
    ledger.apply(&at(2), Vec::new());
    let outcome = ledger.apply(&at(3), vec![book(610, change(6_999, 6_999, None, "90x2", ""))]);
    assert_eq!(outcome.refused[0].reason, RejectReason::TooOld);
}

#[test]
fn of_the_same_told_with_other_times_the_least_counts() {
    let at = |second: i64| book(second, change(11, 11, None, "99x2", ""));
    let others = [book(5, snapshot(10, "99x1", "101x1")), book(200, change(12, 12, None, "99x3", ""))];
    let times = |times: &[MarketRecord]| minutes(&in_every_order(&[&others[..], times].concat()).0);
    assert_eq!(times(&[at(80), at(50), at(130)]), [(0, 2), (3, 1)]);
    // The venue's goes before that of a receipt, though it is later.
    assert_eq!(times(&[at(80), timeless(at(50))]), [(0, 1), (1, 1), (3, 1)]);
    let quotes = |times: &[MarketRecord]| -> Vec<(i64, u64)> {
        let leaves = in_every_order(times).0;
        leaves.iter().map(|(minute, leaf)| (*minute, leaf.quotes.expect("quotes").count)).collect()
    };
    let same = |second: i64| quote(second, 7, "99x1", "101x1");
    // In a minute and from one to the next; those told later than that are quotes of their own.
    assert_eq!(quotes(&[same(80), same(70), same(61), same(130)]), [(1, 1)]);
    assert_eq!(quotes(&[same(59), timeless(same(659))]), [(0, 1), (10, 1)]);
    assert_eq!(quotes(&[same(80), timeless(same(70)), quote(140, 8, "99x1", "101x1")]), [(1, 1), (2, 1)]);
    // Another of the number at another time is another.
    assert_eq!(quotes(&[same(80), quote(81, 7, "99x2", "101x1")]), [(1, 2)]);
}

#[test]
fn quotes_without_a_time_are_ordered_by_their_number() {
    let told = [
        timeless(quote(12, 3, "100x3", "101x1")),
        timeless(quote(14, 1, "99x1", "101x1")),
        timeless(quote(13, 2, "99x5", "101x1")),
    ];
    let leaves = in_every_order(&told).0;
    let flow = leaves[&0].quotes.expect("quotes");
    assert_eq!((flow.first.bid, flow.last.bid), (Some(level(99.0, 1.0)), Some(level(100.0, 3.0))));
    // 5 - 1, then all of the new.
    assert_eq!((flow.order_flow_e8, flow.last.time_ns), (700_000_000, 14 * SECOND_NS));
    // With times of the venue these tell.
    let told = told.map(|record| MarketRecord { is_timeless: false, ..record });
    let last = in_every_order(&told).0[&0].quotes.expect("quotes").last;
    assert_eq!(last.bid, Some(level(99.0, 1.0)));
}

#[test]
fn the_flow_over_a_gap_is_not_given() {
    let begin = [book(5, snapshot(1, "99x1", "101x1")), book(61, change(2, 2, None, "99x2", ""))];
    let lost = [book(130, change(4, 4, None, "99x9", "")), book(140, snapshot(5, "99x4", "101x1"))];
    let after = [book(190, change(6, 6, None, "99x7", ""))];
    let (leaves, _) = in_every_order(&[&begin[..], &lost, &after].concat());
    let order_flow = |leaf: &MarketLeaf| MarketBar::of(leaf, 0).order_flow;
    // Not known from the beginning of the first, nor through the third, though it is valid at its close.
    assert!(order_flow(&leaves[&0]).is_nan() && order_flow(&leaves[&2]).is_nan());
    assert_eq!(flow(&leaves, 2).close.state, BookState::Valid);
    assert_eq!(order_flow(&leaves[&3]), 0.0);
    // With what was known before: a step to the first touch of the minute.
    let joined = leaves[&2].closing().merge(&leaves[&3]);
    assert_eq!(order_flow(&joined), 3.0);
    assert_eq!(order_flow(&leaves[&0].closing().merge(&leaves[&1])), 1.0);
    assert!(order_flow(&leaves[&1].merge(&leaves[&2])).is_nan());
    // Nothing came of a book that is lost: that is not nothing that happened.
    let (leaves, _) = in_every_order(&[&begin[..], &lost[..1]].concat());
    assert!(order_flow(&leaves[&2].closing()).is_nan() && order_flow(&leaves[&1].closing()) == 0.0);
}

/// A snapshot that goes only so deep.
fn part(last_id: u64, depth: u32, bids: &str, asks: &str) -> BookUpdate {
    BookUpdate { depth: Some(depth), ..snapshot(last_id, bids, asks) }
}

#[test]
fn depth_beyond_what_is_known_is_not_given() {
    let depth = |updates: &[BookUpdate]| {
        let records: Vec<MarketRecord> =
            (0..).zip(updates).map(|(second, update)| book(second, update.clone())).collect();
        let bar = MarketBar::of(&in_every_order(&records).0[&0], MINUTE_NS);
        bar.bid_depth.map(|sum| if sum.is_nan() { None } else { Some(sum) })
    };
    let five = "99x1 98x1 97x1 96x1 95x1";
    assert_eq!(depth(&[part(1, 5, five, "101x1")]), [Some(1.0), Some(5.0), None, None]);
    assert_eq!(depth(&[snapshot(1, five, "101x1")]), [Some(1.0), Some(5.0), Some(5.0), Some(5.0)]);
    // A part of a book that stands takes its best levels, and leaves those behind them. These are known again once the changes
    // have come that the part has in it.
    let whole = snapshot(1, "99x1 98x1 97x1 96x1 95x1 94x1 93x1", "101x1");
    let ahead = part(3, 2, "99.5x4 98x2", "101x1");
    assert_eq!(depth(&[whole.clone(), ahead.clone()]), [Some(4.0), None, None, None]);
    let next = change(2, 3, None, "99.5x4 99x0 98x2", "");
    let then = change(4, 4, None, "93x2", "");
    let known = [Some(4.0), Some(9.0), Some(12.0), Some(12.0)];
    assert_eq!(depth(&[whole.clone(), next, ahead.clone(), then]), known);
    // Changes tell of no level behind the last that was told: those that are left are fewer than five.
    let gone = change(2, 2, None, "99x0 98x0 97x0 96x0 94x5", "");
    assert_eq!(depth(&[part(1, 5, five, "101x1"), gone.clone()]), [Some(1.0), None, None, None]);
    // Where the venue keeps as many told there are as many.
    let kept = BookUpdate { depth: Some(5), ..gone };
    assert_eq!(depth(&[part(1, 5, five, "101x1"), kept]), [Some(1.0), Some(6.0), None, None]);
    // It is all that is known of a book that is lost, and of one that went no deeper.
    let lost = change(3, 3, None, "99x7", "");
    assert_eq!(depth(&[whole, lost, part(4, 2, "99x4 98x2", "101x1")]), [Some(4.0), None, None, None]);
    assert_eq!(depth(&[ahead, part(4, 5, five, "101x1")]), [Some(1.0), Some(5.0), None, None]);
}

#[test]
fn a_book_of_too_many_levels_is_not_known() {
    let many = |count: usize| -> BookUpdate {
        let bids = (1..=count).map(|price| level(price as f64, 1.0)).collect();
        BookUpdate { bids, ..change(2, 2, None, "", "") }
    };
    let begin = book(1, snapshot(1, "", "9999x1"));
    let (leaves, gaps) = in_every_order(&[begin.clone(), book(2, many(MOST_LEVELS))]);
    assert_eq!((gaps.len(), flow(&leaves, 0).touches.last.bid), (0, Some(level(MOST_LEVELS as f64, 1.0))));
    let found = book(70, snapshot(3, "99x1", "101x1"));
    let (leaves, gaps) = in_every_order(&[begin, book(2, many(MOST_LEVELS + 1)), found]);
    assert_eq!(gaps, BTreeMap::from([((2, GapKind::Overfull), true)]));
    assert_eq!([0, 1].map(|minute| flow(&leaves, minute).close.state), [BookState::Gap, BookState::Valid]);
}

#[test]
fn gaps_are_held_no_longer_than_their_updates() {
    let mut ledger = ledger();
    let held = |ledger: &mut MarketLedger, tick: u64| {
        let second = 10 * tick as i64;
        let number = 10 * tick;
        let records = vec![
            book(second, snapshot(number, "99x1", "101x1")),
            book(second + 1, change(number + 2, number + 2, None, "99x2", "")),
        ];
        let frozen_ns = (second - 300) * SECOND_NS;
        ledger.apply(&header(tick, frozen_ns, second * SECOND_NS), records).sizes.gaps
    };
    let gaps: Vec<usize> = (1..=200).map(|tick| held(&mut ledger, tick)).collect();
    assert_eq!(gaps[..20], (1..=20).collect::<Vec<usize>>());
    // Five minutes, one that is not over, and the one that the frozen end in.
    assert!(gaps.iter().all(|gaps| *gaps <= 37), "{gaps:?}");
}
