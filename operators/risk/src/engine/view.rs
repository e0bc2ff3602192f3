//! The book as decisions see it: the numbers of the tick, and nothing at all where they cannot be trusted.

use crate::book::{AccountBook, AccountNumbers, BookFault};
use crate::breakers::Fault;
use crate::decisions::{Book, GroupRef, Market, Money, multiply_divide_up};
use crate::policy::Margin;
use crate::valuation::Exposure;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{ContractKind, Holder, Instrument};

/// The book with the numbers of its accounts, reckoned once a tick.
///
/// Exposure is exact but for half of the sixteenth decimal a position, since the book rounds half to even.
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

    fn market(&self, account: &str, instrument: &Instrument) -> Result<Market<'_>, Fault> {
        let missing = |what: &str| Fault::Missing(format!("{what} of {}", name(instrument)));
        let reference = self.book.reference_of(instrument).ok_or_else(|| missing("reference data"))?;
        let mark = self.book.mark_of(instrument).ok_or_else(|| missing("mark"))?;
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
        BookFault::NoEquity => missing("equity above zero".into()),
        BookFault::OutOfRange => Fault::OutOfRange,
    }
}

fn name(instrument: &Instrument) -> String {
    format!("{}|{}", instrument.venue, instrument.symbol)
}
