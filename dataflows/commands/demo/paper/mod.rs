//! The demo's paper book: a client of the demo's own topics that trades a small account on its signals. It knows what the topics say and
//! nothing else: signals, bars of seconds for prices, and what risk publishes; what it sends goes into a topic that the pipeline reads.
//!
//! ```text
//!  signals, bars.1s, order_decisions --> trader (and exchange) --> accounts: instruments, deposit, intents, fills, ends
//!  positions, risk, risk_events -------> watched --> the view
//! ```

mod rows;
mod trader;
mod watched;

pub use trader::{ACCOUNT, Trader};
pub use watched::{Stands, Watched};

use super::super::{CommandError, now_ns};
use super::ACCOUNTS_TOPIC;
use rows::{Bar, Decision, Event, Numbers, Position, Signal};
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidewheel_connectors::generate::{WireFormat, reference, render_account_record};
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};
use tidewheel_connectors::kafka::source::{KafkaSource, KafkaSourceConfig};
use tidewheel_schemas::{AccountContent, AccountRecord, Instrument, parse_e8};

/// What it reads, behind the prefix.
const TOPICS: [&str; 6] = ["bars.1s", "signals", "order_decisions", "risk_events", "positions", "risk"];
/// How long to wait for what is read at most.
const POLL: Duration = Duration::from_millis(50);
/// How long to wait at the end for answers, and for records that were published.
const PATIENCE: Duration = Duration::from_secs(10);

/// What it is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Trade.
    Trading,
    /// Ask for nothing more, and fill what is answered.
    Closing,
    /// Read to the end: so many decisions, events and rows of numbers.
    Reading([u64; 3]),
}

/// What the paper book knows.
pub struct Known {
    /// Its orders.
    pub trader: Trader,
    /// What it heard of risk.
    pub watched: Watched,
    phase: Phase,
    /// Records that were sent, once there will be no more.
    sent: Option<u64>,
}

/// The paper book at work on a thread of its own.
pub struct Paper {
    known: Arc<Mutex<Known>>,
    thread: JoinHandle<Result<(), CommandError>>,
}

impl Paper {
    /// Sends what the instruments are, and begins to read.
    ///
    /// # Errors
    /// If the topics cannot be read or written.
    pub fn open(bootstrap: &str, prefix: &str, instruments: &[Instrument]) -> Result<Self, CommandError> {
        let topics = TOPICS.map(|topic| format!("{prefix}.{topic}"));
        let source = KafkaSource::connect(&KafkaSourceConfig::new(bootstrap, &topics.each_ref().map(String::as_str)))?;
        let publisher = Publisher::connect(bootstrap, ACCOUNTS_TOPIC, &Default::default(), PATIENCE)?;
        let (trader, watched) = (Trader::default(), Watched::default());
        let known = Arc::new(Mutex::new(Known { trader, watched, phase: Phase::Trading, sent: None }));
        let mut desk =
            Desk { source, prefix: prefix.len() + 1, publisher: Some(publisher), sent: 0, known: Arc::clone(&known) };
        desk.send(instruments.iter().map(|instrument| AccountContent::Reference(reference(instrument))).collect())?;
        Ok(Self { known, thread: std::thread::spawn(move || desk.run()) })
    }

    /// What it knows by now. It stands still meanwhile: be quick.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }

    /// Has it ask for nothing more; gives how many records it sent, once all its intents are answered, or none where that takes too long.
    pub fn close(&self) -> Option<u64> {
        self.known().phase = Phase::Closing;
        let deadline = Instant::now() + 2 * PATIENCE;
        while Instant::now() < deadline && !self.thread.is_finished() {
            if let Some(sent) = self.known().sent {
                return Some(sent);
            }
            std::thread::sleep(POLL);
        }
        None
    }

    /// Reads the topics to their end, which so many decisions, events and rows of numbers are; gives what it knows then.
    ///
    /// # Errors
    /// If a topic could not be read or written.
    ///
    /// # Panics
    /// If its thread panicked; in the program the panic has ended the process by then.
    pub fn finish(self, published: [u64; 3]) -> Result<Known, CommandError> {
        self.known().phase = Phase::Reading(published);
        self.thread.join().expect("a panic ends the process")?;
        let known = Arc::into_inner(self.known).expect("the thread is over, and nobody else has it");
        Ok(known.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What reads and writes.
struct Desk {
    source: KafkaSource,
    /// The length of what stands before a topic's own name.
    prefix: usize,
    /// None once all was sent.
    publisher: Option<Publisher>,
    sent: u64,
    known: Arc<Mutex<Known>>,
}

impl Desk {
    fn run(mut self) -> Result<(), CommandError> {
        let names = self.source.partition_names();
        let (mut phase, mut deadline) = (Phase::Trading, Instant::now());
        loop {
            let polled = self.source.poll_until(Instant::now() + POLL, 8 << 20)?;
            let now_ns = now_ns();
            let known = Arc::clone(&self.known);
            let mut known = lock(&known);
            let mut answers = Vec::new();
            for block in &polled.blocks {
                let name = &names[block.partition as usize][self.prefix..];
                let family = name.split_once('[').map_or(name, |(family, _)| family);
                for message in &block.messages {
                    answers.extend(known.hear(family, block.payload(message), now_ns)?);
                }
            }
            if known.phase == Phase::Trading {
                answers.extend(known.trader.begin(now_ns));
                answers.extend(known.trader.go_on(now_ns));
            }
            if phase != known.phase {
                (phase, deadline) = (known.phase, Instant::now() + PATIENCE);
            }
            let is_late = Instant::now() >= deadline;
            self.send(answers)?;
            match known.phase {
                Phase::Trading => {}
                Phase::Closing => {
                    let [_, waiting, _] = known.trader.counts();
                    if let Some(publisher) = self.publisher.take_if(|_| waiting == 0 || is_late) {
                        publisher.finish()?;
                        known.sent = Some(self.sent);
                    }
                }
                Phase::Reading(published) => {
                    if is_late || known.watched.has_heard(published) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn send(&mut self, contents: Vec<AccountContent>) -> Result<(), CommandError> {
        let Some(publisher) = &mut self.publisher else { return Ok(()) };
        for content in contents {
            let event_time_ns = now_ns();
            let record =
                AccountRecord { event_time_ns, partition: 0, position: 0, index: 0, receive_time_ns: None, content };
            let mut payload = Vec::new();
            render_account_record(&record, WireFormat::Canonical, &mut payload);
            publisher.send(&Outgoing { key: Some(ACCOUNT.as_bytes()), payload: &payload, ..Outgoing::default() })?;
            self.sent += 1;
        }
        Ok(())
    }
}

impl Known {
    /// Hears a record of a topic; gives what is to be sent because of it.
    fn hear(&mut self, family: &str, payload: &[u8], now_ns: i64) -> Result<Vec<AccountContent>, CommandError> {
        match family {
            "bars.1s" => {
                if let Some((instrument, price_e8, time_ns)) = read::<Bar>(family, payload)?.price() {
                    self.trader.price(instrument, price_e8, time_ns);
                }
            }
            "signals" => {
                let act = read::<Signal>(family, payload)?.act().filter(|_| self.phase == Phase::Trading);
                let asked =
                    act.and_then(|(instrument, side, time_ns)| self.trader.signal(&instrument, side, time_ns, now_ns));
                return Ok(asked.into_iter().collect());
            }
            "order_decisions" => {
                let row: Decision = read(family, payload)?;
                self.watched.decision(&row);
                let quantity_e8 = parse_e8(row.quantity.as_bytes()).unwrap_or(0);
                let decided = trader::Decided { intent_id: row.intent_id, quantity_e8 };
                return Ok(self.trader.decided(&decided, now_ns));
            }
            "risk_events" => self.watched.event(&read::<Event>(family, payload)?),
            "positions" => self.watched.position(&read::<Position>(family, payload)?),
            _ => self.watched.numbers(read::<Numbers>(family, payload)?),
        }
        Ok(Vec::new())
    }
}

fn read<T: DeserializeOwned>(family: &str, payload: &[u8]) -> Result<T, CommandError> {
    serde_json::from_slice(payload)
        .map_err(|error| CommandError::Usage(format!("could not read a record of {family}: {error}")))
}
