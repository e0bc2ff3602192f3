//! What could be lost: profit and loss of what is held now, in each of the last scenarios of the market.
//!
//! A scenario is a bar time: the returns of all instruments from the bar before to that one. A position's profit in it is its exposure
//! times the instrument's factor, an integer product without rounding, so that the vector of a portfolio is a sum that is kept by
//! adding and taking away and never re-read. Rates between currencies are held in a scenario: it moves prices, not rates.
//!
//! What a number's name says: `historical_var_95` is the loss that the inverted distribution function gives (an observation);
//! `parametric` is of a normal distribution with mean and deviation (ddof 1) of the same scenarios, `ewma` of mean zero and RiskMetrics
//! weights. The horizon is the step of the bars. Losses are above zero.

mod conventions;
mod grid;
mod tail;
mod vector;

#[cfg(test)]
mod tests;

pub use conventions::{
    empyrical_cvar, empyrical_var, normal_shortfall, normal_var, numpy_var, quantlib_shortfall, quantlib_var,
};
pub use grid::{ClosePut, FactorChange, ScenarioGrid};
pub use tail::{Confidence, EWMA_DECAY, Tail, component_var, deviation, ewma_deviation, historical_tail, mean};
pub use vector::PnlVector;
