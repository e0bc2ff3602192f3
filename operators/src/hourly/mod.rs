//! The volume of each hour, and how much of its day's it was.
//!
//! A row for each final bar of an hour, made of its exact integers. A row's share is of the volume from midnight UTC through its
//! end, as far as it is known: so a change of an hour revises its row and those of the later hours of its day.
//!
//! **State**: the hours of each instrument of the days of which one can still change, 24 a day.

mod operator;
mod saved;
#[cfg(test)]
mod tests;

pub use operator::{HourlyStreams, hourly_volume};
pub use saved::SavedHours;

use crate::TickHeader;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tidewheel_schemas::{BarVersion, Instrument, Interval};

/// What was traded in an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourVolume {
    /// Base volume, eight decimals.
    pub volume_e8: i128,
    /// Price times quantity, summed, sixteen decimals.
    pub quote_volume_e16: i128,
    /// Base volume in which the taker bought, eight decimals.
    pub taker_buy_volume_e8: i128,
    /// The same in the quote asset, sixteen decimals.
    pub taker_buy_quote_volume_e16: i128,
    /// Number of fills.
    pub trades: u64,
    /// Base volume of the day through this hour, eight decimals.
    pub day_volume_e8: i128,
}

/// One version of the row of an hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourRow {
    /// What was traded.
    pub instrument: Instrument,
    /// Start of the hour, nanoseconds.
    pub open_time_ns: i64,
    /// 0 with the first version, then one more each.
    pub revision: u32,
    /// What the row says; none where all trades of the hour are gone.
    pub values: Option<HourVolume>,
}

/// An hour, and what was published of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Hour {
    /// As the last version had it, with the volume of the day as it was published.
    volume: Option<HourVolume>,
    /// The next version's.
    revision: u32,
}

/// The hours of an instrument whose day can still change, by their start.
type Hours = BTreeMap<i64, Hour>;

/// The hours of all instruments of a worker. Feed it the ticks in their order.
#[derive(Debug, Default)]
pub struct HourlyLedger {
    books: BTreeMap<Instrument, Hours>,
    /// Those that the last snapshot does not show.
    unsaved: BTreeSet<Instrument>,
    is_saved: bool,
    /// Start of the first day that can still change, nanoseconds.
    frozen_day_ns: i64,
}

const HOUR_NS: i64 = Interval::H1.duration_ns();

impl HourlyLedger {
    /// An empty one. `is_saved` tells whether snapshots will be asked for, so that changes are kept track of.
    pub fn new(is_saved: bool) -> Self {
        Self { is_saved, frozen_day_ns: i64::MIN, ..Self::default() }
    }

    /// Whether a version is one that rows are made of.
    pub fn wants(version: &BarVersion) -> bool {
        version.is_final && version.interval == Interval::H1
    }

    /// Applies the versions of a tick, in any order, and gives the rows that are others than before, by instrument and time.
    /// At the tick of a restore nothing happens.
    pub fn apply(&mut self, header: &TickHeader, versions: &[BarVersion]) -> Vec<HourRow> {
        if header.is_restore {
            return Vec::new();
        }
        self.freeze(header.frozen_ns);
        let mut changed: BTreeMap<&Instrument, BTreeMap<i64, &BarVersion>> = BTreeMap::new();
        for version in versions.iter().filter(|version| Self::wants(version)) {
            changed.entry(&version.instrument).or_default().insert(version.open_time_ns, version);
        }
        let mut rows = Vec::new();
        for (instrument, versions) in changed {
            let hours = self.books.entry(instrument.clone()).or_default();
            let published = rows.len();
            apply(instrument, hours, &versions, &mut rows);
            if self.is_saved && rows.len() > published {
                self.unsaved.insert(instrument.clone());
            }
        }
        rows
    }

    fn freeze(&mut self, frozen_ns: i64) {
        let day_ns = if frozen_ns == i64::MIN { i64::MIN } else { Interval::D1.open_of(frozen_ns) };
        if day_ns > self.frozen_day_ns {
            self.frozen_day_ns = day_ns;
            self.books.retain(|_, hours| {
                *hours = hours.split_off(&day_ns);
                !hours.is_empty()
            });
        }
    }

    /// Hours held.
    pub fn len(&self) -> usize {
        self.books.values().map(BTreeMap::len).sum()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.books.is_empty()
    }
}

fn apply(instrument: &Instrument, hours: &mut Hours, versions: &BTreeMap<i64, &BarVersion>, rows: &mut Vec<HourRow>) {
    let days: BTreeSet<i64> = versions.keys().map(|open_time_ns| Interval::D1.open_of(*open_time_ns)).collect();
    for open_time_ns in versions.keys() {
        hours.entry(*open_time_ns).or_default();
    }
    for day_ns in days {
        let mut day_volume_e8 = 0;
        for (open_time_ns, hour) in hours.range_mut(day_ns..day_ns + Interval::D1.duration_ns()) {
            let now = match versions.get(open_time_ns) {
                Some(version) => version.bar.as_ref().map(|bar| HourVolume {
                    volume_e8: bar.volume_e8,
                    quote_volume_e16: bar.quote_volume_e16,
                    taker_buy_volume_e8: bar.taker_buy_volume_e8,
                    taker_buy_quote_volume_e16: bar.taker_buy_quote_volume_e16,
                    trades: bar.trade_count,
                    day_volume_e8: 0,
                }),
                None => hour.volume,
            };
            day_volume_e8 += now.map_or(0, |now| now.volume_e8);
            let values = now.map(|now| HourVolume { day_volume_e8, ..now });
            if hour.volume != values {
                rows.push(HourRow {
                    instrument: instrument.clone(),
                    open_time_ns: *open_time_ns,
                    revision: hour.revision,
                    values,
                });
                *hour = Hour { volume: values, revision: hour.revision + 1 };
            }
        }
    }
}

impl HourRow {
    /// End of the hour, nanoseconds.
    pub const fn close_time_ns(&self) -> i64 {
        self.open_time_ns + HOUR_NS
    }
}
