//! How long a tick's marks take, and what a fill costs, in books of several sizes.
//!
//! Estimate, of 10,000 positions over 1,000 instruments (ten accounts of two strategies) with 500 scenarios, one thread: a mark of each
//! instrument moves 10,000 positions, each one worth and 500 products and sums of 128 bits: 5 x 10^6 at about 1.2 ns, 6 ms; sums, the
//! set of largest exposures and the ages about 1 us a position, 10 ms. The numbers of ten accounts sort 30 vectors of 500: 30 x 40 us.
//! So about 17 ms of the 100 ms of a tick. A fill is one position: 500 products, some maps, about 5 us whatever the size.
//!
//! ```text
//! cargo run --release -p tidewheel-risk --example risk_speed             # the book alone
//! cargo run --release -p tidewheel-risk --example risk_speed -- numpy    # and NumPy after it, from a throw-away venv
//! ```
//!
//! Measured in processor time of the one thread, on a quiet cloud machine of two cores (p50, p99):
//!
//! | positions, instruments | marks of all | numbers of ten accounts | a fill | a minute's samples | save and restore |
//! | --- | --- | --- | --- | --- | --- |
//! | 100, 10 | 0.15, 0.18 ms | 0.9, 0.9 ms | 2.5, 3.1 us | 0.1 ms | 3 ms |
//! | 1,000, 100 | 1.5, 1.6 ms | 0.9, 1.0 ms | 3.4, 3.8 us | 0.7 ms | 11 ms |
//! | 10,000, 1,000 | 11.6, 12.8 ms | 1.1, 1.2 ms | 6.1, 6.7 us | 7.4 ms | 82 ms |
//!
//! A fill's work is the same in each; what grows are the caches that its instrument is not in. `risk_speed.py` recomputes the largest book
//! from scratch in floats with NumPy, one thread, processor time of a tick as here: 81 ms at p50 with a vector for each position, and
//! 1.3 ms where exposure is first netted by owner and instrument and one matrix product follows. The book's tick, marks and numbers, is
//! 12.7 ms (p99 13.9 ms), and 16.0 ms with a load of 12 from other builds. The book pays for exact
//! integers, for every mark being visible at once, and for its sets of the largest; where a tick's marks come together, netting first is
//! what is left to try.

#![expect(clippy::disallowed_types, reason = "an example measures time")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tidewheel_risk::book::{AccountBook, BookConfig, BookEvent};
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{CashMovement, ContractKind, Fill, Holder, Instrument, InstrumentReference, Side};

const START_NS: i64 = 1_722_816_000_000_000_000;
const HOUR_NS: i64 = 3_600_000_000_000;
const SCENARIOS: i64 = 500;

/// Numbers that look random and are the same on every run.
struct Mixed(u64);

impl Mixed {
    fn below(&mut self, limit: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit.unsigned_abs()).cast_signed()
    }
}

fn instrument(number: usize) -> Instrument {
    Instrument::new("venue", &format!("S{number}USDT")).expect("the name is well formed")
}

fn mark(number: usize, time_ns: i64, price_e8: i64) -> BookEvent {
    let mark = Mark { event_time_ns: time_ns, sequence: 0, price_e8 };
    BookEvent::Mark { instrument: instrument(number), source: MarkSource::Trade, mark }
}

fn fill(id: &str, account: usize, strategy: usize, number: usize, quantity_e8: i64, time_ns: i64) -> BookEvent {
    BookEvent::Fill(Fill {
        holder: Holder { account: format!("a{account}").into(), strategy: format!("s{strategy}").into() },
        instrument: instrument(number),
        fill_id: id.into(),
        intent_id: None,
        side: if quantity_e8 > 0 { Side::Buy } else { Side::Sell },
        quantity_e8: quantity_e8.abs(),
        price_e8: 10_000_000_000,
        fee_e8: 1_000_000,
        fee_currency: "USDT".into(),
        event_time_ns: time_ns,
    })
}

fn apply(book: &mut AccountBook, event: BookEvent) {
    book.apply(event).expect("the records of the example are right");
}

/// A book of so many instruments and positions, with all scenarios, one hour before `START_NS`.
fn book(instruments: usize, positions: usize, mixed: &mut Mixed) -> AccountBook {
    let mut book = AccountBook::new(BookConfig::default());
    for number in 0..instruments {
        apply(
            &mut book,
            BookEvent::Reference(InstrumentReference {
                instrument: instrument(number),
                asset_class: "crypto".into(),
                sector: format!("sector{}", number % 20).into(),
                base_currency: format!("S{number}").into(),
                quote_currency: "USDT".into(),
                kind: ContractKind::Linear,
                multiplier_e8: 100_000_000,
            }),
        );
        for back in 0..=SCENARIOS {
            let close_e8 = Some(10_000_000_000 + mixed.below(200_000_000));
            let bar_time_ns = START_NS - (SCENARIOS - back + 1) * HOUR_NS;
            apply(&mut book, BookEvent::Close { instrument: instrument(number), bar_time_ns, close_e8 });
        }
        apply(&mut book, mark(number, START_NS - 1, 10_000_000_000));
    }
    for account in 0..10 {
        apply(
            &mut book,
            BookEvent::Cash(CashMovement {
                account: format!("a{account}").into(),
                id: "start".into(),
                currency: "USDT".into(),
                amount_e8: 1_000_000_000_000_000,
                event_time_ns: START_NS - 1,
            }),
        );
    }
    for at in 0..positions {
        let (number, holder) = (at % instruments, at / instruments);
        let quantity_e8 = 1 + mixed.below(1_000_000_000);
        let event = fill(
            &format!("f{at}"),
            holder % 10,
            (holder / 10 + number) % 2,
            number,
            if mixed.below(2) == 0 { quantity_e8 } else { -quantity_e8 },
            START_NS - 1,
        );
        apply(&mut book, event);
    }
    book.advance(START_NS);
    book
}

/// Processor time of this thread where the system tells it, since other programs may want the same processors; else the clock's.
struct Watch {
    clock: Instant,
    processor_ns: Option<u64>,
}

fn processor_ns() -> Option<u64> {
    fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

impl Watch {
    fn start() -> Self {
        // The system counts when it switches threads.
        std::thread::yield_now();
        Self { processor_ns: processor_ns(), clock: Instant::now() }
    }

    fn elapsed(&self) -> Duration {
        let clock = self.clock.elapsed();
        std::thread::yield_now();
        let spent = processor_ns().zip(self.processor_ns).map(|(now, then)| Duration::from_nanos(now - then));
        spent.unwrap_or(clock)
    }
}

/// Middle, 99th percentile and largest.
fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    format!("p50 {:.1?} p99 {:.1?} max {:.1?}", at(0.5), at(0.99), at(1.0))
}

fn main() {
    let mut mixed = Mixed(5);
    for (instruments, positions) in [(10, 100), (100, 1_000), (1_000, 10_000)] {
        let mut book = book(instruments, positions, &mut mixed);
        let size = book.size();
        println!(
            "{} positions over {instruments} instruments, {} vectors of {SCENARIOS}",
            size.open_positions, size.vectors
        );
        let (mut marks, mut numbers, mut fills) = (Vec::new(), Vec::new(), Vec::new());
        for tick in 1..=50i64 {
            let time_ns = START_NS + tick * 100_000_000;
            let events: Vec<BookEvent> = (0..instruments)
                .map(|number| mark(number, time_ns, 10_000_000_000 + mixed.below(100_000_000)))
                .collect();
            let start = Watch::start();
            events.into_iter().for_each(|event| apply(&mut book, event));
            marks.push(start.elapsed());
            book.advance(time_ns);
            let start = Watch::start();
            for account in 0..10 {
                let numbers = book.numbers(&format!("a{account}")).expect("every account has money");
                assert_eq!(numbers.faults, [], "the example's books are sound");
            }
            numbers.push(start.elapsed());
            let events: Vec<BookEvent> = (0..100)
                .map(|one| {
                    let number = usize::try_from(mixed.below(instruments as i64)).expect("not below zero");
                    fill(&format!("n{tick}.{one}"), one % 10, one / 10 % 2, number, 1_000_000, time_ns)
                })
                .collect();
            let start = Watch::start();
            events.into_iter().for_each(|event| apply(&mut book, event));
            fills.push(start.elapsed() / 100);
        }
        let ticks = marks.iter().zip(&numbers).map(|(marks, numbers)| *marks + *numbers).collect();
        println!("  a tick, the next two:     {}", percentiles(ticks));
        println!("  marks of all instruments: {}", percentiles(marks));
        println!("  numbers of ten accounts:  {}", percentiles(numbers));
        println!("  one fill of a hundred:    {}", percentiles(fills));
        let start = Watch::start();
        book.advance(START_NS + 60_000_000_000);
        println!("  a minute's samples:       {:.1?}", start.elapsed());
        let start = Watch::start();
        let saved = book.save();
        let restored = AccountBook::restore(saved);
        println!("  saved and restored:       {:.1?}", start.elapsed());
        assert_eq!(restored.numbers("a0"), book.numbers("a0"));
    }
    if std::env::args().any(|argument| argument == "numpy") {
        beside_numpy();
    }
}

/// Recomputes the largest book with NumPy, by `risk_speed.py`. Fetches NumPy; says so where it cannot.
fn beside_numpy() {
    println!("the same book recomputed from scratch by NumPy, processor time of a tick");
    let folder = std::env::temp_dir().join(format!("risk-speed-{}", std::process::id()));
    let (python, script) =
        (folder.join("bin/python"), Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/risk_speed.py"));
    let succeeds = |command: &mut Command| command.status().is_ok_and(|status| status.success());
    let is_there = succeeds(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        && succeeds(Command::new(&python).args(["-m", "pip", "install", "--quiet", "numpy"]));
    // As the book: one thread.
    let one = ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"].map(|name| (name, "1"));
    if !is_there || !succeeds(Command::new(&python).arg(script).envs(one)) {
        println!("  not measured: it needs python3 with venv, and PyPI");
    }
    // What is left of it is in the system's folder for such things.
    let _ = fs::remove_dir_all(&folder);
}
