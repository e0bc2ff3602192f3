//! A small market: instruments, and records of them from short texts.

use tidewheel_risk::book::{AccountBook, BookConfig, BookEvent, Outcome, Refusal};
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{
    CashMovement, ContractKind, Fill, FillChange, FundingPayment, Holder, Instrument, InstrumentReference, Side,
    parse_e8,
};

/// 2024-08-05 00:00 UTC.
pub const START_NS: i64 = 1_722_816_000_000_000_000;

/// Nanoseconds in a second and a minute.
pub const SECOND_NS: i64 = 1_000_000_000;
pub const MINUTE_NS: i64 = 60 * SECOND_NS;

/// Symbol, sector, class, base, quote, kind, multiplier.
pub const INSTRUMENTS: [(&str, &str, &str, &str, &str, ContractKind, i64); 6] = [
    ("BTCUSDT", "coin", "crypto", "BTC", "USDT", ContractKind::Linear, 100_000_000),
    ("ADAUSDT", "layer1", "crypto", "ADA", "USDT", ContractKind::Linear, 100_000_000),
    ("EURUSDT", "major", "fx", "EUR", "USDT", ContractKind::Linear, 100_000_000),
    ("ETHBTC", "layer1", "crypto", "ETH", "BTC", ContractKind::Linear, 100_000_000),
    ("XBTUSD", "coin", "crypto", "BTC", "USD", ContractKind::Inverse, 10_000_000_000),
    ("TENTH", "coin", "crypto", "BTC", "USDT", ContractKind::Linear, 10_000_000),
];

pub fn e8(text: &str) -> i64 {
    parse_e8(text.as_bytes()).expect("the numbers of tests are decimals")
}

pub fn e16(text: &str) -> i128 {
    i128::from(e8(text)) * 100_000_000
}

pub fn instrument(symbol: &str) -> Instrument {
    Instrument::new("venue", symbol).expect("the names of tests are well formed")
}

pub fn holder(account: &str, strategy: &str) -> Holder {
    Holder { account: account.into(), strategy: strategy.into() }
}

pub fn reference(symbol: &str) -> InstrumentReference {
    let (_, sector, class, base, quote, kind, multiplier_e8) =
        *INSTRUMENTS.iter().find(|known| known.0 == symbol).expect("the market knows the symbol");
    InstrumentReference {
        instrument: instrument(symbol),
        asset_class: class.into(),
        sector: sector.into(),
        base_currency: base.into(),
        quote_currency: quote.into(),
        kind,
        multiplier_e8,
    }
}

/// Ten minutes of horizon, scenarios of a minute.
pub fn config() -> BookConfig {
    BookConfig {
        base_currencies: [("euro".into(), "EUR".into())].into(),
        hops: vec!["USDT".into()],
        mark_stale_after_ns: 3 * MINUTE_NS,
        horizon_ns: 10 * MINUTE_NS,
        // The day begins a quarter of an hour after the start.
        day_offset_ns: 15 * MINUTE_NS,
        scenario_step_ns: MINUTE_NS,
        scenarios: 8,
        scenarios_min: 3,
        ..BookConfig::default()
    }
}

/// A book that knows all instruments.
pub fn book(config: BookConfig) -> AccountBook {
    let mut book = AccountBook::new(config);
    for (symbol, ..) in INSTRUMENTS {
        assert_eq!(book.apply(BookEvent::Reference(reference(symbol))), Ok(Outcome::Applied));
    }
    book
}

/// A fill by the account `main` with strategy `one`: `id symbol quantity@price fee`, so many seconds after the start. Its fee is in USDT.
pub fn fill(text: &str, seconds: i64) -> Fill {
    let words: Vec<&str> = text.split(' ').collect();
    let [id, symbol, trade, fee] = words[..] else { panic!("id symbol quantity@price fee") };
    let (quantity, price) = trade.split_once('@').expect("quantity@price");
    let quantity_e8 = e8(quantity);
    Fill {
        holder: holder("main", "one"),
        instrument: instrument(symbol),
        fill_id: id.into(),
        intent_id: None,
        side: if quantity_e8 < 0 { Side::Sell } else { Side::Buy },
        quantity_e8: quantity_e8.abs(),
        price_e8: e8(price),
        fee_e8: e8(fee),
        fee_currency: "USDT".into(),
        event_time_ns: START_NS + seconds * SECOND_NS,
    }
}

pub fn mark(symbol: &str, price: &str, seconds: i64) -> BookEvent {
    let event_time_ns = START_NS + seconds * SECOND_NS;
    let mark = Mark { event_time_ns, sequence: 0, price_e8: e8(price) };
    BookEvent::Mark { instrument: instrument(symbol), source: MarkSource::Trade, mark }
}

pub fn cash(account: &str, id: &str, currency: &str, amount: &str, seconds: i64) -> BookEvent {
    BookEvent::Cash(CashMovement {
        account: account.into(),
        id: id.into(),
        currency: currency.into(),
        amount_e8: e8(amount),
        event_time_ns: START_NS + seconds * SECOND_NS,
    })
}

pub fn change(fill: &Fill, change: FillChange, seconds: i64) -> BookEvent {
    BookEvent::FillChange {
        account: fill.holder.account.clone(),
        instrument: fill.instrument.clone(),
        fill_id: fill.fill_id.clone(),
        change,
        original_time_ns: Some(fill.event_time_ns),
        event_time_ns: START_NS + seconds * SECOND_NS,
    }
}

pub fn funding(symbol: &str, rate_e12: i64, mark: &str, seconds: i64) -> BookEvent {
    let event_time_ns = START_NS + seconds * SECOND_NS;
    BookEvent::Funding(FundingPayment {
        instrument: instrument(symbol),
        rate_e12,
        mark_price_e8: Some(e8(mark)),
        event_time_ns,
    })
}

pub fn close(symbol: &str, close: &str, minutes: i64) -> BookEvent {
    let bar_time_ns = START_NS + minutes * MINUTE_NS;
    BookEvent::Close { instrument: instrument(symbol), bar_time_ns, close_e8: Some(e8(close)) }
}

/// Applies records that must count.
pub fn apply(book: &mut AccountBook, events: impl IntoIterator<Item = BookEvent>) {
    for event in events {
        assert_eq!(book.apply(event.clone()), Ok(Outcome::Applied), "{event:?}");
    }
}

/// Applies a record that must be refused.
pub fn refusal(book: &mut AccountBook, event: BookEvent) -> Refusal {
    book.apply(event.clone()).expect_err("the record must be refused")
}
