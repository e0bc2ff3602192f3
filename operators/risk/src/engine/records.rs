//! A tick's records into the book, and what they mean for the desk: orders filled, bars, prints, flows.

use super::{EngineFacts, MarketPrint, RiskEngine, order};
use crate::book::{BookEvent, Outcome, Refusal};
use crate::breakers::Now;
use crate::decisions::{OrderFill, Progress};
use crate::flash_crash::Print;
use crate::levels::Scope;
use crate::regimes::BarReturn;
use crate::valuation::{Mark, MarkSource, minute_end_ns};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewheel_schemas::{CashMovement, Fill, Holder, Instrument};

/// An order that was cancelled or has expired at the venue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The account.
    pub account: Arc<str>,
    /// The intent that it came of.
    pub intent_id: Arc<str>,
}

impl Ended {
    pub(super) fn into_progress(self) -> Progress {
        Progress::Cancelled { account: self.account, intent_id: self.intent_id }
    }
}

/// A record that does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The record.
    pub record: BookEvent,
    /// Why not.
    pub why: RefusedWhy,
}

/// Why a record does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusedWhy {
    /// The book does not take it.
    #[error(transparent)]
    Book(#[from] Refusal),
    /// It is of a time that is further ahead than corrections reach back.
    #[error("{ahead_ns} ns ahead of the tick")]
    FromTheFuture {
        /// How far ahead, nanoseconds.
        ahead_ns: i64,
    },
}

/// What the records of a tick mean for the desk.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) progress: Vec<Progress>,
    pub(super) bars: Vec<BarReturn>,
    pub(super) prints: Vec<(Scope, Print)>,
    /// Put into accounts less what was taken out, sixteen decimals of their base currency.
    pub(super) flows: BTreeMap<Arc<str>, i128>,
    /// Positions that fills or funding touched.
    pub(super) touched: BTreeSet<(Holder, Instrument)>,
    /// Whether something is older than the last sample of equity.
    pub(super) is_correcting: bool,
    /// Accounts whose fills are others than the last sample of equity knew.
    pub(super) corrected: BTreeSet<Arc<str>>,
    /// Whether the policy values otherwise than before.
    pub(super) is_of_other_policy: bool,
}

impl RiskEngine {
    pub(super) fn take_records(&mut self, now: Now, mut records: Vec<BookEvent>, facts: &mut EngineFacts) -> Taken {
        let mut taken = Taken::default();
        let mut cash = Vec::new();
        records.sort_by(order::compare);
        let horizon_ns = self.book.config().horizon_ns;
        records.retain(|record| {
            let ahead_ns = order::time_ns(record).map_or(0, |time_ns| time_ns.saturating_sub(now.time_ns));
            let is_ahead = ahead_ns > horizon_ns;
            if is_ahead {
                let why = RefusedWhy::FromTheFuture { ahead_ns };
                self.book.lose(record);
                facts.refused.push(Refused { record: record.clone(), why });
            }
            !is_ahead
        });
        let mut records = records.into_iter().peekable();
        while let Some(record) = records.next() {
            let BookEvent::Mark { instrument, source, mark } = record else {
                self.take_record(record, &mut taken, &mut cash, facts);
                continue;
            };
            // All marks of a minute, the newest last.
            let mut marks = vec![mark];
            let minute = minute_end_ns(mark.event_time_ns);
            while let Some(BookEvent::Mark { mark, .. }) = records.next_if(|next| {
                matches!(next, BookEvent::Mark { instrument: other, source: of, mark }
                    if *other == instrument && *of == source && minute_end_ns(mark.event_time_ns) == minute)
            }) {
                marks.push(mark);
            }
            self.take_marks(&instrument, source, &marks, &mut taken, facts);
        }
        // By the rates of the tick, whichever of its marks came first.
        for CashMovement { account, currency, amount_e8, .. } in cash {
            let amount_e16 = i128::from(amount_e8) * crate::exact::ONE_E8;
            let sum = self.waiting.entry((account, currency)).or_default();
            *sum = sum.saturating_add(amount_e16);
        }
        // Without a rate there is no equity either: it waits.
        self.waiting.retain(|(account, currency), amount_e16| {
            let flow = self.book.rate(account, currency).ok().and_then(|rate| rate.convert(*amount_e16));
            if let Some(flow) = flow {
                let sum = taken.flows.entry(account.clone()).or_default();
                *sum = sum.saturating_add(flow);
            }
            flow.is_none()
        });
        taken
    }

    /// Takes the marks of one instrument in one minute: the newest that is not refused is all that the minute keeps of them, so that
    /// its positions are valued once.
    fn take_marks(
        &mut self,
        instrument: &Instrument,
        source: MarkSource,
        marks: &[Mark],
        taken: &mut Taken,
        facts: &mut EngineFacts,
    ) {
        for mark in marks.iter().rev() {
            let record = BookEvent::Mark { instrument: instrument.clone(), source, mark: *mark };
            if self.apply(record, taken, facts).is_some() {
                break;
            }
        }
        let is_watched = source == self.book.config().mark_source && self.book.reference_of(instrument).is_some();
        for mark in marks.iter().filter(|mark| is_watched && mark.price_e8 > 0) {
            // Ascending with the sequence, from the lowest there is.
            let key = (i128::from(mark.sequence) - i128::from(i64::MIN)).unsigned_abs();
            let print = Print { time_ns: mark.event_time_ns, key, value: mark.price_e8.into() };
            taken.prints.push((Scope::Symbol(instrument.clone()), print));
        }
    }

    /// Takes prices that are no marks: those of the source that marks are made of, of instruments that are known.
    pub(super) fn take_prints(&self, prints: Vec<MarketPrint>, taken: &mut Taken) {
        for MarketPrint { instrument, source, print } in prints {
            let is_watched = source == self.book.config().mark_source && self.book.reference_of(&instrument).is_some();
            if is_watched && print.value > 0 {
                taken.prints.push((Scope::Symbol(instrument), print));
            }
        }
    }

    /// Takes any other record.
    fn take_record(
        &mut self,
        record: BookEvent,
        taken: &mut Taken,
        cash: &mut Vec<CashMovement>,
        facts: &mut EngineFacts,
    ) {
        let fill_name = match &record {
            BookEvent::Fill(fill) => Some((fill.holder.account.clone(), fill.instrument.clone(), fill.fill_id.clone())),
            BookEvent::FillChange { account, instrument, fill_id, .. } => {
                Some((account.clone(), instrument.clone(), fill_id.clone()))
            }
            _ => None,
        };
        if let Some((account, instrument, id)) = fill_name {
            let before = self.book.effective_fill(&account, &instrument, &id).cloned();
            self.apply(record, taken, facts);
            let after = self.book.effective_fill(&account, &instrument, &id);
            if before.as_ref() != after {
                taken.touched.extend(before.iter().chain(after).map(|fill| (fill.holder.clone(), instrument.clone())));
                taken.progress.extend(before.as_ref().and_then(unfilled));
                taken.progress.extend(after.and_then(filled));
            }
            return;
        }
        let Some(Outcome::Applied) = self.apply(record.clone(), taken, facts) else { return };
        match record {
            BookEvent::Reference(reference) => {
                // What waited for it counts now.
                let holders = self.book.holders(&reference.instrument);
                let touched = holders.map(|holder| (holder.clone(), reference.instrument.clone()));
                taken.corrected.extend(self.book.holders(&reference.instrument).map(|holder| holder.account.clone()));
                let before = taken.touched.len();
                taken.touched.extend(touched);
                taken.is_correcting |= taken.touched.len() > before;
            }
            BookEvent::Cash(movement) => cash.push(movement),
            BookEvent::Funding(funding) => {
                let holders = self.book.holders(&funding.instrument);
                taken.touched.extend(holders.map(|holder| (holder.clone(), funding.instrument.clone())));
            }
            BookEvent::Close { instrument, bar_time_ns, close_e8: Some(close_e8) } => {
                taken.bars.extend(self.bar(instrument, bar_time_ns, close_e8));
            }
            _ => {}
        }
    }

    /// The return of a final bar over the final one before it, whatever lies between. A revision makes none: regimes are facts; the next
    /// return is over the revised close.
    fn bar(&mut self, instrument: Instrument, bar_time_ns: i64, close_e8: i64) -> Option<BarReturn> {
        let last = self.closes.get(&instrument).copied();
        if last.is_some_and(|(last_ns, _)| bar_time_ns < last_ns) {
            return None;
        }
        self.closes.insert(instrument.clone(), (bar_time_ns, close_e8));
        let (last_ns, last_e8) = last?;
        let end_ns = bar_time_ns.saturating_add(self.book.config().scenario_step_ns);
        let value = close_e8 as f64 / last_e8 as f64 - 1.0;
        (bar_time_ns > last_ns).then_some(BarReturn { instrument, end_ns, value })
    }

    /// Applies a record; none if it was refused.
    fn apply(&mut self, record: BookEvent, taken: &mut Taken, facts: &mut EngineFacts) -> Option<Outcome> {
        match self.book.apply(record.clone()) {
            Ok(outcome) => {
                if outcome == Outcome::Applied {
                    self.version += 1;
                    let last_ns = self.book.last_sample_ns();
                    let is_correcting = last_ns.is_some_and(|last_ns| order::since_ns(&record) < last_ns);
                    taken.is_correcting |= is_correcting;
                    match &record {
                        BookEvent::Fill(Fill { holder: Holder { account, .. }, .. })
                        | BookEvent::FillChange { account, .. }
                            if is_correcting =>
                        {
                            taken.corrected.insert(account.clone());
                        }
                        _ => {}
                    }
                }
                match outcome {
                    Outcome::Late => facts.late.push(record),
                    Outcome::Duplicate if is_of_an_account(&record) => facts.duplicates.push(record),
                    _ => {}
                }
                Some(outcome)
            }
            Err(refusal) => {
                facts.refused.push(Refused { record, why: refusal.into() });
                None
            }
        }
    }
}

const fn is_of_an_account(record: &BookEvent) -> bool {
    use BookEvent::{Cash, Fill, FillChange, Reference};
    matches!(record, Reference(_) | Fill(_) | FillChange { .. } | Cash(_))
}

fn unfilled(fill: &Fill) -> Option<Progress> {
    of_order(fill).map(Progress::Unfilled)
}

fn filled(fill: &Fill) -> Option<Progress> {
    of_order(fill).map(Progress::Filled)
}

fn of_order(fill: &Fill) -> Option<OrderFill> {
    Some(OrderFill {
        holder: fill.holder.clone(),
        instrument: fill.instrument.clone(),
        intent_id: fill.intent_id.clone()?,
        side: fill.side,
        quantity_e8: fill.quantity_e8,
    })
}
