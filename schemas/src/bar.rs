//! Bars, and how trades fold into them in any order.

use crate::{AggressorSide, Instrument, Interval, Trade, TradeId};
use serde::{Deserialize, Serialize};

/// The total order of trades inside an instrument: by trade time, then by id. Never by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TradeKey {
    /// The venue's trade time.
    pub event_time_ns: i64,
    /// The trade's id; numbers compare as numbers.
    pub id: TradeId,
}

/// What the trades of an interval amount to. Folding is commutative and associative: no order needs defending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bar {
    /// Base volume, eight decimals.
    pub volume_e8: i128,
    /// Sum of price times quantity, sixteen decimals.
    pub quote_volume_e16: i128,
    /// The part of `volume_e8` in which the taker bought.
    pub taker_buy_volume_e8: i128,
    /// The part of `quote_volume_e16` in which the taker bought.
    pub taker_buy_quote_volume_e16: i128,
    /// The key of the trade that opened the bar.
    pub first: TradeKey,
    /// The key of the trade that closed it.
    pub last: TradeKey,
    /// Price of the trade with the least key, eight decimals.
    pub open_e8: i64,
    /// Greatest price.
    pub high_e8: i64,
    /// Least price.
    pub low_e8: i64,
    /// Price of the trade with the greatest key.
    pub close_e8: i64,
    /// Number of fills.
    pub trade_count: u64,
}

impl Bar {
    /// The bar of one trade.
    #[inline]
    pub fn of(trade: &Trade) -> Self {
        let volume_e8 = i128::from(trade.quantity_e8);
        let quote_volume_e16 = i128::from(trade.price_e8) * i128::from(trade.quantity_e8);
        let taker_bought = trade.side == AggressorSide::Buy;
        Self {
            volume_e8,
            quote_volume_e16,
            taker_buy_volume_e8: if taker_bought { volume_e8 } else { 0 },
            taker_buy_quote_volume_e16: if taker_bought { quote_volume_e16 } else { 0 },
            first: trade.key(),
            last: trade.key(),
            open_e8: trade.price_e8,
            high_e8: trade.price_e8,
            low_e8: trade.price_e8,
            close_e8: trade.price_e8,
            trade_count: u64::from(trade.count),
        }
    }

    /// Adds one trade; the same as merging [`Bar::of`] it.
    #[inline]
    pub fn add(&mut self, trade: &Trade) {
        let quantity = i128::from(trade.quantity_e8);
        let quote = i128::from(trade.price_e8) * quantity;
        self.volume_e8 += quantity;
        self.quote_volume_e16 += quote;
        if trade.side == AggressorSide::Buy {
            self.taker_buy_volume_e8 += quantity;
            self.taker_buy_quote_volume_e16 += quote;
        }
        self.trade_count += u64::from(trade.count);
        self.high_e8 = self.high_e8.max(trade.price_e8);
        self.low_e8 = self.low_e8.min(trade.price_e8);
        let key = trade.key();
        if key < self.first {
            (self.first, self.open_e8) = (key, trade.price_e8);
        }
        if key > self.last {
            (self.last, self.close_e8) = (key, trade.price_e8);
        }
    }

    /// Adds the trades of another bar of the same instrument.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        self.volume_e8 += other.volume_e8;
        self.quote_volume_e16 += other.quote_volume_e16;
        self.taker_buy_volume_e8 += other.taker_buy_volume_e8;
        self.taker_buy_quote_volume_e16 += other.taker_buy_quote_volume_e16;
        self.trade_count += other.trade_count;
        self.high_e8 = self.high_e8.max(other.high_e8);
        self.low_e8 = self.low_e8.min(other.low_e8);
        if other.first < self.first {
            (self.first, self.open_e8) = (other.first, other.open_e8);
        }
        if other.last > self.last {
            (self.last, self.close_e8) = (other.last, other.close_e8);
        }
    }

    /// Folds bars into one; nothing from nothing.
    pub fn merge_all<'a>(bars: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut bars = bars.into_iter();
        let mut folded = *bars.next()?;
        bars.for_each(|bar| folded.merge(bar));
        Some(folded)
    }

    /// Volume-weighted average price: quote volume over volume, where volume is not zero. A float, hence never folded.
    pub fn vwap(&self) -> Option<f64> {
        (self.volume_e8 != 0).then(|| self.quote_volume_e16 as f64 / self.volume_e8 as f64 / 1e8)
    }
}

/// One published version of a bar.
///
/// Provisional versions and the final one have revision 0; each correction after that counts up. A version without a bar
/// says that all its trades were cancelled: a tombstone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BarVersion {
    /// What was traded.
    pub instrument: Instrument,
    /// The bar's length.
    pub interval: Interval,
    /// Its start, inclusive, nanoseconds since the epoch.
    pub open_time_ns: i64,
    /// The tick that published this version, milliseconds since the epoch.
    pub tick: u64,
    /// 0 until and including the first final version, then one more each.
    pub revision: u32,
    /// Whether the watermark had passed the bar's end plus the allowed lateness.
    pub is_final: bool,
    /// The values; none for a bar whose trades are all gone.
    pub bar: Option<Bar>,
}

impl BarVersion {
    /// Its end, exclusive.
    pub const fn close_time_ns(&self) -> i64 {
        self.open_time_ns + self.interval.duration_ns()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TradeKind;

    fn trade(time: i64, id: u64, price_e8: i64, quantity_e8: i64, side: AggressorSide) -> Trade {
        Trade {
            event_time_ns: time,
            id: TradeId::number(id),
            price_e8,
            quantity_e8,
            count: 1,
            side,
            kind: TradeKind::Market,
        }
    }

    #[test]
    fn every_order_and_grouping_gives_the_same_bar() {
        use AggressorSide::*;
        let trades = [
            trade(10, 9, 300, 1, Buy),
            trade(10, 10, 100, 2, Sell),
            trade(5, 11, 200, 3, Buy),
            trade(12, 1, 150, i64::MAX, Unknown),
        ];
        let bars = trades.each_ref().map(Bar::of);
        let expected = Bar::merge_all(&bars).expect("four bars");
        assert_eq!((expected.open_e8, expected.high_e8, expected.low_e8, expected.close_e8), (200, 300, 100, 150));
        for start in 0..4 {
            let mut folded = bars[start];
            (1..4).for_each(|step| folded.add(&trades[(start + step) % 4]));
            assert_eq!(folded, expected);
            let mut right = bars[(start + 2) % 4];
            right.merge(&bars[(start + 3) % 4]);
            let mut left = bars[start];
            left.merge(&bars[(start + 1) % 4]);
            left.merge(&right);
            assert_eq!(left, expected);
        }
    }
}
