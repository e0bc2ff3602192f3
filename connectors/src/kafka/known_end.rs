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
    standing: Option<Standing>,
}

struct Standing {
    position: u64,
    since: Instant,
    /// When this was last asked.
    asked: Instant,
}

/// The offset that the client fetches next, and when it said so.
type Fetched = Option<(u64, Instant)>;

impl KnownEnd {
    /// Whether a position has reached the end. False is to be asked again, after more was polled.
    ///
    /// The position does not move over records that were rolled back and are followed by no mark. The client has fetched them
    /// all the same, and says so in its statistics. These count if all that was queued when they were told has been taken:
    /// `is_drained` says that the queue was found empty since this was asked before.
    ///
    /// # Errors
    /// If the position has stood still for long while the broker could be reached.
    pub(super) fn is_reached(
        &mut self,
        consumer: &BaseConsumer<Context>,
        (topic, partition): (&str, i32),
        position: u64,
        end: u64,
        is_drained: bool,
    ) -> Result<bool, KafkaError> {
        let context = consumer.context();
        let known = context.known(topic, partition);
        let is_connected = known.is_none_or(|known| known.is_connected);
        let fetched = known.and_then(|known| known.next).filter(|_| is_drained).zip(context.told_at());
        match self.judge(position, end, is_connected, fetched, Instant::now()) {
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
    fn judge(
        &mut self,
        position: u64,
        end: u64,
        is_connected: bool,
        fetched: Fetched,
        now: Instant,
    ) -> Result<bool, Duration> {
        if position >= end {
            self.standing = None;
            return Ok(true);
        }
        match &mut self.standing {
            // A broker that is lost is waited for.
            Some(standing) if standing.position == position && is_connected => {
                let told_meanwhile = standing.since..=standing.asked;
                if fetched.is_some_and(|(next, told_at)| next >= end && told_meanwhile.contains(&told_at)) {
                    return Ok(true);
                }
                standing.asked = now;
                let stood = now.saturating_duration_since(standing.since);
                if stood >= PATIENCE { Err(stood) } else { Ok(false) }
            }
            _ => {
                self.standing = Some(Standing { position, since: now, asked: now });
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
            assert_eq!(known.judge(position, 10, is_connected, None, now), expected, "second {second}");
        }
    }

    #[test]
    fn what_was_fetched_counts_once_all_was_taken_that_was_queued_when_it_was_told() {
        let begin = Instant::now();
        let at = |second| begin + Duration::from_secs(second);
        let mut known = KnownEnd::default();
        // Seconds, position, what was to be fetched next and when that was told; whether the end at 10 is reached.
        let steps = [
            (10, 7, Some((10, 9)), false),
            // Told before it stood there: it may be of another reading.
            (11, 7, Some((10, 9)), false),
            // A message may have come between.
            (13, 7, Some((10, 12)), false),
            (14, 8, Some((10, 12)), false),
            (15, 8, Some((9, 15)), false),
            (16, 8, Some((9, 15)), false),
            (17, 8, None, false),
            (18, 8, Some((10, 17)), true),
        ];
        for (second, position, fetched, expected) in steps {
            let fetched = fetched.map(|(next, told_at)| (next, at(told_at)));
            assert_eq!(known.judge(position, 10, true, fetched, at(second)), Ok(expected), "second {second}");
        }
    }
}
