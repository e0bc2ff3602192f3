//! Which partitions are read up to now, though their broker never says that nothing follows.
//!
//! A broker says so when it has nothing to send. A partition with a busy book always has something, and one that holds no trades, or
//! few, would hold the watermark for ever: it waits for trades of those that are behind. So one that carries market records or records
//! of accounts counts as caught up with while the newest message read of it is younger than a second. What it has of trades beyond that is no older.
//!
//! Partitions of trades alone are judged by their broker's word only. What is decided here is written into the tick's line of the log
//! like that word, so that ticks made again are the same.

use crate::ticks::Piece;
use std::collections::{BTreeMap, BTreeSet};
use tidewheel_connectors::source::MessageBlock;

/// How old the newest message read may be, by the time that its broker or producer gave it, and how far ahead of our clock.
const YOUNG_NS: i64 = 1_000_000_000;

/// What is known of the partitions, by number.
#[derive(Debug, Default)]
pub struct Current {
    newest_ns: BTreeMap<u32, i64>,
    has_others: BTreeSet<u32>,
}

impl Current {
    /// Takes note of when the newest messages of a tick were received.
    pub fn note_messages(&mut self, blocks: &[MessageBlock]) {
        for block in blocks {
            if let Some(newest) = block.messages.last().and_then(|message| message.receive_time_ns) {
                self.newest_ns.insert(block.partition, newest);
            }
        }
    }

    /// Takes note of which partitions carry records beside trades.
    pub fn note_records(&mut self, pieces: &[Piece]) {
        self.has_others.extend(pieces.iter().filter(|piece| piece.has_others()).map(Piece::partition));
    }

    /// Whether a partition with records beside trades is read up to now.
    pub fn is_read_up_to(&self, now_ns: i64, partition: u32) -> bool {
        let newest = self.newest_ns.get(&partition).filter(|_| self.has_others.contains(&partition));
        newest.is_some_and(|newest| now_ns.abs_diff(*newest) < YOUNG_NS.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticks::Chunk;
    use tidewheel_connectors::decode::{DecodeConfig, Decoder};

    const NOW_NS: i64 = 1_723_161_255_342_000_000;
    const QUOTE: &str = r#"{"type":"quote","venue":"a","symbol":"B","event_time":1723161255342000000,"bid_price":"1","bid_quantity":"1"}"#;
    const CASH: &str =
        r#"{"type":"cash","account":"a","cash_id":"1","currency":"C","amount":"1","event_time":1723161255342000000}"#;
    const TRADE: &str = r#"{"type":"trade","venue":"a","symbol":"B","trade_id":"1","event_time":1723161255342000000,"price":"1","quantity":"1"}"#;

    fn read(current: &mut Current, partition: u32, payload: &str, receive_time_ns: Option<i64>) {
        let mut block = MessageBlock { partition, ..MessageBlock::default() };
        block.push(payload.as_bytes(), 0, receive_time_ns);
        current.note_messages(std::slice::from_ref(&block));
        let chunk = Decoder::new(DecodeConfig::default()).decode(block);
        assert_eq!(chunk.rejects, []);
        current.note_records(&[Chunk::new(chunk).take_all()]);
    }

    #[test]
    fn only_young_messages_of_partitions_with_market_records_tell() {
        let mut current = Current::default();
        assert!(!current.is_read_up_to(NOW_NS, 0), "nothing was read");
        read(&mut current, 0, TRADE, Some(NOW_NS));
        assert!(!current.is_read_up_to(NOW_NS, 0), "trades alone: the broker tells");
        read(&mut current, 1, QUOTE, None);
        assert!(!current.is_read_up_to(NOW_NS, 1), "nobody knows how old it is");
        read(&mut current, 1, QUOTE, Some(NOW_NS - 999_000_000));
        assert!(current.is_read_up_to(NOW_NS, 1));
        assert!(!current.is_read_up_to(NOW_NS + 1_000_000, 1), "a second old");
        // Once it has carried them it is one of those, whatever its newest message is.
        read(&mut current, 1, TRADE, Some(NOW_NS + 500_000_000));
        assert!(current.is_read_up_to(NOW_NS, 1));
        read(&mut current, 1, QUOTE, Some(NOW_NS + 2_000_000_000));
        assert!(!current.is_read_up_to(NOW_NS, 1), "a clock that is ahead tells nothing");
        read(&mut current, 2, CASH, Some(NOW_NS));
        assert!(current.is_read_up_to(NOW_NS, 2), "what accounts do");
    }
}
