//! Why an order is not approved as it is: always a name that can be counted.

use crate::breakers::Fault;
use crate::levels::Level;
use serde::{Deserialize, Serialize};

/// Which limit. See [`Limits`](crate::policy::Limits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// Exposure in the instrument over equity.
    SinglePosition,
    /// Exposure in its sector over equity.
    Sector,
    /// Exposure in its asset class over equity.
    AssetClass,
    /// Exposure in all over equity.
    Gross,
    /// The strategy's exposure over equity.
    StrategyGross,
    /// Exposure at the venue over margin equity there.
    Leverage,
    /// Exposure in the instrument in the account's currency.
    PositionValue,
    /// How many positions there are.
    ConcurrentPositions,
    /// What the order loses if it is stopped over equity.
    RiskPerTrade,
    /// Loss from the peak over the peak.
    Drawdown,
    /// Loss of the day over the equity it began with.
    DailyLoss,
}

/// How much of a limit would be used: both sides in the account's currency with sixteen decimals, or positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitUse {
    /// Which.
    pub limit: LimitKind,
    /// What there would be.
    pub value: i128,
    /// What there may be.
    pub allowed: i128,
}

impl LimitUse {
    /// Whether there would be more than there may be.
    pub const fn is_passed(&self) -> bool {
        self.value > self.allowed
    }
}

/// What spoke against an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A field cannot be.
    #[error("{0} cannot be")]
    Invalid(String),
    /// It was made too long ago to know whether it came before.
    #[error("{age_ns} ns old")]
    TooOld {
        /// Its age, nanoseconds.
        age_ns: i64,
    },
    /// It was made at a time that has not come.
    #[error("{ahead_ns} ns ahead of the tick")]
    FromTheFuture {
        /// How far ahead, nanoseconds.
        ahead_ns: i64,
    },
    /// Its own expiry has passed.
    #[error("expired before it was judged")]
    Expired,
    /// The policy does not let it be traded; what is held may be closed.
    #[error("not in the universe")]
    OutsideUniverse,
    /// The instrument has no reference data, no fresh mark, or nothing to convert with.
    #[error("no market: {0}")]
    NoMarket(Fault),
    /// The account's money or exposure cannot be told.
    #[error("no book: {0}")]
    NoBook(Fault),
    /// An open order of the account is in an instrument that cannot be valued.
    #[error("open orders cannot be valued: {0}")]
    OpenOrders(Fault),
    /// The account has as many open orders as it may. It may still reduce.
    #[error("{0} orders are open")]
    TooManyOrders(u32),
    /// The level forbids it, or all of it that does not reduce.
    #[error("level {level}")]
    Level {
        /// The greatest level that it lies under.
        level: Level,
        /// The trips that are latched at the scopes it lies under.
        trips: Vec<String>,
    },
    /// It says that it only reduces, and is larger than what there is to reduce.
    #[error("more than there is to reduce")]
    ReduceOnly,
    /// Its price is too far from the mark, to its own harm.
    #[error("priced too far from the mark")]
    PriceBand,
    /// Its stop is where it would win.
    #[error("the stop is on the wrong side of the price")]
    StopSide,
    /// It would pass a limit.
    #[error("limit {:?}", .0.limit)]
    Limit(LimitUse),
    /// What is left of it is not worth ordering.
    #[error("less than the minimum value would be left")]
    BelowMinimum,
    /// A product or sum does not fit.
    #[error("out of range")]
    OutOfRange,
}
