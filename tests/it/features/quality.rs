//! Events of quality: told when the newest row of an instrument falls below the bound and when it is back, once each.

use crate::kafka_live::markets::{ALL_FAULTS, Recorded, market};
use crate::kafka_live::program::{fails, succeeds, tidewheel};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tidewheel::tables::{EventKind, Tables};
use tidewheel_connectors::generate::MarketConfig;
use tidewheel_connectors::lake::{read, rows};
use tidewheel_operators::features::{QualityBounds, View, quality_of};
use tidewheel_schemas::{Instrument, Interval, Row, Value};

const COLUMNS: [&str; 4] = ["return_1@simple", "sma_10@talib", "5m.return_1@log", "volume_imbalance_1@taker"];
const BOUND: f64 = 0.6;

fn view() -> View {
    View::resolve("few", 3, Interval::M1, &COLUMNS).expect("all are features")
}

fn config(recorded: &Recorded, bound: &str) -> PathBuf {
    let path = recorded.folder().join(format!("{bound}.toml"));
    let columns = COLUMNS.map(|column| format!("{column:?}")).join(", ");
    let define = format!("define = [{{ name = \"few\", version = 3, base = \"1m\", columns = [{columns}] }}]");
    let text = format!("[features]\nviews = [\"few\"]\nmin_quality = {bound}\n{define}\n[lake]\n");
    std::fs::write(&path, text).expect("a temporary folder can be written to");
    path
}

fn replay(recorded: &Recorded, lake: &Path, config: &Path, workers: &str) -> std::process::Command {
    let mut command = tidewheel(&["replay", "--quiet", "--format", "canonical", "--tick", "10s", "--workers", workers]);
    command.arg("--lake").arg(lake).arg("--config").arg(config).arg("--input").arg(recorded.file());
    command
}

/// All rows of a table, by tick and key.
fn rows_of(lake: &Path, tables: &Tables, number: usize) -> Vec<(u64, Row)> {
    let state = read::manifest(lake).expect("a lake");
    let spec = &tables.specs()[number];
    let of_day = |day: String| rows::of_day(lake, spec, number as u16, &day, &|_, _| true).expect("a lake");
    let mut rows: Vec<(u64, Row)> = rows::days(&state, spec).into_iter().flat_map(of_day).collect();
    rows.sort_by(|(tick, row), (other_tick, other)| (tick, row.key()).cmp(&(other_tick, other.key())));
    rows
}

/// What the events must be, told from the rows: tick, instrument, event time, kind.
fn told(tables: &Tables, rows: &[(u64, Row)]) -> Vec<(u64, Instrument, i64, &'static str)> {
    let mut state: BTreeMap<Instrument, (i64, bool)> = BTreeMap::new();
    let mut told = Vec::new();
    let is_one = |(tick, row): &(u64, Row), (other_tick, other): &(u64, Row)| {
        tick == other_tick && row.instrument == other.instrument
    };
    for of_tick in rows.chunk_by(is_one) {
        let Some((tick, row)) = of_tick.iter().rfind(|(_, row)| row.values.is_some()) else { continue };
        let (newest, is_low) = state.entry(row.instrument.clone()).or_insert((i64::MIN, false));
        if row.event_time_ns < *newest {
            continue;
        }
        *newest = row.event_time_ns;
        let feature = tables.feature_of(row, *tick).expect("a row of the view");
        let is_low_now = quality_of(&feature) < BOUND;
        if std::mem::replace(is_low, is_low_now) != is_low_now {
            let kind = if is_low_now { EventKind::QualityLow } else { EventKind::QualityBack };
            told.push((*tick, row.instrument.clone(), row.event_time_ns, kind.name()));
        }
    }
    told
}

#[test]
fn rows_below_the_bound_raise_events_and_so_does_their_return() {
    // A thin market: of the rare symbols five minutes are missing here and there.
    let recorded = Recorded::new(MarketConfig { symbols: 60, trades_per_second: 1, ..market(61, 6_000, ALL_FAULTS) });
    let file = config(&recorded, &BOUND.to_string());
    let tables = Tables::new(&[view()], QualityBounds::of(Some(BOUND), None));
    let mut first = None;
    for workers in ["1", "2", "4"] {
        let lake = recorded.folder().join(workers);
        succeeds(replay(&recorded, &lake, &file, workers));
        let events = rows_of(&lake, &tables, 1);
        let found: Vec<_> = events
            .iter()
            .map(|(tick, row)| {
                let Some([Value::Text(kind), Value::Text(subject), Value::Text(detail), ..]) = row.values.as_deref()
                else {
                    panic!("{row:?}")
                };
                assert_eq!((&**subject, &*row.qualifier), ("features.few", &*format!("{kind}:features.few")));
                assert!(detail.starts_with("quality 0.") || detail.starts_with("quality 1."), "{detail}");
                (*tick, row.instrument.clone(), row.event_time_ns, kind.to_string())
            })
            .collect();
        let expected = told(&tables, &rows_of(&lake, &tables, 0));
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(tick, instrument, time, kind)| (tick, instrument, time, kind.to_owned()))
            .collect();
        assert_eq!(found, expected, "{workers} workers");
        let of = |kind: EventKind| found.iter().filter(|(_, _, _, name)| name == kind.name()).count();
        println!("{} low, {} back", of(EventKind::QualityLow), of(EventKind::QualityBack));
        // Each begins cold; some come back, and some of these fall again.
        assert!(of(EventKind::QualityLow) > 60 && of(EventKind::QualityBack) > 60, "{found:?}");
        assert!(events == *first.get_or_insert_with(|| events.clone()), "{workers} workers");
    }
}

#[test]
fn without_a_bound_there_is_no_table_and_a_bound_is_a_share() {
    assert_eq!(Tables::new(&[view()], None).specs().len(), 1);
    assert_eq!(Tables::new(&[], QualityBounds::of(Some(BOUND), None)).specs().len(), 0);
    let recorded = Recorded::new(market(62, 50, ALL_FAULTS));
    let file = config(&recorded, "1.5");
    let told = fails(replay(&recorded, &recorded.folder().join("lake"), &file, "1"), 1);
    assert!(told.contains("min_quality") && told.contains("expected a number from 0 to 1"), "{told}");
}
