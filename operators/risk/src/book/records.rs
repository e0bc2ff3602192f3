//! What a book takes, what it answers, and what can be wrong with its numbers.

use crate::positions::{CostMethod, OutOfRange};
use crate::valuation::{Mark, MarkSource, NoRate};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{CashMovement, Fill, FillChange, FundingPayment, Instrument, InstrumentReference};

/// How a book reckons. All of it stays as it is for the life of a book, but for the marks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookConfig {
    /// What the numbers of an account are in.
    pub base_currency: Arc<str>,
    /// Accounts of another base currency.
    pub base_currencies: BTreeMap<Arc<str>, Arc<str>>,
    /// Currencies over which others are converted, in the order they are tried.
    pub hops: Vec<Arc<str>>,
    /// What cost leaves a position.
    pub cost_method: CostMethod,
    /// Which marks count.
    pub mark_source: MarkSource,
    /// A mark older than this, in event time, is stale.
    pub mark_stale_after_ns: i64,
    /// How far back a record may reach, whole minutes.
    pub horizon_ns: i64,
    /// When a day begins after midnight UTC.
    pub day_offset_ns: i64,
    /// The step of the bars that make scenarios, which is the horizon of value at risk.
    pub scenario_step_ns: i64,
    /// The most scenarios.
    pub scenarios: usize,
    /// The fewest scenarios of which a value at risk is given, two or more.
    pub scenarios_min: usize,
}

impl Default for BookConfig {
    fn default() -> Self {
        Self {
            base_currency: "USDT".into(),
            base_currencies: BTreeMap::new(),
            hops: vec!["USDT".into(), "USD".into(), "USDC".into(), "BTC".into()],
            cost_method: CostMethod::Average,
            mark_source: MarkSource::Trade,
            mark_stale_after_ns: 60_000_000_000,
            horizon_ns: 3_600_000_000_000,
            day_offset_ns: 0,
            scenario_step_ns: 3_600_000_000_000,
            scenarios: 500,
            scenarios_min: 100,
        }
    }
}

/// A record for the book. Within a tick references come first, the others in any order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BookEvent {
    /// What an instrument is. Sector and class can change; what its profit is made of cannot.
    Reference(InstrumentReference),
    /// An own trade.
    Fill(Fill),
    /// What became of one.
    FillChange {
        /// The fill's account.
        account: Arc<str>,
        /// The fill's instrument.
        instrument: Instrument,
        /// The fill's id.
        fill_id: Arc<str>,
        /// What became of it.
        change: FillChange,
        /// The fill's own time where the record tells it: then lateness is known without the fill.
        original_time_ns: Option<i64>,
        /// When it was changed, nanoseconds.
        event_time_ns: i64,
    },
    /// Money in or out.
    Cash(CashMovement),
    /// A funding payment.
    Funding(FundingPayment),
    /// A price.
    Mark {
        /// Of what.
        instrument: Instrument,
        /// What it is made of.
        source: MarkSource,
        /// The price.
        mark: Mark,
    },
    /// The mark that a minute has after all: a corrected or cancelled trade. None if it has none of its own.
    MinuteMark {
        /// Of what.
        instrument: Instrument,
        /// What it is made of.
        source: MarkSource,
        /// The end of the minute, nanoseconds.
        minute_end_ns: i64,
        /// What it is.
        mark: Option<Mark>,
    },
    /// The close of a final bar, or of a revision of it; none if the bar is no more.
    Close {
        /// Of what.
        instrument: Instrument,
        /// The opening time of the bar, nanoseconds.
        bar_time_ns: i64,
        /// Eight decimals, above zero.
        close_e8: Option<i64>,
    },
}

impl BookEvent {
    /// The instrument that it is of; none of money.
    pub const fn instrument(&self) -> Option<&Instrument> {
        match self {
            Self::Reference(reference) => Some(&reference.instrument),
            Self::Fill(fill) => Some(&fill.instrument),
            Self::Funding(payment) => Some(&payment.instrument),
            Self::FillChange { instrument, .. }
            | Self::Mark { instrument, .. }
            | Self::MinuteMark { instrument, .. }
            | Self::Close { instrument, .. } => Some(instrument),
            Self::Cash(_) => None,
        }
    }
}

/// What became of a record that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It counts.
    Applied,
    /// It came before, or something newer did.
    Duplicate,
    /// It is older than the correction horizon, or changes something that is.
    Late,
    /// It changes a fill that has not come.
    Waiting,
}

/// A change that waited for its fill until the horizon went past: the fill never came, or was forgotten before. It counts as late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredChange {
    /// The fill's account.
    pub account: Arc<str>,
    /// The fill's instrument.
    pub instrument: Instrument,
    /// The fill's id.
    pub fill_id: Arc<str>,
}

/// Why a record was refused. The book is as it was before, but that a fill, or a change of one, leaves a fault on its account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no reference data. A fill, and what became of it, waits until there is some, with a fault on its account.
    #[error("no reference data of instrument {0:?}")]
    UnknownInstrument(Instrument),
    /// Zero or below where a positive number is needed, or zero where a movement is.
    #[error("{0} is not positive")]
    NotPositive(&'static str),
    /// No text where a name is needed.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A number beyond its bounds, given or made.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// Another record has the same identity.
    #[error("another {0} has the same identity")]
    Conflict(&'static str),
    /// A correction of another account, instrument or id than it says.
    #[error("the correction is of another fill")]
    OtherFill,
    /// A reference that would change what profit is made of.
    #[error("contract or currencies of instrument {0:?} cannot change")]
    ReferenceInUse(Instrument),
    /// A time that is not on its grid.
    #[error("{0} is not aligned")]
    Misaligned(&'static str),
    /// More accounts than a book has room for.
    #[error("too many accounts")]
    TooManyAccounts,
    /// More positions than a book can sum.
    #[error("too many positions")]
    TooManyPositions,
}

/// Why numbers of an account must not be trusted. Whoever limits by them treats a fault as a breach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BookFault {
    /// Something is held that has no mark, or whose worth at its mark is out of range, so that neither equity nor exposure is known.
    Unmarked(Instrument),
    /// Something is held whose mark is too old; numbers are by that mark.
    StaleMark(Instrument),
    /// Money in a currency of which no rate is known.
    NoRate {
        /// The money's currency.
        from: Arc<str>,
        /// The account's currency.
        to: Arc<str>,
    },
    /// A rate through a mark that is too old; numbers are by that mark.
    StaleRate(Instrument),
    /// Too few scenarios in which all that is held has a return.
    Scenarios {
        /// So many there are.
        have: usize,
        /// So many are needed.
        need: usize,
    },
    /// Fills of an instrument do not count: they wait for its reference data, or could not be taken. Or a funding payment did not fit.
    /// Something else is held than is known.
    RefusedFills(Instrument),
    /// A movement of cash was not taken: more or less is there than is known.
    RefusedCash,
    /// Equity is not above zero, so that no ratio is of any meaning.
    NoEquity,
    /// A number did not fit.
    OutOfRange,
}

impl From<NoRate> for BookFault {
    fn from(NoRate { from, to }: NoRate) -> Self {
        Self::NoRate { from, to }
    }
}
