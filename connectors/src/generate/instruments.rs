//! The instruments of a generated market: names, ticks, lots and where their prices start.

use super::random::Random;
use tidewheel_schemas::{AggressorSide, Instrument, PRICE_LIMIT_E8};

/// Well-known assets with a price in dollars, eight decimals, most traded first.
const ASSETS: [(&str, i64); 24] = [
    ("BTC", 6_800_000_000_000),
    ("ETH", 350_000_000_000),
    ("SOL", 15_000_000_000),
    ("XRP", 52_000_000),
    ("DOGE", 12_500_000),
    ("BNB", 58_000_000_000),
    ("ADA", 38_000_000),
    ("AVAX", 2_700_000_000),
    ("LINK", 1_150_000_000),
    ("TRX", 13_200_000),
    ("DOT", 550_000_000),
    ("LTC", 6_700_000_000),
    ("BCH", 35_000_000_000),
    ("UNI", 720_000_000),
    ("NEAR", 480_000_000),
    ("APT", 830_000_000),
    ("ATOM", 470_000_000),
    ("FIL", 380_000_000),
    ("ARB", 56_000_000),
    ("OP", 160_000_000),
    ("SHIB", 1_800),
    ("PEPE", 950),
    ("ETC", 1_900_000_000),
    ("XLM", 9_400_000),
];

/// What makes the trades of one symbol.
#[derive(Clone, Debug)]
pub struct Symbol {
    /// The last price, in ticks.
    pub price_ticks: i64,
    /// Where it stays between.
    pub least_ticks: i64,
    pub most_ticks: i64,
    /// The step of prices, eight decimals.
    pub tick_e8: i64,
    /// The step of quantities, eight decimals.
    pub lot_e8: i64,
    /// Quantities are mostly below so many lots.
    pub typical_lots: u64,
    /// The id of the next trade.
    pub next_id: u64,
    /// The side that orders lean to, where they do, and until when, nanoseconds.
    pub leans_to: AggressorSide,
    pub leans_until_ns: i64,
}

/// Names the instruments, in the order of their activity, and makes their symbols.
pub fn make(venue: &str, separator: &str, count: u32, random: &mut Random) -> Option<(Vec<Instrument>, Vec<Symbol>)> {
    let mut instruments = Vec::with_capacity(count as usize);
    let mut symbols = Vec::with_capacity(count as usize);
    for rank in 0..count {
        let listed = ASSETS.get(rank as usize);
        let base = listed.map_or_else(|| format!("T{rank:04}"), |(name, _)| (*name).to_owned());
        // From a hundredth of a cent to a thousand dollars.
        let price_e8 = listed
            .map_or_else(|| 10_000 + random.below(10i64.pow(4 + rank % 8) as u64 * 10) as i64, |(_, price)| *price);
        instruments.push(Instrument::new(venue, &format!("{base}{separator}USDT")).ok()?);
        symbols.push(symbol(price_e8, random));
    }
    Some((instruments, symbols))
}

fn symbol(price_e8: i64, random: &mut Random) -> Symbol {
    // Five to six digits of price: the tick is a power of ten.
    let tick_e8 = power_of_ten_below(price_e8 / 100_000);
    let price_ticks = price_e8 / tick_e8;
    // About a thousand dollars a trade, in lots of about a dollar.
    let lot_e8 = power_of_ten_below((10_000_000_000_000_000i64 / price_e8).min(1_000_000_000_000));
    let typical_e8 = 10_000_000_000_000_000_000i128 / i128::from(price_e8);
    // The largest trades are 4,000 times the typical one, and their quantities have at most 18 digits.
    let most_lots = (PRICE_LIMIT_E8 - 1) / 4_000 / lot_e8;
    let typical_lots = (typical_e8 / i128::from(lot_e8)).min(most_lots.into()).clamp(10, 10_000) as u64;
    let next_id = 1_000_000 + random.below(1_000_000_000);
    Symbol {
        price_ticks,
        least_ticks: (price_ticks / 4).max(10),
        most_ticks: price_ticks.max(10) * 4,
        tick_e8,
        lot_e8,
        typical_lots,
        next_id,
        leans_to: AggressorSide::Buy,
        leans_until_ns: i64::MIN,
    }
}

fn power_of_ten_below(value: i64) -> i64 {
    10i64.pow(value.max(1).ilog10())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_of_symbols_have_sound_ticks_and_lots() {
        let (instruments, symbols) = make("binance", "", 3_000, &mut Random::new(3)).expect("good names");
        assert_eq!(instruments[0], Instrument::new("binance", "BTCUSDT").expect("a good name"));
        assert_eq!((symbols[0].tick_e8, symbols[0].price_ticks), (10_000_000, 680_000));
        let mut names: Vec<_> = instruments.iter().map(|instrument| &instrument.symbol).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 3_000);
        for symbol in symbols {
            assert!(symbol.least_ticks > 0 && symbol.most_ticks * symbol.tick_e8 < PRICE_LIMIT_E8, "{symbol:?}");
            assert!(
                symbol.lot_e8.checked_mul(symbol.typical_lots as i64 * 4_000).is_some_and(|most| most < PRICE_LIMIT_E8),
                "{symbol:?}"
            );
        }
    }
}
