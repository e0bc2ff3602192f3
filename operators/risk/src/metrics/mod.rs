//! Ratios of performance over returns and closed trades. Floats, made anew from what is exact; nothing flows back.

use crate::positions::TripTally;
use crate::scenarios::{deviation, mean};

/// Mean over deviation (ddof 1) of the returns less the risk-free return of a period, times the root of the periods of a year.
/// None of fewer than two returns or without deviation.
pub fn sharpe(returns: &[f64], risk_free: f64, periods_a_year: f64) -> Option<f64> {
    let excess: Vec<f64> = returns.iter().map(|value| value - risk_free).collect();
    let deviation = deviation(&excess);
    (returns.len() >= 2 && deviation > 0.0).then(|| mean(&excess) / deviation * periods_a_year.sqrt())
}

/// Sortino's ratio as empyrical reckons it: the annual mean above the target over the annual root mean square of what is below it,
/// over all returns. The deviation of the negative ones alone is a common mistake. None without returns, or with none below.
pub fn sortino(returns: &[f64], target: f64, periods_a_year: f64) -> Option<f64> {
    let excess: Vec<f64> = returns.iter().map(|value| value - target).collect();
    let below = mean(&excess.iter().map(|value| value.min(0.0).powi(2)).collect::<Vec<_>>()).sqrt();
    (below > 0.0).then(|| mean(&excess) * periods_a_year / (below * periods_a_year.sqrt()))
}

/// The deepest fall of compounded returns from their running peak, which includes the beginning; zero or below.
pub fn max_drawdown(returns: &[f64]) -> f64 {
    let (mut value, mut peak, mut deepest) = (1.0f64, 1.0f64, 0.0f64);
    for one in returns {
        value *= 1.0 + one;
        peak = peak.max(value);
        deepest = deepest.min((value - peak) / peak);
    }
    deepest
}

/// Profit for each unit lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ProfitFactor {
    /// Nothing was won or lost.
    None,
    /// Nothing was lost: a table writes null, and that it is without bound beside it.
    Unbounded,
    /// Gross profit over gross loss.
    Ratio(f64),
}

/// Gross profit over gross loss of the closed round trips.
pub fn profit_factor(trips: &TripTally) -> ProfitFactor {
    match (trips.profit_e16, trips.loss_e16) {
        (0, 0) => ProfitFactor::None,
        (_, 0) => ProfitFactor::Unbounded,
        (profit, loss) => ProfitFactor::Ratio(profit as f64 / loss as f64),
    }
}

/// The share of the closed round trips that won, those at zero left out. None without any.
pub fn win_rate(trips: &TripTally) -> Option<f64> {
    let counted = trips.won + trips.lost;
    (counted > 0).then(|| trips.won as f64 / counted as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profit_factor_and_win_rate_have_no_infinity() {
        let tally =
            |won, lost, profit_e16, loss_e16| TripTally { won, lost, profit_e16, loss_e16, ..TripTally::default() };
        assert_eq!(profit_factor(&tally(0, 0, 0, 0)), ProfitFactor::None);
        assert_eq!(profit_factor(&tally(1, 0, 5, 0)), ProfitFactor::Unbounded);
        assert_eq!(profit_factor(&tally(1, 1, 6, 4)), ProfitFactor::Ratio(1.5));
        assert_eq!(win_rate(&tally(0, 0, 0, 0)), None);
        assert_eq!(win_rate(&TripTally { even: 7, ..tally(3, 1, 6, 4) }), Some(0.75));
        assert_eq!((sharpe(&[0.1], 0.0, 252.0), sharpe(&[0.1, 0.1], 0.0, 252.0)), (None, None));
        assert_eq!(sortino(&[0.1, 0.2], 0.0, 252.0), None);
    }
}
