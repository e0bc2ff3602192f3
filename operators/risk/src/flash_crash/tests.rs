//! Crashes that are ones, prints that are none, and a slow oracle.

use super::*;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidewheel_schemas::Instrument;

const MS: i64 = 1_000_000;

/// As by default.
const CLEAR: Ratio = Ratio::thousandths(800);

fn symbol() -> Scope {
    Scope::Symbol(Instrument::new("binance", "BTCUSDT").expect("a name"))
}

fn at_ms(ms: i64) -> Now {
    Now { tick: ms as u64, time_ns: ms * MS }
}

/// Prints as `ms:price`, one tick at the end; the milliseconds of the prints that complete a crash.
fn check(prints: &str, expected: &[i64]) {
    let policy = FlashCrashPolicy::default();
    let prints = prints.split_whitespace().enumerate().map(|(key, print)| {
        let (ms, price) = print.split_once(':').expect("a time and a price");
        let value = i128::from(price.parse::<i64>().expect("a price"));
        (symbol(), Print { time_ns: ms.parse::<i64>().expect("a time") * MS, key: key as u128, value })
    });
    let falls = FlashCrashes::default().take(&policy, CLEAR, at_ms(100_000), prints);
    let found: Vec<_> = falls.crashes.iter().map(|crash| crash.completed_by.time_ns / MS).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_fall_needs_two_prints_at_either_end() {
    check("0:1000 1:1000 2:980 3:971 4:970 5:970", &[5]);
    check("0:1000 1:1000 2:971 3:970 4:971 5:970", &[]);
    // A bad print low, and one high.
    check("0:1000 1:1000 2:500 3:1000 4:1000", &[]);
    check("0:1000 1:1000 2:2000 3:1000 4:1000", &[]);
    // Two at the low are believed.
    check("0:1000 1:1000 2:500 3:500 4:1000", &[3]);
    check("0:1000 1:1001 2:970 3:960", &[3]);
}

#[test]
fn only_what_is_inside_the_window_counts() {
    check("0:1000 1:1000 10001:970 10001:970", &[]);
    check("0:1000 1:1000 9999:970 10000:970", &[10_000]);
    // From the peak inside the window, which is not its first print.
    check("0:960 1:960 5000:1000 5001:1000 9000:970 9001:970", &[9_001]);
    // Long apart: nothing confirms anything.
    check("0:1000 60000:900 90000:800", &[]);
    // Slowly: never three percent within ten seconds.
    check("0:1000 1:1000 9000:980 9001:980 18000:960 18001:960 27000:940 27001:940", &[]);
}

#[test]
fn a_crash_is_told_once_until_it_is_over() {
    check("0:1000 1:1000 2:960 3:960 4:950 5:950 6:940", &[3]);
    check("0:1000 1:1000 2:960 3:960 4:1000 5:1000 6:960 7:960", &[3, 7]);
    // About the threshold it is one crash; below four fifths of the fall it is over.
    check("0:1000 1:1000 2:969 3:969 4:971 5:971 6:969 7:969 8:976 9:976 10:969 11:969", &[3]);
    check("0:1000 1:1000 2:969 3:969 4:977 5:977 6:969 7:969", &[3, 7]);
}

#[test]
fn the_event_names_peak_low_and_the_completing_print() {
    let policy = FlashCrashPolicy::default();
    let prints = [(0, 1_010), (1, 1_000), (2, 965), (3, 960)];
    let prints = prints.map(|(ms, value)| (symbol(), Print { time_ns: ms * MS, key: 0, value }));
    let mut crashes = FlashCrashes::default();
    let early = crashes.take(&policy, CLEAR, at_ms(302), prints);
    assert_eq!((early.crashes.len(), early.readings.len()), (0, 1), "the last print waits for earlier ones");
    let falls = crashes.take(&policy, CLEAR, at_ms(303), []);
    let crash = &falls.crashes[0];
    assert_eq!((crash.peak.value, crash.low, crash.completed_by.value), (1_000, 965, 960));
    assert_eq!(crash.fall, Ratio::thousandths(35));
    assert_eq!(falls.readings[0].value, Ok(0.035));
    // It is 300 ms of tick time after the print: within a second.
    assert!(at_ms(303).time_ns - crash.completed_by.time_ns < 1_000 * MS);
    // Without further prints the peak leaves the window.
    let fall =
        |crashes: &mut FlashCrashes, ms| crashes.fall(&policy, at_ms(ms), &symbol()).map(|reading| reading.value);
    assert_eq!(fall(&mut crashes, 5_000), Some(Ok(0.035)));
    assert_eq!(fall(&mut crashes, 20_000), Some(Ok(0.0)));
    assert_eq!(crashes.take(&policy, CLEAR, at_ms(20_001), []).readings, []);
}

#[test]
fn values_that_cannot_be_are_faults() {
    let policy = FlashCrashPolicy::default();
    for value in [0, -5] {
        let prints = [1_000, 1_000, value].map(|value| (symbol(), Print { time_ns: 0, key: 0, value }));
        let prints =
            prints.into_iter().enumerate().map(|(key, (scope, print))| (scope, Print { key: key as u128, ..print }));
        let falls = FlashCrashes::default().take(&policy, CLEAR, at_ms(1_000), prints);
        assert_eq!(falls.readings[0].value, Err(Fault::OutOfRange));
        assert_eq!(falls.crashes, []);
    }
}

/// The completing prints, by looking at all prints of each window.
fn oracle(prints: &[Print], policy: &FlashCrashPolicy) -> Vec<Print> {
    let mut prints = prints.to_vec();
    prints.sort();
    let (mut found, mut is_fallen) = (Vec::new(), false);
    for (at, print) in prints.iter().enumerate() {
        let begin_ns = print.time_ns - in_ns(policy.window_ms);
        let mut window: Vec<_> =
            prints[..=at].iter().filter(|held| held.time_ns >= begin_ns).map(|held| held.value).collect();
        let (mut is_one, needed) = (false, if is_fallen { policy.fall.e9() / 10 * 8 } else { policy.fall.e9() });
        if window.len() >= 2 {
            let low = window[window.len() - 2].max(window[window.len() - 1]);
            window.sort();
            let peak = window[window.len() - 2];
            is_one = (peak - low) * 1_000_000_000 / peak >= i128::from(needed);
        }
        if is_one && !is_fallen {
            found.push(*print);
        }
        is_fallen = is_one;
    }
    found
}

#[test]
fn random_walks_crash_where_a_slow_oracle_says_whatever_the_arrival_and_over_restarts() {
    let mut crashed = 0;
    for seed in 0..200 {
        println!("seed {seed}");
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let policy = FlashCrashPolicy::default();
        let (mut ms, mut value, mut prints) = (0, 100_000i128, Vec::new());
        for key in 0..random.random_range(1..400) {
            ms += random.random_range(0..400);
            value = (value + random.random_range(-1_200..1_150)).max(1_000);
            let is_bad = random.random_range(0..40) == 0;
            let shown = if is_bad { value * random.random_range(1..30) / 10 + 1 } else { value };
            prints.push(Print { time_ns: ms * MS, key, value: shown });
        }
        let expected = oracle(&prints, &policy);
        crashed += expected.len();
        // Arrival: each print up to 250 ms after its time, so always inside the 300 ms that it is waited for.
        let mut arrivals: Vec<_> =
            prints.iter().map(|print| (print.time_ns / MS + random.random_range(0..250), *print)).collect();
        arrivals.shuffle(random);
        let (mut crashes, mut found, mut tick_ms) = (FlashCrashes::default(), Vec::new(), 0);
        while tick_ms < ms + 1_000 {
            tick_ms += random.random_range(1..50);
            let arrived: Vec<_> = arrivals.extract_if(.., |(at_ms, _)| *at_ms <= tick_ms).collect();
            let falls =
                crashes.take(&policy, CLEAR, at_ms(tick_ms), arrived.into_iter().map(|(_, print)| (symbol(), print)));
            assert_eq!(falls.late, 0, "seed {seed}");
            for crash in &falls.crashes {
                assert!(at_ms(tick_ms).time_ns - crash.completed_by.time_ns < 1_000 * MS, "seed {seed}");
            }
            found.extend(falls.crashes.into_iter().map(|crash| crash.completed_by));
            let bytes = postcard::to_allocvec(&crashes).expect("bytes");
            crashes = postcard::from_bytes(&bytes).expect("crashes");
        }
        assert_eq!(found, expected, "seed {seed}");
    }
    assert!(crashed > 100, "only {crashed} crashes: the walks are too quiet to test anything");
}

#[test]
fn late_prints_are_counted_and_state_is_bounded_by_the_window() {
    let policy = FlashCrashPolicy::default();
    let mut crashes = FlashCrashes::default();
    for ms in 0..100_000 {
        // Falling slowly, so that no print is reached by a later one: the worst case.
        let print = Print { time_ns: ms * MS, key: 0, value: i128::from(10_000_000 - ms) };
        crashes.take(&policy, CLEAR, at_ms(ms), [(symbol(), print)]);
        assert!(crashes.sizes()[1] <= 10_000 + 302);
    }
    let falls = crashes.take(&policy, CLEAR, at_ms(100_000), [(symbol(), Print { time_ns: 5, key: 0, value: 1 })]);
    assert_eq!((falls.late, falls.crashes.len()), (1, 0));
    crashes.retire(&symbol());
    assert_eq!(crashes.sizes(), [0, 0]);
}
