//! The slow way: everything from all records, from scratch, with nothing kept.

use crate::world::MINUTE_NS;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewheel_risk::book::{BookConfig, BookEvent, BookFault};
use tidewheel_risk::exact::mul_div;
use tidewheel_risk::positions::CostMethod;
use tidewheel_risk::scenarios::Tail;
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{ContractKind, Fill, FillChange, FundingPayment, Holder, Instrument, InstrumentReference};

type Amounts = BTreeMap<Arc<str>, i128>;

/// Of a position: its instrument, its exposure in scenarios, and what is unrealised.
type Part = (Instrument, i128, Option<i128>);

/// Nearest integer, halves to the even one, by floor and remainder.
pub fn divide(value: i128, by: i128) -> i128 {
    let (value, by) = if by < 0 { (-value, -by) } else { (value, by) };
    let (floor, twice) = (value.div_euclid(by), 2 * value.rem_euclid(by));
    floor + i128::from(twice > by || (twice == by && floor % 2 != 0))
}

/// All that was accepted, in the order it came.
#[derive(Default)]
pub struct Oracle {
    pub references: BTreeMap<Instrument, InstrumentReference>,
    pub events: Vec<BookEvent>,
    /// Minutes that ended.
    pub samples: BTreeSet<i64>,
    pub now_ns: i64,
    /// Account and instrument of fills, and of changes of fills, that the book did not take.
    pub lost: BTreeSet<(Arc<str>, Instrument)>,
    /// Accounts of movements of cash that it did not take.
    pub lost_cash: BTreeSet<Arc<str>>,
}

/// What a position came to.
#[derive(Clone, Debug, Default)]
pub struct Slow {
    pub quantity: i128,
    pub basis: i128,
    pub realised: i128,
    pub funding: i128,
    pub fees: Amounts,
    lots: Vec<(i128, i128)>,
}

/// The numbers of an account that are compared.
#[derive(Debug, Default, PartialEq)]
pub struct SlowNumbers {
    pub cash: Option<i128>,
    pub equity: Option<i128>,
    pub realised: Option<i128>,
    pub unrealised: Option<i128>,
    pub fees: Option<i128>,
    pub funding: Option<i128>,
    pub gross: Option<i128>,
    pub net: Option<i128>,
    pub peak: Option<i128>,
    pub max_drawdown: Option<f64>,
    pub day_profit: Option<i128>,
    pub day_base: Option<i128>,
    pub open: i64,
    pub sectors: BTreeMap<Arc<str>, (i128, i128)>,
    pub strategies: BTreeMap<Arc<str>, (Option<i128>, Option<Tail>)>,
    pub largest: Option<i128>,
    pub tail: Option<Tail>,
    pub faults: Vec<BookFault>,
}

impl Oracle {
    fn worth(&self, instrument: &Instrument, price: i64, quantity: i128) -> i128 {
        let reference = &self.references[instrument];
        let multiplier = i128::from(reference.multiplier_e8);
        match reference.kind {
            ContractKind::Linear => divide(i128::from(price) * quantity * multiplier, 100_000_000),
            ContractKind::Inverse => -divide(quantity * multiplier * 100_000_000, i128::from(price)),
        }
    }

    /// A fill as it came first.
    pub fn original(&self, account: &str, instrument: &Instrument, id: &str) -> Option<&Fill> {
        self.events.iter().find_map(|event| match event {
            BookEvent::Fill(fill)
                if *fill.holder.account == *account && fill.instrument == *instrument && *fill.fill_id == *id =>
            {
                Some(fill)
            }
            _ => None,
        })
    }

    /// Fills as they are right.
    fn fills(&self) -> Vec<Fill> {
        type Id = (Arc<str>, Instrument, Arc<str>);
        let mut originals: BTreeMap<Id, Fill> = BTreeMap::new();
        let mut corrections: BTreeMap<Id, (i64, Fill)> = BTreeMap::new();
        let mut cancelled: BTreeSet<Id> = BTreeSet::new();
        for event in &self.events {
            match event {
                BookEvent::Fill(fill) => {
                    let id = (fill.holder.account.clone(), fill.instrument.clone(), fill.fill_id.clone());
                    originals.entry(id).or_insert_with(|| fill.clone());
                }
                BookEvent::FillChange { account, instrument, fill_id, change, .. } => {
                    let id = (account.clone(), instrument.clone(), fill_id.clone());
                    match change {
                        FillChange::Cancel => {
                            cancelled.insert(id);
                        }
                        FillChange::Correct { fill, sequence } => {
                            let known = corrections.get(&id).map(|(sequence, _)| *sequence);
                            if known.is_none_or(|known| known < *sequence) {
                                corrections.insert(id, (*sequence, (**fill).clone()));
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        let right = originals.into_iter().filter(|(id, _)| !cancelled.contains(id));
        right.map(|(id, fill)| corrections.remove(&id).map_or(fill, |(_, corrected)| corrected)).collect()
    }

    /// All positions from what was before a time.
    pub fn positions(&self, config: &BookConfig, before_ns: i64) -> BTreeMap<(Holder, Instrument), Slow> {
        let mut lines: BTreeMap<(Holder, Instrument), Vec<Fill>> = BTreeMap::new();
        for fill in self.fills() {
            lines.entry((fill.holder.clone(), fill.instrument.clone())).or_default().push(fill);
        }
        let mut positions = BTreeMap::new();
        for ((holder, instrument), mut fills) in lines {
            fills.retain(|fill| fill.event_time_ns < before_ns);
            fills.sort_by_key(|fill| {
                // Numbers by size, before all others.
                (fill.event_time_ns, fill.fill_id.parse().unwrap_or(u64::MAX), fill.fill_id.clone())
            });
            let mut fundings: Vec<_> = (self.events.iter())
                .filter_map(|event| match event {
                    BookEvent::Funding(funding) if funding.instrument == instrument => Some(funding.clone()),
                    _ => None,
                })
                .filter(|funding| funding.event_time_ns < before_ns)
                .collect();
            fundings.sort_by_key(|funding| funding.event_time_ns);
            fundings.dedup();
            let mut slow = Slow::default();
            let mut fundings = fundings.into_iter().peekable();
            for fill in &fills {
                while let Some(funding) = fundings.next_if(|funding| funding.event_time_ns < fill.event_time_ns) {
                    self.pay(&mut slow, config, &funding);
                }
                self.trade(&mut slow, fill, config.cost_method);
            }
            for funding in fundings {
                self.pay(&mut slow, config, &funding);
            }
            positions.insert((holder, instrument), slow);
        }
        positions
    }

    fn pay(&self, slow: &mut Slow, config: &BookConfig, funding: &FundingPayment) {
        let instrument = &funding.instrument;
        let minute_ns = funding.event_time_ns.div_euclid(MINUTE_NS) * MINUTE_NS;
        // Of the newest marks by then that of the venue, else of trades, else the mid.
        let marks = [MarkSource::Mid, MarkSource::Trade, MarkSource::Venue].into_iter().filter_map(|mark_source| {
            self.mark(&BookConfig { mark_source, ..config.clone() }, &instrument.symbol, Some(minute_ns))
        });
        let mark = marks.max_by_key(|mark| mark.event_time_ns.div_euclid(MINUTE_NS));
        let Some(price) = funding.mark_price_e8.or(mark.map(|mark| mark.price_e8)) else { return };
        let notional = self.worth(instrument, price, slow.quantity).abs() * slow.quantity.signum();
        slow.funding -= divide(notional * i128::from(funding.rate_e12), 1_000_000_000_000);
    }

    fn trade(&self, slow: &mut Slow, fill: &Fill, method: CostMethod) {
        let quantity = i128::from(fill.quantity_e8) * i128::from(fill.side.sign());
        let worth = self.worth(&fill.instrument, fill.price_e8, quantity);
        *slow.fees.entry(fill.fee_currency.clone()).or_default() += i128::from(fill.fee_e8) * 100_000_000;
        let mut closing = if slow.quantity * quantity < 0 { quantity.abs().min(slow.quantity.abs()) } else { 0 };
        let (opening, worth_closing) = (quantity.abs() - closing, divide(worth * closing, quantity.abs()));
        if closing > 0 {
            let mut released = 0;
            if closing == slow.quantity.abs() {
                released = slow.basis;
                slow.lots.clear();
            } else if method == CostMethod::Average {
                released = divide(slow.basis * closing, slow.quantity.abs());
            } else {
                while closing > 0 {
                    let (size, basis) = slow.lots.remove(0);
                    if size.abs() > closing {
                        let part = divide(basis * closing, size.abs());
                        slow.lots.insert(0, ((size.abs() - closing) * size.signum(), basis - part));
                        released += part;
                        closing = 0;
                    } else {
                        released += basis;
                        closing -= size.abs();
                    }
                }
            }
            slow.realised += -worth_closing - released;
            slow.basis -= released;
        }
        if opening > 0 {
            slow.basis += worth - worth_closing;
            slow.lots.push((opening * quantity.signum(), worth - worth_closing));
        }
        slow.quantity += quantity;
    }

    /// The mark of an instrument at the end of a minute, or now.
    fn mark(&self, config: &BookConfig, symbol: &str, at_ns: Option<i64>) -> Option<Mark> {
        let end = |time: i64| (time.div_euclid(MINUTE_NS) + 1) * MINUTE_NS;
        let mut minutes: BTreeMap<i64, Mark> = BTreeMap::new();
        for event in &self.events {
            match event {
                BookEvent::Mark { instrument, source, mark }
                    if &*instrument.symbol == symbol && *source == config.mark_source =>
                {
                    let known = minutes.get(&end(mark.event_time_ns));
                    let order = |mark: &Mark| (mark.event_time_ns, mark.sequence);
                    if known.is_none_or(|known| order(known) <= order(mark)) {
                        minutes.insert(end(mark.event_time_ns), *mark);
                    }
                }
                BookEvent::MinuteMark { instrument, source, minute_end_ns, mark }
                    if &*instrument.symbol == symbol && *source == config.mark_source =>
                {
                    minutes.remove(minute_end_ns);
                    minutes.extend(mark.map(|mark| (*minute_end_ns, mark)));
                }
                _ => {}
            }
        }
        minutes.range(..=at_ns.unwrap_or(i64::MAX)).next_back().map(|(_, mark)| *mark)
    }

    /// An amount in another currency. The market has one way for each.
    fn convert(&self, config: &BookConfig, amount: i128, from: &str, to: &str, at_ns: Option<i64>) -> Option<i128> {
        if amount == 0 || from == to {
            return Some(amount);
        }
        let price = |symbol: &str| Some(i128::from(self.mark(config, symbol, at_ns)?.price_e8));
        let usdt = match from {
            "USDT" => amount,
            "BTC" => divide(amount * price("BTCUSDT")?, 100_000_000),
            "EUR" => divide(amount * price("EURUSDT")?, 100_000_000),
            _ => return None,
        };
        match to {
            "USDT" => Some(usdt),
            "EUR" => Some(divide(usdt * 100_000_000, price("EURUSDT")?)),
            _ => None,
        }
    }

    fn sum(&self, config: &BookConfig, amounts: &Amounts, to: &str, at_ns: Option<i64>) -> Option<i128> {
        amounts.iter().try_fold(0, |sum, (from, amount)| Some(sum + self.convert(config, *amount, from, to, at_ns)?))
    }

    /// Deposits less withdrawals from one time until before another.
    fn deposits(&self, account: &str, from_ns: i64, until_ns: i64) -> Amounts {
        let mut sums = Amounts::new();
        let mut known = BTreeSet::new();
        for event in &self.events {
            if let BookEvent::Cash(movement) = event
                && &*movement.account == account
                && (from_ns..until_ns).contains(&movement.event_time_ns)
                && known.insert(movement.id.clone())
            {
                *sums.entry(movement.currency.clone()).or_default() += i128::from(movement.amount_e8) * 100_000_000;
            }
        }
        sums
    }

    fn settlement(&self, instrument: &Instrument) -> Arc<str> {
        self.references[instrument].settlement_currency().clone()
    }

    /// Equity at the end of a minute, or now; none where something is unmarked or a rate is missing.
    fn equity(&self, config: &BookConfig, account: &str, base: &str, at_ns: Option<i64>) -> Option<i128> {
        let until = at_ns.unwrap_or(i64::MAX);
        let mut sums = self.deposits(account, i64::MIN, until);
        for ((holder, instrument), slow) in self.positions(config, until) {
            if &*holder.account != account {
                continue;
            }
            let mut made = slow.realised + slow.funding;
            if slow.quantity != 0 {
                let price = self.mark(config, &instrument.symbol, at_ns)?.price_e8;
                made += self.worth(&instrument, price, slow.quantity) - slow.basis;
            }
            *sums.entry(self.settlement(&instrument)).or_default() += made;
            for (currency, fee) in &slow.fees {
                *sums.entry(currency.clone()).or_default() -= fee;
            }
        }
        self.sum(config, &sums, base, at_ns)
    }

    /// Peak, deepest drawdown, the day's profit and what its loss is a share of, over all samples that ever were, and the equity of now.
    fn curve(
        &self,
        config: &BookConfig,
        account: &str,
        base: &str,
        now: i128,
    ) -> (Option<i128>, Option<f64>, Option<i128>, Option<i128>) {
        let (mut peak, mut last, mut waiting) = (None::<i128>, 0, 0);
        // Without a rate so far.
        let mut unvalued = Amounts::new();
        let (mut day, mut day_open, mut day_flow, mut day_base) = (None, 0, 0, 0);
        let mut deepest = None::<f64>;
        let mut since = i64::MIN;
        let times = self.samples.iter().map(|time| (*time, Some(*time))).chain([(self.now_ns, None)]);
        for (time, at) in times {
            let number = (time - 1 - config.day_offset_ns).div_euclid(86_400_000_000_000);
            if day != Some(number) {
                (day, day_open, day_flow, day_base) = (Some(number), last + waiting, 0, last);
            }
            let until = at.unwrap_or(i64::MAX);
            for (currency, amount) in self.deposits(account, since, until) {
                *unvalued.entry(currency).or_default() += amount;
            }
            since = until;
            let mut flow = 0;
            unvalued.retain(|currency, amount| {
                let value = self.convert(config, *amount, currency, base, at);
                flow += value.unwrap_or(0);
                value.is_none()
            });
            // Now each line is converted by itself, at the samples the sum of each currency: digits at the very end may differ.
            let equity = if at.is_none() { Some(now) } else { self.equity(config, account, base, at) };
            day_flow += flow;
            waiting += flow;
            let Some(equity) = equity.filter(|_| unvalued.is_empty()) else { continue };
            // What was put in was there from the sample before on, what was taken out until this one.
            if waiting > 0 {
                let with = |before: i128| match before {
                    1.. if last > 0 => mul_div(before, last + waiting, last).expect("the numbers of tests fit"),
                    // All was lost: the loss stays what it was in money.
                    1.. => before + waiting,
                    _ => last + waiting,
                };
                (peak, day_base) = (Some(with(peak.unwrap_or(0))), with(day_base));
            }
            let earned = equity - waiting.min(0);
            let mut highest = peak.unwrap_or(earned).max(earned);
            if waiting < 0 {
                let without = |before: i128| match before {
                    1.. if earned > 0 && equity > 0 => {
                        mul_div(before, equity, earned).expect("the numbers of tests fit")
                    }
                    1.. if earned <= 0 => before,
                    _ => equity,
                };
                (highest, day_base) = (without(highest), without(day_base));
            }
            (peak, last, waiting) = (Some(highest), equity, 0);
            if highest > 0 {
                let drawdown = (equity - highest) as f64 / highest as f64;
                deepest = Some(deepest.map_or(drawdown, |deepest: f64| deepest.min(drawdown)));
            }
        }
        (peak, deepest, Some(last - day_open - day_flow), Some(day_base))
    }

    /// The factors of an instrument at some bar times.
    fn factors(&self, instrument: &Instrument, times: &[i64]) -> Vec<Option<i128>> {
        let closes = self.closes(instrument);
        let kind = self.references[instrument].kind;
        times
            .iter()
            .map(|time| {
                let (_, previous) = closes.range(..time).next_back()?;
                let Some(close) = closes.get(time) else { return Some(0) };
                let over = if kind == ContractKind::Linear { *previous } else { *close };
                let factor = divide((close - previous) * 1_000_000_000, over);
                Some(factor.clamp(-10_000_000_000, 10_000_000_000))
            })
            .collect()
    }

    fn closes(&self, of: &Instrument) -> BTreeMap<i64, i128> {
        let mut closes = BTreeMap::new();
        for event in &self.events {
            if let BookEvent::Close { instrument, bar_time_ns, close_e8 } = event
                && instrument == of
            {
                closes.remove(bar_time_ns);
                closes.extend(close_e8.map(|close| (*bar_time_ns, i128::from(close))));
            }
        }
        closes
    }

    /// Bar times of the window at which any instrument has a bar.
    fn scenario_times(&self, config: &BookConfig) -> Vec<i64> {
        let ever = self.events.iter().filter_map(|event| match event {
            // One that was taken back has moved the window all the same.
            BookEvent::Close { bar_time_ns, close_e8: Some(_), .. } => Some(*bar_time_ns),
            _ => None,
        });
        let Some(newest) = ever.max() else { return Vec::new() };
        let start = newest - (config.scenarios as i64 - 1) * config.scenario_step_ns;
        let all: BTreeSet<i64> =
            self.references.keys().flat_map(|instrument| self.closes(instrument).into_keys()).collect();
        all.range(start..).copied().collect()
    }

    fn tail(
        &self,
        config: &BookConfig,
        base: &str,
        held: &[(&Instrument, i128)],
        faults: &mut BTreeSet<BookFault>,
    ) -> Option<Tail> {
        if held.is_empty() {
            return Tail::of(&[0, 0]);
        }
        for (instrument, _) in held {
            self.convert(config, 1, &self.settlement(instrument), base, None)?;
        }
        let times = self.scenario_times(config);
        let mut sums: Vec<Option<Amounts>> = vec![Some(Amounts::new()); times.len()];
        for (instrument, exposure) in held {
            for (sum, factor) in sums.iter_mut().zip(self.factors(instrument, &times)) {
                *sum = sum.take().zip(factor).map(|(mut sum, factor)| {
                    *sum.entry(self.settlement(instrument)).or_default() += exposure * factor;
                    sum
                });
            }
        }
        let profits: Option<Vec<i128>> = sums.iter().flatten().map(|sum| self.sum(config, sum, base, None)).collect();
        let profits = profits?;
        if profits.len() < config.scenarios_min {
            faults.insert(BookFault::Scenarios { have: profits.len(), need: config.scenarios_min });
            return None;
        }
        Tail::of(&profits)
    }

    /// The numbers of an account.
    pub fn numbers(&self, config: &BookConfig, account: &str) -> SlowNumbers {
        let base = config.base_currencies.get(account).unwrap_or(&config.base_currency).clone();
        let convert = |amounts: &Amounts| self.sum(config, amounts, &base, None);
        let lost = self.lost.iter().filter(|(of, _)| **of == *account);
        let mut faults: BTreeSet<_> = lost.map(|(_, of)| BookFault::RefusedFills(of.clone())).collect();
        faults.extend(self.lost_cash.contains(account).then_some(BookFault::RefusedCash));
        let [mut realised, mut unrealised, mut funding, mut fees, mut gross, mut net] = [const { Amounts::new() }; 6];
        let mut sectors: BTreeMap<Arc<str>, (Amounts, Amounts)> = BTreeMap::new();
        let mut unmarked_sectors = BTreeSet::new();
        let mut strategies: BTreeMap<Arc<str>, Vec<Part>> = BTreeMap::new();
        let mut symbols: BTreeMap<Instrument, i128> = BTreeMap::new();
        let mut held = Vec::new();
        let mut numbers = SlowNumbers::default();
        for ((holder, instrument), slow) in self.positions(config, i64::MAX) {
            if &*holder.account != account {
                continue;
            }
            let currency = self.settlement(&instrument);
            *realised.entry(currency.clone()).or_default() += slow.realised;
            *funding.entry(currency.clone()).or_default() += slow.funding;
            for (currency, fee) in &slow.fees {
                *fees.entry(currency.clone()).or_default() += fee;
            }
            let sector = self.references[&instrument].sector.clone();
            if slow.quantity == 0 && slow.realised == 0 && slow.funding == 0 && slow.fees.values().all(|fee| *fee == 0)
            {
                continue;
            }
            let strategy = strategies.entry(holder.strategy.clone()).or_default();
            if slow.quantity == 0 {
                continue;
            }
            numbers.open += 1;
            let Some(mark) = self.mark(config, &instrument.symbol, None) else {
                faults.insert(BookFault::Unmarked(instrument.clone()));
                unmarked_sectors.insert(sector);
                strategy.push((instrument.clone(), 0, None));
                held.push((instrument, 0));
                continue;
            };
            if mark.event_time_ns < self.now_ns - config.mark_stale_after_ns {
                faults.insert(BookFault::StaleMark(instrument.clone()));
            }
            let worth = self.worth(&instrument, mark.price_e8, slow.quantity);
            let signed = worth.abs() * slow.quantity.signum();
            *unrealised.entry(currency.clone()).or_default() += worth - slow.basis;
            *gross.entry(currency.clone()).or_default() += worth.abs();
            *net.entry(currency.clone()).or_default() += signed;
            let sums = sectors.entry(sector).or_default();
            *sums.0.entry(currency.clone()).or_default() += worth.abs();
            *sums.1.entry(currency).or_default() += signed;
            *symbols.entry(instrument.clone()).or_default() += worth.abs();
            let exposure = divide(signed, 100_000_000);
            strategy.push((instrument.clone(), exposure, Some(worth - slow.basis)));
            held.push((instrument, exposure));
        }
        let is_marked = !faults.iter().any(|fault| matches!(fault, BookFault::Unmarked(_)));
        numbers.realised = convert(&realised);
        numbers.funding = convert(&funding);
        numbers.fees = convert(&fees);
        numbers.unrealised = is_marked.then(|| convert(&unrealised)).flatten();
        numbers.gross = is_marked.then(|| convert(&gross)).flatten();
        numbers.net = is_marked.then(|| convert(&net)).flatten();
        // Each line is converted by itself, so that they add up.
        numbers.cash = convert(&self.deposits(account, i64::MIN, i64::MAX))
            .and_then(|deposits| Some(deposits + numbers.realised? + numbers.funding? - numbers.fees?));
        numbers.equity = numbers.cash.zip(numbers.unrealised).map(|(cash, unrealised)| cash + unrealised);
        for (sector, (gross, net)) in sectors {
            if let Some(sums) = convert(&gross).zip(convert(&net))
                && !unmarked_sectors.contains(&sector)
            {
                numbers.sectors.insert(sector, sums);
            }
        }
        numbers.largest = (symbols.iter())
            .filter_map(|(instrument, gross)| self.convert(config, *gross, &self.settlement(instrument), &base, None))
            .max();
        let list: Vec<(&Instrument, i128)> =
            held.iter().map(|(instrument, exposure)| (instrument, *exposure)).collect();
        numbers.tail = self.tail(config, &base, &list, &mut faults);
        for (strategy, held) in strategies {
            let list: Vec<(&Instrument, i128)> =
                held.iter().map(|(instrument, exposure, _)| (instrument, *exposure)).collect();
            let mut unrealised = Some(Amounts::new());
            for (instrument, _, made) in &held {
                unrealised = unrealised.zip(*made).map(|(mut sums, made)| {
                    *sums.entry(self.settlement(instrument)).or_default() += made;
                    sums
                });
            }
            let tail = self.tail(config, &base, &list, &mut BTreeSet::new());
            numbers.strategies.insert(strategy, (unrealised.and_then(|sums| convert(&sums)), tail));
        }
        if let Some(now) = numbers.equity {
            (numbers.peak, numbers.max_drawdown, numbers.day_profit, numbers.day_base) =
                self.curve(config, account, &base, now);
            if numbers.open > 0 && numbers.equity.is_some_and(|equity| equity <= 0) {
                faults.insert(BookFault::NoEquity);
            }
        }
        numbers.faults = faults.into_iter().collect();
        numbers
    }
}
