//! The operator gives what the ledger gives, on any number of workers, also taken up from a snapshot.

use super::market::Market;
use super::repairs::views;
use crate::TickHeader;
use crate::features::{FeatureLedger, FeaturesConfig, SavedFeatures, features};
use crate::saved::{RestoredState, Saving, shard_of, worker_of};
use std::sync::{Arc, Mutex};
use tidewheel_schemas::{BarVersion, FeatureRow};
use timely::WorkerConfig;
use timely::dataflow::InputHandle;
use timely::dataflow::operators::{Input, Inspect, Probe};

type Ticks = Vec<(TickHeader, Vec<BarVersion>)>;

/// Runs the operator over ticks: all rows by tick, view, instrument and open time, and the parts of the last tick that saved.
fn run(
    workers: usize,
    ticks: &Ticks,
    restored: &[SavedFeatures],
    frozen_ns: i64,
) -> (Vec<FeatureRow>, Vec<SavedFeatures>) {
    let out: Arc<Mutex<(Vec<FeatureRow>, Vec<SavedFeatures>)>> = Arc::default();
    let shared = Arc::clone(&out);
    let (ticks, restored) = (ticks.clone(), restored.to_vec());
    let config = timely::Config {
        communication: timely::CommunicationConfig::Process(workers),
        worker: WorkerConfig::default(),
    };
    let guards = timely::execute(config, move |worker| {
        let (index, peers) = (worker.index(), worker.peers());
        let mut versions = InputHandle::new();
        let mut leaves = InputHandle::new();
        let mut headers = InputHandle::new();
        let state = RestoredState { frozen_ns, features: restored.clone(), ..RestoredState::default() };
        let mut state = (!restored.is_empty()).then(|| state.split(peers).swap_remove(index));
        let out = Arc::clone(&shared);
        let saved_out = Arc::clone(&shared);
        let probe = worker.dataflow(|scope| {
            let config = FeaturesConfig { views: views(), is_saved: true, min_quality: None };
            let versions = scope.input_from(&mut versions);
            let headers = scope.input_from(&mut headers);
            let streams = features(versions, scope.input_from(&mut leaves), headers, &config, state.as_mut());
            let (probe, _) = streams.rows.inspect(move |row| out.lock().expect("alive").0.push(row.clone())).probe();
            streams.saved.inspect(move |part| saved_out.lock().expect("alive").1.push(part.clone()));
            probe
        });
        for (header, of_tick) in &ticks {
            versions.advance_to(header.tick);
            leaves.advance_to(header.tick);
            headers.advance_to(header.tick);
            for version in of_tick {
                if worker_of(shard_of(version.instrument.id()), peers) == index {
                    versions.send(version.clone());
                }
            }
            headers.send(*header);
            versions.advance_to(header.tick + 1);
            leaves.advance_to(header.tick + 1);
            headers.advance_to(header.tick + 1);
            worker.step_while(|| probe.less_than(&(header.tick + 1)));
        }
    });
    drop(guards.expect("workers start"));
    let (mut rows, saved) = std::mem::take(&mut *out.lock().expect("alive"));
    rows.sort_by_key(|row| (row.tick, row.view, row.instrument.clone(), row.open_time_ns));
    (rows, saved)
}

#[test]
fn the_operator_is_the_ledger_on_any_number_of_workers_and_after_a_restart() {
    let mut market = Market::new(300, 45);
    let mut ticks: Ticks = (0..120).map(|_| market.next()).collect();
    let mut ledger = FeatureLedger::new(&FeaturesConfig { views: views(), is_saved: false, min_quality: None });
    let expected: Vec<FeatureRow> =
        ticks.iter().flat_map(|(header, versions)| ledger.apply_bars(header, versions)).collect();
    assert!(expected.len() > 500);
    for workers in [1, 2, 4] {
        assert!(run(workers, &ticks, &[], 0).0 == expected, "{workers} workers");
    }
    ticks[70].0.save = Some(Saving::ALL);
    let (begun, rest) = ticks.split_at(71);
    let (_, saved) = run(2, &begun.to_vec(), &[], 0);
    let mut again = vec![(TickHeader { is_restore: true, save: None, ..begun[70].0 }, Vec::new())];
    again.extend(rest.iter().cloned());
    let (rows, _) = run(4, &again, &saved, begun[70].0.frozen_ns);
    let after: Vec<FeatureRow> = expected.into_iter().filter(|row| row.tick > begun[70].0.tick).collect();
    assert!(!after.is_empty() && rows == after);
}
