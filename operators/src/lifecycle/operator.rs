//! The ledger of an interval as a timely operator.

use super::{Ledger, LifecycleConfig, SavedBars, Version};
use crate::open_ticks::OpenTicks;
use crate::rollup::ChildUpdate;
use crate::saved::RestoredState;
use crate::tape::Directory;
use crate::{TickHeader, Upsert};
use tidewheel_schemas::{BarVersion, Instrument, Interval};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// What the lifecycle of an interval gives.
pub struct LifecycleStreams<'scope> {
    /// Versions to publish, each message ordered by instrument and open time.
    pub versions: StreamVec<'scope, u64, BarVersion>,
    /// At the last tick: bars that are not final, as they stand.
    pub open_bars: StreamVec<'scope, u64, BarVersion>,
    /// The collection that the parent interval is rolled up from.
    pub children: StreamVec<'scope, u64, ChildUpdate>,
    /// For a snapshot, where the tick asks for one.
    pub saved: StreamVec<'scope, u64, SavedBars>,
}

/// Publishes the bars of one interval: provisional on the header's word, final when the watermark has passed, revised
/// when a final bar changes.
///
/// **Input** bars that changed, one header a tick. **Output** versions by instrument and open time; the collection of
/// current bars for the next interval. **Order** none needed inside a tick. **State** bars of the correction horizon and
/// of the parent interval that is not frozen. **Late** changes of frozen bars are retractions of forgotten inputs, and
/// ignored.
///
/// It begins with what a snapshot held, where there is one: its parts are taken out of `restored`.
///
/// # Panics
/// If a tick has records but no header on this worker.
pub fn lifecycle<'scope>(
    upserts: StreamVec<'scope, u64, Upsert>,
    headers: StreamVec<'scope, u64, TickHeader>,
    config: LifecycleConfig,
    restored: Option<&mut RestoredState>,
    directory: Directory,
) -> LifecycleStreams<'scope> {
    let mut builder = OperatorBuilder::new(format!("Lifecycle {}", config.interval), upserts.scope());
    let mut upserts = builder.new_input(upserts, Pipeline);
    let mut headers = builder.new_input(headers, Pipeline);
    let (versions, versions_stream) = builder.new_output::<Vec<BarVersion>>();
    let (open_bars, open_bars_stream) = builder.new_output::<Vec<BarVersion>>();
    let (children, children_stream) = builder.new_output::<Vec<ChildUpdate>>();
    let (saved, saved_stream) = builder.new_output::<Vec<SavedBars>>();
    let mut versions = OutputBuilder::from(versions);
    let mut open_bars = OutputBuilder::from(open_bars);
    let mut children = OutputBuilder::from(children);
    let mut saved = OutputBuilder::from(saved);

    let mut ledger =
        restored.map_or_else(|| Ledger::new(config), |state| Ledger::restore(config, state, &directory.borrow()));
    builder.build(move |_| {
        let mut open = OpenTicks::<Vec<Upsert>, 4>::default();
        move |frontiers| {
            upserts.for_each(|time, data| {
                let upserts = &mut open.at(&time).records;
                if upserts.is_empty() { std::mem::swap(upserts, data) } else { upserts.append(data) }
            });
            headers.for_each(|time, data| open.at(&time).header = data.pop());

            while let Some(mut tick) = open.take_complete(frontiers) {
                let (header, at) = (tick.header, tick.header.tick);
                let changes = ledger.apply(&header, &mut tick.records);
                let names = directory.borrow();
                let named = |found: &[Version]| by_name(found, &names, config.interval, at);
                let [versions_at, open_bars_at, children_at, saved_at] = &tick.capabilities;
                versions.activate().session(versions_at).give_container(&mut named(&changes.versions));
                open_bars.activate().session(open_bars_at).give_container(&mut named(&changes.open_bars));
                let updates = changes.children.into_iter().map(|(key, bar, diff)| ((key, bar), at, diff));
                children.activate().session(children_at).give_iterator(updates);
                if let Some(saving) = header.save {
                    saved.activate().session(saved_at).give_container(&mut ledger.save(saving, &names));
                }
            }
        }
    });
    LifecycleStreams {
        versions: versions_stream,
        open_bars: open_bars_stream,
        children: children_stream,
        saved: saved_stream,
    }
}

/// Versions with their names, ordered by instrument and open time. They come ordered by number and open time.
fn by_name(versions: &[Version], names: &[Instrument], interval: Interval, tick: u64) -> Vec<BarVersion> {
    let mut runs: Vec<&[Version]> = versions.chunk_by(|left, right| left.instrument == right.instrument).collect();
    runs.sort_by_key(|run| &names[run[0].instrument as usize]);
    let mut named = Vec::with_capacity(versions.len());
    for version in runs.into_iter().flatten() {
        named.push(BarVersion {
            instrument: names[version.instrument as usize].clone(),
            interval,
            open_time_ns: version.open_time_ns,
            tick,
            revision: version.revision,
            is_final: version.is_final,
            bar: version.bar,
        });
    }
    named
}
