//! Orders to risk on the control topic.
//!
//! ```json
//! {"type": "risk_kill", "id": "k-17", "who": "anna", "why": "feed looks wrong", "time": 1795172400123, "scope": {"account": "main"}, "level": "red"}
//! {"type": "risk_reset", "id": "r-3", "who": "ben", "why": "seen to", "time": 1795172460000, "trip": "kill_manual@account:main@red@k-17"}
//! {"type": "risk_policy", "id": "p-2", "who": "anna", "why": "smaller book", "time": 1795172400123, "policy": {"version": 2, "limits": {"single_position": 0.05}}}
//! {"type": "risk_clear", "id": "c-1", "who": "ben", "why": "booked by hand", "time": 1795172460000, "account": "main"}
//! ```
//!
//! `id`, `who` and `why` must be there; `time` is when it was given, milliseconds. A scope is `"everything"`, `{"account": A}`,
//! `{"strategy": {"account": A, "strategy": S}}`, `{"symbol": {"venue": V, "symbol": S}}` or `{"position": [A, {"venue": V, "symbol": S}]}`. They
//! are not decided when the tick is cut, as promotions are: nothing outside has a say in them. The graph decides, at their tick, before
//! anything else in it, and says so in `risk_events`; so there is nothing to write into the log of ticks.

use super::{CommandRecord, Wanted};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::policy::Policy;
use tidewheel_risk::switches::{ControlEvent, Order};

/// The last time that fits, milliseconds.
const TIME_LIMIT_MS: i64 = i64::MAX / 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyRecord {
    id: String,
    time: i64,
    policy: Box<Policy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KillRecord {
    id: String,
    time: i64,
    scope: Scope,
    level: Level,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetRecord {
    id: String,
    time: i64,
    trip: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearRecord {
    id: String,
    time: i64,
    account: Arc<str>,
}

/// The order of a record of one of the four types, given its other fields.
pub(super) fn parse(kind: &str, who: Option<&str>, why: Option<&str>, fields: Value) -> Result<Wanted, String> {
    let understood = |error: serde_json::Error| error.to_string();
    let (id, time, order) = match kind {
        "risk_policy" => {
            let PolicyRecord { id, time, policy } = serde_json::from_value(fields).map_err(understood)?;
            (id, time, Order::SetPolicy(policy))
        }
        "risk_kill" => {
            let KillRecord { id, time, scope, level } = serde_json::from_value(fields).map_err(understood)?;
            // It acts whatever its time, so no time is refused.
            (id, time.clamp(0, TIME_LIMIT_MS), Order::Kill { scope, level })
        }
        "risk_clear" => {
            let ClearRecord { id, time, account } = serde_json::from_value(fields).map_err(understood)?;
            (id, time, Order::Clear { account })
        }
        _ => {
            let ResetRecord { id, time, trip } = serde_json::from_value(fields).map_err(understood)?;
            (id, time, Order::Reset { trip })
        }
    };
    let (Some(who), Some(why)) = (who, why) else { return Err("who and why must be there".to_owned()) };
    if !(0..=TIME_LIMIT_MS).contains(&time) {
        return Err(format!("time: {time} is no time in milliseconds"));
    }
    let (who, why, time_ns) = (who.to_owned(), why.to_owned(), time * 1_000_000);
    Ok(Wanted::Risk(Box::new(ControlEvent { id, who, why, time_ns, order })))
}

/// As a record says it, without `who` and `why`.
pub(super) fn to_json(event: &ControlEvent) -> Value {
    let (id, time) = (&event.id, event.time_ns / 1_000_000);
    match &event.order {
        Order::SetPolicy(policy) => json!({ "id": id, "time": time, "policy": policy }),
        Order::Kill { scope, level } => json!({ "id": id, "time": time, "scope": scope, "level": level }),
        Order::Reset { trip } => json!({ "id": id, "time": time, "trip": trip }),
        Order::Clear { account } => json!({ "id": id, "time": time, "account": account }),
    }
}

/// Takes the orders to risk out of the records of a tick.
pub fn take_orders(records: &mut Vec<CommandRecord>) -> Vec<CommandRecord> {
    records.extract_if(.., |record| matches!(record.wanted, Wanted::Risk(_))).collect()
}

/// The order of a record.
pub fn order_of(record: &CommandRecord) -> Option<ControlEvent> {
    if let Wanted::Risk(event) = &record.wanted { Some((**event).clone()) } else { None }
}
