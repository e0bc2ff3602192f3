//! What a lake tells of risk: which policy is in force, what stands, what accounts hold. Read from facts alone, as of a tick.
//!
//! ```text
//!  risk_events ---- Story: policies, standings, trips, levels
//!  risk, positions ---- AccountState: the newest numbers of each account, what it holds
//! ```
//!
//! Nothing is computed that the run did not say: rules that rose and came down are told tick by tick, and are only followed here. What
//! the lake has not committed yet is not seen; [`RiskView::through`] says how far it reaches.

mod accounts;
mod story;
#[cfg(test)]
mod tests;

pub use accounts::{AccountState, NumberRow, PositionState};
pub use story::{Ending, PolicyChange, Standing, Story, TripState};

use crate::tables::Tables;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidewheel_connectors::lake::rows::RowsByTick;
use tidewheel_connectors::lake::{LakeError, LakeState, Table, read};
use tidewheel_schemas::{Row, TableSpec};

/// Of such a time is the first tick that tells of all accounts.
const HOUR_MS: u64 = 3_600_000;

/// Why a lake tells nothing of risk.
#[derive(Debug, thiserror::Error)]
pub enum RiskViewError {
    /// There is no lake.
    #[error("there is no lake in {}: name the folder that lake.path names, or wait for the run's first commit", path.display())]
    NoLake {
        /// The folder.
        path: PathBuf,
    },
    /// No run with risk has written it.
    #[error(
        "the lake {} has no table of risk: no run with a [risk] section has committed to it yet", path.display()
    )]
    NoRisk {
        /// The folder.
        path: PathBuf,
    },
    /// An event is not what this program writes.
    #[error(
        "could not understand the event {number} of tick {tick} in risk_events: {detail}; was it written by another version?"
    )]
    Event {
        /// Its number in the run.
        number: String,
        /// Its tick, milliseconds.
        tick: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

/// A lake whose run has risk, as its newest commit has it.
#[derive(Debug)]
pub struct RiskView {
    root: PathBuf,
    state: LakeState,
    until: u64,
}

impl RiskView {
    /// Opens a lake; with `at`, as if nothing after that tick had come.
    ///
    /// # Errors
    /// If there is none, or it has no table of risk.
    pub fn open(root: &Path, at: Option<u64>) -> Result<Self, RiskViewError> {
        let state = read::manifest(root)?;
        let path = root.to_owned();
        if state.seq == 0 {
            return Err(RiskViewError::NoLake { path });
        }
        if state.of(Table::RiskEvents).next().is_none() {
            return Err(RiskViewError::NoRisk { path });
        }
        let until = at.map_or(u64::MAX, |tick| tick.saturating_add(1)).min(state.progress.tick_frontier);
        Ok(Self { root: path, state, until })
    }

    /// The lake's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The number of the newest commit, and the run that made it.
    pub fn commit(&self) -> (u64, &str) {
        (self.state.seq, &self.state.progress.run)
    }

    /// The last tick that is looked at, milliseconds.
    pub const fn through(&self) -> u64 {
        self.until.saturating_sub(1)
    }

    /// All that happened up to then.
    ///
    /// # Errors
    /// If a file cannot be read, or an event not be understood.
    pub fn story(&self) -> Result<Story, RiskViewError> {
        let mut story = Story::default();
        let mut trouble = Ok(());
        self.rows("risk_events", 0, |spec, row| {
            if trouble.is_ok() {
                trouble = story.take(spec, row);
            }
        })?;
        trouble?;
        Ok(story)
    }

    /// The newest numbers of all accounts, by name, and what they hold.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn accounts(&self) -> Result<Vec<AccountState>, RiskViewError> {
        let mut found = accounts::Newest::default();
        // All accounts are told at the first tick of an hour: where a window of whole hours has any of them, it has all.
        let hour = self.through() / HOUR_MS;
        for hours in [1, 24, 24 * 31, hour] {
            self.rows("risk", hour.saturating_sub(hours) * HOUR_MS, |spec, row| found.numbers(spec, row))?;
            if !found.is_empty() {
                break;
            }
        }
        self.rows("positions", 0, |spec, row| found.position(spec, row))?;
        Ok(found.into_accounts())
    }

    /// The rows of a table from a tick up to then, by tick, and of a tick in the order of their keys.
    fn rows(
        &self,
        family: &str,
        from_tick: u64,
        mut each: impl FnMut(&Arc<TableSpec>, &Row),
    ) -> Result<(), RiskViewError> {
        let tables = Tables::default().with_risk(true, false);
        let number = tables.specs().iter().position(|spec| &*spec.family == family).expect("a table of risk");
        let spec = &tables.specs()[number];
        let mut stored = RowsByTick::open(&self.root, &self.state, spec, number as u16, from_tick)?;
        stored.drain(|row| {
            if (from_tick..self.until).contains(&tick_of(&row)) {
                each(spec, &row);
            }
        })?;
        // A damaged file would be a gap in what is told.
        if let Some(damage) = stored.damages().into_iter().next() {
            let (path, detail) = (self.root.join(damage.path), damage.detail);
            return Err(LakeError::DataFile { path, manifest: self.state.seq, detail }.into());
        }
        Ok(())
    }
}

/// The place of a column.
fn column(spec: &TableSpec, name: &str) -> Option<usize> {
    spec.columns.iter().position(|column| &*column.name == name)
}

/// The tick of a row of a table of risk, whose times are those of ticks.
fn tick_of(row: &Row) -> u64 {
    u64::try_from(row.event_time_ns / 1_000_000).unwrap_or_default()
}
