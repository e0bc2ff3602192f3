//! What accounts do: references, fills and their changes, cash, funding.
//!
//! Every record is first worked out as a whole; only then is anything changed.

use super::account::add;
use super::held::shown_or_unmarked;
use super::{AccountBook, Known, Outcome, Refusal};
use crate::exact::{ONE_E8, POSITIONS_LIMIT};
use crate::positions::{
    Contract, Entry, EntryKey, EntryKind, FillLog, FillState, Logged, OutOfRange, Position, Prepared, bounded,
};
use crate::valuation::{Cell, MarkHistory};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{
    CashMovement, Fill, FillChange, FundingPayment, Instrument, InstrumentReference, PRICE_LIMIT_E8,
    is_notional_in_range,
};

/// One past the largest fee or movement, eight decimals: ten thousand million units.
const AMOUNT_LIMIT_E8: i64 = 1_000_000_000_000_000_000;

/// A position with other entries than it has, worked out.
struct Change {
    /// The position, or the one that is to be made.
    position: Result<usize, Box<Position>>,
    prepared: Prepared,
    cell: Cell,
    without: Option<EntryKey>,
    with: Option<(EntryKey, Entry)>,
}

impl AccountBook {
    pub(super) fn reference(&mut self, reference: InstrumentReference) -> Result<Outcome, Refusal> {
        if reference.multiplier_e8 <= 0 {
            return Err(Refusal::NotPositive("multiplier"));
        }
        for (name, text) in [
            ("asset class", &reference.asset_class),
            ("sector", &reference.sector),
            ("base currency", &reference.base_currency),
            ("quote currency", &reference.quote_currency),
        ] {
            named(name, text)?;
        }
        let Some(&number) = self.instrument_numbers.get(&reference.instrument) else {
            let number = self.grid.add_instrument(reference.kind);
            let is_rate = self.pairs.add(&reference);
            self.instrument_numbers.insert(reference.instrument.clone(), number);
            let marks = std::array::from_fn(|_| MarkHistory::default());
            let instrument = reference.instrument.clone();
            self.instruments.push(Known {
                reference,
                marks,
                fundings: BTreeMap::new(),
                positions: Vec::new(),
                open: 0,
                is_rate,
            });
            self.take_waiting(&instrument, number);
            return Ok(Outcome::Applied);
        };
        let known = &mut self.instruments[number];
        if known.reference == reference {
            return Ok(Outcome::Duplicate);
        }
        let made_of = |reference: &InstrumentReference| {
            let InstrumentReference { base_currency, quote_currency, kind, multiplier_e8, .. } = reference;
            (base_currency.clone(), quote_currency.clone(), *kind, *multiplier_e8)
        };
        if made_of(&known.reference) != made_of(&reference) {
            return Err(Refusal::ReferenceInUse(reference.instrument));
        }
        known.reference = reference;
        for position in known.positions.clone() {
            self.move_scopes(position);
        }
        Ok(Outcome::Applied)
    }

    pub(super) fn fill(&mut self, fill: &Fill) -> Result<Outcome, Refusal> {
        check_fill(fill)?;
        let account = self.admit(&fill.holder.account)?;
        let Ok(instrument) = self.known(&fill.instrument) else {
            return self.wait(account, &fill.instrument, &fill.fill_id, "fill", |log| log.with_fill(fill));
        };
        let log = self.logs.entry((account, instrument)).or_default();
        if fill.event_time_ns < self.frozen_ns {
            return Ok(if log.counted(fill) { Outcome::Duplicate } else { Outcome::Late });
        }
        let logged = log.with_fill(fill);
        self.take_logged(account, instrument, &fill.fill_id, logged, "fill")
    }

    pub(super) fn fill_change(
        &mut self,
        account: &Arc<str>,
        instrument: &Instrument,
        fill_id: &Arc<str>,
        change: &FillChange,
        event_time_ns: i64,
        mut oldest_ns: i64,
    ) -> Result<Outcome, Refusal> {
        named("account", account)?;
        named("fill id", fill_id)?;
        if let FillChange::Correct { fill, .. } = change {
            check_fill(fill)?;
            if (&fill.holder.account, &fill.instrument, &fill.fill_id) != (account, instrument, fill_id) {
                return Err(Refusal::OtherFill);
            }
            oldest_ns = oldest_ns.min(fill.event_time_ns);
        }
        let account = self.admit(account)?;
        let Ok(number) = self.known(instrument) else {
            let with_change = |log: &FillLog| log.with_change(fill_id, change, event_time_ns);
            return self.wait(account, instrument, fill_id, "correction", with_change);
        };
        let log = self.logs.entry((account, number)).or_default();
        if oldest_ns < self.frozen_ns {
            return Ok(if log.changed(fill_id, change) { Outcome::Duplicate } else { Outcome::Late });
        }
        let logged = log.with_change(fill_id, change, event_time_ns);
        // A correction that cannot be is refused when it comes, not its fill afterwards.
        if let FillChange::Correct { fill, .. } = change {
            entry_of(fill, &Contract::from(&self.instruments[number].reference))?;
        }
        self.take_logged(account, number, fill_id, logged, "correction")
    }

    /// Keeps what is known of a fill whose instrument has no reference data, until it comes.
    fn wait(
        &mut self,
        account: usize,
        instrument: &Instrument,
        fill_id: &Arc<str>,
        what: &'static str,
        logged: impl FnOnce(&FillLog) -> Logged,
    ) -> Result<Outcome, Refusal> {
        let account = &mut self.accounts[account];
        let Some(log) = account.waiting_log(instrument) else {
            account.lose(instrument);
            return Err(Refusal::UnknownInstrument(instrument.clone()));
        };
        match logged(log) {
            Logged::Duplicate => Ok(Outcome::Duplicate),
            Logged::Conflict => Err(Refusal::Conflict(what)),
            Logged::Changed(state) => {
                log.put(fill_id.clone(), *state);
                Err(Refusal::UnknownInstrument(instrument.clone()))
            }
        }
    }

    /// Takes the fills that waited for the reference data of an instrument, also those of before the horizon: nothing of it was held so
    /// far.
    fn take_waiting(&mut self, instrument: &Instrument, number: usize) {
        for account in 0..self.accounts.len() {
            let Some(log) = self.accounts[account].waiting.remove(instrument) else { continue };
            let fills: Vec<Fill> = log.effective().cloned().collect();
            for fill in fills {
                if self.replace_fill(number, None, Some(&fill)).is_err() {
                    self.accounts[account].lose(instrument);
                }
            }
            self.logs.insert((account, number), log);
        }
    }

    fn take_logged(
        &mut self,
        account: usize,
        instrument: usize,
        fill_id: &Arc<str>,
        logged: Logged,
        what: &'static str,
    ) -> Result<Outcome, Refusal> {
        let state = match logged {
            Logged::Duplicate => return Ok(Outcome::Duplicate),
            Logged::Conflict => return Err(Refusal::Conflict(what)),
            Logged::Changed(state) => *state,
        };
        let known = self.logs.get(&(account, instrument)).and_then(|log| log.get(fill_id));
        let before = known.and_then(FillState::effective).cloned();
        if before.as_ref().is_some_and(|fill| fill.event_time_ns < self.frozen_ns)
            || state.effective().is_some_and(|fill| fill.event_time_ns < self.frozen_ns)
        {
            return Ok(Outcome::Late);
        }
        let outcome = if state.original.is_some() { Outcome::Applied } else { Outcome::Waiting };
        if before.as_ref() != state.effective() {
            self.replace_fill(instrument, before.as_ref(), state.effective())?;
        }
        self.logs.entry((account, instrument)).or_default().put(fill_id.clone(), state);
        Ok(outcome)
    }

    /// Takes one fill out and puts another in, of the same or of another position.
    fn replace_fill(&mut self, instrument: usize, out: Option<&Fill>, into: Option<&Fill>) -> Result<(), Refusal> {
        let contract = Contract::from(&self.instruments[instrument].reference);
        let old_key = out.map(key_of);
        let new = into.map(|fill| entry_of(fill, &contract).map(|entry| (key_of(fill), entry))).transpose()?;
        let changes = match (out, into) {
            (Some(out), Some(into)) if out.holder != into.holder => {
                vec![self.change(out, instrument, old_key, None)?, self.change(into, instrument, None, new)?]
            }
            (Some(fill), _) | (None, Some(fill)) => vec![self.change(fill, instrument, old_key, new)?],
            (None, None) => return Ok(()),
        };
        let earliest = [out, into].into_iter().flatten().map(|fill| fill.event_time_ns).min();
        let holders: Vec<_> = match (out, into) {
            (Some(out), Some(into)) if out.holder != into.holder => vec![out.holder.clone(), into.holder.clone()],
            _ => out.or(into).map(|fill| fill.holder.clone()).into_iter().collect(),
        };
        let changes = changes
            .into_iter()
            .zip(holders)
            .map(|(change, holder)| {
                let number = match change.position {
                    Ok(number) => number,
                    Err(position) => self.add_position(holder, instrument, *position),
                };
                (number, change.prepared, change.cell, change.without, change.with)
            })
            .collect();
        self.make(changes, earliest.unwrap_or(i64::MAX));
        Ok(())
    }

    /// Works out a change of the position of a fill.
    fn change(
        &self,
        fill: &Fill,
        instrument: usize,
        without: Option<EntryKey>,
        with: Option<(EntryKey, Entry)>,
    ) -> Result<Change, Refusal> {
        let number = self.position_numbers.get(&(fill.holder.clone(), instrument)).copied();
        let fresh = match number {
            Some(_) => None,
            None if self.positions.len() >= POSITIONS_LIMIT => return Err(Refusal::TooManyPositions),
            None => Some(Box::new(self.fresh(instrument)?)),
        };
        let position = match (&fresh, number) {
            (Some(fresh), _) => fresh,
            (None, Some(number)) => &self.positions[number].position,
            (None, None) => unreachable!("a position that has no number is fresh"),
        };
        let prepared = position.prepare(without.as_ref(), with.as_ref().map(|(key, entry)| (key, entry)))?;
        // A fill is not lost because of the mark of now: then the position has none.
        let cell = shown_or_unmarked(prepared.holding(), position, self.price_e8(instrument));
        let position = match (fresh, number) {
            (Some(fresh), _) => Err(fresh),
            (None, number) => Ok(number.expect("a position that is not fresh has a number")),
        };
        Ok(Change { position, prepared, cell, without, with })
    }

    /// A position that holds nothing, and was there when the horizon's funding was paid.
    fn fresh(&self, instrument: usize) -> Result<Position, OutOfRange> {
        let known = &self.instruments[instrument];
        let settlement = known.reference.settlement_currency().clone();
        let mut position = Position::new((&known.reference).into(), settlement, self.config.cost_method);
        for funding in known.fundings.values() {
            let Some(price_e8) = funding.price_e8 else { continue };
            let (key, entry) = funding_entry(&funding.payment, price_e8);
            let prepared = position.prepare(None, Some((&key, &entry)))?;
            position.commit(prepared, None, Some((key, entry)));
        }
        Ok(position)
    }

    /// Makes changes that were worked out, and corrects the samples after the earliest of them.
    #[expect(clippy::type_complexity, reason = "one private list with one maker for each of two callers")]
    pub(super) fn make(
        &mut self,
        changes: Vec<(usize, Prepared, Cell, Option<EntryKey>, Option<(EntryKey, Entry)>)>,
        earliest_ns: i64,
    ) {
        let times: Vec<i64> = self.samples_after(earliest_ns).collect();
        for (number, prepared, cell, without, with) in changes {
            self.sample_position(number, &times, -1);
            self.positions[number].position.commit(prepared, without.as_ref(), with);
            self.sample_position(number, &times, 1);
            self.show(number, cell);
            self.show_fees(number);
        }
    }

    pub(super) fn cash(&mut self, movement: CashMovement) -> Result<Outcome, Refusal> {
        for (name, text) in [("account", &movement.account), ("id", &movement.id), ("currency", &movement.currency)] {
            named(name, text)?;
        }
        if movement.amount_e8 == 0 {
            return Err(Refusal::NotPositive("amount"));
        }
        if movement.amount_e8.unsigned_abs() >= AMOUNT_LIMIT_E8.unsigned_abs() {
            return Err(OutOfRange("amount").into());
        }
        let number = self.admit(&movement.account)?;
        if movement.event_time_ns < self.frozen_ns {
            let is_known = self.accounts[number].forgotten_movements.contains(&movement.id);
            return Ok(if is_known { Outcome::Duplicate } else { Outcome::Late });
        }
        let account = &self.accounts[number];
        match account.movements.get(&movement.id) {
            Some(known) if *known == movement => return Ok(Outcome::Duplicate),
            Some(_) => return Err(Refusal::Conflict("movement")),
            None => {}
        }
        let amount = i128::from(movement.amount_e8) * ONE_E8;
        let so_far = account.deposits.get(&movement.currency).copied().unwrap_or(0);
        bounded(so_far + amount, "deposits")?;
        let times: Vec<i64> = self.samples_after(movement.event_time_ns).collect();
        let account = &mut self.accounts[number];
        if !times.is_empty() {
            account.last = None;
        }
        add(&mut account.deposits, &movement.currency, amount);
        for (at, time) in times.iter().enumerate() {
            let sample = account.samples.get_mut(time).expect("accounts are sampled at the book's times");
            add(&mut sample.sums, &movement.currency, amount);
            if at == 0 {
                add(&mut sample.flows, &movement.currency, amount);
            }
        }
        account.movements.insert(movement.id.clone(), movement);
        Ok(Outcome::Applied)
    }
}

fn key_of(fill: &Fill) -> EntryKey {
    EntryKey { event_time_ns: fill.event_time_ns, kind: EntryKind::Fill, id: fill.fill_id.clone() }
}

fn entry_of(fill: &Fill, contract: &Contract) -> Result<Entry, OutOfRange> {
    let quantity_e8 = fill.quantity_e8 * fill.side.sign();
    Ok(Entry::Fill {
        quantity_e8,
        worth_e16: contract.worth_e16(fill.price_e8, quantity_e8)?,
        fee_e16: i128::from(fill.fee_e8) * ONE_E8,
        fee_currency: fill.fee_currency.clone(),
    })
}

pub(super) fn funding_entry(funding: &FundingPayment, mark_price_e8: i64) -> (EntryKey, Entry) {
    let key = EntryKey { event_time_ns: funding.event_time_ns, kind: EntryKind::Funding, id: "".into() };
    (key, Entry::Funding { rate_e12: funding.rate_e12, mark_price_e8 })
}

fn named(name: &'static str, text: &str) -> Result<(), Refusal> {
    if text.is_empty() { Err(Refusal::Missing(name)) } else { Ok(()) }
}

fn check_fill(fill: &Fill) -> Result<(), Refusal> {
    for (name, text) in [
        ("account", &fill.holder.account),
        ("strategy", &fill.holder.strategy),
        ("fill id", &fill.fill_id),
        ("fee currency", &fill.fee_currency),
    ] {
        named(name, text)?;
    }
    for (name, value) in [("quantity", fill.quantity_e8), ("price", fill.price_e8)] {
        if value <= 0 {
            return Err(Refusal::NotPositive(name));
        }
    }
    if fill.price_e8 >= PRICE_LIMIT_E8 {
        return Err(OutOfRange("price").into());
    }
    if !is_notional_in_range(fill.price_e8, fill.quantity_e8) {
        return Err(OutOfRange("price times quantity").into());
    }
    if fill.fee_e8.unsigned_abs() >= AMOUNT_LIMIT_E8.unsigned_abs() {
        return Err(OutOfRange("fee").into());
    }
    Ok(())
}
