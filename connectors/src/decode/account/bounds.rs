//! What records of accounts must be to be taken in, whichever form they come in: from the wire, from tables, from the lake.
//!
//! These are bounds that the books rely on. What only a book can know (an instrument without reference data, a fill that came
//! before) is no matter of this module. Nor is what an order asks for, as far as it can be written down: whoever sent it waits for a
//! decision, which says that a quantity below zero cannot be.

use crate::decode::fault::Fault;
use crate::decode::time;
use tidewheel_schemas::{
    AccountContent, CashMovement, DecimalError, Fill, FillAmendment, FillChange, InstrumentReference, OrderEnd,
    OrderIntent, PRICE_LIMIT_E8, RejectReason, is_notional_in_range,
};

/// The longest name or id, in bytes.
const NAME_LIMIT: usize = 64;

/// One past the largest fee or movement of money, eight decimals: what `DECIMAL(18,8)` holds.
const AMOUNT_LIMIT_E8: i64 = PRICE_LIMIT_E8;

/// What is wrong with a name of other characters.
pub(crate) const NOT_A_NAME: &str = "holds a character other than visible ASCII without quotes, backslashes and |";

/// What is wrong with an account or a strategy of a character that scopes and the names of trips are cut at.
const NOT_A_HOLDER: &str = "holds a /, | or @, by which names are told apart";

/// Which field is out of bounds, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// A name or an id.
    #[error("{0}: {1}")]
    Name(&'static str, &'static str),
    /// A number.
    #[error("{0}: {1}")]
    Number(&'static str, DecimalError),
    /// A time.
    #[error("{0}: before 2009 or after 2200")]
    Time(&'static str),
}

impl Trouble {
    /// The reason under which the reject is filed.
    pub(crate) const fn reason(&self) -> RejectReason {
        match self {
            Self::Name(..) => RejectReason::Field,
            Self::Number(..) => RejectReason::Number,
            Self::Time(_) => RejectReason::Time,
        }
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Name(name, problem) => Self::Value(name, problem),
            Trouble::Number(name, error) => Self::Decimal(name, error),
            Trouble::Time(name) => Self::Time(name, time::TimeError::OutOfRange),
        }
    }
}

/// Checks a name or an id.
///
/// # Errors
/// With what is wrong: it must be 1 to 64 visible ASCII characters, none of which would have to be escaped in JSON or would cut
/// the key of a message.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b'|');
    match name {
        "" => Err("is empty"),
        name if name.len() > NAME_LIMIT => Err("longer than 64 bytes"),
        name if !name.bytes().all(is_allowed) => Err(NOT_A_NAME),
        _ => Ok(()),
    }
}

/// Checks the name of an account or a strategy, which is a name already.
fn check_holder(name: &str) -> Result<(), &'static str> {
    if name.bytes().any(|byte| matches!(byte, b'/' | b'|' | b'@')) { Err(NOT_A_HOLDER) } else { Ok(()) }
}

/// Checks what a record says.
///
/// # Errors
/// With the first field that is out of bounds.
pub(crate) fn check(content: &AccountContent) -> Result<(), Trouble> {
    match content {
        AccountContent::Reference(reference) => check_reference(reference),
        AccountContent::Fill(fill) => check_fill(fill),
        AccountContent::FillAmendment(amendment) => check_amendment(amendment),
        AccountContent::Cash(movement) => check_cash(movement),
        AccountContent::Intent(intent) => check_intent(intent),
        AccountContent::OrderEnd(OrderEnd { account, intent_id }) => {
            names(&[("account", account), ("intent_id", intent_id)])
        }
    }
}

fn check_reference(reference: &InstrumentReference) -> Result<(), Trouble> {
    let InstrumentReference { asset_class, sector, base_currency, quote_currency, multiplier_e8, .. } = reference;
    names(&[
        ("asset_class", asset_class),
        ("sector", sector),
        ("base_currency", base_currency),
        ("quote_currency", quote_currency),
    ])?;
    positive("multiplier", *multiplier_e8)
}

fn check_fill(fill: &Fill) -> Result<(), Trouble> {
    let holder = &fill.holder;
    names(&[
        ("account", &holder.account),
        ("strategy", &holder.strategy),
        ("fill_id", &fill.fill_id),
        ("fee_currency", &fill.fee_currency),
    ])?;
    fill.intent_id.iter().try_for_each(|id| names(&[("intent_id", id)]))?;
    positive("quantity", fill.quantity_e8)?;
    price("price", fill.price_e8)?;
    notional(fill.price_e8, fill.quantity_e8)?;
    amount("fee", fill.fee_e8)?;
    time("event_time", fill.event_time_ns)
}

fn check_amendment(amendment: &FillAmendment) -> Result<(), Trouble> {
    names(&[("account", &amendment.account), ("fill_id", &amendment.fill_id)])?;
    if let FillChange::Correct { fill, .. } = &amendment.change {
        check_fill(fill)?;
    }
    amendment.original_time_ns.map_or(Ok(()), |time_ns| time("original_event_time", time_ns))
}

fn check_cash(movement: &CashMovement) -> Result<(), Trouble> {
    let CashMovement { account, id, currency, amount_e8, event_time_ns } = movement;
    names(&[("account", account), ("cash_id", id), ("currency", currency)])?;
    if *amount_e8 == 0 {
        return Err(Trouble::Name("amount", "is zero"));
    }
    amount("amount", *amount_e8)?;
    time("event_time", *event_time_ns)
}

fn check_intent(intent: &OrderIntent) -> Result<(), Trouble> {
    let holder = &intent.holder;
    names(&[("account", &holder.account), ("strategy", &holder.strategy), ("intent_id", &intent.intent_id)])?;
    // As far as tables hold them.
    for (name, price_e8) in [("limit_price", intent.limit_price_e8), ("stop_price", intent.stop_price_e8)] {
        amount(name, price_e8.unwrap_or(0))?;
    }
    intent.expires_ns.map_or(Ok(()), |time_ns| time("expires", time_ns))?;
    time("event_time", intent.event_time_ns)
}

fn names(each: &[(&'static str, &str)]) -> Result<(), Trouble> {
    each.iter().try_for_each(|(field, name)| {
        let is_holder = matches!(*field, "account" | "strategy");
        let checked = check_name(name).and_then(|()| if is_holder { check_holder(name) } else { Ok(()) });
        checked.map_err(|problem| Trouble::Name(field, problem))
    })
}

const fn positive(name: &'static str, value: i64) -> Result<(), Trouble> {
    if value > 0 { Ok(()) } else { Err(Trouble::Number(name, DecimalError::NotPositive)) }
}

fn price(name: &'static str, price_e8: i64) -> Result<(), Trouble> {
    positive(name, price_e8)?;
    if price_e8 < PRICE_LIMIT_E8 { Ok(()) } else { Err(Trouble::Number(name, DecimalError::OutOfRange)) }
}

const fn notional(price_e8: i64, quantity_e8: i64) -> Result<(), Trouble> {
    let is_in_range = is_notional_in_range(price_e8, quantity_e8);
    if is_in_range { Ok(()) } else { Err(Trouble::Number("price times quantity", DecimalError::OutOfRange)) }
}

const fn amount(name: &'static str, amount_e8: i64) -> Result<(), Trouble> {
    let is_in_range = amount_e8.unsigned_abs() < AMOUNT_LIMIT_E8.unsigned_abs();
    if is_in_range { Ok(()) } else { Err(Trouble::Number(name, DecimalError::OutOfRange)) }
}

fn time(name: &'static str, time_ns: i64) -> Result<(), Trouble> {
    time::possible(time_ns).map(|_| ()).ok_or(Trouble::Time(name))
}
