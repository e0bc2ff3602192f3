//! What the market of one minute says beside its trades, so that minutes can be put together.
//!
//! A [`MarketLeaf`] is made of the records of its minute alone, in exact integers. [`MarketLeaf::merge`] is associative: the
//! leaf of an hour is that of its minutes, and what was known when a minute began is the [`closing`](MarketLeaf::closing) of all
//! before it. So a late record changes one leaf, and nobody has to carry anything forward but those who read them.

use serde::{Deserialize, Serialize};
use tidewheel_schemas::{AggressorSide, Level, Liquidation, Mark};

/// The best prices at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touch {
    /// Since when, nanoseconds.
    pub time_ns: i64,
    /// Highest bid; none where that side is empty or not known.
    pub bid: Option<Level>,
    /// Lowest ask; likewise.
    pub ask: Option<Level>,
}

impl Touch {
    /// Bid and ask, where both are there and do not cross: the bid is below the ask.
    pub fn sides(&self) -> Option<(Level, Level)> {
        let (bid, ask) = (self.bid?, self.ask?);
        (bid.price_e8 < ask.price_e8).then_some((bid, ask))
    }

    /// What the step from the touch before adds to the order flow imbalance, base, eight decimals: Cont, Kukanov and Stoikov
    /// 2014, `e_n = [Pb >= Pb'] qb - [Pb <= Pb'] qb' - [Pa <= Pa'] qa + [Pa >= Pa'] qa'`. None where one of the two has no
    /// two sides.
    pub fn order_flow_e8(&self, before: &Self) -> Option<i128> {
        let ((bid, ask), (old_bid, old_ask)) = (self.sides()?, before.sides()?);
        let if_so = |is_so: bool, level: Level| if is_so { i128::from(level.quantity_e8) } else { 0 };
        Some(
            if_so(bid.price_e8 >= old_bid.price_e8, bid)
                - if_so(bid.price_e8 <= old_bid.price_e8, old_bid)
                - if_so(ask.price_e8 <= old_ask.price_e8, ask)
                + if_so(ask.price_e8 >= old_ask.price_e8, old_ask),
        )
    }
}

/// Touches in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TouchFlow {
    /// The first of them; the step to it is taken where flows are merged.
    pub first: Touch,
    /// The last of them.
    pub last: Touch,
    /// How many; none where this says only what was there at the beginning.
    pub count: u64,
    /// Order flow imbalance over the steps from touch to touch, base, eight decimals.
    pub order_flow_e8: i128,
    /// The quantities of both sides, over the touches that have both, eight decimals.
    pub depth_e8: i128,
    /// How many have both.
    pub two_sided: u64,
}

impl TouchFlow {
    /// One touch.
    pub fn of(touch: Touch) -> Self {
        let sides = touch.sides();
        Self {
            first: touch,
            last: touch,
            count: 1,
            order_flow_e8: 0,
            depth_e8: sides.map_or(0, |(bid, ask)| i128::from(bid.quantity_e8) + i128::from(ask.quantity_e8)),
            two_sided: u64::from(sides.is_some()),
        }
    }

    /// These touches, then those.
    #[must_use]
    pub fn merge(&self, later: &Self) -> Self {
        Self {
            first: self.first,
            last: later.last,
            count: self.count + later.count,
            order_flow_e8: self.order_flow_e8
                + later.first.order_flow_e8(&self.last).unwrap_or_default()
                + later.order_flow_e8,
            depth_e8: self.depth_e8 + later.depth_e8,
            two_sided: self.two_sided + later.two_sided,
        }
    }

    /// Only where they end.
    const fn closing(&self) -> Self {
        Self { first: self.last, last: self.last, count: 0, order_flow_e8: 0, depth_e8: 0, two_sided: 0 }
    }
}

/// What can be said of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BookState {
    /// No snapshot has come.
    Unknown,
    /// Whole, with two sides that do not cross.
    Valid,
    /// A change is missing, and no snapshot has come since.
    Gap,
    /// Whole, but one side is empty.
    OneSided,
    /// Whole, but the best bid is not below the best ask.
    Crossed,
}

/// The numbers of levels that depth is summed over.
pub const DEPTHS: [usize; 4] = [1, 5, 10, 20];

/// A book at the end of a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookClose {
    /// Whether it can be used.
    pub state: BookState,
    /// How many levels a side of it are known; none for all.
    pub depth: Option<u32>,
    /// Quantities of the best levels of the bids, as many as [`DEPTHS`] says or there are; eight decimals.
    pub bid_depth_e8: [i128; DEPTHS.len()],
    /// Likewise of the asks.
    pub ask_depth_e8: [i128; DEPTHS.len()],
}

/// A book over a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookFlow {
    /// The best prices after each update; without sides where the book is not whole.
    pub touches: TouchFlow,
    /// Whether it was known from before its first touch to its last: no flow over a gap is the flow of the minute.
    pub is_whole: bool,
    /// Where it ended.
    pub close: BookClose,
}

impl BookFlow {
    const fn is_known(&self) -> bool {
        !matches!(self.close.state, BookState::Unknown | BookState::Gap)
    }

    fn merge(&self, later: &Self) -> Self {
        let is_whole = self.is_whole && later.is_whole;
        Self { touches: self.touches.merge(&later.touches), is_whole, ..*later }
    }

    /// Only where it ends: nothing is missing of a flow that has not begun, if the book is known.
    const fn closing(&self) -> Self {
        Self { touches: self.touches.closing(), is_whole: self.is_known(), close: self.close }
    }
}

/// The newest of what marks said, each by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastMark {
    /// As the last mark that had them said.
    pub mark: Mark,
    /// When the last mark came, event time, nanoseconds.
    pub time_ns: Option<i64>,
}

impl LastMark {
    /// Takes the next mark.
    pub fn push(&mut self, time_ns: i64, mark: &Mark) {
        *self = self.merge(&Self { mark: *mark, time_ns: Some(time_ns) });
    }

    fn merge(&self, later: &Self) -> Self {
        let (old, new) = (&self.mark, &later.mark);
        Self {
            mark: Mark {
                mark_price_e8: new.mark_price_e8.or(old.mark_price_e8),
                index_price_e8: new.index_price_e8.or(old.index_price_e8),
                funding_rate_e8: new.funding_rate_e8.or(old.funding_rate_e8),
                next_funding_time_ns: new.next_funding_time_ns.or(old.next_funding_time_ns),
            },
            time_ns: later.time_ns.or(self.time_ns),
        }
    }
}

/// Liquidations, summed. Lower bounds: venues tell of some only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiquidationFlow {
    /// Base bought to close shorts, eight decimals.
    pub bought_e8: i128,
    /// Base sold to close longs, eight decimals.
    pub sold_e8: i128,
    /// Price times quantity of the bought, sixteen decimals.
    pub bought_quote_e16: i128,
    /// Price times quantity of the sold, sixteen decimals.
    pub sold_quote_e16: i128,
    /// How many; none where this says only that there have been some.
    pub count: u64,
}

impl LiquidationFlow {
    /// Takes another. One of unknown side counts to neither sum.
    pub fn push(&mut self, liquidation: &Liquidation) {
        let quote_e16 = i128::from(liquidation.price_e8) * i128::from(liquidation.quantity_e8);
        self.count += 1;
        let (base, quote) = match liquidation.side {
            AggressorSide::Buy => (&mut self.bought_e8, &mut self.bought_quote_e16),
            AggressorSide::Sell => (&mut self.sold_e8, &mut self.sold_quote_e16),
            AggressorSide::Unknown => return,
        };
        *base += i128::from(liquidation.quantity_e8);
        *quote += quote_e16;
    }

    const fn merge(&self, later: &Self) -> Self {
        Self {
            bought_e8: self.bought_e8 + later.bought_e8,
            sold_e8: self.sold_e8 + later.sold_e8,
            bought_quote_e16: self.bought_quote_e16 + later.bought_quote_e16,
            sold_quote_e16: self.sold_quote_e16 + later.sold_quote_e16,
            count: self.count + later.count,
        }
    }
}

/// What the records of a minute, or of minutes side by side, say. A part is none where its stream had no record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketLeaf {
    /// Best quotes, as they were told by themselves.
    pub quotes: Option<TouchFlow>,
    /// The book.
    pub book: Option<BookFlow>,
    /// Marks and running funding.
    pub mark: LastMark,
    /// The last funding that was settled: a ratio, eight decimals.
    pub settled_rate_e8: Option<i64>,
    /// Liquidations.
    pub liquidations: Option<LiquidationFlow>,
}

impl MarketLeaf {
    /// What this leaf and the one after it say together.
    #[must_use]
    pub fn merge(&self, later: &Self) -> Self {
        Self {
            quotes: merge(self.quotes, later.quotes, |old, new| old.merge(&new)),
            book: merge(self.book, later.book, |old, new| old.merge(&new)),
            mark: self.mark.merge(&later.mark),
            settled_rate_e8: later.settled_rate_e8.or(self.settled_rate_e8),
            liquidations: merge(self.liquidations, later.liquidations, |old, new| old.merge(&new)),
        }
    }

    /// What is still known when it is over: where prices, book and marks stood, and which streams there are, but no flows.
    #[must_use]
    pub fn closing(&self) -> Self {
        Self {
            quotes: self.quotes.map(|quotes| quotes.closing()),
            book: self.book.map(|book| book.closing()),
            liquidations: self.liquidations.map(|_| LiquidationFlow::default()),
            ..*self
        }
    }
}

fn merge<T>(old: Option<T>, new: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (old, new) {
        (Some(old), Some(new)) => Some(both(old, new)),
        (old, new) => new.or(old),
    }
}
