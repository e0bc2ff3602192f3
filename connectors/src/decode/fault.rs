//! Why a record could not be decoded, and which reject that makes.

use super::json::JsonError;
use super::time::TimeError;
use tidewheel_schemas::{DecimalError, InstrumentError, RejectReason, TradeIdError};

/// What is wrong with a message or with one record in it. Its text becomes the detail of the reject.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Fault {
    #[error("message is empty")]
    Empty,
    #[error("not UTF-8 at byte {0}")]
    Utf8(usize),
    #[error("{0}")]
    Json(#[from] JsonError),
    #[error("unknown message shape: no {0} message looks like this")]
    Shape(&'static str),
    #[error("{0}: missing, expected in \"{1}\"")]
    Missing(&'static str, &'static str),
    #[error("{0}: written twice")]
    Repeated(&'static str),
    #[error("{name}: {found} where {needed} is needed")]
    Type { name: &'static str, found: &'static str, needed: &'static str },
    #[error("{0}: {1}")]
    Value(&'static str, &'static str),
    #[error("{0}: {1}")]
    Decimal(&'static str, DecimalError),
    #[error("{0}: {1}")]
    Time(&'static str, TimeError),
    #[error("event_time: the message has none, and its source does not tell when it was received")]
    NoTime,
    #[error("{0}")]
    Instrument(#[from] InstrumentError),
    #[error("{0}")]
    TradeId(#[from] TradeIdError),
    #[error("trade_id: {0}")]
    TradeIdForm(&'static str),
    #[error("{0}")]
    Csv(String),
    #[error("row of {found} columns, expected {expected}")]
    CsvWidth { found: usize, expected: usize },
    #[error("{0}")]
    CsvQuotes(&'static str),
    #[error("Parquet rows do not come as messages: read the file as a file")]
    ParquetMessage,
}

impl Fault {
    /// The reason under which the reject is filed.
    pub(super) const fn reason(&self) -> RejectReason {
        match self {
            Self::Empty | Self::Utf8(_) | Self::Json(_) | Self::Shape(_) => RejectReason::Malformed,
            Self::CsvWidth { .. } | Self::CsvQuotes(_) | Self::ParquetMessage => RejectReason::Malformed,
            Self::Missing(..) | Self::Repeated(_) | Self::Type { .. } | Self::Value(..) | Self::Csv(_) => {
                RejectReason::Field
            }
            Self::Decimal(..) => RejectReason::Number,
            Self::Time(..) | Self::NoTime => RejectReason::Time,
            Self::Instrument(_) => RejectReason::Instrument,
            Self::TradeId(_) | Self::TradeIdForm(_) => RejectReason::TradeId,
        }
    }
}
