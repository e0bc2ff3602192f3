//! One intent, judged by policy, levels, book and open orders.

use super::book::{Book, GroupRef, Market, Money};
use super::reason::{LimitKind, LimitUse, Reason};
use super::reserved::{Further, Line, Reserved, Worst};
use super::sums::{Share, Tight, stricter, symbol_extra_e16};
use super::{Decision, Ruling, in_ns};
use crate::breakers::{Fault, Now};
use crate::levels::{Allowed, Level};
use crate::policy::{Limits, Policy, Ratio};
use crate::regimes::{Regime, stop_multiplier};
use tidewheel_schemas::{Instrument, OrderIntent, PRICE_LIMIT_E8, Side};

/// The longest that an order may be open: a year.
const LONGEST_OPEN_MS: u64 = 366 * 24 * 3_600_000;

/// The greatest level over an order, and the latched trips there.
type LevelOver<'a> = dyn Fn(&OrderIntent) -> (Level, Vec<String>) + 'a;

/// What a tick's intents are judged by.
pub struct Judging<'a> {
    /// The policy in force.
    pub policy: &'a Policy,
    /// The tick.
    pub now: Now,
    /// The version of the book.
    pub state_version: u64,
    /// The level that an order lies under, with the trips latched there.
    pub level: &'a LevelOver<'a>,
    /// The regime of a symbol; none while it is not known.
    pub regime: &'a dyn Fn(&Instrument) -> Option<Regime>,
}

/// All that the limits of an order are computed from.
struct Numbers<'a> {
    market: Market<'a>,
    account: Money,
    /// Of the order's groups, open orders included but those in its instrument, of the strategy but those of its position: account,
    /// strategy, symbol, sector, class, venue.
    exposures_e16: [i128; 6],
    /// Of the instrument without any open orders.
    symbol_e16: i128,
    /// What the open orders of the instrument's other positions come to.
    others: Vec<Worst>,
    /// The group of open orders in which the least may be spent.
    tightest: Option<Tight>,
    margin_e16: i128,
    /// Of the open orders of other positions.
    burden_e16: i128,
    opens: u32,
    line: Option<&'a Line>,
    held_e8: i64,
    /// How much of the order is held already.
    filled_e8: i64,
    /// Its own, or stricter ones of open orders beside it.
    limits: Limits,
    side: Side,
    price_e8: i64,
    stop_e8: i64,
    /// How much of the order only reduces, eight decimals.
    reducible_e8: i64,
    fee: Ratio,
}

impl Judging<'_> {
    pub(super) fn decide(
        &self,
        book: &impl Book,
        reserved: &mut Reserved,
        intent: OrderIntent,
        filled_e8: i64,
        number: u64,
        forgotten_ns: Option<i64>,
    ) -> Decision {
        let mut reasons = self.refusals(&intent, forgotten_ns);
        let now_e8 = book.quantity_e8(&intent.holder, &intent.instrument);
        let held_e8 = now_e8.saturating_sub(filled_e8.saturating_mul(intent.side.sign()));
        let line = reserved.line(&intent.holder, &intent.instrument);
        let reducible_e8 = reducible(intent.side, held_e8, line).min(intent.quantity_e8.max(0));
        let is_more = intent.quantity_e8 > reducible_e8;
        let grows = is_more && !intent.is_reduce_only;
        // What refuses all of it, and what only what grows: what reduces needs no more than a price.
        let (mut is_refused, mut may_grow) = (!reasons.is_empty(), true);
        if grows {
            let refusals = self.refusals_of_growth(&intent, reserved);
            may_grow = refusals.is_empty();
            reasons.extend(refusals);
        }
        let mark = book.mark(&intent.instrument).and_then(|mark| self.is_fresh(mark.price_e8, mark.event_time_ns));
        let price_e8 = self.price_e8(&intent, mark.as_ref().ok().copied());
        let wrong = self.wrong_price(&intent, mark.as_ref().ok().copied(), price_e8, grows);
        is_refused |= !wrong.is_empty() || price_e8.is_none();
        reasons.extend(wrong);
        if let (Err(fault), true) = (&mark, grows || price_e8.is_none()) {
            may_grow = false;
            reasons.push(Reason::NoMarket(fault.clone()));
        }
        let mut numbers = None;
        if let (true, true, Some(price_e8)) = (grows, mark.is_ok(), price_e8) {
            match self.numbers(book, reserved, &intent, [now_e8, filled_e8, reducible_e8, price_e8]) {
                Ok(found) => numbers = Some(found),
                Err(reason) => {
                    may_grow = false;
                    reasons.push(reason);
                }
            }
        }
        let (level, trips) = (self.level)(&intent);
        let permitted_e8 = permitted(&intent, level.allows(), held_e8, reducible_e8);
        if permitted_e8 < intent.quantity_e8 && intent.quantity_e8 > 0 {
            let allowed = level.allows();
            let is_by_level =
                permitted(&OrderIntent { is_reduce_only: false, ..intent.clone() }, allowed, held_e8, reducible_e8);
            if is_by_level < intent.quantity_e8
                && !(allowed.liquidate && intent.is_reduce_only && permitted_e8 == reducible_e8)
            {
                reasons.push(Reason::Level { level, trips });
            }
            if intent.is_reduce_only && is_more {
                reasons.push(Reason::ReduceOnly);
            }
        }
        // What only reduces uses no limit.
        let mut score = if grows || is_refused { Ratio::ONE } else { Ratio::ZERO };
        let mut quantity_e8 = if is_refused { 0 } else { permitted_e8.min(reducible_e8) };
        if let Some(numbers) = &numbers {
            let asked = numbers.uses(intent.quantity_e8.max(0));
            score = asked.as_ref().map_or(Ratio::ONE, |uses| score_of(uses));
            if asked.is_none() {
                reasons.push(Reason::OutOfRange);
            }
            let uses_e8 = if is_refused || !may_grow { intent.quantity_e8 } else { permitted_e8 };
            if uses_e8 > reducible_e8 {
                let uses = numbers.uses(uses_e8).into_iter().flatten();
                reasons.extend(uses.filter(LimitUse::is_passed).map(Reason::Limit));
            }
            if !is_refused && may_grow && permitted_e8 > reducible_e8 {
                quantity_e8 = numbers.greatest(permitted_e8);
                let is_cut = quantity_e8 < intent.quantity_e8 && quantity_e8 > reducible_e8;
                if is_cut && self.is_below_minimum(numbers, quantity_e8) {
                    reasons.push(Reason::BelowMinimum);
                    quantity_e8 = reducible_e8;
                }
            }
        }
        let expires_ns = (quantity_e8 > 0).then(|| {
            let default_ns = self.now.time_ns.saturating_add(in_ns(self.policy.decisions.reservation_ms));
            intent.expires_ns.unwrap_or(default_ns)
        });
        if let (Ok(open_e8), Some(price_e8)) = (u128::try_from(quantity_e8.saturating_sub(filled_e8)), price_e8)
            && open_e8 > 0
        {
            let further = Further { side: intent.side, quantity_e8: open_e8, price_e8 };
            reserved.revalue(book, self.policy, &intent.holder, &intent.instrument, further);
        }
        let ruling = match quantity_e8 {
            0 => Ruling::Rejected,
            whole if whole == intent.quantity_e8 => Ruling::Approved,
            _ => Ruling::Reduced,
        };
        Decision {
            ruling,
            quantity_e8,
            price_e8,
            reasons,
            risk_score: score,
            level,
            policy_version: self.policy.version,
            state_version: self.state_version,
            number,
            tick: self.now.tick,
            time_ns: self.now.time_ns,
            expires_ns,
            intent,
        }
    }

    /// What refuses an order whatever the book says.
    fn refusals(&self, intent: &OrderIntent, forgotten_ns: Option<i64>) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let is_price = |price_e8: Option<i64>| price_e8.is_none_or(|price| (1..PRICE_LIMIT_E8).contains(&price));
        let latest_ns = self.now.time_ns.saturating_add(in_ns(LONGEST_OPEN_MS));
        let fields = [
            ("account", !intent.holder.account.is_empty()),
            ("strategy", !intent.holder.strategy.is_empty()),
            ("instrument", Instrument::new(&intent.instrument.venue, &intent.instrument.symbol).is_ok()),
            ("intent_id", !intent.intent_id.is_empty()),
            ("quantity", intent.quantity_e8 > 0),
            ("limit_price", is_price(intent.limit_price_e8)),
            ("stop_price", is_price(intent.stop_price_e8)),
            ("expires", intent.expires_ns.is_none_or(|expires_ns| expires_ns <= latest_ns)),
        ];
        let wrong = fields.into_iter().filter(|(_, is_right)| !is_right);
        reasons.extend(wrong.map(|(field, _)| Reason::Invalid(field.to_owned())));
        let age_ns = self.now.time_ns.saturating_sub(intent.event_time_ns);
        let may_have_come = forgotten_ns.is_some_and(|forgotten_ns| intent.event_time_ns <= forgotten_ns);
        if may_have_come || age_ns > in_ns(self.policy.decisions.memory_ms) {
            reasons.push(Reason::TooOld { age_ns });
        }
        let ahead_ns = age_ns.saturating_neg();
        if ahead_ns > in_ns(self.policy.staleness.skew_ms) {
            reasons.push(Reason::FromTheFuture { ahead_ns });
        }
        if intent.expires_ns.is_some_and(|expires_ns| expires_ns <= self.now.time_ns) {
            reasons.push(Reason::Expired);
        }
        reasons
    }

    /// What refuses all of an order but what reduces: a position must not be trapped by what keeps others from being opened.
    fn refusals_of_growth(&self, intent: &OrderIntent, reserved: &Reserved) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let universe = &self.policy.universe;
        let name = || format!("{}|{}", intent.instrument.venue, intent.instrument.symbol);
        if !universe.is_empty() && universe.binary_search(&name()).is_err() {
            reasons.push(Reason::OutsideUniverse);
        }
        let most = self.policy.decisions.open_orders;
        if reserved.orders_of(&intent.holder.account) >= most as usize {
            reasons.push(Reason::TooManyOrders(most));
        }
        reasons
    }

    /// What is wrong with an order's prices, by the mark where there is one.
    fn wrong_price(
        &self,
        intent: &OrderIntent,
        mark_e8: Option<i64>,
        price_e8: Option<i64>,
        grows: bool,
    ) -> Vec<Reason> {
        let mut reasons = Vec::new();
        if let (Some(mark_e8), Some(price_e8)) = (mark_e8, price_e8) {
            reasons.extend(self.is_outside_band(intent, mark_e8, price_e8).then_some(Reason::PriceBand));
        }
        if mark_e8.is_some() && price_e8.is_none() && intent.limit_price_e8.is_none() {
            reasons.push(Reason::OutOfRange);
        }
        let is_right = |price: i64, stop_e8: i64| price.saturating_sub(stop_e8).signum() == intent.side.sign();
        if let (true, Some(price_e8), Some(stop_e8)) = (grows, price_e8, intent.stop_price_e8) {
            reasons.extend((!is_right(price_e8, stop_e8)).then_some(Reason::StopSide));
        }
        reasons
    }

    /// A mark that an order may be judged by.
    fn is_fresh(&self, mark_e8: i64, mark_ns: i64) -> Result<i64, Fault> {
        if !(1..PRICE_LIMIT_E8).contains(&mark_e8) {
            return Err(Fault::OutOfRange);
        }
        let age_ns = self.now.time_ns.saturating_sub(mark_ns);
        if age_ns > in_ns(self.policy.staleness.mark_ms) {
            return Err(Fault::Stale { age_ns });
        }
        let ahead_ns = age_ns.saturating_neg();
        if ahead_ns > in_ns(self.policy.staleness.skew_ms) {
            Err(Fault::FromTheFuture { ahead_ns })
        } else {
            Ok(mark_e8)
        }
    }

    /// The worst price that an order may be filled at; none where its limit cannot be, or it has neither limit nor mark.
    fn price_e8(&self, intent: &OrderIntent, mark_e8: Option<i64>) -> Option<i64> {
        let price_e8 = match intent.limit_price_e8 {
            Some(limit_e8) => i128::from(limit_e8),
            None => moved(mark_e8?, intent.side.sign(), self.policy.decisions.market_slippage)?,
        };
        i64::try_from(price_e8).ok().filter(|price| (1..PRICE_LIMIT_E8).contains(price))
    }

    fn is_outside_band(&self, intent: &OrderIntent, mark_e8: i64, price_e8: i64) -> bool {
        let Some(edge_e8) = moved(mark_e8, intent.side.sign(), self.policy.decisions.price_band) else { return true };
        let (price, sign) = (i128::from(price_e8), i128::from(intent.side.sign()));
        (price - edge_e8) * sign > 0
    }

    fn assumed_stop_e8(&self, intent: &OrderIntent, price_e8: i64) -> i64 {
        let multiplier = stop_multiplier((self.regime)(&intent.instrument), &self.policy.regimes);
        let distance = self.policy.decisions.assumed_stop.times(multiplier);
        let stop_e8 = moved(price_e8, -intent.side.sign(), distance).unwrap_or_default();
        i64::try_from(stop_e8).unwrap_or(i64::MAX).max(1)
    }

    /// Asks the book; what it cannot say is the reason. Of the order: what is held, what of it is part of that already, what
    /// of it reduces, and its price.
    fn numbers<'b, B: Book>(
        &self,
        book: &'b B,
        reserved: &'b mut Reserved,
        intent: &OrderIntent,
        [held_e8, filled_e8, reducible_e8, price_e8]: [i64; 4],
    ) -> Result<Numbers<'b>, Reason> {
        let (holder, instrument) = (&intent.holder, &intent.instrument);
        let account = &*holder.account;
        let market = book.market(account, instrument).map_err(Reason::NoMarket)?;
        self.is_fresh(market.mark_e8, market.mark_ns).map_err(Reason::NoMarket)?;
        let groups = [
            GroupRef::Account,
            GroupRef::Strategy(&holder.strategy),
            GroupRef::Symbol(instrument),
            GroupRef::Sector(market.sector),
            GroupRef::AssetClass(market.asset_class),
            GroupRef::Venue(&instrument.venue),
        ];
        let mut exposures_e16 = [0i128; 6];
        for (held, group) in exposures_e16.iter_mut().zip(groups) {
            *held = book.exposure_e16(account, group).map_err(Reason::NoBook)?;
        }
        let money = book.account(account).map_err(Reason::NoBook)?;
        let margin_e16 = book.margin_equity_e16(account, &instrument.venue).map_err(Reason::NoBook)?;
        let fee = self.policy.decisions.fee_allowance;
        let values = reserved.values(book, self.policy, holder, instrument).map_err(Reason::OpenOrders)?;
        let (sums, own) = (values.sums, values.own);
        let shares = [
            Some(&sums.account),
            sums.strategies.get(&holder.strategy),
            sums.symbols.get(instrument),
            sums.sectors.get(market.sector),
            sums.classes.get(market.asset_class),
            sums.venues.get(&instrument.venue),
        ];
        let symbol_e16 = exposures_e16[2];
        let in_symbol = shares[2].map_or(0, |share| share.extra_e16);
        let replaced = [in_symbol, own.extra_e16, in_symbol, in_symbol, in_symbol, in_symbol];
        let mut limits = self.policy.limits.of(&self.policy.overrides, holder, instrument);
        for ((sum, share), replaced) in exposures_e16.iter_mut().zip(shares).zip(replaced) {
            let extra = share.map_or(0, |share| share.extra_e16) - replaced;
            *sum = sum.checked_add(extra).ok_or(Reason::OutOfRange)?;
        }
        if shares.iter().flatten().any(|share| share.limits.is_some()) {
            limits = stricter_in(&limits, shares);
        }
        Ok(Numbers {
            market,
            account: money,
            exposures_e16,
            symbol_e16,
            others: values.others,
            tightest: sums.tightest,
            margin_e16,
            burden_e16: sums.burden_e16 - own.burden_e16,
            opens: sums.opens - own.opens,
            line: values.line,
            held_e8,
            filled_e8,
            limits,
            side: intent.side,
            price_e8,
            stop_e8: intent.stop_price_e8.unwrap_or_else(|| self.assumed_stop_e8(intent, price_e8)),
            reducible_e8,
            fee,
        })
    }

    fn is_below_minimum(&self, numbers: &Numbers<'_>, quantity_e8: i64) -> bool {
        let least_e16 = i128::from(self.policy.decisions.minimum_value) * 10i128.pow(16);
        let value = numbers.market.value_e16(quantity_e8.unsigned_abs().into(), numbers.price_e8);
        value.is_none_or(|value_e16| value_e16 < least_e16)
    }
}

impl Numbers<'_> {
    /// What the position's open orders come to with this much of the order.
    fn worst(&self, quantity_e8: i64) -> Option<Worst> {
        let quantity_e8 = u128::try_from(quantity_e8.saturating_sub(self.filled_e8).max(0)).ok()?;
        let further = Further { side: self.side, quantity_e8, price_e8: self.price_e8 };
        Line::worst(self.line, &self.market, self.held_e8, self.fee, Some(further))
    }

    /// How much of each limit this much of the order would use; none where a number does not fit. Last the limit of open orders in other
    /// groups that would be passed by what this one costs.
    fn uses(&self, quantity_e8: i64) -> Option<Vec<LimitUse>> {
        let worst = self.worst(quantity_e8)?;
        let burden = self.burden_e16.checked_add(worst.burden_e16)?;
        let equity = self.account.equity_e16.checked_sub(burden)?;
        let margin = self.margin_e16.checked_sub(burden)?;
        let extra = symbol_extra_e16(&self.market, self.symbol_e16, self.others.iter().copied().chain([worst]))?;
        let with = |sum: i128| sum.checked_add(extra);
        let [account, strategy, symbol, sector, class, venue] = self.exposures_e16;
        let growth_e8 = u128::try_from(quantity_e8.saturating_sub(self.reducible_e8).max(0)).ok()?;
        let risk = self.market.loss_e16(growth_e8, self.stop_e8, self.price_e8)?;
        let positions = self.account.positions.checked_add(self.opens)?.checked_add(worst.opens)?;
        let (peak, begun) = (self.account.peak_e16, self.account.day_start_e16);
        let limits = &self.limits;
        let most = i128::from(limits.position_value).checked_mul(10i128.pow(16))?;
        let used = |limit, value, allowed| Some(LimitUse { limit, value, allowed });
        let mut uses = vec![
            used(LimitKind::SinglePosition, with(symbol)?, limits.single_position.of(equity)?)?,
            used(LimitKind::Sector, with(sector)?, limits.sector.of(equity)?)?,
            used(LimitKind::AssetClass, with(class)?, limits.asset_class.of(equity)?)?,
            used(LimitKind::Gross, with(account)?, limits.gross.of(equity)?)?,
            used(LimitKind::StrategyGross, strategy.checked_add(worst.extra_e16)?, limits.strategy_gross.of(equity)?)?,
            used(LimitKind::Leverage, with(venue)?, limits.leverage.of(margin)?)?,
            used(LimitKind::PositionValue, with(symbol)?, most)?,
            used(LimitKind::ConcurrentPositions, positions.into(), limits.concurrent_positions.into())?,
            used(LimitKind::RiskPerTrade, risk, limits.risk_per_trade.of(equity)?)?,
            used(LimitKind::Drawdown, peak.checked_sub(equity)?, limits.drawdown.of(peak)?)?,
            used(LimitKind::DailyLoss, begun.checked_sub(equity)?, limits.daily_loss.of(begun)?)?,
        ];
        let tight = self.tightest.and_then(|tight| tight.passed(burden));
        let is_told = |tight: &LimitUse| uses.iter().any(|used| used.limit == tight.limit && used.is_passed());
        uses.extend(tight.filter(|tight| !is_told(tight)));
        Some(uses)
    }

    fn fits(&self, quantity_e8: i64) -> bool {
        self.uses(quantity_e8).is_some_and(|uses| uses.iter().all(|used| !used.is_passed()))
    }

    /// The greatest quantity up to what is permitted, which is more than what reduces, that passes no limit. What only reduces is held to
    /// none. Uses grow with the quantity, so that halving finds it.
    fn greatest(&self, permitted_e8: i64) -> i64 {
        if self.fits(permitted_e8) {
            return permitted_e8;
        }
        let (mut fits, mut passes) = (self.reducible_e8, permitted_e8);
        while passes - fits > 1 {
            let middle = fits + (passes - fits) / 2;
            if self.fits(middle) {
                fits = middle;
            } else {
                passes = middle;
            }
        }
        fits
    }
}

/// An order's limits, or those of open orders in its groups where these are stricter: account, strategy, symbol, sector, class, venue.
fn stricter_in(own: &Limits, shares: [Option<&Share>; 6]) -> Limits {
    let [account, strategy, symbol, sector, class, venue] = shares
        .map(|share| share.and_then(|share| share.limits.as_ref()).map_or(own.clone(), |limits| stricter(own, limits)));
    Limits {
        single_position: symbol.single_position,
        sector: sector.sector,
        asset_class: class.asset_class,
        strategy_gross: strategy.strategy_gross,
        leverage: venue.leverage,
        position_value: symbol.position_value,
        ..account
    }
}

/// How much can be traded on a side until nothing is held, beyond what open orders on that side already do.
fn reducible(side: Side, held_e8: i64, line: Option<&Line>) -> i64 {
    let (against, open) = match side {
        Side::Buy => (i128::from(held_e8).saturating_neg(), line.map_or(0, |line| line.buys_e8)),
        Side::Sell => (i128::from(held_e8), line.map_or(0, |line| line.sells_e8)),
    };
    let left = against.saturating_sub(i128::try_from(open).unwrap_or(i128::MAX)).max(0);
    i64::try_from(left).unwrap_or(i64::MAX)
}

/// How much of an order its level and its own word let through.
fn permitted(intent: &OrderIntent, allowed: Allowed, held_e8: i64, reducible_e8: i64) -> i64 {
    let is_more_of_the_same = held_e8.signum() == intent.side.sign();
    let may_grow = if is_more_of_the_same { allowed.increase } else { allowed.open };
    let may_reduce = allowed.reduce || (allowed.liquidate && intent.is_reduce_only);
    match (may_grow && !intent.is_reduce_only, may_reduce) {
        (true, _) => intent.quantity_e8.max(0),
        (false, true) => reducible_e8,
        (false, false) => 0,
    }
}

/// A price moved by a share of itself, up or down, rounded away from it.
fn moved(price_e8: i64, sign: i64, share: Ratio) -> Option<i128> {
    let distance = i128::from(price_e8).checked_mul(share.e9().into())?;
    let distance = distance.checked_add(Ratio::ONE.e9() as i128 - 1)?.div_euclid(Ratio::ONE.e9().into());
    i128::from(price_e8).checked_add(distance.checked_mul(sign.into())?)
}

/// The greatest share of a limit that is used, 0 to 1, rounded up.
pub(super) fn score_of(uses: &[LimitUse]) -> Ratio {
    let one = i128::from(Ratio::ONE.e9());
    let share = |used: &LimitUse| {
        if used.value <= 0 {
            0
        } else if used.is_passed() || used.allowed <= 0 {
            one
        } else {
            // Both are above zero and the value is not the greater one, so halving both keeps the share.
            let shift = 32u32.saturating_sub(used.allowed.leading_zeros());
            let (value, allowed) = (used.value >> shift, used.allowed >> shift);
            (value * one + allowed - 1) / allowed
        }
    };
    let greatest = uses.iter().map(share).max().unwrap_or_default().min(one);
    Ratio::from_e9(i64::try_from(greatest).unwrap_or(Ratio::ONE.e9()))
}
