//! The scoring ledger as a timely operator.

use super::{Activation, Prediction, SavedScoring, ScoringConfig, ScoringLedger};
use crate::TickHeader;
use crate::open_ticks::OpenTicks;
use crate::saved::RestoredState;
use std::sync::Arc;
use tidewheel_schemas::FeatureRow;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// What the scoring of a tick gave on one worker.
#[derive(Clone, Debug, Default)]
pub struct ScoringTick {
    /// What was said of rows.
    pub predictions: Vec<Prediction>,
    /// How often a row was passed over because a newer one had been scored.
    pub superseded: u64,
    /// The promotions that this worker put into their place, before the tick's rows.
    pub acknowledged: Vec<u64>,
    /// For a snapshot, where the tick asks for one.
    pub saved: Vec<SavedScoring>,
    /// Rows that are remembered.
    pub rows: usize,
}

/// What comes for a tick.
#[derive(Default)]
struct Records {
    rows: Vec<FeatureRow>,
    activations: Vec<Arc<Activation>>,
}

/// Scores rows of features by the ensembles that are active.
///
/// **Input** rows of views, those of an instrument on one worker; on every worker the same activations, in their order, and one
/// header a tick. **Output** once a tick: predictions, by view and instrument. **Order** activations before rows; those of one
/// instrument and view ascend. **State** the configured number of rows of each instrument and view, and the active ensembles.
/// **Late** rows that are older than what was scored are remembered and not scored.
///
/// It begins with what a snapshot held, where there is one: its parts are taken out of `restored`. The ensembles that were
/// active then come with the tick of the restore.
///
/// # Panics
/// If a tick has rows but no header on this worker.
pub fn scoring<'scope>(
    rows: StreamVec<'scope, u64, FeatureRow>,
    activations: StreamVec<'scope, u64, Arc<Activation>>,
    headers: StreamVec<'scope, u64, TickHeader>,
    config: ScoringConfig,
    restored: Option<&mut RestoredState>,
) -> StreamVec<'scope, u64, ScoringTick> {
    let mut builder = OperatorBuilder::new("Scoring".to_owned(), rows.scope());
    let mut rows = builder.new_input(rows, Pipeline);
    let mut activations = builder.new_input(activations, Pipeline);
    let mut headers = builder.new_input(headers, Pipeline);
    let (output, stream) = builder.new_output::<Vec<ScoringTick>>();
    let mut output = OutputBuilder::from(output);

    let mut ledger = restored.map_or_else(|| ScoringLedger::new(config), |state| ScoringLedger::restore(config, state));
    builder.build(move |_| {
        let mut open = OpenTicks::<Records, 1>::default();
        move |frontiers| {
            rows.for_each(|time, data| open.at(&time).records.rows.append(data));
            activations.for_each(|time, data| open.at(&time).records.activations.append(data));
            headers.for_each(|time, data| open.at(&time).header = data.pop());

            while let Some(complete) = open.take_complete(frontiers) {
                let header = complete.header;
                let mut tick = ScoringTick::default();
                for activation in complete.records.activations {
                    tick.acknowledged.push(activation.number);
                    ledger.activate(activation);
                }
                tick.predictions = ledger.apply(&header, &complete.records.rows);
                tick.superseded = ledger.take_superseded();
                tick.saved = header.save.map(|saving| ledger.save(saving)).unwrap_or_default();
                tick.rows = ledger.rows();
                output.activate().session(&complete.capabilities[0]).give(tick);
            }
        }
    });
    stream
}
