//! Volume-synchronised probability of informed trading, over buckets made of bars.

use crate::features::{Family, FeatureBar, Scope};

/// The mean imbalance of buckets of equal volume.
pub const VPIN: Family = Family {
    unit: "0 to 1",
    inputs: "volume, taker buy volume",
    formula: "mean of |bought - sold| / V over 50 buckets of equal volume V, which together are the last 200 bars; a bar on the \
              edge of buckets is split by volume, its sides in proportion; sides are those of the trades, not estimated",
    source: "Easley, Lopez de Prado and O'Hara 2012, buckets out of bars",
    scope: Scope::Bars,
};

/// Bars that the buckets are made of.
pub const BARS: usize = 200;

const BUCKETS: usize = 50;

/// Over the bars.
pub fn vpin(bars: &[FeatureBar]) -> f64 {
    let total: f64 = bars.iter().map(|bar| bar.volume).sum();
    let size = total / BUCKETS as f64;
    let (mut filled, mut signed, mut imbalance) = (0.0, 0.0, 0.0);
    let mut full = 0;
    for bar in bars {
        let per_volume = bar.signed_volume / bar.volume;
        let mut left = bar.volume;
        // The last bucket takes what rounding leaves over.
        while full < BUCKETS - 1 && filled + left >= size {
            let part = size - filled;
            imbalance += f64::abs(signed + part * per_volume);
            (filled, signed) = (0.0, 0.0);
            left -= part;
            full += 1;
        }
        filled += left;
        signed += left * per_volume;
    }
    (imbalance + f64::abs(signed)) / total
}
