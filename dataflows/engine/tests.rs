//! Ticks merged over the workers.

use super::*;
use tidewheel_operators::tape::TapeOutcome;
use tidewheel_schemas::{AggressorSide, Change, Trade, TradeKind};

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

/// What workers made of the records of one message, which share its position: each its own instruments.
fn merged(order: [usize; 3]) -> TickOutput {
    let part = |symbol: &str| {
        let outcome = TapeOutcome {
            late: vec![late(symbol, 1), late(symbol, 2), LateRecord::Amendment(amendment(symbol, 3))],
            amendments: vec![amendment(symbol, 4), amendment(symbol, 5)],
            ..TapeOutcome::default()
        };
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
            risk: None,
        }
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
