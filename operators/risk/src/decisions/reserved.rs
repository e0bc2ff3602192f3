//! What is approved and not yet filled, by account and position, and what it comes to at worst.

use super::Decision;
use super::book::{Book, GroupRef, Market};
use super::exact::multiply_divide_up;
use super::sums::{Change, Sums, symbol_extra_e16};
use crate::breakers::Fault;
use crate::policy::{Policy, Ratio};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{ContractKind, Holder, Instrument, OrderIntent, Side};

/// What became of an order. Fills are told once each: the book knows duplicates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Some of it was filled.
    Filled(OrderFill),
    /// A fill was cancelled, or is being corrected: it is not filled, and may be again.
    Unfilled(OrderFill),
    /// The rest of it will not be filled.
    Cancelled {
        /// The account.
        account: Arc<str>,
        /// The intent.
        intent_id: Arc<str>,
    },
}

impl Progress {
    pub(super) const fn name(&self) -> (&Arc<str>, &Arc<str>) {
        match self {
            Self::Filled(fill) | Self::Unfilled(fill) => (&fill.holder.account, &fill.intent_id),
            Self::Cancelled { account, intent_id } => (account, intent_id),
        }
    }
}

/// A fill that names the intent it came of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderFill {
    /// Whose.
    pub holder: Holder,
    /// Of what.
    pub instrument: Instrument,
    /// The intent.
    pub intent_id: Arc<str>,
    /// Which way.
    pub side: Side,
    /// How much, eight decimals.
    pub quantity_e8: i64,
}

impl OrderFill {
    /// Whether it is of what was asked for.
    pub(super) fn is_of(&self, intent: &OrderIntent) -> bool {
        (&self.holder, &self.instrument, self.side) == (&intent.holder, &intent.instrument, intent.side)
    }
}

/// Something about an order that should not be. Each names account and intent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgressNote {
    /// No decision of this name is remembered.
    Unknown((Arc<str>, Arc<str>)),
    /// What was filled is of another strategy, instrument or side than what was approved. It counts for nothing.
    Mismatched((Arc<str>, Arc<str>)),
    /// More was filled than was approved.
    Overfilled((Arc<str>, Arc<str>)),
    /// It was filled after it was cancelled or had expired.
    FilledAfterEnd((Arc<str>, Arc<str>)),
}

/// Why nothing more of an order is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It was cancelled.
    Cancelled,
    /// Its time was over.
    Expired,
}

/// An order that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Whose.
    pub holder: Holder,
    /// Of what.
    pub instrument: Instrument,
    /// The intent.
    pub intent_id: Arc<str>,
    /// Which way.
    pub side: Side,
    /// What may still be filled, eight decimals.
    pub open_e8: i64,
    /// The price that it is judged at, eight decimals.
    pub price_e8: i64,
    /// Until when it counts, nanoseconds.
    pub expires_ns: i64,
}

impl Reservation {
    pub(super) fn of(decision: &Decision, open_e8: i64) -> Self {
        let intent = &decision.intent;
        Self {
            holder: intent.holder.clone(),
            instrument: intent.instrument.clone(),
            intent_id: intent.intent_id.clone(),
            side: intent.side,
            open_e8,
            price_e8: decision.price_e8.unwrap_or_default(),
            expires_ns: decision.expires_ns.unwrap_or_default(),
        }
    }
}

/// The open orders of one position.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    /// Quantity by price, of purchases and of sales.
    sides: [BTreeMap<i64, u128>; 2],
    /// Their sums.
    pub(super) buys_e8: u128,
    pub(super) sells_e8: u128,
    orders: usize,
    /// What they come to at the marks of the tick, where the account has been valued.
    pub(super) value: Worst,
}

/// What a position's open orders come to at worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Worst {
    /// By how much its value may exceed what it is now.
    pub extra_e16: i128,
    /// What may be lost against the mark and in fees.
    pub burden_e16: i128,
    /// What is held is worth.
    pub now_e16: i128,
    /// 1 where they open a position.
    pub opens: u32,
    /// Whether they do more than reduce, so that they are held to limits.
    pub grows: bool,
    /// At which price it is worth that, eight decimals: the mark, or one of theirs.
    pub price_e8: i64,
}

/// A further order in a position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Further {
    pub side: Side,
    pub quantity_e8: u128,
    pub price_e8: i64,
}

impl Line {
    /// What the open orders of a position come to at worst, with a further one.
    pub(super) fn worst(
        line: Option<&Self>,
        market: &Market<'_>,
        held_e8: i64,
        fee: Ratio,
        further: Option<Further>,
    ) -> Option<Worst> {
        let mark = market.mark_e8;
        let more = |side: Side| further.filter(|order| order.side == side);
        let (buy, sell) = (more(Side::Buy), more(Side::Sell));
        let open = |side: Side| line.map_or(0, |line| if side == Side::Buy { line.buys_e8 } else { line.sells_e8 });
        let buys = open(Side::Buy).checked_add(buy.map_or(0, |order| order.quantity_e8))?;
        let sells = open(Side::Sell).checked_add(sell.map_or(0, |order| order.quantity_e8))?;
        let held = i128::from(held_e8);
        let up = held.checked_add(i128::try_from(buys).ok()?)?;
        let down = held.checked_sub(i128::try_from(sells).ok()?)?;
        let prices = |side: Side| line.into_iter().flat_map(move |line| line.sides[side as usize].keys().copied());
        let dearest = prices(Side::Buy).next_back().max(buy.map(|order| order.price_e8)).unwrap_or(mark);
        let cheapest =
            prices(Side::Sell).next().into_iter().chain(sell.map(|order| order.price_e8)).min().unwrap_or(mark);
        // A fill of ours may be the next mark where its price is worse than the mark, or where it opens. What reduces at a price that is
        // better leaves less of the position, and the market has gone there by itself.
        let worse = if market.kind == ContractKind::Linear { dearest } else { cheapest };
        let worse = market.dearer_e8(mark, worse);
        let opens_long = buys > 0 && up > 0;
        let opens_short = sells > 0 && down < 0;
        let opens = match market.kind {
            ContractKind::Linear => {
                prices(Side::Sell).next_back().max(sell.map(|order| order.price_e8)).filter(|_| opens_short)
            }
            ContractKind::Inverse => {
                let lowest = prices(Side::Buy).next().into_iter().chain(buy.map(|order| order.price_e8)).min();
                lowest.filter(|_| opens_long)
            }
        };
        let price_e8 = market.dearer_e8(worse, opens.unwrap_or(mark));
        let worst_e16 = market.value_e16(up.unsigned_abs().max(down.unsigned_abs()), price_e8)?;
        let now_e16 = market.value_e16(held.unsigned_abs(), mark)?;
        let above = if dearest > mark { market.loss_e16(buys, dearest, mark)? } else { 0 };
        let below = if cheapest < mark { market.loss_e16(sells, cheapest, mark)? } else { 0 };
        // At a price that is better more is won than there are further fees.
        let traded = market.value_e16(buys.checked_add(sells)?, worse)?;
        let fee_e9 = u128::try_from(fee.e9()).ok()?;
        let fees = multiply_divide_up(traded.unsigned_abs(), fee_e9, Ratio::ONE.e9().unsigned_abs())?;
        let fees = i128::try_from(fees).ok()?;
        Some(Worst {
            extra_e16: worst_e16.checked_sub(now_e16)?.max(0),
            burden_e16: above.checked_add(below)?.checked_add(fees)?,
            now_e16,
            opens: u32::from(held == 0 && buys + sells > 0),
            grows: opens_long || opens_short,
            price_e8,
        })
    }
}

/// An account's open orders.
#[derive(Clone, Debug, Default)]
struct Account {
    /// By instrument and strategy.
    lines: Lines,
    orders: usize,
    /// What they come to at the marks of the tick, once somebody asked.
    sums: Option<Result<Sums, Fault>>,
}

/// All open orders.
#[derive(Clone, Debug, Default)]
pub(super) struct Reserved {
    accounts: BTreeMap<Arc<str>, Account>,
}

impl Reserved {
    /// A tick begins: marks and positions have moved.
    pub fn forget_values(&mut self) {
        self.accounts.retain(|_, account| account.orders > 0);
        for account in self.accounts.values_mut() {
            account.sums = None;
        }
    }

    /// How many orders are open, of one account.
    pub fn orders_of(&self, account: &str) -> usize {
        self.accounts.get(account).map_or(0, |account| account.orders)
    }

    /// And of all.
    pub fn orders(&self) -> usize {
        self.accounts.values().map(|account| account.orders).sum()
    }

    /// The open orders of a position.
    pub fn line(&self, holder: &Holder, instrument: &Instrument) -> Option<&Line> {
        self.accounts.get(&holder.account)?.lines.get(&(instrument.clone(), holder.strategy.clone()))
    }

    /// What an account's open orders come to at the marks of the tick.
    pub fn values(
        &mut self,
        book: &impl Book,
        policy: &Policy,
        holder: &Holder,
        instrument: &Instrument,
    ) -> Result<Values<'_>, Fault> {
        let account = self.accounts.entry(holder.account.clone()).or_default();
        let lines = &mut account.lines;
        let sums = account.sums.get_or_insert_with(|| Sums::of(lines, book, policy, &holder.account));
        let sums = sums.as_ref().map_err(Clone::clone)?;
        let mut values = Values { sums, others: Vec::new(), own: Worst::default(), line: None };
        for (strategy, line) in in_symbol(&account.lines, instrument) {
            if *strategy == holder.strategy {
                (values.own, values.line) = (line.value, Some(line));
            } else {
                values.others.push(line.value);
            }
        }
        Ok(values)
    }

    /// Puts what a position comes to with an order that is about to be added in the place of what it came to, where somebody has asked
    /// this tick. What cannot be valued keeps everything else from growing.
    pub fn revalue(
        &mut self,
        book: &impl Book,
        policy: &Policy,
        holder: &Holder,
        instrument: &Instrument,
        further: Further,
    ) {
        let Some(account) = self.accounts.get_mut(&holder.account) else { return };
        let Some(Ok(sums)) = &mut account.sums else { return };
        let lines = &mut account.lines;
        if let Err(fault) = replace(sums, lines, book, policy, holder, instrument, further) {
            account.sums = Some(Err(fault));
        }
    }

    /// An order is open.
    pub fn add(&mut self, decision: &Decision, open_e8: i64) {
        self.change(decision, 0, open_e8);
    }

    /// What is open of an order is another quantity now. Zero is none.
    pub fn change(&mut self, decision: &Decision, before_e8: i64, after_e8: i64) {
        let (Some(price_e8), true) = (decision.price_e8, before_e8 != after_e8) else { return };
        let intent = &decision.intent;
        let account = self.accounts.entry(intent.holder.account.clone()).or_default();
        let key = (intent.instrument.clone(), intent.holder.strategy.clone());
        let line = account.lines.entry(key.clone()).or_default();
        let as_size = |e8: i64| u128::try_from(e8).expect("what is open is not negative");
        let (before, after) = (as_size(before_e8), as_size(after_e8));
        let at_price = line.sides[intent.side as usize].entry(price_e8).or_default();
        *at_price = *at_price + after - before;
        if *at_price == 0 {
            line.sides[intent.side as usize].remove(&price_e8);
        }
        let sum = match intent.side {
            Side::Buy => &mut line.buys_e8,
            Side::Sell => &mut line.sells_e8,
        };
        *sum = *sum + after - before;
        let (was_open, is_open) = (usize::from(before > 0), usize::from(after > 0));
        line.orders = line.orders + is_open - was_open;
        account.orders = account.orders + is_open - was_open;
        if line.orders == 0 {
            account.lines.remove(&key);
        }
        if account.orders == 0 && account.sums.is_none() {
            self.accounts.remove(&intent.holder.account);
        }
    }
}

/// What an account's open orders come to.
pub(super) struct Values<'a> {
    /// Over all positions.
    pub sums: &'a Sums,
    /// In the other positions of the instrument that was asked for.
    pub others: Vec<Worst>,
    /// In the position that was asked for.
    pub own: Worst,
    /// Its open orders.
    pub line: Option<&'a Line>,
}

/// The positions of an account by instrument and strategy that have open orders.
type Lines = BTreeMap<(Instrument, Arc<str>), Line>;

fn in_symbol<'a>(lines: &'a Lines, instrument: &Instrument) -> impl Iterator<Item = (&'a Arc<str>, &'a Line)> + Clone {
    let from = lines.range((instrument.clone(), "".into())..);
    from.take_while(move |((other, _), _)| other == instrument).map(|((_, strategy), line)| (strategy, line))
}

fn replace(
    sums: &mut Sums,
    lines: &mut Lines,
    book: &impl Book,
    policy: &Policy,
    holder: &Holder,
    instrument: &Instrument,
    further: Further,
) -> Result<(), Fault> {
    let market = book.market(&holder.account, instrument)?;
    let line = lines.entry((instrument.clone(), holder.strategy.clone())).or_default();
    let (held_e8, fee) = (book.quantity_e8(holder, instrument), policy.decisions.fee_allowance);
    let new = Line::worst(Some(line), &market, held_e8, fee, Some(further)).ok_or(Fault::OutOfRange)?;
    let worst = [std::mem::replace(&mut line.value, new), new];
    let held_e16 = book.exposure_e16(&holder.account, GroupRef::Symbol(instrument))?;
    let positions = in_symbol(lines, instrument).map(|(_, line)| line.value);
    let symbol_e16 = symbol_extra_e16(&market, held_e16, positions).ok_or(Fault::OutOfRange)?;
    let limits = new.grows.then(|| policy.limits.of(&policy.overrides, holder, instrument));
    let change = Change { holder, instrument, market: &market, worst, symbol_e16, limits: limits.as_ref() };
    sums.change(&change).ok_or(Fault::OutOfRange)?;
    sums.tighten(book, &change)
}
