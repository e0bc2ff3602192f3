//! Bad input and a bad world: every record ends somewhere with a reason, every failure with a message, nothing panics.
//!
//! Everything here goes through the built program and is read back from the lake.

mod clock;
mod extremes;
mod records;
mod world;

use crate::harness::program::{rejects, replay, text_of};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tidewheel_connectors::lake::StoredReject;
use tidewheel_schemas::Counters;

/// 2024-08-08 23:54:15 UTC, in seconds.
const TIME_S: i64 = 1_723_161_255;

/// A folder with an input file and a lake.
struct Case {
    folder: TempDir,
}

impl Case {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lake(&self) -> PathBuf {
        self.path("lake")
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// Writes the input, replays it, and returns the counts and the dead letters.
    fn replay(&self, name: &str, bytes: impl AsRef<[u8]>, args: &[&str]) -> (Counters, Vec<StoredReject>) {
        let input = self.write(name, bytes);
        self.replay_path(&input, args)
    }

    fn replay_path(&self, input: &Path, args: &[&str]) -> (Counters, Vec<StoredReject>) {
        let counters = replay(&self.lake(), &[&["--input", text_of(input)], args].concat());
        let letters = rejects(&self.lake());
        assert_eq!(counters.rejected, letters.iter().map(|letter| letter.records).sum::<u64>());
        assert!(letters.iter().all(|letter| letter.source == text_of(input)), "{letters:?}");
        (counters, letters)
    }
}

/// A good trade as a line; its time is so many nanoseconds after [`TIME_S`].
fn trade(symbol: &str, id: impl std::fmt::Display, after_ns: i64, price: &str, quantity: &str) -> String {
    format!(
        "{{\"type\":\"trade\",\"op\":\"insert\",\"venue\":\"binance\",\"symbol\":\"{symbol}\",\"trade_id\":\"{id}\",\
         \"event_time\":{},\"price\":\"{price}\",\"quantity\":\"{quantity}\",\"aggressor_side\":\"buy\"}}\n",
        TIME_S * 1_000_000_000 + after_ns
    )
}
