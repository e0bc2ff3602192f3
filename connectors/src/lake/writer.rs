//! The one writer of a lake: what is appended, and the commits.

use super::commit::{self, Buffered, Staged};
use super::error::LakeError;
use super::layout::Layout;
use super::manifest::{self, CommitProgress, LakeState, Manifest};
use super::parquet_file::{create_folder, sync_folder};
use super::publish::{self, Attempt, News, publish, remove_folder};
use super::{CommitReport, LakeConfig, OnExisting, recovery};
use parquet::basic::ZstdLevel;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};
use tidewheel_schemas::{BarVersion, MarketContent, MarketRecord, TickOutput, TradeColumns};

/// The one writer of a lake. Dropping it drops what was not committed.
#[derive(Debug)]
pub struct Lake {
    pub(super) config: LakeConfig,
    layout: Layout,
    zstd_level: ZstdLevel,
    state: LakeState,
    /// Files of the run before, which the first commit removes.
    replaced: Vec<String>,
    /// Whether bars of the run before may stand in `bars` that are not final.
    drops_open: bool,
    /// A commit that may have happened although it failed.
    unknown: Option<Done>,
    /// A commit whose files are not all in place.
    unpublished: Option<Manifest>,
    /// A commit that happened, but of which the caller was told an error.
    unreported: Option<CommitReport>,
    ticks: Vec<TickOutput>,
    closing: Vec<BarVersion>,
    rows: usize,
    bytes: usize,
    /// Locked as long as it is open.
    _lock: File,
}

/// A commit whose manifest has its name, and what of the buffer is in it.
#[derive(Debug)]
struct Done {
    manifest: Manifest,
    superseded_rows: u64,
    ticks: usize,
    closing: usize,
    rows: usize,
    bytes: usize,
}

impl Lake {
    /// Opens a lake for writing, makes it if need be, and mends what a crash left. A compaction may go on beside it.
    ///
    /// # Errors
    /// If it has a writer, if it holds data that it must not touch, if a manifest is damaged or a file is missing, or if
    /// the file system refuses.
    pub fn open(config: LakeConfig) -> Result<Self, LakeError> {
        let layout = Layout { root: config.root.clone() };
        recovery::refuse_foreign_files(&layout)?;
        create_folder(&layout.manifests())?;
        create_folder(&layout.staging())?;
        let lock = recovery::lock(&layout.lock())?;
        let locked = || LakeError::Locked { root: layout.root.clone(), lock: layout.lock() };
        let lock = lock.ok_or_else(locked)?;
        // Held while we look: no compaction begins meanwhile. If one goes on, what it left behind is its own to mend.
        let no_compaction = recovery::lock(&layout.compaction_lock())?;
        let found = recovery::settle(&layout)?.unwrap_or_default();
        if config.on_existing == OnExisting::Refuse && !found.files.is_empty() {
            return Err(LakeError::Exists { root: layout.root });
        }
        remove_folder(&layout.staging())?;
        create_folder(&layout.staging())?;
        if no_compaction.is_some() {
            remove_folder(&layout.compaction())?;
        }
        recovery::delete_orphans(&layout, &found, no_compaction.is_none())?;
        drop(no_compaction);
        let mut state = found;
        let mut replaced = Vec::new();
        if config.on_existing != OnExisting::Resume {
            replaced = std::mem::take(&mut state.files).into_keys().collect();
            state.progress = CommitProgress::default();
        }
        let zstd_level = ZstdLevel::try_new(config.zstd_level).map_err(LakeError::parquet("encode", &layout.root))?;
        Ok(Self {
            config,
            layout,
            zstd_level,
            state,
            replaced,
            drops_open: true,
            unknown: None,
            unpublished: None,
            unreported: None,
            ticks: Vec::new(),
            closing: Vec::new(),
            rows: 0,
            bytes: 0,
            _lock: lock,
        })
    }

    /// Names the source partitions by number, for the ticks that follow; a live source may find more of them.
    pub fn name_sources(&mut self, names: &[String]) {
        if self.config.sources != names {
            self.config.sources = names.to_vec();
        }
    }

    /// What is committed.
    pub fn state(&self) -> &LakeState {
        &self.state
    }

    /// Takes in what a tick published, for the next commit. Ticks in their order, each once.
    ///
    /// False, and nothing taken, for a tick before the committed frontier: its output is in the lake.
    pub fn append(&mut self, mut output: TickOutput) -> bool {
        if output.tick < self.state.progress.tick_frontier {
            return false;
        }
        if !self.config.archive {
            output.accepted = Vec::new();
            output.amendments = Vec::new();
            output.market = Vec::new();
            output.account = Vec::new();
        }
        let (rows, bytes) = weigh(&output);
        self.rows += rows;
        self.bytes += bytes;
        if rows > 0 {
            self.ticks.push(output);
        }
        true
    }

    /// Takes in the bars that are still open at the end of a run: the next commit writes them into `bars`, not as final,
    /// until a later run goes on: its first commit removes them. Their versions are in the changelog already.
    pub fn close_open_bars(&mut self, versions: Vec<BarVersion>) {
        self.rows += versions.len();
        self.bytes += versions.len() * size_of::<BarVersion>();
        self.closing.extend(versions);
    }

    /// Rows waiting for the next commit.
    pub fn buffered_rows(&self) -> usize {
        self.rows
    }

    /// About the memory that they take, in bytes.
    pub fn buffered_bytes(&self) -> usize {
        self.bytes
    }

    /// Commits all that was appended, atomically, and says that the lake is complete up to a frontier.
    ///
    /// # Errors
    /// If the file system refuses. Where the manifest was not created yet, nothing has changed, and the buffer is as it was:
    /// mend the cause and commit again ([`LakeError::is_passing`] says whether waiting may do). Where it was, the commit has
    /// happened; the same call again finds out, moves the files into place, and tells what the commit did.
    ///
    /// # Panics
    /// If the frontier lies before the one committed: ticks would be taken in a second time.
    pub fn commit(&mut self, progress: &CommitProgress) -> Result<CommitReport, LakeError> {
        let started = Instant::now();
        self.resolve_unknown()?;
        self.publish()?;
        let is_done = self.rows == 0 && self.state.progress == *progress;
        match self.unreported.take() {
            Some(report) if is_done => return Ok(CommitReport { elapsed: started.elapsed(), ..report }),
            _ => {}
        }
        let (next, committed) = (progress.tick_frontier, self.state.progress.tick_frontier);
        assert!(next >= committed, "the frontier of a lake does not go back from tick {committed} to {next}");
        let done = self.create_next(progress)?;
        self.accept(done);
        self.publish()?;
        if self.state.seq % manifest::CHECKPOINT_EVERY == 1 {
            manifest::prune(&self.layout, self.state.seq)?;
        }
        let report = self.unreported.take().unwrap_or_default();
        Ok(CommitReport { elapsed: started.elapsed(), ..report })
    }

    /// Stages the buffer and takes the next number, and the one after where a compaction was faster.
    fn create_next(&mut self, progress: &CommitProgress) -> Result<Done, LakeError> {
        let mut ready: Option<Staged> = None;
        loop {
            self.follow()?;
            // A file that was to be rewritten has been joined with others: plan anew.
            if let Some(stale) =
                ready.take_if(|staged| staged.removed.iter().any(|path| !self.state.files.contains_key(path)))
            {
                remove_folder(&self.layout.staged(&stale.staging))?;
            }
            let staged = match ready.take() {
                Some(staged) => staged,
                None => match self.stage() {
                    Ok(staged) => staged,
                    Err(error)
                        if error.is_missing_file() && publish::after(&self.layout, self.state.seq)?.is_some() =>
                    {
                        continue;
                    }
                    Err(error) => return Err(self.unstage(error)),
                },
            };
            let mut removed = staged.removed.clone();
            removed.extend(self.replaced.iter().cloned());
            let manifest = Manifest {
                progress: progress.clone(),
                added: staged.added.clone(),
                removed,
                staging: staged.staging.clone(),
                ..Manifest::default()
            };
            let manifest = manifest.after(&self.state);
            let reached = || self.config.faults.reached("lake.manifest_staged");
            match publish::create_manifest(&self.layout, &manifest, reached) {
                Ok(Attempt::Made) => {
                    let synced = self.reached("lake.committed", &self.layout.manifest(manifest.seq));
                    let synced = synced.and_then(|()| sync_folder(&self.layout.manifests()));
                    return self.done(manifest, staged.superseded_rows, synced);
                }
                Ok(Attempt::Unclear(error)) => return self.done(manifest, staged.superseded_rows, Err(error)),
                Ok(Attempt::Outrun) if publish::after(&self.layout, self.state.seq)?.is_none() => {
                    let path = self.layout.manifest(self.state.seq);
                    return Err(LakeError::Manifest { path, detail: "is missing".to_owned() });
                }
                Ok(Attempt::Outrun) => ready = Some(staged),
                Err(error) => return Err(self.unstage(error)),
            }
        }
    }

    /// Writes the data files of the next commit into staging.
    fn stage(&self) -> Result<Staged, LakeError> {
        remove_folder(&self.layout.staging())?;
        create_folder(&self.layout.staging())?;
        let buffered = Buffered { ticks: &self.ticks, closing: &self.closing, drops_open: self.drops_open };
        let staged = commit::stage(&self.layout, &self.config, self.zstd_level, &self.state, &buffered)?;
        self.reached("lake.staged", &self.layout.staging())?;
        Ok(staged)
    }

    /// After a failure, makes room. What cannot be deleted now is deleted later; the error that matters is the first.
    fn unstage(&self, error: LakeError) -> LakeError {
        let _ = remove_folder(&self.layout.staging());
        let _ = create_folder(&self.layout.staging());
        error
    }

    /// A commit whose manifest has its name. Unless that is known to be durable, its result is not known: the commit has
    /// happened for all who look, but may be gone after a power failure.
    fn done(
        &mut self,
        manifest: Manifest,
        superseded_rows: u64,
        synced: Result<(), LakeError>,
    ) -> Result<Done, LakeError> {
        let done = Done {
            superseded_rows,
            ticks: self.ticks.len(),
            closing: self.closing.len(),
            rows: self.rows,
            bytes: self.bytes,
            manifest,
        };
        match synced {
            Ok(()) => Ok(done),
            Err(source) => {
                let seq = done.manifest.seq;
                self.unknown = Some(done);
                Err(LakeError::Unknown { root: self.layout.root.clone(), seq, source: Box::new(source) })
            }
        }
    }

    /// Finds out on disk whether a commit happened whose result was not known.
    fn resolve_unknown(&mut self) -> Result<(), LakeError> {
        let Some(done) = &self.unknown else { return Ok(()) };
        let seq = done.manifest.seq;
        let unknown = |source| LakeError::Unknown { root: self.layout.root.clone(), seq, source: Box::new(source) };
        match manifest::find(&self.layout, seq).map_err(unknown)? {
            Some(found) if found == done.manifest => {
                sync_folder(&self.layout.manifests()).map_err(unknown)?;
                if let Some(done) = self.unknown.take() {
                    self.accept(done);
                }
            }
            Some(found) if !found.is_compaction => return Err(self.rival(seq)),
            // Not ours, or none: it did not happen, and the buffer still holds it all.
            _ => self.unknown = None,
        }
        Ok(())
    }

    /// Takes what a commit did into the state, and its rows out of the buffer.
    fn accept(&mut self, done: Done) {
        let manifest = done.manifest;
        self.unreported = Some(CommitReport {
            seq: manifest.seq,
            rows: manifest.added.iter().map(|file| file.rows).sum(),
            files: manifest.added.len() as u64,
            bytes: manifest.added.iter().map(|file| file.bytes).sum(),
            superseded_rows: done.superseded_rows,
            elapsed: Duration::ZERO,
        });
        self.state.apply(&manifest);
        self.replaced.clear();
        self.drops_open = false;
        drop(self.ticks.drain(..done.ticks));
        drop(self.closing.drain(..done.closing));
        self.rows -= done.rows;
        self.bytes -= done.bytes;
        self.unpublished = Some(manifest);
    }

    /// Takes in what a compaction committed meanwhile.
    fn follow(&mut self) -> Result<(), LakeError> {
        while let Some(news) = publish::after(&self.layout, self.state.seq)? {
            match news {
                News::Next(manifest) if !manifest.is_compaction => return Err(self.rival(manifest.seq)),
                News::Next(manifest) => {
                    publish::finish(&self.layout, &manifest)?;
                    self.adopt(&manifest);
                }
                News::Far(state) => {
                    if self.replaced.is_empty() && state.progress != self.state.progress {
                        return Err(self.rival(state.seq));
                    }
                    publish::finish_all(&self.layout)?;
                    self.state.seq = state.seq;
                    if self.replaced.is_empty() {
                        self.state.files = state.files;
                    } else {
                        self.replaced = state.files.into_keys().collect();
                    }
                }
            }
        }
        Ok(())
    }

    fn adopt(&mut self, compaction: &Manifest) {
        if self.replaced.is_empty() {
            self.state.apply(compaction);
            return;
        }
        // All that is there goes with our first commit, under whatever name.
        self.state.seq = compaction.seq;
        self.replaced.retain(|path| !compaction.removed.contains(path));
        self.replaced.extend(compaction.added.iter().map(|file| file.path.clone()));
    }

    /// Moves the files of the last commit into place, if they are not.
    fn publish(&mut self) -> Result<(), LakeError> {
        if let Some(manifest) = &self.unpublished {
            publish(&self.layout, manifest, || self.config.faults.reached("lake.publishing"))?;
            self.unpublished = None;
        }
        Ok(())
    }

    fn reached(&self, point: &str, path: &Path) -> Result<(), LakeError> {
        self.config.faults.reached(point).map_err(LakeError::io("write", path))
    }

    fn rival(&self, seq: u64) -> LakeError {
        LakeError::Rival { root: self.layout.root.clone(), path: self.layout.manifest(seq) }
    }
}

/// Rows of an output that the lake keeps, and about the bytes that they take.
fn weigh(output: &TickOutput) -> (usize, usize) {
    let accepted: usize = output.accepted.iter().map(|accepted| accepted.rows.len()).sum();
    let raw = output.rejects.iter().map(|reject| reject.raw.len() + reject.detail.len()).sum::<usize>()
        + output.amendments.iter().map(|amendment| amendment.raw.len()).sum::<usize>();
    let values = output.rows.iter().flat_map(|row| &row.values).map(|values| size_of_val(&values[..])).sum::<usize>();
    let bytes = size_of_val(&output.bars[..])
        + size_of_val(&output.rows[..])
        + values
        + size_of_val(&output.late[..])
        + size_of_val(&output.rejects[..])
        + size_of_val(&output.amendments[..])
        + size_of_val(&output.market[..])
        + output.market.iter().map(level_bytes).sum::<usize>()
        // Once more for their names and ids.
        + 2 * size_of_val(&output.account[..])
        + accepted * (TradeColumns::ROW_BYTES + size_of::<u32>())
        + raw;
    let published = output.bars.len() + output.rows.len();
    let beside = output.amendments.len() + output.market.len() + output.account.len();
    (published + output.late.len() + output.rejects.len() + beside + accepted, bytes)
}

fn level_bytes(record: &MarketRecord) -> usize {
    match &record.content {
        MarketContent::Book(book) => size_of_val(&book.bids[..]) + size_of_val(&book.asks[..]),
        _ => 0,
    }
}
