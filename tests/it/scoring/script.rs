//! What the control topic says tick by tick, and the records of a tick as a live run decides them.

use super::shelf::Shelf;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tidewheel::scoring::{self, CommandRecord, Decided, Desk, Verdict};
use tidewheel::ticks::{Chunk, Piece};
use tidewheel_connectors::source::MessageBlock;

/// How many versions there are of each model.
pub const VERSIONS: u32 = 12;

/// The records of each tick, and where each tick begins.
pub struct Script {
    pub records: Vec<Vec<String>>,
    begins: Vec<u64>,
    /// What is expected of each, by the name of its refusal, `""` for what takes effect, `reject` for what is none.
    pub expected: BTreeMap<&'static str, u64>,
    /// The version that the first record puts in force.
    first_version: u32,
    /// The number of the last policy of signals.
    policy: u64,
    /// Of aliases and symbols, those that have an ensemble.
    standing: BTreeSet<(&'static str, &'static str)>,
}

impl Script {
    /// Promotions every few ticks, of all kinds, and one in three that must be refused.
    pub fn new(seed: u64, ticks: usize, shelf: &Shelf) -> Self {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut script = Self {
            records: Vec::new(),
            begins: Vec::new(),
            expected: BTreeMap::new(),
            first_version: 0,
            policy: 0,
            standing: BTreeSet::new(),
        };
        let (mut number, mut end) = (0, 0);
        for _ in 0..ticks {
            let mut records = Vec::new();
            let count = if random.random_bool(0.4) { random.random_range(1..4) } else { 0 };
            for _ in 0..count {
                let (name, record) = script.record(random, shelf, &mut number);
                *script.expected.entry(name).or_default() += 1;
                records.push(record);
            }
            script.begins.push(end);
            end += records.len() as u64;
            script.records.push(records);
        }
        script
    }

    fn record(&mut self, random: &mut ChaCha8Rng, shelf: &Shelf, number: &mut u64) -> (&'static str, String) {
        let version = random.random_range(1..=VERSIONS);
        let alias = if random.random_bool(0.3) { "challenger" } else { "production" };
        let symbol = if random.random_bool(0.3) { "BTCUSDT" } else { "any" };
        let is_first = *number == 0;
        *number += 1;
        let bad = if is_first { 9 } else { random.random_range(0..24) };
        let blend = |members: serde_json::Value| json!({ "name": "apart", "version": 1, "output": "probability", "method": { "kind": "median" }, "members": members });
        let (name, record) = match bad {
            0 => ("unknown_version", shelf.promotion(*number, alias, symbol, 99)),
            1 => {
                let mut record = shelf.promotion(*number, alias, symbol, version);
                record["members"][1]["sha256"] = json!("1".repeat(64));
                ("other_checksum", record)
            }
            2 => {
                let members = json!([{ "model": "any-up-other", "version": 1 }]);
                ("view_not_computed", shelf.promote(*number, alias, symbol, blend(members)))
            }
            // What the very first said is never new.
            11 => {
                let members = json!([{ "model": "any-up-changed", "version": 1 }]);
                let mut ensemble = blend(members);
                ensemble["name"] = json!("changed");
                ("view_contract", shelf.promote(*number, alias, symbol, ensemble))
            }
            3 => ("not_newer", shelf.promotion(1, "production", "any", version)),
            4 => ("ensemble", shelf.promote(*number, alias, symbol, blend(json!([])))),
            5 => ("reject", json!({ "type": "promotion", "number": *number })),
            6 => ("reject", json!([1, 2])),
            7 => {
                // The members of the ensemble are not those whose versions are given, one for one.
                let mut record = shelf.promotion(*number, alias, symbol, version);
                let members = record["members"].as_array_mut().expect("members");
                match random.random_range(0..4) {
                    0 => members.push(members[1].clone()),
                    1 => members.swap(0, 1),
                    2 => drop(members.pop()),
                    _ => {
                        // One model in the ensemble, twice among the versions.
                        members[1] = members[0].clone();
                        let defined = record["ensemble"]["members"].as_array_mut().expect("members");
                        defined.truncate(1);
                        record["ensemble"]["name"] = json!("alone");
                    }
                }
                ("members", record)
            }
            8 => {
                let mut ensemble = Shelf::ensemble(self.first_version);
                ensemble["members"][0]["weight"] = json!(3.0);
                ("other_definition", shelf.promote(*number, alias, symbol, ensemble))
            }
            10 => {
                let far = [u64::MAX, i64::MAX as u64, *number + 2_000_000][random.random_range(0..3)];
                ("number_too_large", shelf.promotion(far, alias, symbol, version))
            }
            9 if is_first => {
                self.first_version = version;
                ("", shelf.promotion(*number, "production", "any", version))
            }
            12 | 13 => {
                let is_there = self.standing.remove(&(alias, symbol));
                let record =
                    json!({ "type": "withdraw", "number": *number, "alias": alias, "symbol": symbol, "target": "up" });
                (if is_there { "" } else { "nothing_in_force" }, record)
            }
            14 => {
                self.policy += 1;
                let consider = random.random_range(0.5..0.7);
                let record = json!({ "type": "signals_policy", "number": self.policy, "consider": consider,
                    "act": consider + random.random_range(0.0..0.2), "universe": random.random_range(1..4),
                    "cool_down_ms": random.random_range(0..400_000) });
                ("", record)
            }
            15 => {
                let record = json!({ "type": "signals_policy", "number": self.policy + 1, "consider": 0.7, "act": 0.6,
                    "universe": 1, "cool_down_ms": 0 });
                ("signals", record)
            }
            _ => ("", shelf.promotion(*number, alias, symbol, version)),
        };
        if name.is_empty() && record["type"] == "promotion" {
            self.standing.insert((alias_of(&record), symbol_of(&record)));
        }
        (name, record.to_string())
    }

    /// The records of a tick as they come from the topic, and what is decided about them: now, or as `log` has it.
    pub fn decide(
        &self,
        number: usize,
        (tick, partition): (u64, u32),
        desk: &mut Desk,
        log: &mut BTreeMap<u64, Vec<Verdict>>,
    ) -> (Option<Piece>, Vec<CommandRecord>, Vec<Decided>) {
        if self.records[number].is_empty() {
            return (None, Vec::new(), Vec::new());
        }
        let mut block = MessageBlock { partition, ..MessageBlock::default() };
        for (position, record) in (self.begins[number]..).zip(&self.records[number]) {
            block.push(record.as_bytes(), position, None);
        }
        let (chunk, records) = scoring::decode(block);
        let decided = match log.get(&tick) {
            Some(verdicts) => desk.repeat(tick, &records, verdicts).expect("what was usable then is usable now"),
            None => desk.decide_all(&records),
        };
        log.insert(tick, Verdict::logged(&decided));
        (Some(Chunk::new(chunk).take_all()), records, decided)
    }
}

fn alias_of(record: &serde_json::Value) -> &'static str {
    if record["alias"] == "challenger" { "challenger" } else { "production" }
}

fn symbol_of(record: &serde_json::Value) -> &'static str {
    if record["symbol"] == "any" { "any" } else { "BTCUSDT" }
}
