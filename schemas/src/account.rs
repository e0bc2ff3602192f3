//! What an account does: fills, money in and out, order intents; and what its instruments are.
//!
//! Amounts of money are in units of their currency with sixteen decimals (`_e16`), so that price times quantity is exact.

use crate::{AggressorSide, Instrument};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Whose position: an account, and a strategy in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The account.
    pub account: Arc<str>,
    /// The strategy.
    pub strategy: Arc<str>,
}

/// Which way an order goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// More of it.
    Buy,
    /// Less of it.
    Sell,
}

impl Side {
    /// 1 for a purchase, -1 for a sale.
    pub const fn sign(self) -> i64 {
        match self {
            Self::Buy => 1,
            Self::Sell => -1,
        }
    }

    /// As written in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buy => "buy",
            Self::Sell => "sell",
        }
    }
}

impl From<Side> for AggressorSide {
    fn from(side: Side) -> Self {
        match side {
            Side::Buy => Self::Buy,
            Side::Sell => Self::Sell,
        }
    }
}

/// An own trade.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fill {
    /// Whose.
    pub holder: Holder,
    /// Of what.
    pub instrument: Instrument,
    /// Its identity within account and instrument. Orders fills of one time.
    pub fill_id: Arc<str>,
    /// The intent that it fills, where it came of one.
    pub intent_id: Option<Arc<str>>,
    /// Which way.
    pub side: Side,
    /// In the base asset or contracts, eight decimals, above zero.
    pub quantity_e8: i64,
    /// In the quote asset, eight decimals, above zero.
    pub price_e8: i64,
    /// What was paid for it, eight decimals; negative for a rebate.
    pub fee_e8: i64,
    /// What the fee was paid in.
    pub fee_currency: Arc<str>,
    /// The venue's time, nanoseconds.
    pub event_time_ns: i64,
}

/// What becomes of a fill afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FillChange {
    /// It never was.
    Cancel,
    /// It was otherwise: a whole fill of the same account, instrument and id. Of several the greatest sequence wins.
    Correct {
        /// What it was.
        fill: Box<Fill>,
        /// Orders corrections of the same fill.
        sequence: i64,
    },
}

/// Money put into an account or taken out of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CashMovement {
    /// The account.
    pub account: Arc<str>,
    /// Its identity within the account.
    pub id: Arc<str>,
    /// In what.
    pub currency: Arc<str>,
    /// How much, eight decimals; negative for a withdrawal; not zero.
    pub amount_e8: i64,
    /// When, nanoseconds.
    pub event_time_ns: i64,
}

/// A funding payment of a perpetual contract: longs pay shorts where the rate is above zero. For every position of that time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FundingPayment {
    /// Of what. A venue makes at most one payment at a time.
    pub instrument: Instrument,
    /// Part of the notional value, twelve decimals.
    pub rate_e12: i64,
    /// The mark price it is reckoned with, eight decimals, above zero; none where the venue does not say, so that it is for marks to tell.
    pub mark_price_e8: Option<i64>,
    /// When it is paid, nanoseconds. A rate that is only announced is no payment.
    pub event_time_ns: i64,
}

/// An order that somebody wants to send, if it is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderIntent {
    /// Whose.
    pub holder: Holder,
    /// Of what.
    pub instrument: Instrument,
    /// Its identity within the account. One that comes twice gets the same answer.
    pub intent_id: Arc<str>,
    /// Which way.
    pub side: Side,
    /// In the base asset or contracts, eight decimals, above zero.
    pub quantity_e8: i64,
    /// The worst price it may be filled at; none for an order at the market.
    pub limit_price_e8: Option<i64>,
    /// Where it is given up, in case it does not go well: what is lost until there is the order's risk.
    pub stop_price_e8: Option<i64>,
    /// It may only make a position smaller.
    pub is_reduce_only: bool,
    /// When it is dropped if it is not filled, nanoseconds.
    pub expires_ns: Option<i64>,
    /// When it was made, nanoseconds.
    pub event_time_ns: i64,
}

/// Whether profit and loss come in the quote or in the base asset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContractKind {
    /// Quantity times the change of the price, in the quote asset. Spot too.
    #[default]
    Linear,
    /// Quantity times the change of one over the price, in the base asset.
    Inverse,
}

impl ContractKind {
    /// As written in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Inverse => "inverse",
        }
    }
}

/// What is known of an instrument beside its prices.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InstrumentReference {
    /// Which.
    pub instrument: Instrument,
    /// `crypto`, `fx` and the like.
    pub asset_class: Arc<str>,
    /// `layer1`, `defi` and the like.
    pub sector: Arc<str>,
    /// What is bought.
    pub base_currency: Arc<str>,
    /// What prices are in.
    pub quote_currency: Arc<str>,
    /// Linear or inverse.
    pub kind: ContractKind,
    /// What one contract stands for, eight decimals, above zero: units of the base asset where linear, of the quote asset where inverse.
    pub multiplier_e8: i64,
}

impl InstrumentReference {
    /// What profit and loss of it come in.
    pub const fn settlement_currency(&self) -> &Arc<str> {
        match self.kind {
            ContractKind::Linear => &self.quote_currency,
            ContractKind::Inverse => &self.base_currency,
        }
    }
}

/// What became of a fill, and of which.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FillAmendment {
    /// The fill's account.
    pub account: Arc<str>,
    /// The fill's instrument.
    pub instrument: Instrument,
    /// The fill's id.
    pub fill_id: Arc<str>,
    /// What became of it.
    pub change: FillChange,
    /// The fill's own time where the record tells it, nanoseconds: then lateness is known without the fill.
    pub original_time_ns: Option<i64>,
}

/// An order that its venue will not fill any more: it was cancelled, refused, or has expired there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderEnd {
    /// The account.
    pub account: Arc<str>,
    /// The intent that it came of.
    pub intent_id: Arc<str>,
}

/// What a record of an account says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AccountContent {
    /// What an instrument is.
    Reference(InstrumentReference),
    /// An own trade.
    Fill(Fill),
    /// A fill that was cancelled or corrected.
    FillAmendment(FillAmendment),
    /// Money in or out.
    Cash(CashMovement),
    /// An order that asks to be sent.
    Intent(OrderIntent),
    /// An order that will not be filled any more.
    OrderEnd(OrderEnd),
}

impl AccountContent {
    /// What it is, in a word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Reference(_) => "reference",
            Self::Fill(_) => "fill",
            Self::FillAmendment(_) => "fill_amendment",
            Self::Cash(_) => "cash",
            Self::Intent(_) => "order_intent",
            Self::OrderEnd(_) => "order_end",
        }
    }
}

/// One record of an account, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRecord {
    /// When it happened by its own account, nanoseconds since the epoch, UTC: what the content says, where it says it. That of the
    /// receipt for records without a time. Of a changed fill, when it was changed.
    pub event_time_ns: i64,
    /// The source partition.
    pub partition: u32,
    /// Offset, line (from 1) or row (from 0) there.
    pub position: u64,
    /// Which of the message's records, from 0.
    pub index: u16,
    /// When it was received, where known, nanoseconds.
    pub receive_time_ns: Option<i64>,
    /// What it says.
    pub content: AccountContent,
}

impl AccountRecord {
    /// Partition, position, index: unlike for any two records of a run.
    pub const fn source(&self) -> (u32, u64, u16) {
        (self.partition, self.position, self.index)
    }
}
