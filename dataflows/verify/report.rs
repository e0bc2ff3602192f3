//! What a comparison found.

use serde::Serialize;
use std::fmt::Display;
use tidewheel_connectors::lake::archive::Damage;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The table, the topic partition, or the file.
    pub place: String,
    /// Which row or record: its key; empty where it is about all of them.
    pub key: String,
    /// Its tick, where it has one.
    pub tick: Option<u64>,
    /// The field, or `row`, `record` or `file` for the whole.
    pub field: String,
    /// What was published; none where nothing was.
    pub published: Option<String>,
    /// What the graph says; none where it says nothing.
    pub recomputed: Option<String>,
}

impl Difference {
    /// A difference in a field.
    pub fn of<T: Display>(
        place: &str,
        key: String,
        tick: Option<u64>,
        field: &str,
        published: Option<T>,
        recomputed: Option<T>,
    ) -> Self {
        Self {
            place: place.to_owned(),
            key,
            tick,
            field: field.to_owned(),
            published: published.map(|value| value.to_string()),
            recomputed: recomputed.map(|value| value.to_string()),
        }
    }

    /// A difference in a count.
    pub fn whole(place: &str, field: &str, published: u64, recomputed: u64) -> Self {
        Self::of(place, String::new(), None, field, Some(published), Some(recomputed))
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { place, key, tick, field, published, recomputed } = self;
        write!(f, "{place}")?;
        if !key.is_empty() {
            write!(f, " {key}")?;
        }
        if let Some(tick) = tick {
            write!(f, " tick {tick}")?;
        }
        let or_nothing = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        match (published, recomputed) {
            (None, None) => write!(f, ": {field}"),
            _ => write!(f, ": {field} published {}, recomputed {}", or_nothing(published), or_nothing(recomputed)),
        }
    }
}

/// What a comparison found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The first tick compared, milliseconds.
    pub first_tick: Option<u64>,
    /// The last tick compared.
    pub last_tick: Option<u64>,
    /// Rows of `bars_changelog` that are as the graph says.
    pub versions: u64,
    /// Rows of `bars` that are as the graph says.
    pub bars: u64,
    /// Rows of the tables beside the bars that are as the graph says.
    pub rows: u64,
    /// Late records in the lake.
    pub late: u64,
    /// Dead letters in the lake.
    pub rejects: u64,
    /// Records of the topics that are as the graph says.
    pub records: u64,
    /// The tick through which the topics were compared; none where they were not.
    pub topics_through: Option<u64>,
    /// Records that the broker's compaction may have removed: their keys have later ones.
    pub superseded_records: u64,
    /// Records that the broker's retention has removed.
    pub expired_records: u64,
    /// Records of ticks before those compared.
    pub records_before: u64,
    /// Records of ticks that the lake does not hold yet, or that were not asked for.
    pub records_beyond: u64,
    /// All differences.
    pub differences_total: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
    /// What could not be compared, and why.
    pub notes: Vec<String>,
    #[serde(skip)]
    limit: usize,
    /// Of the differences told, how many are files, which go first.
    #[serde(skip)]
    damaged: usize,
}

impl Report {
    /// Nothing found yet; at most `limit` differences will be told.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Whether everything was as it should be.
    pub const fn is_identical(&self) -> bool {
        self.differences_total == 0
    }

    pub(super) fn differ(&mut self, difference: Difference) {
        self.differences_total += 1;
        if self.differences.len() < self.limit {
            self.differences.push(difference);
        }
    }

    /// A file that is not what its manifest says. It goes before what may follow from it.
    pub(super) fn damaged(&mut self, damage: &Damage) {
        self.differences_total += 1;
        let difference = Difference::of::<String>(&damage.path, String::new(), None, &damage.detail, None, None);
        self.differences.insert(self.damaged, difference);
        self.damaged += 1;
        self.differences.truncate(self.limit.max(self.damaged));
    }

    pub(super) fn reach(&mut self, tick: u64) {
        self.first_tick = self.first_tick.or(Some(tick));
        self.last_tick = Some(tick);
    }

    /// As text.
    pub fn text(&self) -> String {
        use crate::commands::number;
        let tick = |tick: Option<u64>| tick.map_or_else(|| "none".to_owned(), |tick| tick.to_string());
        let range = format!("ticks {}..{}", tick(self.first_tick), tick(self.last_tick));
        let rows = if self.rows > 0 { format!(", {} rows", number(self.rows)) } else { String::new() };
        let versions = format!("{} versions{rows} and {} bars in the lake", number(self.versions), number(self.bars));
        let records = match self.topics_through {
            Some(_) => format!(", {} records in the topics", number(self.records)),
            None => String::new(),
        };
        let mut text = match self.differences_total {
            0 => format!("identical: {versions}{records}, {range}\n"),
            total => format!(
                "DIFFERENT: {} differences; {versions}{records} are as they should be, {range}\n",
                number(total)
            ),
        };
        self.differences.iter().for_each(|difference| text += &format!("{difference}\n"));
        let untold = self.differences_total - self.differences.len() as u64;
        if untold > 0 {
            text += &format!("and {} more\n", number(untold));
        }
        self.notes.iter().for_each(|note| text += &format!("note: {note}\n"));
        text
    }
}
