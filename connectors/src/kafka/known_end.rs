//! Reading up to an end that is known: reached when the client has passed it, and not when a broker says that nothing follows.
//!
//! A broker that follows another, or has just become the leader, may not know yet how far a partition reaches. It then says
//! too early that nothing follows, and says so again at the true end. The client's position tells them apart. It counts the
//! marks of transactions too, which take offsets and are never shown.

use super::KafkaError;
use super::client::{Context, partition_name};
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::time::{Duration, Instant};

/// How long a broker that can be reached may give nothing although more is known to be there.
const PATIENCE: Duration = Duration::from_secs(60);

/// The offset before which a consumer has given out all there is of a partition, what is not shown included. None before
/// anything came.
pub(super) fn passed(consumer: &BaseConsumer<Context>, topic: &str, partition: i32) -> Option<u64> {
    let positions = consumer.position().ok()?;
    let position = positions.find_partition(topic, partition)?.offset().to_raw()?;
    // Negative where there is none.
    u64::try_from(position).ok()
}

/// Since when a partition stands before its known end.
#[derive(Default)]
pub(super) struct KnownEnd {
    standing: Option<(u64, Instant)>,
}

impl KnownEnd {
    /// Whether a position has reached the end. False is to be asked again, after more was polled.
    ///
    /// # Errors
    /// If the position has stood still for long while the broker could be reached.
    pub(super) fn is_reached(
        &mut self,
        consumer: &BaseConsumer<Context>,
        (topic, partition): (&str, i32),
        position: u64,
        end: u64,
    ) -> Result<bool, KafkaError> {
        let is_connected = consumer.context().known(topic, partition).is_none_or(|known| known.is_connected);
        match self.judge(position, end, is_connected, Instant::now()) {
            Ok(is_reached) => Ok(is_reached),
            Err(stood) => Err(KafkaError::EndNotReached {
                partition: partition_name(topic, partition),
                position,
                end,
                waited_s: stood.as_secs(),
            }),
        }
    }

    /// Fails with how long the position has stood, when that is too long.
    fn judge(&mut self, position: u64, end: u64, is_connected: bool, now: Instant) -> Result<bool, Duration> {
        if position >= end {
            self.standing = None;
            return Ok(true);
        }
        match self.standing {
            // A broker that is lost is waited for.
            Some((at, since)) if at == position && is_connected => {
                let stood = now.saturating_duration_since(since);
                if stood >= PATIENCE { Err(stood) } else { Ok(false) }
            }
            _ => {
                self.standing = Some((position, now));
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_reached_by_position_and_waited_for_while_it_moves_or_the_broker_is_lost() {
        let begin = Instant::now();
        let mut known = KnownEnd::default();
        // Seconds, position and whether the broker can be reached; then what is said of the end at 10.
        let steps = [
            (0, 7, true, Ok(false)),
            (59, 7, true, Ok(false)),
            (59, 8, true, Ok(false)),
            (100, 8, true, Ok(false)),
            (110, 8, false, Ok(false)),
            (500, 8, false, Ok(false)),
            (559, 8, true, Ok(false)),
            (560, 8, true, Err(Duration::from_secs(60))),
            (561, 10, true, Ok(true)),
            (700, 9, true, Ok(false)),
            (701, 11, false, Ok(true)),
        ];
        for (second, position, is_connected, expected) in steps {
            let now = begin + Duration::from_secs(second);
            assert_eq!(known.judge(position, 10, is_connected, now), expected, "second {second}");
        }
    }
}
