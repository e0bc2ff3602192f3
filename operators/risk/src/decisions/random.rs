//! The promise on random books: no open order passes a limit when any of them are filled at their prices; and restarts that change
//! nothing.

use super::oracle::Filled;
use super::tests::{Desk, MONEY, SECOND, UNIT, holder, intent, listed, named};
use super::*;
use crate::policy::{Override, PartialLimits, Policy};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidewheel_schemas::{ContractKind, Holder, Instrument, Side};

/// A random book of two accounts and its policy.
fn random_desk(random: &mut ChaCha8Rng) -> Desk {
    let mut desk = Desk { policy: Policy::with_version(1), ..Desk::new() };
    desk.policy.limits.concurrent_positions = random.random_range(2..12);
    desk.policy.limits.risk_per_trade = Ratio::thousandths(random.random_range(1..40));
    let share = |random: &mut ChaCha8Rng, most: i64| Some(Ratio::thousandths(random.random_range(most / 3..most)));
    let limits = PartialLimits {
        single_position: share(random, 100),
        sector: share(random, 250),
        gross: share(random, 2_000),
        leverage: share(random, 5_000),
        ..Default::default()
    };
    desk.policy.overrides = vec![Override { strategy: Some("t".into()), limits, ..Default::default() }];
    for number in 0..6 {
        let mut entry = listed(random.random_range(1..50_000));
        entry.kind = *[ContractKind::Linear, ContractKind::Inverse].choose(random).expect("two");
        entry.multiplier_e8 = [UNIT, UNIT / 100, 10 * UNIT][random.random_range(0..3)];
        entry.sector = ["layer1", "defi"][number % 2].into();
        entry.class = ["crypto", "crypto", "fx"][number % 3].into();
        entry.rate_e18 = [1_000_000_000_000_000_000, 1_083_300_000_000_000_000, 6_700_000_000_000_000][number % 3];
        desk.book.listed.insert(named(&format!("S{number}")), entry);
    }
    for account in ["a", "b"] {
        let equity = i128::from(random.random_range(10_000..1_000_000)) * MONEY;
        let share = |least: i128, most: i128, random: &mut ChaCha8Rng| equity / 100 * random.random_range(least..most);
        let (peak, begun) = (share(100, 124, random), share(96, 105, random));
        let money = Money { equity_e16: equity, peak_e16: peak, day_start_e16: begun, positions: 0 };
        desk.book.money.insert(account.into(), money);
        desk.book.margin_e16.insert((account.into(), "binance".into()), share(10, 100, random));
    }
    for _ in 0..random.random_range(0..10) {
        let order = random_order(random, &desk, "seed");
        let held = order.quantity_e8 * order.side.sign();
        desk.book.held_e8.insert((order.holder, order.instrument), held);
    }
    desk
}

/// An order of up to a fifth of an account's equity.
fn random_order(random: &mut ChaCha8Rng, desk: &Desk, id: &str) -> OrderIntent {
    let account = *["a", "b"].choose(random).expect("two");
    let symbol = format!("S{}", random.random_range(0..6));
    let entry = &desk.book.listed[&named(&symbol)];
    let equity = desk.book.money[account].equity_e16 as f64 / 1e16;
    let price = if entry.kind == ContractKind::Linear { entry.mark_e8 as f64 / 1e8 } else { 1.0 };
    let unit = price * (entry.multiplier_e8 as f64 / 1e8) * (entry.rate_e18 as f64 / 1e18);
    let quantity = (random.random_range(0.001..0.2) * equity / unit).max(0.000_001);
    let quantity = if random.random() { quantity } else { -quantity };
    let mark = entry.mark_e8;
    OrderIntent {
        holder: holder(account, ["s", "t"][random.random_range(0..2)]),
        limit_price_e8: random.random::<bool>().then(|| mark / 1_000 * random.random_range(955..1_045)),
        expires_ns: random.random::<bool>().then(|| random.random_range(desk.second..desk.second + 40) * SECOND),
        event_time_ns: desk.second * SECOND,
        is_reduce_only: random.random_range(0..10) == 0,
        ..intent(id, &symbol, quantity)
    }
}

/// What is promised of an account's open orders: nothing before one that grows was approved by the marks of now; then all limits, but
/// for what these cost, which only reduce and came later.
type Promised = Option<Vec<Arc<str>>>;

#[test]
fn no_open_order_passes_a_limit_when_any_of_them_are_filled_at_their_prices() {
    let (mut checked, mut after_reducing, mut cut, mut rejected, mut beside) = (0, 0, 0, 0, 0);
    for seed in 0..150 {
        println!("seed {seed}");
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut desk = random_desk(random);
        let mut promised: BTreeMap<Arc<str>, Promised> = BTreeMap::new();
        for number in 0..40 {
            if random.random_range(0..8) == 0 {
                step_on(random, &mut desk);
                promised.clear();
            }
            let order = random_order(random, &desk, &format!("o{number}"));
            let held = desk.book.quantity_e8(&order.holder, &order.instrument);
            let (before, _) = opens(&desk, &order.holder, &order.instrument, order.side);
            let decision = desk.decide(order.clone());
            match decision.ruling {
                Ruling::Approved => assert_eq!(decision.reasons, [], "seed {seed}"),
                Ruling::Reduced => cut += 1,
                Ruling::Rejected => rejected += 1,
            }
            assert!((Ratio::ZERO..=Ratio::ONE).contains(&decision.risk_score), "seed {seed}");
            assert_eq!(decision.reasons.is_empty(), decision.ruling == Ruling::Approved, "seed {seed}: {decision:?}");
            assert!((0..=order.quantity_e8).contains(&decision.quantity_e8), "seed {seed}");
            if decision.quantity_e8 == 0 {
                continue;
            }
            let account = order.holder.account.clone();
            let is_reducing = i128::from(decision.quantity_e8) + before.min(0) <= 0;
            let promise = promised.entry(account.clone()).or_default();
            if is_reducing {
                assert!(decision.quantity_e8 <= held.abs() && held.signum() == -order.side.sign(), "seed {seed}");
                promise.iter_mut().for_each(|costs| costs.push(order.intent_id.clone()));
            } else {
                *promise = Some(Vec::new());
            }
            let Some(costs) = &*promise else { continue };
            let open: Vec<_> = desk.decisions.open().filter(|open| open.holder.account == account).collect();
            // All that is open, the order alone, and parts.
            for trial in 0..6 {
                let mut fills = Vec::new();
                for open in &open {
                    let is_own = open.intent_id == order.intent_id;
                    if trial == 0 || is_own || (trial > 1 && random.random()) {
                        let least = if trial < 3 { open.open_e8 } else { 0 };
                        let quantity_e8 = random.random_range(least..=open.open_e8);
                        fills.push((&open.intent_id, Filled { quantity_e8, ..Filled::of(open) }));
                    }
                }
                let all: Vec<_> = fills.iter().map(|(_, fill)| fill.clone()).collect();
                let counted = fills.iter().filter(|(id, _)| !costs.contains(id)).map(|(_, fill)| fill.clone());
                let (after, _) = desk.book.after(&all, desk.policy.decisions.fee_allowance);
                let (_, change) = desk.book.after(&counted.collect::<Vec<_>>(), desk.policy.decisions.fee_allowance);
                for open in &open {
                    let (at_most, is_opening) = opens(&desk, &open.holder, &open.instrument, open.side);
                    let other_side = if open.side == Side::Buy { Side::Sell } else { Side::Buy };
                    if !is_opening && !opens(&desk, &open.holder, &open.instrument, other_side).1 {
                        continue;
                    }
                    let listed = &desk.book.listed[&open.instrument];
                    let is_worse = (open.price_e8 - listed.mark_e8) * open.side.sign() > 0;
                    let may_be_mark = (is_worse || is_opening) && !costs.contains(&open.intent_id);
                    let limits = desk.policy.limits.of(&desk.policy.overrides, &open.holder, &open.instrument);
                    for price_e8 in [listed.mark_e8, if may_be_mark { open.price_e8 } else { listed.mark_e8 }] {
                        let passed = after.passed(&limits, &Filled::of(open), change.min(0.0), price_e8);
                        let at = format!("seed {seed} order {number} trial {trial} at {price_e8}, {at_most}");
                        assert_eq!(passed, [], "{at}: {open:?} beside {decision:?}");
                        beside += usize::from(open.intent_id != order.intent_id);
                    }
                }
                checked += 1;
                after_reducing += usize::from(is_reducing);
            }
        }
    }
    println!("{checked} outcomes checked, {after_reducing} of them after what reduces, {beside} orders beside others");
    println!("{cut} orders cut, {rejected} rejected");
    let is_enough = checked > 3_000 && after_reducing > 100 && beside > 3_000 && cut > 300 && rejected > 300;
    assert!(is_enough, "too little was tested");
}

/// What a position comes to, signed as the side is, once all that is open on it is filled; and whether something is open that opens.
fn opens(desk: &Desk, holder: &Holder, instrument: &Instrument, side: Side) -> (i128, bool) {
    let held = desk.book.quantity_e8(holder, instrument) * side.sign();
    let open = desk.decisions.open();
    let open = open.filter(|open| (&open.holder, &open.instrument, open.side) == (holder, instrument, side));
    let open: i128 = open.map(|open| i128::from(open.open_e8)).sum();
    (i128::from(held) + open, open > 0 && i128::from(held) + open > 0)
}

/// Time goes on: fills, cancels, expiry and marks move, and the state is saved and restored.
fn step_on(random: &mut ChaCha8Rng, desk: &mut Desk) {
    desk.second += random.random_range(1..30);
    let mut steps = Vec::new();
    for open in desk.decisions.open().collect::<Vec<_>>() {
        let (account, intent_id) = (open.holder.account.clone(), open.intent_id.clone());
        match random.random_range(0..4) {
            0 => steps.push(Progress::Cancelled { account, intent_id }),
            1 | 2 => {
                let quantity_e8 = random.random_range(1..=open.open_e8);
                let held = desk.book.held_e8.entry((open.holder.clone(), open.instrument.clone())).or_default();
                *held += quantity_e8 * open.side.sign();
                let (holder, instrument, side) = (open.holder.clone(), open.instrument.clone(), open.side);
                steps.push(Progress::Filled(OrderFill { holder, instrument, intent_id, side, quantity_e8 }));
            }
            _ => {}
        }
    }
    assert_eq!(desk.decisions.progress(&steps), []);
    desk.decisions.expire(desk.second * SECOND, desk.policy.decisions.memory_ms);
    for listed in desk.book.listed.values_mut() {
        listed.mark_ns = desk.second * SECOND;
        listed.mark_e8 = (listed.mark_e8 / 1_000 * random.random_range(970..1_030)).max(1_000);
    }
}

#[test]
fn a_restart_at_any_step_decides_the_same() {
    for seed in 0..40 {
        println!("seed {seed}");
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut desk = random_desk(random);
        for number in 0..60 {
            if random.random_range(0..4) == 0 {
                step_on(random, &mut desk);
            }
            let id = format!("o{}", random.random_range(0..=number));
            let order = random_order(random, &desk, &id);
            let saved = desk.decisions.save();
            let bytes = postcard::to_allocvec(&saved).expect("bytes");
            let again = Decisions::restore(postcard::from_bytes(&bytes).expect("decisions"));
            assert_eq!(again.save(), saved, "seed {seed}");
            assert_eq!(again.sizes(), desk.decisions.sizes(), "seed {seed}");
            let before = std::mem::replace(&mut desk.decisions, again);
            let from_saved = desk.ask(vec![order.clone()]);
            let went_on = std::mem::replace(&mut desk.decisions, before);
            assert_eq!(desk.ask(vec![order]), from_saved, "seed {seed} order {number}");
            assert_eq!(desk.decisions.save(), went_on.save(), "seed {seed}");
        }
    }
}
