//! Whether the pipeline moves, and if not, why.

use crate::status::{Snapshot, Status};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// One thing that keeps the pipeline from moving.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The kind: `tick_stalled`, `lake_paused` or `source_error`.
    pub code: String,
    /// What exactly, for a person.
    pub detail: String,
}

/// All that keeps a run from moving; nothing while it moves. A run that has just started is given the same time for its
/// first tick as any other.
pub fn problems(status: &Status, stalled_after: Duration) -> Vec<Problem> {
    let now = Instant::now();
    status.look(|snapshot| found(snapshot, status.started(), now, stalled_after))
}

fn found(snapshot: &Snapshot, started: Instant, now: Instant, stalled_after: Duration) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |code: &str, detail: String| problems.push(Problem { code: code.to_owned(), detail });
    let still_for = now.saturating_duration_since(snapshot.ticked_at.unwrap_or(started));
    if still_for > stalled_after {
        let what = if snapshot.ticked_at.is_some() { "tick" } else { "first tick" };
        let mut detail = format!("no {what} was completed for {} s", still_for.as_secs());
        if let Some(since) = snapshot.kafka_writing_since {
            let waiting_for = now.saturating_duration_since(since).as_secs();
            detail += &format!(", the topics have not answered for {waiting_for} s");
        }
        add("tick_stalled", detail);
    }
    if let Some(reason) = &snapshot.lake_paused {
        add("lake_paused", format!("the lake cannot be written, it is tried again: {reason}"));
    }
    if let Some(error) = &snapshot.source_error {
        let lost = snapshot.partitions.iter().filter(|partition| !partition.connected);
        let lost: Vec<&str> = lost.map(|partition| partition.name.as_str()).collect();
        add("source_error", format!("cannot reach the broker of {}, waiting for it: {error}", lost.join(", ")));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::PartitionStatus;

    #[test]
    fn what_keeps_a_run_from_moving_is_told() {
        let (started, limit) = (Instant::now(), Duration::from_secs(30));
        let after = |seconds| started + Duration::from_secs(seconds);
        let codes = |snapshot: &Snapshot, now| {
            let problems = found(snapshot, started, now, limit);
            problems.into_iter().map(|problem| format!("{}: {}", problem.code, problem.detail)).collect::<Vec<_>>()
        };
        let mut snapshot = Snapshot::default();
        assert_eq!(codes(&snapshot, after(30)), Vec::<String>::new());
        assert_eq!(codes(&snapshot, after(31)), ["tick_stalled: no first tick was completed for 31 s"]);
        snapshot.kafka_writing_since = Some(after(22));
        let detail = "no first tick was completed for 31 s, the topics have not answered for 9 s";
        assert_eq!(codes(&snapshot, after(31)), [format!("tick_stalled: {detail}")]);
        snapshot.kafka_writing_since = None;
        snapshot.ticked_at = Some(after(20));
        assert_eq!(codes(&snapshot, after(50)), Vec::<String>::new());
        snapshot.lake_paused = Some("no space".to_owned());
        snapshot.source_error = Some("connection refused".to_owned());
        let partition =
            |name: &str, connected| PartitionStatus { name: name.to_owned(), connected, ..Default::default() };
        snapshot.partitions = vec![partition("trades[0]", true), partition("trades[1]", false)];
        assert_eq!(
            codes(&snapshot, after(51)),
            [
                "tick_stalled: no tick was completed for 31 s",
                "lake_paused: the lake cannot be written, it is tried again: no space",
                "source_error: cannot reach the broker of trades[1], waiting for it: connection refused",
            ]
        );
    }
}
