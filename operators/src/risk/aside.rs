//! What markets said of instruments whose reference data has not come: the book takes it when it knows what they are.

use super::MarketChange;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidewheel_risk::book::BookEvent;
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::Instrument;

/// Of one instrument: the newest mark of each source with its minute, and the newest closes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    marks: BTreeMap<MarkSource, (i64, Mark)>,
    closes: BTreeMap<i64, i64>,
}

/// All that waits. State by instrument that has no reference data: a mark a source, and as many closes as there are scenarios.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Aside {
    /// In the form of pairs, since the keys are no texts.
    waiting: Vec<(Instrument, Waiting)>,
}

impl Aside {
    fn of(&mut self, instrument: &Instrument) -> &mut Waiting {
        let at = match self.waiting.binary_search_by(|(held, _)| held.cmp(instrument)) {
            Ok(at) => at,
            Err(at) => {
                self.waiting.insert(at, (instrument.clone(), Waiting::default()));
                at
            }
        };
        &mut self.waiting[at].1
    }

    /// Keeps a mark.
    pub(super) fn keep_mark(&mut self, change: &MarketChange) {
        let MarketChange::Mark { instrument, source, minute_end_ns, mark } = change else { return };
        let marks = &mut self.of(instrument).marks;
        let is_newest = marks.get(source).is_none_or(|(held_ns, _)| held_ns <= minute_end_ns);
        match mark {
            Some(mark) if is_newest => drop(marks.insert(*source, (*minute_end_ns, *mark))),
            // What was the newest is no more; the one before it is forgotten.
            None if marks.get(source).is_some_and(|(held_ns, _)| held_ns == minute_end_ns) => {
                marks.remove(source);
            }
            _ => {}
        }
    }

    /// Keeps a close; drops the oldest of more than `most`.
    pub(super) fn keep_close(&mut self, instrument: &Instrument, bar_time_ns: i64, close_e8: Option<i64>, most: usize) {
        let closes = &mut self.of(instrument).closes;
        match close_e8 {
            Some(close_e8) => drop(closes.insert(bar_time_ns, close_e8)),
            None => drop(closes.remove(&bar_time_ns)),
        }
        if closes.len() > most {
            closes.pop_first();
        }
    }

    /// What waited for an instrument's reference data.
    pub(super) fn take(&mut self, instrument: &Instrument) -> Vec<BookEvent> {
        let Ok(at) = self.waiting.binary_search_by(|(held, _)| held.cmp(instrument)) else { return Vec::new() };
        let (instrument, waiting) = self.waiting.remove(at);
        let marks = waiting.marks.into_iter().map(|(source, (minute_end_ns, mark))| BookEvent::MinuteMark {
            instrument: instrument.clone(),
            source,
            minute_end_ns,
            mark: Some(mark),
        });
        let closes = waiting.closes.into_iter().map(|(bar_time_ns, close_e8)| BookEvent::Close {
            instrument: instrument.clone(),
            bar_time_ns,
            close_e8: Some(close_e8),
        });
        marks.chain(closes).collect()
    }

    /// Instruments that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
