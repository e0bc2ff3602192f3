//! What a rule is about, and which orders it therefore concerns.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use tidewheel_schemas::{Holder, Instrument};

/// What a rule, a trip or a level is about. A wider one acts on all that it covers, and each latches by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All orders of all accounts.
    Everything,
    /// All orders of an account.
    Account(Arc<str>),
    /// All orders of one strategy of an account.
    Strategy(Holder),
    /// All orders in an instrument, whoever's.
    Symbol(#[serde(deserialize_with = "crate::spelling::instrument")] Instrument),
    /// An account's orders in an instrument.
    Position(Arc<str>, #[serde(deserialize_with = "crate::spelling::instrument")] Instrument),
}

impl Scope {
    /// The scope of an account.
    pub fn account(account: &str) -> Self {
        Self::Account(account.into())
    }

    /// The scopes that an order lies under, widest first.
    pub fn over(holder: &Holder, instrument: &Instrument) -> [Self; 5] {
        [
            Self::Everything,
            Self::Account(holder.account.clone()),
            Self::Strategy(holder.clone()),
            Self::Symbol(instrument.clone()),
            Self::Position(holder.account.clone(), instrument.clone()),
        ]
    }

    /// Whether orders of the holder in the instrument lie under it.
    pub fn covers(&self, holder: &Holder, instrument: &Instrument) -> bool {
        match self {
            Self::Everything => true,
            Self::Account(account) => *account == holder.account,
            Self::Strategy(strategy) => strategy == holder,
            Self::Symbol(symbol) => symbol == instrument,
            Self::Position(account, symbol) => *account == holder.account && symbol == instrument,
        }
    }

    /// Whether all its names are there: a control event may come from anywhere.
    pub fn is_whole(&self) -> bool {
        let named = |instrument: &Instrument| Instrument::new(&instrument.venue, &instrument.symbol).is_ok();
        match self {
            Self::Everything => true,
            Self::Account(account) => !account.is_empty(),
            Self::Strategy(holder) => !holder.account.is_empty() && !holder.strategy.is_empty(),
            Self::Symbol(instrument) => named(instrument),
            Self::Position(account, instrument) => !account.is_empty() && named(instrument),
        }
    }
}

/// As in trip ids: `account:a`, `strategy:a/s`, `symbol:binance|BTCUSDT`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Account(account) => write!(f, "account:{account}"),
            Self::Strategy(holder) => write!(f, "strategy:{}/{}", holder.account, holder.strategy),
            Self::Symbol(instrument) => write!(f, "symbol:{}|{}", instrument.venue, instrument.symbol),
            Self::Position(account, instrument) => {
                write!(f, "position:{account}/{}|{}", instrument.venue, instrument.symbol)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_lies_under_exactly_the_scopes_that_cover_it() {
        let holder = Holder { account: "a".into(), strategy: "s".into() };
        let other = Holder { account: "a".into(), strategy: "t".into() };
        let bitcoin = Instrument::new("binance", "BTCUSDT").expect("a name");
        let ether = Instrument::new("binance", "ETHUSDT").expect("a name");
        for scope in Scope::over(&holder, &bitcoin) {
            assert!(scope.covers(&holder, &bitcoin), "{scope}");
        }
        let names: Vec<_> = Scope::over(&holder, &bitcoin).iter().map(Scope::to_string).collect();
        assert_eq!(
            names,
            ["everything", "account:a", "strategy:a/s", "symbol:binance|BTCUSDT", "position:a/binance|BTCUSDT"]
        );
        let covering =
            |scope: &Scope| [(&holder, &ether), (&other, &bitcoin)].map(|(who, what)| scope.covers(who, what));
        let found = Scope::over(&holder, &bitcoin).map(|scope| covering(&scope));
        assert_eq!(found, [[true, true], [true, true], [true, false], [false, true], [false, true]]);
    }
}
