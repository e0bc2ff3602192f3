//! The trades that a lake kept give its bars again, byte for byte.

use super::recording;
use crate::harness::program::{replay, text_of, tidewheel};
use std::path::Path;
use tidewheel_connectors::lake::read;
use tidewheel_schemas::{BarVersion, Counters, Interval};

#[test]
fn an_archived_capture_gives_the_same_bars_again() {
    let Some(capture) = recording("binance_wire/spot_btcusdt_*.gz") else { return };
    check(text_of(&capture), &["--trades-only"]);
}

#[test]
fn archived_cancels_and_corrections_give_the_same_bars_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let market = folder.path().join("market.jsonl");
    let troubles = ["--bad-day", "--cancelled", "2%", "--corrected", "2%", "--future", "0.1%", "--horizon", "5m"];
    let size = ["--trades", "20000", "--trades-per-second", "10", "--symbols", "6", "--counts"];
    let generated = tidewheel(&[&["generate", "--output", text_of(&market)][..], &troubles, &size].concat());
    assert_eq!(generated.code, Some(0), "{}", generated.err);
    let (first, again) = check(text_of(&market), &["--horizon", "5m"]);
    assert!(first.amended > 500, "{first:?}");
    assert_eq!(again.amended, first.amended);
}

/// Replays the input with an archive, and the archive; compares every version that was published, all but its tick.
fn check(input: &str, args: &[&str]) -> (Counters, Counters) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (lake, again) = (folder.path().join("lake"), folder.path().join("again"));
    let first = replay(&lake, &[&["--input", input, "--archive"], args].concat());
    let archive = lake.join("trades");
    let second = replay(&again, &[&["--input", text_of(&archive)], args].concat());
    assert_eq!((second.read, second.accepted), (first.accepted, first.accepted));
    for interval in Interval::ALL {
        let (expected, found) = (versions(&lake, interval), versions(&again, interval));
        assert!(!expected.is_empty(), "{interval}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected);
        }
        assert_eq!(found.len(), expected.len(), "{interval}");
    }
    (first, second)
}

fn versions(lake: &Path, interval: Interval) -> Vec<BarVersion> {
    let versions = read::bars(lake, interval).expect("a lake that can be read");
    versions.into_iter().map(|version| BarVersion { tick: 0, ..version }).collect()
}
