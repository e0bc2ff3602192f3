//! Reads a source again up to offsets that a log names: the messages of one tick after the other, as they were.

use super::KafkaError;
use super::client::until;
use super::lane::{Taken, serve};
use super::source::{KafkaSource, Polled};
use crate::source::MessageBlock;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

impl KafkaSource {
    /// Takes exactly the messages before the given ends, one past the last offset by partition number, however long that
    /// takes up to the deadline. Partitions that are not named are left alone, and so are those that are there already.
    ///
    /// Afterwards the positions of the partitions are the ends, also where no message lies before an end: it was removed, or
    /// the offsets belong to marks of transactions. None when the deadline passed before; what was taken by then is kept, and
    /// comes with the answer of the next call. A lost broker is waited for.
    ///
    /// # Errors
    /// If a partition cannot be read any more, an end lies behind what the broker has, or nothing comes before it for long.
    ///
    /// # Panics
    /// If there is no partition of a number, or the messages of one partition take more than 4 GiB.
    pub fn poll_to(&mut self, ends: &BTreeMap<u32, u64>, deadline: Instant) -> Result<Option<Polled>, KafkaError> {
        const SERVE_EVERY: Duration = Duration::from_millis(100);
        self.expect_all(ends)?;
        let mut blocks = std::mem::take(&mut self.partial);
        loop {
            serve(&self.consumer, &self.config.brokers)?;
            self.ready.extend(self.woken.try_iter());
            let mut is_done = true;
            for (&index, &end) in ends {
                is_done &= self.take_to(index, end, &mut blocks)?;
            }
            if is_done {
                for (index, block) in &mut blocks {
                    block.end_position = ends.get(index).map_or(block.end_position, |end| *end);
                }
                return Ok(Some(self.polled(blocks)));
            }
            let left = until(deadline);
            if left.is_zero() {
                self.partial = blocks;
                return Ok(None);
            }
            if let Ok(index) = self.woken.recv_timeout(left.min(SERVE_EVERY)) {
                self.ready.push_back(index);
            }
        }
    }

    /// Fails where an end can never be reached.
    fn expect_all(&mut self, ends: &BTreeMap<u32, u64>) -> Result<(), KafkaError> {
        for (&index, &end) in ends {
            let lane = &mut self.lanes[index as usize];
            if end <= lane.end.max(lane.position) {
                continue;
            }
            if !lane.is_read() {
                return Err(KafkaError::NotRead { partition: lane.name.clone(), end });
            }
            lane.refresh_end(self.config.connect_timeout)?;
            if end > lane.end {
                let (partition, low) = (lane.name.clone(), 0);
                return Err(KafkaError::OffsetGone { partition, offset: end, low, end: lane.end });
            }
        }
        Ok(())
    }

    /// Takes what is queued before an end; true when the end is reached.
    fn take_to(&mut self, index: u32, end: u64, blocks: &mut BTreeMap<u32, MessageBlock>) -> Result<bool, KafkaError> {
        if self.lanes[index as usize].position >= end {
            return Ok(true);
        }
        // It is looked at now; were it left in line, it would stand there once more for every call.
        self.ready.retain(|ready| *ready != index);
        let mut no_limit = usize::MAX;
        let taken = self.take(index, blocks, &mut no_limit, end)?;
        let lane = &mut self.lanes[index as usize];
        if taken == Taken::Empty && lane.has_passed(end)? {
            lane.position = end;
        }
        Ok(lane.position >= end)
    }
}
