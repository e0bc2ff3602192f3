//! Records of the demo's topics that its paper trader reads, as any client would: JSON by field names.

use serde::Deserialize;
use tidewheel_schemas::{Instrument, Side, parse_e8};

/// A bar, of which the close is wanted.
#[derive(Deserialize)]
pub struct Bar {
    venue: String,
    symbol: String,
    close_time: i64,
    close: String,
}

impl Bar {
    /// What was last paid for what, and when its second ends, nanoseconds; none if it makes no sense.
    pub fn price(&self) -> Option<(Instrument, i64, i64)> {
        let price_e8 = parse_e8(self.close.as_bytes()).ok()?;
        Some((Instrument::new(&self.venue, &self.symbol).ok()?, price_e8, self.close_time * 1_000_000))
    }
}

/// What was made of a prediction.
#[derive(Deserialize)]
pub struct Signal {
    venue: String,
    symbol: String,
    event_time: i64,
    signal: String,
    direction: Option<String>,
}

impl Signal {
    /// What to trade which way, and since when, nanoseconds; none where nothing is to be done.
    pub fn act(&self) -> Option<(Instrument, Side, i64)> {
        let side = match self.direction.as_deref() {
            Some("up") => Side::Buy,
            Some("down") => Side::Sell,
            _ => return None,
        };
        let instrument = Instrument::new(&self.venue, &self.symbol).ok()?;
        (self.signal == "act").then_some((instrument, side, self.event_time * 1_000_000))
    }
}

/// What an intent was told.
#[derive(Deserialize)]
pub struct Decision {
    pub symbol: String,
    pub intent_id: String,
    pub side: String,
    pub asked_quantity: String,
    pub answer: String,
    pub ruling: String,
    pub quantity: String,
    /// A list, as JSON.
    pub reasons: Option<String>,
    pub decision: u64,
}

/// What happened.
#[derive(Deserialize)]
pub struct Event {
    /// Its number in the run.
    pub event: String,
    pub kind: String,
    pub scope: Option<String>,
    pub rule: Option<String>,
    pub from_level: Option<String>,
    pub level: Option<String>,
    pub trip: Option<String>,
    pub value: Option<f64>,
    pub is_latched: Option<bool>,
    pub control: Option<String>,
    pub who: Option<String>,
    pub why: Option<String>,
    /// The whole of it, as JSON.
    pub detail: String,
}

/// A position after its last fill.
#[derive(Clone, Deserialize)]
pub struct Position {
    pub venue: String,
    pub symbol: String,
    pub quantity: String,
    pub average_price: Option<String>,
    pub realised: f64,
}

/// Numbers of an account or of a part of it, in its currency.
#[derive(Clone, Deserialize)]
pub struct Numbers {
    pub kind: String,
    pub currency: String,
    pub equity: Option<f64>,
    pub deposits: Option<f64>,
    pub realised: Option<f64>,
    pub unrealised: Option<f64>,
    pub fees: Option<f64>,
    pub drawdown: Option<f64>,
    pub open_positions: Option<i64>,
    pub historical_var_95: Option<f64>,
    /// A list, as JSON.
    pub faults: String,
    pub tick: u64,
}
