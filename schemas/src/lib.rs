//! What a record is: trades, bars, amendments and rejects, their units, and how they fold.
//!
//! Nothing here knows a clock, a file, a socket or a thread. Prices and quantities are integers with eight decimals
//! (`_e8`), their products integers with sixteen (`_e16`), times are nanoseconds since the Unix epoch in UTC (`_ns`).

mod account;
mod bar;
mod chunk;
mod decimal;
mod feature;
mod instrument;
mod interval;
mod market;
mod outcome;
mod row;
mod trade;
mod trade_id;

pub use account::{
    AccountContent, AccountRecord, CashMovement, ContractKind, Fill, FillAmendment, FillChange, FundingPayment, Holder,
    InstrumentReference, OrderEnd, OrderIntent, Side,
};
pub use bar::{Bar, BarVersion, TradeKey};
pub use chunk::{AcceptedRows, TradeColumns};
pub use decimal::{
    DecimalError, NOTIONAL_LIMIT_E16, PRICE_LIMIT_E8, format_e8, format_e16, is_notional_in_range, parse_e8,
    parse_positive_e8,
};
pub use feature::FeatureRow;
pub use instrument::{Instrument, InstrumentError, InstrumentId};
pub use interval::{Interval, UnknownInterval};
pub use market::{BookUpdate, Funding, Level, Liquidation, Mark, MarketContent, MarketRecord, Quote};
pub use outcome::{Counters, LateRecord, OWN_LETTERS, Reject, RejectReason, TickOutput};
pub use row::{ColumnKind, ColumnSpec, Row, TableKind, TableSpec, Value};
pub use trade::{AggressorSide, Amendment, Change, Correction, Trade, TradeKind};
pub use trade_id::{TradeId, TradeIdError};

/// Nanoseconds in a second.
pub const SECOND_NS: i64 = 1_000_000_000;
