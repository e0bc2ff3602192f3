//! The paper account of a generated market: it fits the trades, itself, and the decoder.

use super::*;
use crate::decode::{DecodeConfig, Decoder, Format};
use crate::source::MessageBlock;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tidewheel_schemas::{AccountContent, AccountRecord, FillChange, Side};

const WITH_ACCOUNT: StreamKinds = StreamKinds { account: true, ..StreamKinds::TRADES };

fn market(streams: StreamKinds) -> Market {
    // So slow that orders have time to end.
    let config = MarketConfig {
        seed: 42,
        symbols: 4,
        trades: 60_000,
        trades_per_second: 20,
        streams,
        ..MarketConfig::default()
    };
    Market::new(config).expect("a sound market")
}

fn all(market: &mut Market) -> Vec<(Event, Vec<AccountRecord>)> {
    let mut found = Vec::new();
    while let Some(event) = market.next() {
        let mut records = Vec::new();
        market.account(&event, &mut records);
        found.push((event, records));
    }
    found
}

#[test]
fn the_trades_of_a_seed_do_not_change() {
    let with: Vec<Event> = all(&mut market(WITH_ACCOUNT)).into_iter().map(|(event, _)| event).collect();
    assert_eq!(with, market(StreamKinds::TRADES).collect::<Vec<_>>());
    assert!(all(&mut market(StreamKinds::ALL)).iter().all(|(_, records)| records.is_empty()));
    assert_eq!(all(&mut market(WITH_ACCOUNT)), all(&mut market(WITH_ACCOUNT)), "the same seed");
}

#[test]
fn orders_and_fills_fit_each_other_and_the_trades() {
    let (mut kinds, mut open): (BTreeMap<&str, u32>, HashMap<Arc<str>, _>) = Default::default();
    let (mut held, mut cancelled): (HashMap<_, i64>, _) = (HashMap::new(), 0);
    let mut fills = HashMap::new();
    for (event, records) in all(&mut market(WITH_ACCOUNT)) {
        for record in records {
            assert_eq!(record.event_time_ns, event.trade.event_time_ns);
            *kinds.entry(record.content.name()).or_default() += 1;
            match record.content {
                AccountContent::Intent(intent) => {
                    let is_long = held.get(&intent.instrument).is_some_and(|held| *held > 0);
                    assert_eq!((intent.side == Side::Sell, intent.is_reduce_only), (is_long, is_long));
                    open.insert(intent.intent_id.clone(), (intent.quantity_e8, intent));
                }
                AccountContent::Fill(fill) => {
                    let (left_e8, intent) =
                        open.get_mut(fill.intent_id.as_ref().expect("an order")).expect("an order that stands");
                    assert_eq!(
                        (&fill.holder, &fill.instrument, fill.side),
                        (&intent.holder, &intent.instrument, intent.side)
                    );
                    *left_e8 -= fill.quantity_e8;
                    assert!(*left_e8 >= 0 && fill.quantity_e8 > 0 && fill.quantity_e8 <= event.trade.quantity_e8);
                    assert_eq!(fill.price_e8, event.trade.price_e8);
                    let limit_e8 = intent.limit_price_e8.expect("a limit");
                    assert!(fill.side.sign() * (limit_e8 - fill.price_e8) >= 0);
                    assert!(intent.expires_ns.is_some_and(|expires_ns| fill.event_time_ns < expires_ns));
                    *held.entry(fill.instrument.clone()).or_default() += fill.side.sign() * fill.quantity_e8;
                    fills.insert(fill.fill_id.clone(), fill);
                }
                AccountContent::OrderEnd(end) => {
                    let (left_e8, _) = open.remove(&end.intent_id).expect("an order that stands");
                    assert!(left_e8 > 0, "what is filled does not end");
                }
                AccountContent::FillAmendment(amendment) => {
                    let fill = &fills[&amendment.fill_id];
                    assert_eq!(amendment.original_time_ns, Some(fill.event_time_ns));
                    match amendment.change {
                        FillChange::Cancel => {
                            cancelled += 1;
                            *held.get_mut(&fill.instrument).expect("held") -= fill.side.sign() * fill.quantity_e8;
                        }
                        FillChange::Correct { fill: corrected, .. } => assert!(corrected.price_e8 > fill.price_e8),
                    }
                }
                AccountContent::Cash(_) | AccountContent::Reference(_) => {}
            }
        }
    }
    println!("{kinds:?}, {cancelled} cancelled");
    let enough =
        [("reference", 4), ("cash", 2), ("order_intent", 200), ("fill", 200), ("order_end", 5), ("fill_amendment", 5)];
    assert!(enough.iter().all(|(kind, least)| kinds[kind] >= *least), "{kinds:?}");
    assert!(kinds["reference"] == 4 && cancelled > 0 && kinds["fill_amendment"] > cancelled);
}

#[test]
fn what_is_written_is_decoded_to_itself() {
    let (mut block, mut expected) = (MessageBlock::default(), Vec::new());
    for (_, records) in all(&mut market(WITH_ACCOUNT)) {
        for record in records {
            let mut message = Vec::new();
            assert!(!render_account_record(&record, WireFormat::Binance, &mut message) && message.is_empty());
            assert!(render_account_record(&record, WireFormat::Canonical, &mut message));
            let position = expected.len() as u64;
            block.push(&message, position, record.receive_time_ns);
            expected.push(AccountRecord { position, ..record });
        }
    }
    for format in [Format::Canonical, Format::Auto] {
        let chunk = Decoder::new(DecodeConfig { format, ..DecodeConfig::default() }).decode(block.clone());
        assert_eq!((chunk.rejects.first(), chunk.ignored.len(), chunk.columns.len()), (None, 0, 0));
        assert_eq!(chunk.account.len(), expected.len());
        let differ = chunk.account.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert_eq!(differ, None);
    }
}
