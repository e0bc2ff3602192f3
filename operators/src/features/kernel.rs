//! What computes a feature: a function of the newest bars, or a recursion that is carried from bar to bar.
//!
//! A kernel sees the bar it is asked about and those before it, nothing else. So a value is a function of the sequence of
//! final bars from the first one on, and computing it again gives the same bits (on machines whose `ln`, `sin` and `cos` are
//! the same). A kernel says null by a NaN; other non-finite numbers become null where values are kept, in `Series`.

use super::FeatureBar;
use super::kernels::{Adx, Atr, Cvd, Ema, EwmaVariance, Macd, Obv, Rsi};
use serde::{Deserialize, Serialize};

/// How a feature is computed.
#[derive(Clone, Copy, Debug)]
pub enum Kernel {
    /// A function of so many bars, the newest last. Null while there are fewer.
    Window {
        /// How many.
        bars: usize,
        /// The function.
        value: fn(&[FeatureBar]) -> f64,
    },
    /// A recursion from the first bar of the series.
    Recursive {
        /// The bars, from the first, until there is a value.
        needs: usize,
        /// The bars, from the first, until the seed weighs less than 1 %.
        warm_up: usize,
        /// The state before the first bar.
        start: fn() -> State,
    },
}

impl Kernel {
    /// The bars, from the first, until there can be a value.
    pub const fn needs(&self) -> usize {
        match self {
            Self::Window { bars, .. } => *bars,
            Self::Recursive { needs, .. } => *needs,
        }
    }

    /// The bars, from the first, until where history began no longer shows: what is left of it weighs less than 1 %.
    pub const fn warm_up(&self) -> usize {
        match self {
            Self::Window { bars, .. } => *bars,
            Self::Recursive { warm_up, .. } => *warm_up,
        }
    }
}

/// What a recursion carries from bar to bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum State {
    /// Average directional movement.
    Adx(Adx),
    /// Average true range.
    Atr(Atr),
    /// Cumulative volume delta.
    Cvd(Cvd),
    /// Exponential moving average.
    Ema(Ema),
    /// Exponentially weighted variance.
    EwmaVariance(EwmaVariance),
    /// Convergence and divergence of averages.
    Macd(Macd),
    /// On-balance volume.
    Obv(Obv),
    /// Relative strength.
    Rsi(Rsi),
}

impl State {
    /// Takes the next bar; `previous` is the one before it in the series. NaN for null.
    pub fn next(&mut self, previous: Option<&FeatureBar>, bar: &FeatureBar) -> f64 {
        match self {
            Self::Adx(state) => state.next(previous, bar),
            Self::Atr(state) => state.next(previous, bar),
            Self::Cvd(state) => state.next(previous, bar),
            Self::Ema(state) => state.next(bar.close),
            Self::EwmaVariance(state) => state.next(previous, bar),
            Self::Macd(state) => state.next(bar.close),
            Self::Obv(state) => state.next(previous, bar),
            Self::Rsi(state) => state.next(previous, bar),
        }
    }
}

/// The fewest steps after which a recursion that keeps `keep` of its value has less than 1 % of its seed left.
pub(super) const fn settles_after(keep: f64) -> usize {
    let (mut left, mut steps) = (1.0, 0);
    while left >= 0.01 {
        left *= keep;
        steps += 1;
    }
    steps
}
