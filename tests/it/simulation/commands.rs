//! The control topic of a simulated run: records that stand between the arrivals, decided once and then as the log has them.

use super::Script;
use crate::scoring::shelf::{Shelf, view};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::ops::Range;
use tidewheel::engine::TickInput;
use tidewheel::scoring::{self, CommandRecord, ControlFact, Decided, Desk, ScoringRules, Verdict};
use tidewheel::ticks::{Chunk, Ticker};
use tidewheel_connectors::source::MessageBlock;
use tidewheel_operators::features::View;
use tidewheel_operators::signals::SignalsConfig;
use tidewheel_schemas::SECOND_NS;

/// Versions of each model on the shelf of the simulation.
pub const VERSIONS: u32 = 3;
const HISTORY_ROWS: usize = 4;

pub fn rules() -> ScoringRules {
    let signals = SignalsConfig { consider: 0.5, act: 0.55, cool_down_ns: 60 * SECOND_NS, universe: 2 };
    ScoringRules { topic: "control".to_owned(), history_rows: HISTORY_ROWS, signals }
}

/// What the graph computes: one view as it comes, and one that is scored.
pub fn views() -> Vec<View> {
    vec![View::core_technical(), view()]
}

/// Nothing is in force yet.
pub fn desk(shelf: &Shelf) -> Desk {
    Desk::new(&shelf.path(), views(), HISTORY_ROWS)
}

/// Records of the control topic, each with the arrival that it comes before. One in three is refused.
pub fn commands(random: &mut ChaCha8Rng, arrivals: usize, shelf: &Shelf) -> Vec<(usize, String)> {
    let mut commands = Vec::new();
    let (mut at, mut number) = (0, 0);
    while at < arrivals {
        number += 1;
        let version = random.random_range(1..=VERSIONS);
        let alias = if random.random_bool(0.3) { "challenger" } else { "production" };
        let record = match random.random_range(0..6) {
            _ if number == 1 => shelf.promotion(number, "production", "any", version),
            0 => shelf.promotion(number, alias, "any", VERSIONS + 1),
            1 => json!({ "type": "promotion", "number": number }),
            2 => {
                json!({ "type": "signals_policy", "number": number, "consider": 0.5, "act": random.random_range(0.5..0.7),
                "universe": random.random_range(1..4), "cool_down_ms": random.random_range(0..100_000) })
            }
            3 => {
                json!({ "type": "withdraw", "number": number, "alias": "challenger", "symbol": "any", "target": "up" })
            }
            _ => shelf.promotion(number, alias, "any", version),
        };
        commands.push((at, record.to_string()));
        at += random.random_range(1..60);
    }
    commands
}

/// A tick of the script, and what was decided about its records of the control topic: now, or as the log has it.
pub fn tick(
    script: &Script,
    desk: &mut Desk,
    ticker: &mut Ticker,
    (tick, range): (u64, Range<usize>),
    logged: Option<&[Verdict]>,
) -> (TickInput, Vec<Verdict>) {
    let (piece, records) = records_of(script, &range);
    let decided: Vec<Decided> = match logged {
        Some(verdicts) => desk.repeat(tick, &records, verdicts).expect("what was usable then is usable now"),
        None => desk.decide_all(&records),
    };
    let verdicts = Verdict::logged(&decided);
    ticker.accept_control(records.len() as u64);
    let chunks = script.chunks(range).into_iter().chain(piece);
    let pieces = chunks.map(Chunk::take_all).collect();
    let mut input = ticker.tick(tick, pieces, &vec![true; script.partitions as usize + 1]);
    for (record, decided) in records.into_iter().zip(decided) {
        input.activations.extend(decided.activation);
        input.source.control.push(ControlFact { source: "control[0]".into(), record, verdict: decided.verdict });
    }
    (input, verdicts)
}

fn records_of(script: &Script, range: &Range<usize>) -> (Option<Chunk>, Vec<CommandRecord>) {
    let mut block = MessageBlock { partition: script.partitions, ..MessageBlock::default() };
    for (position, (at, record)) in (0..).zip(&script.commands) {
        if range.contains(at) {
            block.push(record.as_bytes(), position, None);
        }
    }
    if block.messages.is_empty() {
        return (None, Vec::new());
    }
    let (chunk, records) = scoring::decode(block);
    (Some(Chunk::new(chunk)), records)
}
