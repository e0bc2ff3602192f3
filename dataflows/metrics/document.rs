//! The table of metrics as a document for people.

use super::table::METRICS;
use std::fmt::Write;

const HEAD: &str = "\
# Metrics

What `/metrics` of a run gives, in Prometheus' text format, where the configuration has an `[http]` section. Made from the table
in the code by `tidewheel metrics`; a test holds that it is current. A metric that has no value yet is named without one.

| name | type | unit | label | meaning |
| --- | --- | --- | --- | --- |
";

const TAIL: &str = "
Counters of records go on over restarts of a run that resumes, and begin at zero with a run that begins anew; all others begin at
zero with the process. Timestamps are seconds since the epoch.

Alerts to begin with:

| when | it means |
| --- | --- |
| `tidewheel_tick_lag_seconds > 30` | no tick is completed: a sink or the source holds everything |
| `tidewheel_lake_paused == 1` | the lake cannot be written, the disk is full perhaps; see `/health` |
| `tidewheel_records_unreconciled != 0` | records are unaccounted for: a defect, report it |
| `time() - tidewheel_complete_through_timestamp_seconds{output=\"all\"} > 120` | readers see old bars |
| `min(tidewheel_source_connected) == 0` | the broker of a partition cannot be reached |
| `increase(tidewheel_records_rejected_total[10m]) > 0` | dead letters; see `tidewheel rejects` |
";

/// The document, in Markdown.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for metric in METRICS {
        let label = metric.labels().iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let (name, kind, unit, help) = (metric.name, metric.kind.name(), metric.unit, metric.help);
        let _ = writeln!(text, "| `{name}` | {kind} | {unit} | {label} | {help} |");
    }
    text + TAIL
}
