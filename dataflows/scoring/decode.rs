//! Records of the control topic. They are decoded here and not beside the venues' formats, because what they say is in the words
//! of the models' crate, which the connectors do not know.
//!
//! ```json
//! {"type": "promotion", "who": "anna", "why": "better since May", "number": 7, "alias": "production", ...}
//! ```
//!
//! Beside `type`, `who` and `why` the fields are those of a promotion, as `tidewheel model promote` prints them; of a
//! `withdraw`: `number`, `alias`, `symbol`, `target`; or of a `signals_policy`: `number`, `consider`, `act`, `cool_down_ms`,
//! `universe`. Of orders to risk see `orders`.

use super::orders;
use super::wanted::Wanted;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::sync::Arc;
use tidewheel_connectors::source::{DecodedChunk, MessageBlock};
use tidewheel_models::Promotion;
use tidewheel_models::manifest::{is_symbol, is_word};
use tidewheel_schemas::{Reject, RejectReason, TradeColumns};

/// A longer record is no promotion, bytes: one of the most members is a tenth of that.
const RECORD_BYTES_MAX: usize = 128 << 10;
/// The longest `who` and `why`, bytes.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// A record that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandRecord {
    /// Its offset.
    pub position: u64,
    /// When it was received, nanoseconds, where known.
    pub receive_time_ns: Option<i64>,
    /// As it was received.
    pub raw: Arc<str>,
    /// Who wants it, where that is said.
    pub who: Option<Arc<str>>,
    /// Why, where that is said.
    pub why: Option<Arc<str>>,
    /// What is wanted.
    pub wanted: Wanted,
}

impl CommandRecord {
    /// Understands a record.
    ///
    /// # Errors
    /// If it is none: the kind of trouble, and what exactly.
    pub fn parse(raw: &[u8], position: u64, receive_time_ns: Option<i64>) -> Result<Self, (RejectReason, String)> {
        if raw.len() > RECORD_BYTES_MAX {
            let detail = format!("{} bytes, more than the {RECORD_BYTES_MAX} of a control record", raw.len());
            return Err((RejectReason::Oversized, detail));
        }
        let malformed = |detail: String| (RejectReason::Malformed, detail);
        let field = |detail: String| (RejectReason::Field, detail);
        let text = std::str::from_utf8(raw).map_err(|error| malformed(error.to_string()))?;
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let serde_json::Value::Object(mut fields) = value else { return Err(malformed("not an object".to_owned())) };
        let mut take = |name: &str| match fields.remove(name) {
            None | Some(serde_json::Value::Null) => Ok(None),
            Some(serde_json::Value::String(text)) if text.len() <= TEXT_BYTES_MAX => Ok(Some(text)),
            Some(_) => Err(field(format!("{name}: not a text of at most {TEXT_BYTES_MAX} bytes"))),
        };
        let (kind, who, why) = (take("type")?, take("who")?, take("why")?);
        let fields = serde_json::Value::Object(fields);
        let of_kind = |detail: &dyn Display| field(format!("{}: {detail}", kind.as_deref().unwrap_or_default()));
        let wanted = match kind.as_deref() {
            Some(kind @ ("risk_policy" | "risk_kill" | "risk_reset" | "risk_clear")) => {
                orders::parse(kind, who.as_deref(), why.as_deref(), fields).map_err(|detail| of_kind(&detail))
            }
            Some("promotion") => understood(fields, Wanted::Promotion).map_err(|error| of_kind(&error)),
            Some("withdraw") => understood(fields, Wanted::Withdrawal).map_err(|error| of_kind(&error)),
            Some("signals_policy") => understood(fields, Wanted::SignalsPolicy).map_err(|error| of_kind(&error)),
            Some(other) => {
                return Err(field(format!("type: {other:?} is unknown; there is {}", Wanted::KINDS.join(", "))));
            }
            None => return Err(field(format!("type: missing; there is {}", Wanted::KINDS.join(", ")))),
        };
        let wanted = wanted?;
        if let Some((_, symbol, target)) = wanted.of() {
            if !is_symbol(symbol) {
                return Err(field("symbol: not written as venues do".to_owned()));
            }
            if !is_word(target) {
                return Err(field("target: not made of a-z, 0-9 and _".to_owned()));
            }
        }
        let (who, why) = (who.map(Into::into), why.map(Into::into));
        Ok(Self { position, receive_time_ns, raw: text.into(), who, why, wanted })
    }

    /// The record that says a promotion, of which nobody knows who sent it.
    pub fn of(promotion: Promotion, position: u64) -> Self {
        let wanted = Wanted::Promotion(promotion);
        let raw = wanted.to_json().to_string().into();
        Self { position, receive_time_ns: None, raw, who: None, why: None, wanted }
    }
}

fn understood<T: DeserializeOwned>(fields: serde_json::Value, wanted: fn(T) -> Wanted) -> serde_json::Result<Wanted> {
    serde_json::from_value(fields).map(wanted)
}

/// Decodes the records of a block. What is none of them is a reject in the chunk, which holds nothing else.
pub fn decode(block: MessageBlock) -> (DecodedChunk, Vec<CommandRecord>) {
    let mut records = Vec::new();
    let mut rejects = block.rejects.clone();
    for message in &block.messages {
        let raw = block.payload(message);
        match CommandRecord::parse(raw, message.position, message.receive_time_ns) {
            Ok(record) => records.push(record),
            Err((reason, detail)) => rejects.push(Reject {
                partition: block.partition,
                position: message.position,
                reason,
                records: 1,
                detail,
                raw: raw.into(),
                receive_time_ns: message.receive_time_ns,
            }),
        }
    }
    rejects.sort_by_key(|reject| reject.position);
    let columns = TradeColumns { partition: block.partition, ..TradeColumns::default() };
    let end_position = block.end_position;
    (DecodedChunk { columns, rejects, end_position, raw: Some(block), ..DecodedChunk::default() }, records)
}
