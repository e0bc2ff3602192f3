//! Signals: which predictions are worth acting on, and why the others are not.
//!
//! Every prediction of the ensemble that decides gives one signal, most of them saying that nothing is to be done, with the
//! reason. Like predictions they are facts. They are made of a whole tick at once, over all instruments in their order, because
//! the universe is a matter of all of them.

mod saved;
mod universe;

#[cfg(test)]
mod tests;

pub use saved::SavedSignals;
pub use universe::Universe;

use crate::scoring::{Activation, Direction, Prediction};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{BarVersion, Instrument};

/// What makes a signal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalsConfig {
    /// The confidence from which on a prediction is worth considering, 0.5 to 1.
    pub consider: f64,
    /// The confidence from which on it is worth acting on, not below `consider`.
    pub act: f64,
    /// How long after a signal to act the same instrument and target give none, nanoseconds of event time.
    pub cool_down_ns: i64,
    /// How many instruments, those of the most quote volume in 24 hours, give signals.
    pub universe: usize,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing.
    None,
    /// To be considered.
    Consider,
    /// To be acted on.
    Act,
}

impl Level {
    /// As written in topics and in the lake.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Consider => "consider",
            Self::Act => "act",
        }
    }
}

/// Why a signal was given, or not.
#[derive(Clone, Debug, PartialEq)]
pub enum Why {
    /// The ensemble gave no decision: the name of its refusal.
    Refused(&'static str),
    /// No direction.
    Flat,
    /// The confidence is below that to consider.
    Unsure,
    /// The instrument is not among those of the most volume.
    OutsideUniverse,
    /// A signal to act was given at this event time, nanoseconds, and not long enough ago.
    CoolDown(i64),
    /// The confidence reaches the threshold.
    Confident,
}

impl Why {
    /// As written in topics and in the lake.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Flat => "flat",
            Self::Unsure => "unsure",
            Self::OutsideUniverse => "outside_universe",
            Self::CoolDown(_) => "cool_down",
            Self::Confident => "confident",
        }
    }
}

/// What was made of a prediction.
#[derive(Clone, Debug)]
pub struct Signal {
    /// What is traded.
    pub instrument: Instrument,
    /// The event time of the row that was scored, nanoseconds.
    pub event_time_ns: i64,
    /// Whose prediction it was.
    pub activation: Arc<Activation>,
    /// What is to be done.
    pub level: Level,
    /// Which way, where there was a decision.
    pub direction: Option<Direction>,
    /// How sure the ensemble was.
    pub confidence: Option<f64>,
    /// Why.
    pub why: Why,
    /// The instrument's place by volume, from 1, where it is in the universe.
    pub rank: Option<u32>,
    /// Its quote volume of the last 24 hours of final bars, in 10^-16.
    pub quote_volume_e16: i128,
}

/// What signals depend on beside the prediction. **State** for each instrument the bars of an hour in the last 24 hours, and when
/// it last gave a signal to act, for each target.
#[derive(Debug)]
pub struct SignalLedger {
    config: SignalsConfig,
    /// Whether that came while the run went on, and so is not what the run was begun with.
    is_changed: bool,
    universe: Universe,
    acted: BTreeMap<(Instrument, Arc<str>), i64>,
}

impl SignalLedger {
    /// An empty one.
    pub fn new(config: SignalsConfig) -> Self {
        Self { config, is_changed: false, universe: Universe::new(config.universe), acted: BTreeMap::new() }
    }

    /// Goes by another configuration, from the next predictions on. It is part of what is saved.
    pub fn change(&mut self, config: SignalsConfig) {
        (self.config, self.is_changed) = (config, true);
        self.universe.set_limit(config.universe);
    }

    /// Makes the signals of a tick: of its final bars of an hour and its predictions, each in the order of instruments. Shadow
    /// predictions give none.
    pub fn apply(&mut self, hours: &[BarVersion], predictions: &[Prediction]) -> Vec<Signal> {
        hours.iter().for_each(|version| self.universe.apply(version));
        let deciding = || predictions.iter().filter(|prediction| !prediction.activation.is_shadow);
        deciding().for_each(|prediction| self.universe.know(&prediction.instrument));
        deciding().map(|prediction| self.signal(prediction)).collect()
    }

    fn signal(&mut self, prediction: &Prediction) -> Signal {
        let Prediction { instrument, event_time_ns, activation, judgement, .. } = prediction;
        let rank = self.universe.rank(instrument);
        let key = (instrument.clone(), Arc::clone(&activation.target));
        let acted = self.acted.get(&key).copied();
        let is_cooling = |acted: &i64| event_time_ns.saturating_sub(*acted) < self.config.cool_down_ns;
        let decision = judgement.decision.as_ref();
        let (level, why) = match decision {
            Err(refused) => (Level::None, Why::Refused(refused.name)),
            Ok(decision) if decision.direction == Direction::Flat => (Level::None, Why::Flat),
            Ok(decision) if decision.confidence < self.config.consider => (Level::None, Why::Unsure),
            Ok(_) if rank.is_none() => (Level::None, Why::OutsideUniverse),
            Ok(decision) => match acted.filter(is_cooling) {
                Some(acted) => (Level::None, Why::CoolDown(acted)),
                None if decision.confidence < self.config.act => (Level::Consider, Why::Confident),
                None => (Level::Act, Why::Confident),
            },
        };
        if level == Level::Act {
            self.acted.insert(key, *event_time_ns);
        }
        Signal {
            instrument: instrument.clone(),
            event_time_ns: *event_time_ns,
            activation: Arc::clone(activation),
            level,
            direction: decision.ok().map(|decision| decision.direction),
            confidence: decision.ok().map(|decision| decision.confidence),
            why,
            rank,
            quote_volume_e16: self.universe.quote_volume_e16(instrument),
        }
    }
}
