//! Compaction: few large files in the place of many small ones, with the same rows, under the same frontier.
//!
//! It may go on while a run writes. Each group of files that lie side by side in a folder is joined in a commit of its own, as
//! [the writer's](super) are made: the file is written in a staging folder of its own, then the next manifest is created, with
//! the progress of the one before. If the run was faster, the compaction follows it, sees that its inputs are still
//! there, and takes the number after that; if a revision has rewritten one of them meanwhile, the group is left as it
//! is. A crash at any step is mended by the next compaction, the next commit of a run, or the next opening.
//!
//! Order is kept: bars by venue, symbol and open time, the versions of one bar in the order of publication, all else as it
//! arrived. For that only neighbours are joined, and the new file's name sorts where the last of them did.
//!
//! Between the moment at which a new file gets its place and that at which its inputs are deleted, a plain glob sees both: for each
//! group the time of one renaming and a few deletions. After a compaction has ended it never does.

use super::bars_read;
use super::error::LakeError;
use super::layout::{COMPACTION, Layout, Table, compacted_name};
use super::manifest::{self, LakeFile, LakeState, Manifest, staged_name, staging_name};
use super::parquet_file::{self, BATCH_ROWS, FileKind, create_folder, sync_folder};
use super::publish::{self, Attempt, News, publish, remove_folder};
use super::{account, bars_file, market, recovery, rejects_file, rows_file, trades_file};
use crate::fault::Faults;
use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use foldhash::{HashMap, HashMapExt};
use parquet::basic::ZstdLevel;
use std::cell::Cell;
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Rows of a row group: what one thread of a reader takes at a time.
const ROWS_PER_GROUP: usize = 1 << 18;
/// How long the lock is waited for: a run that opens the lake holds it for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_POLL: Duration = Duration::from_millis(20);

/// What to compact, and how far.
#[derive(Clone, Debug)]
pub struct CompactConfig {
    /// The folder of the lake.
    pub root: PathBuf,
    /// The tables to look at.
    pub tables: Vec<Table>,
    /// Only files all of whose rows are of an earlier time, nanoseconds: open time of bars, event time of trades, tick of
    /// late records and rejects. What is newer a run may soon rewrite.
    pub before_ns: i64,
    /// Rows that a joined file has at most. A file of half as many is large enough to be left alone.
    pub target_rows: u64,
    /// Bytes that the inputs of a joined file have together at most. A file of half as many is left alone too.
    pub target_bytes: u64,
    /// Compression, from 1 (fast) to 22 (small).
    pub zstd_level: i32,
    /// Whether only to say what would be done.
    pub dry_run: bool,
    /// What happens at its fault points.
    pub faults: Faults,
}

impl CompactConfig {
    /// Defaults for a folder: all tables and times, a million rows or 128 MiB.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            tables: Table::ALL.to_vec(),
            before_ns: i64::MAX,
            target_rows: 1_000_000,
            target_bytes: 128 << 20,
            zstd_level: 3,
            dry_run: false,
            faults: Faults::of_process(),
        }
    }
}

/// Files that became one, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Their folder, relative to the lake.
    pub folder: String,
    /// How many they were.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes_before: u64,
    /// The bytes of the file that holds their rows now; 0 where it was not made.
    pub bytes_after: u64,
}

/// What a compaction did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Groups that became one file each.
    pub joined: Vec<Joined>,
    /// Groups that were left as they are, because the run rewrote one of their files meanwhile.
    pub outrun: Vec<Joined>,
    /// Live files of the lake when it began.
    pub files_before: u64,
    /// And when it ended.
    pub files_after: u64,
}

/// Compacts a lake. A run may write it meanwhile.
///
/// # Errors
/// If there is no lake, if another compaction goes on, if a file or a manifest is damaged, or if the file system refuses. What was
/// joined before stays joined; all rows are there in any case.
pub fn compact(config: &CompactConfig) -> Result<CompactReport, LakeError> {
    let layout = Layout { root: config.root.clone() };
    if !layout.manifests().is_dir() {
        return Err(LakeError::NoLake { root: layout.root });
    }
    if config.dry_run {
        let state = manifest::read_state(&layout)?.unwrap_or_default();
        let joined = plan(&state, config).iter().map(|group| told(group, 0)).collect::<Vec<_>>();
        let files_before = state.files.len() as u64;
        let saved: u64 = joined.iter().map(|group| group.files - 1).sum();
        return Ok(CompactReport { joined, outrun: Vec::new(), files_before, files_after: files_before - saved });
    }
    let _lock = lock(&layout)?;
    // In this order: all that the state holds is in place then.
    let state = manifest::read_state(&layout)?.unwrap_or_default();
    publish::finish_all(&layout)?;
    remove_folder(&layout.compaction())?;
    create_folder(&layout.compaction())?;
    let zstd_level = ZstdLevel::try_new(config.zstd_level).map_err(LakeError::parquet("encode", &layout.root))?;
    let mut compaction = Compaction { layout: &layout, config, zstd_level, state };
    let mut report = CompactReport { files_before: compaction.state.files.len() as u64, ..CompactReport::default() };
    for group in plan(&compaction.state, config) {
        match compaction.join(&group)? {
            Some(bytes_after) => report.joined.push(told(&group, bytes_after)),
            None => report.outrun.push(told(&group, 0)),
        }
    }
    report.files_after = compaction.state.files.len() as u64;
    Ok(report)
}

fn lock(layout: &Layout) -> Result<File, LakeError> {
    let path = layout.compaction_lock();
    let started = Instant::now();
    loop {
        match recovery::lock(&path)? {
            Some(lock) => return Ok(lock),
            None if started.elapsed() < LOCK_PATIENCE => std::thread::sleep(LOCK_POLL),
            None => return Err(LakeError::Compacting { root: layout.root.clone(), lock: path }),
        }
    }
}

fn folder_of(file: &LakeFile) -> &str {
    file.path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn told(group: &[LakeFile], bytes_after: u64) -> Joined {
    Joined {
        folder: group.first().map_or("", folder_of).to_owned(),
        files: group.len() as u64,
        rows: group.iter().map(|file| file.rows).sum(),
        bytes_before: group.iter().map(|file| file.bytes).sum(),
        bytes_after,
    }
}

/// The groups to join: of each folder, runs of small files that lie side by side, two or more, as many as fit the target.
fn plan(state: &LakeState, config: &CompactConfig) -> Vec<Vec<LakeFile>> {
    let is_small = |file: &LakeFile| {
        file.max_time_ns < config.before_ns
            && file.rows <= config.target_rows / 2
            && file.bytes <= config.target_bytes / 2
    };
    let mut groups: Vec<Vec<LakeFile>> = Vec::new();
    // By path, and so folder by folder, and in a folder in the order of commits.
    let files: Vec<&LakeFile> = state.files.values().filter(|file| config.tables.contains(&file.table)).collect();
    for folder in files.chunk_by(|a, b| folder_of(a) == folder_of(b)) {
        let mut group: Vec<LakeFile> = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        for &file in folder {
            let fits = rows + file.rows <= config.target_rows && bytes + file.bytes <= config.target_bytes;
            if !(is_small(file) && fits) {
                groups.push(std::mem::take(&mut group));
                (rows, bytes) = (0, 0);
            }
            if is_small(file) {
                (rows, bytes) = (rows + file.rows, bytes + file.bytes);
                group.push(file.clone());
            }
        }
        groups.push(group);
    }
    groups.retain(|group| group.len() > 1);
    groups
}

struct Compaction<'a> {
    layout: &'a Layout,
    config: &'a CompactConfig,
    zstd_level: ZstdLevel,
    state: LakeState,
}

impl Compaction<'_> {
    /// Joins a group and commits. The bytes of the new file, or nothing where one of the inputs is no more.
    fn join(&mut self, group: &[LakeFile]) -> Result<Option<u64>, LakeError> {
        self.follow()?;
        if !self.is_live(group) {
            return Ok(None);
        }
        let seq = self.state.seq + 1;
        let staging = staging_name(COMPACTION, seq);
        let written = self.write(group, seq, &staging);
        let file = match written.and_then(|file| self.reached("compact.staged").map(|()| file)) {
            Ok(file) => file,
            Err(error) => {
                let _ = remove_folder(&self.layout.staged(&staging));
                // A revision may have taken an input away while it was read.
                self.follow()?;
                return if error.is_missing_file() && !self.is_live(group) { Ok(None) } else { Err(error) };
            }
        };
        let bytes = file.bytes;
        loop {
            self.follow()?;
            if !self.is_live(group) {
                remove_folder(&self.layout.staged(&staging))?;
                return Ok(None);
            }
            let manifest = Manifest {
                progress: self.state.progress.clone(),
                added: vec![file.clone()],
                removed: group.iter().map(|file| file.path.clone()).collect(),
                staging: staging.clone(),
                is_compaction: true,
                ..Manifest::default()
            };
            let manifest = manifest.after(&self.state);
            let reached = || self.config.faults.reached("compact.manifest_staged");
            match publish::create_manifest(self.layout, &manifest, reached)? {
                Attempt::Outrun if publish::after(self.layout, self.state.seq)?.is_none() => {
                    let path = self.layout.manifest(self.state.seq);
                    return Err(LakeError::Manifest { path, detail: "is missing".to_owned() });
                }
                Attempt::Outrun => continue,
                Attempt::Unclear(error) => return Err(error),
                Attempt::Made => {}
            }
            // From here on an error leaves a commit: its staged file stays until someone has moved it.
            self.reached("compact.committed")?;
            sync_folder(&self.layout.manifests())?;
            publish(self.layout, &manifest, || self.config.faults.reached("compact.publishing"))?;
            self.state.apply(&manifest);
            if manifest.seq % manifest::CHECKPOINT_EVERY == 1 {
                manifest::prune(self.layout, manifest.seq)?;
            }
            let (seq, files) = (manifest.seq, group.len());
            tracing::info!(seq, files, rows = file.rows, bytes, path = file.path, "files joined");
            return Ok(Some(bytes));
        }
    }

    fn is_live(&self, group: &[LakeFile]) -> bool {
        group.iter().all(|file| self.state.files.get(&file.path) == Some(file))
    }

    /// Takes in what the run committed meanwhile.
    fn follow(&mut self) -> Result<(), LakeError> {
        while let Some(news) = publish::after(self.layout, self.state.seq)? {
            match news {
                News::Next(manifest) => {
                    publish::finish(self.layout, &manifest)?;
                    self.state.apply(&manifest);
                }
                News::Far(state) => {
                    publish::finish_all(self.layout)?;
                    self.state = *state;
                }
            }
        }
        Ok(())
    }

    /// Writes the joined file into staging.
    fn write(&self, group: &[LakeFile], seq: u64, staging: &str) -> Result<LakeFile, LakeError> {
        let folder = self.layout.staged(staging);
        remove_folder(&folder)?;
        create_folder(&folder)?;
        let (first, last) = (&group[0], &group[group.len() - 1]);
        let kind = match first.table {
            Table::Bars | Table::BarsChangelog => bars_file::kind(),
            Table::Trades => trades_file::kind(),
            table @ (Table::Quotes | Table::Books | Table::Marks | Table::Funding | Table::Liquidations) => {
                market::kind(table)
            }
            table @ (Table::Fills
            | Table::FillAmendments
            | Table::Cash
            | Table::OrderIntents
            | Table::OrderEnds
            | Table::Instruments) => account::kind(table),
            Table::Late => trades_file::late_kind(),
            Table::Rejects => rejects_file::kind(),
            Table::Features
            | Table::HourlyVolume
            | Table::Predictions
            | Table::ShadowPredictions
            | Table::Signals
            | Table::Events
            | Table::Control
            | Table::Positions
            | Table::Risk
            | Table::RiskEvents
            | Table::OrderDecisions => rows_file::compacted_kind(),
        };
        let rows: u64 = group.iter().map(|file| file.rows).sum();
        let path = folder.join(staged_name(0));
        let mut opened = Vec::with_capacity(group.len());
        for file in group {
            opened.push(bars_read::batches(self.layout, file, None)?);
        }
        // Files of before some columns get them.
        let with_all_columns = |batch: RecordBatch| match first.table {
            Table::Rejects => Ok(rejects_file::with_records(batch)),
            table if Table::MARKET.contains(&table) => {
                market::with_all_columns(&batch, table).map_err(|error| LakeError::parquet("read", &path)(error.into()))
            }
            _ => Ok(batch),
        };
        let inputs = opened.into_iter().flatten().map(|batch| batch.and_then(with_all_columns));
        let written_rows = Cell::new(0);
        let counted = |batch: Result<RecordBatch, LakeError>| {
            batch.inspect(|batch| written_rows.set(written_rows.get() + batch.num_rows() as u64))
        };
        let write = |kind: &FileKind, batches: &mut dyn Iterator<Item = Result<RecordBatch, LakeError>>| {
            let group_rows = usize::try_from(rows).unwrap_or(ROWS_PER_GROUP).min(ROWS_PER_GROUP);
            parquet_file::write(&path, kind, self.zstd_level, group_rows, batches.map(counted))
        };
        let written = if kind.sorted_by.is_empty() {
            let mut inputs = inputs.peekable();
            let schema = match inputs.peek() {
                Some(Ok(batch)) => batch.schema(),
                _ => kind.schema.clone(),
            };
            write(&FileKind { schema, ..kind }, &mut inputs)?
        } else {
            let batches = inputs.collect::<Result<Vec<_>, _>>()?;
            let schema = batches.first().map_or_else(|| kind.schema.clone(), RecordBatch::schema);
            let reading = LakeError::parquet("read", &path);
            let order = order(&batches, kind.sorted_by[2])
                .map_err(|detail| reading(parquet::errors::ParquetError::General(detail)))?;
            let batches: Vec<&RecordBatch> = batches.iter().collect();
            let encoding = LakeError::parquet("encode", &path);
            let mut sorted = order
                .chunks(BATCH_ROWS)
                .map(|rows| interleave_record_batch(&batches, rows).map_err(|error| encoding(error.into())));
            write(&FileKind { schema, ..kind }, &mut sorted)?
        };
        if written_rows.get() != rows {
            let detail = format!("and its neighbours have {} rows, not {rows}", written_rows.get());
            return Err(LakeError::DataFile { path: self.layout.data(&first.path), manifest: self.state.seq, detail });
        }
        let name = last.path.rsplit_once('/').map_or(last.path.as_str(), |(_, name)| name);
        Ok(LakeFile {
            table: first.table,
            path: format!("{}/{}", folder_of(first), compacted_name(name, seq)),
            rows,
            bytes: written.bytes,
            crc32: written.crc32,
            min_time_ns: group.iter().map(|file| file.min_time_ns).min().unwrap_or(i64::MAX),
            max_time_ns: group.iter().map(|file| file.max_time_ns).max().unwrap_or(i64::MIN),
            open_rows: group.iter().map(|file| file.open_rows).sum(),
        })
    }

    fn reached(&self, point: &str) -> Result<(), LakeError> {
        let path = self.layout.compaction();
        self.config.faults.reached(point).map_err(LakeError::io("write", &path))
    }
}

/// The rows of several batches, as batch and row, by venue, symbol and time, and then as they come.
fn order(batches: &[RecordBatch], time: &str) -> Result<Vec<(usize, usize)>, String> {
    let mut numbers: HashMap<(&str, &str), u32> = HashMap::new();
    let mut rows: Vec<(u32, i64, u32, u32)> = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (number, batch) in (0..).zip(batches) {
        let keys = bars_read::Keys::of(batch, time)?;
        for row in 0..batch.num_rows() {
            let next = numbers.len() as u32;
            let instrument = *numbers.entry((keys.venue.value(row), keys.symbol.value(row))).or_insert(next);
            rows.push((instrument, keys.time_ns(row), number, row as u32));
        }
    }
    let mut names: Vec<((&str, &str), u32)> = numbers.into_iter().collect();
    names.sort_unstable();
    let mut ranks = vec![0; names.len()];
    (0..).zip(&names).for_each(|(rank, (_, number))| ranks[*number as usize] = rank);
    rows.iter_mut().for_each(|row| row.0 = ranks[row.0 as usize]);
    rows.sort_unstable();
    Ok(rows.into_iter().map(|(_, _, batch, row)| (batch as usize, row as usize)).collect())
}
