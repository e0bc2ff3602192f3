//! What markets do: marks, and the closes of bars that make scenarios.

use super::held::shown_or_unmarked;
use super::{AccountBook, Outcome, Refusal};
use crate::positions::OutOfRange;
use crate::scenarios::ClosePut;
use crate::valuation::{Cell, Mark, MarkSource, minute_end_ns};
use tidewheel_schemas::{Instrument, PRICE_LIMIT_E8};

impl AccountBook {
    pub(super) fn mark(&mut self, instrument: &Instrument, source: MarkSource, mark: Mark) -> Result<Outcome, Refusal> {
        check_price("mark", mark.price_e8)?;
        let instrument = self.known(instrument)?;
        if mark.event_time_ns < self.frozen_ns {
            return Ok(Outcome::Late);
        }
        if !self.instruments[instrument].marks[source as usize].is_news(&mark) {
            return Ok(Outcome::Duplicate);
        }
        self.put_mark(instrument, source, minute_end_ns(mark.event_time_ns), Some(mark))
    }

    pub(super) fn minute_mark(
        &mut self,
        instrument: &Instrument,
        source: MarkSource,
        minute_end: i64,
        mark: Option<Mark>,
    ) -> Result<Outcome, Refusal> {
        if let Some(mark) = mark {
            check_price("mark", mark.price_e8)?;
        }
        if mark.map_or(minute_end, |mark| minute_end_ns(mark.event_time_ns)) != minute_end
            || Self::minute_at(minute_end) != minute_end
        {
            return Err(Refusal::Misaligned("minute"));
        }
        let instrument = self.known(instrument)?;
        if minute_end <= self.frozen_ns {
            return Ok(Outcome::Late);
        }
        if self.instruments[instrument].marks[source as usize].of_minute(minute_end) == mark.as_ref() {
            return Ok(Outcome::Duplicate);
        }
        self.put_mark(instrument, source, minute_end, mark)
    }

    /// Puts a mark into its minute: the positions of the instrument show what it makes of them, and samples of the minutes in which
    /// it is in force are corrected.
    fn put_mark(
        &mut self,
        instrument: usize,
        source: MarkSource,
        minute_end: i64,
        mark: Option<Mark>,
    ) -> Result<Outcome, Refusal> {
        let at = source as usize;
        if source != self.config.mark_source {
            self.instruments[instrument].marks[at].put(minute_end, mark);
            self.reprice_fundings(instrument);
            return Ok(Outcome::Applied);
        }
        let known = &self.instruments[instrument];
        let before = known.mark(source).copied();
        let after = known.marks[at].current_with(minute_end, mark.as_ref());
        let price = |mark: Option<Mark>| mark.map(|mark| mark.price_e8);
        let cells =
            if price(before) == price(after) { Vec::new() } else { self.cells_at(instrument, price(after)).collect() };
        let until = known.marks[at].next_minute_ns(minute_end).unwrap_or(i64::MAX);
        let times: Vec<i64> = self.sample_times.range(minute_end..until).copied().collect();
        if known.is_rate {
            self.touch_rates(!times.is_empty());
        }
        self.touch_holders(instrument);
        self.with_samples(instrument, &times, |book| {
            book.instruments[instrument].marks[at].put(minute_end, mark);
        });
        if self.instruments[instrument].open > 0 {
            self.age(instrument, before, after);
        }
        for (number, cell) in cells {
            self.show(number, cell);
        }
        self.reprice_fundings(instrument);
        Ok(Outcome::Applied)
    }

    fn age(&mut self, instrument: usize, before: Option<Mark>, after: Option<Mark>) {
        if let Some(mark) = before {
            self.ages.remove(&(mark.event_time_ns, instrument));
        }
        if let Some(mark) = after {
            self.ages.insert((mark.event_time_ns, instrument));
        }
    }

    /// What the positions of an instrument show at a price. The absurd one of one account must not keep the mark from all others.
    fn cells_at(&self, instrument: usize, price_e8: Option<i64>) -> impl Iterator<Item = (usize, Cell)> {
        self.instruments[instrument].positions.iter().map(move |&number| {
            let position = &self.positions[number].position;
            (number, shown_or_unmarked(position.current(), position, price_e8))
        })
    }

    /// Does something to an instrument that changes what its positions were at the ends of some minutes.
    fn with_samples(&mut self, instrument: usize, times: &[i64], change: impl FnOnce(&mut Self)) {
        if times.is_empty() {
            return change(self);
        }
        let positions = self.instruments[instrument].positions.clone();
        positions.iter().for_each(|&number| self.sample_position(number, times, -1));
        change(self);
        positions.iter().for_each(|&number| self.sample_position(number, times, 1));
    }

    /// Chooses other marks, or another age at which they are stale. All is valued anew.
    ///
    /// A position whose worth is out of range at the other mark is as good as unmarked.
    pub fn set_marks(&mut self, source: MarkSource, stale_after_ns: i64) {
        if (source, stale_after_ns) == (self.config.mark_source, self.config.mark_stale_after_ns) {
            return;
        }
        self.config.mark_stale_after_ns = stale_after_ns;
        self.touch_all();
        self.touch_rates(true);
        if source == self.config.mark_source {
            return;
        }
        let times: Vec<i64> = self.sample_times.iter().copied().collect();
        (0..self.positions.len()).for_each(|number| self.sample_position(number, &times, -1));
        self.config.mark_source = source;
        (0..self.positions.len()).for_each(|number| self.sample_position(number, &times, 1));
        for number in 0..self.positions.len() {
            let position = &self.positions[number].position;
            let price = self.price_e8(self.positions[number].instrument);
            let cell = shown_or_unmarked(position.current(), position, price);
            self.show(number, cell);
        }
        let held = self.instruments.iter().enumerate().filter(|(_, known)| known.open > 0);
        let ages = held.filter_map(|(number, known)| Some((known.mark(source)?.event_time_ns, number)));
        self.ages = ages.collect();
    }

    pub(super) fn close(
        &mut self,
        instrument: &Instrument,
        bar_time_ns: i64,
        close_e8: Option<i64>,
    ) -> Result<Outcome, Refusal> {
        if let Some(close) = close_e8 {
            check_price("close", close)?;
        }
        let instrument = self.known(instrument)?;
        let mut changes = std::mem::take(&mut self.changes);
        let put = self.grid.put(instrument, bar_time_ns, close_e8, &mut changes);
        for change in changes.drain(..) {
            for &number in &self.instruments[change.instrument].positions {
                let held = &self.positions[number];
                if held.shown.open == 0 {
                    continue;
                }
                let vector = &mut self.vectors[held.vector];
                vector.sums_e17[change.slot] += held.exposure_e8 * i128::from(change.factor_e9);
                vector.missing[change.slot] += change.missing;
            }
        }
        self.changes = changes;
        match put {
            ClosePut::Put => {
                self.touch_all();
                Ok(Outcome::Applied)
            }
            ClosePut::Same => Ok(Outcome::Duplicate),
            ClosePut::Late => Ok(Outcome::Late),
            ClosePut::Misaligned => Err(Refusal::Misaligned("bar time")),
        }
    }
}

fn check_price(name: &'static str, price_e8: i64) -> Result<(), Refusal> {
    match price_e8 {
        ..=0 => Err(Refusal::NotPositive(name)),
        PRICE_LIMIT_E8.. => Err(OutOfRange(name).into()),
        _ => Ok(()),
    }
}
