//! A book that sums from scratch whenever it is asked, and limits in floats over what was really filled.

use super::*;
use crate::breakers::Fault;
use crate::policy::Limits;
use crate::valuation::Mark;
use std::collections::BTreeMap;
use tidewheel_schemas::{ContractKind, Holder, Instrument, Side};

/// What is known of an instrument.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub kind: ContractKind,
    pub multiplier_e8: i64,
    pub sector: String,
    pub class: String,
    pub mark_e8: i64,
    pub mark_ns: i64,
    pub rate_e18: i128,
}

/// A book in maps.
#[derive(Clone, Debug, Default)]
pub(super) struct SlowBook {
    pub money: BTreeMap<Arc<str>, Money>,
    pub margin_e16: BTreeMap<(Arc<str>, Arc<str>), i128>,
    pub held_e8: BTreeMap<(Holder, Instrument), i64>,
    pub listed: BTreeMap<Instrument, Listed>,
}

impl Book for SlowBook {
    fn account(&self, account: &str) -> Result<Money, Fault> {
        let money = self.money.get(account).ok_or(Fault::Missing("account".into()))?;
        let held = self.held_e8.iter().filter(|((holder, _), held)| *holder.account == *account && **held != 0);
        Ok(Money { positions: held.count() as u32, ..*money })
    }

    fn exposure_e16(&self, account: &str, group: GroupRef<'_>) -> Result<i128, Fault> {
        let mut sum = 0i128;
        for ((holder, instrument), held_e8) in &self.held_e8 {
            if *holder.account != *account || *held_e8 == 0 {
                continue;
            }
            let market = self.market(account, instrument)?;
            let is_in = match group {
                GroupRef::Account => true,
                GroupRef::Strategy(strategy) => *holder.strategy == *strategy,
                GroupRef::Symbol(symbol) => instrument == symbol,
                GroupRef::Sector(sector) => market.sector == sector,
                GroupRef::AssetClass(class) => market.asset_class == class,
                GroupRef::Venue(venue) => *instrument.venue == *venue,
            };
            if is_in {
                let value = market.value_e16(held_e8.unsigned_abs().into(), market.mark_e8);
                sum = value.and_then(|value| sum.checked_add(value)).ok_or(Fault::OutOfRange)?;
            }
        }
        Ok(sum)
    }

    fn margin_equity_e16(&self, account: &str, venue: &str) -> Result<i128, Fault> {
        let margin = self.margin_e16.get(&(account.into(), venue.into()));
        margin.copied().ok_or(Fault::Missing("margin".into()))
    }

    fn quantity_e8(&self, holder: &Holder, instrument: &Instrument) -> i64 {
        self.held_e8.get(&(holder.clone(), instrument.clone())).copied().unwrap_or_default()
    }

    fn mark(&self, instrument: &Instrument) -> Result<Mark, Fault> {
        let listed = self.listed.get(instrument).ok_or(Fault::Missing("mark".into()))?;
        Ok(Mark { event_time_ns: listed.mark_ns, sequence: 0, price_e8: listed.mark_e8 })
    }

    fn market(&self, _: &str, instrument: &Instrument) -> Result<Market<'_>, Fault> {
        let listed = self.listed.get(instrument).ok_or(Fault::Missing("reference".into()))?;
        Ok(Market {
            kind: listed.kind,
            multiplier_e8: listed.multiplier_e8,
            sector: &listed.sector,
            asset_class: &listed.class,
            mark_e8: listed.mark_e8,
            mark_ns: listed.mark_ns,
            quote_rate_e18: listed.rate_e18,
        })
    }
}

/// An order that was filled at its price.
#[derive(Clone, Debug)]
pub(super) struct Filled {
    pub holder: Holder,
    pub instrument: Instrument,
    pub side: Side,
    pub quantity_e8: i64,
    pub price_e8: i64,
}

impl Filled {
    /// All that is open of an order.
    pub(super) fn of(order: &Reservation) -> Self {
        Self {
            holder: order.holder.clone(),
            instrument: order.instrument.clone(),
            side: order.side,
            quantity_e8: order.open_e8,
            price_e8: order.price_e8,
        }
    }
}

impl Listed {
    /// A quantity's value at a price in the account's currency, as a float. The rate is that of the quote asset at the mark.
    fn value(&self, quantity_e8: f64, price_e8: f64) -> f64 {
        let price = if self.kind == ContractKind::Linear { price_e8 / 1e8 } else { self.mark_e8 as f64 / price_e8 };
        quantity_e8.abs() / 1e8 * price * (self.multiplier_e8 as f64 / 1e8) * (self.rate_e18 as f64 / 1e18)
    }

    /// What is won by buying at a price what is marked at the mark; of an inverse contract in the base asset, valued at the mark.
    fn won(&self, filled: &Filled) -> f64 {
        let (price, mark) = (filled.price_e8 as f64 / 1e8, self.mark_e8 as f64 / 1e8);
        let quantity = (filled.quantity_e8 as f64 / 1e8) * filled.side.sign() as f64;
        let unit = self.multiplier_e8 as f64 / 1e8 * (self.rate_e18 as f64 / 1e18);
        match self.kind {
            ContractKind::Linear => quantity * (mark - price) * unit,
            ContractKind::Inverse => quantity * (1.0 / price - 1.0 / mark) * mark * unit,
        }
    }
}

impl SlowBook {
    /// The book after fills at their prices, each with a fee of this share of its value.
    pub(super) fn after(&self, filled: &[Filled], fee: Ratio) -> (Self, f64) {
        let mut after = self.clone();
        let mut change = 0.0;
        for fill in filled {
            let listed = &self.listed[&fill.instrument];
            let held = after.held_e8.entry((fill.holder.clone(), fill.instrument.clone())).or_default();
            *held += fill.quantity_e8 * fill.side.sign();
            let value = listed.value(fill.quantity_e8 as f64, fill.price_e8 as f64);
            change += listed.won(fill) - fee.as_f64() * value;
        }
        (after, change)
    }

    /// The limits of an order's groups that the book passes, where `change` was won since its money was counted, and the instrument
    /// of the order stands at a price.
    pub(super) fn passed(&self, limits: &Limits, order: &Filled, change: f64, price_e8: i64) -> Vec<LimitKind> {
        let account = &order.holder.account;
        let of = |is_in: &dyn Fn(&Holder, &Instrument) -> bool| -> f64 {
            let held = self
                .held_e8
                .iter()
                .filter(|((holder, instrument), _)| holder.account == *account && is_in(holder, instrument));
            held.map(|((_, instrument), held_e8)| {
                let listed = &self.listed[instrument];
                let price_e8 = if *instrument == order.instrument { price_e8 } else { listed.mark_e8 };
                listed.value(*held_e8 as f64, price_e8 as f64)
            })
            .sum()
        };
        let listed = &self.listed[&order.instrument];
        let money = self.money[account];
        let money_of = |e16: i128| e16 as f64 / 1e16;
        let equity = money_of(money.equity_e16) + change;
        let margin = money_of(self.margin_e16[&(account.clone(), order.instrument.venue.clone())]) + change;
        let symbol = of(&|_, instrument| *instrument == order.instrument);
        let positions = self.held_e8.iter().filter(|((holder, _), held)| holder.account == *account && **held != 0);
        let (peak, begun) = (money_of(money.peak_e16), money_of(money.day_start_e16));
        let checks = [
            (LimitKind::SinglePosition, symbol, limits.single_position.as_f64() * equity),
            (LimitKind::Sector, of(&|_, i| self.listed[i].sector == listed.sector), limits.sector.as_f64() * equity),
            (
                LimitKind::AssetClass,
                of(&|_, i| self.listed[i].class == listed.class),
                limits.asset_class.as_f64() * equity,
            ),
            (LimitKind::Gross, of(&|_, _| true), limits.gross.as_f64() * equity),
            (
                LimitKind::StrategyGross,
                of(&|holder, _| *holder == order.holder),
                limits.strategy_gross.as_f64() * equity,
            ),
            (LimitKind::Leverage, of(&|_, i| i.venue == order.instrument.venue), limits.leverage.as_f64() * margin),
            (LimitKind::PositionValue, symbol, limits.position_value as f64),
            (LimitKind::ConcurrentPositions, positions.count() as f64, limits.concurrent_positions.into()),
            (LimitKind::Drawdown, peak - equity, limits.drawdown.as_f64() * peak),
            (LimitKind::DailyLoss, begun - equity, limits.daily_loss.as_f64() * begun),
        ];
        let is_passed = |(_, value, allowed): &(LimitKind, f64, f64)| *value > allowed + 1e-9 * allowed.abs().max(1.0);
        checks.into_iter().filter(is_passed).map(|(limit, ..)| limit).collect()
    }
}
