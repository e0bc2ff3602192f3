//! Leaves and gaps of a set of records, made from scratch: sorted maps, no state kept, nothing shared with the fold.

use super::MINUTE_NS;
use crate::market::{
    BookClose, BookFlow, BookState, DEPTHS, GapKind, LastMark, LiquidationFlow, MarketLeaf, Touch, TouchFlow,
};
use std::collections::BTreeMap;
use tidewheel_schemas::{AggressorSide, BookUpdate, Instrument, Level, MarketContent, MarketRecord, Quote, SECOND_NS};

pub type Leaves = BTreeMap<(Instrument, i64), MarketLeaf>;

/// Where books were not known any more, by numbering and sequence: why, and whether a snapshot came after.
pub type Gaps = BTreeMap<(Instrument, i64, u64), (GapKind, bool)>;

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
    // The same number and content once, with the best time.
    let mut numbered: Vec<(bool, i64, u64, Quote)> = Vec::new();
    let mut others = BTreeMap::new();
    for record in records {
        let MarketContent::Quote(quote) = &record.content else { continue };
        let Some(number) = quote.update_id else {
            others.insert((record.event_time_ns, record.source()), *quote);
            continue;
        };
        let time = (record.is_timeless, record.event_time_ns);
        match numbered.iter_mut().find(|(_, _, other, held)| *other == number && held == quote) {
            Some(held) => (held.0, held.1) = time.min((held.0, held.1)),
            None => numbered.push((time.0, time.1, number, *quote)),
        }
    }
    let mut minutes: BTreeMap<i64, Vec<(bool, i64, u64, Quote)>> = BTreeMap::new();
    numbered.into_iter().for_each(|quote| minutes.entry(minute_of(quote.1)).or_default().push(quote));
    for (time_ns, _) in others.keys() {
        minutes.entry(minute_of(*time_ns)).or_default();
    }
    for (minute_ns, mut numbered) in minutes {
        let has_timeless = numbered.iter().any(|quote| quote.0);
        numbered.sort_by_key(|(_, time_ns, number, _)| (if has_timeless { 0 } else { *time_ns }, *number, *time_ns));
        let touch = |time_ns: i64, quote: &Quote| Touch { time_ns, bid: quote.bid, ask: quote.ask };
        let mut touches: Vec<Touch> = others
            .range((minute_ns, (0, 0, 0))..(minute_ns + MINUTE_NS, (0, 0, 0)))
            .map(|((time_ns, _), quote)| touch(*time_ns, quote))
            .collect();
        let mut latest_ns = i64::MIN;
        for (_, time_ns, _, quote) in numbered {
            latest_ns = latest_ns.max(time_ns);
            // After those that are as early.
            let at = touches.iter().filter(|touch| touch.time_ns <= latest_ns).count();
            touches.insert(at, touch(latest_ns, &quote));
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

/// When the numbering of each update began: numbers fell by an update with a time, more than half a minute later than another.
/// The same again in a numbering is left out.
fn epochs(mut updates: Vec<(i64, bool, i64, &BookUpdate)>) -> Vec<(i64, bool, i64, &BookUpdate)> {
    updates.sort_by_key(|(_, _, time_ns, update)| (*time_ns, update.sequence, update.is_snapshot));
    let second = |time_ns: i64| time_ns.div_euclid(SECOND_NS);
    let mut done: Vec<(i64, bool, i64, &BookUpdate)> = Vec::new();
    let mut epoch_ns = i64::MIN;
    for (_, is_timeless, time_ns, update) in updates {
        let of_numbering: Vec<_> = done.iter().filter(|other| other.0 == epoch_ns).collect();
        if of_numbering.iter().any(|(_, _, _, other)| *other == update) {
            continue;
        }
        let has_fallen = of_numbering.iter().any(|(_, _, other_ns, other)| {
            let is_same_number = (other.sequence, other.is_snapshot) == (update.sequence, update.is_snapshot);
            second(*other_ns) + 30 < second(time_ns) && (other.sequence > update.sequence || is_same_number)
        });
        if has_fallen && !is_timeless {
            epoch_ns = time_ns;
        }
        done.push((epoch_ns, is_timeless, time_ns, update));
    }
    done
}

fn books(instrument: &Instrument, records: &[&MarketRecord], leaves: &mut Leaves, gaps: &mut Gaps) {
    let mut updates: Vec<(i64, bool, i64, &BookUpdate)> = Vec::new();
    for record in records {
        let MarketContent::Book(update) = &record.content else { continue };
        updates.push((0, record.is_timeless, record.event_time_ns, update));
    }
    // A receipt says nothing where the venue's time is known.
    let timed: Vec<&BookUpdate> = updates.iter().filter(|update| !update.1).map(|update| update.3).collect();
    updates.retain(|update| !update.1 || !timed.contains(&update.3));
    let mut updates = epochs(updates);
    updates.sort_by_key(|(epoch_ns, _, time_ns, update)| (*epoch_ns, update.sequence, update.is_snapshot, *time_ns));
    let mut book = Slow::default();
    // The last update, whether it was a snapshot's; none where the book has no place.
    let mut place: Option<(u64, bool)> = None;
    let (mut depth, mut ahead) = (None, None);
    let mut open_gap = None;
    let mut was_there = false;
    let (mut time_ns, mut epoch) = (i64::MIN, i64::MIN);
    let mut minutes: BTreeMap<i64, (Vec<Touch>, bool, BookClose)> = BTreeMap::new();
    for (at, (epoch_ns, is_timeless, event_time_ns, update)) in updates.iter().enumerate() {
        let timed = updates[at..].iter().find(|(_, is_timeless, _, _)| !is_timeless);
        let own_ns = timed.map_or(*event_time_ns, |(_, _, next_ns, _)| *next_ns);
        time_ns = time_ns.max(if *is_timeless { own_ns.min(*event_time_ns) } else { *event_time_ns });
        let was_known = place.is_some();
        let mut begin_gap = |kind: GapKind| {
            gaps.insert((instrument.clone(), *epoch_ns, update.sequence), (kind, false));
            open_gap = Some((*epoch_ns, update.sequence));
        };
        let has_restarted = *epoch_ns != epoch;
        if has_restarted {
            begin_gap(GapKind::Restarted);
            (book, place, was_there, epoch) = (Slow::default(), None, true, *epoch_ns);
        }
        let levels = |depth: Option<u32>| depth.map_or(usize::MAX, |depth| depth as usize);
        if update.is_snapshot && place.is_some() && levels(update.depth) < levels(depth) {
            // Only the best are told: they are as they were sent, those behind them as before.
            let most = levels(update.depth);
            let last = |levels: &[Level]| levels.get(most - 1).map(|level| level.price_e8);
            book.bids.retain(|price_e8, _| last(&update.bids).is_some_and(|last| *price_e8 < last));
            book.asks.retain(|price_e8, _| last(&update.asks).is_some_and(|last| *price_e8 > last));
            book.apply(update);
            ahead = update.depth;
        } else if update.is_snapshot {
            book = Slow::default();
            book.apply(update);
            place = Some((update.last_id, true));
            (depth, ahead) = (update.depth, None);
            was_there = true;
            if let Some((epoch_ns, sequence)) = open_gap.take() {
                gaps.get_mut(&(instrument.clone(), epoch_ns, sequence)).expect("it is open").1 = true;
            }
        } else if let Some((last_id, is_snapshot)) = place
            && update.last_id > last_id
        {
            let follows = match update.previous_id {
                None => update.first_id <= last_id + 1,
                Some(previous) if is_snapshot => previous <= last_id || update.first_id <= last_id + 1,
                Some(previous) => previous == last_id,
            };
            if follows {
                book.apply(update);
                place = Some((update.last_id, false));
                ahead = None;
            } else {
                (book, place) = (Slow::default(), None);
                begin_gap(GapKind::Lost);
            }
        }
        if place.is_none() {
            (depth, ahead) = (None, None);
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
            depth: ahead.or(depth),
            bid_depth_e8: Slow::depth(book.bids.values().rev().copied()),
            ask_depth_e8: Slow::depth(book.asks.values().copied()),
        };
        let minute = minutes.entry(minute_of(time_ns)).or_insert_with(|| (Vec::new(), true, close));
        minute.0.push(touch);
        minute.1 &= was_known && place.is_some() && !has_restarted;
        minute.2 = close;
    }
    for (minute_ns, (touches, is_whole, close)) in minutes {
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
                let (base, quote) = match liquidation.side {
                    AggressorSide::Buy => (&mut flow.bought_e8, &mut flow.bought_quote_e16),
                    _ => (&mut flow.sold_e8, &mut flow.sold_quote_e16),
                };
                *base += i128::from(liquidation.quantity_e8);
                *quote += i128::from(liquidation.price_e8) * i128::from(liquidation.quantity_e8);
                flow.count += 1;
            }
            MarketContent::Quote(_) | MarketContent::Book(_) => unreachable!("left out"),
        }
    }
}
