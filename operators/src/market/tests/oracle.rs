//! Leaves and gaps of a set of records, made from scratch: sorted maps, no state kept, nothing shared with the fold.

use super::MINUTE_NS;
use crate::market::{
    BookClose, BookFlow, BookState, DEPTHS, GapKind, LastMark, LiquidationFlow, MarketLeaf, Touch, TouchFlow,
};
use std::collections::BTreeMap;
use tidewheel_schemas::{AggressorSide, BookUpdate, Instrument, Level, MarketContent, MarketRecord, Quote, SECOND_NS};

pub type Leaves = BTreeMap<(Instrument, i64), MarketLeaf>;

/// Where books were not known any more, by numbering, sequence, whether it is a snapshot, how deep, and why: whether a snapshot
/// came after.
pub type Gaps = BTreeMap<(Instrument, i64, u64, bool, Option<u32>, GapKind), bool>;

/// The leaves of all minutes, and gaps.
pub fn leaves(records: &[MarketRecord]) -> (Leaves, Gaps) {
    let mut leaves = Leaves::new();
    let mut gaps = Gaps::new();
    let mut instruments: Vec<Instrument> = records.iter().map(|record| record.instrument.clone()).collect();
    instruments.sort();
    instruments.dedup();
    for instrument in instruments {
        let of_it: Vec<&MarketRecord> = records.iter().filter(|record| record.instrument == instrument).collect();
        quotes(&instrument, &of_it, &mut leaves);
        books(&instrument, &of_it, &mut leaves, &mut gaps);
        rest(&instrument, &of_it, &mut leaves);
    }
    (leaves, gaps)
}

fn minute_of(time_ns: i64) -> i64 {
    time_ns.div_euclid(MINUTE_NS) * MINUTE_NS
}

fn sides(touch: &Touch) -> Option<(Level, Level)> {
    match (touch.bid, touch.ask) {
        (Some(bid), Some(ask)) if bid.price_e8 < ask.price_e8 => Some((bid, ask)),
        _ => None,
    }
}

/// The flow over touches, by the formula.
fn flow(touches: &[Touch]) -> TouchFlow {
    let mut order_flow_e8 = 0;
    for pair in touches.windows(2) {
        let (Some((old_bid, old_ask)), Some((bid, ask))) = (sides(&pair[0]), sides(&pair[1])) else { continue };
        if bid.price_e8 >= old_bid.price_e8 {
            order_flow_e8 += i128::from(bid.quantity_e8);
        }
        if bid.price_e8 <= old_bid.price_e8 {
            order_flow_e8 -= i128::from(old_bid.quantity_e8);
        }
        if ask.price_e8 <= old_ask.price_e8 {
            order_flow_e8 -= i128::from(ask.quantity_e8);
        }
        if ask.price_e8 >= old_ask.price_e8 {
            order_flow_e8 += i128::from(old_ask.quantity_e8);
        }
    }
    let both: Vec<(Level, Level)> = touches.iter().filter_map(sides).collect();
    TouchFlow {
        first: touches[0],
        last: touches[touches.len() - 1],
        count: touches.len() as u64,
        order_flow_e8,
        depth_e8: both.iter().map(|(bid, ask)| i128::from(bid.quantity_e8) + i128::from(ask.quantity_e8)).sum(),
        two_sided: both.len() as u64,
    }
}

fn quotes(instrument: &Instrument, records: &[&MarketRecord], leaves: &mut Leaves) {
    let of_quote = |record: &&&MarketRecord| matches!(record.content, MarketContent::Quote(_));
    let all: Vec<&&MarketRecord> = records.iter().filter(of_quote).collect();
    let quote_of = |record: &MarketRecord| match record.content {
        MarketContent::Quote(quote) => quote,
        _ => unreachable!("left out"),
    };
    let is_numbered = |record: &MarketRecord| quote_of(record).update_id.is_some();
    // Of the same number and content in a minute the best time counts, and none where the minute before has it.
    let counts = |record: &MarketRecord| {
        let minute_ns = minute_of(record.event_time_ns);
        !is_numbered(record)
            || !all.iter().any(|other| {
                let other_ns = minute_of(other.event_time_ns);
                let is_better = (other.is_timeless, other.event_time_ns) < (record.is_timeless, record.event_time_ns);
                let is_told = other_ns == minute_ns - MINUTE_NS || (other_ns == minute_ns && is_better);
                is_told && other.content == record.content
            })
    };
    let mut minutes: BTreeMap<i64, Vec<&MarketRecord>> = BTreeMap::new();
    for record in all.iter().filter(|record| counts(record)) {
        minutes.entry(minute_of(record.event_time_ns)).or_default().push(record);
    }
    for (minute_ns, of_minute) in minutes {
        let (mut numbered, mut others): (Vec<_>, Vec<_>) =
            of_minute.into_iter().partition(|record| is_numbered(record));
        others.sort_by_key(|record| (record.event_time_ns, record.source()));
        let has_timeless = numbered.iter().any(|record| record.is_timeless);
        numbered.sort_by_key(|record| {
            let time_ns = record.event_time_ns;
            (if has_timeless { 0 } else { time_ns }, quote_of(record).update_id, time_ns, record.is_timeless)
        });
        let touch = |time_ns: i64, quote: Quote| Touch { time_ns, bid: quote.bid, ask: quote.ask };
        let mut touches: Vec<Touch> =
            others.into_iter().map(|record| touch(record.event_time_ns, quote_of(record))).collect();
        let mut latest_ns = i64::MIN;
        for record in numbered {
            latest_ns = latest_ns.max(record.event_time_ns);
            // After those that are as early.
            let at = touches.iter().filter(|touch| touch.time_ns <= latest_ns).count();
            touches.insert(at, touch(latest_ns, quote_of(record)));
        }
        let leaf = leaves.entry((instrument.clone(), minute_ns)).or_default();
        leaf.quotes = Some(flow(&touches));
    }
}

#[derive(Default)]
struct Slow {
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
}

impl Slow {
    fn apply(&mut self, update: &BookUpdate) {
        for (side, levels) in [(&mut self.bids, &update.bids), (&mut self.asks, &update.asks)] {
            for level in levels.iter() {
                side.insert(level.price_e8, level.quantity_e8);
                side.retain(|_, quantity_e8| *quantity_e8 != 0);
            }
        }
    }

    fn depth(side: impl Iterator<Item = i64>) -> [i128; 4] {
        let all: Vec<i128> = side.map(i128::from).collect();
        DEPTHS.map(|levels| all.iter().take(levels).sum())
    }
}

/// Touches of a book, whether it was known all through, whether changes may be missing behind a snapshot, and where it ended.
type OfMinute = (Vec<Touch>, (bool, bool), BookClose);

/// When a numbering began, whether the time is a receipt's, the time, the update.
type Numbered<'a> = (i64, bool, i64, &'a BookUpdate);

fn place_of(update: &BookUpdate) -> (u64, bool, usize) {
    let depth = update.depth.map_or(usize::MAX, |depth| depth as usize);
    (update.sequence, update.is_snapshot, if update.is_snapshot { depth } else { 0 })
}

/// When the numbering of each update began, of those that count in one: each is judged by all before it.
fn epochs(mut updates: Vec<Numbered<'_>>) -> Vec<Numbered<'_>> {
    updates.sort_by_key(|(_, is_timeless, time_ns, update)| (*time_ns, place_of(update), *is_timeless));
    let second = |time_ns: i64| time_ns.div_euclid(SECOND_NS);
    let mut done: Vec<Numbered<'_>> = Vec::new();
    // Those that count as told at their time.
    let mut told: Vec<Numbered<'_>> = Vec::new();
    let (mut epoch_ns, mut old) = (i64::MIN, None);
    // Numbers of what may be on its way since before the numbering at hand.
    let mut past: Option<(u64, u64)> = None;
    for (_, is_timeless, time_ns, update) in updates {
        let is_told = !is_timeless || told.iter().all(|other| other.1);
        let of_numbering: Vec<_> = told.iter().filter(|other| other.0 == epoch_ns).collect();
        let last = of_numbering.iter().map(|other| other.3.sequence).max();
        if epoch_ns != i64::MIN && second(time_ns) > second(epoch_ns) + 600 {
            past = None;
        }
        let is_past =
            |other: &&Numbered<'_>| other.3.sequence > update.sequence && second(other.2) + 30 < second(time_ns);
        if !is_told && of_numbering.iter().any(is_past) {
            continue;
        }
        if !is_told && past.is_some_and(|(least, greatest)| least <= update.sequence && update.sequence <= greatest) {
            continue;
        }
        if let (Some(old), Some(last)) = (old, last) {
            let span = if is_told { 30 } else { 600 };
            let follows = update.first_id <= last + 1 || update.previous_id.is_some_and(|previous| previous <= last);
            let is_nearer = update.sequence > last && update.sequence - last > u64::abs_diff(update.sequence, old);
            if second(time_ns) <= second(epoch_ns) + span && is_nearer && (update.is_snapshot || !follows) {
                continue;
            }
        }
        let before: Vec<_> = of_numbering.iter().filter(|other| second(other.2) + 30 < second(time_ns)).collect();
        let is_again = |before: u64| before == update.sequence && last == Some(before);
        let is_of_kind = |other: &&&Numbered<'_>| other.3.is_snapshot == update.is_snapshot;
        let top = of_numbering.iter().filter(|other| is_of_kind(other)).rfind(|other| Some(other.3.sequence) == last);
        let is_another = top.is_some_and(|top| top.3.depth == update.depth && top.3 != update);
        let has_fallen = match before.iter().map(|other| other.3.sequence).max() {
            Some(before) => before > update.sequence || (is_again(before) && is_another),
            None => false,
        };
        if has_fallen && is_told {
            let long_before = of_numbering.iter().filter(|other| second(other.2) + 600 < second(time_ns));
            let least = long_before.map(|other| other.3.sequence).max().unwrap_or(0);
            let (past_least, past_greatest) = past.unwrap_or((u64::MAX, 0));
            past = Some((least.min(past_least), last.unwrap_or(0).max(past_greatest)));
            (epoch_ns, old) = (time_ns, last);
        }
        done.push((epoch_ns, is_timeless, time_ns, update));
        if is_told {
            told.push((epoch_ns, is_timeless, time_ns, update));
        }
    }
    done
}

/// Those that count in their order: of the same content the best time, of others of the same place two.
fn in_order(mut updates: Vec<Numbered<'_>>) -> Vec<Numbered<'_>> {
    updates
        .sort_by_key(|(epoch_ns, is_timeless, time_ns, update)| (*epoch_ns, place_of(update), *is_timeless, *time_ns));
    let mut ordered: Vec<Numbered<'_>> = Vec::new();
    for next in updates {
        let place = |update: &Numbered<'_>| (update.0, place_of(update.3));
        let of_place: Vec<_> = ordered.iter().filter(|other| place(other) == place(&next)).collect();
        if of_place.len() < 2 && of_place.iter().all(|other| other.3 != next.3) {
            ordered.push(next);
        }
    }
    ordered
}

fn follows(update: &BookUpdate, last_id: u64) -> bool {
    update.previous_id.map_or(update.first_id <= last_id + 1, |previous| previous == last_id)
}

/// The last prices of the sides of a snapshot that have as many levels as they can.
fn worst(snapshot: &BookUpdate) -> [Option<i64>; 2] {
    let most = snapshot.depth.map_or(usize::MAX, |depth| depth as usize);
    let last = |levels: &[Level]| levels.get(most - 1).map(|level| level.price_e8);
    [last(&snapshot.bids), last(&snapshot.asks)]
}

fn books(instrument: &Instrument, records: &[&MarketRecord], leaves: &mut Leaves, gaps: &mut Gaps) {
    let mut updates: Vec<Numbered<'_>> = Vec::new();
    for record in records {
        let MarketContent::Book(update) = &record.content else { continue };
        updates.push((0, record.is_timeless, record.event_time_ns, update));
    }
    let updates = in_order(epochs(updates));
    let mut book = Slow::default();
    // The last update, whether it was a snapshot's; none where the book has no place.
    let mut place: Option<(u64, bool)> = None;
    let (mut depth, mut reach, mut ahead) = (None, [None, None], None);
    // The minute, and the last update before a snapshot in it that went on further.
    let mut behind: Option<(i64, u64)> = None;
    let mut open_gap = None;
    let mut was_there = false;
    let (mut time_ns, mut epoch) = (i64::MIN, i64::MIN);
    let mut minutes: BTreeMap<i64, OfMinute> = BTreeMap::new();
    for (at, (epoch_ns, is_timeless, event_time_ns, update)) in updates.iter().enumerate() {
        let timed = updates[at..].iter().find(|(_, is_timeless, _, _)| !is_timeless);
        let own_ns = timed.map_or(*event_time_ns, |(_, _, next_ns, _)| *next_ns);
        time_ns = time_ns.max(if *is_timeless { own_ns.min(*event_time_ns) } else { *event_time_ns });
        let was_known = place.is_some();
        let mut begin_gap = |kind: GapKind| {
            let depth = update.depth.filter(|_| update.is_snapshot);
            let key = (instrument.clone(), *epoch_ns, update.sequence, update.is_snapshot, depth, kind);
            gaps.insert(key.clone(), false);
            open_gap = Some(key);
        };
        let is_contradiction =
            at > 0 && updates[at - 1].0 == *epoch_ns && place_of(updates[at - 1].3) == place_of(update);
        behind = behind.filter(|(minute_ns, _)| *minute_ns == minute_of(time_ns));
        let mut is_missed = false;
        let has_restarted = *epoch_ns != epoch;
        if has_restarted {
            begin_gap(GapKind::Restarted);
            (book, place, was_there, epoch) = (Slow::default(), None, true, *epoch_ns);
        }
        let levels = |depth: Option<u32>| depth.map_or(usize::MAX, |depth| depth as usize);
        if is_contradiction {
            if place.take().is_some() {
                book = Slow::default();
                begin_gap(GapKind::Lost);
            }
        } else if update.is_snapshot && place.is_some() && levels(update.depth) < levels(depth) {
            // Only the best are told: they are as they were sent, those behind them as before.
            let [last_bid, last_ask] = worst(update);
            book.bids.retain(|price_e8, _| last_bid.is_some_and(|last| *price_e8 < last));
            book.asks.retain(|price_e8, _| last_ask.is_some_and(|last| *price_e8 > last));
            book.apply(update);
            ahead = Some(worst(update));
        } else if update.is_snapshot {
            book = Slow::default();
            book.apply(update);
            if let Some((last_id, false)) = place
                && last_id < update.last_id
            {
                behind = behind.or(Some((minute_of(time_ns), last_id)));
            }
            place = Some((update.last_id, true));
            (depth, reach, ahead) = (update.depth, worst(update), None);
            was_there = true;
            if let Some(key) = open_gap.take() {
                gaps.insert(key, true);
            }
        } else if let Some((last_id, is_snapshot)) = place
            && update.last_id > last_id
        {
            let follows_snapshot =
                update.previous_id.is_some_and(|previous| previous <= last_id) || update.first_id <= last_id + 1;
            if if is_snapshot { follows_snapshot } else { follows(update, last_id) } {
                is_missed = behind.take().is_some_and(|(_, before)| !follows(update, before));
                book.apply(update);
                place = Some((update.last_id, false));
                ahead = None;
            } else {
                (book, place) = (Slow::default(), None);
                begin_gap(GapKind::Lost);
            }
        }
        if place.is_none() {
            (depth, reach, ahead) = (None, [None, None], None);
        }
        let level = |(price_e8, quantity_e8): (&i64, &i64)| Level { price_e8: *price_e8, quantity_e8: *quantity_e8 };
        let touch =
            Touch { time_ns, bid: book.bids.last_key_value().map(level), ask: book.asks.first_key_value().map(level) };
        let state = match (place, touch.bid, touch.ask) {
            (None, _, _) if was_there => BookState::Gap,
            (None, _, _) => BookState::Unknown,
            (_, Some(bid), Some(ask)) if bid.price_e8 < ask.price_e8 => BookState::Valid,
            (_, Some(_), Some(_)) => BookState::Crossed,
            _ => BookState::OneSided,
        };
        let close = BookClose {
            state,
            depth: {
                let [worst_bid, worst_ask] = ahead.unwrap_or(reach);
                let bids = worst_bid.map(|worst| book.bids.range(worst..).count());
                let asks = worst_ask.map(|worst| book.asks.range(..=worst).count());
                bids.into_iter().chain(asks).min().map(|levels| levels as u32)
            },
            bid_depth_e8: Slow::depth(book.bids.values().rev().copied()),
            ask_depth_e8: Slow::depth(book.asks.values().copied()),
        };
        let minute = minutes.entry(minute_of(time_ns)).or_insert_with(|| (Vec::new(), (true, false), close));
        minute.0.push(touch);
        minute.1.0 &= was_known && place.is_some() && !has_restarted && !is_missed;
        minute.1.1 = behind.is_some();
        minute.2 = close;
    }
    for (minute_ns, (touches, (is_known, is_behind), close)) in minutes {
        let is_whole = is_known && !is_behind;
        let leaf = leaves.entry((instrument.clone(), minute_ns)).or_default();
        leaf.book = Some(BookFlow { touches: flow(&touches), is_whole, close });
    }
}

fn rest(instrument: &Instrument, records: &[&MarketRecord], leaves: &mut Leaves) {
    let mut sorted: Vec<&&MarketRecord> = records.iter().collect();
    sorted.sort_by_key(|record| (record.event_time_ns, record.source()));
    for record in sorted {
        if matches!(record.content, MarketContent::Quote(_) | MarketContent::Book(_)) {
            continue;
        }
        let leaf = leaves.entry((instrument.clone(), minute_of(record.event_time_ns))).or_default();
        match &record.content {
            MarketContent::Mark(mark) => {
                let LastMark { mark: last, time_ns } = &mut leaf.mark;
                *time_ns = Some(record.event_time_ns);
                last.mark_price_e8 = mark.mark_price_e8.or(last.mark_price_e8);
                last.index_price_e8 = mark.index_price_e8.or(last.index_price_e8);
                last.funding_rate_e8 = mark.funding_rate_e8.or(last.funding_rate_e8);
                last.next_funding_time_ns = mark.next_funding_time_ns.or(last.next_funding_time_ns);
            }
            MarketContent::Funding(funding) => leaf.settled_rate_e8 = Some(funding.rate_e8),
            MarketContent::Liquidation(liquidation) => {
                let flow = leaf.liquidations.get_or_insert(LiquidationFlow::default());
                flow.count += 1;
                let (base, quote) = match liquidation.side {
                    AggressorSide::Buy => (&mut flow.bought_e8, &mut flow.bought_quote_e16),
                    AggressorSide::Sell => (&mut flow.sold_e8, &mut flow.sold_quote_e16),
                    AggressorSide::Unknown => continue,
                };
                *base += i128::from(liquidation.quantity_e8);
                *quote += i128::from(liquidation.price_e8) * i128::from(liquidation.quantity_e8);
            }
            MarketContent::Quote(_) | MarketContent::Book(_) => unreachable!("left out"),
        }
    }
}
