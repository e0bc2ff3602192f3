//! Rows by tick, in the order in which they were published, whatever the order and the number of the files that hold them.
//!
//! Files are sorted by instrument, so that the rows of a tick lie scattered. They are read in windows of ticks, each of about as
//! many rows as fit into memory; a file larger than that is read several times.

use super::archive::{Damage, Span, checksum, has_gone, newest, spans_of};
use super::error::LakeError;
use super::layout::{Layout, Table};
use super::manifest::{LakeFile, LakeState};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::path::Path;

/// Rows of a window, about.
const ROWS_PER_WINDOW: u64 = 500_000;

/// How often a window is read again because a file has gone meanwhile.
pub(super) const ATTEMPTS: usize = 10;

/// What can be read in the order of ticks.
pub trait Stored {
    /// A row.
    type Row;

    /// The table that holds it.
    fn table(&self) -> Table;

    /// Whether a file of the table holds it.
    fn is_in(&self, path: &str) -> bool;

    /// Hands out the rows of the ticks that `is_wanted` names, whatever the file's checksum, each with its tick.
    ///
    /// # Errors
    /// If the file cannot be read.
    fn read(
        &self,
        path: &Path,
        file: &LakeFile,
        is_wanted: &dyn Fn(u64) -> bool,
        each: &mut dyn FnMut(u64, Self::Row),
    ) -> Result<(), LakeError>;
}

/// A table, to be read in the order of ticks.
#[derive(Debug)]
pub struct ByTick<S: Stored> {
    layout: Layout,
    stored: S,
    /// By first tick; only those that hold rows still to come.
    spans: Vec<Span>,
    /// The ticks before it were loaded.
    loaded_to: u64,
    rows: BTreeMap<u64, Vec<S::Row>>,
    strays: Vec<S::Row>,
    checked: BTreeSet<String>,
    damages: Vec<Damage>,
    rows_per_window: u64,
}

impl<S: Stored> ByTick<S> {
    /// Opens what `state` lists, for the ticks from `from_tick` on.
    ///
    /// # Errors
    /// If a file that the newest manifest lists cannot be read.
    pub fn open_stored(root: &Path, state: &LakeState, stored: S, from_tick: u64) -> Result<Self, LakeError> {
        let layout = Layout { root: root.to_owned() };
        let spans = spans(&layout, state, &stored, from_tick)?;
        Ok(Self {
            layout,
            stored,
            spans,
            loaded_to: from_tick,
            rows: BTreeMap::new(),
            strays: Vec::new(),
            checked: BTreeSet::new(),
            damages: Vec::new(),
            rows_per_window: ROWS_PER_WINDOW,
        })
    }

    /// The same with other windows than of [`ROWS_PER_WINDOW`].
    #[cfg(test)]
    pub(super) fn with_window(self, rows_per_window: u64) -> Self {
        Self { rows_per_window, ..self }
    }

    /// Rows in the files that are still to be read.
    pub fn rows(&self) -> u64 {
        self.spans.iter().map(|span| span.file.rows).sum()
    }

    /// Takes the rows of a tick. Ticks must ascend; rows of ticks that are left out become [`strays`](Self::strays).
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn take(&mut self, tick: u64) -> Result<Vec<S::Row>, LakeError> {
        while tick >= self.loaded_to {
            let rows = std::mem::take(&mut self.rows);
            self.strays.extend(rows.into_values().flatten());
            self.load()?;
        }
        let later = self.rows.split_off(&tick);
        let before = std::mem::replace(&mut self.rows, later);
        self.strays.extend(before.into_values().flatten());
        Ok(self.rows.remove(&tick).unwrap_or_default())
    }

    /// Hands out all rows that are left, window by window.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn drain(&mut self, mut each: impl FnMut(S::Row)) -> Result<(), LakeError> {
        loop {
            std::mem::take(&mut self.rows).into_values().flatten().for_each(&mut each);
            if self.spans.is_empty() {
                return Ok(());
            }
            self.load()?;
        }
    }

    /// Rows of ticks that were passed over since the last call.
    pub fn strays(&mut self) -> Vec<S::Row> {
        std::mem::take(&mut self.strays)
    }

    /// Files that are not what the manifest says they are, found since the last call. Their rows count all the same where
    /// they can be read.
    pub fn damages(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.damages)
    }

    /// Reads the next window.
    fn load(&mut self) -> Result<(), LakeError> {
        for _ in 1..ATTEMPTS {
            let window = self.loaded_to..window_end(&self.spans, self.loaded_to, self.rows_per_window);
            match self.read(&window) {
                Err(error) if has_gone(&error) => {
                    self.spans = spans(&self.layout, &newest(&self.layout)?, &self.stored, self.loaded_to)?;
                }
                Err(error) => return Err(error),
                Ok(rows) => {
                    (self.rows, self.loaded_to) = (rows, window.end);
                    self.spans.retain(|span| span.max_tick >= window.end);
                    return Ok(());
                }
            }
        }
        let window = self.loaded_to..window_end(&self.spans, self.loaded_to, self.rows_per_window);
        (self.rows, self.loaded_to) = (self.read(&window)?, window.end);
        Ok(())
    }

    fn read(&mut self, window: &Range<u64>) -> Result<BTreeMap<u64, Vec<S::Row>>, LakeError> {
        let mut rows: BTreeMap<u64, Vec<S::Row>> = BTreeMap::new();
        let overlapping = self.spans.iter().filter(|span| span.min_tick < window.end && span.max_tick >= window.start);
        for Span { file, .. } in overlapping {
            let path = self.layout.data(&file.path);
            if !self.checked.contains(&file.path) {
                let mut handle = File::open(&path).map_err(LakeError::io("open", &path))?;
                self.damages.extend(checksum(&mut handle, &path, file)?);
                self.checked.insert(file.path.clone());
            }
            let is_wanted = |tick| window.contains(&tick);
            let result =
                self.stored.read(&path, file, &is_wanted, &mut |tick, row| rows.entry(tick).or_default().push(row));
            match result {
                // What can be read of it counts; what cannot is missing, and the damage says why.
                Err(LakeError::Parquet { source, .. }) => {
                    let detail = format!("cannot be read: {source}");
                    let damage = Damage { path: file.path.clone(), detail };
                    if !self.damages.contains(&damage) {
                        self.damages.push(damage);
                    }
                }
                result => result?,
            }
        }
        Ok(rows)
    }
}

/// The end of the window that begins with a tick: as far as about `limit` rows reach, taking those of a file as spread evenly.
fn window_end(spans: &[Span], start: u64, limit: u64) -> u64 {
    let rows_before = |end: u64| -> u64 {
        let of = |span: &Span| {
            let (first, last) = (span.min_tick.max(start), span.max_tick.min(end - 1));
            if first > last {
                return 0;
            }
            let share = u128::from(last - first) + 1;
            let all = u128::from(span.max_tick - span.min_tick) + 1;
            // At most all its rows.
            (u128::from(span.file.rows) * share).div_ceil(all) as u64
        };
        spans.iter().take_while(|span| span.min_tick < end).map(of).sum()
    };
    let (mut least, mut greatest) = (start.saturating_add(1), u64::MAX);
    if rows_before(greatest) <= limit {
        return greatest;
    }
    while least < greatest {
        let middle = least + (greatest - least).div_ceil(2);
        if rows_before(middle) <= limit { least = middle } else { greatest = middle - 1 }
    }
    least
}

fn spans<S: Stored>(layout: &Layout, state: &LakeState, stored: &S, from_tick: u64) -> Result<Vec<Span>, LakeError> {
    let mut spans = spans_of(layout, state, stored.table(), from_tick)?;
    spans.retain(|span| stored.is_in(&span.file.path));
    Ok(spans)
}
