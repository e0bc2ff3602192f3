//! The ledger of hours as a timely operator.

use super::{HourRow, HourlyLedger, SavedHours};
use crate::TickHeader;
use crate::saved::RestoredState;
use std::collections::BTreeMap;
use tidewheel_schemas::BarVersion;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

/// What it gives.
pub struct HourlyStreams<'scope> {
    /// Versions of rows, each message a tick's, by instrument and time.
    pub rows: StreamVec<'scope, u64, HourRow>,
    /// For a snapshot, where the tick asks for one.
    pub saved: StreamVec<'scope, u64, SavedHours>,
}

struct Pending {
    header: Option<TickHeader>,
    versions: Vec<BarVersion>,
    capabilities: [Capability<u64>; 2],
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
        let mut open: BTreeMap<u64, Pending> = BTreeMap::new();
        move |frontiers| {
            macro_rules! pending {
                ($time:expr) => {
                    open.entry(*$time.time()).or_insert_with(|| Pending {
                        header: None,
                        versions: Vec::new(),
                        capabilities: [$time.retain(0), $time.retain(1)],
                    })
                };
            }
            versions.for_each(|time, data| {
                let versions = &mut pending!(time).versions;
                versions.extend(data.drain(..).filter(HourlyLedger::wants));
            });
            headers.for_each(|time, data| pending!(time).header = data.pop());

            while let Some(entry) = open.first_entry()
                && frontiers.iter().all(|frontier| !frontier.less_equal(entry.key()))
            {
                let pending = entry.remove();
                let header = pending.header.expect("every tick has a header on every worker");
                let [rows_at, saved_at] = &pending.capabilities;
                rows.activate().session(rows_at).give_container(&mut ledger.apply(&header, &pending.versions));
                if let Some(saving) = header.save {
                    saved.activate().session(saved_at).give_container(&mut ledger.save(saving));
                }
            }
        }
    });
    HourlyStreams { rows: rows_stream, saved: saved_stream }
}
