//! The program on a real broker: fills and intents in, decisions out; a kill of the same tick wins; an intent that comes again is told the
//! same, also after a crash; and the history is proved and made again.

use crate::harness::kafka::{broker, unique};
use crate::kafka_live::program::{Run, Setup, fails, succeeds, tidewheel};
use crate::kafka_live::readers::{Record, records, wait_for_record};
use crate::recorded::verified::identical;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use tidewheel::tables::Tables;
use tidewheel_connectors::lake::read;
use tidewheel_connectors::lake::rows::RowsByTick;

const FAMILIES: [&str; 5] = ["positions", "risk", "risk_events", "order_decisions", "control"];

/// Marks and readings may be old: a test machine is slow, and is stopped in between.
const POLICY: &str = "[risk.policy]\nversion = 1\n\
    [risk.policy.staleness]\nmark_ms = 3600000\nreading_ms = 3600000\n\
    [risk.policy.switches]\n\
    data_age_s = { trigger = 3600, level = \"red\" }\nfrontier_lag_s = { trigger = 3600, level = \"red\" }\n";

pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis() as i64
}

pub(super) fn sections(control: &str) -> String {
    format!(
        "[recovery]\nsnapshot_every = \"700ms\"\n[control]\ntopic = {control:?}\n\
         [risk]\nstep = \"1m\"\nscenarios = 60\nscenarios_min = 5\npublish_every = \"200ms\"\n{POLICY}"
    )
}

/// What a run is told, and how many records that were.
pub(super) struct Feed {
    pub setup: Setup,
    pub control: String,
    pub sent: u64,
    pub next_trade: u64,
}

impl Feed {
    pub(super) fn send(&mut self, values: &[Json]) {
        let texts: Vec<String> = values.iter().map(Json::to_string).collect();
        let records: Vec<_> = texts.iter().map(|text| (0, None, Some(text.as_str()))).collect();
        broker().write(&self.setup.topic, &records);
        self.sent += records.len() as u64;
    }

    pub(super) fn order(&mut self, value: &Json) {
        broker().write(&self.control, &[(0, None, Some(&value.to_string()))]);
        self.sent += 1;
    }

    pub(super) fn trade(&mut self, time_ms: i64, price: &str) -> Json {
        self.next_trade += 1;
        json!({"type": "trade", "venue": "paper", "symbol": "BTCUSDT", "trade_id": self.next_trade.to_string(),
            "event_time": time_ms * 1_000_000, "price": price, "quantity": "1"})
    }

    pub(super) fn intent(&self, id: &str, quantity: &str) -> Json {
        json!({"type": "order_intent", "account": "main", "strategy": "trend", "venue": "paper", "symbol": "BTCUSDT",
            "intent_id": id, "side": "buy", "quantity": quantity, "event_time": now_ms() * 1_000_000})
    }

    pub(super) fn answer(&self, id: &str, answer: &str) -> Json {
        let topic = format!("{}.order_decisions", self.setup.prefix);
        let is_it = |record: &Record| {
            let value = record.value.as_ref().expect("facts have values");
            value["intent_id"] == id && value["answer"] == answer
        };
        wait_for_record(&self.setup.brokers, &topic, is_it).value.expect("a fact")
    }

    pub(super) fn event(&self, kind: &str, control: &str) -> Json {
        let topic = format!("{}.risk_events", self.setup.prefix);
        let is_it = |record: &Record| {
            let value = record.value.as_ref().expect("facts have values");
            value["kind"] == kind && value["control"] == control
        };
        wait_for_record(&self.setup.brokers, &topic, is_it).value.expect("a fact")
    }

    /// A kill and a reset of it, and an intent sent just before the kill, until both fall into one tick.
    fn kill_in_the_tick_of_an_intent(&mut self) -> (Json, Json) {
        for attempt in 0..20 {
            let (id, kill) = (format!("late-{attempt}"), format!("kill-{attempt}"));
            let intent = self.intent(&id, "0.01");
            self.send(&[intent]);
            self.order(&json!({"type": "risk_kill", "id": kill, "who": "anna", "why": "a test", "time": now_ms(),
                "scope": {"account": "main"}, "level": "red"}));
            let (decided, done) = (self.answer(&id, "decided"), self.event("order_done", &kill));
            let reset = format!("reset-{attempt}");
            self.order(&json!({"type": "risk_reset", "id": reset, "who": "ben", "why": "a test", "time": now_ms(),
                "trip": format!("kill_manual@account:main@red@{kill}")}));
            self.event("order_done", &reset);
            if decided["tick"] == done["tick"] {
                return (decided, done);
            }
            let was_before = decided["tick"].as_u64() < done["tick"].as_u64();
            assert_eq!(decided["ruling"] == "approved", was_before, "{decided} and {done}");
        }
        panic!("no intent and no kill came into one tick");
    }
}

/// The facts of a lake, by table.
pub fn facts(lake: &Path) -> BTreeMap<&'static str, Vec<String>> {
    let state = read::manifest(lake).expect("a lake");
    let tables = Tables::default().with_risk(true, false);
    let of = |family: &'static str| {
        let number = tables.specs().iter().position(|spec| &*spec.family == family).expect("a table");
        let mut stored = RowsByTick::open(lake, &state, &tables.specs()[number], number as u16, 0).expect("a lake");
        let mut rows: Vec<String> = Vec::new();
        stored.drain(|row| rows.push(format!("{row:?}"))).expect("sound files");
        rows.sort();
        (family, rows)
    };
    FAMILIES.into_iter().map(of).collect()
}

/// The facts of the topics, by table.
fn published(brokers: &str, prefix: &str) -> BTreeMap<&'static str, BTreeSet<String>> {
    let of = |family| records(brokers, &format!("{prefix}.{family}")).iter().map(|it| format!("{it:?}")).collect();
    FAMILIES.into_iter().map(|family| (family, of(family))).collect()
}

#[test]
fn an_account_is_watched_and_its_orders_are_judged_and_the_history_is_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let brokers = broker().address();
    let topic = broker().topic("book", 1);
    let control = broker().topic("book-control", 1);
    let bars = "tick = \"500ms\"\nprovisional_every = \"none\"\nintervals = [\"1m\"]\n".to_owned();
    let setup = Setup { more: sections(&control), bars, ..Setup::new(brokers, &topic, folder.path()) };
    let mut feed = Feed { setup, control, sent: 0, next_trade: 0 };
    let mut run: Run = feed.setup.start();

    // A quarter of an hour of minutes, which make scenarios; what is traded, and money.
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

    let small = feed.intent("small", "0.5");
    feed.send(std::slice::from_ref(&small));
    let approved = feed.answer("small", "decided");
    assert_eq!((&approved["ruling"], &approved["quantity"]), (&"approved".into(), &"0.5".into()), "{approved}");
    assert_eq!((&approved["level"], &approved["policy_version"]), (&"green".into(), &1.into()), "{approved}");
    // A tenth of a million is what a position may be worth, less what the first may cost if it is filled.
    let large = feed.intent("large", "100");
    feed.send(&[large]);
    let reduced = feed.answer("large", "decided");
    let quantity: f64 = reduced["quantity"].as_str().expect("a decimal").parse().expect("a number");
    assert_eq!(reduced["ruling"], "reduced", "{reduced}");
    assert!((1.0..1.2).contains(&quantity), "{reduced}");
    assert!(reduced["reasons"].as_str().expect("JSON").contains("single_position"), "{reduced}");

    let fill = json!({"type": "fill", "account": "main", "strategy": "trend", "venue": "paper", "symbol": "BTCUSDT",
        "fill_id": "f-1", "intent_id": "small", "side": "buy", "quantity": "0.5", "price": "60000", "fee": "12.5",
        "fee_currency": "USDT", "event_time": now_ms() * 1_000_000});
    feed.send(&[fill.clone(), fill.clone()]);
    let held = wait_for_record(brokers, &format!("{}.positions", feed.setup.prefix), |_| true).value.expect("a fact");
    assert_eq!((&held["quantity"], &held["average_price"]), (&"0.5".into(), &"60000".into()), "{held}");
    assert_eq!(held["fees"], "{\"USDT\":\"12.5\"}");

    // The large one is given up: what it held back is free for others.
    feed.send(&[json!({"type": "order_end", "account": "main", "intent_id": "large"})]);
    let (decided, done) = feed.kill_in_the_tick_of_an_intent();
    assert_eq!((&decided["ruling"], &decided["level"]), (&"rejected".into(), &"red".into()), "{decided}");
    assert!(decided["reasons"].as_str().expect("JSON").contains("kill_manual@account:main@red"), "{decided}");
    assert_eq!((&done["who"], &done["why"]), (&"anna".into(), &"a test".into()));
    // What is none of the orders is a dead letter.
    feed.order(&json!({"type": "risk_kill", "id": "x", "who": "anna", "why": "no scope", "time": now_ms()}));
    feed.order(&json!({"type": "risk_policy", "id": "y", "who": "anna", "why": "a typo", "time": now_ms(),
        "policy": {"version": 2, "limits": {"grosss": 1}}}));
    // One that contradicts itself is refused with the field named.
    feed.order(&json!({"type": "risk_policy", "id": "z", "who": "anna", "why": "no limit", "time": now_ms(),
        "policy": {"version": 2, "limits": {"gross": 0}}}));
    let refused = feed.event("order_refused", "z");
    assert!(refused["detail"].as_str().expect("JSON").contains("limits.gross"), "{refused}");

    // In the middle of something.
    let trade = feed.trade(now_ms(), "60100");
    feed.send(&[trade]);
    drop(run);
    feed.setup.workers = 3;
    let mut run = feed.setup.start();
    // The same once more, and something else under its name.
    let mut other = small.clone();
    other["quantity"] = "0.7".into();
    feed.send(&[small, other]);
    let again = feed.answer("small", "repeated");
    for column in ["ruling", "quantity", "price", "decision", "decided_tick", "state_version", "risk_score"] {
        assert_eq!(again[column], approved[column], "{column}");
    }
    let reused = feed.answer("small", "name_reused");
    assert_eq!((&reused["ruling"], &reused["decision"]), (&"rejected".into(), &approved["decision"]), "{reused}");
    let policy = json!({"version": 2, "limits": {"position_value": 10}, "staleness": {"mark_ms": 3_600_000, "reading_ms": 3_600_000},
        "switches": {"data_age_s": {"trigger": 3600, "level": "red"}, "frontier_lag_s": {"trigger": 3600, "level": "red"}}});
    feed.order(&json!({"type": "risk_policy", "id": "p-2", "who": "anna", "why": "no more", "time": now_ms(), "policy": policy}));
    feed.event("order_done", "p-2");
    let intent = feed.intent("too-much", "0.01");
    let trade = feed.trade(now_ms(), "60200");
    feed.send(&[trade, intent]);
    let judged = feed.answer("too-much", "decided");
    assert_eq!((&judged["ruling"], &judged["policy_version"]), (&"rejected".into(), &2.into()), "{judged}");
    // A fill that corrects the first, one that nobody knows the instrument of, one that is too old.
    let mut corrected = fill.clone();
    (corrected["type"], corrected["quantity"]) = ("fill_correction".into(), "0.4".into());
    let (mut unknown, mut old) = (fill.clone(), fill.clone());
    (unknown["symbol"], unknown["fill_id"]) = ("NOBODY".into(), "f-2".into());
    (old["event_time"], old["fill_id"]) = (((now_ms() - 7_200_000) * 1_000_000).into(), "f-3".into());
    feed.send(&[corrected, unknown, old]);
    wait_for_record(brokers, &format!("{}.positions", feed.setup.prefix), |record| {
        record.value.as_ref().expect("facts have values")["quantity"] == "0.4"
    });
    run.wait_until_read(feed.sent);
    // Neither counts, and both stop the account: the one until there is reference data, the other until somebody has seen to it.
    let clear = |id: &str| json!({"type": "risk_clear", "id": id, "who": "ben", "why": "booked by hand", "time": now_ms(), "account": "main"});
    feed.order(&clear("c-1"));
    feed.event("order_done", "c-1");
    feed.order(&clear("c-2"));
    feed.event("order_already", "c-2");
    run.stop();

    let counters = read::manifest(&feed.setup.lake).expect("a lake").progress.counters;
    println!("{} sent: {counters:?}", feed.sent);
    assert!(counters.reconcile() && counters.read == feed.sent, "{counters:?}");
    // The fill that came twice; two orders that are none.
    assert_eq!((counters.duplicate, counters.rejected), (1, 2), "{counters:?}");
    let in_lake = facts(&feed.setup.lake);
    let in_topics = published(brokers, &feed.setup.prefix);
    for family in FAMILIES {
        println!("{family}: {} rows", in_lake[family].len());
        assert!(!in_lake[family].is_empty(), "{family} is empty");
        assert_eq!(in_lake[family].len(), in_topics[family].len(), "{family}");
    }
    let not_counted = in_lake["risk_events"].iter().filter(|row| row.contains("fill_not_counted"));
    assert_eq!(not_counted.count(), 2, "the fill of an unknown instrument, and the one that was too old");

    // Proved, and made again from the lake alone.
    let config = feed.setup.file();
    identical(&feed.setup.lake, &["--config", &config]);
    let again = folder.path().join("again");
    let prefix = unique("book-again");
    let mut command = tidewheel(&["replay", "--as-recorded", "--quiet", "--workers", "2", "--archive", "--input"]);
    command.arg(&feed.setup.lake).arg("--lake").arg(&again).args(["--kafka", brokers, "--prefix", &prefix]);
    let told = succeeds(command);
    assert!(told.contains("as the run counted"), "{told}");
    assert_eq!(facts(&again), in_lake);
    assert_eq!(published(brokers, &prefix), in_topics);

    // Another policy to begin with is another history.
    feed.setup.more = feed.setup.more.replace("[risk.policy]\nversion = 1", "[risk.policy]\nversion = 9");
    let told = fails(feed.setup.command(), 1);
    assert!(told.contains("risk"), "{told}");
}
