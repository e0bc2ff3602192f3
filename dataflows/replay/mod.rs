//! Replay: history through the same graph, its ticks driven by the data's own time.
//!
//! Each input file or topic partition is a source partition with a clock of its own, read off its rows. A tick takes from
//! every partition what lies before the tick's end, so that several files merge by time; empty stretches are skipped. Where
//! ticks are cut depends on the input alone, never on how fast it was read.

mod cursor;
mod prefetch;

pub use prefetch::{Prefetch, Prepare};

use crate::engine::TickInput;
use crate::ticks::{Piece, Ticker};
use cursor::Cursor;
use tidewheel_connectors::source::SourceError;

/// Records that a tick may hold before it is cut short: this bounds memory in dense markets, and in bad ones.
const RECORDS_PER_TICK: usize = 400_000;

/// How a replay ends its bars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// The input is all there is: every bar becomes final.
    Finish,
    /// The input goes on elsewhere: bars that are open stay provisional.
    LeaveOpen,
}

/// Cuts the input into ticks of `tick_ms` and hands each to `send`, until the input ends or `send` says to stop.
///
/// # Errors
/// If a partition cannot be read.
pub fn replay(
    source: &Prefetch,
    ticker: &mut Ticker,
    tick_ms: u64,
    skew_ns: i64,
    at_end: AtEnd,
    mut send: impl FnMut(TickInput) -> std::ops::ControlFlow<()>,
) -> Result<(), SourceError> {
    let tick_ns = i64::try_from(tick_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    let mut cursors: Vec<Cursor> = (0..source.partitions()).map(Cursor::new).collect();
    loop {
        let mut pieces = Vec::new();
        let next_ns = next_time_ns(source, &mut cursors, skew_ns, &mut pieces)?;
        let mut is_complete = false;
        let mut end_ns = None;
        if let (Some(next_ns), true) = (next_ns, pieces.is_empty()) {
            let end = next_ns.div_euclid(tick_ns).saturating_add(1).saturating_mul(tick_ns);
            is_complete = take_tick(source, &mut cursors, end, skew_ns, &mut pieces)?;
            end_ns = is_complete.then_some(end);
        }
        if pieces.is_empty() {
            break;
        }
        // A whole tick is called by its end; one that was cut short by the time its rows have reached.
        let reached_ns = || cursors.iter().filter_map(Cursor::now_ns).max().map_or(0, |now| now + 1_000_000);
        let tick = label(end_ns.unwrap_or_else(reached_ns), ticker.last_tick());
        // What lies beyond a whole tick's end is not yet there: every partition was read up to now.
        let caught_up = vec![is_complete; source.partitions()];
        if send(ticker.tick(tick, pieces, &caught_up)).is_break() {
            return Ok(());
        }
    }
    let _ = send(match at_end {
        AtEnd::Finish => ticker.finish(),
        AtEnd::LeaveOpen => ticker.stop(),
    });
    Ok(())
}

/// The earliest time at which a partition goes on. Chunks of which no row moves a clock (junk, messages of other kinds, rows
/// not selected) have none: they are put into `pieces`, one of each such partition, and make a tick of their own.
fn next_time_ns(
    source: &Prefetch,
    cursors: &mut [Cursor],
    skew_ns: i64,
    pieces: &mut Vec<Piece>,
) -> Result<Option<i64>, SourceError> {
    let mut next_ns = None;
    for cursor in cursors {
        match cursor.next_time_ns(source, skew_ns)? {
            Some(time) => next_ns = next_ns.into_iter().chain([time]).min(),
            None => cursor.take_timeless(source, pieces)?,
        }
    }
    Ok(next_ns)
}

/// Takes what lies before the end of a tick from every partition. False if it was too much for one tick.
fn take_tick(
    source: &Prefetch,
    cursors: &mut [Cursor],
    end_ns: i64,
    skew_ns: i64,
    pieces: &mut Vec<Piece>,
) -> Result<bool, SourceError> {
    let mut is_complete = true;
    for cursor in cursors {
        let budget = RECORDS_PER_TICK.saturating_sub(pieces.iter().map(Piece::records).sum());
        if budget == 0 {
            return Ok(false);
        }
        is_complete &= cursor.take_until(source, end_ns, skew_ns, budget, pieces)?;
    }
    Ok(is_complete)
}

fn label(reached_ns: i64, last: Option<u64>) -> u64 {
    let reached = u64::try_from(reached_ns / 1_000_000).unwrap_or_default();
    reached.max(last.map_or(0, |last| last + 1))
}
