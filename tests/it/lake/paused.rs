//! A full disk pauses the lake, holds everything before it back, and costs nothing once there is room.

use super::feed::{lake_config, pipeline, ticks};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tidewheel::engine;
use tidewheel::outbox::{LakeOutput, Outbox, OutboxError};
use tidewheel::status::Status;
use tidewheel_connectors::fault::Faults;
use tidewheel_connectors::lake::{Lake, LakeConfig, OnExisting, read};
use tidewheel_schemas::{BarVersion, Counters, Interval, SECOND_NS};

const PATIENCE: Duration = Duration::from_secs(60);
/// Ticks that may be on their way when the lake takes none: two before the lake, the engine's, and what a sender holds.
const TICKS_ON_THEIR_WAY: usize = 30;
/// Ticks between two full disks.
const PART: usize = 300;

/// A run in this process, fed as fast as it takes ticks, up to a limit.
struct Run {
    status: Arc<Status>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    limit: Arc<AtomicUsize>,
    all: usize,
    feeder: JoinHandle<()>,
    outbox: JoinHandle<Result<Counters, OutboxError>>,
}

impl Run {
    fn start(config: LakeConfig) -> Self {
        Self::start_limited(config, usize::MAX)
    }

    fn start_limited(config: LakeConfig, limit: usize) -> Self {
        let (mut engine, outputs) = engine::start(1, &pipeline(), None).expect("threads");
        let status = Arc::new(Status::new(&Interval::ALL));
        let stop = Arc::new(AtomicBool::new(false));
        let lake = LakeOutput {
            lake: Lake::open(config).expect("a lake"),
            every: Some(Duration::from_millis(20)),
            run: "test".to_owned(),
            max_waiting_rows: 1,
        };
        let outbox = Outbox {
            kafka: None,
            lake: Some(lake),
            bindings: None,
            snapshots: None,
            stop: Some(Arc::clone(&stop)),
            faults: Faults::default(),
            status: Arc::clone(&status),
        };
        let outbox = std::thread::spawn(move || outbox.run(outputs));
        let ticks = ticks(60, 3_000, 10 * SECOND_NS);
        let (sent, all) = (Arc::new(AtomicUsize::new(0)), ticks.len());
        let (counted, limit) = (Arc::clone(&sent), Arc::new(AtomicUsize::new(limit)));
        let allowed = Arc::clone(&limit);
        let feeder = std::thread::spawn(move || {
            for (number, tick) in ticks.into_iter().enumerate() {
                while number >= allowed.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                if engine.send(tick).is_break() {
                    break;
                }
                counted.fetch_add(1, Ordering::Relaxed);
            }
            engine.finish();
        });
        Self { status, stop, sent, limit, all, feeder, outbox }
    }

    /// Waits until the lake says that it is paused, and until no more ticks are taken. Returns why, and how many were.
    fn wait_until_held(&self) -> (String, usize) {
        let why = wait_for(|| self.status.snapshot().lake_paused);
        let mut before = 0;
        let sent = wait_for(|| {
            let sent = self.sent.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(300));
            (std::mem::replace(&mut before, sent) == sent).then_some(sent)
        });
        let limit = self.all.min(self.limit.load(Ordering::Relaxed));
        assert!(sent < limit, "all {sent} ticks were taken by a lake that is paused");
        (why, sent)
    }

    fn finish(self) -> Result<Counters, OutboxError> {
        self.feeder.join().expect("the feeder does not panic");
        self.outbox.join().expect("the outbox does not panic")
    }
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "nothing came in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Every row of the bars and of their changelog.
fn rows(root: &Path) -> Vec<Vec<BarVersion>> {
    let of = |interval| [read::bars(root, interval).expect("a lake"), read::changelog(root, interval).expect("a lake")];
    read::check(root).expect("every file is whole");
    Interval::ALL.into_iter().flat_map(of).collect()
}

/// The same run where nothing goes wrong.
fn undisturbed() -> (Vec<Vec<BarVersion>>, Counters) {
    let folder = TempDir::new().expect("a temporary folder");
    let root = folder.path().join("lake");
    let counters = Run::start(lake_config(&root)).finish().expect("nothing fails");
    (rows(&root), counters)
}

/// What makes a disk full, and room again.
enum Disk {
    /// A small file system in memory, and a file that fills it.
    Small(TempDir),
    /// A fault point that stands in for it where nothing may be mounted.
    Pretended(TempDir),
}

impl Disk {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(folder.path()).output();
        match mount {
            Ok(output) if output.status.success() => Self::Small(folder),
            Ok(output) => {
                println!("a fault point instead of a full disk: {}", String::from_utf8_lossy(&output.stderr).trim());
                Self::Pretended(folder)
            }
            Err(error) => {
                println!("a fault point instead of a full disk: could not run mount: {error}");
                Self::Pretended(folder)
            }
        }
    }

    fn path(&self) -> &Path {
        let (Self::Small(folder) | Self::Pretended(folder)) = self;
        folder.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    fn faults(&self) -> Faults {
        match self {
            Self::Small(_) => Faults::default(),
            Self::Pretended(_) => {
                Faults::parse(&format!("lake.staged=full:{}", self.ballast().display())).expect("a rule")
            }
        }
    }

    fn fill(&self) {
        // Until nothing fits is the point; where it is pretended, one byte is enough.
        let bytes = if matches!(self, Self::Small(_)) { 64 << 20 } else { 1 };
        let _ = std::fs::write(self.ballast(), vec![1; bytes]);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast can be deleted");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Small(folder) = self {
            let unmounted = Command::new("umount").arg(folder.path()).status();
            assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking(), "could not unmount");
        }
    }
}

#[test]
fn a_full_disk_holds_the_source_back_and_nothing_is_lost_when_there_is_room() {
    let (expected, counters) = undisturbed();
    let disk = Disk::new();
    let root = disk.path().join("lake");
    let run = Run::start_limited(LakeConfig { faults: disk.faults(), ..lake_config(&root) }, PART);
    // In the middle of a run, twice.
    for (through, limit) in [(PART, 2 * PART), (2 * PART, usize::MAX)] {
        wait_for(|| (run.status.snapshot().ticks == through as u64).then_some(()));
        assert!(run.all > through + 3 * TICKS_ON_THEIR_WAY, "only {} ticks", run.all);
        let commits = run.status.snapshot().lake_commits;
        disk.fill();
        run.limit.store(limit, Ordering::Relaxed);
        let (why, sent) = run.wait_until_held();
        println!("{sent} of {} ticks taken, then: {why}", run.all);
        assert!(why.contains(&root.display().to_string()), "{why}");
        let snapshot = run.status.snapshot();
        assert!(sent as u64 <= snapshot.ticks + TICKS_ON_THEIR_WAY as u64, "{sent} sent, {} through", snapshot.ticks);
        let committed = read::manifest(&root).expect("what was committed stays").seq;
        assert!(committed >= commits, "{committed}");
        disk.make_room();
        wait_for(|| run.status.snapshot().lake_paused.is_none().then_some(()));
    }
    assert_eq!(run.finish().expect("there is room"), counters);
    assert_eq!(rows(&root), expected);
}

#[test]
fn a_paused_run_that_is_to_stop_tries_once_more_and_ends_with_the_error() {
    for has_room in [false, true] {
        let folder = TempDir::new().expect("a temporary folder");
        let (root, flag) = (folder.path().join("lake"), folder.path().join("full"));
        std::fs::write(&flag, "").expect("a file");
        let faults = Faults::parse(&format!("lake.manifest_staged=full:{}", flag.display())).expect("a rule");
        let run = Run::start(LakeConfig { faults, ..lake_config(&root) });
        run.wait_until_held();
        if has_room {
            std::fs::remove_file(&flag).expect("a file");
        }
        run.stop.store(true, Ordering::Relaxed);
        let ended = run.finish();
        if has_room {
            ended.expect("the last attempt succeeds, and so does the rest");
            assert_eq!(rows(&root), undisturbed().0);
        } else {
            let error = ended.expect_err("still full").to_string();
            assert!(error.contains("manifest.json"), "{error}");
            assert_eq!(read::manifest(&root).expect("a lake").seq, 0);
            Lake::open(LakeConfig { on_existing: OnExisting::Resume, ..lake_config(&root) }).expect("it can be opened");
        }
    }
}

#[test]
fn trouble_that_does_not_pass_ends_the_run_at_once() {
    let folder = TempDir::new().expect("a temporary folder");
    let root = folder.path().join("lake");
    let faults = Faults::parse("lake.publishing:3=denied").expect("a rule");
    let run = Run::start(LakeConfig { faults, ..lake_config(&root) });
    let error = run.finish().expect_err("denied").to_string();
    assert!(
        error.contains("could not publish") && error.contains("permission") || error.contains("the fault"),
        "{error}"
    );
    // What was committed is mended by the next opening.
    drop(Lake::open(LakeConfig { on_existing: OnExisting::Resume, ..lake_config(&root) }).expect("it can be opened"));
    assert_eq!(read::check(&root).expect("whole").seq, 1);
}
