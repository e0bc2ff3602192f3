//! Quotes, books, marks, funding and liquidations of a generated market: they fit the trades, each other, and the decoders.

use super::*;
use crate::decode::{DecodeConfig, Decoder};
use crate::source::MessageBlock;
use std::collections::BTreeMap;
use tidewheel_schemas::{BookUpdate, Level, MarketContent, MarketRecord};

const HOUR_NS: i64 = 3_600 * SECOND_NS;

fn market(trades: u64, trades_per_second: u64, streams: StreamKinds) -> Market {
    let config = MarketConfig { seed: 42, symbols: 4, trades, trades_per_second, streams, ..MarketConfig::default() };
    Market::new(config).expect("a sound market")
}

fn all(market: &mut Market) -> Vec<(Event, Vec<MarketRecord>)> {
    let mut found = Vec::new();
    while let Some(event) = market.next() {
        let mut records = Vec::new();
        market.beside(&event, &mut records);
        found.push((event, records));
    }
    found
}

#[test]
fn the_trades_of_a_seed_do_not_change() {
    let with: Vec<Event> =
        all(&mut market(20_000, 1_000, StreamKinds::ALL)).into_iter().map(|(event, _)| event).collect();
    let without: Vec<Event> = market(20_000, 1_000, StreamKinds::TRADES).collect();
    assert_eq!(with, without);
    assert!(all(&mut market(2_000, 1_000, StreamKinds::TRADES)).iter().all(|(_, records)| records.is_empty()));
}

/// A book as a reader keeps it: nothing while an update is missing.
#[derive(Default)]
struct Book {
    sides: Option<[BTreeMap<i64, i64>; 2]>,
    last_id: u64,
}

impl Book {
    fn apply(&mut self, update: &BookUpdate) {
        let side = |levels: &[Level]| -> BTreeMap<i64, i64> {
            levels.iter().map(|level| (level.price_e8, level.quantity_e8)).collect()
        };
        if update.is_snapshot {
            self.sides = Some([side(&update.bids), side(&update.asks)]);
        } else if update.previous_id == Some(self.last_id) && update.first_id == self.last_id + 1 {
            for (side, levels) in self.sides.iter_mut().flatten().zip([&update.bids, &update.asks]) {
                for level in levels.iter() {
                    match level.quantity_e8 {
                        0 => side.remove(&level.price_e8).is_some().then_some(()).expect("a level that was there"),
                        quantity => drop(side.insert(level.price_e8, quantity)),
                    }
                }
            }
        } else {
            self.sides = None;
        }
        self.last_id = update.last_id;
    }
}

#[test]
fn books_quotes_and_trades_fit_each_other() {
    let mut market = market(60_000, 1_000, StreamKinds::ALL);
    let mut books: Vec<Book> = (0..4).map(|_| Book::default()).collect();
    let (mut quotes, mut compared, mut gaps, mut snapshots, mut liquidations) = (0, 0, 0, 0, 0);
    for (event, records) in all(&mut market) {
        let book = &mut books[event.instrument as usize];
        assert!(records.iter().all(|record| record.event_time_ns == event.trade.event_time_ns));
        for record in &records {
            assert_eq!(record.receive_time_ns, Some(event.receive_time_ns));
            match &record.content {
                MarketContent::Book(update) => {
                    let was_whole = book.sides.is_some();
                    book.apply(update);
                    gaps += u32::from(was_whole && book.sides.is_none());
                    snapshots += u32::from(update.is_snapshot);
                }
                MarketContent::Quote(quote) => {
                    quotes += 1;
                    let (bid, ask) = (quote.bid.expect("a bid"), quote.ask.expect("an ask"));
                    assert!(bid.price_e8 < ask.price_e8);
                    let price_e8 = event.trade.price_e8;
                    assert!(bid.price_e8 == price_e8 || ask.price_e8 == price_e8, "the touch is where the trade was");
                    let Some([bids, asks]) = book.sides.as_ref().filter(|_| quote.update_id == Some(book.last_id))
                    else {
                        continue;
                    };
                    compared += 1;
                    assert_eq!(bids.last_key_value(), Some((&bid.price_e8, &bid.quantity_e8)));
                    assert_eq!(asks.first_key_value(), Some((&ask.price_e8, &ask.quantity_e8)));
                    assert!(bids.len() <= 10 && asks.len() == 10);
                }
                MarketContent::Liquidation(liquidation) => {
                    liquidations += 1;
                    assert_eq!((liquidation.side, liquidation.price_e8), (event.trade.side, event.trade.price_e8));
                }
                MarketContent::Mark(_) | MarketContent::Funding(_) => {}
            }
        }
    }
    println!(
        "{quotes} quotes, {compared} of them with a book, {gaps} gaps, {snapshots} snapshots, {liquidations} liquidations"
    );
    assert_eq!(quotes, 60_000);
    assert!(compared > 58_000 && gaps > 50 && liquidations > 20);
    // One for each book to begin with, one after each gap; those of the last gaps may be still to come.
    assert!((gaps..=gaps + 4).contains(&snapshots), "{gaps} gaps, {snapshots} snapshots");
}

#[test]
fn funding_is_settled_every_eight_hours() {
    // Thirty hours from midnight.
    let mut market = market(108_000, 1, StreamKinds::ALL);
    let (mut settled, mut last_rate): (BTreeMap<u32, Vec<i64>>, BTreeMap<u32, i64>) = Default::default();
    let start = market.config().start_time_ns;
    for (event, records) in all(&mut market) {
        for record in records {
            match record.content {
                MarketContent::Mark(mark) => {
                    let next = mark.next_funding_time_ns.expect("it is always told");
                    assert!(next > record.event_time_ns && next - record.event_time_ns <= 8 * HOUR_NS);
                    let rate = mark.funding_rate_e8.expect("it is always told");
                    assert!(rate.abs() < 100_000_000);
                    last_rate.insert(event.instrument, rate);
                }
                MarketContent::Funding(funding) => {
                    assert_eq!(last_rate.get(&event.instrument), Some(&funding.rate_e8));
                    settled.entry(event.instrument).or_default().push((record.event_time_ns - start) / HOUR_NS);
                }
                _ => {}
            }
        }
    }
    assert_eq!(settled.into_values().collect::<Vec<_>>(), vec![vec![8, 16, 24]; 4]);
}

#[test]
fn what_is_written_is_decoded_to_itself() {
    for format in [WireFormat::Canonical, WireFormat::Binance, WireFormat::BinanceEnvelope] {
        // So slow a market that funding is settled in it.
        let mut market = market(40_000, 1, StreamKinds::ALL);
        let (mut block, mut expected) = (MessageBlock::default(), Vec::new());
        for (_, records) in all(&mut market) {
            for record in records {
                let mut message = Vec::new();
                assert!(render_record(&record, format, &mut message));
                let position = expected.len() as u64;
                block.push(&message, position, record.receive_time_ns);
                expected.push(MarketRecord { position, ..record });
            }
        }
        for format in [format.format(), Format::Auto] {
            let config = DecodeConfig { format, ..DecodeConfig::default() };
            let chunk = Decoder::new(config).decode(block.clone());
            assert_eq!((chunk.rejects.first(), chunk.ignored.len(), chunk.columns.len()), (None, 0, 0));
            assert_eq!(chunk.market.len(), expected.len());
            let differ = chunk.market.iter().zip(&expected).find(|(found, expected)| found != expected);
            assert_eq!(differ, None);
        }
        let kinds = expected.iter().map(|record| std::mem::discriminant(&record.content));
        assert_eq!(kinds.collect::<HashSet<_>>().len(), 5, "records of every kind");
    }
    let (_, records) = all(&mut market(1, 1, StreamKinds::ALL)).remove(0);
    let mut nothing = Vec::new();
    assert!(!render_record(&records[0], WireFormat::Kraken, &mut nothing) && nothing.is_empty());
}
