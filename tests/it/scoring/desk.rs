//! The desk under records that are many, wrong, or name what is broken: what it costs and remembers is bounded.

use super::shelf::{Shelf, view};
use serde_json::{Value, json};
use std::fs::{self, File, FileTimes};
use std::time::{Duration, SystemTime};
use tidewheel::scoring::{CommandRecord, Decided, Desk, Verdict};

fn desk(shelf: &Shelf) -> Desk {
    Desk::new(&shelf.path(), vec![view()], 8)
}

fn records(texts: impl IntoIterator<Item = Value>) -> Vec<CommandRecord> {
    let parse = |(position, text): (u64, Value)| {
        CommandRecord::parse(text.to_string().as_bytes(), position, None).unwrap_or_else(|error| panic!("{error:?}"))
    };
    (0..).zip(texts).map(parse).collect()
}

/// Why a record was refused; nothing where it took effect.
fn name(decided: &Decided) -> &str {
    assert_eq!(decided.activation.is_none(), decided.verdict.refused.is_some());
    decided.verdict.refused.as_ref().map_or("", |(name, _)| name)
}

fn decide(desk: &mut Desk, record: Value) -> String {
    name(&desk.decide_all(&records([record]))[0]).to_owned()
}

#[test]
fn what_is_broken_is_not_built_again_until_its_files_are_others() {
    let shelf = Shelf::new(2);
    let mut desk = desk(&shelf);
    let path = shelf.path().join("models/any-up-one/2/model.json");
    let sound = fs::read(&path).expect("a file");
    let set_time = |second: u64| {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let file = File::options().write(true).open(&path).expect("a file");
        file.set_times(FileTimes::new().set_modified(time)).expect("a time");
    };
    let mut broken = sound.clone();
    *broken.last_mut().expect("bytes") = b' ';
    fs::write(&path, &broken).expect("space");
    set_time(1_000);
    assert_eq!(decide(&mut desk, shelf.promotion(1, "production", "any", 1)), "");
    assert_eq!(decide(&mut desk, shelf.promotion(2, "production", "any", 2)), "other_checksum");
    // By name, length and time it is the same file, and so it is not read: what is said is what was said.
    fs::write(&path, &sound).expect("space");
    set_time(1_000);
    assert_eq!(decide(&mut desk, shelf.promotion(2, "production", "any", 2)), "other_checksum");
    set_time(2_000);
    assert_eq!(decide(&mut desk, shelf.promotion(2, "production", "any", 2)), "");
}

#[test]
fn a_tick_loads_a_bounded_number_of_versions() {
    let shelf = Shelf::new(40);
    let mut desk = desk(&shelf);
    let all = records((1..=40).map(|number| shelf.promotion(number.into(), "production", "any", number)));
    let decided = desk.decide_all(&all);
    let names: Vec<&str> = decided.iter().map(name).collect();
    // Two each: sixty-four.
    assert!(names[..32].iter().all(|name| name.is_empty()), "{names:?}");
    assert!(names[32..].iter().all(|name| *name == "too_many_in_a_tick"), "{names:?}");
    // Made again, what took effect does, however much it is.
    let mut again = self::desk(&shelf);
    let repeated = again.repeat(7, &all, &Verdict::logged(&decided)).expect("what was usable");
    assert!(repeated.iter().map(name).eq(names));
    assert_eq!(again.in_force(), desk.in_force());
    // In the next tick there is room again.
    let names: Vec<String> = desk.decide_all(&all[32..]).iter().map(|decided| name(decided).to_owned()).collect();
    assert_eq!(names, [""; 8]);
}

#[test]
fn the_verdicts_of_a_tick_fit_a_record_of_the_log_however_many_and_however_long() {
    let shelf = Shelf::new(1);
    let mut desk = desk(&shelf);
    let long = |number: u64| {
        let mut record = shelf.promotion(number, "production", "any", 1);
        record["ensemble"]["name"] = json!("\u{1}ö".repeat(1_000));
        record
    };
    let all = records((1..=2_000).map(long));
    let decided = desk.decide_all(&all);
    let log = Verdict::logged(&decided);
    assert_eq!((decided.len(), log.len()), (2_000, 1_024));
    let size = serde_json::to_string(&log).expect("verdicts encode").len();
    assert!((50_000..700_000).contains(&size), "{size} bytes");
    assert_eq!((name(&decided[1_023]), name(&decided[1_024])), ("ensemble", "too_many_in_a_tick"));
    let details = decided.iter().filter_map(|decided| decided.verdict.refused.as_ref()).map(|(_, detail)| detail.len());
    assert!(details.clone().take(64).all(|length| (1_000..=1_024).contains(&length)));
    assert!(details.skip(64).all(|length| length == 0));
    let repeated = self::desk(&shelf).repeat(7, &all, &log).expect("nothing took effect");
    let verdicts = |decided: &[Decided]| decided.iter().map(|decided| decided.verdict.clone()).collect::<Vec<_>>();
    assert_eq!(verdicts(&repeated), verdicts(&decided));
    let few = self::desk(&shelf).repeat(7, &all[1..], &log).expect_err("other records").to_string();
    assert!(few.contains("tick 7 decided about 1024 control records, and 1999 are there now"), "{few}");
}

#[test]
fn targets_are_bounded() {
    let shelf = Shelf::new(1);
    let mut desk = desk(&shelf);
    let promotion = |number: u64, symbol: u64| shelf.promotion(number, "production", &format!("S{symbol}"), 1);
    let all = records((1..=1_024).map(|number| promotion(number, number)));
    assert!(desk.decide_all(&all).iter().all(|decided| name(decided).is_empty()));
    assert_eq!(decide(&mut desk, promotion(2_000, 2_000)), "too_many_targets");
    assert_eq!(decide(&mut desk, promotion(2_001, 1_024)), "", "one that has an ensemble may be given another");
    assert_eq!(desk.in_force().len(), 1_024);
}
