//! The live view of the demo: counts, lag, the paper book and the latest bars, drawn in place on a terminal, a line now and then elsewhere.

pub mod book;

use super::super::summary::number;
use super::paper::Known;
use crate::status::{Snapshot, Status};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};
use tidewheel_schemas::{BarVersion, SECOND_NS, format_e8};

/// Bars shown: those of the most active symbols.
const BARS: usize = 6;
/// Events and signals on the screen.
const EVENTS: usize = 6;

/// Draws the state of a run.
pub struct View {
    is_terminal: bool,
    lines_drawn: usize,
    before: Option<(Instant, u64)>,
    rate: u64,
    /// Events and signals shown.
    told: Vec<String>,
    /// Decisions and events of risk shown.
    seen: [u64; 2],
}

impl View {
    /// A view for a terminal, or for a file or pipe.
    pub fn new(is_terminal: bool) -> Self {
        Self { is_terminal, lines_drawn: 0, before: None, rate: 0, told: Vec::new(), seen: [0; 2] }
    }

    /// How often to draw.
    pub fn period(&self) -> Duration {
        // Short enough to notice the end in time also where little is drawn.
        Duration::from_millis(500)
    }

    /// Draws the state as it is now.
    pub fn show(&mut self, status: &Status, known: &Known, now_ns: i64) {
        let snapshot = status.snapshot();
        let now = Instant::now();
        let read = snapshot.counters.read;
        match self.before {
            Some((at, before)) if now - at >= Duration::from_secs(1) => {
                self.rate = ((read - before) as f64 / (now - at).as_secs_f64()) as u64;
                self.before = Some((now, read));
                if !self.is_terminal {
                    println!("{}", line(&snapshot, status, self.rate, now_ns));
                    for event in snapshot.events.iter().filter(|event| !self.told.contains(event)) {
                        println!("{event}");
                    }
                    for signal in snapshot.signals.iter().filter(|signal| !self.told.contains(signal)) {
                        println!("signal: {signal}");
                    }
                    for news in book::account(known).into_iter().chain(book::news(known, self.seen)) {
                        println!("{news}");
                    }
                    self.seen = book::seen(known);
                    self.told = snapshot.events.iter().chain(&snapshot.signals).cloned().collect();
                }
            }
            None => self.before = Some((now, read)),
            Some(_) => {}
        }
        if self.is_terminal {
            let text = screen(&snapshot, status, known, self.rate, now_ns);
            self.draw(&text);
        }
    }

    /// Takes the drawing away.
    pub fn clear(&mut self) {
        if self.is_terminal {
            self.draw("");
        }
    }

    fn draw(&mut self, text: &str) {
        let mut output = String::new();
        if self.lines_drawn > 0 {
            // Up to the first line drawn, and everything below it away.
            let _ = write!(output, "\x1b[{}A\x1b[J", self.lines_drawn);
        }
        output.push_str(text);
        self.lines_drawn = text.lines().count();
        let mut stdout = std::io::stdout();
        // A terminal that has gone away ends the demo by its signal.
        let _ = stdout.write_all(output.as_bytes()).and_then(|()| stdout.flush());
    }
}

fn line(snapshot: &Snapshot, status: &Status, rate: u64, now_ns: i64) -> String {
    let counters = &snapshot.counters;
    let mut text = format!(
        "{} trades/s, lag {}, read {}, late {}, duplicate {}, rejected {}, revisions {}",
        number(rate),
        lag(snapshot, now_ns),
        number(counters.read),
        number(counters.late),
        number(counters.duplicate),
        number(counters.rejected),
        number(snapshot.revisions),
    );
    for wanted in ["predictions", "signals"] {
        let rows = status.tables().iter().position(|table| table == wanted).and_then(|at| snapshot.rows.get(at));
        let _ = write!(text, ", {wanted} {}", number(rows.copied().unwrap_or(0)));
    }
    text
}

fn screen(snapshot: &Snapshot, status: &Status, known: &Known, rate: u64, now_ns: i64) -> String {
    let mut text = String::new();
    let counters = &snapshot.counters;
    let _ = writeln!(
        text,
        "tidewheel demo, {} s: {} trades/s, watermark {} behind now",
        status.elapsed().as_secs(),
        number(rate),
        lag(snapshot, now_ns),
    );
    let _ = writeln!(
        text,
        "read {}  accepted {}  duplicate {}  late {}  rejected {}  cancels and corrections {}",
        number(counters.read),
        number(counters.accepted),
        number(counters.duplicate),
        number(counters.late),
        number(counters.rejected),
        number(counters.amended),
    );
    let versions: u64 = snapshot.versions.values().sum();
    let _ = writeln!(
        text,
        "bar versions {}  revisions {}  kafka commits {}  lake commits {}  trades held {}",
        number(versions),
        number(snapshot.revisions),
        number(snapshot.kafka_commits),
        number(snapshot.lake_commits),
        number(snapshot.sizes.trades as u64),
    );
    let tables = status.tables().iter().zip(&snapshot.rows).map(|(name, rows)| format!("{name} {}", number(*rows)));
    let _ = writeln!(text, "{}", tables.collect::<Vec<_>>().join("  "));
    for event in snapshot.events.iter().skip(snapshot.events.len().saturating_sub(EVENTS)) {
        let _ = writeln!(text, "{event}");
    }
    for signal in &snapshot.signals {
        let _ = writeln!(text, "signal: {signal}");
    }
    text += &book::screen(known);
    let head = ["bar", "open time", "open", "high", "low", "close", "volume", "trades", "state"];
    let _ = writeln!(text, "\n{}", row(&head.map(str::to_owned)));
    let mut latest: Vec<&BarVersion> = snapshot.latest.values().collect();
    latest.sort_by_key(|version| std::cmp::Reverse(version.bar.map_or(0, |bar| bar.trade_count)));
    latest.truncate(BARS);
    latest.sort_by(|a, b| a.instrument.cmp(&b.instrument));
    for version in latest {
        let Some(bar) = version.bar else { continue };
        let state = match (version.is_final, version.revision) {
            (false, _) => "provisional".to_owned(),
            (true, 0) => "final".to_owned(),
            (true, revision) => format!("revision {revision}"),
        };
        let price = |price_e8: i64| format_e8(price_e8.into());
        let _ = writeln!(
            text,
            "{}",
            row(&[
                format!("{} {}", version.instrument.symbol, version.interval),
                clock(version.open_time_ns),
                price(bar.open_e8),
                price(bar.high_e8),
                price(bar.low_e8),
                price(bar.close_e8),
                format_e8(bar.volume_e8),
                bar.trade_count.to_string(),
                state,
            ])
        );
    }
    let _ = writeln!(text, "\nCtrl-C ends it");
    text
}

fn row(cells: &[String; 9]) -> String {
    let [bar, time, open, high, low, close, volume, trades, state] = cells;
    format!("{bar:<16}{time:<10}{open:>13}{high:>13}{low:>13}{close:>13}{volume:>18}{trades:>8}  {state}")
}

fn lag(snapshot: &Snapshot, now_ns: i64) -> String {
    match snapshot.watermark_ns {
        i64::MIN | i64::MAX => "-".to_owned(),
        watermark_ns => format!("{:.1} s", (now_ns - watermark_ns) as f64 / SECOND_NS as f64),
    }
}

fn clock(time_ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(time_ns.into())
        .map_or_else(|_| time_ns.to_string(), |time| time.strftime("%H:%M:%S").to_string())
}
