//! The state of a run in lines for people.

use super::super::summary::{counts, number};
use super::super::table::Table;
use super::time_text;
use crate::http::{CompleteThrough, PartitionReport, SinksReport, StatusReport};
use std::fmt::Write;
use std::path::Path;
use tidewheel_connectors::lake::LakeState;

/// Everything that a run told, the most important first.
pub fn report(report: &StatusReport) -> String {
    let StatusReport { version, run, now_ms, started_ms, tick, .. } = report;
    let mut text = String::new();
    let state = if report.healthy { "healthy" } else { "NOT HEALTHY" };
    let up = duration(now_ms.saturating_sub(*started_ms));
    let _ = writeln!(text, "{run}: {state}, up {up}, version {version}");
    for problem in &report.problems {
        let _ = writeln!(text, "  {}: {}", problem.code, problem.detail);
    }
    let _ = writeln!(text);
    partitions(&report.partitions, &mut text);

    let mut table = Table::default();
    let lag = tick.lag_ms.map(|lag| format!(", {} behind the clock", duration(lag.max(0).unsigned_abs())));
    let lag = lag.unwrap_or_default();
    let (count, in_flight) = (number(tick.count), tick.in_flight);
    table.row(["tick".to_owned(), format!("{}{lag}; {count} ticks, {in_flight} in flight", time(tick.frontier_ms))]);
    let watermark_lag = tick.watermark_lag_ms.map(|lag| format!(", {} behind the clock", signed(lag)));
    table.row(["watermark".to_owned(), time_of_ns(tick.watermark_ns) + &watermark_lag.unwrap_or_default()]);
    outputs(&report.sinks, &report.complete_through, *now_ms, &mut table);
    if let Some(snapshot) = &report.snapshot {
        table.row([
            "snapshot".to_owned(),
            format!(
                "of tick {}, {} ago; {}, of which {} written in {:.2} s; {} so far",
                time_text(snapshot.tick_ms),
                duration((snapshot.age_seconds * 1e3) as u64),
                bytes(snapshot.total_bytes),
                bytes(snapshot.written_bytes),
                snapshot.duration_seconds,
                number(snapshot.count),
            ),
        ]);
    }
    if let Some(recovered) = &report.recovered {
        table.row([
            "recovered".to_owned(),
            format!(
                "from snapshot {}, {} ticks and {} records replayed ({} ticks known to the topics, {} to the lake), in {:.2} s",
                time(recovered.snapshot_tick_ms),
                number(recovered.replayed_ticks),
                number(recovered.replayed_records),
                number(recovered.skipped_in_topics),
                number(recovered.skipped_in_lake),
                recovered.duration_seconds,
            ),
        ]);
    }
    let state = &report.state;
    table.row([
        "state".to_owned(),
        format!(
            "{} instruments, {} second bars, {} trades, {} ids, {} amendments",
            number(state.instruments),
            number(state.second_bars),
            number(state.trades),
            number(state.ids),
            number(state.amendments),
        ),
    ]);
    let versions: Vec<String> =
        report.bar_versions.iter().map(|(interval, count)| format!("{interval} {}", number(*count))).collect();
    let versions = if versions.is_empty() { "none yet".to_owned() } else { versions.join(", ") };
    let revisions = number(report.bar_revisions);
    table.row(["versions".to_owned(), format!("{versions}; revisions {revisions}")]);
    write_table(&table, &mut text);
    let _ = write!(text, "\n{}", counts(&report.counters.counts));
    text
}

fn partitions(partitions: &[PartitionReport], text: &mut String) {
    let mut table = Table::right_aligned(&[1, 2, 3]);
    table.row(["PARTITION", "POSITION", "END", "LAG", "WATERMARK", "STATE"]);
    for partition in partitions {
        let state = match partition {
            PartitionReport { connected: false, .. } => "unreachable",
            PartitionReport { idle: true, .. } => "idle",
            PartitionReport { caught_up: true, .. } => "caught up",
            _ => "behind",
        };
        table.row([
            partition.name.clone(),
            partition.position.to_string(),
            partition.end.to_string(),
            number(partition.lag),
            time_of_ns(partition.watermark_ns),
            state.to_owned(),
        ]);
    }
    write_table(&table, text);
    text.push('\n');
}

fn outputs(sinks: &SinksReport, complete: &CompleteThrough, now_ms: u64, table: &mut Table) {
    let through = |tick: Option<u64>| match tick {
        Some(tick) => format!("complete through {} ({} ago)", time_text(tick), duration(now_ms.saturating_sub(tick))),
        None => "nothing committed yet".to_owned(),
    };
    if let Some(kafka) = &sinks.kafka {
        let (transactions, records) = (number(kafka.transactions), number(kafka.records));
        let counts = format!("{transactions} transactions, {records} records, {} aborted", kafka.aborted);
        let tail = tail(kafka.transaction_p99_seconds);
        table.row(["topics".to_owned(), format!("{}; {counts}{tail}", through(complete.topic_ms))]);
    }
    if let Some(lake) = &sinks.lake {
        let counts = format!("{} commits, {} rows, {}", number(lake.commits), number(lake.rows), bytes(lake.bytes));
        let tail = tail(lake.commit_p99_seconds);
        table.row(["lake".to_owned(), format!("{}; {counts}{tail}", through(complete.lake_ms))]);
        if let Some(why) = &lake.paused {
            table.row([String::new(), format!("PAUSED: {why}")]);
        }
    }
    if sinks.kafka.is_some() && sinks.lake.is_some() {
        table.row(["both".to_owned(), through(complete.all_ms)]);
    }
}

/// What a lake has committed, for a run that does not answer.
pub fn lake(root: &Path, state: &LakeState) -> String {
    let mut text = String::new();
    let root = root.display();
    let Some(last_tick) = state.progress.tick_frontier.checked_sub(1) else {
        return format!("lake {root} holds nothing yet\n");
    };
    let _ = writeln!(
        text,
        "lake {root} is complete through {}: commit {} of {}, {} files",
        time_text(last_tick),
        state.seq,
        state.progress.run,
        number(state.files.len() as u64),
    );
    text + &counts(&state.progress.counters)
}

fn write_table(table: &Table, text: &mut String) {
    let mut bytes = Vec::new();
    table.write(&mut bytes, "").expect("a vector takes everything");
    text.push_str(&String::from_utf8_lossy(&bytes));
}

fn time(tick_ms: Option<u64>) -> String {
    tick_ms.map_or_else(|| "none yet".to_owned(), time_text)
}

fn time_of_ns(ns: Option<i64>) -> String {
    time(ns.and_then(|ns| u64::try_from(ns / 1_000_000).ok()))
}

fn signed(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    format!("{sign}{}", duration(ms.unsigned_abs()))
}

/// A length of time to the precision that matters.
pub(in crate::commands) fn duration(ms: u64) -> String {
    let seconds = ms / 1_000;
    match seconds {
        0..10 => format!("{:.1} s", ms as f64 / 1e3),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// How long commits take, if any was made.
fn tail(p99_seconds: Option<f64>) -> String {
    p99_seconds.map(|seconds| format!(", p99 {:.0} ms", seconds * 1e3)).unwrap_or_default()
}

fn bytes(count: u64) -> String {
    format!("{:.1} MB", count as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_short() {
        let texts = [950, 42_000, 600_000, 7_380_000, 180_000_000].map(duration);
        assert_eq!(texts, ["0.9 s", "42 s", "10 min", "2 h 3 min", "2 d 2 h"].map(str::to_owned));
        assert_eq!(signed(-1_500), "-1.5 s");
    }
}
