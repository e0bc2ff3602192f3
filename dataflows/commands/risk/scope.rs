//! Scopes and levels on the command line.

use tidewheel_risk::levels::{Level, Scope};
use tidewheel_schemas::{Holder, Instrument};

pub(super) fn level(text: &str) -> Result<Level, String> {
    let found = [Level::Red, Level::Black].into_iter().find(|level| level.name() == text);
    found.ok_or_else(|| "is red or black".to_owned())
}

/// As a scope prints.
pub(super) fn scope(text: &str) -> Result<Scope, String> {
    let wrong = || "is everything, account:A, strategy:A/S, symbol:VENUE|SYMBOL or position:A/VENUE|SYMBOL".to_owned();
    let instrument = |text: &str| {
        let (venue, symbol) = text.split_once('|').ok_or_else(wrong)?;
        Instrument::new(venue, symbol).map_err(|error| error.to_string())
    };
    let scope = match text.split_once(':') {
        None if text == "everything" => Scope::Everything,
        Some(("account", account)) => Scope::account(account),
        Some(("strategy", names)) => {
            let (account, strategy) = names.split_once('/').ok_or_else(wrong)?;
            Scope::Strategy(Holder { account: account.into(), strategy: strategy.into() })
        }
        Some(("symbol", name)) => Scope::Symbol(instrument(name)?),
        Some(("position", names)) => {
            let (account, name) = names.split_once('/').ok_or_else(wrong)?;
            Scope::Position(account.into(), instrument(name)?)
        }
        _ => return Err(wrong()),
    };
    if scope.is_whole() { Ok(scope) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_print() {
        for text in ["everything", "account:a", "strategy:a/s", "symbol:binance|BTCUSDT", "position:a/binance|BTCUSDT"]
        {
            assert_eq!(scope(text).expect(text).to_string(), text);
        }
        for text in ["all", "account:", "strategy:a", "symbol:BTCUSDT", "position:a", "symbol:|"] {
            assert!(scope(text).is_err(), "{text}");
        }
    }
}
