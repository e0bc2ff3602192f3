//! What became of transactions that a broker did not end everywhere: from what is seen in the partitions, and nothing else.
//!
//! A progress record says where the records of its transaction ended, and it is sent when these are delivered. So:
//!
//! - An attempt is a progress record that no reader of committed records sees. Its transaction was committed if one of its
//!   records is visible or its writer went on after it, else it was rolled back if one is hidden. If all are open it may have been reported as committed, and
//!   all is there: it is committed.
//! - What a committed progress record speaks of must be visible. All else that is open was never reported: it is rolled back.
//!
//! Each step is one transaction of its own, after which everything is looked at again, since the process may be killed after any
//! of them, and in the middle. The progress comes first, so that what is to become of the rest can be seen from then on. What is
//! open is rolled back whoever's it is, and what must be visible is then written again from what lies in the partition: so a
//! record that ends a transaction is never seen, and a rollback that was wrong is mended too.

use super::ends::{Ends, Span};
use std::collections::{BTreeMap, BTreeSet};

/// A partition of a topic.
pub(super) type Place = (String, i32);

/// What a reader sees of the last record of a transaction in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is committed.
    Visible,
    /// It was rolled back, and is still there.
    Hidden,
    /// Nobody has ended its transaction there.
    Open,
    /// The broker has removed it.
    Gone,
    /// Another sink's open transaction lies before it.
    Unclear,
}

/// A progress record that is not committed.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// None: an earlier version wrote it.
    pub(super) ends: Option<Ends>,
    /// Whether it is open in the progress topic, not hidden there.
    pub(super) is_open: bool,
    /// Whether its writer went on with a next transaction, which it does only when told that this one is committed.
    pub(super) is_followed: bool,
    /// Whether it only says that a sink was opened.
    pub(super) is_claim: bool,
    /// Of the partitions that it speaks of.
    pub(super) seen: BTreeMap<Place, Seen>,
}

/// All that the decision rests upon.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// What the last committed progress record says; nothing where there is no record, none where an earlier version wrote it.
    pub(super) committed: Option<Ends>,
    /// What is seen of the partitions that it speaks of.
    pub(super) seen: BTreeMap<Place, Seen>,
    /// Progress records after it, in their order.
    pub(super) attempts: Vec<Attempt>,
    /// Whether records of another sink lie among the open ones of the progress topic, so that these may not be open at all.
    pub(super) is_interleaved: bool,
    /// Where records are open, the progress topic included; not where a rollback has changed nothing: they are another sink's.
    pub(super) open: BTreeSet<Place>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// All is ended as it must be.
    Done,
    /// Commit this attempt's progress.
    Commit(usize),
    /// Roll back what is open.
    RollBack(Vec<Place>),
    /// Write again what was rolled back and must not be.
    Rewrite(Vec<(Place, Span)>),
    /// It was rolled back and must not be, and cannot be written again: records of another sink lie between.
    Scattered(Vec<Place>),
    /// It cannot be told, or not yet.
    Unclear(Vec<Place>),
}

/// What became of an attempt.
enum Fate {
    Committed,
    RolledBack,
    /// It says nothing that need be known.
    Empty,
    Unclear(Vec<Place>),
}

/// The next step.
pub(super) fn decide(facts: &Facts, progress: &Place) -> Step {
    if facts.is_interleaved {
        return Step::Unclear(vec![progress.clone()]);
    }
    for at in (0..facts.attempts.len()).rev() {
        let before = match at {
            0 => facts.committed.as_ref(),
            _ => facts.attempts[at - 1].ends.as_ref(),
        };
        match fate(&facts.attempts[at], before, progress) {
            Fate::Committed => return Step::Commit(at),
            Fate::Unclear(places) => return Step::Unclear(places),
            Fate::RolledBack | Fate::Empty => {}
        }
    }
    let Some(committed) = &facts.committed else {
        return match facts.open.is_empty() {
            true => Step::Done,
            false => Step::Unclear(facts.open.iter().cloned().collect()),
        };
    };
    if !facts.open.is_empty() {
        return Step::RollBack(facts.open.iter().cloned().collect());
    }
    let places = |wanted: &[Seen]| -> Vec<Place> {
        facts.seen.iter().filter(|(_, seen)| wanted.contains(seen)).map(|(place, _)| place.clone()).collect()
    };
    let unclear = places(&[Seen::Unclear, Seen::Open]);
    if !unclear.is_empty() {
        return Step::Unclear(unclear);
    }
    let hidden = places(&[Seen::Hidden]);
    let span = |place: &Place| committed.of(&place.0, place.1).expect("only what it speaks of was looked at");
    let scattered: Vec<Place> = hidden.iter().filter(|place| span(place).first == span(place).end).cloned().collect();
    match (hidden.is_empty(), scattered.is_empty()) {
        (true, _) => Step::Done,
        (false, true) => Step::Rewrite(hidden.into_iter().map(|place| (place.clone(), span(&place))).collect()),
        (false, false) => Step::Scattered(scattered),
    }
}

fn fate(attempt: &Attempt, before: Option<&Ends>, progress: &Place) -> Fate {
    let Some(ends) = &attempt.ends else {
        // It does not say what came with it.
        return if attempt.is_open { Fate::Unclear(vec![progress.clone()]) } else { Fate::RolledBack };
    };
    let is_new = |topic: &str, partition, span| before.and_then(|before| before.of(topic, partition)) != Some(span);
    let touched = ends.iter().filter(|(topic, partition, span)| is_new(topic, *partition, *span));
    let touched: Vec<Place> = touched.map(|(topic, partition, _)| (topic.to_owned(), partition)).collect();
    let with = |wanted: Seen| touched.iter().filter(move |place| attempt.seen.get(*place) == Some(&wanted));
    if attempt.is_followed || with(Seen::Visible).next().is_some() {
        return Fate::Committed;
    }
    if with(Seen::Unclear).next().is_some() {
        return Fate::Unclear(with(Seen::Unclear).cloned().collect());
    }
    if with(Seen::Hidden).next().is_some() {
        return Fate::RolledBack;
    }
    // A claim that was rolled back must not keep the process out that it was to keep out.
    let says_something = attempt.is_open || touched.is_empty() && !attempt.is_claim;
    match says_something || with(Seen::Open).next().is_some() {
        true => Fate::Committed,
        false => Fate::Empty,
    }
}

#[cfg(test)]
mod tests;
