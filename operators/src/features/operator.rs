//! The feature ledger as a timely operator.

use super::{FeatureLedger, FeatureSizes, FeaturesConfig, QualityChange, SavedFeatures, SilenceChange};
use crate::TickHeader;
use crate::market::LeafChange;
use crate::open_ticks::OpenTicks;
use crate::saved::RestoredState;
use tidewheel_schemas::{BarVersion, FeatureRow};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// What the features give.
pub struct FeatureStreams<'scope> {
    /// Versions of rows, each message a tick's, ordered by view, instrument and open time.
    pub rows: StreamVec<'scope, u64, FeatureRow>,
    /// What fell below the quality that is asked for, or is back, each message a tick's, ordered by view and instrument.
    pub quality: StreamVec<'scope, u64, QualityChange>,
    /// Which instruments fell silent, or have rows again, likewise.
    pub silence: StreamVec<'scope, u64, SilenceChange>,
    /// For a snapshot, where the tick asks for one.
    pub saved: StreamVec<'scope, u64, SavedFeatures>,
    /// How much is held, once a tick.
    pub sizes: StreamVec<'scope, u64, FeatureSizes>,
}

/// What comes for a tick.
#[derive(Default)]
struct Records {
    versions: Vec<BarVersion>,
    leaves: Vec<LeafChange>,
}

/// Computes the rows of the configured views.
///
/// **Input** versions of bars of all intervals that the views need and leaves of markets that changed, those of an instrument on
/// one worker, and one header a tick; only final versions count. **Output** versions of rows that came out with other bits, by view, instrument and open
/// time. **Order** none needed inside a tick. **State** for each instrument and interval the bars of the correction horizon with
/// their values, as many frozen bars as the longest window, and recursions at the anchor, every 32 bars and the end; leaves of the
/// horizon and of one bar of the longest interval that needs them, also where no bar came. **Late** bars and leaves in the middle:
/// all rows that depend on them are revised; frozen bars do not change.
///
/// It begins with what a snapshot held, where there is one: its parts are taken out of `restored`.
///
/// # Panics
/// If a tick has versions but no header on this worker, or a frozen bar changed.
pub fn features<'scope>(
    versions: StreamVec<'scope, u64, BarVersion>,
    leaves: StreamVec<'scope, u64, LeafChange>,
    headers: StreamVec<'scope, u64, TickHeader>,
    config: &FeaturesConfig,
    restored: Option<&mut RestoredState>,
) -> FeatureStreams<'scope> {
    let mut builder = OperatorBuilder::new("Features".to_owned(), versions.scope());
    let mut versions = builder.new_input(versions, Pipeline);
    let mut leaves = builder.new_input(leaves, Pipeline);
    let mut headers = builder.new_input(headers, Pipeline);
    let (rows, rows_stream) = builder.new_output::<Vec<FeatureRow>>();
    let (saved, saved_stream) = builder.new_output::<Vec<SavedFeatures>>();
    let (sizes, sizes_stream) = builder.new_output::<Vec<FeatureSizes>>();
    let (quality, quality_stream) = builder.new_output::<Vec<QualityChange>>();
    let (silence, silence_stream) = builder.new_output::<Vec<SilenceChange>>();
    let mut rows = OutputBuilder::from(rows);
    let mut quality = OutputBuilder::from(quality);
    let mut silence = OutputBuilder::from(silence);
    let mut saved = OutputBuilder::from(saved);
    let mut sizes = OutputBuilder::from(sizes);

    let mut ledger = restored.map_or_else(|| FeatureLedger::new(config), |state| FeatureLedger::restore(config, state));
    builder.build(move |_| {
        let mut open = OpenTicks::<Records, 5>::default();
        move |frontiers| {
            versions.for_each(|time, data| {
                let versions = &mut open.at(&time).records.versions;
                // Most versions are provisional, or of seconds.
                versions.extend(data.drain(..).filter(|version| ledger.wants(version)));
            });
            leaves.for_each(|time, data| open.at(&time).records.leaves.append(data));
            headers.for_each(|time, data| open.at(&time).header = data.pop());

            while let Some(tick) = open.take_complete(frontiers) {
                let [rows_at, saved_at, sizes_at, quality_at, silence_at] = &tick.capabilities;
                let mut changed = ledger.apply(&tick.header, &tick.records.versions, &tick.records.leaves);
                rows.activate().session(rows_at).give_container(&mut changed);
                quality.activate().session(quality_at).give_container(&mut ledger.take_quality());
                silence.activate().session(silence_at).give_container(&mut ledger.take_silence());
                if let Some(saving) = tick.header.save {
                    saved.activate().session(saved_at).give_container(&mut ledger.save(saving));
                }
                sizes.activate().session(sizes_at).give(ledger.sizes());
            }
        }
    });
    FeatureStreams {
        rows: rows_stream,
        quality: quality_stream,
        silence: silence_stream,
        saved: saved_stream,
        sizes: sizes_stream,
    }
}
