//! The book as decisions see it: the numbers of the tick, and nothing at all where they cannot be trusted. What is held, and the mark of an
//! instrument, are told whatever else is wrong: by these positions become smaller.

use crate::book::{AccountBook, AccountNumbers, BookFault};
use crate::breakers::Fault;
use crate::decisions::{Book, GroupRef, Market, Money, multiply_divide_up};
use crate::policy::Margin;
use crate::valuation::{Exposure, Mark};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{ContractKind, Holder, Instrument};

/// The book with the numbers of its accounts, reckoned once a tick.
///
/// Exposure is exact but for half of the sixteenth decimal of the settlement currency a position, since the book rounds half to even:
/// some thousand-millionths of a cent where that is bitcoin.
pub(super) struct BookView<'a> {
    pub(super) book: &'a AccountBook,
    pub(super) numbers: &'a BTreeMap<Arc<str>, AccountNumbers>,
    pub(super) margin: &'a Margin,
}

impl BookView<'_> {
    /// The numbers of an account that has no fault.
    fn trusted(&self, account: &str) -> Result<&AccountNumbers, Fault> {
        let numbers = self.numbers.get(account).ok_or_else(|| Fault::Missing("account".into()))?;
        numbers.faults.first().map_or(Ok(numbers), |fault| Err(as_fault(fault)))
    }
}

impl Book for BookView<'_> {
    fn account(&self, account: &str) -> Result<Money, Fault> {
        let numbers = self.trusted(account)?;
        let missing = || Fault::Missing("equity".into());
        Ok(Money {
            equity_e16: numbers.equity_e16.ok_or_else(missing)?,
            peak_e16: numbers.peak_e16.ok_or_else(missing)?,
            day_start_e16: numbers.day_base_e16.ok_or_else(missing)?,
            positions: u32::try_from(numbers.open_positions).map_err(|_| Fault::OutOfRange)?,
        })
    }

    fn exposure_e16(&self, account: &str, group: GroupRef<'_>) -> Result<i128, Fault> {
        let numbers = self.trusted(account)?;
        let named = |list: &[(Arc<str>, Exposure)], wanted: &str| {
            list.iter().find(|(name, _)| **name == *wanted).map_or(0, |(_, exposure)| exposure.gross_e16)
        };
        let whole = |exposure: Option<Exposure>| exposure.map(|exposure| exposure.gross_e16).ok_or(Fault::OutOfRange);
        match group {
            GroupRef::Account => whole(numbers.exposure),
            GroupRef::Strategy(wanted) => {
                let strategy = numbers.strategies.iter().find(|strategy| *strategy.strategy == *wanted);
                strategy.map_or(Ok(0), |strategy| whole(strategy.exposure))
            }
            GroupRef::Symbol(instrument) => whole(self.book.symbol(account, instrument)),
            GroupRef::Sector(name) => Ok(named(&numbers.sectors, name)),
            GroupRef::AssetClass(name) => Ok(named(&numbers.asset_classes, name)),
            GroupRef::Venue(name) => Ok(named(&numbers.venues, name)),
        }
    }

    fn margin_equity_e16(&self, account: &str, venue: &str) -> Result<i128, Fault> {
        let equity = self.account(account)?.equity_e16;
        self.margin.at(venue).of(equity).ok_or(Fault::OutOfRange)
    }

    fn quantity_e8(&self, holder: &Holder, instrument: &Instrument) -> i64 {
        self.book.quantity_e8(holder, instrument)
    }

    fn mark(&self, instrument: &Instrument) -> Result<Mark, Fault> {
        self.book.mark_of(instrument).copied().ok_or_else(|| Fault::Missing(format!("mark of {}", name(instrument))))
    }

    fn market(&self, account: &str, instrument: &Instrument) -> Result<Market<'_>, Fault> {
        let missing = |what: &str| Fault::Missing(format!("{what} of {}", name(instrument)));
        let reference = self.book.reference_of(instrument).ok_or_else(|| missing("reference data"))?;
        let mark = self.mark(instrument)?;
        let rate = self.book.rate(account, reference.settlement_currency());
        let rate = rate.map_err(|no_rate| as_fault(&no_rate.into()))?;
        // Rounded half to even on the way: one more is above what is right.
        let settlement_rate_e18 = rate.convert(E18).and_then(|units| units.checked_add(i128::from(!rate.is_one())));
        let settlement_rate_e18 = settlement_rate_e18.ok_or(Fault::OutOfRange)?;
        let quote_rate_e18 = match reference.kind {
            ContractKind::Linear => settlement_rate_e18,
            // It settles in the base asset: a unit of the quote asset is that much less of it.
            ContractKind::Inverse => {
                let (base, mark_e8) = (u128::try_from(settlement_rate_e18), u64::try_from(mark.price_e8));
                let units = base.ok().zip(mark_e8.ok());
                let units = units.and_then(|(base, mark_e8)| multiply_divide_up(base, ONE_E8, mark_e8));
                units.and_then(|units| i128::try_from(units).ok()).ok_or(Fault::OutOfRange)?
            }
        };
        Ok(Market {
            kind: reference.kind,
            multiplier_e8: reference.multiplier_e8,
            sector: &reference.sector,
            asset_class: &reference.asset_class,
            mark_e8: mark.price_e8,
            mark_ns: rate.oldest_ns().map_or(mark.event_time_ns, |oldest_ns| oldest_ns.min(mark.event_time_ns)),
            quote_rate_e18,
        })
    }
}

const E18: i128 = 1_000_000_000_000_000_000;
const ONE_E8: u128 = 100_000_000;

/// As in rules and decisions: what there is no trusted number of is missing.
pub(super) fn as_fault(fault: &BookFault) -> Fault {
    let missing = |what: String| Fault::Missing(what);
    match fault {
        BookFault::Unmarked(instrument) => missing(format!("mark of {}", name(instrument))),
        BookFault::StaleMark(instrument) => missing(format!("fresh mark of {}", name(instrument))),
        BookFault::NoRate { from, to } => missing(format!("rate from {from} to {to}")),
        BookFault::StaleRate(instrument) => missing(format!("fresh rate by {}", name(instrument))),
        BookFault::Scenarios { need, .. } => missing(format!("scenarios, {need} of them")),
        BookFault::RefusedFills(instrument) => missing(format!("reference data of fills in {}", name(instrument))),
        BookFault::RefusedCash => missing("a movement of cash that does not count".into()),
        BookFault::NoEquity => missing("equity above zero".into()),
        BookFault::OutOfRange => Fault::OutOfRange,
    }
}

fn name(instrument: &Instrument) -> String {
    format!("{}|{}", instrument.venue, instrument.symbol)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{BookConfig, BookEvent, Outcome};
    use crate::valuation::MarkSource;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use tidewheel_schemas::{CashMovement, Fill, InstrumentReference, Side};

    const UNIT: i64 = 100_000_000;
    const LISTED: [(&str, &str, &str, ContractKind, i64, i64); 5] = [
        ("BTCUSDT", "BTC", "USDT", ContractKind::Linear, UNIT, 60_000 * UNIT),
        ("EURUSDT", "EUR", "USDT", ContractKind::Linear, UNIT, 110_000_000),
        ("ETHBTC", "ETH", "BTC", ContractKind::Linear, UNIT, 5_000_000),
        ("TENTH", "BTC", "USDT", ContractKind::Linear, UNIT / 10, 60_000 * UNIT),
        ("XBTUSD", "BTC", "USD", ContractKind::Inverse, 100 * UNIT, 60_000 * UNIT),
    ];

    fn instrument(symbol: &str) -> Instrument {
        Instrument::new("venue", symbol).expect("a name")
    }

    fn apply(book: &mut AccountBook, event: BookEvent) {
        assert_eq!(book.apply(event.clone()), Ok(Outcome::Applied), "{event:?}");
    }

    /// A book in which two accounts, one of them in euro, hold a random quantity of everything.
    fn book(random: &mut ChaCha8Rng) -> AccountBook {
        let mut book = AccountBook::new(BookConfig {
            base_currencies: [("euro".into(), "EUR".into())].into(),
            scenarios_min: 2,
            ..BookConfig::default()
        });
        for (at, (symbol, base, quote, kind, multiplier_e8, price_e8)) in LISTED.into_iter().enumerate() {
            let price_e8 = price_e8 / 1_000 * random.random_range(500..2_000) + random.random_range(1..1_000);
            apply(
                &mut book,
                BookEvent::Reference(InstrumentReference {
                    instrument: instrument(symbol),
                    asset_class: "crypto".into(),
                    sector: "coin".into(),
                    base_currency: base.into(),
                    quote_currency: quote.into(),
                    kind,
                    multiplier_e8,
                }),
            );
            let mark = Mark { event_time_ns: 10 + at as i64, sequence: 0, price_e8 };
            apply(&mut book, BookEvent::Mark { instrument: instrument(symbol), source: MarkSource::Trade, mark });
            for bar in 0..4 {
                let (bar_time_ns, close_e8) = (bar * 3_600_000_000_000, Some(price_e8 + bar));
                apply(&mut book, BookEvent::Close { instrument: instrument(symbol), bar_time_ns, close_e8 });
            }
            for account in ["main", "euro"] {
                apply(
                    &mut book,
                    BookEvent::Fill(Fill {
                        holder: Holder { account: account.into(), strategy: "s".into() },
                        instrument: instrument(symbol),
                        fill_id: "1".into(),
                        intent_id: None,
                        side: if random.random() { Side::Buy } else { Side::Sell },
                        quantity_e8: random.random_range(1..1_000 * UNIT),
                        price_e8,
                        fee_e8: 0,
                        fee_currency: "USDT".into(),
                        event_time_ns: 20,
                    }),
                );
            }
        }
        for account in ["main", "euro"] {
            let (account, id, currency): (Arc<str>, _, _) = (account.into(), "c".into(), "USDT".into());
            let amount_e8 = 1_000_000_000 * UNIT;
            apply(&mut book, BookEvent::Cash(CashMovement { account, id, currency, amount_e8, event_time_ns: 5 }));
        }
        book.advance(30);
        book
    }

    #[test]
    fn an_order_is_worth_what_the_book_says_of_the_same_position() {
        for seed in 0..200 {
            println!("seed {seed}");
            let mut book = book(&mut ChaCha8Rng::seed_from_u64(seed));
            // There is a way to dollars only by bitcoin, whose contract settles in it: none is needed.
            book.set_marks(MarkSource::Trade, 60_000_000_000);
            let numbers = super::super::numbers_of(&book);
            let margin = Margin::default();
            let view = BookView { book: &book, numbers: &numbers, margin: &margin };
            for account in ["main", "euro"] {
                assert_eq!(numbers[account].faults, [], "seed {seed}");
                let money = view.account(account).expect("there is no fault");
                let margin = view.margin_equity_e16(account, "venue").expect("it is known");
                assert_eq!(margin, money.equity_e16 * 3 / 10 - i128::from(money.equity_e16 * 3 % 10 < 0));
                let mut all = 0;
                for (at, (symbol, ..)) in LISTED.into_iter().enumerate() {
                    let market = view.market(account, &instrument(symbol)).expect("all is marked");
                    let holder = Holder { account: account.into(), strategy: "s".into() };
                    let held_e8 = view.quantity_e8(&holder, &instrument(symbol));
                    let value = market.value_e16(held_e8.unsigned_abs().into(), market.mark_e8).expect("it fits");
                    let symbol_ref = instrument(symbol);
                    let held = view.exposure_e16(account, GroupRef::Symbol(&symbol_ref)).expect("it is marked");
                    // The book rounds at the sixteenth decimal of what it settles in, of which one is at most 120,000 dollars.
                    let tolerance = held / 1_000_000_000 + 2;
                    assert!(
                        (-120_000..=tolerance).contains(&(value - held)),
                        "seed {seed} {account} {symbol}: {value} {held}"
                    );
                    // The older of its own mark and those it is converted with; the euro's own is second.
                    let oldest = match (account, symbol) {
                        (_, "BTCUSDT") => 10,
                        ("main", "EURUSDT") => 11,
                        ("main", "TENTH") => 13,
                        ("main", _) | ("euro", "ETHBTC" | "XBTUSD") => 10,
                        _ => 11,
                    };
                    assert_eq!(market.mark_ns, oldest, "{account} {symbol} {at}");
                    all += held;
                }
                let whole = view.exposure_e16(account, GroupRef::Account).expect("all is marked");
                for group in [
                    GroupRef::Strategy("s"),
                    GroupRef::Sector("coin"),
                    GroupRef::AssetClass("crypto"),
                    GroupRef::Venue("venue"),
                ] {
                    assert_eq!(view.exposure_e16(account, group), Ok(whole), "seed {seed}");
                }
                assert!((whole - all).abs() < 20, "seed {seed}: {whole} {all}");
                assert_eq!(view.exposure_e16(account, GroupRef::Sector("other")), Ok(0));
            }
            assert_eq!(view.account("nobody"), Err(Fault::Missing("account".into())));
        }
    }
}
