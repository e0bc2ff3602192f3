//! The state of the source partitions of a live run, as the live loop sees it.

use crate::ticks::Ticker;
use tidewheel_connectors::kafka::source::KafkaSource;

/// One source partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Its name, `topic[3]`.
    pub name: String,
    /// The next offset to read.
    pub position: u64,
    /// One past its last offset, as the client last heard.
    pub end: u64,
    /// Whether everything the broker had was read.
    pub caught_up: bool,
    /// Whether it is caught up and brought nothing since the last look, about half a second ago. The watermark does not
    /// wait for such a one.
    pub idle: bool,
    /// Whether its broker can be reached.
    pub connected: bool,
    /// The greatest event time taken from it, nanoseconds; none before the first trade.
    pub watermark_ns: Option<i64>,
}

impl PartitionStatus {
    /// Offsets not yet read. Zero once caught up: what lies between are marks of transactions, not messages.
    pub const fn lag(&self) -> u64 {
        if self.caught_up { 0 } else { self.end.saturating_sub(self.position) }
    }
}

/// Calls those idle that are caught up and stand where they stood at the look before.
pub(super) fn mark_idle(now: &mut [PartitionStatus], before: &[PartitionStatus]) {
    // New partitions come at the end.
    for (partition, before) in now.iter_mut().zip(before) {
        partition.idle = partition.caught_up && before.name == partition.name && before.position == partition.position;
    }
}

/// All partitions of a source, by number. Asks no broker.
pub fn partitions(source: &KafkaSource, ticker: &Ticker) -> Vec<PartitionStatus> {
    let watermarks_ns = ticker.max_event_times_ns();
    let state = |(number, name): (u32, String)| PartitionStatus {
        name,
        position: source.position(number),
        end: source.end_offset(number),
        caught_up: source.caught_up(number),
        idle: false,
        connected: source.is_connected(number),
        watermark_ns: watermarks_ns.get(number as usize).copied().flatten(),
    };
    (0..).zip(source.partition_names()).map(state).collect()
}
