//! The tape's part of a snapshot: taken on the worker as references, made into columns elsewhere, and put back.

use super::chunks::RowRef;
use super::instrument::{Amended, InstrumentTape};
use super::told::Watched;
use super::{Tape, TapeConfig};
use crate::hash::FixedMap;
use crate::saved::{RestoredState, Saving, shard_of, since_whole};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{Amendment, Instrument, Interval, TradeColumns, TradeId};

/// Instruments of one shard, as a snapshot holds them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedTape {
    /// The shard.
    pub shard: u32,
    /// Whether this is all of it, or what changed since it was saved last.
    pub is_whole: bool,
    /// All but the trades, of instruments that changed: these replace what was saved before.
    pub instruments: Vec<SavedInstrument>,
    /// Trades, those that were saved before not again. Positions and receive times are left out.
    pub rows: TradeColumns,
}

/// An instrument without its trades.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedInstrument {
    /// Its name.
    pub instrument: Instrument,
    /// The dense ids seen, as half-open runs. Ids outside are those of the trades.
    pub(super) runs: Vec<(TradeId, TradeId)>,
    pub(super) amended: Vec<(TradeId, Amended)>,
    /// With the watermark when they came.
    pub(super) pending: Vec<(Amendment, i64)>,
}

/// What a worker hands out for a snapshot: references, so that the worker is held up as little as can be.
#[derive(Clone, Debug)]
pub struct TapePart {
    shards: Vec<ShardPart>,
    chunks: FixedMap<u32, Arc<TradeColumns>>,
}

#[derive(Clone, Debug, Default)]
struct ShardPart {
    shard: u32,
    is_whole: bool,
    instruments: Vec<SavedInstrument>,
    /// By instrument, by number in `names`.
    rows: Vec<(u32, Vec<RowRef>)>,
    names: Vec<Instrument>,
}

impl TapePart {
    /// Copies the trades out of their chunks. Shards of which nothing changed are left out.
    pub fn into_shards(self) -> impl Iterator<Item = SavedTape> {
        let Self { shards, chunks } = self;
        shards.into_iter().map(move |part| {
            let mut rows = TradeColumns { instruments: part.names, ..TradeColumns::default() };
            rows.reserve(part.rows.iter().map(|(_, rows)| rows.len()).sum());
            for (number, references) in &part.rows {
                for at in references {
                    rows.push(*number, &chunks[&at.chunk].trade(at.row as usize), 0);
                }
            }
            rows.position = Vec::new();
            SavedTape { shard: part.shard, is_whole: part.is_whole, instruments: part.instruments, rows }
        })
    }
}

impl Tape {
    /// Takes what a snapshot must hold. What was taken counts as saved: the next call leaves it out where it saves changes.
    pub(super) fn save(&mut self, saving: Saving) -> TapePart {
        let mut shards: BTreeMap<u32, ShardPart> = BTreeMap::new();
        for (tape, name) in self.tapes.iter_mut().zip(&self.names) {
            let shard = shard_of(name.id());
            let is_whole = saving.is_whole(shard);
            let mut rows = Vec::new();
            let Some(saved) = tape.save(name, is_whole, &mut rows) else { continue };
            let part = shards.entry(shard).or_insert_with(|| ShardPart { shard, is_whole, ..ShardPart::default() });
            part.instruments.push(saved);
            if !rows.is_empty() {
                part.rows.push((part.names.len() as u32, rows));
                part.names.push(name.clone());
            }
        }
        TapePart { shards: shards.into_values().collect(), chunks: self.chunks.shared() }
    }

    /// The tape that was saved. Trades that were frozen by the snapshot's tick are left out, as they had been.
    pub fn restore(config: TapeConfig, state: &mut RestoredState) -> Self {
        let mut tape = Self::new(config);
        tape.counters = std::mem::take(&mut state.counters);
        tape.counters.pending = 0;
        tape.watched = Watched::after(&tape.counters);
        let frozen_minute = if state.frozen_ns == i64::MIN { i64::MIN } else { Interval::M1.open_of(state.frozen_ns) };
        let parts = since_whole(std::mem::take(&mut state.tapes), |part| (part.shard, part.is_whole));
        let (instruments, rows): (Vec<_>, Vec<_>) = parts.map(|part| (part.instruments, part.rows)).unzip();
        for saved in instruments.into_iter().flatten() {
            let number = tape.number_of(&saved.instrument) as usize;
            tape.tapes[number] = InstrumentTape::restore(saved, frozen_minute, config.is_saved);
        }
        for columns in rows {
            tape.restore_rows(columns, frozen_minute);
        }
        for instrument in &mut tape.tapes {
            tape.counters.pending += instrument.finish_restore(frozen_minute, &tape.chunks);
        }
        tape
    }

    fn restore_rows(&mut self, columns: TradeColumns, frozen_minute: i64) {
        let numbers: Vec<u32> = columns.instruments.iter().map(|name| self.number_of(name)).collect();
        let columns = Arc::new(columns);
        let chunk = self.chunks.admit(Arc::clone(&columns));
        let mut held = 0;
        for row in 0..columns.len() {
            if columns.event_time_ns[row] >= frozen_minute {
                let tape = &mut self.tapes[numbers[columns.instrument[row] as usize] as usize];
                tape.restore_row(&columns.trade(row), RowRef { chunk, row: row as u32 });
                held += 1;
            }
        }
        self.chunks.retain(chunk, held);
    }
}
