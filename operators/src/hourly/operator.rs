//! The ledger of hours as a timely operator.

use super::{HourRow, HourlyLedger, SavedHours};
use crate::TickHeader;
use crate::open_ticks::OpenTicks;
use crate::saved::RestoredState;
use tidewheel_schemas::BarVersion;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// What it gives.
pub struct HourlyStreams<'scope> {
    /// Versions of rows, each message a tick's, by instrument and time.
    pub rows: StreamVec<'scope, u64, HourRow>,
    /// For a snapshot, where the tick asks for one.
    pub saved: StreamVec<'scope, u64, SavedHours>,
}

/// Makes the rows of hours.
///
/// **Input** versions of bars, those of an instrument on one worker, and one header a tick; only final ones of hours count.
/// **Output** versions of rows, by instrument and time. **Order** none needed inside a tick. **State** the hours of days of which
/// one can still change. **Late** hours revise their row and those of the later hours of the day.
///
/// It begins with what a snapshot held, where there is one: its parts are taken out of `restored`.
///
/// # Panics
/// If a tick has versions but no header on this worker.
pub fn hourly_volume<'scope>(
    versions: StreamVec<'scope, u64, BarVersion>,
    headers: StreamVec<'scope, u64, TickHeader>,
    is_saved: bool,
    restored: Option<&mut RestoredState>,
) -> HourlyStreams<'scope> {
    let mut builder = OperatorBuilder::new("HourlyVolume".to_owned(), versions.scope());
    let mut versions = builder.new_input(versions, Pipeline);
    let mut headers = builder.new_input(headers, Pipeline);
    let (rows, rows_stream) = builder.new_output::<Vec<HourRow>>();
    let (saved, saved_stream) = builder.new_output::<Vec<SavedHours>>();
    let mut rows = OutputBuilder::from(rows);
    let mut saved = OutputBuilder::from(saved);

    let mut ledger =
        restored.map_or_else(|| HourlyLedger::new(is_saved), |state| HourlyLedger::restore(is_saved, state));
    builder.build(move |_| {
        let mut open = OpenTicks::<Vec<BarVersion>, 2>::default();
        move |frontiers| {
            versions.for_each(|time, data| {
                open.at(&time).records.extend(data.drain(..).filter(HourlyLedger::wants));
            });
            headers.for_each(|time, data| open.at(&time).header = data.pop());

            while let Some(tick) = open.take_complete(frontiers) {
                let [rows_at, saved_at] = &tick.capabilities;
                rows.activate().session(rows_at).give_container(&mut ledger.apply(&tick.header, &tick.records));
                if let Some(saving) = tick.header.save {
                    saved.activate().session(saved_at).give_container(&mut ledger.save(saving));
                }
            }
        }
    });
    HourlyStreams { rows: rows_stream, saved: saved_stream }
}
