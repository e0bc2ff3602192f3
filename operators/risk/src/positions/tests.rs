//! Worked tables of profit and loss, and what the two cost methods have in common.

use super::*;
use crate::exact::mul_div;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use tidewheel_schemas::{ContractKind, format_e8, format_e16, parse_e8};

const SPOT: Contract = Contract { kind: ContractKind::Linear, multiplier_e8: 100_000_000 };

fn e8(text: &str) -> i64 {
    parse_e8(text.as_bytes()).expect("the numbers of the tables are decimals")
}

/// A fill from `quantity@price fee`, below zero for a sale.
fn fill(contract: &Contract, text: &str) -> Entry {
    let (quantity, rest) = text.split_once('@').expect("quantity@price fee");
    let (price, fee) = rest.split_once(' ').unwrap_or((rest, "0"));
    Entry::Fill {
        quantity_e8: e8(quantity),
        worth_e16: contract.worth_e16(e8(price), e8(quantity)).expect("the worths of the tables fit"),
        fee_e16: i128::from(e8(fee)) * 100_000_000,
        fee_currency: "USD".into(),
    }
}

fn fold(contract: &Contract, method: CostMethod, entries: &[Entry]) -> Holding {
    let mut holding = Holding::default();
    for entry in entries {
        holding.apply(entry, contract, "USD", method).expect("the numbers of the tables fit");
    }
    holding
}

/// Quantity, average price, realised, funding, fees, unrealised at a mark, last trip, open trip.
fn line(contract: &Contract, holding: &Holding, mark: &str) -> String {
    let average = contract.price_of_e8(holding.basis_e16, holding.quantity_e8);
    let unrealised = holding.unrealised_e16(contract, e8(mark)).expect("the worths of the tables fit");
    format!(
        "{} @ {} realised {} funding {} fees {} unrealised {} trip {} open {}",
        format_e8(holding.quantity_e8.into()),
        average.map_or("-".to_owned(), |price| format_e8(price.into())),
        format_e16(holding.realised_e16),
        format_e16(holding.funding_e16),
        format_e16(holding.fees_e16.get("USD").copied().unwrap_or(0)),
        format_e16(unrealised),
        holding.trips.last_e16.map_or("-".to_owned(), format_e16),
        format_e16(holding.trips.open_e16),
    )
}

fn check(contract: &Contract, method: CostMethod, fills: &[&str], mark: &str, expected: &str) {
    let entries: Vec<_> = fills.iter().map(|text| fill(contract, text)).collect();
    assert_eq!(line(contract, &fold(contract, method, &entries), mark), expected, "{fills:?}");
}

#[test]
fn the_worked_tables_of_barter() {
    // Realised 492.5 there is net of fees, which are a line of their own here: 500 less 7.5.
    check(
        &SPOT,
        CostMethod::Average,
        &["0.1@50000 5", "-0.05@60000 2.5"],
        "60000",
        "0.05 @ 50000 realised 500 funding 0 fees 7.5 unrealised 500 trip - open 492.5",
    );
    // The flip closes a trip of 990 and opens one that begins at -5: the fee of 10 is split in proportion.
    check(
        &SPOT,
        CostMethod::Average,
        &["-0.1@50000 5", "0.2@40000 10"],
        "40000",
        "0.1 @ 40000 realised 1000 funding 0 fees 15 unrealised 0 trip 990 open -5",
    );
}

#[test]
fn average_cost_and_first_in_first_out_differ_only_while_something_is_held() {
    let fills = ["1@100", "1@110", "1@120", "-1.5@130"];
    check(
        &SPOT,
        CostMethod::Average,
        &fills,
        "125",
        "1.5 @ 110 realised 30 funding 0 fees 0 unrealised 22.5 trip - open 30",
    );
    check(
        &SPOT,
        CostMethod::Fifo,
        &fills,
        "125",
        "1.5 @ 116.66666667 realised 40 funding 0 fees 0 unrealised 12.5 trip - open 40",
    );
}

#[test]
fn inverse_contracts_pay_in_the_base_currency() {
    // 100 contracts of 100 USD, long from 10,000 to 12,500: 10,000 * (1/10,000 - 1/12,500) = 0.2 BTC.
    let contract = Contract { kind: ContractKind::Inverse, multiplier_e8: 10_000_000_000 };
    check(
        &contract,
        CostMethod::Average,
        &["100@10000", "-100@12500"],
        "12500",
        "0 @ - realised 0.2 funding 0 fees 0 unrealised 0 trip 0.2 open 0",
    );
    check(
        &contract,
        CostMethod::Fifo,
        &["-100@10000"],
        "8000",
        "-100 @ 10000 realised 0 funding 0 fees 0 unrealised 0.25 trip - open 0",
    );
    // The average price at entry of an inverse contract is harmonic: 200 over (1/10,000 + 1/40,000) a hundred each.
    check(
        &contract,
        CostMethod::Average,
        &["100@10000", "100@40000"],
        "16000",
        "200 @ 16000 realised 0 funding 0 fees 0 unrealised 0 trip - open 0",
    );
}

#[test]
fn longs_pay_funding_to_shorts_and_inverse_contracts_in_the_base_currency() {
    let inverse = Contract { kind: ContractKind::Inverse, multiplier_e8: 10_000_000_000 };
    for (contract, quantity, mark, expected) in [
        (SPOT, "2@100", "110", "-0.022"),
        (SPOT, "-2@100", "110", "0.022"),
        (inverse, "100@10000", "20000", "-0.00005"),
        (inverse, "-100@10000", "20000", "0.00005"),
    ] {
        let funding = Entry::Funding { rate_e12: 100_000_000, mark_price_e8: e8(mark) };
        let holding = fold(&contract, CostMethod::Average, &[fill(&contract, quantity), funding.clone()]);
        assert_eq!(format_e16(holding.funding_e16), expected, "{quantity}");
        assert_eq!(format_e16(holding.trips.open_e16), expected, "{quantity}");
        assert_eq!(fold(&contract, CostMethod::Average, &[funding]).funding_e16, 0);
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let mut holding = Holding::default();
    let huge = |quantity_e8: i64, worth_e16: i128| Entry::Fill {
        quantity_e8,
        worth_e16,
        fee_e16: 0,
        fee_currency: "USD".into(),
    };
    let mut apply = |entry: &Entry| holding.apply(entry, &SPOT, "USD", CostMethod::Average);
    assert_eq!(apply(&huge(i64::MAX, 1)), Ok(()));
    assert_eq!(apply(&huge(1, 1)), Err(OutOfRange("quantity")));
    assert_eq!(apply(&huge(-1, 10i128.pow(32))), Err(OutOfRange("realised")));
    let fee = Entry::Fill { quantity_e8: 1, worth_e16: 0, fee_e16: 10i128.pow(32), fee_currency: "BNB".into() };
    assert_eq!(
        fold(&SPOT, CostMethod::Average, &[]).apply(&fee, &SPOT, "USD", CostMethod::Fifo),
        Err(OutOfRange("fees"))
    );
    let contract = Contract { kind: ContractKind::Linear, multiplier_e8: i64::MAX };
    assert_eq!(contract.worth_e16(i64::MAX / 10, i64::MAX), Err(OutOfRange("worth")));
    let contract = Contract { kind: ContractKind::Inverse, multiplier_e8: i64::MAX };
    assert_eq!(contract.worth_e16(1, i64::MAX), Err(OutOfRange("worth")));
}

fn random_fills(random: &mut ChaCha8Rng, contract: &Contract) -> Vec<Entry> {
    let fill = |random: &mut ChaCha8Rng| {
        let quantity_e8 = random.random_range(1..=3_000_000_000i64) * if random.random() { 1 } else { -1 };
        let price_e8 = random.random_range(1..=10_000_000_000_000i64);
        let worth_e16 = contract.worth_e16(price_e8, quantity_e8).expect("worths of this size fit");
        Entry::Fill { quantity_e8, worth_e16, fee_e16: 0, fee_currency: "USD".into() }
    };
    (0..random.random_range(1..40)).map(|_| fill(random)).collect()
}

#[test]
fn both_cost_methods_agree_in_total_to_the_last_digit() {
    for seed in 0..300 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let kind = if seed % 2 == 0 { ContractKind::Linear } else { ContractKind::Inverse };
        let contract =
            Contract { kind, multiplier_e8: [100_000_000, 1, 33_333_333, 10_000_000_000][seed as usize % 4] };
        let entries = random_fills(&mut random, &contract);
        let mark = random.random_range(1..=10_000_000_000_000);
        let total = |holding: &Holding| {
            holding.realised_e16 + holding.unrealised_e16(&contract, mark).expect("worths of this size fit")
        };
        let average = fold(&contract, CostMethod::Average, &entries);
        let fifo = fold(&contract, CostMethod::Fifo, &entries);
        assert_eq!(total(&average), total(&fifo), "seed {seed}");
        assert_eq!(average.quantity_e8, fifo.quantity_e8, "seed {seed}");
        let lots: (i64, i128) =
            fifo.lots.iter().fold((0, 0), |sum, lot| (sum.0 + lot.quantity_e8, sum.1 + lot.basis_e16));
        assert_eq!(lots, (fifo.quantity_e8, fifo.basis_e16), "seed {seed}: the lots are not the position");
        // The total needs no method: what came in less what went out, and what the rest is worth.
        let cash: i128 = entries
            .iter()
            .map(|entry| match entry {
                Entry::Fill { worth_e16, .. } => -worth_e16,
                Entry::Funding { .. } => 0,
            })
            .sum();
        let rest = contract.worth_e16(mark, average.quantity_e8).expect("worths of this size fit");
        assert_eq!(total(&average), cash + rest, "seed {seed}");

        // Closing everything leaves nothing unrealised.
        let quantity_e8 = -average.quantity_e8;
        let worth_e16 = contract.worth_e16(mark, quantity_e8).expect("worths of this size fit");
        let close = Entry::Fill { quantity_e8, worth_e16, fee_e16: 0, fee_currency: "USD".into() };
        for (method, mut holding) in [(CostMethod::Average, average), (CostMethod::Fifo, fifo)] {
            if quantity_e8 != 0 {
                let before = total(&holding);
                holding.apply(&close, &contract, "USD", method).expect("closing fits");
                assert_eq!(holding.realised_e16, before, "seed {seed}");
            }
            assert_eq!((holding.quantity_e8, holding.basis_e16, holding.lots.len()), (0, 0, 0), "seed {seed}");
            assert_eq!(holding.unrealised_e16(&contract, 12345), Ok(0), "seed {seed}");
        }
    }
}

#[test]
fn a_position_is_the_same_whatever_the_order_of_its_entries_and_when_it_is_frozen() {
    for seed in 0..100 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let entries: Vec<(EntryKey, Entry)> = (random_fills(&mut random, &SPOT).into_iter().enumerate())
            .map(|(at, entry)| {
                let id: Arc<str> = format!("{at}").into();
                (EntryKey { event_time_ns: random.random_range(0..20), kind: EntryKind::Fill, id }, entry)
            })
            .collect();
        let mut sorted = entries.clone();
        sorted.sort_by(|one, other| one.0.cmp(&other.0));
        let expected =
            fold(&SPOT, CostMethod::Fifo, &sorted.iter().map(|(_, entry)| entry.clone()).collect::<Vec<_>>());

        let mut position = Position::new(SPOT, "USD".into(), CostMethod::Fifo);
        let put = |position: &mut Position, key: &EntryKey, entry: &Entry| {
            let prepared = position.prepare(None, Some((key, entry))).expect("numbers of this size fit");
            position.commit(prepared, None, Some((key.clone(), entry.clone())));
        };
        for (key, entry) in &entries {
            put(&mut position, key, entry);
        }
        assert_eq!(*position.current(), expected, "seed {seed}");
        // One is taken out and put back.
        let (key, entry) = &entries[random.random_range(0..entries.len())];
        let prepared = position.prepare(Some(key), None).expect("numbers of this size fit");
        position.commit(prepared, Some(key), None);
        put(&mut position, key, entry);
        assert_eq!(*position.current(), expected, "seed {seed}");
        let middle = position.before(10).into_owned();
        position.freeze(10);
        assert_eq!(*position.current(), expected, "seed {seed}");
        assert_eq!(*position.before(10), middle, "seed {seed}");
        assert_eq!(position.entries(), sorted.iter().filter(|(key, _)| key.event_time_ns >= 10).count());
    }
}

#[test]
fn half_a_unit_goes_to_the_even_side_when_cost_is_released() {
    // Three units of cost over two: half of it is 1.5, which becomes 2; the rest stays.
    assert_eq!(mul_div(3, 1, 2), Some(2));
    let entries = [
        Entry::Fill { quantity_e8: 2, worth_e16: 3, fee_e16: 0, fee_currency: "USD".into() },
        Entry::Fill { quantity_e8: -1, worth_e16: 0, fee_e16: 0, fee_currency: "USD".into() },
    ];
    let holding = fold(&SPOT, CostMethod::Average, &entries);
    assert_eq!((holding.basis_e16, holding.realised_e16), (1, -2));
}

#[test]
fn entries_of_one_time_go_by_the_size_of_their_ids() {
    let ascending =
        ["", "0", "00", "01", "1", "2", "9", "10", "99", "0100", "100", "18446744073709551616", "1a", "9a", "a", "b"];
    let mut shuffled = ascending;
    shuffled.reverse();
    let key = |id: &&str| EntryKey { event_time_ns: 1, kind: EntryKind::Fill, id: (*id).into() };
    shuffled.sort_by_key(key);
    let sorted: Vec<_> = shuffled.iter().map(key).collect();
    let expected: Vec<_> = ascending.iter().map(key).collect();
    assert_eq!(sorted, expected);
    for (at, one) in expected.iter().enumerate() {
        for (other_at, other) in expected.iter().enumerate() {
            assert_eq!(one.cmp(other), at.cmp(&other_at), "{one:?} {other:?}");
        }
    }
}
