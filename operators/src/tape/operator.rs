//! The tape as a timely operator.

use super::{Conflict, RoutedRows, Tape, TapePart, TapeSizes};
use crate::open_ticks::OpenTicks;
use crate::risk::MarketChange;
use crate::saved::{RestoredState, shard_of};
use crate::{TickHeader, Upsert};
use std::cell::RefCell;
use std::rc::Rc;
use tidewheel_schemas::{AcceptedRows, Amendment, Counters, Instrument, LateRecord, Reject};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// What the tape is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct TapeConfig {
    /// How long an amendment waits for its trade, nanoseconds of event time.
    pub horizon_ns: i64,
    /// Whether accepted records are handed on for the archive.
    pub archive: bool,
    /// Whether snapshots will be asked for, so that changes are kept track of.
    pub is_saved: bool,
    /// Whether risk is told of marks and prices.
    pub tells: bool,
}

/// What became of the records of a tick on one worker.
#[derive(Clone, Debug, Default)]
pub struct TapeOutcome {
    /// Records beyond the horizon.
    pub late: Vec<LateRecord>,
    /// Amendments whose trade never came.
    pub rejects: Vec<Reject>,
    /// Trade ids seen before with other content.
    pub conflicts: Vec<Conflict>,
    /// Trades taken in, if asked for.
    pub accepted: Vec<AcceptedRows>,
    /// Cancels and corrections taken in, if asked for.
    pub amendments: Vec<Amendment>,
    /// Instruments known so far.
    pub instruments: usize,
    /// All counts of this worker so far; `read` is counted at the source.
    pub counters: Counters,
    /// How much the tape holds after the tick.
    pub sizes: TapeSizes,
    /// For a snapshot, where the tick asks for one.
    pub saved: Option<TapePart>,
}

/// What the tape gives.
pub struct TapeStreams<'scope> {
    /// Seconds that changed.
    pub seconds: StreamVec<'scope, u64, Upsert>,
    /// Minutes that changed.
    pub minutes: StreamVec<'scope, u64, Upsert>,
    /// One outcome a tick.
    pub outcomes: StreamVec<'scope, u64, TapeOutcome>,
    /// What risk is told; nothing where it is not asked for.
    pub told: StreamVec<'scope, u64, MarketChange>,
}

/// The names of the instruments that a worker owns, by the number its [`Upsert`]s carry. Numbers never leave the worker.
pub type Directory = Rc<RefCell<Vec<Instrument>>>;

/// What comes for a tick.
#[derive(Default)]
struct Records {
    rows: Vec<RoutedRows>,
    amendments: Vec<Amendment>,
}

/// Applies ticks to the [`Tape`] of this worker, each when all its records have arrived.
///
/// **Input** rows by owning worker, amendments (exchanged here by instrument), one header a tick and worker. **Output**
/// changed seconds and minutes, keyed by instrument number and open time; one outcome a tick; what risk is told. **Order** none needed: a
/// tick's records are sorted by source position. **State** the correction horizon's trades, see [`Tape::sizes`]. **Late**
/// records go to the outcome.
///
/// It begins with what a snapshot held, where there is one: its parts are taken out of `restored`.
///
/// # Panics
/// If a tick has records but no header on this worker.
pub fn tape<'scope>(
    rows: StreamVec<'scope, u64, RoutedRows>,
    amendments: StreamVec<'scope, u64, Amendment>,
    headers: StreamVec<'scope, u64, TickHeader>,
    config: TapeConfig,
    restored: Option<&mut RestoredState>,
    directory: Directory,
) -> TapeStreams<'scope> {
    let mut builder = OperatorBuilder::new("Tape".to_owned(), rows.scope());
    let mut rows = builder.new_input(rows, Exchange::new(|routed: &RoutedRows| routed.worker));
    let mut amendments = builder
        .new_input(amendments, Exchange::new(|amendment: &Amendment| u64::from(shard_of(amendment.instrument.id()))));
    let mut headers = builder.new_input(headers, Pipeline);
    let (seconds, seconds_stream) = builder.new_output::<Vec<Upsert>>();
    let (minutes, minutes_stream) = builder.new_output::<Vec<Upsert>>();
    let (outcomes, outcomes_stream) = builder.new_output::<Vec<TapeOutcome>>();
    let mut seconds = OutputBuilder::from(seconds);
    let mut minutes = OutputBuilder::from(minutes);
    let mut outcomes = OutputBuilder::from(outcomes);
    let (told, told_stream) = builder.new_output::<Vec<MarketChange>>();
    let mut told = OutputBuilder::from(told);

    let mut tape = restored.map_or_else(|| Tape::new(config), |state| Tape::restore(config, state));
    directory.borrow_mut().extend_from_slice(tape.instruments());
    builder.build(move |_| {
        let mut open = OpenTicks::<Records, 4>::default();
        move |frontiers| {
            rows.for_each(|time, data| open.at(&time).records.rows.append(data));
            amendments.for_each(|time, data| open.at(&time).records.amendments.append(data));
            headers.for_each(|time, data| open.at(&time).header = data.pop());

            while let Some(tick) = open.take_complete(frontiers) {
                let mut changes = tape.apply(&tick.header, tick.records.rows, tick.records.amendments);
                let known = directory.borrow().len();
                directory.borrow_mut().extend_from_slice(&tape.instruments()[known..]);
                let [seconds_at, minutes_at, outcomes_at, told_at] = &tick.capabilities;
                seconds.activate().session(seconds_at).give_container(&mut changes.seconds);
                minutes.activate().session(minutes_at).give_container(&mut changes.minutes);
                outcomes.activate().session(outcomes_at).give(changes.outcome);
                told.activate().session(told_at).give_container(&mut changes.told);
            }
        }
    });
    TapeStreams { seconds: seconds_stream, minutes: minutes_stream, outcomes: outcomes_stream, told: told_stream }
}
