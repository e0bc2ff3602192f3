//! A generated paper account through `replay` with risk: the same on any workers, every intent told once.

use super::live::facts;
use crate::kafka_live::program::{succeeds, tidewheel};
use std::collections::BTreeSet;
use tidewheel_connectors::lake::read;

#[test]
fn a_generated_account_is_watched_in_a_replay_on_any_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let market = ["--symbols", "4", "--trades", "20000", "--trades-per-second", "20", "--seed", "11"];
    let mut command = tidewheel(&["generate", "--output", &at("paper.jsonl"), "--receive-time"]);
    command.args(["--streams", "trades,account"]).args(market);
    succeeds(command);
    let text = std::fs::read_to_string(at("paper.jsonl")).expect("text");
    let intents: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.contains("\"order_intent\""))
        .filter_map(|line| line.split("\"intent_id\":").nth(1)?.split([',', '}']).next())
        .collect();
    let config = at("risk.toml");
    std::fs::write(&config, "[features]\nviews = []\n[risk]\nstep = \"1m\"\nscenarios_min = 2\n").expect("space");
    let replayed = |workers: &str| {
        let lake = folder.path().join(workers);
        let mut command = tidewheel(&["replay", "--quiet", "--intervals", "1m", "--tick", "500ms", "--archive"]);
        command.args(["--input", &at("paper.jsonl"), "--config", &config, "--workers", workers, "--lake"]).arg(&lake);
        println!("{}", succeeds(command));
        let counters = read::manifest(&lake).expect("a lake").progress.counters;
        assert!(counters.reconcile(), "{counters:?}");
        (facts(&lake), counters)
    };
    let (one, counters) = replayed("1");
    println!("{counters:?}");
    for family in ["positions", "risk", "risk_events", "order_decisions"] {
        println!("{family}: {} rows", one[family].len());
        assert!(!one[family].is_empty(), "{family}");
    }
    let decided = one["order_decisions"].iter().filter(|row| row.contains("Text(\"decided\")")).count();
    assert!(decided > 20 && decided == intents.len(), "{decided} of {} intents", intents.len());
    let (three, others) = replayed("3");
    assert!(one == three && counters == others, "three workers say something else");
}
