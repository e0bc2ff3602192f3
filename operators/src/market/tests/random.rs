//! Random markets: three instruments whose books really change, told by the rules of spot, futures and a venue that starts again,
//! with lost changes, snapshots now and then, some of them of few levels or without a time, numbers that begin again, partial
//! marks, liquidations, and records that come late, twice, with another time, or contradict.

use super::MINUTE_NS;
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use tidewheel_schemas::{
    AggressorSide, BookUpdate, Funding, Instrument, Level, Liquidation, Mark, MarketContent, MarketRecord, Quote,
    SECOND_NS,
};

/// 2026-01-13, 20:00 UTC.
pub const BEGIN_NS: i64 = 1_768_334_400 * SECOND_NS;

struct Venue {
    instrument: Instrument,
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    last_id: u64,
    /// Whether changes name the one before.
    names_previous: bool,
    /// When its numbers began.
    begun_ns: i64,
    /// Quotes so far.
    quotes: u64,
    middle: i64,
}

impl Venue {
    fn snapshot(&self) -> BookUpdate {
        let level = |(price_e8, quantity_e8): (&i64, &i64)| Level { price_e8: *price_e8, quantity_e8: *quantity_e8 };
        // Two of one number are the same.
        let depth = self.last_id.is_multiple_of(3).then_some(self.last_id as u32 % 4 + 2);
        let most = depth.map_or(usize::MAX, |depth| depth as usize);
        BookUpdate {
            sequence: self.last_id,
            first_id: self.last_id,
            last_id: self.last_id,
            previous_id: None,
            is_snapshot: true,
            depth,
            bids: self.bids.iter().rev().take(most).map(level).collect(),
            asks: self.asks.iter().take(most).map(level).collect(),
        }
    }

    fn change(&mut self, rng: &mut ChaCha8Rng) -> BookUpdate {
        self.middle += rng.random_range(-1..=1);
        let updates = rng.random_range(1..4u64);
        // Where changes name the one before, numbers have holes.
        let hole = if self.names_previous { rng.random_range(0..3) } else { 0 };
        let (previous, first_id) = (self.last_id, self.last_id + 1 + hole);
        self.last_id = first_id + updates - 1;
        let mut sides = [Vec::new(), Vec::new()];
        for (at, side) in sides.iter_mut().enumerate() {
            for _ in 0..rng.random_range(0..4) {
                let distance = rng.random_range(0..30);
                let price = if at == 0 { self.middle - 1 - distance } else { self.middle + 1 + distance };
                // Zero takes it away, whether it is there or not.
                let quantity = if rng.random_bool(0.3) { 0 } else { rng.random_range(1..50) };
                side.push(Level { price_e8: price * 100_000_000, quantity_e8: quantity * 1_000_000 });
            }
        }
        for (book, side) in [&mut self.bids, &mut self.asks].into_iter().zip(&sides) {
            for level in side {
                book.insert(level.price_e8, level.quantity_e8);
            }
            book.retain(|_, quantity_e8| *quantity_e8 != 0);
        }
        // What the move of the middle crossed is gone, and is told so.
        let middle_e8 = self.middle * 100_000_000;
        let gone = |price_e8: &i64| Level { price_e8: *price_e8, quantity_e8: 0 };
        sides[0].extend(self.bids.range(middle_e8..).map(|(price_e8, _)| gone(price_e8)));
        sides[1].extend(self.asks.range(..=middle_e8).map(|(price_e8, _)| gone(price_e8)));
        self.bids.split_off(&middle_e8);
        self.asks = self.asks.split_off(&(middle_e8 + 1));
        let [bids, asks] = sides;
        BookUpdate {
            sequence: self.last_id,
            first_id,
            last_id: self.last_id,
            previous_id: self.names_previous.then_some(previous),
            is_snapshot: false,
            depth: None,
            bids: bids.into(),
            asks: asks.into(),
        }
    }

    fn quote(&self, update_id: Option<u64>) -> Quote {
        let level = |(price_e8, quantity_e8): (&i64, &i64)| Level { price_e8: *price_e8, quantity_e8: *quantity_e8 };
        Quote { update_id, bid: self.bids.last_key_value().map(level), ask: self.asks.first_key_value().map(level) }
    }
}

/// The records of a market with the times at which they arrive, in the order of arrival. With troubles some come twice, contradict,
/// or come later than the horizon; without, every record will be taken.
pub fn market(rng: &mut ChaCha8Rng, minutes: i64, delay_ns: i64, has_troubles: bool) -> Vec<(i64, MarketRecord)> {
    let names = [("BTCUSDT", false), ("ETHUSDT", true), ("XRPUSDT", false)];
    let mut venues = names.map(|(symbol, names_previous)| Venue {
        instrument: Instrument::new("binance", symbol).expect("a name"),
        bids: BTreeMap::new(),
        asks: BTreeMap::new(),
        last_id: 1_000,
        names_previous,
        begun_ns: BEGIN_NS,
        quotes: 0,
        middle: 1_000,
    });
    let mut arrivals: Vec<(i64, MarketRecord)> = Vec::new();
    let mut time_ns = BEGIN_NS;
    while time_ns < BEGIN_NS + minutes * MINUTE_NS {
        // Now and then it is quiet for minutes.
        let step_ns = if rng.random_bool(0.002) { 4 * MINUTE_NS } else { rng.random_range(0..2 * SECOND_NS) };
        time_ns += step_ns / 1_000_000 * 1_000_000;
        let number = rng.random_range(0..venues.len());
        let venue = &mut venues[number];
        // Its numbers begin again, without a rest, soon after the last time too.
        if rng.random_bool(0.006) && time_ns > venue.begun_ns + 31 * SECOND_NS {
            (venue.last_id, venue.begun_ns) = (rng.random_range(1..40), time_ns);
        }
        let content = match rng.random_range(0..100) {
            0..50 => {
                let change = venue.change(rng);
                // Some are lost.
                if rng.random_bool(0.01) {
                    continue;
                }
                MarketContent::Book(change)
            }
            50..54 => MarketContent::Book(venue.snapshot()),
            54..75 => {
                venue.quotes += 1;
                MarketContent::Quote(venue.quote(Some(venue.last_id * 1_000 + venue.quotes % 1_000)))
            }
            75..85 => MarketContent::Quote(venue.quote(None)),
            85..93 => {
                let mut some = |number: i64| rng.random_bool(0.5).then_some(number);
                let (rate, next) = (some(rng_of(time_ns, 1) % 1_000 - 500), some(time_ns + 60 * MINUTE_NS));
                let prices = [some(rng_of(time_ns, 2) % 9_999 + 1), some(rng_of(time_ns, 3) % 9_999 + 1)];
                MarketContent::Mark(Mark {
                    mark_price_e8: prices[0],
                    index_price_e8: prices[1],
                    funding_rate_e8: rate,
                    next_funding_time_ns: next,
                })
            }
            93..94 => {
                let rate_e8 = rng_of(time_ns, 4) % 1_000;
                MarketContent::Funding(Funding { rate_e8, mark_price_e8: None })
            }
            _ => MarketContent::Liquidation(Liquidation {
                side: match rng.random_range(0..5) {
                    0 => AggressorSide::Unknown,
                    1..3 => AggressorSide::Buy,
                    _ => AggressorSide::Sell,
                },
                price_e8: 1_000 * 100_000_000,
                quantity_e8: rng.random_range(1..4) * 1_000,
                occurrence: rng.random_range(0..2),
            }),
        };
        // The venue's clock wavers.
        let mut event_time_ns = time_ns - rng.random_range(0..3) * 500_000_000;
        let is_timeless = match &content {
            MarketContent::Book(update) => update.is_snapshot && rng.random_bool(0.4),
            MarketContent::Quote(quote) => quote.update_id.is_some() && number == 2,
            _ => false,
        };
        if is_timeless {
            // Some are long on their way.
            let way_ns = if rng.random_bool(0.1) { 3 * MINUTE_NS } else { 2 * SECOND_NS };
            event_time_ns = time_ns + rng.random_range(0..way_ns) / 1_000_000 * 1_000_000;
        }
        let record = MarketRecord {
            instrument: venue.instrument.clone(),
            event_time_ns,
            is_timeless,
            partition: rng.random_range(0..2),
            position: arrivals.len() as u64,
            index: 0,
            receive_time_ns: None,
            content,
        };
        let mut arrival_ns = time_ns + if rng.random_bool(0.2) { rng.random_range(0..=delay_ns) } else { 0 };
        if has_troubles && rng.random_bool(0.02) {
            arrival_ns += 4 * delay_ns;
        }
        arrivals.push((arrival_ns, record.clone()));
        if rng.random_bool(0.1) && matches!(record.content, MarketContent::Quote(_) | MarketContent::Book(_)) {
            let mut again = MarketRecord { position: arrivals.len() as u64, ..record.clone() };
            again.event_time_ns += rng.random_range(-5..20) * 1_000_000_000;
            again.is_timeless |= again.event_time_ns > record.event_time_ns && rng.random_bool(0.2);
            arrivals.push((arrival_ns + rng.random_range(0..=delay_ns), again));
        }
        if has_troubles && rng.random_bool(0.05) {
            let mut again = MarketRecord { position: arrivals.len() as u64, ..record };
            if rng.random_bool(0.5) {
                contradict(&mut again.content);
            }
            arrivals.push((arrival_ns + rng.random_range(0..MINUTE_NS), again));
        }
    }
    // Marks and funding of one time would be one, or contradict: without troubles each time has one.
    if !has_troubles {
        let mut times = std::collections::BTreeSet::new();
        arrivals.retain(|(_, record)| {
            let kind = match record.content {
                MarketContent::Mark(_) => 0,
                MarketContent::Funding(_) => 1,
                MarketContent::Quote(Quote { update_id: Some(_), .. }) => 2,
                _ => return true,
            };
            times.insert((record.instrument.clone(), kind, record.event_time_ns))
        });
    }
    arrivals.sort_by_key(|(arrival_ns, record)| (*arrival_ns, record.position));
    arrivals
}

/// A number that depends on a time.
fn rng_of(time_ns: i64, salt: i64) -> i64 {
    (time_ns / 1_000_000).wrapping_mul(2_654_435_761 + salt).rem_euclid(1_000_003)
}

fn contradict(content: &mut MarketContent) {
    match content {
        MarketContent::Quote(quote) => quote.bid = None,
        MarketContent::Book(update) => update.bids = [].into(),
        MarketContent::Mark(mark) => mark.mark_price_e8 = Some(7),
        MarketContent::Funding(funding) => funding.rate_e8 += 1,
        MarketContent::Liquidation(liquidation) => liquidation.quantity_e8 += 1,
    }
}
