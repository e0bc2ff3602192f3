//! Which bar rows a commit writes, and which committed files it must rewrite for that.
//!
//! `bars` keeps one row a key: the newest final version, or, for a bar that never became final, the one that stood at the
//! end of its run, as long as no later run goes on from there. A newer version in the buffer replaces an older one there; one that replaces a committed row takes the
//! row's whole file into the commit (copy-on-write), found by the times in the manifest first and by the keys in the file then.

use super::bars_read::{any_key, read_bars};
use super::columns::venues_and_symbols;
use super::error::LakeError;
use super::layout::{Day, Layout, Partition, Table, interval_of};
use super::manifest::{LakeFile, LakeState};
use super::trades_file::Interner;
use arrow::array::ArrayRef;
use foldhash::HashSet;
use std::collections::BTreeMap;
use tidewheel_schemas::{BarVersion, Interval, TickOutput};

/// Where a version comes from. The order decides between versions of one key that are both final, or both not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Origin {
    /// A committed file.
    Committed = 0,
    /// Published since the last commit.
    Published = 1,
    /// Still open when the run ended.
    Closing = 2,
}

/// The versions of one interval and day.
#[derive(Default)]
pub(super) struct BarPartition<'a> {
    /// In the order of their coming, by origin.
    pub rows: Vec<&'a BarVersion>,
    origins: Vec<Origin>,
    /// The number of each row's instrument, later its rank by name.
    pub ranks: Vec<u32>,
}

/// All versions of a commit, by partition.
#[derive(Default)]
pub(super) struct BarPlan<'a> {
    pub partitions: BTreeMap<(Interval, Day), BarPartition<'a>>,
    instruments: Interner<'a>,
}

/// The rows to write of one partition, as indices.
pub(super) struct Selection {
    /// For `bars`, sorted.
    pub bars: Vec<u32>,
    /// For `bars_changelog`, sorted.
    pub changelog: Vec<u32>,
    /// Committed rows that are no more.
    pub superseded: u64,
}

impl<'a> BarPlan<'a> {
    /// Gathers what was published, and what was open at the end of the run.
    pub(super) fn gather(ticks: &'a [TickOutput], closing: &'a [BarVersion], intervals: &[Interval]) -> Self {
        let mut plan = Self::default();
        let mut keep = [false; Interval::ALL.len()];
        intervals.iter().for_each(|&interval| keep[interval as usize] = true);
        let mut add = |versions: &'a [BarVersion], origin| {
            for run in versions.chunk_by(same_partition) {
                if keep[run[0].interval as usize] {
                    plan.add(run, origin);
                }
            }
        };
        ticks.iter().for_each(|tick| add(&tick.bars, Origin::Published));
        add(closing, Origin::Closing);
        plan
    }

    /// Adds versions of one partition.
    pub(super) fn add(&mut self, versions: &'a [BarVersion], origin: Origin) {
        let Some(first) = versions.first() else { return };
        let partition = self.partitions.entry((first.interval, Day::of_ns(first.open_time_ns))).or_default();
        for version in versions {
            partition.rows.push(version);
            partition.origins.push(origin);
            partition.ranks.push(self.instruments.index_of(&version.instrument) as u32);
        }
    }

    /// Puts the instruments into order: venues and symbols by rank, and in the partitions ranks in place of numbers.
    pub(super) fn rank(&mut self) -> [ArrayRef; 2] {
        let mut sorted: Vec<u32> = (0..self.instruments.instruments.len() as u32).collect();
        sorted.sort_unstable_by_key(|&number| self.instruments.instruments[number as usize]);
        let mut rank_of = vec![0; sorted.len()];
        (0u32..).zip(&sorted).for_each(|(rank, &number)| rank_of[number as usize] = rank);
        for partition in self.partitions.values_mut() {
            partition.ranks.iter_mut().for_each(|rank| *rank = rank_of[*rank as usize]);
        }
        venues_and_symbols(sorted.iter().map(|&number| self.instruments.instruments[number as usize]))
    }

    /// The committed files that hold a key of which this commit has a newer version, and, where asked for, those that hold
    /// bars which were open when an earlier run ended.
    pub(super) fn affected_files<'s>(
        &self,
        layout: &Layout,
        state: &'s LakeState,
        drops_open: bool,
    ) -> Result<Vec<(Interval, &'s LakeFile)>, LakeError> {
        let mut affected = Vec::new();
        if drops_open {
            let open = state.of(Table::Bars).filter(|file| file.open_rows > 0);
            affected.extend(open.filter_map(|file| Some((interval_of(&file.path)?, file))));
        }
        let is_dropped = |file: &LakeFile| drops_open && file.open_rows > 0;
        for (&(interval, day), partition) in &self.partitions {
            let folder = format!("{}/", Partition { table: Table::Bars, interval: Some(interval), member: None, day });
            let committed = || state.files.range(folder.clone()..).take_while(|(path, _)| path.starts_with(&folder));
            if committed().next().is_none() {
                continue;
            }
            let superseding = partition.superseding();
            for (_, file) in committed() {
                if !is_dropped(file) && superseding.touches(layout, file)? {
                    affected.push((interval, file));
                }
            }
        }
        Ok(affected)
    }
}

/// Reads affected files, each into its own rows.
pub(super) fn read_affected(
    layout: &Layout,
    files: &[(Interval, &LakeFile)],
) -> Result<Vec<Vec<BarVersion>>, LakeError> {
    files.iter().map(|(interval, file)| read_bars(layout, file, *interval)).collect()
}

fn same_partition(a: &BarVersion, b: &BarVersion) -> bool {
    a.interval == b.interval && Day::of_ns(a.open_time_ns) == Day::of_ns(b.open_time_ns)
}

impl<'a> BarPartition<'a> {
    /// Whether a version may stand in `bars`, or remove a row from there: provisional ones are for the changelog alone,
    /// except that a provisional tombstone ends a provisional row.
    fn counts(&self, row: usize, drops_open: bool) -> bool {
        match self.origins[row] {
            Origin::Published => self.rows[row].is_final || self.rows[row].bar.is_none(),
            Origin::Committed => self.rows[row].is_final || !drops_open,
            Origin::Closing => true,
        }
    }

    fn superseding(&self) -> Superseding<'a> {
        let rows = (0..self.rows.len()).filter(|&row| self.counts(row, false)).map(|row| self.rows[row]);
        let mut times: Vec<i64> = rows.clone().map(|version| version.open_time_ns).collect();
        times.sort_unstable();
        times.dedup();
        Superseding { times, rows: rows.collect() }
    }

    /// Sorts by venue, symbol, open time and coming, and chooses. Committed bars that are not final may be dropped: since
    /// their run goes on, `bars` shows final ones only.
    pub(super) fn select(&self, drops_open: bool) -> Selection {
        const INDEX_BITS: u32 = 30;
        assert!(self.rows.len() < 1 << INDEX_BITS, "a commit holds fewer than 2^30 bars of an interval and day");
        let key = |row: usize| {
            let open_time = self.rows[row].open_time_ns.cast_unsigned() ^ (1 << 63);
            let coming = (self.origins[row] as u32) << INDEX_BITS | row as u32;
            u128::from(self.ranks[row]) << 96 | u128::from(open_time) << 32 | u128::from(coming)
        };
        let mut keys: Vec<u128> = (0..self.rows.len()).map(key).collect();
        // Each tick is sorted already: the stable sort merges runs and beats the unstable one.
        keys.sort();
        let row_of = |key: u128| key as u32 & ((1 << INDEX_BITS) - 1);
        let mut selection = Selection {
            bars: Vec::with_capacity(keys.len()),
            changelog: Vec::with_capacity(keys.len()),
            superseded: 0,
        };
        for versions in keys.chunk_by(|a, b| a >> 32 == b >> 32) {
            let mut winner: Option<u32> = None;
            for row in versions.iter().map(|&key| row_of(key)) {
                let version = self.rows[row as usize];
                let stands = winner.is_some_and(|winner| self.rows[winner as usize].is_final) && !version.is_final;
                if self.counts(row as usize, drops_open) && !stands {
                    winner = Some(row);
                }
                match self.origins[row as usize] {
                    Origin::Published => selection.changelog.push(row),
                    Origin::Committed => selection.superseded += 1,
                    Origin::Closing => {}
                }
            }
            let Some(winner) = winner else { continue };
            if self.origins[winner as usize] == Origin::Committed {
                selection.superseded -= 1;
            }
            if self.rows[winner as usize].bar.is_some() {
                selection.bars.push(winner);
            }
        }
        selection
    }
}

/// The keys of which a partition has versions newer than any committed.
struct Superseding<'a> {
    /// Ascending.
    times: Vec<i64>,
    rows: Vec<&'a BarVersion>,
}

impl Superseding<'_> {
    fn touches(&self, layout: &Layout, file: &LakeFile) -> Result<bool, LakeError> {
        let first = self.times.partition_point(|&time| time < file.min_time_ns);
        if self.times.get(first).is_none_or(|&time| time > file.max_time_ns) {
            return Ok(false);
        }
        let within = file.min_time_ns..=file.max_time_ns;
        let keys: HashSet<(&str, &str, i64)> = self
            .rows
            .iter()
            .filter(|version| within.contains(&version.open_time_ns))
            .map(|version| (&*version.instrument.venue, &*version.instrument.symbol, version.open_time_ns))
            .collect();
        any_key(layout, file, |venue, symbol, open_time_ns| keys.contains(&(venue, symbol, open_time_ns)))
    }
}
