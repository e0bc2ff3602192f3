//! How long commits took, as histograms: the tail matters, and an average hides it.

use prometheus::{Histogram, HistogramOpts};

/// Histograms of durations, seconds. Recorded once a commit.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// From the first record of a tick handed to the Kafka client to the broker's answer to the commit.
    pub kafka_transaction: Histogram,
    /// A commit to the lake, from encoding to the last file in its place.
    pub lake_commit: Histogram,
}

/// Upper bounds of the buckets, seconds: fine where a good commit lies, up to the longest that anyone waits for.
const KAFKA_BUCKETS: [f64; 13] = [0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
const LAKE_BUCKETS: [f64; 12] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

impl Default for Latencies {
    fn default() -> Self {
        Self {
            kafka_transaction: histogram("kafka_transaction", &KAFKA_BUCKETS),
            lake_commit: histogram("lake_commit", &LAKE_BUCKETS),
        }
    }
}

/// The name and help given here are replaced by those of the table of metrics.
fn histogram(name: &str, buckets: &[f64]) -> Histogram {
    let options = HistogramOpts::new(name, name).buckets(buckets.to_vec());
    Histogram::with_opts(options).expect("the names are valid and the bounds ascend")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_one_is_empty() {
        let latencies = Latencies::default();
        latencies.lake_commit.observe(0.3);
        assert_eq!(latencies.kafka_transaction.get_sample_count(), 0);
        assert_eq!(latencies.lake_commit.get_sample_count(), 1);
    }
}
