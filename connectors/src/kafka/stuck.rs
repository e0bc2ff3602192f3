//! Partitions that readers of committed records cannot read to their end, for the error that names them.

use std::fmt::{self, Display, Formatter};

/// A partition with a transaction that nobody ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Where readers of committed records stop: where that transaction begins.
    pub readable: u64,
    /// Where the partition ends.
    pub end: u64,
}

/// Some of them. Shown as the commands that end the transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StuckPartitions(pub Vec<Stuck>);

impl Display for StuckPartitions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|Stuck { topic, partition, readable, end }| {
            write!(
                f,
                "\n  kafka-transactions.sh --bootstrap-server ... abort --topic {topic} --partition {partition} --start-offset \
                 {readable}    (it ends at {end})"
            )
        })
    }
}
