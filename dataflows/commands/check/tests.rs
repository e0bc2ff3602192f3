//! What the checks find, without a cluster.

use super::*;
use std::path::Path;
use tidewheel_connectors::kafka::embedded::EmbeddedBroker;

/// Checks a config text in an empty folder; the folder shows as `DIR`.
fn check(text: &str) -> (String, bool) {
    let folder = tempfile::tempdir().expect("a folder");
    check_in(folder.path(), text)
}

fn check_in(folder: &Path, text: &str) -> (String, bool) {
    let name = folder.display().to_string();
    let config = folder.join("tidewheel.toml");
    std::fs::write(&config, text.replace("DIR", &name)).expect("a file");
    let mut out = Vec::new();
    let code = CheckArgs { config, timeout: TimeSpan::from_ms(2_000) }.run_with(&[], &mut out).expect("a report");
    let text = String::from_utf8(out).expect("text");
    (text.replace(&name, "DIR"), code == ExitCode::SUCCESS)
}

#[test]
fn a_plan_for_a_cluster_that_has_what_is_needed() {
    let broker = EmbeddedBroker::start(&["trades", "tidewheel.bars.1m"], 2).expect("a broker");
    let text = format!(
        "workers = 2\n[source]\nbrokers = \"{}\"\n[source.properties]\n\"sasl.password\" = \"hunter2\"\n\
         [bars]\nintervals = [\"1m\", \"1h\"]\n[kafka]\n[kafka.properties]\n\"linger.ms\" = 5\n\
         [lake]\npath = \"DIR/lake\"\n",
        broker.bootstrap()
    );
    let (report, is_good) = check(&text);
    let expected = "\
config   DIR/tidewheel.toml
read     kafka BROKER, format auto, from earliest, read_committed
           sasl.password = ***
           trades: 2 partitions, up to 0 messages
             trades[0]: offsets 0 to 0
             trades[1]: offsets 0 to 0
compute  bars of 1m 1h, on 2 workers
         a tick every 100ms; trades dated up to 5s ahead of it
         bars are published every 1s while they change, final 5s after their end
         corrections up to 1h back
memory   about 75 MB for each million trades within 1h
write    kafka BROKER, exactly once, as \"tidewheel-tidewheel\"
           linger.ms = 5
           tidewheel.bars.1m: exists, 2 partitions
           tidewheel.bars.1h: would be created, 8 partitions
           tidewheel.features.core_technical: would be created, 8 partitions
           tidewheel.rejects: would be created, 8 partitions
           tidewheel.late: would be created, 8 partitions
           tidewheel.progress: would be created, 1 partition
write    lake DIR/lake, with archive and changelog, a commit every 30s
           would be made

it would run
";
    assert_eq!(report.replace(broker.bootstrap(), "BROKER"), expected);
    assert!(is_good);
}

#[test]
fn missing_topics_are_told_and_the_rest_is_checked() {
    let broker = EmbeddedBroker::start(&["trades"], 1).expect("a broker");
    let text = format!(
        "[source]\nbrokers = \"{}\"\ntopics = [\"trade\"]\n[bars]\nintervals = [\"1m\"]\n\
         [kafka]\ncreate_topics = false\n[lake]\npath = \"DIR/tidewheel.toml/lake\"\n",
        broker.bootstrap()
    );
    let (report, is_good) = check(&text);
    let report = report.replace(broker.bootstrap(), "BROKER");
    let problems = report.split_once("it would not run: ").map(|(_, problems)| problems);
    let expected = "\
3 problems
  1. could not find source.topics \"trade\"; did you mean \"trades\"?
  2. output topics are missing at BROKER: tidewheel.bars.1m, tidewheel.features.core_technical, \
     tidewheel.rejects, tidewheel.late, tidewheel.progress; create them, or set kafka.create_topics to true
  3. could not write to lake.path DIR/tidewheel.toml/lake: Not a directory (os error 20); see to its owner and its disk, or \
     choose another folder
";
    assert_eq!(problems, Some(expected));
    assert!(!is_good);
}

#[test]
fn an_unreachable_broker_is_one_problem_and_the_lake_is_looked_at_all_the_same() {
    let (report, is_good) = check("[source]\nbrokers = \"127.0.0.1:1\"\n[kafka]\n[lake]\npath = \"DIR/lake\"\n");
    assert!(report.contains("it would not run: 1 problem\n  1. could not reach kafka at 127.0.0.1:1"), "{report}");
    assert!(report.contains("trades: not checked") && report.contains("would be made"), "{report}");
    assert!(!is_good);
}

#[test]
fn a_config_that_cannot_be_is_told_without_connecting() {
    let (report, is_good) = check("workers = 0\n[bars]\ntick = \"0s\"\n[lake]\n");
    let expected = "\
config  DIR/tidewheel.toml: not usable, so nothing else was checked

it would not run: 2 problems
  1. line 1: workers: must be 1 to 256; leave it out for one a core
  2. line 3: bars.tick: must be whole milliseconds from 1ms to 1m, is 0s
";
    assert_eq!(report, expected);
    assert!(!is_good);
}

#[test]
fn folders_that_are_no_lake_and_lakes_in_use_are_refused() {
    use tidewheel_connectors::lake::{Lake, LakeConfig};
    let folder = tempfile::tempdir().expect("a folder");
    let text = "[source]\nbrokers = \"127.0.0.1:1\"\n[lake]\npath = \"DIR/lake\"\n";
    std::fs::create_dir_all(folder.path().join("lake/bars")).expect("a folder");
    let (report, _) = check_in(folder.path(), text);
    assert!(report.contains("DIR/lake/bars exists, but DIR/lake is no lake of ours"), "{report}");
    let lake = Lake::open(LakeConfig::new(folder.path().join("lake"))).expect("a lake");
    let (report, _) = check_in(folder.path(), text);
    assert!(report.contains("lake DIR/lake has a writer already: stop it"), "{report}");
    drop(lake);
    let (report, _) = check_in(folder.path(), text);
    assert!(report.contains("holds no commit yet"), "{report}");
}
