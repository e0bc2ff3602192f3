//! People's side of risk on a real broker: policies shown, set and told of later, kills and resets, each by the program's own commands; and
//! orders that are forged, replayed, misshapen or out of order, each refused once and told.

use super::live::{Feed, now_ms, sections};
use crate::harness::kafka::{broker, unique};
use crate::kafka_live::program::{Setup, fails, succeeds, tidewheel};
use crate::kafka_live::readers::records;
use crate::recorded::verified::identical;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tidewheel_connectors::lake::read;
use tidewheel_risk::policy::Policy;

const PEOPLE: &str =
    "[risk.policy.people]\npolicy = [\"anna\"]\nkill = [\"anna\", \"ben\"]\nreset = [\"anna\", \"ben\"]\n";

/// What a command answers in JSON.
fn answer(arguments: &[&str]) -> Json {
    serde_json::from_str(&succeeds(tidewheel(arguments))).expect("JSON")
}

/// Asks until the answer is as wanted: the lake commits later than the topics.
fn until(arguments: &[&str], is_wanted: impl Fn(&Json) -> bool) -> Json {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let output = tidewheel(arguments).output().expect("the program starts");
        let answer: Option<Json> = serde_json::from_slice(&output.stdout).ok();
        if let Some(answer) = answer.as_ref().filter(|answer| is_wanted(answer)) {
            return answer.clone();
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(Instant::now() < deadline, "{arguments:?}: what was waited for does not come: {answer:?} {complaint}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The entry of a list whose field says so.
fn entry<'a>(list: &'a Json, field: &str, value: &str) -> Option<&'a Json> {
    list.as_array().expect("a list").iter().find(|entry| entry[field] == value)
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a temporary folder can be written to");
    path.display().to_string()
}

/// A run whose account has a million and minutes enough for scenarios.
fn begun(folder: &Path) -> (Feed, crate::kafka_live::program::Run, String) {
    let topic = broker().topic("people", 1);
    let control = broker().topic("people-control", 1);
    let bars = "tick = \"500ms\"\nprovisional_every = \"none\"\nintervals = [\"1m\"]\n".to_owned();
    let more = sections(&control) + PEOPLE;
    let setup = Setup { more, bars, ..Setup::new(broker().address(), &topic, folder) };
    let mut feed = Feed { setup, control, sent: 0, next_trade: 0 };
    let mut run = feed.setup.start();
    let config = feed.setup.lake.with_extension("toml").display().to_string();
    let begin_ms = now_ms() - 15 * 60_000;
    let mut first = vec![json!({"type": "instrument", "venue": "paper", "symbol": "BTCUSDT", "asset_class": "crypto",
        "sector": "layer1", "base_currency": "BTC", "quote_currency": "USDT"})];
    for minute in 0..15 {
        first.push(feed.trade(begin_ms + minute * 60_000, &(60_000 + minute % 3 * 30).to_string()));
    }
    first.push(feed.trade(now_ms(), "60000"));
    first.push(json!({"type": "cash", "account": "main", "cash_id": "1", "currency": "USDT", "amount": "1000000",
        "event_time": now_ms() * 1_000_000}));
    feed.send(&first);
    run.wait_until_read(feed.sent);
    let fill = json!({"type": "fill", "account": "main", "strategy": "trend", "venue": "paper", "symbol": "BTCUSDT",
        "fill_id": "f-1", "side": "buy", "quantity": "0.5", "price": "60000", "fee": "0", "fee_currency": "USDT",
        "event_time": now_ms() * 1_000_000});
    feed.send(&[fill]);
    run.wait_until_read(feed.sent);
    (feed, run, config)
}

/// The policy: shown, set, in force from one tick on, told of ever after; an older one is refused.
fn policies(feed: &mut Feed, config: &str, folder: &Path) {
    let show = ["policy", "show", "--json", "--config", config];
    let first = until(&show, |shown| shown["version"] == 1);
    assert_eq!((&first["who"], &first["policy"]["people"]["policy"]), (&"configuration".into(), &json!(["anna"])));
    let lake = feed.setup.lake.display().to_string();
    let text = succeeds(tidewheel(&["policy", "show", "--lake", &lake]));
    let shown: Policy = toml::from_str(&text).expect("what is shown can be set");
    assert_eq!(json!(shown), first["policy"]);

    let next =
        text.replace("\nversion = 1\n", "\nversion = 2\n").replace("position_value = 1000000", "position_value = 2");
    let file = write(folder, "policy.toml", &next);
    let set = |file: &str, who: &str, more: &[&str]| {
        let mut command =
            tidewheel(&["policy", "set", file, "--why", "smaller book", "--config", config, "--who", who]);
        command.args(more);
        command
    };
    // It contradicts itself: both fields are named, and nothing is sent.
    let mut validate = tidewheel(&["policy", "validate", &file]);
    for command in [&mut validate, &mut set(&file, "anna", &[])] {
        let output = command.output().expect("the program starts");
        let told = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("decisions.minimum_value: 10 is above limits.position_value, 2"), "{told}");
    }
    let next = next.replace("position_value = 2", "position_value = 500000");
    let file = write(folder, "policy.toml", &next);
    let told = succeeds(tidewheel(&["policy", "validate", &file]));
    assert!(
        told.contains("can be set: version 2") && told.contains("limits.position_value: 1000000 -> 500000"),
        "{told}"
    );
    let told = succeeds(set(&file, "anna", &["--id", "p-2"]));
    assert!(
        told.contains("limits.position_value: 1000000 -> 500000\n") && told.contains("sent risk_policy p-2"),
        "{told}"
    );
    assert!(!told.contains("warning"), "{told}");
    feed.sent += 1;
    let done = feed.event("order_done", "p-2");
    let second = until(&show, |shown| shown["version"] == 2);
    assert_eq!(
        (&second["who"], &second["why"], &second["order"]),
        (&"anna".into(), &"smaller book".into(), &"p-2".into())
    );
    assert_eq!(
        (&second["since_tick"], &second["policy"]["limits"]["position_value"]),
        (&done["tick"], &500_000.into())
    );
    assert_eq!(json!(toml::from_str::<Policy>(&next).expect("a policy")), second["policy"]);
    // What was known one tick before.
    let before = (done["tick"].as_u64().expect("a tick") - 1).to_string();
    assert_eq!(answer(&["policy", "show", "--json", "--lake", &lake, "--at", &before])["policy"], first["policy"]);
    // In force at that tick for everybody.
    let intent = feed.intent("by-two", "0.01");
    let trade = feed.trade(now_ms(), "60010");
    feed.send(&[trade, intent]);
    assert_eq!(feed.answer("by-two", "decided")["policy_version"], 2);

    // Once more, and an older one: the command knows, and so does the run.
    let told = fails(set(&file, "anna", &[]), 2);
    assert!(told.contains("policy 2 is in force already") && told.contains("by anna"), "{told}");
    let older = write(folder, "older.toml", &text);
    let told = fails(set(&older, "anna", &[]), 2);
    assert!(told.contains("version 1 is not above 2") && told.contains("give it 3 or more"), "{told}");
    succeeds(set(&older, "anna", &["--id", "p-old", "--unchecked"]));
    // One whom the policy does not name.
    let third = write(folder, "third.toml", &next.replace("\nversion = 2\n", "\nversion = 3\n"));
    let told = succeeds(set(&third, "eve", &["--id", "p-eve"]));
    assert!(told.contains("warning: the policy in force does not name eve for this, but anna"), "{told}");
    feed.sent += 2;
    feed.event("order_refused", "p-old");
    feed.event("order_refused", "p-eve");
    let history = ["policy", "history", "--diff", "--json", "--config", config];
    let history = until(&history, |told| told["policies"].as_array().is_some_and(|policies| policies.len() == 4));
    let became = |at: usize| history["policies"][at]["became"].as_str().expect("a text");
    assert_eq!([became(0), became(1)], ["in force, as configured", "in force"], "{history}");
    assert_eq!(became(2), "refused: version 1 is not newer than 2", "{history}");
    assert_eq!(became(3), "refused: eve may not do this", "{history}");
    let difference = json!([{"field": "limits.position_value", "before": 1_000_000, "after": 500_000}]);
    assert_eq!((&history["policies"][1]["differences"], &history["policies"][1]["tick"]), (&difference, &done["tick"]));
    let told = succeeds(tidewheel(&["policy", "history", "--config", config]));
    println!("{told}");
    assert!(told.contains("complete through") && told.contains("smaller book"), "{told}");
    assert_eq!(answer(&["policy", "show", "--json", "--config", config])["version"], 2);
}

/// A kill, seen in status and trips, and its reset, told with who and why.
fn switches(feed: &mut Feed, config: &str) {
    let order = |words: &[&str], who: &str| {
        let mut command = tidewheel(&["risk"]);
        command.args(words).args(["--why", "looks wrong", "--config", config, "--who", who]);
        command
    };
    let (status, trips) =
        (["risk", "status", "--json", "--config", config], ["risk", "trips", "--json", "--config", config]);
    let level = |told: &Json, scope: &str| entry(&told["scopes"], "scope", scope).map(|scope| scope["level"].clone());
    let calm = answer(&status);
    assert_eq!(level(&calm, "account:main"), Some("green".into()), "{calm}");
    let name = "kill_manual@account:main@red@k-1";
    let told = succeeds(order(&["kill", "account:main", "--id", "k-1"], "anna"));
    assert!(told.contains("sent risk_kill k-1") && told.contains(name) && !told.contains("warning"), "{told}");
    feed.sent += 1;
    let done = feed.event("order_done", "k-1");
    let red = until(&status, |told| level(told, "account:main") == Some("red".into()));
    // What is wider holds what is narrower; what the account holds is told beside.
    let strategy = entry(&red["scopes"], "scope", "strategy:main/trend").expect("it holds something");
    assert_eq!((&strategy["level"], &strategy["level_in_effect"]), (&"green".into(), &"red".into()), "{strategy}");
    assert_eq!((&strategy["allows"]["reduce"], &strategy["allows"]["cancel"]), (&false.into(), &true.into()));
    let main = entry(&red["accounts"], "account", "main").expect("an account");
    assert_eq!(main["positions"][0]["quantity"], "0.5", "{main}");
    let gross = entry(&main["measures"], "measure", "gross").expect("a measure");
    assert!((0.029..0.031).contains(&gross["now"].as_f64().expect("a number")) && gross["limit"] == 2.0, "{gross}");
    let position = entry(&main["measures"], "measure", "symbol paper|BTCUSDT").expect("a measure");
    assert_eq!((&position["limit"], &position["levels"][0]["from"]), (&0.1.into(), &0.09.into()), "{position}");
    let drawdown = entry(&main["measures"], "measure", "drawdown").expect("a measure");
    assert_eq!(drawdown["levels"].as_array().map(Vec::len), Some(4), "{drawdown}");
    let stands = answer(&trips);
    let trip = entry(&stands["trips"], "trip", name).expect("it stands");
    assert_eq!(
        (&trip["tick"], &trip["is_latched"], &trip["cause"]),
        (&done["tick"], &true.into(), &json!({"manual": "looks wrong"}))
    );
    let told = succeeds(tidewheel(&["risk", "status", "--config", config]));
    println!("{told}");
    let line = told.lines().find(|line| line.starts_with("account:main ")).expect("its line");
    assert!(line.contains("red") && line.contains("kill_manual: looks wrong"), "{line}");
    assert!(told.contains("ago") && told.contains("1 trip stands until it is reset"), "{told}");
    let intent = feed.intent("after-kill", "0.01");
    feed.send(&[intent]);
    assert_eq!(feed.answer("after-kill", "decided")["ruling"], "rejected");

    // A mistyped name stops nobody: it is said.
    let told = succeeds(order(&["kill", "account:mian", "--id", "k-2"], "ben"));
    assert!(
        told.contains("warning: the lake knows no account:mian") && told.contains("It knows account:main"),
        "{told}"
    );
    let told = succeeds(order(&["kill", "everything", "--id", "k-eve"], "eve"));
    assert!(told.contains("does not name eve for this, but anna, ben"), "{told}");
    feed.sent += 2;
    feed.event("order_done", "k-2");
    feed.event("order_refused", "k-eve");
    let mistyped = "kill_manual@account:mian@red@k-2";
    until(&trips, |told| entry(&told["trips"], "trip", mistyped).is_some());

    let told = fails(order(&["reset", "kill_manual@account:main@red@k-9"], "ben"), 2);
    assert!(told.contains("does not stand") && told.contains(name) && told.contains(mistyped), "{told}");
    succeeds(order(&["reset", name, "--id", "r-1"], "ben"));
    feed.sent += 1;
    feed.event("order_done", "r-1");
    let all = ["risk", "trips", "--all", "--json", "--config", config];
    let ended = |told: &Json| entry(&told["trips"], "trip", name).is_some_and(|trip| trip["stands"] == false);
    let told = until(&all, ended);
    let ended = &entry(&told["trips"], "trip", name).expect("it is kept")["ended"];
    assert_eq!(
        (&ended["how"], &ended["who"], &ended["why"], &ended["order"]),
        (&"reset".into(), &"ben".into(), &"looks wrong".into(), &"r-1".into())
    );
    assert!(entry(&answer(&trips)["trips"], "trip", name).is_none());
    assert_eq!(level(&answer(&status), "account:main"), Some("green".into()));
    let told = succeeds(tidewheel(&["risk", "trips", "--all", "--config", config]));
    println!("{told}");
    assert!(told.contains("by ben: looks wrong"), "{told}");
    let told = fails(order(&["reset", name], "ben"), 2);
    assert!(told.contains("ended at"), "{told}");
    // As it was known then.
    let at = done["tick"].to_string();
    let then = answer(&["risk", "status", "--json", "--config", config, "--at", &at]);
    assert_eq!(level(&then, "account:main"), Some("red".into()));
    assert_eq!(then["lake"]["through_tick"], done["tick"]);
}

/// Orders that nobody should have sent, straight onto the topic. Gives how many of them are none.
fn forgeries(feed: &mut Feed) -> u64 {
    let kill = json!({"type": "risk_kill", "id": "k-3", "who": "anna", "why": "twice", "time": now_ms(),
        "scope": {"symbol": {"venue": "paper", "symbol": "BTCUSDT"}}, "level": "red"});
    feed.order(&kill);
    feed.event("order_done", "k-3");
    feed.order(&kill);
    feed.event("order_repeated", "k-3");
    let mut reused = kill.clone();
    reused["level"] = "black".into();
    feed.order(&reused);
    let told = feed.event("order_refused", "k-3");
    assert!(told["detail"].as_str().expect("JSON").contains("name_reused"), "{told}");
    let name = "kill_manual@symbol:paper|BTCUSDT@red@k-3";
    let reset = |id: &str, who: &str, time: i64, trip: &str| json!({"type": "risk_reset", "id": id, "who": who, "why": "a test", "time": time, "trip": trip});
    let refused = [
        ("r-early", "before_trip", reset("r-early", "ben", now_ms() - 3_600_000, name)),
        ("r-future", "from_the_future", reset("r-future", "ben", now_ms() + 3_600_000, name)),
        ("r-eve", "not_allowed", reset("r-eve", "eve", now_ms(), name)),
        ("r-none", "unknown_trip", reset("r-none", "ben", now_ms(), "no such trip")),
        ("r-nobody", "incomplete", reset("r-nobody", " ", now_ms(), name)),
    ];
    for (id, why, order) in refused {
        feed.order(&order);
        let told = feed.event("order_refused", id);
        assert!(told["detail"].as_str().expect("JSON").contains(why), "{told}");
    }
    let mut none = kill.clone();
    none.as_object_mut().expect("an object").remove("scope");
    let misshapen = [
        json!("kill all"),
        none,
        json!({"type": "risk_stop", "id": "x"}),
        json!({"type": "risk_reset", "id": "x", "time": now_ms(), "trip": name}),
        json!({"type": "risk_policy", "id": "x", "who": "anna", "why": "a typo", "time": now_ms(),
            "policy": {"version": 9, "limits": {"grosss": 1}}}),
    ];
    misshapen.iter().for_each(|order| feed.order(order));
    misshapen.len() as u64
}

#[test]
fn people_look_stop_go_on_and_change_the_policy_and_all_of_it_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut feed, mut run, config) = begun(folder.path());
    policies(&mut feed, &config, folder.path());
    switches(&mut feed, &config);
    let rejected = forgeries(&mut feed);
    run.wait_until_read(feed.sent);
    run.stop();
    let counters = read::manifest(&feed.setup.lake).expect("a lake").progress.counters;
    println!("{} sent: {counters:?}", feed.sent);
    assert!(counters.reconcile() && counters.read == feed.sent, "{counters:?}");
    assert_eq!((counters.rejected, counters.duplicate, counters.late), (rejected, 0, 0), "{counters:?}");
    // The one that was replayed tripped once and stands; nobody who may not has reset it.
    let told = answer(&["risk", "trips", "--all", "--json", "--config", &config]);
    let of = |told: &Json, id: &str| {
        told["trips"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|trip| trip["trip"].as_str().is_some_and(|name| name.ends_with(id)))
            .count()
    };
    assert_eq!((of(&told, "@k-3"), of(&told, "@k-eve")), (1, 0), "{told}");
    assert_eq!(of(&answer(&["risk", "trips", "--json", "--config", &config]), "@k-3"), 1);
    let topic = format!("{}.risk_events", feed.setup.prefix);
    let orders = records(broker().address(), &topic).into_iter().filter(|record| {
        let value = record.value.as_ref().expect("facts have values");
        value["kind"].as_str().expect("a kind").starts_with("order_")
    });
    // Orders of the commands: three policies, three kills and a reset; of the forgeries all that were understood.
    assert_eq!(orders.count(), 7 + 8);
    identical(&feed.setup.lake, &["--config", &config]);
}

#[test]
fn what_cannot_be_told_or_sent_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = |arguments: &[&str], code: i32| fails(tidewheel(arguments), code);
    let lake = folder.path().join("lake");
    let name = lake.display().to_string();
    for command in [["risk", "status"], ["risk", "trips"], ["policy", "show"], ["policy", "history"]] {
        let [group, action] = command;
        let message = told(&[group, action, "--lake", &name], 1);
        assert!(message.contains("there is no lake in"), "{message}");
        let message = told(&[group, action], 2);
        assert!(message.contains("--lake DIR, or --config FILE"), "{message}");
    }
    let trades = write(
        folder.path(),
        "trades.jsonl",
        "{\"type\":\"trade\",\"venue\":\"paper\",\"symbol\":\"BTCUSDT\",\"trade_id\":\"1\",\"event_time\":1723161255342000000,\"price\":\"1\",\"quantity\":\"1\"}\n",
    );
    succeeds(tidewheel(&["replay", "--quiet", "--input", &trades, "--lake", &name]));
    let message = told(&["risk", "status", "--lake", &name], 1);
    assert!(message.contains("has no table of risk") && message.contains("[risk]"), "{message}");

    let setup = Setup::new(broker().address(), &unique("nobody"), folder.path());
    let kill = |config: &str| {
        vec!["risk", "kill", "everything", "--who", "a", "--why", "b", "--config"]
            .into_iter()
            .chain([config])
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let message_of = |setup: &Setup| {
        let config = setup.file();
        let arguments = kill(&config);
        told(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), 2)
    };
    let message = message_of(&setup);
    assert!(message.contains("has no [risk] section"), "{message}");
    let message = message_of(&Setup { more: "[risk]\n".to_owned(), ..setup.clone() });
    assert!(message.contains("has no control.topic"), "{message}");
    let control = unique("nobody-control");
    let message = message_of(&Setup { more: format!("[control]\ntopic = {control:?}\n[risk]\n"), ..setup });
    assert!(message.contains("there is no topic") && message.contains(&control), "{message}");
    for scope in ["all", "account:", "symbol:BTCUSDT", "strategy:main"] {
        let message = told(&["risk", "kill", scope, "--who", "a", "--why", "b", "--config", "x.toml"], 2);
        assert!(message.contains("account:A, strategy:A/S, symbol:VENUE|SYMBOL"), "{message}");
    }
    let message = told(&["policy", "validate", "no-such-file"], 2);
    assert!(message.contains("could not read policy no-such-file"), "{message}");
    let defaults: Policy = toml::from_str(&succeeds(tidewheel(&["policy", "show", "--defaults"]))).expect("a policy");
    assert_eq!(defaults, Policy::with_version(1));
}
