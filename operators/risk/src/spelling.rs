//! Venues are lower case in all records; what people write is read as if they had written so. A kill of `Binance|BTCUSDT` that nobody's
//! orders lie under would be told as done and stop nothing.

use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use tidewheel_schemas::Instrument;

pub(crate) fn instrument<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Instrument, D::Error> {
    let Instrument { venue, symbol } = Instrument::deserialize(deserializer)?;
    Ok(Instrument { venue: venue.to_ascii_lowercase().into(), symbol })
}

/// `venue|symbol`, each of a list.
pub(crate) fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<String>::deserialize(deserializer)?.into_iter().map(|name| lower_venue(&name)).collect())
}

/// `venue|symbol`, where there is one.
pub(crate) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(|name| lower_venue(&name)))
}

/// What is kept by venue. One venue in two spellings is refused: nobody knows which of the two counts.
pub(crate) fn by_venue<'de, D, T>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let mut by_venue = BTreeMap::new();
    for (venue, value) in BTreeMap::<String, T>::deserialize(deserializer)? {
        let venue = venue.to_ascii_lowercase();
        if by_venue.insert(venue.clone(), value).is_some() {
            return Err(serde::de::Error::custom(format!("venue {venue} is named twice")));
        }
    }
    Ok(by_venue)
}

fn lower_venue(name: &str) -> String {
    match name.split_once('|') {
        Some((venue, symbol)) => format!("{}|{symbol}", venue.to_ascii_lowercase()),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::levels::Scope;
    use crate::policy::Policy;
    use tidewheel_schemas::Holder;
    use tidewheel_schemas::Instrument;

    #[test]
    fn a_scope_covers_its_instrument_however_its_venue_is_spelled() {
        let bitcoin = Instrument::new("binance", "BTCUSDT").expect("a name");
        let holder = Holder { account: "Main".into(), strategy: "S".into() };
        for text in [
            r#"{"symbol": {"venue": "Binance", "symbol": "BTCUSDT"}}"#,
            r#"{"position": ["Main", {"venue": "BINANCE", "symbol": "BTCUSDT"}]}"#,
        ] {
            let scope: Scope = serde_json::from_str(text).expect("a scope");
            assert!(scope.covers(&holder, &bitcoin), "{scope}");
            let written = serde_json::to_string(&scope).expect("plain data");
            assert_eq!(serde_json::from_str::<Scope>(&written).expect("a scope"), scope);
        }
    }

    #[test]
    fn a_policy_is_of_its_instruments_however_their_venues_are_spelled() {
        let text = r#"{"version": 1, "universe": ["Binance|BTCUSDT"], "margin": {"venues": {"Kraken": 0.2}},
            "overrides": [{"symbol": "Binance|BTCUSDT", "limits": {"single_position": 0.01}}]}"#;
        let policy: Policy = serde_json::from_str(text).expect("a policy");
        assert_eq!(policy.universe, ["binance|BTCUSDT"]);
        assert_eq!(policy.overrides[0].symbol.as_deref(), Some("binance|BTCUSDT"));
        assert_eq!(policy.margin.at("kraken"), serde_json::from_str("0.2").expect("a ratio"));
        let twice = r#"{"version": 1, "margin": {"venues": {"Kraken": 0.2, "kraken": 0.3}}}"#;
        assert!(serde_json::from_str::<Policy>(twice).is_err());
    }
}
