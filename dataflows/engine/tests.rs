//! Ticks merged over the workers.

use super::*;
use tidewheel_operators::risk::{RefusedAccount, RiskOutcome};
use tidewheel_operators::tape::TapeOutcome;
use tidewheel_schemas::{AccountContent, AggressorSide, Change, OWN_LETTERS, OrderEnd, RejectReason, Trade, TradeKind};

const HEADER: TickHeader = TickHeader {
    tick: 1,
    frozen_ns: i64::MIN,
    watermark_ns: i64::MIN,
    publish_provisional: false,
    is_last: false,
    save: None,
    is_restore: false,
};

fn amendment(symbol: &str, id: u64) -> Amendment {
    Amendment {
        instrument: Instrument::new("binance", symbol).expect("a name"),
        id: TradeId::number(id),
        change: Change::Cancel,
        original_time_ns: None,
        sequence: 0,
        partition: 0,
        position: 7,
        receive_time_ns: None,
        raw: Arc::default(),
    }
}

fn late(symbol: &str, id: u64) -> LateRecord {
    let trade = Trade {
        event_time_ns: 5,
        id: TradeId::number(id),
        price_e8: 1,
        quantity_e8: 1,
        count: 1,
        side: AggressorSide::Buy,
        kind: TradeKind::Market,
    };
    let Amendment { instrument, partition, position, receive_time_ns, .. } = amendment(symbol, id);
    LateRecord::Trade { instrument, trade, partition, position, receive_time_ns }
}

/// What a worker gave that had nothing but this.
fn worker_tick(outcome: TapeOutcome, risk: Option<Box<RiskOutcome>>) -> WorkerTick {
    WorkerTick {
        tick: 1,
        versions: Vec::new(),
        open_bars: Vec::new(),
        saved: Vec::new(),
        features: Vec::new(),
        events: Vec::new(),
        saved_features: Vec::new(),
        saved_hours: Vec::new(),
        feature_sizes: FeatureSizes::default(),
        scoring: tidewheel_operators::scoring::ScoringTick::default(),
        hours: Vec::new(),
        outcome,
        market: tidewheel_operators::market::MarketOutcome::default(),
        risk,
    }
}

/// What workers made of the records of one message, which share its position: each its own instruments.
fn merged(order: [usize; 3]) -> TickOutput {
    let part = |symbol: &str| {
        let outcome = TapeOutcome {
            late: vec![late(symbol, 1), late(symbol, 2), LateRecord::Amendment(amendment(symbol, 3))],
            amendments: vec![amendment(symbol, 4), amendment(symbol, 5)],
            ..TapeOutcome::default()
        };
        worker_tick(outcome, None)
    };
    let parts = order.map(|worker| part(["AAAUSDT", "BBBUSDT", "CCCUSDT"][worker]));
    merge(&HEADER, SourceTick::default(), Vec::new(), parts.into(), None, None).output
}

#[test]
fn records_of_one_message_come_out_in_one_order_whichever_worker_is_first() {
    let expected = merged([0, 1, 2]);
    assert_eq!((expected.late.len(), expected.amendments.len()), (9, 6));
    for order in [[2, 1, 0], [1, 2, 0], [0, 2, 1]] {
        let found = merged(order);
        assert_eq!(found.late, expected.late, "{order:?}");
        assert_eq!(found.amendments, expected.amendments, "{order:?}");
    }
}

/// A message may hold as many records of accounts as of any other kind.
#[test]
fn letters_of_accounts_share_the_bytes_of_their_message() {
    let mut block = MessageBlock::default();
    block.push(b"[a message of forty]", 7, None);
    let raw = vec![Arc::new(block)];
    let record = |index: u16| AccountRecord {
        event_time_ns: 5,
        partition: 0,
        position: 7,
        index,
        receive_time_ns: None,
        content: AccountContent::OrderEnd(OrderEnd { account: "a".into(), intent_id: index.to_string().into() }),
    };
    let reason = |index: u16| if index.is_multiple_of(2) { RejectReason::Number } else { RejectReason::Conflict };
    let refused = |index| RefusedAccount { record: record(index), reason: reason(index), detail: format!("{index}") };
    let risk = RiskOutcome { refused: (0..40).map(refused).collect(), ..RiskOutcome::default() };
    let source = SourceTick { raw, ..SourceTick::default() };
    let part = worker_tick(TapeOutcome::default(), Some(Box::new(risk)));
    let tables = Tables::of_run(&[], None, false).with_risk(true, false).risk();
    let letters = merge(&HEADER, source, Vec::new(), vec![part], None, tables).output.rejects;
    assert_eq!(letters.len(), OWN_LETTERS + 2, "{letters:?}");
    assert!(letters.iter().all(|letter| Arc::ptr_eq(&letter.raw, &letters[0].raw)));
    assert_eq!(&*letters[0].raw, b"[a message of forty]");
    let of = |reason| letters.iter().filter(|letter| letter.reason == reason).map(|letter| letter.records).sum::<u64>();
    assert_eq!((of(RejectReason::Number), of(RejectReason::Conflict)), (20, 20));
}

#[test]
fn a_tick_says_whether_all_workers_are_done_with_the_next() {
    let ((to_merger, from_source), (out, from_workers)) = (bounded(4), bounded(8));
    let done =
        |tick| out.send(WorkerTick { tick, ..worker_tick(TapeOutcome::default(), None) }).expect("there is room");
    for tick in 1..=3 {
        to_merger.send((TickHeader { tick, ..HEADER }, SourceTick::default(), Vec::new())).expect("there is room");
    }
    [1, 1, 2, 2, 3].into_iter().for_each(done);
    let mut outputs =
        Outputs { workers: 2, from_workers, from_source, waiting: BTreeMap::new(), facts: None, risk: None };
    let mut next = || outputs.next().map(|merged| (merged.output.tick, merged.is_followed));
    assert_eq!((next(), next()), (Some((1, true)), Some((2, false))), "one worker has yet to do the third");
    done(3);
    drop(to_merger);
    assert_eq!((next(), next()), (Some((3, false)), None));
}
