//! A sink that begins anew: what a process before it had committed is forgotten at once, whatever happens next.

use super::comes_to;
use super::sink::{config, minutes, open, output};
use crate::harness::kafka::unique;
use tidewheel_connectors::kafka::source::Isolation;
use tidewheel_schemas::Counters;

#[test]
fn a_sink_that_begins_anew_and_dies_before_its_first_commit_is_not_taken_for_the_one_before() {
    let prefix = unique("anew");
    let counters = Counters { read: 3, accepted: 3, ..Counters::default() };
    let mut sink = open(&config(&prefix));
    sink.write(&output(500, 1..3)).expect("the broker takes the records");
    sink.commit(500, &counters).expect("the commit succeeds");
    drop(sink);
    let mut sink = open(&config(&prefix));
    assert_eq!(sink.committed_tick(), Some(500));
    sink.begin_anew().expect("the broker answers");
    assert_eq!(sink.committed_tick(), None);
    // Without another word, as one that is killed.
    drop(sink);
    let mut sink = open(&config(&prefix));
    assert_eq!((sink.committed_tick(), sink.progress().records_done), (None, 0));
    // A tick before that of the process before is none that it had written.
    sink.write(&output(100, 7..8)).expect("the broker takes the records");
    assert!(sink.commit(100, &counters).expect("the commit succeeds"));
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [1, 2, 7]);
}
