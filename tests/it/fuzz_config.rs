//! Config texts and environments that nobody would write: never a panic, and every complaint names a field, a line or a
//! variable.
//!
//! Kept texts in `tests/corpus/config` are mutated from a seed. `TIDEWHEEL_FUZZ_ROUNDS` and `TIDEWHEEL_FUZZ_SEED` choose
//! how often and from where; a text that once broke the parser is added to the corpus.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::path::Path;
use tidewheel::config::{Config, Place, Problem, example};

/// Pieces that mean something to the parser.
const TOKENS: [&str; 32] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\"",
    "'",
    "\"\"\"",
    "#",
    "\n",
    "\\",
    "\\u0000",
    "-1",
    "0",
    "1e9",
    "18446744073709551616",
    "true",
    "nan",
    "1979-05-27",
    "workers",
    "source",
    "source.csv",
    "bars.tick",
    "properties",
    "\"9000000h\"",
    "\"-1ns\"",
    "\u{feff}",
    "\u{0}",
];
const VARIABLES: [&str; 8] = [
    "TIDEWHEEL_WORKERS",
    "TIDEWHEEL_SOURCE__TOPICS",
    "TIDEWHEEL_SOURCE__CSV__TIME",
    "TIDEWHEEL_SOURCE__PROPERTIES__SASL_PASSWORD",
    "TIDEWHEEL_SOURCE__PROPERTIES____",
    "TIDEWHEEL_BARS__HORIZON",
    "TIDEWHEEL_LAKE__PATH",
    "TIDEWHEEL_",
];

struct Fuzzer(ChaCha8Rng);

impl Fuzzer {
    fn below(&mut self, bound: usize) -> usize {
        // The bias of a remainder does not matter here.
        (self.0.next_u64() % bound.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn mutate(&mut self, corpus: &[String]) -> String {
        let mut bytes = self.pick(corpus).clone().into_bytes();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(24)).min(bytes.len());
            match self.below(6) {
                0 => drop(bytes.drain(at..end)),
                1 => drop(bytes.splice(at..at, self.pick(&TOKENS).bytes())),
                2 => drop(bytes.splice(at..end, self.pick(&TOKENS).bytes())),
                3 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = byte.wrapping_add(1)),
                4 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
                _ => {
                    let other = self.pick(corpus).as_bytes();
                    let from = self.below(other.len());
                    let piece = other[from..].iter().take(self.below(200)).copied().collect::<Vec<u8>>();
                    bytes.splice(at..at, piece);
                }
            }
        }
        // Files that are not UTF-8 are refused before they are parsed.
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn environment(&mut self) -> Vec<(String, String)> {
        let count = self.below(3);
        let pair = |fuzzer: &mut Self| ((*fuzzer.pick(&VARIABLES)).to_owned(), (*fuzzer.pick(&TOKENS)).to_owned());
        (0..count).map(|_| pair(self)).collect()
    }
}

fn names_something(problem: &Problem) -> bool {
    problem.field.is_some() || problem.place != Place::Default
}

#[test]
fn no_text_breaks_the_config_parser() {
    let setting = |name: &str, default: u64| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} must be a number, is {text:?}")),
        Err(_) => default,
    };
    let (rounds, first_seed) = (setting("TIDEWHEEL_FUZZ_ROUNDS", 20_000), setting("TIDEWHEEL_FUZZ_SEED", 1));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/config");
    let files = std::fs::read_dir(&folder).expect("the corpus is kept");
    let mut paths: Vec<_> = files.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let mut corpus: Vec<String> =
        paths.iter().map(|path| std::fs::read_to_string(path).expect("a kept text")).collect();
    corpus.push(example());
    let (mut taken, mut refused) = (0u64, 0u64);
    for seed in first_seed..first_seed + rounds {
        let mut fuzzer = Fuzzer(ChaCha8Rng::seed_from_u64(seed));
        let (text, environment) = (fuzzer.mutate(&corpus), fuzzer.environment());
        let result = std::panic::catch_unwind(|| Config::parse(&text, &environment));
        match result.unwrap_or_else(|_| panic!("seed {seed} breaks the parser with {environment:?} and:\n{text}")) {
            Ok(config) => {
                taken += 1;
                // What was taken can be wired up.
                let _ =
                    (config.kafka_source(), config.decode(), config.pipeline(), config.ticks(), config.kafka_sink(""));
            }
            Err(problems) => {
                refused += 1;
                let nameless = problems.0.iter().find(|problem| !names_something(problem));
                assert!(
                    nameless.is_none() && !problems.0.is_empty(),
                    "seed {seed}: {nameless:?} for {environment:?}\n{text}"
                );
                assert!(!problems.to_string().contains("hunter2"), "seed {seed} tells a secret: {problems}");
            }
        }
    }
    println!("{rounds} texts from seed {first_seed}: {taken} taken, {refused} refused");
    assert!(rounds < 1_000 || (taken > rounds / 50 && refused > rounds / 50), "{taken} taken, {refused} refused");
}
