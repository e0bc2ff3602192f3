//! The scenarios: closes of bars by instrument and bar time, and the factors they make.

use super::vector::FACTOR_LIMIT_E9;
use crate::exact::mul_div;
use serde::{Deserialize, Serialize};
use tidewheel_schemas::ContractKind;

/// The closes of one instrument inside the window, and the last one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Closes {
    kind: ContractKind,
    /// By slot, zero for none.
    closes_e8: Vec<i64>,
    /// The newest close before the window, with its time.
    before: Option<(i64, i64)>,
    /// By slot, nine decimals, zero where missing.
    factors_e9: Vec<i64>,
    /// By slot.
    is_missing: Vec<bool>,
}

/// A factor that became another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactorChange {
    /// Which instrument, by its number in the grid.
    pub instrument: usize,
    /// Which scenario.
    pub slot: usize,
    /// By how much, nine decimals.
    pub factor_e9: i64,
    /// One if it is missing now and was not, minus one the other way.
    pub missing: i32,
}

/// What became of a close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosePut {
    /// It stands.
    Put,
    /// It was known.
    Same,
    /// It is older than the window.
    Late,
    /// Its time is not one of a bar.
    Misaligned,
}

/// The last scenarios of all instruments, aligned by bar time.
///
/// An instrument's return at a time is from its last close before to its close at that time, so that a bar that does not exist is one
/// in which nothing was traded: its return is zero, and the next return spans it. Before an instrument's first close there is nothing
/// to say: its return is missing, and a portfolio that holds it has no such scenario. A return beyond a thousand per cent counts as that
/// much: to leave it out would leave out the worst for all that the portfolio holds. A time at
/// which no instrument at all has a bar is no scenario either (a weekend).
///
/// The factor of a linear contract is its return `r`, that of an inverse one `r / (1 + r)`, each rounded half to even at nine decimals:
/// times the exposure in the settlement currency they give the profit exactly.
///
/// **State**: a close, a factor and a flag an instrument and scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioGrid {
    step_ns: i64,
    slots: usize,
    /// The newest bar time, none before the first close.
    newest_ns: Option<i64>,
    instruments: Vec<Closes>,
    /// By slot, instruments that have a close there.
    present: Vec<u32>,
}

impl ScenarioGrid {
    /// An empty grid of bars of a step, with so many scenarios.
    pub fn new(step_ns: i64, slots: usize) -> Self {
        Self { step_ns, slots, newest_ns: None, instruments: Vec::new(), present: vec![0; slots] }
    }

    /// How many scenarios it can hold.
    pub const fn slots(&self) -> usize {
        self.slots
    }

    /// Takes up an instrument and gives its number, which counts up.
    pub fn add_instrument(&mut self, kind: ContractKind) -> usize {
        let (closes_e8, factors_e9, is_missing) = (vec![0; self.slots], vec![0; self.slots], vec![true; self.slots]);
        self.instruments.push(Closes { kind, closes_e8, before: None, factors_e9, is_missing });
        self.instruments.len() - 1
    }

    /// The factors of an instrument, by slot; zero where missing.
    pub fn factors_e9(&self, instrument: usize) -> &[i64] {
        &self.instruments[instrument].factors_e9
    }

    /// Where an instrument has no factor, by slot.
    pub fn is_missing(&self, instrument: usize) -> &[bool] {
        &self.instruments[instrument].is_missing
    }

    /// The scenarios from the oldest to the newest, as slots with their bar times; those in which no instrument has a bar are left out.
    pub fn scenarios(&self) -> impl Iterator<Item = (usize, i64)> {
        let window = self.newest_ns.map(|newest| (self.start_ns(newest), newest));
        let times = window.into_iter().flat_map(|(start, newest)| (start..=newest).step_by(self.step()));
        times.map(|time| (self.slot(time), time)).filter(|(slot, _)| self.present[*slot] > 0)
    }

    /// Puts a close of an instrument at the opening time of its bar, or takes it back, and names every factor that changed.
    pub fn put(
        &mut self,
        instrument: usize,
        bar_time_ns: i64,
        close_e8: Option<i64>,
        changes: &mut Vec<FactorChange>,
    ) -> ClosePut {
        if bar_time_ns.rem_euclid(self.step_ns) != 0 {
            return ClosePut::Misaligned;
        }
        let close = close_e8.unwrap_or(0);
        if close == 0 && self.newest_ns.is_none_or(|newest| bar_time_ns > newest) {
            return ClosePut::Same;
        }
        let newest = *self.newest_ns.get_or_insert(bar_time_ns);
        if bar_time_ns > newest {
            self.advance(newest, bar_time_ns, changes);
        } else if bar_time_ns < self.start_ns(newest) {
            return self.put_before(instrument, bar_time_ns, close, changes);
        }
        let slot = self.slot(bar_time_ns);
        let closes = &mut self.instruments[instrument];
        let known = std::mem::replace(&mut closes.closes_e8[slot], close);
        if known == close {
            return ClosePut::Same;
        }
        self.present[slot] = self.present[slot] + u32::from(close != 0) - u32::from(known != 0);
        self.refactor(instrument, bar_time_ns, changes);
        ClosePut::Put
    }

    /// A close before the window matters only as the one from which the first return is reckoned.
    fn put_before(&mut self, instrument: usize, time_ns: i64, close: i64, changes: &mut Vec<FactorChange>) -> ClosePut {
        let newest = self.newest_ns.expect("a close is before the window only where there is one");
        let closes = &mut self.instruments[instrument];
        if close == 0 || closes.before.is_some_and(|(known, _)| known > time_ns) {
            return ClosePut::Late;
        }
        if closes.before.replace((time_ns, close)) == Some((time_ns, close)) {
            return ClosePut::Same;
        }
        let start = self.start_ns(newest);
        self.refactor(instrument, start, changes);
        ClosePut::Put
    }

    fn step(&self) -> usize {
        usize::try_from(self.step_ns).expect("a step is above zero and fits the machine's words")
    }

    fn start_ns(&self, newest_ns: i64) -> i64 {
        newest_ns - (self.slots as i64 - 1) * self.step_ns
    }

    fn slot(&self, time_ns: i64) -> usize {
        time_ns.div_euclid(self.step_ns).rem_euclid(self.slots as i64) as usize
    }

    /// Moves the window: what leaves it makes room, and is zero or missing at the new times until a close comes.
    fn advance(&mut self, newest_ns: i64, to_ns: i64, changes: &mut Vec<FactorChange>) {
        let steps = ((to_ns - newest_ns) / self.step_ns).min(self.slots as i64);
        let (old_start, new_start) = (self.start_ns(newest_ns), self.start_ns(to_ns));
        for instrument in 0..self.instruments.len() {
            for step in 0..steps {
                let leaving_ns = old_start + step * self.step_ns;
                let slot = self.slot(leaving_ns);
                let closes = &mut self.instruments[instrument];
                let close = std::mem::take(&mut closes.closes_e8[slot]);
                if close != 0 {
                    closes.before = Some((leaving_ns, close));
                    self.present[slot] -= 1;
                }
            }
        }
        self.newest_ns = Some(to_ns);
        let from_ns = (newest_ns + self.step_ns).max(new_start);
        for instrument in 0..self.instruments.len() {
            self.refactor(instrument, from_ns, changes);
        }
    }

    /// Makes the factors of an instrument anew from a time on.
    fn refactor(&mut self, instrument: usize, from_ns: i64, changes: &mut Vec<FactorChange>) {
        let newest = self.newest_ns.expect("factors are made where there are closes");
        let start = self.start_ns(newest);
        let earlier = (1..).map(|back| from_ns - back * self.step_ns).take_while(|time| *time >= start);
        let closes = &self.instruments[instrument];
        let mut in_window = earlier.map(|time| closes.closes_e8[self.slot(time)]);
        let mut previous = in_window.find(|close| *close != 0).or(closes.before.map(|(_, close)| close));
        for time in (from_ns..=newest).step_by(self.step()) {
            let slot = self.slot(time);
            let closes = &mut self.instruments[instrument];
            let close = closes.closes_e8[slot];
            let factor = match (previous, close) {
                (None, _) => None,
                (Some(_), 0) => Some(0),
                (Some(previous), close) => Some(factor_e9(closes.kind, previous, close)),
            };
            if close != 0 {
                previous = Some(close);
            }
            let (value, is_missing) = (factor.unwrap_or(0), factor.is_none());
            let change = FactorChange {
                instrument,
                slot,
                factor_e9: value - std::mem::replace(&mut closes.factors_e9[slot], value),
                missing: i32::from(is_missing) - i32::from(std::mem::replace(&mut closes.is_missing[slot], is_missing)),
            };
            if change.factor_e9 != 0 || change.missing != 0 {
                changes.push(change);
            }
        }
    }
}

/// Profit a unit of exposure, nine decimals, at most a thousand per cent either way: the bound of the proof beside [`FACTOR_LIMIT_E9`].
fn factor_e9(kind: ContractKind, from_e8: i64, to_e8: i64) -> i64 {
    let over = match kind {
        ContractKind::Linear => from_e8,
        ContractKind::Inverse => to_e8,
    };
    let change = i128::from(to_e8) - i128::from(from_e8);
    let factor = mul_div(change, 1_000_000_000, i128::from(over)).expect("prices are 64 bits and above zero");
    let limit = i128::from(FACTOR_LIMIT_E9);
    i64::try_from(factor.clamp(-limit, limit)).expect("the limit is 64 bits")
}
