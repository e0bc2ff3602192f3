//! How a chunk is given out: whatever it is cut into, the same records in the same order, and each where it belongs.

use super::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidewheel_schemas::{
    AggressorSide, CashMovement, ContractKind, Fill, Holder, Instrument, InstrumentReference, MarketContent, OrderEnd,
    OrderIntent, Quote, RejectReason, Side, Trade, TradeId, TradeKind,
};

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

fn account(
    position: u64,
    index: u16,
    event_time_ns: i64,
    receive_time_ns: Option<i64>,
    content: AccountContent,
) -> AccountRecord {
    AccountRecord { event_time_ns, partition: 0, position, index, receive_time_ns, content }
}

fn order_end(number: u64) -> AccountContent {
    AccountContent::OrderEnd(OrderEnd { account: "a".into(), intent_id: number.to_string().into() })
}

fn reference() -> AccountContent {
    AccountContent::Reference(InstrumentReference {
        instrument: instrument(),
        asset_class: "c".into(),
        sector: "s".into(),
        base_currency: "B".into(),
        quote_currency: "C".into(),
        kind: ContractKind::Linear,
        multiplier_e8: 1,
    })
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

/// Messages that hold trades, market records, records of accounts, several of these or junk.
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
        for index in 0..random.random_range(0..5) {
            let received = has_receive_times.then_some(time + 8);
            match random.random_range(0..6) {
                0..3 => chunk.market.push(record(position, index, time + 1, received)),
                3..5 => chunk.account.push(account(position, index, time + 1, received, order_end(position))),
                // Without a time of receipt: it moves no clock.
                _ => chunk.account.push(account(position, index, 5, None, reference())),
            }
        }
        if random.random_bool(0.2) {
            chunk.rejects.push(reject(position));
        }
        chunk.end_position = position + 1;
    }
    chunk
}

fn is_reference(record: &AccountRecord) -> bool {
    matches!(record.content, AccountContent::Reference(_))
}

/// What the clock must be: the entries sorted by position, of one message the trades first, reference data left out.
fn clock(chunk: &DecodedChunk, has_receive_times: bool) -> Vec<i64> {
    let columns = &chunk.columns;
    let trades = (0..columns.len()).map(|row| {
        let time = if has_receive_times { columns.receive_time_ns[row] } else { columns.event_time_ns[row] };
        (columns.position[row], 0, row, time)
    });
    let time = |received: Option<i64>, event: i64| received.filter(|_| has_receive_times).unwrap_or(event);
    let market = chunk.market.iter().map(|record| {
        (record.position, 1, usize::from(record.index), time(record.receive_time_ns, record.event_time_ns))
    });
    let account = chunk.account.iter().filter(|record| !is_reference(record)).map(|record| {
        (record.position, 1, usize::from(record.index), time(record.receive_time_ns, record.event_time_ns))
    });
    let mut entries: Vec<_> = trades.chain(market).chain(account).collect();
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
        let mut accounts: Vec<AccountRecord> = Vec::new();
        while cut.next_entry() < entries.len() {
            let entry = random.random_range(cut.next_entry()..=entries.len());
            let piece = cut.take_until(entry);
            assert_eq!(piece.rows.start, next_row);
            next_row = piece.rows.end;
            market.extend(piece.market);
            accounts.extend(piece.account);
            rejects.extend(piece.rejects);
            assert!(piece.end_position >= end && piece.end_position <= whole.end_position);
            end = piece.end_position;
            // Nothing is given out before what stands in front of it.
            let timed = accounts.iter().filter(|record| !is_reference(record)).count();
            assert_eq!(next_row + market.len() + timed, entry);
            assert!(rejects.iter().all(|reject| reject.position < end));
            assert!(accounts.iter().filter(|record| is_reference(record)).all(|record| record.position < end));
        }
        let last = cut.take_all();
        market.extend(last.market);
        accounts.extend(last.account);
        rejects.extend(last.rejects);
        let (references, others): (Vec<_>, Vec<_>) = accounts.iter().partition(|record| is_reference(record));
        assert!([references, others].iter().all(|each| each.is_sorted_by_key(|record| record.source())));
        accounts.sort_by_key(AccountRecord::source);
        assert_eq!(accounts, whole.account);
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

/// Records of accounts neither move the watermark nor are too old for it: who keeps the books decides what is late.
#[test]
fn records_of_accounts_are_taken_unless_they_are_from_the_future() {
    let limits = IntakeLimits { horizon_ns: 10_000_000_000, skew_ns: 1_000_000_000 };
    let mut ticker = Ticker::new(TickConfig { limits, provisional_every_ms: None });
    let second = 1_000_000_000;
    let fill = |at: i64| Fill {
        holder: Holder { account: "a".into(), strategy: "s".into() },
        instrument: instrument(),
        fill_id: "1".into(),
        intent_id: None,
        side: Side::Buy,
        quantity_e8: 1,
        price_e8: 1,
        fee_e8: 0,
        fee_currency: "C".into(),
        event_time_ns: at * second,
    };
    let change = |change| {
        let (account, instrument, fill_id) = ("a".into(), instrument(), "1".into());
        AccountContent::FillAmendment(FillAmendment { account, instrument, fill_id, change, original_time_ns: None })
    };
    let cash = |at: i64| {
        let (account, id, currency) = ("a".into(), "1".into(), "C".into());
        AccountContent::Cash(CashMovement { account, id, currency, amount_e8: 1, event_time_ns: at * second })
    };
    let corrected = |at: i64| change(FillChange::Correct { fill: Box::new(fill(at)), sequence: 0 });
    let records = [
        (1, order_end(0)),
        (101, order_end(1)),
        (102, order_end(2)),
        (100, AccountContent::Fill(fill(100))),
        (103, AccountContent::Fill(fill(103))),
        (5, cash(5)),
        (100, change(FillChange::Cancel)),
        (100, corrected(101)),
        // Changed in time, into a fill that is not there yet.
        (100, corrected(102)),
        // What an instrument is holds whenever it was said.
        (9_000, reference()),
    ];
    let mut block = MessageBlock::default();
    (0..10).for_each(|position| block.push(format!("message {position}").as_bytes(), position, None));
    let mut chunk = DecodedChunk { end_position: 100, raw: Some(block), ..DecodedChunk::default() };
    for (position, (at, content)) in (0..).zip(records) {
        chunk.account.push(account(position, 0, at * second, None, content));
    }
    let piece = Chunk::new(chunk).take_all();
    assert_eq!((piece.records(), piece.has_others()), (10, true));
    let input = ticker.tick(100_000, vec![piece], &[true]);
    let taken: BTreeMap<u64, &str> =
        input.account.iter().map(|record| (record.position, record.content.name())).collect();
    assert_eq!(taken.into_keys().collect::<Vec<_>>(), [0, 1, 3, 5, 6, 7, 9]);
    let told: Vec<_> = input.source.rejects.iter().map(|reject| (reject.position, reject.reason)).collect();
    assert_eq!(told, [2, 4, 8].map(|position| (position, RejectReason::Future)));
    let detail = &input.source.rejects[1].detail;
    assert_eq!(detail, "fill: event time 103000000000 ns is 3000 ms beyond the tick that received it");
    let bytes: Vec<_> = input.source.rejects.iter().map(|reject| (reject.records, &*reject.raw)).collect();
    assert_eq!(bytes, [(1, &b"message 2"[..]), (1, b"message 4"), (1, b"message 8")]);
    let counters = input.source.counters;
    assert_eq!((counters.read, counters.accepted, counters.rejected), (10, 7, 3));
    assert!(counters.reconcile());
    assert_eq!(input.header.watermark_ns, i64::MIN);
}

/// Whoever asks for an order is told by a decision that it is of a time that has not come. Without risk nobody decides.
#[test]
fn an_order_from_the_future_is_taken_where_there_is_risk() {
    let intent = AccountContent::Intent(OrderIntent {
        holder: Holder { account: "a".into(), strategy: "s".into() },
        instrument: instrument(),
        intent_id: "1".into(),
        side: Side::Buy,
        quantity_e8: 1,
        limit_price_e8: None,
        stop_price_e8: None,
        is_reduce_only: false,
        expires_ns: None,
        event_time_ns: 900_000_000_000,
    });
    let limits = IntakeLimits { horizon_ns: 10_000_000_000, skew_ns: 1_000_000_000 };
    for has_risk in [true, false] {
        let config = TickConfig { limits, provisional_every_ms: None };
        let mut ticker = Ticker::new(config).with_risk(has_risk);
        let records = vec![account(0, 0, 900_000_000_000, None, intent.clone())];
        let mut block = MessageBlock::default();
        block.push(b"message", 0, None);
        let chunk = DecodedChunk { end_position: 1, account: records, raw: Some(block), ..DecodedChunk::default() };
        let input = ticker.tick(100_000, vec![Chunk::new(chunk).take_all()], &[true]);
        assert_eq!((input.account.len(), input.source.rejects.len()), if has_risk { (1, 0) } else { (0, 1) });
        assert_eq!(input.header.watermark_ns, i64::MIN);
    }
}

#[test]
fn a_span_of_time_keeps_reference_data_and_changes_of_unknown_fills() {
    let change = |original_time_ns| {
        let (account, instrument, fill_id) = ("a".into(), instrument(), "1".into());
        let change = FillChange::Cancel;
        AccountContent::FillAmendment(FillAmendment { account, instrument, fill_id, change, original_time_ns })
    };
    let contents = [order_end(0), order_end(1), reference(), change(None), change(Some(9)), change(Some(10))];
    let times = [9, 10, 1, 1, 10, 1];
    let records = (0..).zip(times.into_iter().zip(contents));
    let mut chunk = DecodedChunk {
        account: records.map(|(position, (at, content))| account(position, 0, at, None, content)).collect(),
        ..DecodedChunk::default()
    };
    chunk.retain_between(10, 20);
    assert_eq!(chunk.account.iter().map(|record| record.position).collect::<Vec<_>>(), [1, 2, 3, 5]);
}
