//! Tidewheel's own JSON for what accounts do: fills and what becomes of them, cash, order intents and their ends, and what
//! instruments are.
//!
//! ```json
//! {"type":"instrument","venue":"binance","symbol":"BTCUSDT","asset_class":"crypto","sector":"layer1","base_currency":"BTC",
//!  "quote_currency":"USDT","contract":"linear","multiplier":"1"}
//! {"type":"cash","account":"main","cash_id":"d-1","currency":"USDT","amount":"100000","event_time":1723161255342000000}
//! {"type":"order_intent","account":"main","strategy":"trend","venue":"binance","symbol":"BTCUSDT","intent_id":"i-1","side":"buy",
//!  "quantity":"0.5","limit_price":"61900","stop_price":"60000","reduce_only":false,"expires":1723164855342000000,
//!  "event_time":1723161255342000000}
//! {"type":"fill","account":"main","strategy":"trend","venue":"binance","symbol":"BTCUSDT","fill_id":"f-1","intent_id":"i-1",
//!  "side":"buy","quantity":"0.5","price":"61837.63","fee":"12.37","fee_currency":"USDT","event_time":1723161255342000000}
//! {"type":"fill_correction","account":"main","strategy":"trend","venue":"binance","symbol":"BTCUSDT","fill_id":"f-1",
//!  "intent_id":"i-1","side":"buy","quantity":"0.4","price":"61837.63","event_time":1723161255342000000,"sequence":1}
//! {"type":"fill_cancel","account":"main","venue":"binance","symbol":"BTCUSDT","fill_id":"f-1"}
//! {"type":"order_end","account":"main","intent_id":"i-1"}
//! ```
//!
//! | type | must have | may have |
//! | --- | --- | --- |
//! | `fill` | `account`, `strategy`, `venue`, `symbol`, `fill_id`, `side`, `quantity`, `price`, `event_time` | `intent_id`, `fee`, `fee_currency` |
//! | `fill_correction` | as `fill`: the whole fill as it should have been | `sequence`, `original_event_time`, `changed_time` |
//! | `fill_cancel` | `account`, `venue`, `symbol`, `fill_id` | `event_time` of the fill, `changed_time` |
//! | `cash` | `account`, `cash_id`, `currency`, `amount`: below zero for a withdrawal, `event_time` | |
//! | `order_intent` | `account`, `strategy`, `venue`, `symbol`, `intent_id`, `side`, `quantity`, `event_time` | `limit_price`, `stop_price`, `reduce_only`, `expires` |
//! | `order_end` | `account`, `intent_id` | `event_time` |
//! | `instrument` | `venue`, `symbol`, `asset_class`, `sector`, `base_currency`, `quote_currency` | `contract`: `linear` or `inverse`; `multiplier`, 1 if absent; `event_time` |
//!
//! All may have `receive_time`; times are nanoseconds or RFC 3339. A fee's currency is never assumed: without one the fee must be
//! absent or zero, and is of the currency `none`. Names and ids are 1 to 64 visible ASCII characters but `"`, `\` and `|`, those of
//! accounts and strategies not `/` and `@` either; ids may be whole numbers. What an order asks for need not make sense: it is taken, and
//! refused by a decision. Other fields are passed over, as in trades. A record that tells no time of its own has that of its receipt; a
//! changed fill else that of the fill, and an instrument else 2009-01-01. [`render`] writes the same form, [`csv`] reads
//! instruments from tables.

pub(crate) mod bounds;
pub(super) mod csv;
pub(super) mod render;

use super::fault::Fault;
use super::field;
use super::json::{Kind as JsonKind, Object, Value};
use super::output::{DecodedAccount, Output};
use super::time;
use std::sync::Arc;
use tidewheel_schemas::{
    AccountContent, CashMovement, ContractKind, DecimalError, Fill, FillAmendment, FillChange, Holder, Instrument,
    InstrumentReference, OrderEnd, OrderIntent, Side, parse_e8,
};

/// The currency of a fee that is zero and names none.
const NO_CURRENCY: &str = "none";

/// The types of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fill,
    FillCorrection,
    FillCancel,
    Cash,
    OrderIntent,
    OrderEnd,
    Instrument,
}

impl Kind {
    /// The type of a word.
    pub(super) const fn of(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"fill" => Self::Fill,
            b"fill_correction" => Self::FillCorrection,
            b"fill_cancel" => Self::FillCancel,
            b"cash" => Self::Cash,
            b"order_intent" => Self::OrderIntent,
            b"order_end" => Self::OrderEnd,
            b"instrument" => Self::Instrument,
            _ => return None,
        })
    }
}

/// Decodes an object of a type.
pub(super) fn decode(kind: Kind, object: &Object<'_>, out: &mut Output<'_>) -> Result<(), Fault> {
    let event_time_ns = || required_ns(object, "event_time");
    let optional_time_ns = || optional_ns(object, "event_time");
    let (content, event_time_ns, else_ns) = match kind {
        Kind::Fill => {
            let fill = fill(object, out)?;
            let event_time_ns = fill.event_time_ns;
            (AccountContent::Fill(fill), Some(event_time_ns), None)
        }
        Kind::FillCorrection => {
            let (fill, sequence) = (fill(object, out)?, sequence(object)?);
            let else_ns = Some(fill.event_time_ns);
            let amendment = FillAmendment {
                account: fill.holder.account.clone(),
                instrument: fill.instrument.clone(),
                fill_id: fill.fill_id.clone(),
                change: FillChange::Correct { fill: Box::new(fill), sequence },
                original_time_ns: optional_ns(object, "original_event_time")?,
            };
            (AccountContent::FillAmendment(amendment), optional_ns(object, "changed_time")?, else_ns)
        }
        Kind::FillCancel => {
            let amendment = FillAmendment {
                account: name(object, "account")?,
                instrument: instrument(object, out)?,
                fill_id: id(object, "fill_id")?,
                change: FillChange::Cancel,
                original_time_ns: optional_time_ns()?,
            };
            let else_ns = amendment.original_time_ns;
            (AccountContent::FillAmendment(amendment), optional_ns(object, "changed_time")?, else_ns)
        }
        Kind::Cash => {
            let movement = CashMovement {
                account: name(object, "account")?,
                id: id(object, "cash_id")?,
                currency: name(object, "currency")?,
                amount_e8: e8(object, "amount")?.ok_or(Fault::Missing("amount", "amount"))?,
                event_time_ns: event_time_ns()?,
            };
            let event_time_ns = movement.event_time_ns;
            (AccountContent::Cash(movement), Some(event_time_ns), None)
        }
        Kind::OrderIntent => {
            let intent = intent(object, out)?;
            let event_time_ns = intent.event_time_ns;
            (AccountContent::Intent(intent), Some(event_time_ns), None)
        }
        Kind::OrderEnd => {
            let end = OrderEnd { account: name(object, "account")?, intent_id: id(object, "intent_id")? };
            (AccountContent::OrderEnd(end), optional_time_ns()?, None)
        }
        Kind::Instrument => {
            let reference = reference(object, out)?;
            (AccountContent::Reference(reference), optional_time_ns()?, Some(time::EARLIEST_NS))
        }
    };
    bounds::check(&content)?;
    let receive_time_ns = super::canonical::receive_time_ns(object)?;
    out.account(DecodedAccount { event_time_ns, else_ns, receive_time_ns, content })
}

fn fill(object: &Object<'_>, out: &mut Output<'_>) -> Result<Fill, Fault> {
    let fee_e8 = e8(object, "fee")?.unwrap_or(0);
    let fee_currency = match optional_name(object, "fee_currency")? {
        Some(currency) => currency,
        None if fee_e8 == 0 => NO_CURRENCY.into(),
        None => return Err(Fault::Missing("fee_currency", "fee_currency")),
    };
    Ok(Fill {
        holder: holder(object)?,
        instrument: instrument(object, out)?,
        fill_id: id(object, "fill_id")?,
        intent_id: optional_id(object, "intent_id")?,
        side: side(object)?,
        quantity_e8: e8(object, "quantity")?.ok_or(Fault::Missing("quantity", "quantity"))?,
        price_e8: e8(object, "price")?.ok_or(Fault::Missing("price", "price"))?,
        fee_e8,
        fee_currency,
        event_time_ns: required_ns(object, "event_time")?,
    })
}

fn intent(object: &Object<'_>, out: &mut Output<'_>) -> Result<OrderIntent, Fault> {
    let is_reduce_only = field::optional(object, "reduce_only", "reduce_only")?;
    let is_reduce_only = is_reduce_only.map(|value| field::boolean(value, "reduce_only")).transpose()?;
    Ok(OrderIntent {
        holder: holder(object)?,
        instrument: instrument(object, out)?,
        intent_id: id(object, "intent_id")?,
        side: side(object)?,
        quantity_e8: e8(object, "quantity")?.ok_or(Fault::Missing("quantity", "quantity"))?,
        limit_price_e8: e8(object, "limit_price")?,
        stop_price_e8: e8(object, "stop_price")?,
        is_reduce_only: is_reduce_only.unwrap_or(false),
        expires_ns: optional_ns(object, "expires")?,
        event_time_ns: required_ns(object, "event_time")?,
    })
}

fn reference(object: &Object<'_>, out: &mut Output<'_>) -> Result<InstrumentReference, Fault> {
    let kind = match field::optional(object, "contract", "contract")? {
        Some(word) => contract(&field::text(word, "contract")?)?,
        None => ContractKind::Linear,
    };
    Ok(InstrumentReference {
        instrument: instrument(object, out)?,
        asset_class: name(object, "asset_class")?,
        sector: name(object, "sector")?,
        base_currency: name(object, "base_currency")?,
        quote_currency: name(object, "quote_currency")?,
        kind,
        multiplier_e8: e8(object, "multiplier")?.unwrap_or(ONE_E8),
    })
}

/// What one contract stands for where nobody says.
const ONE_E8: i64 = 100_000_000;

fn contract(word: &[u8]) -> Result<ContractKind, Fault> {
    match word {
        b"linear" => Ok(ContractKind::Linear),
        b"inverse" => Ok(ContractKind::Inverse),
        _ => Err(Fault::Value("contract", "neither linear nor inverse")),
    }
}

fn holder(object: &Object<'_>) -> Result<Holder, Fault> {
    Ok(Holder { account: name(object, "account")?, strategy: name(object, "strategy")? })
}

/// Venue and symbol, from the configuration where the message has none.
fn instrument(object: &Object<'_>, out: &mut Output<'_>) -> Result<Instrument, Fault> {
    let venue = super::canonical::named(object, "venue", out.config.venue.as_deref())?;
    let symbol = super::canonical::named(object, "symbol", out.config.symbol.as_deref())?;
    Ok(out.instrument(&venue, &symbol)?)
}

fn side(object: &Object<'_>) -> Result<Side, Fault> {
    let word = field::text(field::required(object, "side", "side")?, "side")?;
    match &*word {
        word if word.eq_ignore_ascii_case(b"buy") => Ok(Side::Buy),
        word if word.eq_ignore_ascii_case(b"sell") => Ok(Side::Sell),
        _ => Err(Fault::Value("side", "neither buy nor sell")),
    }
}

fn sequence(object: &Object<'_>) -> Result<i64, Fault> {
    let value = field::optional(object, "sequence", "sequence")?;
    Ok(value.map(|value| field::integer(value, "sequence")).transpose()?.unwrap_or(0))
}

fn name(object: &Object<'_>, key: &'static str) -> Result<Arc<str>, Fault> {
    optional_name(object, key)?.ok_or(Fault::Missing(key, key))
}

fn optional_name(object: &Object<'_>, key: &'static str) -> Result<Option<Arc<str>>, Fault> {
    field::optional(object, key, key)?.map(|value| shared(&field::text(value, key)?, key)).transpose()
}

fn id(object: &Object<'_>, key: &'static str) -> Result<Arc<str>, Fault> {
    optional_id(object, key)?.ok_or(Fault::Missing(key, key))
}

/// A text, or a whole number as it is written.
fn optional_id(object: &Object<'_>, key: &'static str) -> Result<Option<Arc<str>>, Fault> {
    let read = |value: Value<'_>| match value.kind() {
        JsonKind::Number if value.raw().iter().all(u8::is_ascii_digit) => shared(value.raw(), key),
        JsonKind::Number => Err(Fault::Value(key, "a number that is negative or not whole")),
        _ => shared(&field::text(value, key)?, key),
    };
    field::optional(object, key, key)?.map(read).transpose()
}

/// A name of its own; what is too long is refused before it is copied.
fn shared(text: &[u8], key: &'static str) -> Result<Arc<str>, Fault> {
    let text = std::str::from_utf8(text).map_err(|_| Fault::Value(key, bounds::NOT_A_NAME))?;
    bounds::check_name(text).map_err(|problem| Fault::Value(key, problem))?;
    Ok(text.into())
}

/// Decimal text with at most eight places, of any sign.
fn e8(object: &Object<'_>, key: &'static str) -> Result<Option<i64>, Fault> {
    field::optional(object, key, key)?.map(|value| decimal_e8(&field::number(value, key)?, key)).transpose()
}

fn decimal_e8(text: &[u8], key: &'static str) -> Result<i64, Fault> {
    parse_e8(text).map_err(|error: DecimalError| Fault::Decimal(key, error))
}

fn required_ns(object: &Object<'_>, key: &'static str) -> Result<i64, Fault> {
    field::ns_or_rfc3339(field::required(object, key, key)?, key)
}

fn optional_ns(object: &Object<'_>, key: &'static str) -> Result<Option<i64>, Fault> {
    field::optional(object, key, key)?.map(|value| field::ns_or_rfc3339(value, key)).transpose()
}
