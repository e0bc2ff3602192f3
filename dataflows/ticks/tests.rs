//! How a chunk is given out: whatever it is cut into, the same records in the same order, and each where it belongs.

use super::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidewheel_schemas::{AggressorSide, Instrument, MarketContent, Quote, RejectReason, Trade, TradeId, TradeKind};

fn instrument() -> Instrument {
    Instrument::new("v", "S").expect("a name")
}

fn record(position: u64, index: u16, event_time_ns: i64, receive_time_ns: Option<i64>) -> MarketRecord {
    let content = MarketContent::Quote(Quote { update_id: None, bid: None, ask: None });
    MarketRecord {
        instrument: instrument(),
        event_time_ns,
        is_timeless: false,
        partition: 0,
        position,
        index,
        receive_time_ns,
        content,
    }
}

fn reject(position: u64) -> Reject {
    Reject {
        partition: 0,
        position,
        reason: RejectReason::Number,
        records: 1,
        detail: String::new(),
        raw: Arc::default(),
        receive_time_ns: None,
    }
}

/// Messages that hold trades, market records, both or junk.
fn chunk(random: &mut ChaCha8Rng, has_receive_times: bool) -> DecodedChunk {
    let mut chunk = DecodedChunk::default();
    chunk.columns.instruments.push(instrument());
    for position in 0..random.random_range(0..30) {
        let time = 1_000 * position as i64 + random.random_range(-3_000..3_000);
        for number in 0..random.random_range(0..3) {
            let trade = Trade {
                event_time_ns: time,
                id: TradeId::position(0, position, number),
                price_e8: 1,
                quantity_e8: 1,
                count: 1,
                side: AggressorSide::Buy,
                kind: TradeKind::Market,
            };
            chunk.columns.push(0, &trade, position);
            if has_receive_times {
                chunk.columns.receive_time_ns.push(time + 7);
            }
        }
        for index in 0..random.random_range(0..3) {
            chunk.market.push(record(position, index, time + 1, has_receive_times.then_some(time + 8)));
        }
        if random.random_bool(0.2) {
            chunk.rejects.push(reject(position));
        }
        chunk.end_position = position + 1;
    }
    chunk
}

/// What the clock must be: the entries sorted by position, of one message the trades first.
fn clock(chunk: &DecodedChunk, has_receive_times: bool) -> Vec<i64> {
    let columns = &chunk.columns;
    let trades = (0..columns.len()).map(|row| {
        let time = if has_receive_times { columns.receive_time_ns[row] } else { columns.event_time_ns[row] };
        (columns.position[row], 0, row, time)
    });
    let records = chunk.market.iter().enumerate().map(|(number, record)| {
        let time = record.receive_time_ns.filter(|_| has_receive_times).unwrap_or(record.event_time_ns);
        (record.position, 1, number, time)
    });
    let mut entries: Vec<_> = trades.chain(records).collect();
    entries.sort_unstable();
    entries.into_iter().map(|entry| entry.3).collect()
}

#[test]
fn any_cut_gives_the_same_records_in_the_order_of_their_source() {
    let seed: u64 = 0x7469_636b;
    println!("seed {seed}");
    let random = &mut ChaCha8Rng::seed_from_u64(seed);
    for round in 0..2_000 {
        let has_receive_times = round % 2 == 0;
        let whole = chunk(random, has_receive_times);
        let entries = clock(&whole, has_receive_times);
        let mut cut = Chunk::new(whole.clone());
        assert_eq!(cut.clock_ns(), entries);
        let (mut next_row, mut market, mut rejects, mut end) = (0, Vec::new(), Vec::new(), 0);
        while cut.next_entry() < entries.len() {
            let entry = random.random_range(cut.next_entry()..=entries.len());
            let piece = cut.take_until(entry);
            assert_eq!(piece.rows.start, next_row);
            next_row = piece.rows.end;
            market.extend(piece.market);
            rejects.extend(piece.rejects);
            assert!(piece.end_position >= end && piece.end_position <= whole.end_position);
            end = piece.end_position;
            // Nothing is given out before what stands in front of it.
            assert_eq!(next_row + market.len(), entry);
            assert!(rejects.iter().all(|reject| reject.position < end));
        }
        let last = cut.take_all();
        market.extend(last.market);
        rejects.extend(last.rejects);
        assert_eq!((last.rows.end, last.end_position), (whole.columns.len(), whole.end_position));
        assert_eq!((market, rejects), (whole.market, whole.rejects));
    }
}

#[test]
fn a_chunk_without_all_receive_times_goes_by_event_times() {
    let mut chunk =
        DecodedChunk { market: vec![record(0, 0, 5, Some(50)), record(1, 0, 6, None)], ..Default::default() };
    chunk.end_position = 2;
    assert_eq!(Chunk::new(chunk.clone()).clock_ns(), [5, 6]);
    chunk.market[1].receive_time_ns = Some(60);
    assert_eq!(Chunk::new(chunk).clock_ns(), [50, 60]);
}

/// Market records neither move the watermark nor keep a partition from being idle.
#[test]
fn the_watermark_goes_by_trades_alone() {
    let limits = IntakeLimits { horizon_ns: 10_000_000_000, skew_ns: 1_000_000_000 };
    let mut ticker = Ticker::new(TickConfig { limits, provisional_every_ms: None });
    let second = 1_000_000_000;
    let piece = |trades: &[i64], market: &[i64]| {
        let mut chunk = DecodedChunk::default();
        chunk.columns.instruments.push(instrument());
        for (position, &at) in trades.iter().enumerate() {
            let trade = Trade {
                event_time_ns: at * second,
                id: TradeId::number(at as u64),
                price_e8: 1,
                quantity_e8: 1,
                count: 1,
                side: AggressorSide::Buy,
                kind: TradeKind::Market,
            };
            chunk.columns.push(0, &trade, position as u64);
        }
        let records = market.iter().enumerate();
        chunk.market = records.map(|(at, &time)| record(100 + at as u64, 0, time * second, None)).collect();
        chunk.end_position = 1_000;
        vec![Chunk::new(chunk).take_all()]
    };
    let mut tick = |at: u64, trades: &[i64], market: &[i64]| {
        let input = ticker.tick(at * 1_000, piece(trades, market), &[true]);
        let times: Vec<i64> = input.market.iter().map(|record| record.event_time_ns / second).collect();
        let told: Vec<RejectReason> = input.source.rejects.iter().map(|reject| reject.reason).collect();
        (input.header.watermark_ns, times, told, input.source.counters)
    };
    // Before the first trade nothing is too old.
    assert_eq!(tick(100, &[], &[1, 99]).1, [1, 99]);
    let (watermark_ns, times, told, counters) = tick(101, &[90], &[100, 103]);
    assert_eq!((watermark_ns, times, told), (90 * second, vec![100], vec![RejectReason::Future]));
    assert_eq!((counters.read, counters.rejected), (5, 1));
    // Too old is what lies before the greatest of the partition, of trades or not, less the horizon: 100 less 10.
    let (watermark_ns, times, told, _) = tick(102, &[95], &[89, 90, 102]);
    assert_eq!((watermark_ns, times, told), (95 * second, vec![90, 102], vec![RejectReason::TooOld]));
}
