//! One partition of a replay, given out tick by tick as its own clock passes.

use super::prefetch::Prefetch;
use crate::ticks::{Chunk, Piece};
use std::collections::VecDeque;
use tidewheel_connectors::source::SourceError;
use tidewheel_operators::intake::ReplayClock;

/// Where a partition stands.
pub struct Cursor {
    partition: usize,
    clock: ReplayClock,
    /// Chunks with records left; the one after the first may vote on jumps of the clock.
    chunks: VecDeque<Chunk>,
    has_ended: bool,
}

impl Cursor {
    /// A cursor at the start of a partition.
    pub fn new(partition: usize) -> Self {
        Self { partition, clock: ReplayClock::default(), chunks: VecDeque::new(), has_ended: false }
    }

    /// How far its clock has come.
    pub const fn now_ns(&self) -> Option<i64> {
        self.clock.now_ns()
    }

    /// The time of the next record that moves the clock, as far as is read; nothing at the end.
    ///
    /// # Errors
    /// If the partition cannot be read.
    pub fn next_time_ns(&mut self, source: &Prefetch, skew_ns: i64) -> Result<Option<i64>, SourceError> {
        self.fill(source)?;
        let mut clock = self.clock;
        for at in 0..self.chunks.len() {
            let chunk = &self.chunks[at];
            let following = self.chunks.get(at + 1).map_or(&[][..], |chunk| chunk.clock_ns());
            if let Some(time) = clock.next_time_ns(chunk.clock_ns(), chunk.next_entry(), following, skew_ns) {
                return Ok(Some(time));
            }
            clock.pass(chunk.clock_ns(), chunk.next_entry(), following, i64::MAX, skew_ns);
        }
        Ok(None)
    }

    /// Takes the next chunk whole, where nothing that is read ahead moves the clock: without a time to come, no tick of its
    /// own is due for it.
    ///
    /// # Errors
    /// If the partition cannot be read.
    pub fn take_timeless(&mut self, source: &Prefetch, pieces: &mut Vec<Piece>) -> Result<(), SourceError> {
        self.fill(source)?;
        if let Some(chunk) = self.chunks.pop_front() {
            pieces.push(chunk.take_all());
        }
        Ok(())
    }

    /// Takes the records before the clock reaches `end_ns`, at most about `budget` of them. Tells whether the clock got there.
    ///
    /// # Errors
    /// If the partition cannot be read.
    pub fn take_until(
        &mut self,
        source: &Prefetch,
        end_ns: i64,
        skew_ns: i64,
        mut budget: usize,
        pieces: &mut Vec<Piece>,
    ) -> Result<bool, SourceError> {
        loop {
            self.fill(source)?;
            let following = self.chunks.get(1).map_or(&[][..], |chunk| chunk.clock_ns());
            let Some(chunk) = self.chunks.front() else { return Ok(true) };
            let times = chunk.clock_ns();
            let start = chunk.next_entry();
            let limit = times.len().min(start.saturating_add(budget));
            // Beyond the budget the rest of the chunk votes, as the next one would.
            let jury = if limit < times.len() { &times[limit..] } else { following };
            let end = self.clock.pass(&times[..limit], start, jury, end_ns, skew_ns);
            let is_whole = end == times.len();
            let chunk = self.chunks.front_mut().expect("there was a front");
            if is_whole {
                let piece = self.chunks.pop_front().expect("there was a front").take_all();
                budget = budget.saturating_sub(piece.records());
                pieces.push(piece);
            } else {
                if end > start {
                    pieces.push(chunk.take_until(end));
                }
                return Ok(end < limit);
            }
            if budget == 0 {
                return Ok(false);
            }
        }
    }

    /// Reads on until two chunks are at hand: the first to take from, the second to vote.
    fn fill(&mut self, source: &Prefetch) -> Result<(), SourceError> {
        while self.chunks.len() < 2 && !self.has_ended {
            match source.next(self.partition)? {
                Some(chunk) => self.chunks.push_back(chunk),
                None => self.has_ended = true,
            }
        }
        Ok(())
    }
}
