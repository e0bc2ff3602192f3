//! What all open orders of an account come to, group by group, and how much more of its equity may be spent on orders.

use super::book::{Book, GroupRef, Market};
use super::exact::multiply_divide_up;
use super::reason::{LimitKind, LimitUse};
use super::reserved::{Line, Worst};
use crate::breakers::Fault;
use crate::policy::{Limits, Policy, Ratio};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{Holder, Instrument};

/// What the open orders in a group of positions come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    /// By how much its exposure may exceed what it is now.
    pub extra_e16: i128,
    /// The strictest limits of those that grow; none where all of them only reduce.
    pub limits: Option<Limits>,
}

impl Share {
    fn change(&mut self, more_e16: i128, limits: Option<&Limits>) -> Option<()> {
        self.extra_e16 = self.extra_e16.checked_add(more_e16)?;
        if let Some(limits) = limits {
            self.limits = Some(self.limits.as_ref().map_or_else(|| limits.clone(), |known| stricter(known, limits)));
        }
        Some(())
    }
}

/// The sums over an account's positions, in the groups that limits know.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    pub burden_e16: i128,
    pub opens: u32,
    pub account: Share,
    pub strategies: BTreeMap<Arc<str>, Share>,
    pub symbols: BTreeMap<Instrument, Share>,
    pub sectors: BTreeMap<Arc<str>, Share>,
    pub classes: BTreeMap<Arc<str>, Share>,
    pub venues: BTreeMap<Arc<str>, Share>,
    /// The group in which open orders leave the least.
    pub tightest: Option<Tight>,
}

/// A group of open orders that grow, and what the account's orders may cost before it passes its limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tight {
    limit: LimitKind,
    value_e16: i128,
    share: Ratio,
    base_e16: i128,
    /// What all open orders of the account may cost, sixteen decimals.
    room_e16: i128,
}

impl Tight {
    /// What the group would use, where its limit would be passed by what all orders cost.
    pub fn passed(&self, burden_e16: i128) -> Option<LimitUse> {
        let allowed = self.share.of(self.base_e16.checked_sub(burden_e16)?)?;
        (burden_e16 > self.room_e16).then_some(LimitUse { limit: self.limit, value: self.value_e16, allowed })
    }
}

/// A position's open orders, as they were and as they are.
pub(super) struct Change<'a> {
    pub holder: &'a Holder,
    pub instrument: &'a Instrument,
    pub market: &'a Market<'a>,
    pub worst: [Worst; 2],
    /// What all positions in the instrument come to.
    pub symbol_e16: i128,
    /// What its orders are held to, where they grow.
    pub limits: Option<&'a Limits>,
}

impl Sums {
    /// What an account's open orders come to at the marks of the tick.
    pub fn of(
        lines: &mut BTreeMap<(Instrument, Arc<str>), Line>,
        book: &impl Book,
        policy: &Policy,
        account: &Arc<str>,
    ) -> Result<Self, Fault> {
        let mut sums = Self::default();
        let mut symbol: Vec<Worst> = Vec::new();
        let mut before: Option<&Instrument> = None;
        for ((instrument, strategy), line) in lines {
            if before.replace(instrument) != Some(instrument) {
                symbol.clear();
            }
            let holder = Holder { account: account.clone(), strategy: strategy.clone() };
            let market = book.market(account, instrument)?;
            let (held_e8, fee) = (book.quantity_e8(&holder, instrument), policy.decisions.fee_allowance);
            line.value = Line::worst(Some(line), &market, held_e8, fee, None).ok_or(Fault::OutOfRange)?;
            symbol.push(line.value);
            let held_e16 = book.exposure_e16(account, GroupRef::Symbol(instrument))?;
            let symbol_e16 = symbol_extra_e16(&market, held_e16, symbol.iter().copied()).ok_or(Fault::OutOfRange)?;
            let limits = line.value.grows.then(|| policy.limits.of(&policy.overrides, &holder, instrument));
            let worst = [Worst::default(), line.value];
            let market = &market;
            let change = Change { holder: &holder, instrument, market, worst, symbol_e16, limits: limits.as_ref() };
            sums.change(&change).ok_or(Fault::OutOfRange)?;
        }
        sums.tightest = sums.least_room(book, account)?;
        Ok(sums)
    }

    /// Replaces what a position adds.
    pub fn change(&mut self, change: &Change<'_>) -> Option<()> {
        let Change { holder, instrument, market, worst: [old, new], symbol_e16, limits } = change;
        self.burden_e16 = self.burden_e16.checked_sub(old.burden_e16)?.checked_add(new.burden_e16)?;
        self.opens = self.opens.checked_sub(old.opens)?.checked_add(new.opens)?;
        let before_e16 = self.symbols.get(instrument).map_or(0, |share| share.extra_e16);
        let more = symbol_e16.checked_sub(before_e16)?;
        if !self.symbols.contains_key(instrument) {
            self.symbols.insert((*instrument).clone(), Share::default());
        }
        self.symbols.get_mut(instrument)?.change(more, *limits)?;
        self.account.change(more, *limits)?;
        named(&mut self.strategies, &holder.strategy)?.change(new.extra_e16.checked_sub(old.extra_e16)?, *limits)?;
        named(&mut self.sectors, market.sector)?.change(more, *limits)?;
        named(&mut self.classes, market.asset_class)?.change(more, *limits)?;
        named(&mut self.venues, &instrument.venue)?.change(more, *limits)
    }

    /// Looks again at the groups of a position. What is open only grows within a tick, so that others leave what they left.
    pub fn tighten(&mut self, book: &impl Book, change: &Change<'_>) -> Result<(), Fault> {
        let (account, instrument, market) = (&*change.holder.account, change.instrument, change.market);
        let [equity, margin] = bases(book, account, &instrument.venue)?;
        let groups = [
            (GroupRef::Strategy(&change.holder.strategy), self.strategies.get(&change.holder.strategy), equity),
            (GroupRef::Symbol(instrument), self.symbols.get(instrument), equity),
            (GroupRef::Sector(market.sector), self.sectors.get(market.sector), equity),
            (GroupRef::AssetClass(market.asset_class), self.classes.get(market.asset_class), equity),
            (GroupRef::Venue(&instrument.venue), self.venues.get(&instrument.venue), margin),
        ];
        let mut tightest = self.tightest;
        for (group, share, base_e16) in groups {
            tightest = tighter(tightest, room(book, account, group, share, base_e16)?);
        }
        self.tightest = tightest;
        Ok(())
    }

    fn least_room(&self, book: &impl Book, account: &str) -> Result<Option<Tight>, Fault> {
        if self.account.limits.is_none() {
            return Ok(None);
        }
        let equity_e16 = book.account(account)?.equity_e16;
        let strategies = self.strategies.iter().map(|(name, share)| (GroupRef::Strategy(name), share));
        let symbols = self.symbols.iter().map(|(name, share)| (GroupRef::Symbol(name), share));
        let sectors = self.sectors.iter().map(|(name, share)| (GroupRef::Sector(name), share));
        let classes = self.classes.iter().map(|(name, share)| (GroupRef::AssetClass(name), share));
        let mut tightest = None;
        for (group, share) in strategies.chain(symbols).chain(sectors).chain(classes) {
            tightest = tighter(tightest, room(book, account, group, Some(share), equity_e16)?);
        }
        for (name, share) in &self.venues {
            let margin_e16 = book.margin_equity_e16(account, name)?;
            tightest = tighter(tightest, room(book, account, GroupRef::Venue(name), Some(share), margin_e16)?);
        }
        Ok(tightest)
    }
}

fn named<'a>(shares: &'a mut BTreeMap<Arc<str>, Share>, name: &str) -> Option<&'a mut Share> {
    if !shares.contains_key(name) {
        shares.insert(name.into(), Share::default());
    }
    shares.get_mut(name)
}

fn bases(book: &impl Book, account: &str, venue: &str) -> Result<[i128; 2], Fault> {
    Ok([book.account(account)?.equity_e16, book.margin_equity_e16(account, venue)?])
}

fn tighter(one: Option<Tight>, other: Option<Tight>) -> Option<Tight> {
    one.into_iter().chain(other).min_by_key(|tight| tight.room_e16)
}

/// What may be spent until a group passes its limit: its base less the smallest of which the limit is what it comes to.
fn room(
    book: &impl Book,
    account: &str,
    group: GroupRef<'_>,
    share: Option<&Share>,
    base_e16: i128,
) -> Result<Option<Tight>, Fault> {
    let Some(Share { extra_e16, limits: Some(limits) }) = share else { return Ok(None) };
    let (limit, ratio) = match group {
        GroupRef::Account => (LimitKind::Gross, limits.gross),
        GroupRef::Strategy(_) => (LimitKind::StrategyGross, limits.strategy_gross),
        GroupRef::Symbol(_) => (LimitKind::SinglePosition, limits.single_position),
        GroupRef::Sector(_) => (LimitKind::Sector, limits.sector),
        GroupRef::AssetClass(_) => (LimitKind::AssetClass, limits.asset_class),
        GroupRef::Venue(_) => (LimitKind::Leverage, limits.leverage),
    };
    let value_e16 = book.exposure_e16(account, group)?.checked_add(*extra_e16).ok_or(Fault::OutOfRange)?;
    let tight = || {
        let whole = u128::from(Ratio::ONE.e9().unsigned_abs());
        let needed = multiply_divide_up(u128::try_from(value_e16).ok()?, whole, u64::try_from(ratio.e9()).ok()?)?;
        let room_e16 = base_e16.checked_sub(i128::try_from(needed).ok()?)?;
        Some(Tight { limit, value_e16, share: ratio, base_e16, room_e16 })
    };
    tight().map(Some).ok_or(Fault::OutOfRange)
}

/// By how much an instrument's exposure may exceed what it is, where the open orders of its positions come to these: all of it at the
/// price of them at which it is worth most, since a fill there may be the next mark.
pub(super) fn symbol_extra_e16(
    market: &Market<'_>,
    held_e16: i128,
    positions: impl Iterator<Item = Worst> + Clone,
) -> Option<i128> {
    let mark_e8 = market.mark_e8;
    let dearest_e8 = positions.clone().fold(mark_e8, |price, worst| market.dearer_e8(price, worst.price_e8));
    let (mut extra, mut own) = (0i128, 0i128);
    for worst in positions {
        own = own.checked_add(worst.now_e16)?;
        let value = worst.now_e16.checked_add(worst.extra_e16)?;
        let rise = market.rise_e16(value, worst.price_e8, dearest_e8)?;
        extra = extra.checked_add(worst.extra_e16)?.checked_add(rise)?;
    }
    let others = held_e16.checked_sub(own)?.max(0);
    extra.checked_add(market.rise_e16(others, mark_e8, dearest_e8)?)
}

/// The smaller of each two limits; the risk per trade is nobody else's.
pub(super) fn stricter(one: &Limits, other: &Limits) -> Limits {
    Limits {
        single_position: one.single_position.min(other.single_position),
        sector: one.sector.min(other.sector),
        asset_class: one.asset_class.min(other.asset_class),
        gross: one.gross.min(other.gross),
        strategy_gross: one.strategy_gross.min(other.strategy_gross),
        leverage: one.leverage.min(other.leverage),
        drawdown: one.drawdown.min(other.drawdown),
        daily_loss: one.daily_loss.min(other.daily_loss),
        risk_per_trade: one.risk_per_trade,
        position_value: one.position_value.min(other.position_value),
        concurrent_positions: one.concurrent_positions.min(other.concurrent_positions),
    }
}
