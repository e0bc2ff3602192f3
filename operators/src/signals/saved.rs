//! The signals' part of a snapshot.

use super::{SignalLedger, SignalsConfig};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidewheel_schemas::Instrument;

/// All that signals depend on beside the predictions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedSignals {
    /// Where the newest hour ends, nanoseconds.
    newest_ns: Option<i64>,
    /// Quote volume of each instrument, by the open time of the hour.
    volumes: Vec<(Instrument, Vec<(i64, i128)>)>,
    /// When an instrument and target last gave a signal to act.
    acted: Vec<(Instrument, Arc<str>, i64)>,
    /// What signals go by, where that was changed while the run went on.
    policy: Option<SignalsConfig>,
}

impl SignalLedger {
    /// What a snapshot must hold.
    pub fn save(&self) -> SavedSignals {
        let hours = |volume: &super::universe::Volume| volume.hours.iter().map(|(open, of)| (*open, *of)).collect();
        let volumes = self.universe.volumes.iter().map(|(instrument, volume)| (instrument.clone(), hours(volume)));
        let acted =
            self.acted.iter().map(|((instrument, target), time)| (instrument.clone(), Arc::clone(target), *time));
        SavedSignals {
            newest_ns: Some(self.universe.newest_ns).filter(|newest| *newest > i64::MIN),
            volumes: volumes.collect(),
            acted: acted.collect(),
            policy: Some(self.config).filter(|_| self.is_changed),
        }
    }

    /// The ledger that was saved; by `config` unless that was changed.
    pub fn restore(config: SignalsConfig, saved: SavedSignals) -> Self {
        let mut ledger = Self::new(config);
        saved.policy.into_iter().for_each(|policy| ledger.change(policy));
        saved.newest_ns.into_iter().for_each(|newest| ledger.universe.advance(newest));
        for (instrument, hours) in saved.volumes {
            ledger.universe.change(&instrument, |volume| volume.hours = hours.into_iter().collect());
        }
        let acted = saved.acted.into_iter().map(|(instrument, target, time)| ((instrument, target), time));
        ledger.acted = acted.collect();
        ledger
    }
}
