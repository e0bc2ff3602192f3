//! What an account has, has made, is exposed to and could lose, in its base currency.

use super::account::{Account, Amounts};
use super::samples::Rates;
use super::{AccountBook, BookFault};
use crate::equity::Point;
use crate::exact::ONE_E8;
use crate::scenarios::{PnlVector, Tail};
use crate::valuation::{Exposure, Group, Rate};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewheel_schemas::Instrument;

/// What was made, line by line, sixteen decimals. A line is none where a rate is missing or something is unmarked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// Made by closing.
    pub realised_e16: Option<i128>,
    /// Worth at marks less cost.
    pub unrealised_e16: Option<i128>,
    /// Paid in fees; below zero where rebates were more.
    pub fees_e16: Option<i128>,
    /// Received as funding; below zero if paid.
    pub funding_e16: Option<i128>,
}

impl Lines {
    /// All of it: realised and unrealised and funding, less fees.
    pub fn total_e16(&self) -> Option<i128> {
        let made = self.realised_e16?.checked_add(self.unrealised_e16?)?.checked_add(self.funding_e16?)?;
        made.checked_sub(self.fees_e16?)
    }
}

/// The part of a strategy in the numbers of its account.
#[derive(Clone, Debug, PartialEq)]
pub struct StrategyNumbers {
    /// Which.
    pub strategy: Arc<str>,
    /// What it made.
    pub lines: Lines,
    /// Its positions.
    pub exposure: Option<Exposure>,
    /// Positions that hold something.
    pub open_positions: i64,
    /// What it could lose; none with too few scenarios.
    pub tail: Option<Tail>,
}

/// The numbers of an account. With any fault they must not be trusted.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountNumbers {
    /// Whose.
    pub account: Arc<str>,
    /// What all of it is in.
    pub base_currency: Arc<str>,
    /// The event time they are of.
    pub now_ns: i64,
    /// Deposits less withdrawals.
    pub deposits_e16: Option<i128>,
    /// What was made.
    pub lines: Lines,
    /// Deposits, realised and funding, less fees.
    pub cash_e16: Option<i128>,
    /// Cash and unrealised.
    pub equity_e16: Option<i128>,
    /// The running peak of equity, scaled by what was put in or taken out.
    pub peak_e16: Option<i128>,
    /// Equity over its peak less one, zero or below.
    pub drawdown: Option<f64>,
    /// The deepest drawdown of the account's life.
    pub max_drawdown: Option<f64>,
    /// Profit since the day began.
    pub day_profit_e16: Option<i128>,
    /// Equity when the day began, scaled by what was put in and taken out since as the peak is: less the equity it is what the day lost
    /// of it.
    pub day_base_e16: Option<i128>,
    /// All positions.
    pub exposure: Option<Exposure>,
    /// Gross exposure over equity of the account.
    pub leverage: Option<f64>,
    /// The instrument of the greatest gross exposure.
    pub largest_symbol: Option<(Instrument, Exposure)>,
    /// Gross and net by sector, the parts of gross over equity being its concentration.
    pub sectors: Vec<(Arc<str>, Exposure)>,
    /// By asset class.
    pub asset_classes: Vec<(Arc<str>, Exposure)>,
    /// By venue.
    pub venues: Vec<(Arc<str>, Exposure)>,
    /// By strategy.
    pub strategies: Vec<StrategyNumbers>,
    /// Positions that hold something.
    pub open_positions: i64,
    /// What could be lost; none with too few scenarios.
    pub tail: Option<Tail>,
    /// What is wrong, in order.
    pub faults: Vec<BookFault>,
}

impl AccountNumbers {
    /// Whether equity can be relied on: nothing is wrong but that scenarios are too few.
    pub fn is_valued(&self) -> bool {
        self.faults.iter().all(|fault| matches!(fault, BookFault::Scenarios { .. }))
    }

    /// An exposure's gross over the equity of the account; none where equity is not above zero.
    pub fn concentration(&self, exposure: &Exposure) -> Option<f64> {
        let equity = self.equity_e16.filter(|equity| *equity > 0)?;
        Some(exposure.gross_e16 as f64 / equity as f64)
    }
}

/// Sums over the settlement currencies of the cells of one scope.
#[derive(Default)]
struct Gathered {
    gross: Amounts,
    net: Amounts,
    unrealised: Amounts,
    realised: Amounts,
    funding: Amounts,
    open: i64,
    unmarked: i64,
}

impl Gathered {
    /// Whether anything is held or was made.
    fn is_of_anything(&self) -> bool {
        self.open > 0 || self.realised.values().chain(self.funding.values()).any(|amount| *amount != 0)
    }
}

impl AccountBook {
    /// The accounts there are, in the order they came.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<str>> {
        self.accounts.iter().map(|account| &account.name)
    }

    /// The numbers of an account at the event time reached. None of an account that nothing was heard of.
    ///
    /// Costs its currencies, sectors, classes, venues and strategies, each strategy its scenarios; not its positions.
    pub fn numbers(&self, account: &str) -> Option<AccountNumbers> {
        let number = *self.account_numbers.get(account)?;
        let account = &self.accounts[number];
        let mut rates = Rates::new(self, &account.base_currency, None);
        let mut scopes = self.gather(account);
        let mut faults: BTreeSet<BookFault> = account.uncertain().cloned().map(BookFault::RefusedFills).collect();
        faults.extend(account.has_lost_cash.then_some(BookFault::RefusedCash));
        let all = scopes.remove(&Group::Account).unwrap_or_default();
        self.add_mark_faults(account, &all, &mut faults);

        let deposits = rates.sum(&account.deposits);
        let lines = lines(&all, &fees_of(account, None), &mut rates);
        let made = [deposits, lines.realised_e16, lines.funding_e16, lines.fees_e16.map(|fees| -fees)];
        let cash = made.into_iter().try_fold(0i128, |sum, line| sum.checked_add(line?));
        let equity = cash.zip(lines.unrealised_e16).and_then(|(cash, unrealised)| cash.checked_add(unrealised));
        let exposure = exposure(&all, &mut rates);
        let tail = self.tail(account, None, &mut rates, all.open, &mut faults);

        let mut numbers = AccountNumbers {
            account: account.name.clone(),
            base_currency: account.base_currency.clone(),
            now_ns: self.now_ns,
            deposits_e16: deposits,
            lines,
            cash_e16: cash,
            equity_e16: equity,
            peak_e16: None,
            drawdown: None,
            max_drawdown: None,
            day_profit_e16: None,
            day_base_e16: None,
            exposure,
            leverage: None,
            largest_symbol: self.largest_symbol(account, &mut rates),
            sectors: Vec::new(),
            asset_classes: Vec::new(),
            venues: Vec::new(),
            strategies: Vec::new(),
            open_positions: all.open,
            tail,
            faults: Vec::new(),
        };
        // What was held and is not is no part of any list, so that it does not matter whether a cancelled fill ever came.
        let mut parts = scopes;
        parts.retain(|scope, gathered| match scope {
            Group::Strategy(strategy) => gathered.is_of_anything() || !fees_of(account, Some(strategy)).is_empty(),
            _ => gathered.open > 0,
        });
        for (scope, gathered) in parts {
            let list = match scope {
                Group::Sector(name) => (&mut numbers.sectors, name),
                Group::AssetClass(name) => (&mut numbers.asset_classes, name),
                Group::Venue(name) => (&mut numbers.venues, name),
                Group::Strategy(strategy) => {
                    let part = self.strategy(account, strategy, &gathered, &mut rates);
                    numbers.strategies.push(part);
                    continue;
                }
                Group::Account | Group::Symbol(_) => continue,
            };
            if let Some(exposure) = self::exposure(&gathered, &mut rates) {
                list.0.push((list.1, exposure));
            }
        }
        self.add_equity(number, &mut numbers, &mut rates, &mut faults);
        for (_, rate) in rates.into_known() {
            match rate {
                Ok(rate) => faults.extend(rate.stale().cloned().map(BookFault::StaleRate)),
                Err(error) => {
                    faults.insert(error.into());
                }
            }
        }
        numbers.faults = faults.into_iter().collect();
        Some(numbers)
    }

    /// The sums of an account by scope, all but those of its instruments.
    fn gather(&self, account: &Account) -> BTreeMap<Group, Gathered> {
        let mut scopes: BTreeMap<Group, Gathered> = BTreeMap::new();
        let symbols = Group::Symbol(Instrument { venue: "".into(), symbol: "".into() });
        let after_symbols = Group::Sector("".into());
        let first = account.cells.range(..(symbols, "".into()));
        let second = account.cells.range((after_symbols, "".into())..);
        for ((scope, currency), cell) in first.chain(second) {
            let cell = &self.cells[*cell];
            let gathered = scopes.entry(scope.clone()).or_default();
            gathered.gross.insert(currency.clone(), cell.exposure.gross_e16);
            gathered.net.insert(currency.clone(), cell.exposure.net_e16);
            gathered.unrealised.insert(currency.clone(), cell.unrealised_e16);
            gathered.realised.insert(currency.clone(), cell.realised_e16);
            gathered.funding.insert(currency.clone(), cell.funding_e16);
            gathered.open += cell.open;
            gathered.unmarked += cell.unmarked;
        }
        scopes
    }

    fn add_mark_faults(&self, account: &Account, all: &Gathered, faults: &mut BTreeSet<BookFault>) {
        if all.unmarked > 0 {
            let held = account.positions.iter().map(|number| &self.positions[*number]);
            let unmarked = held.filter(|held| held.shown.unmarked > 0);
            faults.extend(
                unmarked
                    .map(|held| BookFault::Unmarked(self.instruments[held.instrument].reference.instrument.clone())),
            );
        }
        let oldest = self.now_ns.saturating_sub(self.config.mark_stale_after_ns);
        let stale = self.ages.range(..(oldest, 0)).map(|(_, instrument)| *instrument);
        let held = account.tops.values().flat_map(|top| &self.tops[*top]).map(|(_, instrument)| *instrument);
        let name = |instrument: usize| self.instruments[instrument].reference.instrument.clone();
        // Whichever are fewer: what is stale at all, or what the account holds.
        let few = held.clone().count();
        if stale.clone().take(few + 1).count() > few {
            let source = self.config.mark_source;
            let is_stale = |instrument: &usize| {
                self.instruments[*instrument].mark(source).is_some_and(|mark| mark.event_time_ns < oldest)
            };
            faults.extend(held.filter(is_stale).map(|instrument| BookFault::StaleMark(name(instrument))));
            return;
        }
        for instrument in stale {
            let currency = self.instruments[instrument].reference.settlement_currency().clone();
            let cell = account.cells.get(&(Group::Symbol(name(instrument)), currency));
            if cell.is_some_and(|cell| self.cells[*cell].open > 0) {
                faults.insert(BookFault::StaleMark(name(instrument)));
            }
        }
    }

    fn add_equity(
        &self,
        number: usize,
        numbers: &mut AccountNumbers,
        rates: &mut Rates<'_>,
        faults: &mut BTreeSet<BookFault>,
    ) {
        let account = &self.accounts[number];
        let since = self.sample_times.last().copied().unwrap_or(self.frozen_ns);
        let folded = self.last(number).cloned().unwrap_or_else(|| self.folded_until(number, i64::MAX));
        if folded.is_broken {
            faults.insert(BookFault::OutOfRange);
        }
        let mut flows = folded.waiting;
        for movement in account.movements.values().filter(|movement| movement.event_time_ns >= since) {
            let amount = i128::from(movement.amount_e8) * ONE_E8;
            *flows.entry(movement.currency.clone()).or_default() += amount;
        }
        let Some((equity, flow_e16)) = numbers.equity_e16.zip(rates.sum(&flows)) else { return };
        // The present is a sample that is not kept. What was sampled this very moment is moved by nothing but flows.
        let point = Point { time_ns: self.now_ns, equity_e16: Some(equity), flow_e16 };
        let curve = folded.curve.step(&point, self.config.day_offset_ns);
        let Some(curve) = curve else {
            faults.insert(BookFault::OutOfRange);
            return;
        };
        numbers.peak_e16 = curve.peak_e16;
        numbers.drawdown = curve.drawdown();
        numbers.max_drawdown = curve.max_drawdown();
        numbers.day_profit_e16 = curve.day_profit_e16();
        numbers.day_base_e16 = Some(curve.day_base_e16);
        if equity > 0 {
            numbers.leverage = numbers.exposure.map(|exposure| exposure.gross_e16 as f64 / equity as f64);
        } else if numbers.open_positions > 0 {
            faults.insert(BookFault::NoEquity);
        }
    }

    fn strategy(
        &self,
        account: &Account,
        strategy: Arc<str>,
        gathered: &Gathered,
        rates: &mut Rates<'_>,
    ) -> StrategyNumbers {
        StrategyNumbers {
            lines: lines(gathered, &fees_of(account, Some(&strategy)), rates),
            exposure: exposure(gathered, rates),
            open_positions: gathered.open,
            // Too few scenarios of a strategy are the account's fault too, since it holds the same and more.
            tail: self.tail(account, Some(&strategy), rates, gathered.open, &mut BTreeSet::new()),
            strategy,
        }
    }

    /// The instrument of the greatest gross exposure; of equal ones the last by name.
    fn largest_symbol(&self, account: &Account, rates: &mut Rates<'_>) -> Option<(Instrument, Exposure)> {
        let largest = account.tops.iter().filter_map(|(currency, top)| {
            let (gross, _) = self.tops[*top].last()?;
            let equal = self.tops[*top].range((*gross, 0)..);
            let instrument = equal.map(|(_, number)| &self.instruments[*number].reference.instrument).max()?;
            let cell = account.cells.get(&(Group::Symbol(instrument.clone()), currency.clone()))?;
            let exposure = converted(&self.cells[*cell].exposure, rates.rate(currency).as_ref().ok()?)?;
            Some((instrument.clone(), exposure))
        });
        largest.max_by_key(|(instrument, exposure)| (exposure.gross_e16, instrument.clone()))
    }

    /// What an account or one of its strategies could lose.
    fn tail(
        &self,
        account: &Account,
        strategy: Option<&Arc<str>>,
        rates: &mut Rates<'_>,
        open: i64,
        faults: &mut BTreeSet<BookFault>,
    ) -> Option<Tail> {
        if open == 0 {
            return Tail::of(&[0, 0]);
        }
        let parts = self.vectors_of(account, strategy, rates)?;
        let Some(profits) = self.profits(&parts) else {
            faults.insert(BookFault::OutOfRange);
            return None;
        };
        let (have, need) = (profits.len(), self.config.scenarios_min);
        if have < need {
            faults.insert(BookFault::Scenarios { have, need });
            return None;
        }
        Tail::of(&profits.into_iter().map(|(_, profit)| profit).collect::<Vec<_>>())
    }

    /// The vectors of an account or a strategy by currency, of those in which something is held, each with its rate. None where a
    /// rate is missing. An account's vector is the sum of its strategies', which is exact, and so need not be kept.
    pub(super) fn vectors_of(
        &self,
        account: &Account,
        strategy: Option<&Arc<str>>,
        rates: &mut Rates<'_>,
    ) -> Option<Vec<(Cow<'_, PnlVector>, Rate)>> {
        let mut parts: BTreeMap<&Arc<str>, Cow<'_, PnlVector>> = BTreeMap::new();
        for ((owner, currency), vector) in &account.vectors {
            let key = (Group::Strategy(owner.clone()), currency.clone());
            let is_open = account.cells.get(&key).is_some_and(|cell| self.cells[*cell].open > 0);
            if !is_open || strategy.is_some_and(|strategy| strategy != owner) {
                continue;
            }
            let vector = &self.vectors[*vector];
            parts.entry(currency).and_modify(|sum| sum.to_mut().add(vector)).or_insert(Cow::Borrowed(vector));
        }
        parts.into_iter().map(|(currency, vector)| Some((vector, rates.rate(currency).clone().ok()?))).collect()
    }

    /// Slot and profit, seventeen decimals, of each scenario in which all that is held has a return, oldest first.
    pub(super) fn profits(&self, parts: &[(Cow<'_, PnlVector>, Rate)]) -> Option<Vec<(usize, i128)>> {
        let scenarios = self.grid.scenarios().map(|(slot, _)| slot);
        let whole = scenarios.filter(|slot| parts.iter().all(|(vector, _)| vector.missing[*slot] == 0));
        whole
            .map(|slot| {
                let profit = parts
                    .iter()
                    .try_fold(0i128, |sum, (vector, rate)| sum.checked_add(rate.convert(vector.sums_e17[slot])?));
                Some((slot, profit?))
            })
            .collect()
    }
}

fn fees_of(account: &Account, strategy: Option<&Arc<str>>) -> Amounts {
    let own = account.fees.iter().filter(|((owner, _), fee)| owner.as_ref() == strategy && **fee != 0);
    own.map(|((_, currency), fee)| (currency.clone(), *fee)).collect()
}

fn lines(gathered: &Gathered, fees: &Amounts, rates: &mut Rates<'_>) -> Lines {
    Lines {
        realised_e16: rates.sum(&gathered.realised),
        unrealised_e16: if gathered.unmarked == 0 { rates.sum(&gathered.unrealised) } else { None },
        fees_e16: rates.sum(fees),
        funding_e16: rates.sum(&gathered.funding),
    }
}

fn exposure(gathered: &Gathered, rates: &mut Rates<'_>) -> Option<Exposure> {
    if gathered.unmarked > 0 {
        return None;
    }
    Some(Exposure { gross_e16: rates.sum(&gathered.gross)?, net_e16: rates.sum(&gathered.net)? })
}

pub(super) fn converted(exposure: &Exposure, rate: &Rate) -> Option<Exposure> {
    Some(Exposure { gross_e16: rate.convert(exposure.gross_e16)?, net_e16: rate.convert(exposure.net_e16)? })
}
