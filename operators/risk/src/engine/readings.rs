//! What the rules watch of an account, from its numbers.
//!
//! | measure | scope | value |
//! | --- | --- | --- |
//! | value at risk | account, strategy | `historical_var_95` over the equity of the account |
//! | drawdown | account | loss from the running peak over the peak |
//! | daily loss | account | loss of the day over what the day began with, that being scaled by flows since |
//! | leverage | account | the greatest, over venues, of exposure over margin equity there |
//! | concentration | account | the greatest, over symbols, sectors and classes, of exposure over what its limit allows |
//!
//! An account with any fault has that fault as a reading at every measure, beside the value where there is one: what numbers by an old
//! mark or without a refused fill say of a loss counts too. Where scenarios are too few, only value at risk has that fault.

use super::view::as_fault;
use crate::book::{AccountBook, AccountNumbers, BookFault};
use crate::breakers::{Fault, Measure, Reading};
use crate::levels::Scope;
use crate::policy::{Limits, Policy, Ratio};
use crate::scenarios::Tail;
use tidewheel_schemas::{Holder, Instrument};

pub(super) fn readings(policy: &Policy, book: &AccountBook, numbers: &AccountNumbers, as_of_ns: i64) -> Vec<Reading> {
    let is_scenarios = |fault: &&BookFault| matches!(fault, BookFault::Scenarios { .. });
    let grave = numbers.faults.iter().find(|fault| !is_scenarios(fault)).map(as_fault);
    let few = numbers.faults.iter().find(is_scenarios).map(as_fault);
    let account = Scope::Account(numbers.account.clone());
    let mut readings = Vec::new();
    let mut read = |measure, scope: Scope, value: Result<f64, Fault>| {
        if grave.is_none() || value.is_ok() {
            readings.push(Reading { measure, scope: scope.clone(), value, as_of_ns });
        }
        let fault = grave.clone().map(Err);
        readings.extend(fault.map(|value| Reading { measure, scope, value, as_of_ns }));
    };
    let at_risk = |tail: Option<&Tail>| {
        let tail = tail.ok_or_else(|| few.clone().unwrap_or_else(|| Fault::Missing("scenarios".into())))?;
        share(tail.historical_var_95_e16, numbers.equity_e16)
    };
    read(Measure::ValueAtRisk, account.clone(), at_risk(numbers.tail.as_ref()));
    for strategy in &numbers.strategies {
        let holder = Holder { account: numbers.account.clone(), strategy: strategy.strategy.clone() };
        read(Measure::ValueAtRisk, Scope::Strategy(holder), at_risk(strategy.tail.as_ref()));
    }
    let is_empty = numbers.open_positions == 0 && numbers.equity_e16 == Some(0);
    let drawdown = match numbers.drawdown {
        Some(drawdown) => Ok(-drawdown),
        // Nothing is there and nothing is held: nothing was lost that a peak above zero would tell.
        None if is_empty => Ok(0.0),
        None => Err(Fault::Missing("peak above zero".into())),
    };
    read(Measure::Drawdown, account.clone(), drawdown);
    let lost = numbers.day_base_e16.zip(numbers.equity_e16).and_then(|(base, equity)| base.checked_sub(equity));
    let lost = lost.ok_or(Fault::OutOfRange);
    read(Measure::DailyLoss, account.clone(), lost.and_then(|lost| share(lost, numbers.day_base_e16)));
    let leverages = numbers.venues.iter().map(|(venue, exposure)| {
        let margin = numbers.equity_e16.and_then(|equity| policy.margin.at(venue).of(equity));
        share(exposure.gross_e16, margin)
    });
    read(Measure::Leverage, account.clone(), greatest(leverages));
    read(Measure::Concentration, account, concentration(policy, book, numbers));
    readings
}

/// The greatest exposure of a symbol, sector or class as a share of what its limit allows.
fn concentration(policy: &Policy, book: &AccountBook, numbers: &AccountNumbers) -> Result<f64, Fault> {
    let equity = numbers.equity_e16;
    let allowed = |limit: Ratio| equity.and_then(|equity| limit.of(equity));
    // What an account is held to whatever its strategy and instrument: no name is empty.
    let anyone = Holder { account: numbers.account.clone(), strategy: "".into() };
    let of = |instrument: &Instrument| -> Limits { policy.limits.of(&policy.overrides, &anyone, instrument) };
    let general = of(&Instrument { venue: "".into(), symbol: "".into() });
    // With limits by symbol the largest is not always the one that is nearest to its limit.
    let symbols = if policy.overrides.iter().any(|entry| entry.symbol.is_some()) {
        book.symbols(&numbers.account).ok_or(Fault::OutOfRange)?
    } else {
        numbers.largest_symbol.iter().cloned().collect()
    };
    let symbols = symbols.iter().map(|(instrument, exposure)| (exposure, of(instrument).single_position));
    let sectors = numbers.sectors.iter().map(|(_, exposure)| (exposure, general.sector));
    let classes = numbers.asset_classes.iter().map(|(_, exposure)| (exposure, general.asset_class));
    greatest(symbols.chain(sectors).chain(classes).map(|(exposure, limit)| share(exposure.gross_e16, allowed(limit))))
}

fn greatest(shares: impl Iterator<Item = Result<f64, Fault>>) -> Result<f64, Fault> {
    shares.into_iter().try_fold(0.0, |greatest: f64, share| Ok(greatest.max(share?)))
}

/// An amount over a base; nothing is no part of anything.
pub(super) fn share(amount_e16: i128, base_e16: Option<i128>) -> Result<f64, Fault> {
    match base_e16 {
        _ if amount_e16 == 0 => Ok(0.0),
        Some(base) if base > 0 => Ok(amount_e16 as f64 / base as f64),
        _ => Err(Fault::Missing("equity above zero".into())),
    }
}
