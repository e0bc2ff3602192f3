//! Rows of features: what a view says of an instrument when one of its bars has closed.

use crate::Instrument;
use serde::{Deserialize, Serialize};

/// One version of a row of a view.
///
/// A row's identity is the view, the instrument and `open_time_ns`; revisions of it count up from 0, as those of a bar do.
/// Two rows are equal where all their bits are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FeatureRow {
    /// The view's place, from 0, among the views of the configuration.
    pub view: u16,
    /// What was traded.
    pub instrument: Instrument,
    /// Start of the base bar, inclusive, nanoseconds since the epoch.
    pub open_time_ns: i64,
    /// End of the base bar, exclusive: the row's event time, at which all its inputs had closed.
    pub close_time_ns: i64,
    /// The tick that published this version, milliseconds since the epoch: when the program knew it.
    pub tick: u64,
    /// 0, then one more with each version of the row.
    pub revision: u32,
    /// Whether no column waits for more bars. A column can still be null, where its formula has no value.
    pub is_ready: bool,
    /// The share of columns that are null, 0 to 1.
    pub null_share: f64,
    /// The share of columns whose bars are so many that where history began no longer shows (a weight below 1 %), 0 to 1.
    pub warm_share: f64,
    /// How far the joined bars are behind, nanoseconds, the most of all: how long before the newest possible bar each closed, and
    /// for how long before it nothing was told of the quotes, books and marks that the columns look at. 0 where nothing is missing.
    pub staleness_ns: i64,
    /// Open time of the instrument's first base bar: where averages, sums and recursions began.
    pub anchor_time_ns: i64,
    /// By the columns of the view; a column without a value is none, never zero or NaN. No values at all say that the base
    /// bar lost all its trades: a tombstone.
    pub values: Option<Box<[Option<f64>]>>,
}

impl FeatureRow {
    /// Whether another version says the same, bit by bit: all but tick and revision.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let bits = |row: &Self| {
            let shares = (row.null_share.to_bits(), row.warm_share.to_bits());
            (row.is_ready, shares, row.staleness_ns, row.anchor_time_ns)
        };
        let values = |row: &Self| row.values.as_ref().map(|values| values.len());
        let all = |row: &Self| row.values.clone().into_iter().flatten().map(|value| value.map(f64::to_bits));
        (self.view, &self.instrument, self.open_time_ns, self.close_time_ns)
            == (other.view, &other.instrument, other.open_time_ns, other.close_time_ns)
            && bits(self) == bits(other)
            && values(self) == values(other)
            && all(self).eq(all(other))
    }
}

impl PartialEq for FeatureRow {
    fn eq(&self, other: &Self) -> bool {
        (self.tick, self.revision) == (other.tick, other.revision) && self.says_the_same(other)
    }
}

impl Eq for FeatureRow {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_equal_by_bits() {
        let row = |value: Option<f64>| FeatureRow {
            view: 0,
            instrument: Instrument::new("binance", "BTCUSDT").expect("a name"),
            open_time_ns: 0,
            close_time_ns: 60,
            tick: 1,
            revision: 0,
            is_ready: true,
            null_share: 0.0,
            warm_share: 1.0,
            staleness_ns: 0,
            anchor_time_ns: 0,
            values: Some(Box::new([value])),
        };
        assert_eq!(row(Some(0.1)), row(Some(0.1)));
        assert_ne!(row(Some(0.0)), row(Some(-0.0)));
        assert_ne!(row(Some(0.1)), row(Some(0.1f64.next_up())));
        assert_ne!(row(Some(0.1)), row(None));
        assert_ne!(row(None), FeatureRow { values: None, ..row(None) });
        let later = FeatureRow { tick: 2, revision: 1, ..row(None) };
        assert!(later != row(None) && later.says_the_same(&row(None)));
    }
}
