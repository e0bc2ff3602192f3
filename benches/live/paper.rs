//! A paper account in a market: what must be known before its orders can be judged, trades that give marks, orders and what becomes
//! of them. Without closes enough there is no value at risk, and every order would be refused: the figure would be of nothing.

use super::harness::kafka::{Broker, PATIENCE};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};

/// Minutes of trades before now, one a minute and instrument: each closes a bar, and two of these make a scenario.
const HISTORY_MINUTES: u64 = 45;
/// After which time an order is filled or given up.
const OPEN_FOR: Duration = Duration::from_secs(1);
/// One order in so many is filled.
const FILLED_ONE_IN: u64 = 10;
/// What is held of each instrument at first.
const HELD: u64 = 10_000;

/// Where the instruments of a market trade, and who holds them.
const VENUE: &str = "paper";
const ACCOUNT: &str = "main";

/// A configuration that reads all of it, writes to topics and a lake, and watches the account. Feeds may be old, since the history comes
/// in one piece before the first order; and what was not known meanwhile is over soon.
pub fn config(broker: &Broker, topic: &str, prefix: &str, folder: &Path, more: &str) -> String {
    let (brokers, lake) = (broker.address(), folder.join("lake"));
    format!(
        "[source]\nbrokers = {brokers:?}\ntopics = [{topic:?}]\nformat = \"canonical\"\n\
         [kafka]\nprefix = {prefix:?}\npartitions = 4\n[lake]\npath = {lake:?}\n\
         [risk]\nstep = \"1m\"\nscenarios = 500\nscenarios_min = 30\n\
         [risk.policy]\nversion = 1\n\
         [risk.policy.hysteresis]\ndwell_ms = 1000\n\
         [risk.policy.limits]\nposition_value = 100000000\nconcurrent_positions = 1000\n\
         [risk.policy.decisions]\nopen_orders = 1000000\n\
         [risk.policy.switches]\ndata_age_s = {{ trigger = 7200, level = \"red\" }}\n\
         frontier_lag_s = {{ trigger = 7200, level = \"red\" }}\n{more}"
    )
}

/// Nanoseconds since the epoch.
pub fn now_ns() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos()
}

/// When each of many things is due: so many a second, whatever happens.
#[derive(Clone, Copy)]
pub struct Schedule {
    start: Instant,
    start_ns: u128,
    rate: u64,
}

impl Schedule {
    /// From now on.
    pub fn from_now(rate: u64) -> Self {
        Self { start: Instant::now(), start_ns: now_ns(), rate }
    }

    /// When one is due.
    pub fn due(&self, number: u64) -> Instant {
        self.start + self.after(number)
    }

    /// Waits until one is due, and gives its time in nanoseconds since the epoch. Shorter pauses than the system can make are made up for
    /// by the next.
    fn wait(&self, number: u64) -> u128 {
        let early = self.due(number).saturating_duration_since(Instant::now());
        if early > Duration::from_micros(500) {
            std::thread::sleep(early);
        }
        self.start_ns + self.after(number).as_nanos()
    }

    const fn after(&self, number: u64) -> Duration {
        Duration::from_nanos(number * 1_000_000_000 / self.rate)
    }
}

/// The market and the account, by a topic.
pub struct Paper<'a> {
    /// Where everything is sent.
    pub broker: &'a Broker,
    /// The topic that all records are in.
    pub topic: &'a str,
    /// Instruments, each of which trades in turn.
    pub symbols: u64,
}

impl Paper<'_> {
    /// What the instruments are, their history, the account's money, and what it holds. Returns how many trades that were.
    pub fn open(&self) -> u64 {
        let mut sender = Sender::connect(self, "5");
        let now_ns = now_ns();
        for symbol in 0..self.symbols {
            sender.send(symbol, |text, name| {
                write!(
                    text,
                    r#"{{"type":"instrument","venue":"{VENUE}","symbol":"{name}","asset_class":"crypto","sector":"sector{}","base_currency":"S{symbol:02}","quote_currency":"USDT"}}"#,
                    symbol % 5
                )
            });
        }
        let mut trades = 0;
        for minute in 0..HISTORY_MINUTES {
            let time_ns = now_ns - u128::from(HISTORY_MINUTES - minute) * 60_000_000_000;
            for symbol in 0..self.symbols {
                sender.trade(symbol, trades, time_ns);
                trades += 1;
            }
        }
        sender.send_by(ACCOUNT, |text| {
            write!(
                text,
                r#"{{"type":"cash","account":"{ACCOUNT}","cash_id":"1","currency":"USDT","amount":"1000000000","event_time":{now_ns}}}"#
            )
        });
        for symbol in 0..self.symbols {
            sender.fill(&Filled {
                symbol,
                strategy: "carry",
                id: &format!("held-{symbol}"),
                side: "buy",
                quantity: HELD,
                time_ns: now_ns,
            });
        }
        sender.finish();
        trades
    }

    /// Trades at a rate until told to stop, numbered from `first`. Returns how many, and how late the latest was.
    pub fn trade(&self, first: u64, rate: u64, is_over: &AtomicBool) -> (u64, Duration) {
        let mut sender = Sender::connect(self, "5");
        let (schedule, mut behind, mut number) = (Schedule::from_now(rate), Duration::ZERO, 0);
        while !is_over.load(Ordering::Relaxed) {
            let time_ns = schedule.wait(number);
            sender.trade((first + number) % self.symbols, first + number, time_ns);
            behind = behind.max(Instant::now().saturating_duration_since(schedule.due(number)));
            number += 1;
        }
        sender.finish();
        (number, behind)
    }

    /// Asks for one thing under a name, at once.
    pub fn ask(&self, id: &str) {
        let mut sender = Sender::connect(self, "0");
        sender.intent(0, id, "buy", now_ns());
        sender.finish();
    }

    /// Orders of numbers from 0, each when it is due; a second later it is filled or given up. Returns how late the latest was.
    pub fn order(&self, schedule: Schedule, orders: u64) -> Duration {
        let mut sender = Sender::connect(self, "0");
        let (open_for, mut behind) = (OPEN_FOR.as_secs() * schedule.rate, Duration::ZERO);
        for number in 0..orders {
            let time_ns = schedule.wait(number);
            let side = side_of(number, self.symbols);
            sender.intent(number % self.symbols, &format!("i-{number}"), side, time_ns);
            behind = behind.max(Instant::now().saturating_duration_since(schedule.due(number)));
            if let Some(older) = number.checked_sub(open_for) {
                self.end(&mut sender, older, time_ns);
            }
        }
        sender.finish();
        behind
    }

    fn end(&self, sender: &mut Sender, number: u64, time_ns: u128) {
        if number / self.symbols % FILLED_ONE_IN < 1 {
            let (symbol, side) = (number % self.symbols, side_of(number, self.symbols));
            let id = &format!("i-{number}");
            sender.fill(&Filled { symbol, strategy: "trend", id, side, quantity: 1, time_ns });
        } else {
            sender.send_by(ACCOUNT, |text| {
                write!(text, r#"{{"type":"order_end","account":"{ACCOUNT}","intent_id":"i-{number}"}}"#)
            });
        }
    }
}

/// What is bought in one round over the instruments is sold in another, so that nothing piles up.
const fn side_of(number: u64, symbols: u64) -> &'static str {
    if (number / symbols / FILLED_ONE_IN).is_multiple_of(2) { "buy" } else { "sell" }
}

/// The number of an order by the name that [`Paper::order`] gave it, in the text of its decision; none of other orders.
pub fn number_in(decision: &str) -> Option<u64> {
    let (_, rest) = decision.split_once("\"intent_id\":\"i-")?;
    rest.split_once('"')?.0.parse().ok()
}

struct Filled<'a> {
    symbol: u64,
    strategy: &'a str,
    id: &'a str,
    side: &'a str,
    quantity: u64,
    time_ns: u128,
}

/// Messages to the topic.
struct Sender {
    publisher: Publisher,
    text: Vec<u8>,
}

impl Sender {
    fn connect(paper: &Paper<'_>, linger_ms: &str) -> Self {
        let properties = [("linger.ms".to_owned(), linger_ms.to_owned())].into();
        let publisher = Publisher::connect(paper.broker.address(), paper.topic, &properties, PATIENCE);
        Self { publisher: publisher.expect("the broker answers"), text: Vec::new() }
    }

    /// A price that goes up and down by a fifth of a percent, so that returns are neither nothing nor a crash.
    fn trade(&mut self, symbol: u64, number: u64, time_ns: u128) {
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let is_bought = mixed.is_multiple_of(2);
        self.send(symbol, |text, name| {
            write!(
                text,
                r#"{{"type":"trade","venue":"{VENUE}","symbol":"{name}","trade_id":"{number}","event_time":{time_ns},"price":"100.{:03}","quantity":"0.{:03}","aggressor_side":"{}"}}"#,
                mixed % 200,
                1 + mixed % 997,
                if is_bought { "buy" } else { "sell" }
            )
        });
    }

    fn intent(&mut self, symbol: u64, id: &str, side: &str, time_ns: u128) {
        self.send_by(ACCOUNT, |text| {
            write!(
                text,
                r#"{{"type":"order_intent","account":"{ACCOUNT}","strategy":"trend","venue":"{VENUE}","symbol":"{}","intent_id":"{id}","side":"{side}","quantity":"1","event_time":{time_ns}}}"#,
                name_of(symbol)
            )
        });
    }

    fn fill(&mut self, filled: &Filled<'_>) {
        let Filled { symbol, strategy, id, side, quantity, time_ns } = filled;
        let intent = if id.starts_with("i-") { format!(r#""intent_id":"{id}","#) } else { String::new() };
        self.send_by(ACCOUNT, |text| {
            write!(
                text,
                r#"{{"type":"fill","account":"{ACCOUNT}","strategy":"{strategy}","venue":"{VENUE}","symbol":"{}","fill_id":"f-{id}",{intent}"side":"{side}","quantity":"{quantity}","price":"100.1","fee":"0.01","fee_currency":"USDT","event_time":{time_ns}}}"#,
                name_of(*symbol)
            )
        });
    }

    fn send(&mut self, symbol: u64, write: impl FnOnce(&mut Vec<u8>, &str) -> std::io::Result<()>) {
        let name = name_of(symbol);
        self.send_by(&name, |text| write(text, &name));
    }

    fn send_by(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) {
        self.text.clear();
        write(&mut self.text).expect("memory can be written to");
        let message = Outgoing { key: Some(key.as_bytes()), payload: &self.text, timestamp_ms: None };
        self.publisher.send(&message).expect("the broker takes the message");
    }

    fn finish(self) {
        self.publisher.finish().expect("the broker takes the messages");
    }
}

fn name_of(symbol: u64) -> String {
    format!("S{symbol:02}USDT")
}
