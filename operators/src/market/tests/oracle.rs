//! Leaves and gaps of a set of records, made from scratch: sorted maps, no state kept, nothing shared with the fold.

use super::MINUTE_NS;
use crate::market::{BookClose, BookFlow, BookState, DEPTHS, LastMark, LiquidationFlow, MarketLeaf, Touch, TouchFlow};
use std::collections::BTreeMap;
use tidewheel_schemas::{AggressorSide, BookUpdate, Instrument, Level, MarketContent, MarketRecord};

pub type Leaves = BTreeMap<(Instrument, i64), MarketLeaf>;

/// The leaves of all minutes, and the sequences at which books lost their place, with whether a snapshot came after.
pub fn leaves(records: &[MarketRecord]) -> (Leaves, BTreeMap<(Instrument, u64), bool>) {
    let mut leaves = Leaves::new();
    let mut gaps = BTreeMap::new();
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
    let mut sorted = BTreeMap::new();
    for record in records {
        if let MarketContent::Quote(quote) = &record.content {
            let source = if quote.update_id.is_some() { (0, 0, 0) } else { record.source() };
            let touch = Touch { time_ns: record.event_time_ns, bid: quote.bid, ask: quote.ask };
            sorted.insert((record.event_time_ns, quote.update_id, source), touch);
        }
    }
    let touches: Vec<Touch> = sorted.into_values().collect();
    for touches in touches.chunk_by(|left, right| minute_of(left.time_ns) == minute_of(right.time_ns)) {
        let leaf = leaves.entry((instrument.clone(), minute_of(touches[0].time_ns))).or_default();
        leaf.quotes = Some(flow(touches));
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

fn books(
    instrument: &Instrument,
    records: &[&MarketRecord],
    leaves: &mut Leaves,
    gaps: &mut BTreeMap<(Instrument, u64), bool>,
) {
    let mut sorted = BTreeMap::new();
    for record in records {
        if let MarketContent::Book(update) = &record.content {
            sorted.insert((update.sequence, update.is_snapshot), (record.event_time_ns, update));
        }
    }
    let mut book = Slow::default();
    // The last update, whether it was a snapshot's; none where the book has no place.
    let mut place: Option<(u64, bool)> = None;
    let mut open_gap = None;
    let mut was_there = false;
    let mut time_ns = i64::MIN;
    let mut minutes: BTreeMap<i64, (Vec<Touch>, BookClose)> = BTreeMap::new();
    for (event_time_ns, update) in sorted.into_values() {
        time_ns = time_ns.max(event_time_ns);
        if update.is_snapshot {
            book = Slow::default();
            book.apply(update);
            place = Some((update.last_id, true));
            was_there = true;
            if let Some(sequence) = open_gap.take() {
                gaps.insert((instrument.clone(), sequence), true);
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
            } else {
                book = Slow::default();
                place = None;
                open_gap = Some(update.sequence);
                gaps.insert((instrument.clone(), update.sequence), false);
            }
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
            bid_depth_e8: Slow::depth(book.bids.values().rev().copied()),
            ask_depth_e8: Slow::depth(book.asks.values().copied()),
        };
        let minute = minutes.entry(minute_of(time_ns)).or_insert_with(|| (Vec::new(), close));
        minute.0.push(touch);
        minute.1 = close;
    }
    for (minute_ns, (touches, close)) in minutes {
        let leaf = leaves.entry((instrument.clone(), minute_ns)).or_default();
        leaf.book = Some(BookFlow { touches: flow(&touches), close });
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
