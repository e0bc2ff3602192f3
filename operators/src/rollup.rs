//! Coarser bars from the level below, maintained by differential dataflow.

use crate::Upsert;

use differential_dataflow::operators::arrange::arrangement::arrange_core;
use differential_dataflow::trace::implementations::{ContainerChunker, ValBatcher, ValBuilder, ValSpine};
use tidewheel_schemas::{Bar, Interval};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

/// The bar an instrument's finer bars belong to: its number on this worker and the open time, nanoseconds.
pub type ParentKey = (u32, i64);

/// A change of a finer bar, keyed by the coarser one: (record, tick, +1 or -1).
pub type ChildUpdate = ((ParentKey, Bar), u64, isize);

/// Merges bars into the bars of the next longer interval.
///
/// **Input** finer bars as (old, -1), (new, +1), keyed by the coarser bar. **Output** the coarser bars that changed.
/// **Order** none: merging is commutative and associative. **State** the finer bars that their owner has not retracted; it
/// retracts them one tick after the coarser bar is frozen. **Late** nothing arrives for a frozen bar.
///
/// The arrangement is not exchanged: an instrument lives on one worker, and its number means nothing on another.
pub fn rollup(children: StreamVec<'_, u64, ChildUpdate>, interval: Interval) -> StreamVec<'_, u64, Upsert> {
    let arranged = arrange_core::<
        _,
        _,
        ContainerChunker<Vec<ChildUpdate>>,
        ValBatcher<ParentKey, Bar, u64, isize>,
        ValBuilder<_, _, _, _>,
        ValSpine<_, _, _, _>,
    >(children, Pipeline, &format!("Arrange {interval}"));
    let merged = arranged.reduce_abelian::<_, ValBuilder<_, _, _, _>, ValSpine<ParentKey, Bar, u64, isize>, _, _>(
        &format!("Roll up to {interval}"),
        |_, children, output| {
            debug_assert!(children.iter().all(|(_, copies)| *copies == 1), "a bar stands once in its collection");
            if let Some(bar) = Bar::merge_all(children.iter().map(|(bar, _)| *bar)) {
                output.push((bar, 1));
            }
        },
        |buffer, key, updates| {
            buffer.clear();
            buffer.extend(updates.drain(..).map(|(bar, time, diff)| ((*key, bar), time, diff)));
        },
    );
    at_their_tick(merged.as_collection(|key, bar| (*key, *bar)).inner)
}

/// Sends each update at its own tick. A differential stream carries ticks inside its messages, and a message is sent at the
/// earliest of them.
fn at_their_tick(updates: StreamVec<'_, u64, ChildUpdate>) -> StreamVec<'_, u64, Upsert> {
    updates.unary(Pipeline, "At their tick", |_, _| {
        |input, output| {
            input.for_each(|time, updates| {
                updates.sort_by_key(|(_, tick, _)| *tick);
                for updates in updates.chunk_by(|left, right| left.1 == right.1) {
                    let time = time.delayed(&updates[0].1, 0);
                    output.session(&time).give_iterator(updates.iter().map(
                        |(((instrument, open_time_ns), bar), _, diff)| Upsert {
                            instrument: *instrument,
                            open_time_ns: *open_time_ns,
                            bar: (*diff > 0).then_some(*bar),
                        },
                    ));
                }
            });
        }
    })
}
