//! How long commits took, as histograms: the tail matters, and an average hides it.

use prometheus::core::Collector;
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

/// The value that a share of the recordings does not exceed, as far as the buckets tell: between two bounds it is taken to grow
/// evenly, and beyond the last bound it is that bound. None where nothing was recorded.
pub fn quantile(histogram: &Histogram, share: f64) -> Option<f64> {
    let families = histogram.collect();
    let recorded = families.first()?.get_metric().first()?.get_histogram();
    let rank = share * recorded.get_sample_count() as f64;
    let (mut lower, mut below) = (0.0, 0.0);
    for bucket in recorded.get_bucket() {
        let (upper, through) = (bucket.upper_bound(), bucket.cumulative_count() as f64);
        if through >= rank && through > below && upper.is_finite() {
            return Some(lower + (upper - lower) * (rank - below) / (through - below));
        }
        if upper.is_finite() {
            (lower, below) = (upper, through);
        }
    }
    (recorded.get_sample_count() > 0).then_some(lower)
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
        assert_eq!(quantile(&latencies.lake_commit, 0.99), None);
        latencies.lake_commit.observe(0.3);
        assert_eq!(latencies.kafka_transaction.get_sample_count(), 0);
        assert_eq!(latencies.lake_commit.get_sample_count(), 1);
    }

    #[test]
    fn quantiles_lie_in_the_bucket_of_their_rank() {
        let histogram = histogram("example", &[1.0, 2.0, 4.0]);
        (0..98).for_each(|_| histogram.observe(0.5));
        (0..2).for_each(|_| histogram.observe(3.0));
        assert_eq!(quantile(&histogram, 0.49), Some(0.5));
        assert_eq!(quantile(&histogram, 0.98), Some(1.0));
        assert_eq!(quantile(&histogram, 0.99), Some(3.0));
        (0..100).for_each(|_| histogram.observe(9.0));
        assert_eq!(quantile(&histogram, 0.99), Some(4.0), "beyond the last bound nothing is known");
    }
}
