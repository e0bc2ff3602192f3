//! Which instruments are rates between currencies.

use crate::world::{apply, config, e16, mark, reference};
use std::sync::Arc;
use tidewheel_risk::book::{AccountBook, BookEvent};
use tidewheel_schemas::{Instrument, InstrumentReference};

/// Other instruments of a pair: a dated future and an option that come first by name, and a perpetual one.
fn other(symbol: &str) -> InstrumentReference {
    let instrument = Instrument::new("a-venue", symbol).expect("a name");
    InstrumentReference { instrument, ..reference("BTCUSDT") }
}

#[test]
fn an_option_is_no_rate_and_a_perpetual_is_one_where_there_is_nothing_better() {
    let mut book = AccountBook::new(config());
    let bitcoin: Arc<str> = "BTC".into();
    let price = |book: &mut AccountBook, reference: InstrumentReference, price: &str| {
        let BookEvent::Mark { source, mark, .. } = mark("BTCUSDT", price, 1) else { panic!("a mark") };
        let instrument = reference.instrument.clone();
        apply(book, [BookEvent::Reference(reference), BookEvent::Mark { instrument, source, mark }]);
        book.rate("main", &bitcoin).ok().and_then(|rate| rate.convert(e16("1")))
    };
    assert_eq!(price(&mut book, other("BTC-26DEC-100000-C"), "700"), None);
    assert_eq!(price(&mut book, other("BTCUSDT_261225"), "70000"), None);
    assert_eq!(price(&mut book, other("BTC-USDT-SWAP"), "59000"), Some(e16("59000")));
    assert_eq!(price(&mut book, reference("BTCUSDT"), "60000"), Some(e16("60000")));
    let again = AccountBook::restore(book.save());
    assert_eq!(again.rate("main", &bitcoin), book.rate("main", &bitcoin));
}
