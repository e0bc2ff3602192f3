//! When the next snapshot is due.

use super::WHOLE_EVERY;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tidewheel_operators::saved::Saving;

/// Decides at each tick whether a snapshot is taken after it: when its time has come and the one before is written.
#[derive(Debug)]
pub struct SnapshotTimer {
    every: Duration,
    last: Instant,
    taken: u32,
    /// Whether there is a snapshot that the first one adds to.
    has_base: bool,
    is_busy: Arc<AtomicBool>,
}

impl SnapshotTimer {
    /// A timer that begins now.
    pub fn new(every: Duration, has_base: bool) -> Self {
        Self { every, last: Instant::now(), taken: 0, has_base, is_busy: Arc::default() }
    }

    /// Raised while a snapshot is on its way to the disk; whoever writes it lowers it.
    pub fn busy_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_busy)
    }

    /// What to save after this tick, if anything. The last tick of a run is always saved: a restart then has nothing to read.
    pub fn due(&mut self, is_last: bool) -> Option<Saving> {
        if !is_last && self.last.elapsed() < self.every {
            return None;
        }
        if self.is_busy.swap(true, Ordering::AcqRel) && !is_last {
            return None;
        }
        self.last = Instant::now();
        let is_first = self.taken == 0 && !self.has_base;
        let saving = if is_first { Saving::ALL } else { Saving { every: WHOLE_EVERY, turn: self.taken % WHOLE_EVERY } };
        self.taken += 1;
        Some(saving)
    }
}
