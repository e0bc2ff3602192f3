//! Generated events as a stream: to a writer, or to a topic at a given pace.

use crate::commands::brokers::BrokerArgs;
use crate::commands::{CommandError, now_ns};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use tidewheel_connectors::generate::{
    ACCOUNT, Event, Market, TextOptions, WireFormat, Written, csv_header, render, render_account_record, render_record,
};
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};

/// How fast messages are sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As fast as possible.
    Unbounded,
    /// So many a second, evenly.
    Even(u64),
    /// Each at its receive time.
    Clock,
}

impl Pace {
    /// The pace of a rate, where 0 is none; a live market follows its own clock.
    pub const fn new(rate: u64, is_live: bool) -> Self {
        match rate {
            _ if is_live => Self::Clock,
            0 => Self::Unbounded,
            rate => Self::Even(rate),
        }
    }

    /// How long to wait before a message is due.
    fn wait(self, receive_time_ns: i64, sent: u64, elapsed: Duration) -> Duration {
        match self {
            Self::Unbounded => Duration::ZERO,
            Self::Even(rate) => {
                let due_ns = u128::from(sent) * 1_000_000_000 / u128::from(rate);
                Duration::from_nanos(u64::try_from(due_ns).unwrap_or(u64::MAX)).saturating_sub(elapsed)
            }
            Self::Clock => Duration::from_nanos(u64::try_from(receive_time_ns.saturating_sub(now_ns())).unwrap_or(0)),
        }
    }
}

/// Writes all events as lines.
pub fn to_writer(market: &mut Market, options: TextOptions, out: &mut dyn Write) -> Result<Written, CommandError> {
    if options.format == WireFormat::Csv && options.has_receive_time {
        let detail = "csv lines have no place for the receive time: leave --receive-time out or choose JSON";
        return Err(CommandError::Usage(detail.into()));
    }
    let mut out = std::io::BufWriter::with_capacity(1 << 16, out);
    if options.format == WireFormat::Csv {
        writeln!(out, "{}", csv_header()).map_err(CommandError::Output)?;
    }
    let mut line = Vec::new();
    let written = for_each_message(market, options.format, |event, _, message| {
        line.clear();
        if options.has_receive_time {
            line.extend_from_slice(format!("{} ", event.receive_time_ns).as_bytes());
        }
        line.extend_from_slice(message);
        line.push(b'\n');
        out.write_all(&line).map_err(CommandError::Output)?;
        Ok(ControlFlow::Continue(()))
    })?;
    out.flush().map_err(CommandError::Output)?;
    Ok(written)
}

/// Sends all events to a topic, with a progress bar.
pub fn to_topic(
    market: &mut Market,
    format: WireFormat,
    cluster: &BrokerArgs,
    topic: &str,
    pace: Pace,
) -> Result<Written, CommandError> {
    let publisher =
        Publisher::connect(cluster.required()?, topic, &cluster.properties(), cluster.timeout.as_duration())?;
    let progress = ProgressBar::new(market.config().trades).with_message(topic.to_owned());
    let template = "{msg} {wide_bar} {human_pos}/{human_len} {per_sec}, {eta} to go";
    progress.set_style(ProgressStyle::with_template(template).expect("a constant template"));
    let written = publish(market, format, publisher, pace, |sent| {
        if sent.is_multiple_of(512) {
            progress.set_position(sent);
        }
        true
    })?;
    progress.finish_and_clear();
    Ok(written)
}

/// Sends events, keyed by venue and symbol or by account, stamped with their receive times, until there are no more or `go_on`, asked
/// before each with the number sent, says no.
pub fn publish(
    market: &mut Market,
    format: WireFormat,
    mut publisher: Publisher,
    pace: Pace,
    mut go_on: impl FnMut(u64) -> bool,
) -> Result<Written, CommandError> {
    let instruments = market.instruments().iter();
    let mut keys: Vec<String> = instruments.map(|of| format!("{}|{}", of.venue, of.symbol)).collect();
    // That of the account, behind the instruments.
    keys.push(ACCOUNT.to_owned());
    let (started, mut sent) = (Instant::now(), 0u64);
    let written = for_each_message(market, format, |event, key, message| {
        let wait = pace.wait(event.receive_time_ns, sent, started.elapsed());
        // The system sleeps about a tenth of a millisecond too long: shorter waits are made up for by the next ones.
        if wait > Duration::from_millis(1) {
            std::thread::sleep(wait);
        }
        if !go_on(sent) {
            return Ok(ControlFlow::Break(()));
        }
        publisher.send(&Outgoing {
            key: Some(keys[key].as_bytes()),
            payload: message,
            timestamp_ms: Some(event.receive_time_ns / 1_000_000),
        })?;
        sent += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    publisher.finish()?;
    Ok(written)
}

/// Renders one event after the other; those that the format has no words for are counted as skipped. `take` is told the number of the
/// instrument, or one more than the last for records of the account.
fn for_each_message(
    market: &mut Market,
    format: WireFormat,
    mut take: impl FnMut(&Event, usize, &[u8]) -> Result<ControlFlow<()>, CommandError>,
) -> Result<Written, CommandError> {
    let instruments = market.instruments().to_vec();
    let (mut written, mut message) = (Written::default(), Vec::with_capacity(512));
    let (mut beside, mut account) = (Vec::new(), Vec::new());
    'events: while let Some(event) = market.next() {
        message.clear();
        let instrument = event.instrument as usize;
        if !market.config().streams.trades {
            // Only what is beside it is sent.
        } else if render(&event, &instruments[instrument], format, &mut message) {
            if take(&event, instrument, &message)?.is_break() {
                break;
            }
            written.records += 1;
            written.tally.add(event.cause);
        } else {
            written.skipped += 1;
        }
        market.beside(&event, &mut beside);
        for record in beside.drain(..) {
            message.clear();
            if !render_record(&record, format, &mut message) {
                written.skipped += 1;
                continue;
            }
            if take(&event, instrument, &message)?.is_break() {
                break 'events;
            }
            written.records += 1;
            written.market += 1;
        }
        market.account(&event, &mut account);
        for record in account.drain(..) {
            message.clear();
            if !render_account_record(&record, format, &mut message) {
                written.skipped += 1;
                continue;
            }
            if take(&event, instruments.len(), &message)?.is_break() {
                break 'events;
            }
            written.records += 1;
            written.account += 1;
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_pace_makes_up_for_time_lost() {
        let pace = Pace::new(1_000, false);
        let wait = |sent, elapsed_ms| pace.wait(0, sent, Duration::from_millis(elapsed_ms)).as_millis();
        assert_eq!([wait(0, 0), wait(1, 0), wait(500, 100), wait(500, 500), wait(500, 900)], [0, 1, 400, 0, 0]);
        assert_eq!(Pace::new(0, false).wait(0, u64::MAX, Duration::ZERO), Duration::ZERO);
        assert_eq!(Pace::new(5, true).wait(0, 9, Duration::ZERO), Duration::ZERO, "what is overdue goes at once");
    }
}
