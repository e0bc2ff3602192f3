//! Wherever a source is cut into ticks, the same market records are taken and refused, for the same reasons; and what is held of
//! them is bounded where no trades come.

use crate::market::HORIZON_NS;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use tidewheel::engine::{self, MergedTick};
use tidewheel::pipeline::PipelineConfig;
use tidewheel::ticks::{Chunk, TickConfig, Ticker};
use tidewheel_connectors::decode::{DecodeConfig, Decoder};
use tidewheel_connectors::source::MessageBlock;
use tidewheel_operators::features::View;
use tidewheel_operators::intake::IntakeLimits;
use tidewheel_schemas::{Counters, Instrument, Interval, RejectReason, SECOND_NS, Value};

const BEGIN_NS: i64 = 1_723_161_240 * SECOND_NS;
const SYMBOLS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];

/// A message: a trade, a quote, a mark or a funding rate, by number.
fn message(kind: u32, number: usize, symbol: &str, time_ns: i64, price: u32) -> String {
    let said = match kind {
        0 => format!(r#""type":"trade","trade_id":"{number}","price":"{price}","quantity":"1","aggressor_side":"buy""#),
        1 => format!(
            r#""type":"quote","update_id":{number},"bid_price":"{price}","bid_quantity":"2","ask_price":"{}","ask_quantity":"1""#,
            price + 1
        ),
        2 => format!(r#""type":"mark","mark_price":"{price}","index_price":"{price}""#),
        _ => r#""type":"funding","rate":"0.0001""#.to_owned(),
    };
    format!(r#"{{"venue":"v","symbol":"{symbol}","event_time":{time_ns},{said}}}"#)
}

/// Messages of one partition over many horizons: in order but for some that come late, a few later than the horizon. `kind` says
/// what each is, by how far the market has come.
fn messages(seed: u64, kind: impl Fn(&mut ChaCha8Rng, i64) -> u32) -> Vec<String> {
    let random = &mut ChaCha8Rng::seed_from_u64(seed);
    let mut texts: Vec<String> = Vec::new();
    let mut now_ns = BEGIN_NS;
    for number in 0..3_000 {
        now_ns += random.random_range(0..HORIZON_NS / 100);
        let late_ns = match random.random_range(0..10) {
            0 => random.random_range(0..3 * HORIZON_NS),
            1 | 2 => random.random_range(0..HORIZON_NS),
            _ => 0,
        };
        let symbol = SYMBOLS[random.random_range(0..SYMBOLS.len())];
        let kind = kind(random, now_ns - BEGIN_NS);
        if random.random_bool(0.03) && number > 100 {
            let again = texts[random.random_range(number - 100..number)].clone();
            texts.push(again);
        } else {
            texts.push(message(kind, number, symbol, now_ns - late_ns, random.random_range(90..110)));
        }
    }
    texts
}

fn chunk(messages: &[String], at: usize) -> Chunk {
    let mut block = MessageBlock::default();
    (at as u64..).zip(messages).for_each(|(position, text)| block.push(text.as_bytes(), position, None));
    Chunk::new(Decoder::new(DecodeConfig::default()).decode(block))
}

/// Runs the messages in ticks of so many.
fn run(messages: &[String], lengths: impl Iterator<Item = usize>) -> Vec<MergedTick> {
    let config = PipelineConfig {
        intervals: vec![Interval::M1],
        lateness_ns: 0,
        horizon_ns: HORIZON_NS,
        archive: true,
        is_saved: false,
        views: vec![View::core_microstructure()],
        scoring: None,
        min_quality: None,
        hourly_volume: false,
        risk: None,
    };
    let limits = IntakeLimits { horizon_ns: HORIZON_NS, skew_ns: i64::MAX / 2 };
    let mut ticker = Ticker::new(TickConfig { limits, provisional_every_ms: None });
    let (mut engine, outputs) = engine::start(2, &config, None).expect("threads");
    let collector = std::thread::spawn(move || outputs.collect::<Vec<_>>());
    let (mut at, mut tick) = (0, 0);
    for length in lengths {
        let end = (at + length).min(messages.len());
        tick += 1;
        let pieces = vec![chunk(&messages[at..end], at).take_all()];
        assert!(engine.send(ticker.tick(tick, pieces, &[true])).is_continue());
        at = end;
        if at == messages.len() {
            break;
        }
    }
    assert!(engine.send(ticker.finish()).is_continue());
    engine.finish();
    collector.join().expect("the outputs are read to the end")
}

/// All that became of the messages, whatever the tick.
#[derive(Debug, PartialEq)]
struct Outcome {
    accepted: BTreeSet<(u32, u64, u16)>,
    rejects: BTreeMap<u64, (RejectReason, String)>,
    counters: Counters,
    /// The newest version of each row.
    rows: BTreeMap<(Instrument, i64), Option<Box<[Value]>>>,
}

fn outcome(ticks: &[MergedTick]) -> Outcome {
    let outputs = || ticks.iter().map(|tick| &tick.output);
    let counters = outputs().next_back().expect("a tick").counters.clone();
    assert!(counters.reconcile(), "{counters:?}");
    let market = outputs().flat_map(|output| &output.market);
    let rejects = outputs().flat_map(|output| &output.rejects);
    // Which tick a row was made at, and how often, is a matter of ticks; its first columns say that.
    let rows = outputs().flat_map(|output| &output.rows).filter(|row| row.table == 0);
    Outcome {
        accepted: market.map(|record| record.source()).collect(),
        rejects: rejects.map(|letter| (letter.position, (letter.reason, letter.detail.clone()))).collect(),
        counters,
        rows: rows.map(|row| ((row.instrument.clone(), row.event_time_ns), row.values.clone())).collect(),
    }
}

/// The outcome, held against those of other cuts.
fn check(seed: u64, messages: &[String]) -> Outcome {
    let expected = outcome(&run(messages, std::iter::repeat(messages.len())));
    let random = &mut ChaCha8Rng::seed_from_u64(seed);
    for longest in [1, 10, 300, 2_000] {
        let lengths = std::iter::repeat_with(|| random.random_range(1..=longest));
        let found = outcome(&run(messages, lengths));
        assert_eq!(found.counters, expected.counters, "seed {seed}, ticks of at most {longest} messages");
        assert_eq!(found.rejects, expected.rejects, "seed {seed}, ticks of at most {longest} messages");
        assert_eq!(found.accepted, expected.accepted, "seed {seed}, ticks of at most {longest} messages");
        assert!(found.rows == expected.rows, "seed {seed}, ticks of at most {longest} messages: rows");
    }
    expected
}

fn too_old(outcome: &Outcome) -> u64 {
    outcome.counters.rejected_by_reason.get(&RejectReason::TooOld).copied().unwrap_or_default()
}

#[test]
fn what_is_too_old_does_not_depend_on_ticks() {
    for seed in 900..904 {
        let found = check(seed, &messages(seed, |random, _| random.random_range(0..4)));
        println!("seed {seed}: {} too old, {} rows", too_old(&found), found.rows.len());
        assert!(too_old(&found) > 50 && !found.rows.is_empty());
    }
}

#[test]
fn a_market_whose_trades_stop_is_the_same_in_any_ticks() {
    let (from, to) = (8 * HORIZON_NS, 11 * HORIZON_NS);
    for seed in 910..913 {
        let pauses = |random: &mut ChaCha8Rng, since_ns: i64| match (from..to).contains(&since_ns) {
            true => random.random_range(1..4),
            false => random.random_range(0..4),
        };
        let mut texts = messages(seed, pauses);
        // Nothing of before the pause comes after it: further apart than the horizon, it would be a matter of ticks.
        let mut newest_ns = i64::MIN;
        texts.retain(|text| {
            let (_, rest) = text.split_once(r#""event_time":"#).expect("a time");
            let time_ns: i64 = rest.split(',').next().expect("a number").parse().expect("a number");
            newest_ns = newest_ns.max(time_ns);
            !text.contains("trade") || time_ns + HORIZON_NS > newest_ns
        });
        let found = check(seed, &texts);
        assert!(too_old(&found) > 50 && !found.rows.is_empty());
    }
}

#[test]
fn a_market_without_trades_is_held_for_the_horizon_only() {
    let texts = messages(920, |random, _| random.random_range(1..4));
    check(920, &texts);
    let ticks = run(&texts, std::iter::repeat(20));
    let held: Vec<usize> = ticks.iter().map(|tick| tick.market_sizes.records).collect();
    let leaves = ticks.iter().map(|tick| tick.feature_sizes.leaves).max().unwrap_or_default();
    let most = held.iter().copied().max().unwrap_or_default();
    println!("of {} records at most {most} are held, and {leaves} leaves", texts.len());
    // A horizon is two hundred messages on average, to which a minute and a tick are added.
    assert!(most < 600, "{most} held");
    assert!(leaves < 150, "{leaves} leaves");
    assert!(held[held.len() - 2] > 50, "those of the horizon are");
}
