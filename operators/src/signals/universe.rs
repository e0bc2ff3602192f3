//! The instruments of the most quote volume in 24 hours, kept up to date bar by bar.
//!
//! The day ends with the newest final bar of an hour of any instrument: that is data, and the same live and in replay. Ties,
//! and so all instruments before the first hour is over, are in the order of their names.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use tidewheel_schemas::{BarVersion, Instrument, Interval};

const DAY_NS: i64 = 86_400 * tidewheel_schemas::SECOND_NS;

/// The volume of one instrument.
#[derive(Debug, Default)]
pub(super) struct Volume {
    /// Quote volume by the open time of its hour.
    pub hours: BTreeMap<i64, i128>,
    /// Their sum.
    sum_e16: i128,
}

/// All instruments by volume.
#[derive(Debug)]
pub struct Universe {
    limit: usize,
    pub(super) volumes: BTreeMap<Instrument, Volume>,
    by_volume: BTreeSet<(Reverse<i128>, Instrument)>,
    /// Where the newest hour ends, nanoseconds.
    pub(super) newest_ns: i64,
    /// The first of them, with their places; none where that must be looked up again.
    first: Option<BTreeMap<Instrument, u32>>,
}

impl Universe {
    /// An empty one of at most so many instruments.
    pub const fn new(limit: usize) -> Self {
        Self { limit, volumes: BTreeMap::new(), by_volume: BTreeSet::new(), newest_ns: i64::MIN, first: None }
    }

    /// Makes it one of at most so many instruments.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.first = None;
    }

    /// Takes in a final bar of an hour; others are passed over.
    pub fn apply(&mut self, version: &BarVersion) {
        if version.interval != Interval::H1 || !version.is_final {
            return;
        }
        self.advance(version.close_time_ns());
        if version.open_time_ns < self.begin_ns() {
            return;
        }
        let volume_e16 = version.bar.as_ref().map(|bar| bar.quote_volume_e16);
        self.change(&version.instrument, |volume| {
            match volume_e16 {
                Some(of_hour) => volume.hours.insert(version.open_time_ns, of_hour),
                None => volume.hours.remove(&version.open_time_ns),
            };
        });
    }

    /// Takes note of an instrument, which may have no volume yet.
    pub fn know(&mut self, instrument: &Instrument) {
        if !self.volumes.contains_key(instrument) {
            self.change(instrument, |_| {});
        }
    }

    /// The place of an instrument, from 1, if it is one of the first.
    pub fn rank(&mut self, instrument: &Instrument) -> Option<u32> {
        let first = self.first.get_or_insert_with(|| {
            let first = self.by_volume.iter().take(self.limit);
            first.zip(1..).map(|((_, instrument), rank)| (instrument.clone(), rank)).collect()
        });
        first.get(instrument).copied()
    }

    /// The quote volume of an instrument in the last 24 hours, in 10^-16.
    pub fn quote_volume_e16(&self, instrument: &Instrument) -> i128 {
        self.volumes.get(instrument).map_or(0, |volume| volume.sum_e16)
    }

    const fn begin_ns(&self) -> i64 {
        self.newest_ns.saturating_sub(DAY_NS)
    }

    /// Moves the day on, and takes out of it the hours that lie before it.
    pub(super) fn advance(&mut self, newest_ns: i64) {
        if newest_ns <= self.newest_ns {
            return;
        }
        self.newest_ns = newest_ns;
        let begin_ns = self.begin_ns();
        let is_over = |volume: &Volume| volume.hours.first_key_value().is_some_and(|(open, _)| *open < begin_ns);
        let over = self.volumes.iter().filter(|(_, volume)| is_over(volume)).map(|(instrument, _)| instrument.clone());
        for instrument in over.collect::<Vec<_>>() {
            self.change(&instrument, |volume| volume.hours = volume.hours.split_off(&begin_ns));
        }
    }

    /// Changes the hours of an instrument, and its place with them.
    pub(super) fn change(&mut self, instrument: &Instrument, change: impl FnOnce(&mut Volume)) {
        let volume = self.volumes.entry(instrument.clone()).or_default();
        self.by_volume.remove(&(Reverse(volume.sum_e16), instrument.clone()));
        change(volume);
        volume.sum_e16 = volume.hours.values().sum();
        self.by_volume.insert((Reverse(volume.sum_e16), instrument.clone()));
        self.first = None;
    }
}
