//! Where things lie in a lake: tables, their Hive partitions, and the folder of our own.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use tidewheel_schemas::Interval;

/// The folder for manifests, staging and the lock. Its name begins with `_`, so that engines skip it.
pub(super) const HOUSE: &str = "_tidewheel";

/// The folders in it in which files wait.
pub(super) const STAGING: &str = "staging";
pub(super) const COMPACTION: &str = "compaction";

const DAY_NS: i64 = 86_400 * tidewheel_schemas::SECOND_NS;
const DAY_MS: u64 = 86_400_000;

/// A table of the lake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// The right value of each bar now: one row a key.
    Bars,
    /// Every version of each bar that was ever published.
    BarsChangelog,
    /// Trades and amendments taken in.
    Trades,
    /// Best bids and asks taken in.
    Quotes,
    /// Books and their changes taken in.
    Books,
    /// Mark prices and running funding taken in.
    Marks,
    /// Settled funding rates taken in.
    Funding,
    /// Liquidations taken in.
    Liquidations,
    /// Own trades taken in.
    Fills,
    /// Cancels and corrections of own trades taken in.
    FillAmendments,
    /// Money put into accounts and taken out of them.
    Cash,
    /// Orders that asked to be sent.
    OrderIntents,
    /// Orders that will not be filled any more.
    OrderEnds,
    /// Reference data of instruments taken in.
    Instruments,
    /// Trades and amendments that came too late.
    Late,
    /// Dead letters.
    Rejects,
    /// Every version of each row of the feature views.
    Features,
    /// Every version of each hour's volume.
    HourlyVolume,
    /// What the ensembles said.
    Predictions,
    /// What challengers would have said.
    ShadowPredictions,
    /// What was made of predictions.
    Signals,
    /// What changed in the run: ensembles, and what was refused.
    Events,
    /// What came on the control topic.
    Control,
    /// What was held after fills.
    Positions,
    /// Numbers of accounts.
    Risk,
    /// What risk saw and did.
    RiskEvents,
    /// What order intents were told.
    OrderDecisions,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 27] = [
        Self::Bars,
        Self::BarsChangelog,
        Self::Trades,
        Self::Quotes,
        Self::Books,
        Self::Marks,
        Self::Funding,
        Self::Liquidations,
        Self::Fills,
        Self::FillAmendments,
        Self::Cash,
        Self::OrderIntents,
        Self::OrderEnds,
        Self::Instruments,
        Self::Late,
        Self::Rejects,
        Self::Features,
        Self::HourlyVolume,
        Self::Predictions,
        Self::ShadowPredictions,
        Self::Signals,
        Self::Events,
        Self::Control,
        Self::Positions,
        Self::Risk,
        Self::RiskEvents,
        Self::OrderDecisions,
    ];

    /// Those of what a market says beside its trades.
    pub const MARKET: [Self; 5] = [Self::Quotes, Self::Books, Self::Marks, Self::Funding, Self::Liquidations];

    /// Those of what accounts do.
    pub const ACCOUNT: [Self; 6] =
        [Self::Fills, Self::FillAmendments, Self::Cash, Self::OrderIntents, Self::OrderEnds, Self::Instruments];

    /// Those of what was taken in: with them a lake can be replayed.
    pub const ARCHIVE: [Self; 12] = [
        Self::Trades,
        Self::Quotes,
        Self::Books,
        Self::Marks,
        Self::Funding,
        Self::Liquidations,
        Self::Fills,
        Self::FillAmendments,
        Self::Cash,
        Self::OrderIntents,
        Self::OrderEnds,
        Self::Instruments,
    ];

    /// Those beside the bars, whose columns a spec names.
    const ROWS: [Self; 11] = [
        Self::Features,
        Self::HourlyVolume,
        Self::Predictions,
        Self::ShadowPredictions,
        Self::Signals,
        Self::Events,
        Self::Control,
        Self::Positions,
        Self::Risk,
        Self::RiskEvents,
        Self::OrderDecisions,
    ];

    /// The name of its folder.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bars => "bars",
            Self::BarsChangelog => "bars_changelog",
            Self::Trades => "trades",
            Self::Quotes => "quotes",
            Self::Books => "books",
            Self::Marks => "marks",
            Self::Funding => "funding",
            Self::Liquidations => "liquidations",
            Self::Fills => "fills",
            Self::FillAmendments => "fill_amendments",
            Self::Cash => "cash",
            Self::OrderIntents => "order_intents",
            Self::OrderEnds => "order_ends",
            Self::Instruments => "instruments",
            Self::Late => "late",
            Self::Rejects => "rejects",
            Self::Features => "features",
            Self::HourlyVolume => "hourly_volume",
            Self::Predictions => "predictions",
            Self::ShadowPredictions => "shadow_predictions",
            Self::Signals => "signals",
            Self::Events => "events",
            Self::Control => "control",
            Self::Positions => "positions",
            Self::Risk => "risk",
            Self::RiskEvents => "risk_events",
            Self::OrderDecisions => "order_decisions",
        }
    }

    /// The table that rows of a family are kept in.
    pub(super) fn of_family(family: &str) -> Option<Self> {
        Self::ROWS.into_iter().find(|table| table.name() == family)
    }
}

/// A day in UTC, counted from the epoch. Prints as `2026-11-20`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Day(i64);

impl Day {
    /// The day of a time in nanoseconds.
    pub(super) const fn of_ns(time_ns: i64) -> Self {
        Self(time_ns.div_euclid(DAY_NS))
    }

    /// The day of a tick, in milliseconds.
    pub(super) const fn of_tick(tick: u64) -> Self {
        // A quotient of a u64 by more than two is below `i64::MAX`.
        Self((tick / DAY_MS) as i64)
    }
}

impl fmt::Display for Day {
    /// Days to civil date after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0 + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// One folder of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Partition<'a> {
    /// The table.
    pub table: Table,
    /// The interval, for bars.
    pub interval: Option<Interval>,
    /// The member of the table's family, for rows.
    pub member: Option<&'a str>,
    /// The day.
    pub day: Day,
}

impl fmt::Display for Partition<'_> {
    /// The folder relative to the lake, with `/` on every system: it is written into manifests.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.table.name())?;
        if let Some(interval) = self.interval {
            write!(f, "interval={interval}/")?;
        }
        if let Some(member) = self.member {
            write!(f, "view={member}/")?;
        }
        write!(f, "date={}", self.day)
    }
}

/// The paths of one lake.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// The folder that the user named.
    pub root: PathBuf,
}

impl Layout {
    pub(super) fn house(&self) -> PathBuf {
        self.root.join(HOUSE)
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.house().join("lock")
    }

    pub(super) fn manifests(&self) -> PathBuf {
        self.house().join("manifests")
    }

    pub(super) fn manifest(&self, seq: u64) -> PathBuf {
        self.manifests().join(format!("{seq:012}.json"))
    }

    /// Where the writer's files wait for their commit, a folder each.
    pub(super) fn staging(&self) -> PathBuf {
        self.house().join(STAGING)
    }

    /// Where the files of a compaction wait for theirs.
    pub(super) fn compaction(&self) -> PathBuf {
        self.house().join(COMPACTION)
    }

    /// Held by the one compaction that may go on.
    pub(super) fn compaction_lock(&self) -> PathBuf {
        self.house().join("compaction.lock")
    }

    /// A staging folder, from its name in the manifest.
    pub(super) fn staged(&self, name: &str) -> PathBuf {
        self.house().join(name)
    }

    /// Where a data file lies, from its path in the manifest.
    pub(super) fn data(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The folders of the tables.
    pub(super) fn tables(&self) -> impl Iterator<Item = PathBuf> + '_ {
        Table::ALL.into_iter().map(|table| self.root.join(table.name()))
    }
}

/// The name of the `number`-th file that commit `seq` writes into a partition. Sorts in the order of commits.
pub(super) fn file_name(seq: u64, number: usize) -> String {
    format!("{seq:012}-{number:03}.parquet")
}

/// The name of the file that takes the place of several, of which `last` is the name of the last. Sorts where that did,
/// and is new as long as each compaction that commits has another `seq`.
pub(super) fn compacted_name(last: &str, seq: u64) -> String {
    let stem = last.strip_suffix(SUFFIX).unwrap_or(last);
    let stem = stem.split_once('c').map_or(stem, |(stem, _)| stem);
    format!("{stem}c{seq:012}{SUFFIX}")
}

const SUFFIX: &str = ".parquet";

/// Who names files so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedBy {
    /// The writer, by [`file_name`].
    Writer,
    /// A compaction, by [`compacted_name`].
    Compaction,
}

/// Who gave a file its name, if it is one of ours: only such files are ever deleted as orphans.
pub(super) fn named_by(path: &Path) -> Option<NamedBy> {
    let stem = path.file_name()?.to_str()?.strip_suffix(SUFFIX)?;
    let is_number = |text: &str, digits| text.len() >= digits && text.bytes().all(|byte| byte.is_ascii_digit());
    let (seq, number) = stem.split_once('-')?;
    let (number, compaction) = number.split_once('c').map_or((number, None), |(number, seq)| (number, Some(seq)));
    if !is_number(seq, 12) || !is_number(number, 3) || !compaction.is_none_or(|seq| is_number(seq, 12)) {
        return None;
    }
    Some(if compaction.is_some() { NamedBy::Compaction } else { NamedBy::Writer })
}

/// The interval of a file of bars, from its path in the manifest.
pub(super) fn interval_of(path: &str) -> Option<Interval> {
    path.split('/').find_map(|folder| folder.strip_prefix("interval="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_print_as_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_700_000_000, "2023-11-14"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(Day::of_ns(seconds * tidewheel_schemas::SECOND_NS).to_string(), expected);
        }
        assert_eq!(Day::of_tick(1_700_000_000_000).to_string(), "2023-11-14");
        let _ = Day::of_tick(u64::MAX).to_string();
    }

    #[test]
    fn only_our_own_file_names_are_ours() {
        assert_eq!(named_by(&Path::new("bars/date=x").join(file_name(7, 1))), Some(NamedBy::Writer));
        assert_eq!(named_by(Path::new(&compacted_name(&file_name(7, 1), 9))), Some(NamedBy::Compaction));
        for foreign in [
            "000000000007-001.csv",
            "mine.parquet",
            "7-1.parquet",
            "000000000007_001.parquet",
            "000000000007-001c.parquet",
        ] {
            assert_eq!(named_by(Path::new(foreign)), None, "{foreign}");
        }
    }

    #[test]
    fn a_compacted_file_sorts_where_the_last_of_its_inputs_did() {
        let (before, last, after) = (file_name(7, 0), file_name(7, 1), file_name(7, 2));
        let once = compacted_name(&last, 9);
        let twice = compacted_name(&once, 12);
        assert_eq!(twice, "000000000007-001c000000000012.parquet");
        let names = [before, last, once, twice, after, file_name(8, 0)];
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn the_interval_is_read_from_the_path() {
        assert_eq!(interval_of("bars/interval=5m/date=2023-11-14/x.parquet"), Some(Interval::M5));
        assert_eq!(interval_of("trades/date=2023-11-14/x.parquet"), None);
    }
}
