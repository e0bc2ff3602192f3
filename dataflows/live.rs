//! The live loop: what Kafka brought by the end of each tick, as a tick.
//!
//! A tick ends with its time, or earlier when it has grown large; its records are whatever had been read by then, and the
//! bindings log remembers which those were. A tick at which nothing comes and nothing can change is left out, as [`Quiet`]
//! decides. Nothing else depends on the wall clock. A run that goes on begins with the ticks
//! that the log holds beyond the snapshot: they are read again, and are the same ticks.

use crate::bindings::{Binding, SharedBindings};
use crate::current::Current;
use crate::engine::{SourceState, TickInput};
use crate::quiet::{Candidate, Quiet};
use crate::scoring::{self, CommandRecord, ControlFact, Decided, Desk, DeskError, Verdict};
use crate::snapshot::SnapshotTimer;
use crate::status::{self, Status};
use crate::ticks::{Chunk, Piece, Ticker};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
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
    /// The topic holds other records than when the tick was made.
    #[error(
        "the records of tick {tick} are not those it was made of: its watermark was {logged} ns and is {found} ns now; the \
         topics were changed behind the offsets already read (deleted and made again, or compacted). Begin anew with --replace"
    )]
    OtherRecords {
        /// The tick.
        tick: u64,
        /// The watermark in the log.
        logged: i64,
        /// The watermark now.
        found: i64,
    },
    /// What was promoted in a logged tick cannot be taken up again.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The control topic has no one order of its records any more.
    #[error(
        "control topic \"{topic}\" was given more partitions: its records have no order among them. Make it anew with one partition"
    )]
    ControlPartitions {
        /// The topic.
        topic: String,
    },
}

/// The control topic of a run.
#[derive(Debug)]
pub struct Control {
    /// Its name.
    pub topic: String,
    /// Where its records are decided.
    pub desk: Desk,
    /// Whether there is risk to take orders.
    pub has_risk: bool,
}

impl Control {
    /// The name of its only partition.
    pub fn partition(&self) -> String {
        format!("{}[0]", self.topic)
    }

    /// Takes the orders to risk out of the records of a tick, where there is risk: what is left is for the desk.
    fn take_orders(&self, records: &mut Vec<CommandRecord>) -> Vec<CommandRecord> {
        if self.has_risk { scoring::take_orders(records) } else { Vec::new() }
    }
}

/// A source being read live.
pub struct Live<'a> {
    /// The topics.
    pub source: KafkaSource,
    /// How messages are decoded.
    pub decoder: Decoder,
    /// Length of a tick, milliseconds.
    pub tick_ms: u64,
    /// Ticks to make again, from the log of a former run.
    pub logged: Vec<Binding>,
    /// Where the partitions stand, by name.
    pub ends: BTreeMap<String, u64>,
    /// Where ticks are written down, if anywhere.
    pub bindings: Option<SharedBindings>,
    /// What the run is told meanwhile, if anything.
    pub control: Option<Control>,
    /// When snapshots are due, if they are taken.
    pub snapshots: Option<SnapshotTimer>,
    /// Raised to stop after the open tick.
    pub stop: &'a AtomicBool,
    /// Where the source shows itself.
    pub status: &'a Status,
}

impl Live<'_> {
    /// Reads until told to stop, or until `send` says that nobody takes ticks any more. The tick that is open is finished,
    /// and one more tells of the bars that stay open. `caught_up` is called once all logged ticks are made again.
    ///
    /// # Errors
    /// If a partition cannot be read, or holds other records than the log says.
    ///
    /// # Panics
    /// If the source finds partitions and does not know their names.
    pub fn run(
        mut self,
        ticker: &mut Ticker,
        caught_up: impl FnOnce(&Ticker),
        mut send: impl FnMut(TickInput) -> ControlFlow<()>,
    ) -> Result<(), LiveError> {
        let mut names: Arc<[String]> = self.source.partition_names().into();
        for binding in std::mem::take(&mut self.logged) {
            let Some(input) = self.make_again(&binding, &names, ticker)? else { return Ok(()) };
            self.status.note_source(|| (status::partitions(&self.source, ticker), self.source.last_error()));
            if send(input).is_break() {
                return Ok(());
            }
        }
        caught_up(ticker);
        let (mut quiet, mut current, begun) = (Quiet::default(), Current::default(), Instant::now());
        while !self.stop.load(Ordering::Relaxed) {
            let found = self.source.discover()?;
            if !found.is_empty() {
                tracing::info!(?found, "partitions were added to the topics");
                names = self.source.partition_names().into();
                self.refuse_control_partitions(&found)?;
            }
            // A run that goes on must not begin with them later.
            let begin = |name: &String| {
                let number = names.iter().position(|known| known == name).expect("its name is known by now");
                (name.clone(), self.source.position(number as u32))
            };
            let begins: BTreeMap<String, u64> = found.iter().map(begin).collect();
            self.ends.extend(begins.clone());
            let tick_end_ms = (now_ms() / self.tick_ms + 1) * self.tick_ms;
            let deadline = Instant::now() + Duration::from_millis(tick_end_ms.saturating_sub(now_ms()));
            let polled = self.source.poll_until(deadline, BYTES_PER_TICK)?;
            // A tick that is full before its time is called by the moment at which it was cut.
            let tick = now_ms().min(tick_end_ms).max(ticker.last_tick().map_or(0, |last| last + 1));
            let control = self.control_number(&names);
            // One that holds no trades has no event time to wait for.
            current.note_messages(&polled.blocks);
            let now_ns = i64::try_from(now_ms()).unwrap_or(i64::MAX).saturating_mul(1_000_000);
            let is_caught_up = |number: u32| {
                control == Some(number) || self.source.caught_up(number) || current.is_read_up_to(now_ns, number)
            };
            let caught_up: Vec<bool> = (0..names.len() as u32).map(is_caught_up).collect();
            let candidate = Candidate {
                running_ms: begun.elapsed().as_millis() as u64,
                is_empty: polled.blocks.is_empty() && polled.ignored.is_empty() && found.is_empty(),
                caught_up: &caught_up,
                watermark_ns: ticker.watermark_ns(),
                is_provisional: ticker.is_provisional(tick),
                is_due: self.status.is_due(tick, ticker.last_tick()),
            };
            if quiet.may_be_left_out(&candidate) {
                self.status.note_source(|| (status::partitions(&self.source, ticker), self.source.last_error()));
                continue;
            }
            quiet.made(&candidate);
            let (pieces, mut records) = self.decode(polled, &names);
            let orders = self.control.as_ref().map(|control| control.take_orders(&mut records)).unwrap_or_default();
            current.note_records(&pieces);
            let mut binding = Binding { tick, ..Binding::default() };
            binding.ends =
                pieces.iter().map(|piece| (names[piece.partition() as usize].clone(), piece.end_position)).collect();
            binding.begins = begins;
            binding.found = found;
            let behind = names.iter().zip(&caught_up).filter(|(_, caught_up)| !**caught_up);
            binding.behind = behind.map(|(name, _)| name.clone()).collect();
            let decided = match &mut self.control {
                Some(control) => control.desk.decide_all(&records),
                None => Vec::new(),
            };
            binding.control = Verdict::logged(&decided);
            ticker.accept_control((records.len() + orders.len()) as u64);
            let mut input = ticker.tick(tick, pieces, &caught_up);
            input.source.partitions = Some(Arc::clone(&names));
            self.put(&mut input, records, decided, orders);
            self.bind(binding, &mut input, ticker);
            self.status.note_source(|| (status::partitions(&self.source, ticker), self.source.last_error()));
            if send(input).is_break() {
                return Ok(());
            }
        }
        let mut input = ticker.stop();
        input.is_live = true;
        let binding = Binding { tick: input.header.tick, is_last: true, ..Binding::default() };
        self.bind(binding, &mut input, ticker);
        let _ = send(input);
        Ok(())
    }

    /// Reads the records of a logged tick. None if told to stop meanwhile.
    fn make_again(
        &mut self,
        binding: &Binding,
        names: &Arc<[String]>,
        ticker: &mut Ticker,
    ) -> Result<Option<TickInput>, LiveError> {
        const PATIENCE: Duration = Duration::from_millis(100);
        /// A run that is told to stop makes the logged ticks all the same, unless the topics do not answer.
        const GRACE: Duration = Duration::from_secs(10);
        let begun = Instant::now();
        let numbered = |name: &String| names.iter().position(|known| known == name).map(|number| number as u32);
        let ends = binding.ends.iter().filter_map(|(name, end)| Some((numbered(name)?, *end))).collect();
        let polled = loop {
            if self.stop.load(Ordering::Relaxed) && begun.elapsed() > GRACE {
                return Ok(None);
            }
            if let Some(polled) = self.source.poll_to(&ends, Instant::now() + PATIENCE)? {
                break polled;
            }
        };
        let caught_up: Vec<bool> = names.iter().map(|name| !binding.behind.contains(name)).collect();
        let (pieces, mut records) = self.decode(polled, names);
        let orders = self.control.as_ref().map(|control| control.take_orders(&mut records)).unwrap_or_default();
        let decided = match &mut self.control {
            Some(control) => control.desk.repeat(binding.tick, &records, &binding.control)?,
            None => Vec::new(),
        };
        ticker.accept_control((records.len() + orders.len()) as u64);
        // Of a stop only the tick is made again: the bars that it left open in the lake are not open ends of this run.
        let mut input =
            if binding.is_last { ticker.pass(binding.tick) } else { ticker.tick(binding.tick, pieces, &caught_up) };
        if input.header.watermark_ns != binding.watermark_ns {
            let (logged, found) = (binding.watermark_ns, input.header.watermark_ns);
            return Err(LiveError::OtherRecords { tick: binding.tick, logged, found });
        }
        input.source.partitions = Some(Arc::clone(names));
        self.put(&mut input, records, decided, orders);
        self.ends.extend(binding.ends.clone());
        Ok(Some(input))
    }

    /// The pieces of what was read, and the records of the control topic in it.
    fn decode(&self, polled: Polled, names: &[String]) -> (Vec<Piece>, Vec<CommandRecord>) {
        let control = self.control_number(names);
        let mut records = Vec::new();
        let mut pieces = Vec::with_capacity(polled.blocks.len());
        for block in polled.blocks {
            let chunk = if control == Some(block.partition) {
                let (chunk, mut found) = scoring::decode(block);
                records.append(&mut found);
                chunk
            } else {
                self.decoder.decode(block)
            };
            pieces.push(Chunk::new(chunk).take_all());
        }
        if let (Some(piece), false) = (pieces.first_mut(), polled.ignored.is_empty()) {
            piece.ignore(polled.ignored);
        } else if !polled.ignored.is_empty() {
            let partition = 0;
            let end_position = self.source.position(partition);
            let chunk = DecodedChunk { ignored: polled.ignored, end_position, ..DecodedChunk::default() };
            pieces.push(Chunk::new(chunk).take_all());
        }
        (pieces, records)
    }

    /// The number of the control topic's partition.
    fn control_number(&self, names: &[String]) -> Option<u32> {
        let partition = self.control.as_ref()?.partition();
        names.iter().position(|name| *name == partition).map(|number| number as u32)
    }

    fn refuse_control_partitions(&self, found: &[String]) -> Result<(), LiveError> {
        let Some(Control { topic, .. }) = &self.control else { return Ok(()) };
        let is_of_it = |name: &String| name.rsplit_once('[').is_some_and(|(of, _)| of == topic);
        if found.iter().any(is_of_it) { Err(LiveError::ControlPartitions { topic: topic.clone() }) } else { Ok(()) }
    }

    /// Puts what was decided into a tick, and what risk is to decide.
    fn put(
        &self,
        input: &mut TickInput,
        records: Vec<CommandRecord>,
        decided: Vec<Decided>,
        orders: Vec<CommandRecord>,
    ) {
        input.is_live = true;
        let Some(control) = &self.control else { return };
        let source: Arc<str> = control.partition().into();
        for (record, Decided { verdict, activation }) in records.into_iter().zip(decided) {
            let (tick, number) = (input.header.tick, record.wanted.number());
            let (kind, subject) = (record.wanted.kind(), record.wanted.subject());
            match &verdict.refused {
                None => tracing::info!(tick, kind, number, subject, "control record takes effect"),
                Some((reason, detail)) => {
                    tracing::warn!(tick, kind, number, subject, reason, detail, "control record refused")
                }
            }
            input.activations.extend(activation);
            input.source.control.push(ControlFact { source: Arc::clone(&source), record, verdict });
        }
        for record in orders {
            let (tick, kind, id) = (input.header.tick, record.wanted.kind(), record.wanted.subject());
            tracing::info!(tick, kind, id, "order to risk");
            input.orders.extend(scoring::order_of(&record));
            input.source.control.push(ControlFact::of_order(Arc::clone(&source), record));
        }
    }

    /// Writes a tick down, and asks for a snapshot after it where one is due.
    fn bind(&mut self, mut binding: Binding, input: &mut TickInput, ticker: &Ticker) {
        binding.watermark_ns = input.header.watermark_ns;
        binding.record_watermark_ns = Some(ticker.record_watermark_ns()).filter(|ns| *ns != i64::MIN);
        self.ends.extend(binding.ends.clone());
        if let Some(bindings) = &self.bindings {
            bindings.append(&binding);
        }
        if let Some(saving) = self.snapshots.as_mut().and_then(|timer| timer.due(input.header.is_last)) {
            input.header.save = Some(saving);
            input.source.state = Some(Box::new(SourceState {
                partitions: self.source.partition_names(),
                max_event_times_ns: ticker.max_event_times_ns(),
                max_record_times_ns: ticker.max_record_times_ns(),
                record_watermark_ns: binding.record_watermark_ns,
                held_ns: ticker.held_ns(),
                ends: self.ends.clone(),
                last_read: self.source.fingerprints(),
                counters: ticker.counters().clone(),
                watermark_ns: input.header.watermark_ns,
                frozen_ns: input.header.frozen_ns,
                ensembles: self.control.as_ref().map(|control| control.desk.in_force()).unwrap_or_default(),
            }));
        }
    }
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |elapsed| elapsed.as_millis() as u64)
}
