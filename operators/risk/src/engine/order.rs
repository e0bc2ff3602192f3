//! One order for the records of a tick, whatever their arrival.
//!
//! References come first, then what accounts did, then what markets did; within a kind by time and name, then by all that is left of a
//! record, so that of two records with one identity it is always the same one that counts.

use crate::book::BookEvent;
use std::cmp::Ordering;
use std::sync::Arc;
use tidewheel_schemas::{Fill, FillChange, Holder, Instrument, Side};

pub(super) fn compare(one: &BookEvent, other: &BookEvent) -> Ordering {
    use BookEvent as Event;
    match (one, other) {
        (Event::Reference(one), Event::Reference(other)) => {
            let names = one.instrument.cmp(&other.instrument).then(one.asset_class.cmp(&other.asset_class));
            let names = names.then(one.sector.cmp(&other.sector)).then(one.base_currency.cmp(&other.base_currency));
            let names = names.then(one.quote_currency.cmp(&other.quote_currency)).then(one.kind.cmp(&other.kind));
            names.then(one.multiplier_e8.cmp(&other.multiplier_e8))
        }
        (Event::Fill(one), Event::Fill(other)) => fill_key(one).cmp(&fill_key(other)),
        (
            Event::FillChange { account, instrument, fill_id, change, original_time_ns, event_time_ns },
            Event::FillChange {
                account: other_account,
                instrument: other_instrument,
                fill_id: other_id,
                change: other_change,
                original_time_ns: other_original,
                event_time_ns: other_time,
            },
        ) => {
            let one = (account, instrument, fill_id, change_key(change), event_time_ns, original_time_ns);
            let other =
                (other_account, other_instrument, other_id, change_key(other_change), other_time, other_original);
            one.cmp(&other)
        }
        (Event::Cash(one), Event::Cash(other)) => (
            one.event_time_ns,
            &one.account,
            &one.id,
            &one.currency,
            one.amount_e8,
        )
            .cmp(&(other.event_time_ns, &other.account, &other.id, &other.currency, other.amount_e8)),
        (Event::Funding(one), Event::Funding(other)) => (
            one.event_time_ns,
            &one.instrument,
            one.rate_e12,
            one.mark_price_e8,
        )
            .cmp(&(other.event_time_ns, &other.instrument, other.rate_e12, other.mark_price_e8)),
        (
            Event::Mark { instrument, source, mark },
            Event::Mark { instrument: other_instrument, source: other_source, mark: other },
        ) => (instrument, source, mark.event_time_ns, mark.sequence, mark.price_e8).cmp(&(
            other_instrument,
            other_source,
            other.event_time_ns,
            other.sequence,
            other.price_e8,
        )),
        (
            Event::MinuteMark { instrument, source, minute_end_ns, mark },
            Event::MinuteMark {
                instrument: other_instrument,
                source: other_source,
                minute_end_ns: other_end,
                mark: other_mark,
            },
        ) => {
            let mark = mark.map(|mark| (mark.event_time_ns, mark.sequence, mark.price_e8));
            let other_mark = other_mark.map(|mark| (mark.event_time_ns, mark.sequence, mark.price_e8));
            (instrument, source, minute_end_ns, mark).cmp(&(other_instrument, other_source, other_end, other_mark))
        }
        (
            Event::Close { instrument, bar_time_ns, close_e8 },
            Event::Close { instrument: other_instrument, bar_time_ns: other_time, close_e8: other_close },
        ) => (instrument, bar_time_ns, close_e8).cmp(&(other_instrument, other_time, other_close)),
        _ => rank(one).cmp(&rank(other)),
    }
}

/// The event time of a record; none of one that has none.
pub(super) fn time_ns(record: &BookEvent) -> Option<i64> {
    match record {
        BookEvent::Reference(_) => None,
        BookEvent::Fill(fill) => Some(fill.event_time_ns),
        BookEvent::FillChange { change: FillChange::Correct { fill, .. }, event_time_ns, .. } => {
            Some(fill.event_time_ns.max(*event_time_ns))
        }
        BookEvent::FillChange { event_time_ns, .. } => Some(*event_time_ns),
        BookEvent::Cash(movement) => Some(movement.event_time_ns),
        BookEvent::Funding(funding) => Some(funding.event_time_ns),
        BookEvent::Mark { mark, .. } => Some(mark.event_time_ns),
        // The end of the minute lies ahead of what its mark says.
        BookEvent::MinuteMark { minute_end_ns, mark, .. } => {
            Some(mark.map_or(*minute_end_ns, |mark| mark.event_time_ns))
        }
        BookEvent::Close { bar_time_ns, .. } => Some(*bar_time_ns),
    }
}

/// From when on a record changes what an account had: a fill's change from the older of its times.
pub(super) fn since_ns(record: &BookEvent) -> i64 {
    match record {
        // The grid of scenarios is no part of equity, nor is what an instrument belongs to.
        BookEvent::Reference(_) | BookEvent::Close { .. } => i64::MAX,
        // What was changed may be as old as anything that can still be changed.
        BookEvent::FillChange { .. } => i64::MIN,
        BookEvent::MinuteMark { minute_end_ns, .. } => minute_end_ns.saturating_sub(1),
        other => time_ns(other).unwrap_or(i64::MAX),
    }
}

const fn rank(record: &BookEvent) -> u8 {
    match record {
        BookEvent::Reference(_) => 0,
        BookEvent::Fill(_) => 1,
        BookEvent::FillChange { .. } => 2,
        BookEvent::Cash(_) => 3,
        BookEvent::Funding(_) => 4,
        BookEvent::Mark { .. } => 5,
        BookEvent::MinuteMark { .. } => 6,
        BookEvent::Close { .. } => 7,
    }
}

type FillKey<'a> =
    ((i64, &'a Holder, &'a Instrument, &'a Arc<str>), (Side, i64, i64, i64, &'a Arc<str>, Option<&'a Arc<str>>));

fn fill_key(fill: &Fill) -> FillKey<'_> {
    (
        (fill.event_time_ns, &fill.holder, &fill.instrument, &fill.fill_id),
        (fill.side, fill.quantity_e8, fill.price_e8, fill.fee_e8, &fill.fee_currency, fill.intent_id.as_ref()),
    )
}

/// Cancels come last: they are the last word.
fn change_key(change: &FillChange) -> (bool, i64, Option<FillKey<'_>>) {
    match change {
        FillChange::Correct { fill, sequence } => (false, *sequence, Some(fill_key(fill))),
        FillChange::Cancel => (true, 0, None),
    }
}
