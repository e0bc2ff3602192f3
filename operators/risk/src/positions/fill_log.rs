//! What is known of the fills of one account and instrument inside the correction horizon: which are right, which came twice.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tidewheel_schemas::{Fill, FillChange};

/// What is known of one fill id. Changes may come before the fill; they wait for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillState {
    /// The fill as it came.
    pub original: Option<Fill>,
    /// The correction of the greatest sequence.
    pub correction: Option<(i64, Fill)>,
    /// Whether it was cancelled, which is the last word.
    pub is_cancelled: bool,
    /// The newest time of all that came for it: it is remembered as long as any of it could come again.
    pub newest_ns: i64,
}

impl FillState {
    /// The fill as it is right, none if it was cancelled or has not come.
    pub const fn effective(&self) -> Option<&Fill> {
        match (&self.original, &self.correction, self.is_cancelled) {
            (None, _, _) | (_, _, true) => None,
            (Some(_), Some((_, corrected)), _) => Some(corrected),
            (Some(original), None, _) => Some(original),
        }
    }
}

/// What a record made of a fill's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// Another state; whether the effective fill changed is for the caller to see.
    Changed(Box<FillState>),
    /// The same record came before, or a newer correction did.
    Duplicate,
    /// Another fill has the same id, or another correction the same sequence.
    Conflict,
}

/// So many ids behind the horizon are remembered, so that a fill that comes again is told from one that was never counted.
const FORGOTTEN_LIMIT: usize = 1_000;

/// The fills of one account and instrument, by id.
///
/// **State**: bounded by the correction horizon; and the newest 1,000 ids behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillLog {
    fills: BTreeMap<Arc<str>, FillState>,
    /// Those behind the horizon, and whether they were cancelled.
    forgotten: VecDeque<(Arc<str>, bool)>,
}

impl FillLog {
    /// What is known of an id.
    pub fn get(&self, id: &str) -> Option<&FillState> {
        self.fills.get(id)
    }

    /// How many ids are remembered.
    pub fn len(&self) -> usize {
        self.fills.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.fills.is_empty() && self.forgotten.is_empty()
    }

    /// The fills that count, by id.
    pub fn effective(&self) -> impl Iterator<Item = &Fill> {
        self.fills.values().filter_map(FillState::effective)
    }

    /// Whether a fill of before the horizon came in time.
    pub fn counted(&self, fill: &Fill) -> bool {
        let is_same = |state: &FillState| state.original.as_ref() == Some(fill);
        self.fills.get(&fill.fill_id).is_some_and(is_same) || self.forgotten.iter().any(|(id, _)| *id == fill.fill_id)
    }

    /// Whether a change of a fill of before the horizon came in time. Of corrections that is not remembered.
    pub fn changed(&self, id: &str, change: &FillChange) -> bool {
        let is_cancelled = |is_cancelled: bool| is_cancelled && matches!(change, FillChange::Cancel);
        self.fills.get(id).is_some_and(|state| is_cancelled(state.is_cancelled))
            || self.forgotten.iter().any(|(other, cancelled)| **other == *id && is_cancelled(*cancelled))
    }

    /// What a fill makes of the state of its id.
    pub fn with_fill(&self, fill: &Fill) -> Logged {
        let mut state = self.fills.get(&fill.fill_id).cloned().unwrap_or_default();
        match &state.original {
            Some(known) if known == fill => return Logged::Duplicate,
            Some(_) => return Logged::Conflict,
            None => state.original = Some(fill.clone()),
        }
        state.newest_ns = state.newest_ns.max(fill.event_time_ns);
        Logged::Changed(Box::new(state))
    }

    /// What a change makes of the state of an id.
    pub fn with_change(&self, id: &str, change: &FillChange, event_time_ns: i64) -> Logged {
        let mut state = self.fills.get(id).cloned().unwrap_or_default();
        state.newest_ns = state.newest_ns.max(event_time_ns);
        match change {
            FillChange::Cancel if state.is_cancelled => return Logged::Duplicate,
            FillChange::Cancel => state.is_cancelled = true,
            FillChange::Correct { fill, sequence } => {
                match &state.correction {
                    Some((known, _)) if known > sequence => return Logged::Duplicate,
                    Some((known, other)) if known == sequence && *other == **fill => return Logged::Duplicate,
                    Some((known, _)) if known == sequence => return Logged::Conflict,
                    _ => state.correction = Some((*sequence, (**fill).clone())),
                }
                state.newest_ns = state.newest_ns.max(fill.event_time_ns);
            }
        }
        Logged::Changed(Box::new(state))
    }

    /// Remembers a state.
    pub fn put(&mut self, id: Arc<str>, state: FillState) {
        self.fills.insert(id, state);
    }

    /// Forgets all of which nothing is as new as a time, and gives the ids whose changes waited in vain.
    pub fn freeze(&mut self, frozen_ns: i64) -> Vec<Arc<str>> {
        let mut expired = Vec::new();
        self.fills.retain(|id, state| {
            let is_kept = state.newest_ns >= frozen_ns;
            if !is_kept && state.original.is_none() {
                expired.push(id.clone());
            } else if !is_kept {
                self.forgotten.push_back((id.clone(), state.is_cancelled));
            }
            is_kept
        });
        self.forgotten.drain(..self.forgotten.len().saturating_sub(FORGOTTEN_LIMIT));
        expired
    }

    /// As [`freeze`](Self::freeze), of fills that do not count yet: those that will are kept.
    pub fn freeze_waiting(&mut self, frozen_ns: i64) -> Vec<Arc<str>> {
        let expired = self.fills.extract_if(.., |_, state| state.newest_ns < frozen_ns && state.effective().is_none());
        expired.filter(|(_, state)| state.original.is_none()).map(|(id, _)| id).collect()
    }
}
