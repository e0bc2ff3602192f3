//! One table whose rows lie in the order of ticks within each file, merged over its files.

use super::super::error::LakeError;
use super::super::layout::{Layout, Table};
use super::super::manifest::{LakeFile, LakeState};
use super::super::parquet_file::BATCH_ROWS;
use super::{ArchivedTick, Sources, newest, rows};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How often a file that has gone is looked up in a newer manifest: each time a commit must have come between.
const ATTEMPTS: usize = 10;

/// A file that is not what the manifest says it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// Its path in the lake.
    pub path: String,
    /// What is wrong.
    pub detail: String,
}

/// A file and the ticks of its rows.
#[derive(Clone, Debug)]
pub(in super::super) struct Span {
    pub file: LakeFile,
    pub min_tick: u64,
    pub max_tick: u64,
}

/// A table being read.
#[derive(Debug)]
pub(super) struct TableReader {
    layout: Layout,
    table: Table,
    sources: Arc<Sources>,
    /// Files not yet opened, by their first tick.
    waiting: VecDeque<Span>,
    open: Vec<Cursor>,
    /// Rows before it were taken from files that have gone since.
    from_tick: u64,
    pub damages: Vec<Damage>,
}

impl TableReader {
    pub fn open(layout: &Layout, state: &LakeState, table: Table, sources: &Arc<Sources>) -> Result<Self, LakeError> {
        let mut reader = Self {
            layout: layout.clone(),
            table,
            sources: Arc::clone(sources),
            waiting: VecDeque::new(),
            open: Vec::new(),
            from_tick: 0,
            damages: Vec::new(),
        };
        reader.waiting = spans_of(&reader.layout, state, table, 0)?.into();
        Ok(reader)
    }

    /// Takes the rows of a tick.
    pub fn take(&mut self, tick: u64) -> Result<ArchivedTick, LakeError> {
        let mut result = self.gather(tick);
        for _ in 1..ATTEMPTS {
            match result {
                // What was gathered is given up: the rows of the tick are read again, from the files that hold them now.
                Err(error) if has_gone(&error) => self.list_again(tick)?,
                done => return done,
            }
            result = self.gather(tick);
        }
        result
    }

    fn list_again(&mut self, tick: u64) -> Result<(), LakeError> {
        let newest = newest(&self.layout)?;
        self.waiting = spans_of(&self.layout, &newest, self.table, tick)?.into();
        self.open.clear();
        self.from_tick = tick;
        Ok(())
    }

    fn gather(&mut self, tick: u64) -> Result<ArchivedTick, LakeError> {
        while let Some(span) = self.waiting.pop_front_if(|span| span.min_tick <= tick) {
            self.open.push(Cursor::open(&self.layout, &span, self.table, self.from_tick, &mut self.damages)?);
        }
        let mut taken = ArchivedTick::default();
        let mut number = 0;
        while number < self.open.len() {
            match self.open[number].take(tick, &self.sources, &mut taken)? {
                true => drop(self.open.swap_remove(number)),
                false => number += 1,
            }
        }
        Ok(taken)
    }
}

/// A file being read.
struct Cursor {
    path: PathBuf,
    table: Table,
    reader: ParquetRecordBatchReader,
    /// Decoded and not yet taken, by tick.
    ready: VecDeque<(u64, ArchivedTick)>,
    from_tick: u64,
    last_tick: u64,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("path", &self.path).field("last_tick", &self.last_tick).finish_non_exhaustive()
    }
}

impl Cursor {
    /// Opens a file. What is wrong with it is told first: it may be why it cannot be opened.
    fn open(
        layout: &Layout,
        span: &Span,
        table: Table,
        from_tick: u64,
        damages: &mut Vec<Damage>,
    ) -> Result<Self, LakeError> {
        let path = layout.data(&span.file.path);
        let mut file = File::open(&path).map_err(LakeError::io("open", &path))?;
        damages.extend(checksum(&mut file, &path, &span.file)?);
        let reading = LakeError::parquet("read", &path);
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(&reading)?;
        let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(&reading)?;
        Ok(Self { path: path.clone(), table, reader, ready: VecDeque::new(), from_tick, last_tick: 0 })
    }

    /// Takes the rows of a tick. True at the end of the file.
    fn take(&mut self, tick: u64, sources: &Sources, taken: &mut ArchivedTick) -> Result<bool, LakeError> {
        loop {
            if self.ready.is_empty() && !self.fill(sources)? {
                return Ok(true);
            }
            match self.ready.front() {
                Some((of, _)) if *of < tick => {
                    let detail = format!("holds rows of tick {of}, which the log of ticks does not have");
                    return Err(LakeError::Archive { path: self.path.clone(), detail });
                }
                Some((of, _)) if *of == tick => {
                    taken.append(self.ready.pop_front().expect("there is a front").1);
                }
                Some(_) => return Ok(false),
                // All of the batch was taken before.
                None => {}
            }
        }
    }

    /// Decodes the next batch. False at the end.
    fn fill(&mut self, sources: &Sources) -> Result<bool, LakeError> {
        let Some(batch) = self.reader.next() else { return Ok(false) };
        let reading = LakeError::parquet("read", &self.path);
        let batch = batch.map_err(|error| reading(error.into()))?;
        let decoded = match self.table {
            Table::Rejects => rows::rejects(&batch, sources),
            table if Table::MARKET.contains(&table) => rows::market(&batch, sources, table),
            table if Table::ACCOUNT.contains(&table) => rows::account(&batch, sources, table),
            table => rows::trades(&batch, sources, table == Table::Late),
        };
        let archive = |detail| LakeError::Archive { path: self.path.clone(), detail };
        for (tick, rows) in decoded.map_err(archive)? {
            if tick < self.last_tick {
                let detail = format!("does not hold its rows in the order of ticks: {tick} follows {}", self.last_tick);
                return Err(LakeError::Archive { path: self.path.clone(), detail });
            }
            self.last_tick = tick;
            if tick >= self.from_tick {
                self.ready.push_back((tick, rows));
            }
        }
        Ok(true)
    }
}

/// Whether a file is not there, as after a commit that replaced it.
pub(in super::super) fn has_gone(error: &LakeError) -> bool {
    matches!(error, LakeError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// The files of a table that hold rows of a tick or later ones, by their first tick. Where one has gone, the newest manifest
/// says what there is now.
pub(in super::super) fn spans_of(
    layout: &Layout,
    state: &LakeState,
    table: Table,
    from_tick: u64,
) -> Result<Vec<Span>, LakeError> {
    let mut result = list(layout, state, table, from_tick);
    for _ in 1..ATTEMPTS {
        match result {
            Err(error) if has_gone(&error) => result = list(layout, &newest(layout)?, table, from_tick),
            done => return done,
        }
    }
    result
}

fn list(layout: &Layout, state: &LakeState, table: Table, from_tick: u64) -> Result<Vec<Span>, LakeError> {
    let mut spans = Vec::new();
    for file in state.of(table) {
        let (min_tick, max_tick) = ticks_of(&layout.data(&file.path))?;
        if max_tick >= from_tick {
            spans.push(Span { file: file.clone(), min_tick, max_tick });
        }
    }
    // Stable: files of one tick stay in the order of their names, which is that of the commits.
    spans.sort_by_key(|span| span.min_tick);
    Ok(spans)
}

/// The least and the greatest tick in a file, from its footer. A file whose footer cannot be understood may hold any: it is
/// opened first, and that tells what is wrong with it.
fn ticks_of(path: &Path) -> Result<(u64, u64), LakeError> {
    const ANY: (u64, u64) = (0, u64::MAX);
    let file = File::open(path).map_err(LakeError::io("open", path))?;
    let Ok(reader) = SerializedFileReader::new(file) else { return Ok(ANY) };
    let mut ticks: Option<(u64, u64)> = None;
    for group in reader.metadata().row_groups() {
        let column = group.columns().iter().find(|column| column.column_path().string() == "tick");
        let Some(Statistics::Int64(statistics)) = column.and_then(|column| column.statistics()) else { return Ok(ANY) };
        let (Some(least), Some(greatest)) = (statistics.min_opt(), statistics.max_opt()) else { return Ok(ANY) };
        let of_group = (least.cast_unsigned(), greatest.cast_unsigned());
        ticks = Some(ticks.map_or(of_group, |ticks| (ticks.0.min(of_group.0), ticks.1.max(of_group.1))));
    }
    Ok(ticks.unwrap_or(ANY))
}

/// Holds a file against the size and the checksum that its manifest gives, and goes back to its beginning.
pub(in super::super) fn checksum(file: &mut File, path: &Path, listed: &LakeFile) -> Result<Option<Damage>, LakeError> {
    let reading = LakeError::io("read", path);
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let read = file.read(&mut buffer).map_err(&reading)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
    file.rewind().map_err(&reading)?;
    let crc32 = hasher.finalize();
    let detail = match (bytes == listed.bytes, crc32 == listed.crc32) {
        (true, true) => return Ok(None),
        (false, _) => format!("has {bytes} bytes, not the {} of its manifest", listed.bytes),
        (true, false) => format!("has the checksum {crc32:08x}, not the {:08x} of its manifest", listed.crc32),
    };
    Ok(Some(Damage { path: listed.path.clone(), detail }))
}
