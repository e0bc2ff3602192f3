//! The rows of `bars`, of each key the right one now, against the versions as they follow one another.
//!
//! A row is of the tick at which its version was published, and is compared there. It must not be superseded later; and a
//! version without a row must be. Which of the two it is shows by the time its bar is frozen.

use super::changelog::{Key, key_of, missing, same, surplus, text_of};
use super::report::{Difference, Report};
use crate::engine::MergedTick;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tidewheel_connectors::lake::versions::{VersionRow, VersionsByTick};
use tidewheel_connectors::lake::{LakeError, LakeState, Table, read};
use tidewheel_operators::TickHeader;
use tidewheel_schemas::BarVersion;

const NAME: &str = Table::Bars.name();

/// How many ticks pass between two looks for bars that are frozen.
const TICKS_BETWEEN_LOOKS: u64 = 1_000;

/// The table being compared.
pub(super) struct Bars {
    lake: PathBuf,
    rows: VersionsByTick,
    end: u64,
    horizon_ns: i64,
    /// Rows that were found, by key, with their tick: no later version may supersede them.
    standing: HashMap<Key, u64>,
    /// Versions without a row: a later one must supersede them.
    absent: HashMap<Key, BarVersion>,
    ticks: u64,
}

impl Bars {
    pub fn open(lake: &Path, state: &LakeState, ticks: &Range<u64>, horizon_ns: i64) -> Result<Self, LakeError> {
        Ok(Self {
            lake: lake.to_owned(),
            rows: VersionsByTick::open(lake, state, Table::Bars, ticks.start)?,
            end: ticks.end,
            horizon_ns,
            standing: HashMap::new(),
            absent: HashMap::new(),
            ticks: 0,
        })
    }

    pub fn compare(&mut self, tick: &MergedTick, report: &mut Report) -> Result<(), LakeError> {
        let output = &tick.output;
        let rows = self.rows.take(output.tick)?;
        self.tell_strays(report);
        let mut found: HashMap<Key, VersionRow> = HashMap::new();
        for row in rows {
            if let Some(twice) = found.insert(key_of(&row.version), row) {
                report.differ(surplus(NAME, &twice.version));
            }
        }
        // Provisional versions are for the changelog alone, but that a tombstone ends a row; what is open at a stop stands.
        let counting = output.bars.iter().filter(|version| version.is_final || version.bar.is_none());
        for version in counting.chain(&tick.open_bars) {
            let key = key_of(version);
            if let Some(before) = self.standing.remove(&key) {
                let (published, recomputed) = (Some(before), Some(version.tick));
                report.differ(Difference::of(NAME, text_of(&key), Some(before), "tick", published, recomputed));
            }
            self.absent.remove(&key);
            match found.remove(&key) {
                Some(row) if version.bar.is_some() => {
                    report.bars += u64::from(same(NAME, &row, version, report));
                    self.standing.insert(key, version.tick);
                }
                Some(row) => report.differ(surplus(NAME, &row.version)),
                None if version.bar.is_some() => drop(self.absent.insert(key, version.clone())),
                None => {}
            }
        }
        found.into_values().for_each(|row| report.differ(surplus(NAME, &row.version)));
        self.ticks += 1;
        if self.ticks.is_multiple_of(TICKS_BETWEEN_LOOKS) {
            self.forget_frozen(output.watermark_ns, report);
        }
        Ok(())
    }

    /// No later version can come of a bar that is frozen.
    fn forget_frozen(&mut self, watermark_ns: i64, report: &mut Report) {
        let frozen_ns = TickHeader::frozen_at(watermark_ns, self.horizon_ns);
        let is_open = |key: &Key| key.2.saturating_add(key.0.duration_ns()) > frozen_ns;
        self.standing.retain(|key, _| is_open(key));
        let mut frozen: Vec<(Key, BarVersion)> = self.absent.extract_if(|key, _| !is_open(key)).collect();
        frozen.sort();
        frozen.iter().for_each(|(_, version)| report.differ(missing(NAME, version)));
    }

    /// What has no row must have been superseded after the ticks that were compared.
    pub fn finish(&mut self, report: &mut Report) -> Result<(), LakeError> {
        self.rows.take(self.end)?;
        self.tell_strays(report);
        if !self.absent.is_empty() {
            let newest = read::manifest(&self.lake)?;
            for table in [Table::Bars, Table::BarsChangelog] {
                let mut later = VersionsByTick::open(&self.lake, &newest, table, self.end)?;
                later.drain(|row| drop(self.absent.remove(&key_of(&row.version))))?;
            }
        }
        let mut absent: Vec<(Key, BarVersion)> = self.absent.drain().collect();
        absent.sort();
        absent.iter().for_each(|(_, version)| report.differ(missing(NAME, version)));
        Ok(())
    }

    fn tell_strays(&mut self, report: &mut Report) {
        self.rows.damages().iter().for_each(|damage| report.damaged(damage));
        self.rows.strays().iter().for_each(|row| report.differ(surplus(NAME, &row.version)));
    }
}
