//! Records of accounts on their way into the engine, and what became of each.

use crate::hash::FixedMap;
use tidewheel_risk::book::{BookEvent, Refusal};
use tidewheel_risk::engine::{EngineFacts, Refused, RefusedWhy};
use tidewheel_schemas::{AccountContent, AccountRecord, Counters, FillAmendment, RejectReason};

/// A record of an account that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedAccount {
    /// The record.
    pub record: AccountRecord,
    /// Why.
    pub reason: RejectReason,
    /// What exactly, for a person.
    pub detail: String,
}

/// What the book is told by a record; nothing by what is for the desk.
pub(super) fn book_event(record: &AccountRecord) -> Option<BookEvent> {
    let event_time_ns = record.event_time_ns;
    match &record.content {
        AccountContent::Reference(reference) => Some(BookEvent::Reference(reference.clone())),
        AccountContent::Fill(fill) => Some(BookEvent::Fill(fill.clone())),
        AccountContent::FillAmendment(FillAmendment { account, instrument, fill_id, change, original_time_ns }) => {
            Some(BookEvent::FillChange {
                account: account.clone(),
                instrument: instrument.clone(),
                fill_id: fill_id.clone(),
                change: change.clone(),
                original_time_ns: *original_time_ns,
                event_time_ns,
            })
        }
        AccountContent::Cash(movement) => Some(BookEvent::Cash(movement.clone())),
        AccountContent::Intent(_) | AccountContent::OrderEnd(_) => None,
    }
}

/// The way back: what a record says, with its time where that is no part of it. Nothing of what markets did.
fn said(event: &BookEvent) -> Option<(AccountContent, i64)> {
    match event {
        BookEvent::Reference(reference) => Some((AccountContent::Reference(reference.clone()), 0)),
        BookEvent::Fill(fill) => Some((AccountContent::Fill(fill.clone()), 0)),
        BookEvent::FillChange { account, instrument, fill_id, change, original_time_ns, event_time_ns } => {
            let amendment = FillAmendment {
                account: account.clone(),
                instrument: instrument.clone(),
                fill_id: fill_id.clone(),
                change: change.clone(),
                original_time_ns: *original_time_ns,
            };
            Some((AccountContent::FillAmendment(amendment), *event_time_ns))
        }
        BookEvent::Cash(movement) => Some((AccountContent::Cash(movement.clone()), 0)),
        _ => None,
    }
}

/// Why a record is late.
const LATE: &str = "it is before all that may still change";

enum Verdict {
    Duplicate,
    Late,
    Refused(RefusedWhy),
}

/// What became of a tick's records.
#[derive(Default)]
pub(super) struct Judged {
    /// Those that are taken, by source.
    pub(super) accepted: Vec<AccountRecord>,
    /// Those that are not, but for duplicates, by source.
    pub(super) refused: Vec<RefusedAccount>,
    /// Of those taken, fills, changes of fills and cash that do not count, and why.
    pub(super) not_counted: Vec<(AccountRecord, String)>,
}

/// Tells which record became what. The engine answers with what a record says; of several that say the same the first by source is the
/// one that counts.
///
/// A fill, a change of one, or cash is taken also where it does not count, for want of reference data, too late, or impossible: the account is
/// known to hold something else than can be told, which stops it, and a history that is made again from what was taken must say so too.
pub(super) fn judge(mut records: Vec<AccountRecord>, facts: &mut EngineFacts, counters: &mut Counters) -> Judged {
    let mut verdicts: FixedMap<(AccountContent, i64), Vec<Verdict>> = FixedMap::default();
    let mut add = |event: &BookEvent, verdict: Verdict| {
        if let Some(key) = said(event) {
            verdicts.entry(key).or_default().push(verdict);
        }
    };
    facts.duplicates.drain(..).for_each(|event| add(&event, Verdict::Duplicate));
    facts.late.drain(..).for_each(|event| add(&event, Verdict::Late));
    for Refused { record, why } in facts.refused.drain(..) {
        add(&record, Verdict::Refused(why));
    }
    records.sort_by_key(AccountRecord::source);
    let mut judged = Judged::default();
    for record in records.into_iter().rev() {
        let verdict = book_event(&record).and_then(|event| verdicts.get_mut(&said(&event)?)?.pop());
        match verdict {
            None => {
                counters.accepted += 1;
                judged.accepted.push(record);
            }
            Some(Verdict::Duplicate) => counters.duplicate += 1,
            Some(Verdict::Late) => not_taken(record, RejectReason::TooOld, LATE, &mut judged, counters),
            // There is no account that could be stopped.
            Some(Verdict::Refused(why @ RefusedWhy::Book(Refusal::TooManyAccounts))) => {
                refuse(record, reason_of(&why), &why.to_string(), &mut judged, counters);
            }
            Some(Verdict::Refused(why)) => {
                not_taken(record, reason_of(&why), &why.to_string(), &mut judged, counters);
            }
        }
    }
    judged.accepted.reverse();
    judged.refused.reverse();
    judged.not_counted.reverse();
    judged
}

/// Fills and cash stop their account; anything else is only refused.
fn not_taken(record: AccountRecord, reason: RejectReason, why: &str, judged: &mut Judged, counters: &mut Counters) {
    if matches!(record.content, AccountContent::Fill(_) | AccountContent::FillAmendment(_) | AccountContent::Cash(_)) {
        counters.accepted += 1;
        judged.not_counted.push((record.clone(), why.to_owned()));
        judged.accepted.push(record);
    } else {
        refuse(record, reason, why, judged, counters);
    }
}

fn refuse(record: AccountRecord, reason: RejectReason, why: &str, judged: &mut Judged, counters: &mut Counters) {
    counters.reject(reason);
    let detail = format!("{}: {why}", record.content.name());
    judged.refused.push(RefusedAccount { record, reason, detail });
}

const fn reason_of(why: &RefusedWhy) -> RejectReason {
    match why {
        RefusedWhy::FromTheFuture { .. } => RejectReason::Future,
        RefusedWhy::Book(refusal) => match refusal {
            Refusal::UnknownInstrument(_) => RejectReason::Instrument,
            Refusal::NotPositive(_) | Refusal::OutOfRange(_) | Refusal::TooManyPositions | Refusal::TooManyAccounts => {
                RejectReason::Number
            }
            Refusal::Missing(_) | Refusal::OtherFill => RejectReason::Field,
            Refusal::Conflict(_) | Refusal::ReferenceInUse(_) => RejectReason::Conflict,
            Refusal::Misaligned(_) => RejectReason::Time,
        },
    }
}
