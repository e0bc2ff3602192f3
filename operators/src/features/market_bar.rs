//! What features see of a market beside its trades: floats, made of a leaf's exact integers at the last moment.

use crate::market::{BookClose, BookState, DEPTHS, MarketLeaf, Touch};
use serde::{Deserialize, Serialize};

/// The market over a bar and at its close. A number that is not known is NaN, never zero.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct MarketBar {
    /// Best bid: of the bar's last quote, else of the book where that is valid, else of the last quote before.
    pub bid: f64,
    /// Best ask, likewise.
    pub ask: f64,
    /// Quantity at the best bid.
    pub bid_quantity: f64,
    /// Quantity at the best ask.
    pub ask_quantity: f64,
    /// How old these are at the close, seconds.
    pub touch_age_seconds: f64,
    /// Quotes in the bar; NaN before the first of all.
    pub quotes: f64,
    /// Order flow imbalance over the bar, base: of its quotes, else of its book, else zero once there has been either. NaN where
    /// it is the book's and that was not known all through the bar, or is not valid at the close.
    pub order_flow: f64,
    /// Mean quantity of a side at the touches that it was summed over, base.
    pub touch_depth: f64,
    /// 1 where the book can be used at the close, 0 where not, NaN before the first update of all.
    pub book_valid: f64,
    /// Quantities of the best bids of the book at the close, by [`DEPTHS`]; NaN beyond the levels that are known.
    pub bid_depth: [f64; DEPTHS.len()],
    /// Quantities of the best asks, likewise.
    pub ask_depth: [f64; DEPTHS.len()],
    /// Last mark price.
    pub mark: f64,
    /// Last index price.
    pub index: f64,
    /// Last estimate of the funding rate, a ratio.
    pub funding_rate: f64,
    /// Minutes from the close to the next payment, where that is told and lies ahead.
    pub minutes_to_funding: f64,
    /// Last rate settled, a ratio.
    pub settled_rate: f64,
    /// Base bought by liquidations that the venue told of; NaN before the first of all.
    pub liquidated_bought: f64,
    /// Base sold, likewise.
    pub liquidated_sold: f64,
    /// How old what stands at the close is.
    pub ages: MarketAges,
}

/// How old what is known of a market is at a close, nanoseconds of event time; none where nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketAges {
    /// Of the last touch, of quotes or of the book.
    pub touch_ns: Option<i64>,
    /// Of the last update of the book.
    pub book_ns: Option<i64>,
    /// Of the last mark.
    pub mark_ns: Option<i64>,
}

impl MarketAges {
    fn of(leaf: &MarketLeaf, touch: Option<Touch>, close_time_ns: i64) -> Self {
        let age = |time_ns: i64| close_time_ns - time_ns;
        Self {
            touch_ns: touch.map(|touch| age(touch.time_ns)),
            book_ns: leaf.book.map(|book| age(book.touches.last.time_ns)),
            mark_ns: leaf.mark.time_ns.map(age),
        }
    }
}

const E8: f64 = 1e8;

impl MarketBar {
    /// The market of a bar that closes at a time: of what was known before it, with no flows, and the leaves of its minutes.
    pub fn of(leaf: &MarketLeaf, close_time_ns: i64) -> Self {
        let touch = touch_of(leaf);
        let price = |price_e8: Option<i64>| price_e8.map_or(f64::NAN, |price_e8| price_e8 as f64 / E8);
        let (bid, ask) = (touch.and_then(|touch| touch.bid), touch.and_then(|touch| touch.ask));
        let (order_flow, touch_depth) = order_flow_of(leaf);
        let valid = leaf.book.filter(|book| book.close.state == BookState::Valid);
        let known = valid.map_or(0, |book| book.close.depth.map_or(usize::MAX, |depth| depth as usize));
        let depth = |of: fn(&BookClose) -> [i128; DEPTHS.len()]| {
            let sums = valid.map_or([0; DEPTHS.len()], |book| of(&book.close));
            std::array::from_fn(|at| if DEPTHS[at] <= known { sums[at] as f64 / E8 } else { f64::NAN })
        };
        let mark = &leaf.mark.mark;
        let to_funding_ns = mark.next_funding_time_ns.map(|next_ns| next_ns - close_time_ns).filter(|ns| *ns >= 0);
        let liquidated = |of: fn(&crate::market::LiquidationFlow) -> i128| {
            leaf.liquidations.as_ref().map_or(f64::NAN, |flow| of(flow) as f64 / E8)
        };
        Self {
            bid: price(bid.map(|level| level.price_e8)),
            ask: price(ask.map(|level| level.price_e8)),
            bid_quantity: price(bid.map(|level| level.quantity_e8)),
            ask_quantity: price(ask.map(|level| level.quantity_e8)),
            touch_age_seconds: touch.map_or(f64::NAN, |touch| (close_time_ns - touch.time_ns) as f64 / 1e9),
            quotes: leaf.quotes.map_or(f64::NAN, |quotes| quotes.count as f64),
            order_flow,
            touch_depth,
            book_valid: leaf.book.map_or(f64::NAN, |_| f64::from(u8::from(valid.is_some()))),
            bid_depth: depth(|close| close.bid_depth_e8),
            ask_depth: depth(|close| close.ask_depth_e8),
            mark: price(mark.mark_price_e8),
            index: price(mark.index_price_e8),
            funding_rate: price(mark.funding_rate_e8),
            minutes_to_funding: to_funding_ns.map_or(f64::NAN, |ns| ns as f64 / 6e10),
            settled_rate: price(leaf.settled_rate_e8),
            liquidated_bought: liquidated(|flow| flow.bought_e8),
            liquidated_sold: liquidated(|flow| flow.sold_e8),
            ages: MarketAges::of(leaf, touch, close_time_ns),
        }
    }

    /// Whether all bits are those of another; a NaN is a NaN.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_same = |(one, other): (f64, f64)| one.to_bits() == other.to_bits() || (one.is_nan() && other.is_nan());
        self.ages == other.ages && self.numbers().zip(other.numbers()).all(is_same)
    }

    fn numbers(&self) -> impl Iterator<Item = f64> {
        let touch = [self.bid, self.ask, self.bid_quantity, self.ask_quantity, self.touch_age_seconds, self.quotes];
        let flows = [self.order_flow, self.touch_depth, self.book_valid, self.liquidated_bought, self.liquidated_sold];
        let marks = [self.mark, self.index, self.funding_rate, self.minutes_to_funding, self.settled_rate];
        touch.into_iter().chain(flows).chain(marks).chain(self.bid_depth).chain(self.ask_depth)
    }
}

impl PartialEq for MarketBar {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

fn touch_of(leaf: &MarketLeaf) -> Option<Touch> {
    let told = leaf.quotes.filter(|quotes| quotes.count > 0);
    let of_book = leaf.book.filter(|book| book.close.state == BookState::Valid).map(|book| book.touches.last);
    told.map(|quotes| quotes.last).or(of_book).or(leaf.quotes.map(|quotes| quotes.last))
}

/// The imbalance over the bar, and the mean quantity of a side.
fn order_flow_of(leaf: &MarketLeaf) -> (f64, f64) {
    let of_book = leaf.book.filter(|book| book.touches.count > 0);
    let touches = match (leaf.quotes.filter(|quotes| quotes.count > 0), of_book) {
        (Some(quotes), _) => quotes,
        (None, Some(book)) if book.is_whole && book.close.state == BookState::Valid => book.touches,
        (None, Some(_)) => return (f64::NAN, f64::NAN),
        // Nothing moved in the bar, as far as is told.
        (None, None) if leaf.quotes.is_some() || leaf.book.is_some_and(|book| book.is_whole) => {
            return (0.0, f64::NAN);
        }
        (None, None) => return (f64::NAN, f64::NAN),
    };
    let depth = touches.depth_e8 as f64 / (2.0 * touches.two_sided as f64) / E8;
    (touches.order_flow_e8 as f64 / E8, depth)
}
