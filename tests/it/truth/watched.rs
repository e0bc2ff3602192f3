//! The graph with risk in it, told what is recorded, tick by tick; and what it says happened.

use crate::risk::world::{Coming, Cut, cut};
use serde_json::Value as Json;
use tidewheel::config::RiskSection;
use tidewheel::engine;
use tidewheel::pipeline::PipelineConfig;
use tidewheel::ticks::{Chunk, TickConfig, Ticker};
use tidewheel_operators::intake::IntakeLimits;
use tidewheel_schemas::{Interval, Row, SECOND_NS, Value};

/// How far corrections reach back.
const HORIZON_NS: i64 = 3_600 * SECOND_NS;
/// How long after its end a bar waits for late trades.
pub const LATENESS_NS: i64 = 2 * SECOND_NS;
/// The number of the table of events, where there are no views and no scores.
const EVENTS: u16 = 2;

/// Something that happened, as its row tells.
#[derive(Clone, Debug)]
pub struct Told {
    pub tick: u64,
    pub kind: String,
    pub scope: String,
    pub rule: String,
    pub level: String,
    pub detail: Json,
}

impl Told {
    /// Of a row of events that was told at a tick.
    pub fn of(tick: u64, row: &Row) -> Self {
        let values = row.values.as_deref().expect("facts have values");
        let text = |column: usize| match &values[column] {
            Value::Text(text) => text.to_string(),
            _ => String::new(),
        };
        let detail = serde_json::from_str(&text(14)).expect("JSON");
        Self { tick, kind: text(0), scope: text(1), rule: text(2), level: text(4), detail }
    }
}

/// What risk says of arrivals, each with the tick that it comes in: milliseconds, ascending.
pub fn events(section: &RiskSection, workers: usize, ticks: &[(u64, Vec<(i64, Coming)>)]) -> Vec<Told> {
    let config = PipelineConfig {
        intervals: vec![Interval::H1],
        lateness_ns: LATENESS_NS,
        horizon_ns: HORIZON_NS,
        archive: false,
        is_saved: false,
        views: Vec::new(),
        scoring: None,
        min_quality: None,
        hourly_volume: false,
        risk: Some(section.resolve(HORIZON_NS)),
    };
    let limits = IntakeLimits { horizon_ns: HORIZON_NS, skew_ns: SECOND_NS };
    let mut ticker = Ticker::new(TickConfig { limits, provisional_every_ms: None }).with_risk(true);
    let (mut engine, outputs) = engine::start(workers, &config, None).expect("threads");
    let collector = std::thread::spawn(move || {
        let mut told = Vec::new();
        for merged in outputs {
            let output = merged.output;
            assert!(output.rejects.is_empty(), "{:?}", output.rejects);
            let rows = output.rows.iter().filter(|row| row.table == EVENTS);
            told.extend(rows.map(|row| Told::of(output.tick, row)));
        }
        told
    });
    let mut begin = 0;
    for (tick, arrivals) in ticks {
        let Cut { chunks, .. } = cut(arrivals, begin, None);
        begin += arrivals.len() as u64;
        let pieces = chunks.into_iter().map(|chunk| Chunk::new(chunk).take_all()).collect();
        assert!(engine.send(ticker.tick(*tick, pieces, &[true, true])).is_continue());
    }
    engine.finish();
    collector.join().expect("the outputs are read to the end")
}
