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

/// Rows that a tick may hold before it is cut short: this bounds memory in dense markets.
const ROWS_PER_TICK: usize = 400_000;

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
        let mut next_ns = None;
        for cursor in &mut cursors {
            let time = cursor.next_time_ns(source, skew_ns)?;
            next_ns = next_ns.into_iter().chain(time).min();
        }
        // Without a row that moves a clock, whatever is left belongs to one more tick.
        let end_ns =
            next_ns.map_or(i64::MAX, |next| (next.div_euclid(tick_ns).saturating_add(1)).saturating_mul(tick_ns));
        let (mut pieces, mut is_complete) = (Vec::new(), true);
        let mut budget = ROWS_PER_TICK;
        for cursor in &mut cursors {
            if budget == 0 {
                is_complete = false;
                break;
            }
            is_complete &= cursor.take_until(source, end_ns, skew_ns, budget, &mut pieces)?;
            budget = ROWS_PER_TICK.saturating_sub(pieces.iter().map(Piece::rows).sum());
        }
        let has_ended = cursors.iter().all(Cursor::has_ended);
        if !pieces.is_empty() {
            let reached_ns = if is_complete && next_ns.is_some() {
                end_ns
            } else {
                cursors.iter().filter_map(Cursor::now_ns).max().unwrap_or_default() + 1_000_000
            };
            let tick = label(reached_ns, ticker.last_tick());
            // What lies beyond the tick's end is not yet there: every partition was read up to now.
            let caught_up = vec![is_complete; source.partitions()];
            if send(ticker.tick(tick, pieces, &caught_up)).is_break() {
                return Ok(());
            }
        }
        if has_ended {
            break;
        }
    }
    let _ = send(match at_end {
        AtEnd::Finish => ticker.finish(),
        AtEnd::LeaveOpen => ticker.stop(),
    });
    Ok(())
}

/// A whole tick is called by its end; one that was cut short by the time its rows have reached.
fn label(reached_ns: i64, last: Option<u64>) -> u64 {
    let reached = u64::try_from(reached_ns / 1_000_000).unwrap_or_default();
    reached.max(last.map_or(0, |last| last + 1))
}
