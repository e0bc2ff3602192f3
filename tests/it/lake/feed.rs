//! A small random market as the ticks of a run, and lakes written from it.

use crate::market::{Arrival, HORIZON_NS, Market, Record, SKEW_NS, amendment};
use std::path::Path;
use tidewheel::engine::{self, TickInput};
use tidewheel::pipeline::PipelineConfig;
use tidewheel::ticks::{Chunk, TickConfig, Ticker};
use tidewheel_connectors::lake::{CommitProgress, Lake, LakeConfig};
use tidewheel_connectors::source::DecodedChunk;
use tidewheel_operators::intake::IntakeLimits;
use tidewheel_schemas::{Interval, SECOND_NS, TickOutput};

/// The graph that these runs have.
pub fn pipeline() -> PipelineConfig {
    PipelineConfig {
        intervals: Interval::ALL.to_vec(),
        lateness_ns: 10 * SECOND_NS,
        horizon_ns: HORIZON_NS,
        archive: true,
        is_saved: false,
        views: Vec::new(),
        scoring: None,
        min_quality: None,
        hourly_volume: false,
        risk: None,
    }
}

/// A lake of such a run.
pub fn lake_config(root: &Path) -> LakeConfig {
    LakeConfig { sources: vec!["market".to_owned()], ..LakeConfig::new(root) }
}

/// Runs a market through the graph into a new lake, a commit every so many ticks. Returns what every tick published.
pub fn write_lake(root: &Path, seed: u64, trades: usize, ticks_per_commit: usize) -> Vec<TickOutput> {
    let (mut engine, outputs) = engine::start(2, &pipeline(), None).expect("threads");
    let collector = std::thread::spawn(move || outputs.map(|tick| tick.output).collect::<Vec<_>>());
    for tick in ticks(seed, trades, 30 * SECOND_NS) {
        assert!(engine.send(tick).is_continue());
    }
    engine.finish();
    let published = collector.join().expect("the outputs are read to the end");
    let mut lake = Lake::open(lake_config(root)).expect("a new lake");
    for ticks in published.chunks(ticks_per_commit) {
        ticks.iter().for_each(|tick| assert!(lake.append(tick.clone())));
        let tick_frontier = ticks[ticks.len() - 1].tick + 1;
        lake.commit(&CommitProgress { tick_frontier, ..CommitProgress::default() }).expect("a commit");
    }
    published
}

/// A market of so many trades, cut into ticks, with provisional bars in each.
pub fn ticks(seed: u64, trades: usize, tick_ns: i64) -> Vec<TickInput> {
    let market = Market::new(seed, trades);
    let mut ticker = Ticker::new(TickConfig {
        limits: IntakeLimits { horizon_ns: HORIZON_NS, skew_ns: SKEW_NS },
        provisional_every_ms: Some(1),
    });
    let mut position = 0;
    let in_one_tick = |a: &Arrival, b: &Arrival| a.time_ns / tick_ns == b.time_ns / tick_ns;
    let mut ticks = Vec::new();
    for arrivals in market.arrivals.chunk_by(in_one_tick) {
        let tick = ((arrivals[0].time_ns / tick_ns + 1) * tick_ns / 1_000_000) as u64;
        let chunk = chunk(arrivals, &mut position);
        ticks.push(ticker.tick(tick, vec![Chunk::new(chunk).take_all()], &[true]));
    }
    ticks.push(ticker.finish());
    ticks
}

fn chunk(arrivals: &[Arrival], position: &mut u64) -> DecodedChunk {
    let mut chunk = DecodedChunk::default();
    for arrival in arrivals {
        if let Record::Trade(trade) = &arrival.record {
            let known = chunk.columns.instruments.iter().position(|known| *known == arrival.instrument);
            let instrument = known.unwrap_or_else(|| {
                chunk.columns.instruments.push(arrival.instrument.clone());
                chunk.columns.instruments.len() - 1
            });
            chunk.columns.push(instrument as u32, trade, *position);
        }
        chunk.amendments.extend(amendment(&arrival.instrument, &arrival.record, 0, *position));
        *position += 1;
    }
    chunk.end_position = *position;
    chunk
}
