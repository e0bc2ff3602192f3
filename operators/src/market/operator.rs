//! The ledger of markets as a timely operator.

use super::{LeafChange, MarketConfig, MarketLedger, MarketOutcome};
use crate::TickHeader;
use crate::open_ticks::OpenTicks;
use crate::risk::MarketChange;
use crate::saved::{RestoredState, shard_of};
use tidewheel_schemas::MarketRecord;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// What it gives.
pub struct MarketStreams<'scope> {
    /// Leaves that changed, each message a tick's, by instrument and time.
    pub leaves: StreamVec<'scope, u64, LeafChange>,
    /// One outcome a tick.
    pub outcomes: StreamVec<'scope, u64, MarketOutcome>,
    /// What risk is told; nothing where it is not asked for.
    pub told: StreamVec<'scope, u64, MarketChange>,
}

/// Applies ticks to the [`MarketLedger`] of this worker, each when all its records have arrived.
///
/// **Input** records on any worker (exchanged here by instrument), one header a tick and worker. **Output** leaves that changed,
/// by instrument and minute; one outcome a tick; what risk is told. **Order** none needed: a tick's records are sorted by source. **State** the
/// records of the correction horizon and books, see [`MarketLedger::sizes`]. **Late** records are refused.
///
/// It begins with what a snapshot held, where there is one: its parts are taken out of `restored`.
///
/// # Panics
/// If a tick has records but no header on this worker.
pub fn market<'scope>(
    records: StreamVec<'scope, u64, MarketRecord>,
    headers: StreamVec<'scope, u64, TickHeader>,
    config: MarketConfig,
    restored: Option<&mut RestoredState>,
) -> MarketStreams<'scope> {
    let mut builder = OperatorBuilder::new("Market".to_owned(), records.scope());
    let mut records =
        builder.new_input(records, Exchange::new(|record: &MarketRecord| u64::from(shard_of(record.instrument.id()))));
    let mut headers = builder.new_input(headers, Pipeline);
    let (leaves, leaves_stream) = builder.new_output::<Vec<LeafChange>>();
    let (outcomes, outcomes_stream) = builder.new_output::<Vec<MarketOutcome>>();
    let mut leaves = OutputBuilder::from(leaves);
    let mut outcomes = OutputBuilder::from(outcomes);
    let (told, told_stream) = builder.new_output::<Vec<MarketChange>>();
    let mut told = OutputBuilder::from(told);

    let mut ledger = restored.map_or_else(|| MarketLedger::new(config), |state| MarketLedger::restore(config, state));
    builder.build(move |_| {
        let mut open = OpenTicks::<Vec<MarketRecord>, 3>::default();
        move |frontiers| {
            records.for_each(|time, data| open.at(&time).records.append(data));
            headers.for_each(|time, data| open.at(&time).header = data.pop());

            while let Some(tick) = open.take_complete(frontiers) {
                let mut outcome = ledger.apply(&tick.header, tick.records);
                let [leaves_at, outcomes_at, told_at] = &tick.capabilities;
                leaves.activate().session(leaves_at).give_container(&mut outcome.leaves.clone());
                told.activate().session(told_at).give_container(&mut std::mem::take(&mut outcome.told));
                outcomes.activate().session(outcomes_at).give(outcome);
            }
        }
    });
    MarketStreams { leaves: leaves_stream, outcomes: outcomes_stream, told: told_stream }
}
