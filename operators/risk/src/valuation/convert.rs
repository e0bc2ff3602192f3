//! From one currency into another, through marks of pairs.

use crate::exact::{ONE_E8, mul_div};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewheel_schemas::{ContractKind, Instrument, InstrumentReference};

/// Instruments whose price is a rate: linear, of multiplier one, spot or perpetual. By (base, quote).
///
/// Reference data do not say what has an expiry, so the symbol must: one that is base and quote and nothing else (`BTCUSDT`, `BTC-USDT`,
/// `btc/usdt`) is spot, or as good as spot; with `PERP`, `PERPETUAL`, `SWAP` or `P` behind it (`BTC-USDT-SWAP`) it is perpetual, and so is
/// the base alone with one of the first three. All else may be an option or a dated future, whose price is no rate.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    by_currencies: BTreeMap<Currencies, BTreeSet<(Nature, Instrument)>>,
}

/// Base and quote.
type Currencies = (Arc<str>, Arc<str>);

/// What an instrument is by its symbol, the better rate first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nature {
    Spot,
    Perpetual,
}

impl Nature {
    /// None of what may have an expiry.
    fn of(reference: &InstrumentReference) -> Option<Self> {
        let symbol = plain(&reference.instrument.symbol);
        let (base, quote) = (plain(&reference.base_currency), plain(&reference.quote_currency));
        let rest = symbol.strip_prefix(&base)?;
        match (rest.strip_prefix(&quote), rest) {
            (Some(""), _) => Some(Self::Spot),
            (Some("PERP" | "PERPETUAL" | "SWAP" | "P"), _) | (_, "PERP" | "PERPETUAL" | "SWAP") => {
                Some(Self::Perpetual)
            }
            _ => None,
        }
    }
}

/// Letters and digits alone, as capitals; bitcoin by one of its two names.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_uppercase());
    letters.collect::<String>().replace("XBT", "BTC")
}

/// A mark as it is seen when a rate is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The price, eight decimals.
    pub price_e8: i64,
    /// When it was so, nanoseconds.
    pub event_time_ns: i64,
    /// Whether it is too old.
    pub is_stale: bool,
}

/// There is no way from one currency to the other, or no mark on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rate from {from} to {to}")]
pub struct NoRate {
    /// The amount's currency.
    pub from: Arc<str>,
    /// The currency wanted.
    pub to: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Times(i64),
    Over(i64),
}

/// A rate between two currencies: at most two steps, each rounded half to even.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    steps: Vec<Step>,
    stale: Option<Instrument>,
    oldest_ns: Option<i64>,
}

impl Rate {
    /// An amount in the other currency. None if it does not fit.
    pub fn convert(&self, amount: i128) -> Option<i128> {
        self.steps.iter().try_fold(amount, |amount, step| match step {
            Step::Times(price) => mul_div(amount, i128::from(*price), ONE_E8),
            Step::Over(price) => mul_div(amount, ONE_E8, i128::from(*price)),
        })
    }

    /// Whether nothing is to be done.
    pub const fn is_one(&self) -> bool {
        self.steps.is_empty()
    }

    /// The time of the oldest mark on the way, nanoseconds; none where none is needed.
    pub const fn oldest_ns(&self) -> Option<i64> {
        self.oldest_ns
    }

    /// The first pair on the way whose mark is too old.
    pub const fn stale(&self) -> Option<&Instrument> {
        self.stale.as_ref()
    }
}

impl Pairs {
    /// Knows one more instrument, if its price is a rate, and says so.
    pub fn add(&mut self, reference: &InstrumentReference) -> bool {
        let is_plain = reference.kind == ContractKind::Linear && i128::from(reference.multiplier_e8) == ONE_E8;
        let Some(nature) = Nature::of(reference).filter(|_| is_plain) else { return false };
        let key = (reference.base_currency.clone(), reference.quote_currency.clone());
        self.by_currencies.entry(key).or_default().insert((nature, reference.instrument.clone()));
        true
    }

    /// The rate from one currency to another.
    ///
    /// The ways are tried in this order: the pair `from/to`, the pair `to/from`, then each of `hops` in turn, each leg by its own pair
    /// before the turned one. Of several instruments of one pair spot comes before perpetual, then the first by venue and symbol. The
    /// first way whose marks are all fresh is taken; if there is none, the first that has marks, and it says which is stale.
    ///
    /// # Errors
    /// If no way has marks.
    pub fn rate(
        &self,
        from: &Arc<str>,
        to: &Arc<str>,
        hops: &[Arc<str>],
        see: impl Fn(&Instrument) -> Option<Seen>,
    ) -> Result<Rate, NoRate> {
        if from == to {
            return Ok(Rate::default());
        }
        let mut best = self.leg(from, to, &see);
        for hop in hops.iter().filter(|hop| *hop != from && *hop != to) {
            if best.as_ref().is_some_and(|rate| rate.stale.is_none()) {
                break;
            }
            let Some((mut way, last)) = self.leg(from, hop, &see).zip(self.leg(hop, to, &see)) else { continue };
            way.steps.extend(last.steps);
            way.stale = way.stale.or(last.stale);
            way.oldest_ns = way.oldest_ns.into_iter().chain(last.oldest_ns).min();
            if best.is_none() || way.stale.is_none() {
                best = Some(way);
            }
        }
        best.ok_or_else(|| NoRate { from: from.clone(), to: to.clone() })
    }

    fn leg(&self, from: &Arc<str>, to: &Arc<str>, see: impl Fn(&Instrument) -> Option<Seen>) -> Option<Rate> {
        let (mut fresh, mut stale) = (None, None);
        for (key, step) in [
            ((from.clone(), to.clone()), Step::Times as fn(i64) -> Step),
            ((to.clone(), from.clone()), Step::Over as fn(i64) -> Step),
        ] {
            for (_, instrument) in self.by_currencies.get(&key).into_iter().flatten() {
                let Some(seen) = see(instrument) else { continue };
                let (steps, oldest_ns) = (vec![step(seen.price_e8)], Some(seen.event_time_ns));
                if seen.is_stale {
                    stale = stale.or_else(|| Some(Rate { steps, stale: Some(instrument.clone()), oldest_ns }));
                } else {
                    fresh = fresh.or(Some(Rate { steps, stale: None, oldest_ns }));
                }
            }
        }
        fresh.or(stale)
    }

    /// How many instruments have a price that is a rate.
    pub fn len(&self) -> usize {
        self.by_currencies.values().map(BTreeSet::len).sum()
    }

    /// Whether no instrument's price is a rate.
    pub fn is_empty(&self) -> bool {
        self.by_currencies.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str, &str)]) -> Pairs {
        let mut pairs = Pairs::default();
        for (symbol, base, quote) in list {
            pairs.add(&InstrumentReference {
                instrument: Instrument::new(if *symbol == "BTC/USDT" { "venue2" } else { "venue" }, symbol)
                    .expect("the names of the table are well formed"),
                asset_class: "crypto".into(),
                sector: "coin".into(),
                base_currency: (*base).into(),
                quote_currency: (*quote).into(),
                kind: ContractKind::Linear,
                multiplier_e8: 100_000_000,
            });
        }
        pairs
    }

    #[test]
    fn only_what_has_no_expiry_is_a_rate() {
        for (symbol, base, quote, expected) in [
            ("BTCUSDT", "BTC", "USDT", Some(Nature::Spot)),
            ("btc_usdt", "BTC", "USDT", Some(Nature::Spot)),
            ("XBT/USD", "BTC", "USD", Some(Nature::Spot)),
            ("1INCHUSDT", "1INCH", "USDT", Some(Nature::Spot)),
            ("BTC-USDT-SWAP", "BTC", "USDT", Some(Nature::Perpetual)),
            ("BTCUSDT.P", "BTC", "USDT", Some(Nature::Perpetual)),
            ("BTC-PERPETUAL", "BTC", "USD", Some(Nature::Perpetual)),
            ("BTC-26DEC-100000-C", "BTC", "USDT", None),
            ("BTC-USDT-261225", "BTC", "USDT", None),
            ("BTCUSDT_261225-90000-P", "BTC", "USDT", None),
            ("BTC", "BTC", "USDT", None),
            ("BTC-P", "BTC", "USDT", None),
            ("USDTBTC", "BTC", "USDT", None),
        ] {
            let reference = InstrumentReference {
                instrument: Instrument::new("venue", symbol).expect("a name"),
                asset_class: "crypto".into(),
                sector: "coin".into(),
                base_currency: base.into(),
                quote_currency: quote.into(),
                kind: ContractKind::Linear,
                multiplier_e8: 100_000_000,
            };
            assert_eq!(Nature::of(&reference), expected, "{symbol}");
        }
    }

    #[test]
    fn direct_then_turned_then_over_one_hop_and_fresh_before_stale() {
        let pairs = pairs(&[
            ("BTCUSDT", "BTC", "USDT"),
            ("BTC/USDT", "BTC", "USDT"),
            ("USDTEUR", "USDT", "EUR"),
            ("ETHBTC", "ETH", "BTC"),
        ]);
        let hops = ["USDT".into(), "BTC".into()];
        let rate = |from: &str, to: &str, stale: &[&str], gone: &[&str]| {
            let see = |instrument: &Instrument| {
                let price_e8 = match &*instrument.symbol {
                    "BTCUSDT" => 5_000_000_000_000,
                    "BTC/USDT" => 4_000_000_000_000,
                    "USDTEUR" => 80_000_000,
                    _ => 5_000_000,
                };
                let is_stale = stale.contains(&&*instrument.symbol);
                (!gone.contains(&&*instrument.symbol)).then_some(Seen { price_e8, event_time_ns: 0, is_stale })
            };
            let rate = pairs.rate(&from.into(), &to.into(), &hops, see)?;
            Ok((rate.convert(10i128.pow(16)), rate.stale().map(|instrument| instrument.symbol.to_string())))
        };
        let unit = 10i128.pow(16);
        assert_eq!(rate("EUR", "EUR", &[], &["USDTEUR"]), Ok((Some(unit), None)));
        assert_eq!(rate("BTC", "USDT", &[], &[]), Ok((Some(50_000 * unit), None)));
        assert_eq!(rate("USDT", "BTC", &[], &[]), Ok((Some(unit / 50_000), None)));
        assert_eq!(rate("BTC", "EUR", &[], &[]), Ok((Some(40_000 * unit), None)));
        assert_eq!(rate("EUR", "BTC", &[], &[]), Ok((Some(unit / 40_000), None)));
        assert_eq!(rate("ETH", "USDT", &[], &[]), Ok((Some(2_500 * unit), None)));
        assert_eq!(rate("BTC", "USDT", &["BTCUSDT"], &[]), Ok((Some(40_000 * unit), None)));
        assert_eq!(
            rate("BTC", "USDT", &["BTCUSDT", "BTC/USDT"], &[]),
            Ok((Some(50_000 * unit), Some("BTCUSDT".to_owned())))
        );
        assert!(rate("BTC", "EUR", &[], &["USDTEUR"]).is_err());
        // Two hops are one too many.
        assert_eq!(rate("ETH", "EUR", &[], &[]), Err(NoRate { from: "ETH".into(), to: "EUR".into() }));
    }
}
