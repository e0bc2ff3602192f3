//! What risk is told of markets: the mark of each minute that changed, the prices that are watched for falls, funding that was settled,
//! and how much of what came was of no use.

use super::FeedCounts;
use serde::{Deserialize, Serialize};
use tidewheel_risk::engine::MarketPrint;
use tidewheel_risk::flash_crash::Print;
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{FundingPayment, Instrument};

/// How many prices of an instrument and source a tick gives at most.
pub const PRINTS_PER_TICK: usize = 4_096;

/// Slices that more prices are cut into, and how many each keeps.
const SLICES: usize = PRINTS_PER_TICK / KEPT;
const KEPT: usize = 8;

/// Funding that was settled, as the venue told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledFunding {
    /// Of what.
    pub instrument: Instrument,
    /// When, nanoseconds.
    pub event_time_ns: i64,
    /// A ratio, eight decimals.
    pub rate_e8: i64,
    /// The mark price it was paid on, eight decimals, where the venue says so with the payment: else it is for marks to tell.
    pub mark_price_e8: Option<i64>,
}

impl SettledFunding {
    /// As the book takes it. A rate that does not fit is one that the book refuses.
    pub fn payment(self) -> FundingPayment {
        let Self { instrument, event_time_ns, rate_e8, mark_price_e8 } = self;
        FundingPayment { instrument, rate_e12: rate_e8.saturating_mul(10_000), mark_price_e8, event_time_ns }
    }
}

/// What a market did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarketChange {
    /// The last mark of a minute is this one now; none if the minute has none any more.
    Mark {
        /// Of what.
        instrument: Instrument,
        /// What it is made of.
        source: MarkSource,
        /// The end of the minute, nanoseconds.
        minute_end_ns: i64,
        /// The mark.
        mark: Option<Mark>,
    },
    /// A price.
    Print(MarketPrint),
    /// Funding.
    Funding(SettledFunding),
    /// What became of records of the tick.
    Counts(FeedCounts),
}

/// Puts prices in their order, and leaves out what a fall can be told without.
///
/// Of a run of one price the first two and the last two stay: the first two confirm a low, the last two are the peak that leaves the
/// window last. If more than [`PRINTS_PER_TICK`] are left they are cut into slices of equal length, of which each keeps its two highest,
/// its last two, and the two neighbours that confirm its deepest low: a fall from one slice into another is told as it was, by a print of
/// its slice; one inside a slice may be told as smaller than it was.
pub fn thin(mut prints: Vec<Print>) -> Vec<Print> {
    prints.sort_unstable();
    let mut kept: Vec<Print> = Vec::with_capacity(prints.len());
    for run in prints.chunk_by(|one, next| one.value == next.value) {
        match run {
            [first, second, .., last_but_one, last] => kept.extend([first, second, last_but_one, last]),
            run => kept.extend(run),
        }
    }
    if kept.len() <= PRINTS_PER_TICK {
        return kept;
    }
    let slices = kept.chunks(kept.len().div_ceil(SLICES));
    slices.flat_map(of_slice).collect()
}

/// The prices of a slice that stay, ascending.
fn of_slice(slice: &[Print]) -> Vec<Print> {
    let mut by_value: Vec<usize> = (0..slice.len()).collect();
    by_value.sort_unstable_by_key(|at| (std::cmp::Reverse(slice[*at].value), std::cmp::Reverse(*at)));
    let deepest = (1..slice.len()).min_by_key(|at| (slice[*at].value.max(slice[*at - 1].value), *at));
    let mut kept: Vec<usize> = by_value.into_iter().take(2).collect();
    kept.extend(deepest.into_iter().flat_map(|at| [at - 1, at]));
    kept.extend(slice.len().saturating_sub(2)..slice.len());
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|at| slice[at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use tidewheel_risk::breakers::Now;
    use tidewheel_risk::flash_crash::FlashCrashes;
    use tidewheel_risk::levels::Scope;
    use tidewheel_risk::policy::{FlashCrashPolicy, Ratio};

    fn crashes(prints: Vec<Print>) -> Vec<(i128, i64)> {
        let now = Now { tick: 1, time_ns: i64::MAX / 2 };
        let scope = Scope::account("any");
        let prints = prints.into_iter().map(|print| (scope.clone(), print));
        let falls = FlashCrashes::default().take(&FlashCrashPolicy::default(), Ratio::thousandths(800), now, prints);
        falls.crashes.iter().map(|crash| (crash.low, crash.completed_by.time_ns)).collect()
    }

    fn random(seed: u64, count: usize, distinct: i128) -> Vec<Print> {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let (mut value, mut time_ns) = (1_000_000i128, 0);
        let mut prints: Vec<Print> = (0..count)
            .map(|key| {
                value = (value + random.random_range(-20_000i128..=20_000) / distinct * distinct).max(10_000);
                time_ns += random.random_range(0..40_000_000);
                Print { time_ns, key: key as u128, value }
            })
            .collect();
        prints.reverse();
        prints
    }

    #[test]
    fn runs_of_one_price_can_be_left_out_without_a_crash_being_missed_or_moved() {
        let (mut found, mut left_out) = (0, 0);
        for seed in 0..60 {
            let prints = random(seed, 2_000, 15_000);
            let thinned = thin(prints.clone());
            left_out += prints.len() - thinned.len();
            let expected = crashes(prints);
            assert_eq!(crashes(thinned), expected, "seed {seed}");
            found += expected.len();
        }
        println!("{found} crashes, {left_out} prints left out");
        assert!(found > 200 && left_out > 10_000);
    }

    #[test]
    fn too_many_prices_are_bounded_and_a_crash_of_them_is_told() {
        let calm = |at: i64| Print { time_ns: at * 1_000, key: 0, value: 1_000_000 + i128::from(at * 7 % 13) };
        let mut prints: Vec<Print> = (0..200_000).map(calm).collect();
        assert!(crashes(thin(prints.clone())).is_empty());
        for print in &mut prints[150_000..150_002] {
            print.value = 960_000;
        }
        let thinned = thin(prints.clone());
        assert!(thinned.len() <= PRINTS_PER_TICK, "{}", thinned.len());
        assert_eq!(crashes(thinned), crashes(prints.clone()));
        // A single bad print is still none.
        prints[150_001].value = 1_000_000;
        assert!(crashes(thin(prints)).is_empty());
    }
}
