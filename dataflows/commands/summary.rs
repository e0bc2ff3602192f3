//! What a run says at its end: where every record went, what was written, how fast.

use crate::status::Status;
use std::fmt::Write;
use tidewheel_connectors::lake::LakeState;
use tidewheel_schemas::Counters;

/// The counts of a run as lines of text; they add up, or the text says that they do not.
pub fn counts(counters: &Counters) -> String {
    let mut text = String::new();
    let Counters { read, accepted, duplicate, late, rejected, pending, .. } = counters;
    let pending_text = if *pending > 0 { format!(" + pending {}", number(*pending)) } else { String::new() };
    let verdict = if counters.reconcile() { "reconciles" } else { "DOES NOT RECONCILE" };
    let _ = writeln!(
        text,
        "read {} = accepted {} + duplicate {} + late {} + rejected {}{pending_text}  ({verdict})",
        number(*read),
        number(*accepted),
        number(*duplicate),
        number(*late),
        number(*rejected),
    );
    if counters.amended > 0 || counters.outside_bars > 0 {
        let (amended, outside) = (number(counters.amended), number(counters.outside_bars));
        let _ = writeln!(text, "accepted, of these: cancels and corrections {amended}, kept out of bars {outside}");
    }
    for (reason, count) in &counters.rejected_by_reason {
        let _ = writeln!(text, "rejected as {reason}: {}", number(*count));
    }
    for (kind, count) in &counters.ignored {
        let _ = writeln!(text, "ignored {kind}: {}", number(*count));
    }
    if *late * 100 > *read && *late > 0 {
        let _ = writeln!(
            text,
            "hint: more than 1 % came late. Input that is not in time order (sorted by symbol, say) needs a --horizon as \
             long as the input, or sorting first"
        );
    }
    text
}

/// What was published and written, and how fast.
pub fn published(status: &Status) -> String {
    let snapshot = status.snapshot();
    let seconds = status.elapsed().as_secs_f64().max(1e-9);
    let mut text = String::new();
    let versions: Vec<String> =
        snapshot.versions.iter().map(|(interval, count)| format!("{interval} {}", number(*count))).collect();
    let _ = writeln!(text, "bar versions {}; revisions {}", versions.join(", "), number(snapshot.revisions));
    for (name, count) in status.tables().iter().zip(&snapshot.rows) {
        let _ = writeln!(text, "{name} rows {}", number(*count));
    }
    let _ = writeln!(
        text,
        "{} records in {seconds:.2} s: {}/s; {} ticks, {} lake commits ({:.2} s)",
        number(snapshot.counters.read),
        number((snapshot.counters.read as f64 / seconds) as u64),
        number(snapshot.ticks),
        snapshot.lake_commits,
        snapshot.lake_time.as_secs_f64(),
    );
    text
}

/// Where the lake lies, what is in it, and a query that works on it as printed.
pub fn lake(root: &std::path::Path, state: &LakeState) -> String {
    let rows: u64 = state.files.values().map(|file| file.rows).sum();
    let bytes: u64 = state.files.values().map(|file| file.bytes).sum();
    let root = root.display();
    format!(
        "lake {root}: {} files, {} rows, {:.1} MB\n\nduckdb -c \"SELECT symbol, interval, count(*) AS bars, \
         sum(volume) AS volume, max(close_time) AS until FROM read_parquet('{root}/bars/**/*.parquet', \
         hive_partitioning=true) GROUP BY ALL ORDER BY ALL LIMIT 20\"\n",
        number(state.files.len() as u64),
        number(rows),
        bytes as f64 / 1e6,
    )
}

/// A number with its thousands apart.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
