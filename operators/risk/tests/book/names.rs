//! What goes by name goes by nothing else: not by the order in which instruments became known.

use crate::world::{INSTRUMENTS, MINUTE_NS, START_NS, apply, cash, close, config, fill, mark, reference};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidewheel_risk::book::{AccountBook, BookConfig, BookEvent, Component};

#[test]
fn nothing_depends_on_the_order_in_which_references_came() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let symbols = ["BTCUSDT", "ADAUSDT", "EURUSDT"];
        let mut events = vec![cash("main", "c1", "USDT", "100000", 0)];
        for symbol in symbols {
            events.push(mark(symbol, "100", 1));
            // All of one size, so that each is the largest.
            events.push(BookEvent::Fill(fill(&format!("f {symbol} 1.1@100 0"), 2)));
            for minute in 0..40 {
                events.push(close(
                    symbol,
                    &format!("{}.{}", random.random_range(90..110), random.random_range(1..99)),
                    minute,
                ));
            }
        }
        let mut expected = None;
        for _ in 0..6 {
            let mut listed = INSTRUMENTS;
            listed.shuffle(&mut random);
            let mut book = AccountBook::new(BookConfig { scenarios: 60, ..config() });
            for (symbol, ..) in listed {
                apply(&mut book, [BookEvent::Reference(reference(symbol))]);
            }
            for event in &events {
                book.apply(event.clone()).expect("the records are right");
            }
            book.advance(START_NS + MINUTE_NS);
            let components = book.components("main").expect("there are scenarios enough");
            let named = |one: &Component| {
                let at = (one.parametric_var_95.to_bits(), one.parametric_var_99.to_bits());
                (one.instrument.clone(), at, one.historical_var_95_e16)
            };
            let answer = (book.numbers("main"), components.iter().map(named).collect::<Vec<_>>());
            assert_eq!(*expected.get_or_insert_with(|| answer.clone()), answer, "seed {seed}");
        }
    }
}
