//! Reading and decoding ahead of the replay, on all cores, in order.
//!
//! Each partition is read by one job at a time and decoded by as many as there are threads; chunks come out in the order of
//! the partition whatever the order in which they were finished.

use crate::ticks::Chunk;
use crossbeam_channel::{Sender, unbounded};
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use tidewheel_connectors::decode::Decoder;
use tidewheel_connectors::source::{DecodedChunk, PartitionReader, Progress, SourceError, Work};

/// Chunks decoded ahead, over all partitions.
const CHUNKS_AHEAD: usize = 16;

type Job = Box<dyn FnOnce() + Send>;
/// What is done to every chunk after decoding.
pub type Prepare = Arc<dyn Fn(&mut DecodedChunk) + Send + Sync>;

/// The partitions of a replay, read ahead.
pub struct Prefetch {
    partitions: Vec<Arc<Partition>>,
    jobs: Sender<Job>,
}

struct Partition {
    number: u32,
    name: String,
    reader: Mutex<Box<dyn PartitionReader>>,
    decoder: Decoder,
    prepare: Prepare,
    ahead: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Decoded and not yet taken.
    done: BTreeMap<u64, Chunk>,
    /// Number of the next piece to be read, and of the next to be taken.
    next_read: u64,
    next_taken: u64,
    is_reading: bool,
    has_ended: bool,
    error: Option<SourceError>,
    progress: Progress,
}

impl Prefetch {
    /// Starts reading.
    ///
    /// # Panics
    /// If the system cannot start a thread.
    pub fn start(readers: Vec<Box<dyn PartitionReader>>, decoder: &Decoder, prepare: &Prepare, threads: usize) -> Self {
        let (jobs, queue) = unbounded::<Job>();
        for _ in 0..threads.max(1) {
            let queue = queue.clone();
            // The threads end with the last sender of jobs.
            std::thread::Builder::new()
                .name("decode".to_owned())
                .spawn(move || queue.into_iter().for_each(|job| job()))
                .expect("the system can start a thread");
        }
        let ahead = (CHUNKS_AHEAD / readers.len().max(1)).clamp(1, 2 * threads.max(1) + 2);
        let partitions = readers.into_iter().enumerate().map(|(number, reader)| {
            Arc::new(Partition {
                number: number as u32,
                name: reader.name().to_owned(),
                state: Mutex::new(State { progress: reader.progress(), ..State::default() }),
                reader: Mutex::new(reader),
                decoder: decoder.clone(),
                prepare: Arc::clone(prepare),
                ahead,
                changed: Condvar::new(),
            })
        });
        let prefetch = Self { partitions: partitions.collect(), jobs };
        prefetch.partitions.iter().for_each(|partition| partition.read_on(&prefetch.jobs));
        prefetch
    }

    /// Number of partitions.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Names of the partitions, by number.
    pub fn names(&self) -> Vec<String> {
        self.partitions.iter().map(|partition| partition.name.clone()).collect()
    }

    /// How far reading has come, over all partitions.
    pub fn progress(&self) -> Progress {
        self.partitions.iter().fold(Progress::default(), |sum, partition| {
            let progress = partition.lock().progress;
            Progress { done: sum.done + progress.done, total: sum.total + progress.total }
        })
    }

    /// The next chunk of a partition; nothing at its end. Waits for it.
    ///
    /// # Errors
    /// If the partition cannot be read.
    ///
    /// # Panics
    /// If a thread that reads or decodes has panicked.
    pub fn next(&self, partition: usize) -> Result<Option<Chunk>, SourceError> {
        let partition = &self.partitions[partition];
        let mut state = partition.lock();
        loop {
            let number = state.next_taken;
            if let Some(chunk) = state.done.remove(&number) {
                state.next_taken += 1;
                drop(state);
                partition.read_on(&self.jobs);
                return Ok(Some(chunk));
            }
            if state.next_taken == state.next_read && !state.is_reading {
                if let Some(error) = state.error.take() {
                    return Err(error);
                }
                if state.has_ended {
                    return Ok(None);
                }
            }
            state = partition.changed.wait(state).expect("no decoder panics while it holds the state");
        }
    }
}

impl Partition {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no decoder panics while it holds the state")
    }

    /// Queues a read, unless one is under way or enough is ahead.
    fn read_on(self: &Arc<Self>, jobs: &Sender<Job>) {
        let mut state = self.lock();
        let ahead = (state.next_read - state.next_taken) as usize;
        if state.is_reading || state.has_ended || ahead >= self.ahead {
            return;
        }
        state.is_reading = true;
        drop(state);
        let (partition, more_jobs) = (Arc::clone(self), jobs.clone());
        // Only fails when the threads are gone, and then nobody waits for the chunk.
        let _ = jobs.send(Box::new(move || partition.read(&more_jobs)));
    }

    fn read(self: Arc<Self>, jobs: &Sender<Job>) {
        let (result, progress) = {
            let mut reader = self.reader.lock().expect("no reader panics");
            (reader.read(), reader.progress())
        };
        let mut state = self.lock();
        state.is_reading = false;
        state.progress = progress;
        let work = match result {
            Ok(Some(work)) => work,
            Ok(None) => {
                state.has_ended = true;
                self.changed.notify_all();
                return;
            }
            Err(error) => {
                (state.has_ended, state.error) = (true, Some(error));
                self.changed.notify_all();
                return;
            }
        };
        let number = state.next_read;
        state.next_read += 1;
        drop(state);
        self.read_on(jobs);
        let mut decoded = match work {
            Work::Messages(block) => self.decoder.decode(block),
            Work::Rows(decode) => decode(),
        };
        decoded.columns.partition = self.number;
        (self.prepare)(&mut decoded);
        self.lock().done.insert(number, Chunk::new(decoded));
        self.changed.notify_all();
    }
}
