//! The live loop: what Kafka brought by the end of each tick, as a tick.
//!
//! A tick ends with its time, or earlier when it has grown large; its records are whatever had been read by then, and the
//! bindings log remembers which those were. Nothing else depends on the wall clock.

use crate::bindings::{Binding, SharedBindings};
use crate::engine::TickInput;
use crate::status::{self, Status};
use crate::ticks::{Chunk, Piece, Ticker};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidewheel_connectors::decode::Decoder;
use tidewheel_connectors::kafka::KafkaError;
use tidewheel_connectors::kafka::source::{KafkaSource, Polled};
use tidewheel_connectors::source::DecodedChunk;

/// Message bytes that end a tick early: about a hundred thousand trades.
const BYTES_PER_TICK: usize = 16 << 20;

/// Why the live loop ended without being asked to.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A partition cannot be read any more.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The bindings log cannot be written.
    #[error("could not write the bindings log {path}: {source}")]
    Bindings {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// A source being read live.
pub struct Live<'a> {
    /// The topics.
    pub source: KafkaSource,
    /// How messages are decoded.
    pub decoder: Decoder,
    /// Length of a tick, milliseconds.
    pub tick_ms: u64,
    /// Where ticks are written down, if anywhere.
    pub bindings: Option<SharedBindings>,
    /// Raised to stop after the open tick.
    pub stop: &'a AtomicBool,
    /// Where the source shows itself.
    pub status: &'a Status,
}

impl Live<'_> {
    /// Reads until told to stop, or until `send` says that nobody takes ticks any more. The tick that is open is finished,
    /// and one more tells of the bars that stay open.
    ///
    /// # Errors
    /// If a partition cannot be read, or the bindings log cannot be written.
    pub fn run(
        mut self,
        ticker: &mut Ticker,
        mut send: impl FnMut(TickInput) -> ControlFlow<()>,
    ) -> Result<(), LiveError> {
        let names = self.source.partition_names();
        while !self.stop.load(Ordering::Relaxed) {
            let tick_end_ms = (now_ms() / self.tick_ms + 1) * self.tick_ms;
            let deadline = Instant::now() + Duration::from_millis(tick_end_ms.saturating_sub(now_ms()));
            let polled = self.source.poll_until(deadline, BYTES_PER_TICK)?;
            // A tick that is full before its time is called by the moment at which it was cut.
            let tick = now_ms().min(tick_end_ms).max(ticker.last_tick().map_or(0, |last| last + 1));
            let pieces = self.decode(polled);
            let caught_up: Vec<bool> = (0..names.len() as u32).map(|number| self.source.caught_up(number)).collect();
            let ends: BTreeMap<String, u64> =
                pieces.iter().map(|piece| (names[piece.partition() as usize].clone(), piece.end_position)).collect();
            let input = ticker.tick(tick, pieces, &caught_up);
            self.bind(&names, &input, ends, &caught_up)?;
            self.status.note_source(|| (status::partitions(&self.source, ticker), self.source.last_error()));
            if send(input).is_break() {
                return Ok(());
            }
        }
        let _ = send(ticker.stop());
        Ok(())
    }

    fn decode(&self, polled: Polled) -> Vec<Piece> {
        let mut pieces: Vec<Piece> =
            polled.blocks.into_iter().map(|block| Chunk::new(self.decoder.decode(block)).take_all()).collect();
        if let (Some(piece), false) = (pieces.first_mut(), polled.ignored.is_empty()) {
            piece.ignore(polled.ignored);
        } else if !polled.ignored.is_empty() {
            let partition = 0;
            let end_position = self.source.position(partition);
            let chunk = DecodedChunk { ignored: polled.ignored, end_position, ..DecodedChunk::default() };
            pieces.push(Chunk::new(chunk).take_all());
        }
        pieces
    }

    fn bind(
        &self,
        names: &[String],
        input: &TickInput,
        ends: BTreeMap<String, u64>,
        caught_up: &[bool],
    ) -> Result<(), LiveError> {
        let Some(bindings) = &self.bindings else { return Ok(()) };
        let behind = names.iter().zip(caught_up).filter(|(_, caught_up)| !**caught_up).map(|(name, _)| name.clone());
        let binding = Binding {
            tick: input.header.tick,
            ends,
            behind: behind.collect(),
            watermark_ns: input.header.watermark_ns,
        };
        bindings.append(&binding).map_err(|source| LiveError::Bindings { path: bindings.path(), source })
    }
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |elapsed| elapsed.as_millis() as u64)
}
