//! What orders are held to, and who is held to something else.

use super::Ratio;
use serde::{Deserialize, Serialize};
use tidewheel_schemas::{Holder, Instrument};

/// What an order is held to. Exposure is gross: what two strategies hold against each other is not netted, since each may be closed
/// without the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// An account's exposure in one instrument, as a share of its equity.
    pub single_position: Ratio,
    /// In one sector, as a share of its equity.
    pub sector: Ratio,
    /// In one asset class, as a share of its equity.
    pub asset_class: Ratio,
    /// In all, as a multiple of its equity.
    pub gross: Ratio,
    /// One strategy's exposure in all, as a multiple of the account's equity.
    pub strategy_gross: Ratio,
    /// Exposure at one venue, as a multiple of the margin equity there. On another base than `gross`: on the same one, the
    /// smaller of the two would make the other dead.
    pub leverage: Ratio,
    /// Loss from the running peak of the account's equity, as a share of the peak.
    pub drawdown: Ratio,
    /// Loss since the day began, as a share of the equity it began with.
    pub daily_loss: Ratio,
    /// What an order loses if it is stopped, as a share of the account's equity.
    pub risk_per_trade: Ratio,
    /// An account's exposure in one instrument, in whole units of its currency.
    pub position_value: u64,
    /// An account's positions, by strategy and instrument.
    pub concurrent_positions: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            single_position: Ratio::thousandths(100),
            sector: Ratio::thousandths(250),
            asset_class: Ratio::thousandths(500),
            gross: Ratio::thousandths(2_000),
            strategy_gross: Ratio::thousandths(2_000),
            leverage: Ratio::thousandths(5_000),
            drawdown: Ratio::thousandths(200),
            daily_loss: Ratio::thousandths(50),
            risk_per_trade: Ratio::thousandths(40),
            position_value: 1_000_000,
            concurrent_positions: 50,
        }
    }
}

/// Limits of which some are given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartialLimits {
    /// See [`Limits`], as the others.
    pub single_position: Option<Ratio>,
    /// See [`Limits`].
    pub sector: Option<Ratio>,
    /// See [`Limits`].
    pub asset_class: Option<Ratio>,
    /// See [`Limits`].
    pub gross: Option<Ratio>,
    /// See [`Limits`].
    pub strategy_gross: Option<Ratio>,
    /// See [`Limits`].
    pub leverage: Option<Ratio>,
    /// See [`Limits`].
    pub drawdown: Option<Ratio>,
    /// See [`Limits`].
    pub daily_loss: Option<Ratio>,
    /// See [`Limits`].
    pub risk_per_trade: Option<Ratio>,
    /// See [`Limits`].
    pub position_value: Option<u64>,
    /// See [`Limits`].
    pub concurrent_positions: Option<u32>,
}

/// Orders that are held to other limits. What is not named matches all; at least one is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Override {
    /// The account.
    pub account: Option<String>,
    /// The strategy's name.
    pub strategy: Option<String>,
    /// The instrument, as `venue|symbol`.
    #[serde(deserialize_with = "crate::spelling::name")]
    pub symbol: Option<String>,
    /// The limits that are others.
    pub limits: PartialLimits,
}

impl Override {
    /// How particular it is: a symbol outweighs a strategy, and that an account.
    pub fn weight(&self) -> u8 {
        u8::from(self.account.is_some()) + 2 * u8::from(self.strategy.is_some()) + 4 * u8::from(self.symbol.is_some())
    }

    fn matches(&self, holder: &Holder, instrument: &Instrument) -> bool {
        let is = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
        let is_symbol = self.symbol.as_deref().is_none_or(|wanted| {
            wanted
                .split_once('|')
                .is_some_and(|(venue, symbol)| *venue == *instrument.venue && *symbol == *instrument.symbol)
        });
        is(&self.account, &holder.account) && is(&self.strategy, &holder.strategy) && is_symbol
    }
}

impl Limits {
    /// What the holder's orders in the instrument are held to: the general limits, then the overrides that match, each by what it
    /// names, the least particular first.
    pub fn of(&self, overrides: &[Override], holder: &Holder, instrument: &Instrument) -> Self {
        let mut matching: Vec<_> = overrides.iter().filter(|entry| entry.matches(holder, instrument)).collect();
        matching.sort_by_key(|entry| entry.weight());
        matching.into_iter().fold(self.clone(), |limits, entry| limits.with(&entry.limits))
    }

    fn with(self, other: &PartialLimits) -> Self {
        Self {
            single_position: other.single_position.unwrap_or(self.single_position),
            sector: other.sector.unwrap_or(self.sector),
            asset_class: other.asset_class.unwrap_or(self.asset_class),
            gross: other.gross.unwrap_or(self.gross),
            strategy_gross: other.strategy_gross.unwrap_or(self.strategy_gross),
            leverage: other.leverage.unwrap_or(self.leverage),
            drawdown: other.drawdown.unwrap_or(self.drawdown),
            daily_loss: other.daily_loss.unwrap_or(self.daily_loss),
            risk_per_trade: other.risk_per_trade.unwrap_or(self.risk_per_trade),
            position_value: other.position_value.unwrap_or(self.position_value),
            concurrent_positions: other.concurrent_positions.unwrap_or(self.concurrent_positions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_particular_override_wins() {
        let limit = |single| PartialLimits { single_position: Some(Ratio::thousandths(single)), ..Default::default() };
        let name = |name: &str| Some(name.to_owned());
        let overrides = [
            Override { symbol: name("binance|BTCUSDT"), limits: limit(4), ..Default::default() },
            Override { account: name("a"), limits: limit(1), ..Default::default() },
            Override { strategy: name("s"), limits: limit(2), ..Default::default() },
            Override { account: name("a"), strategy: name("s"), limits: limit(3), ..Default::default() },
        ];
        let bitcoin = Instrument::new("binance", "BTCUSDT").expect("a name");
        let ether = Instrument::new("binance", "ETHUSDT").expect("a name");
        for (account, strategy, instrument, expected) in [
            ("a", "s", &bitcoin, 4),
            ("a", "s", &ether, 3),
            ("b", "s", &ether, 2),
            ("a", "t", &ether, 1),
            ("b", "t", &ether, 100),
            ("b", "t", &bitcoin, 4),
        ] {
            let holder = Holder { account: account.into(), strategy: strategy.into() };
            let limits = Limits::default().of(&overrides, &holder, instrument);
            assert_eq!(limits.single_position, Ratio::thousandths(expected), "{account} {strategy} {instrument:?}");
            assert_eq!(limits.gross, Limits::default().gross);
        }
    }
}
