//! Crashes: one symbol's price falls at a known moment, and comes back slowly.
//!
//! The price falls evenly for four seconds by a share of what it was, stays down for three and rises evenly for a minute until all of
//! the fall is taken back. Nothing is drawn for it, so that times, symbols, sizes and sides of a seed stay as they are, as do the
//! prices of all other symbols. It moves the price that the walk goes on from: quotes, books and marks follow it.

use super::config::Crash;
use tidewheel_schemas::{Instrument, SECOND_NS};

/// How long the price falls.
const FALL_NS: i64 = 4 * SECOND_NS;
/// How long it stays down.
const LOW_NS: i64 = 3 * SECOND_NS;
/// How long it rises.
const RECOVERY_NS: i64 = 60 * SECOND_NS;

/// A crash on its way.
#[derive(Clone, Debug)]
pub(super) struct Falling {
    instrument: u32,
    start_ns: i64,
    fall_ppm: u32,
    /// The price that it falls from, in ticks; none before it began.
    from_ticks: Option<i64>,
    /// How many ticks it has taken by now.
    taken_ticks: i64,
}

impl Falling {
    /// A crash of a market that opens at a time. None if nothing of that name is traded.
    pub(super) fn new(crash: &Crash, open_ns: i64, instruments: &[Instrument]) -> Option<Self> {
        let at = instruments.iter().position(|instrument| *instrument.symbol == *crash.symbol)?;
        Some(Self {
            instrument: u32::try_from(at).ok()?,
            start_ns: open_ns.checked_add(crash.after_ns)?,
            fall_ppm: crash.fall_ppm,
            from_ticks: None,
            taken_ticks: 0,
        })
    }

    /// By how many ticks a symbol's price is to move at a time because of it.
    pub(super) fn shift(&mut self, instrument: u32, now_ns: i64, price_ticks: i64) -> i64 {
        if instrument != self.instrument || now_ns < self.start_ns {
            return 0;
        }
        let from_ticks = *self.from_ticks.get_or_insert(price_ticks);
        let depth_ppm = i128::from(self.fall_ppm) * part_ppm(now_ns - self.start_ns) / 1_000_000;
        let taken = i64::try_from(i128::from(from_ticks) * depth_ppm / 1_000_000).unwrap_or(0);
        std::mem::replace(&mut self.taken_ticks, taken) - taken
    }
}

/// How much of the fall is there so long after its beginning, in millionths.
fn part_ppm(elapsed_ns: i64) -> i128 {
    let risen_ns = (elapsed_ns - FALL_NS - LOW_NS).max(0);
    let (done_ns, of_ns) =
        if risen_ns > 0 { ((RECOVERY_NS - risen_ns).max(0), RECOVERY_NS) } else { (elapsed_ns.min(FALL_NS), FALL_NS) };
    i128::from(done_ns) * 1_000_000 / i128::from(of_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let crash = Crash { symbol: "BTCUSDT".to_owned(), after_ns: 10 * SECOND_NS, fall_ppm: 50_000 };
        let instruments = ["ETHUSDT", "BTCUSDT"].map(|name| Instrument::new("venue", name).expect("a name"));
        let mut falling = Falling::new(&crash, 5 * SECOND_NS, &instruments).expect("it is traded");
        assert_eq!(falling.shift(1, 15 * SECOND_NS - 1, 10_000), 0, "not yet");
        assert_eq!(falling.shift(0, 20 * SECOND_NS, 10_000), 0, "another symbol");
        let (mut price, mut seen) = (10_000, Vec::new());
        for second in [15, 16, 17, 19, 22, 52, 81, 82, 100] {
            price += falling.shift(1, second * SECOND_NS, price);
            seen.push(price);
        }
        assert_eq!(seen, [10_000, 9_875, 9_750, 9_500, 9_500, 9_750, 9_992, 10_000, 10_000]);
        let nowhere = Crash { symbol: "NOBODY".to_owned(), ..crash };
        assert!(Falling::new(&nowhere, 0, &instruments).is_none());
    }
}
