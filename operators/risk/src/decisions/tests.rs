//! Decisions by hand, and the promise on random books: no approved order passes a limit when it is filled at its price.

use super::oracle::{Filled, Listed, SlowBook};
use super::*;
use crate::breakers::{Fault, Now};
use crate::policy::{Limits, Override, PartialLimits, Policy};
use crate::regimes::Regime;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidewheel_schemas::{ContractKind, Holder, Instrument, Side};

const UNIT: i64 = 100_000_000;
const MONEY: i128 = 10_000_000_000_000_000;
const SECOND: i64 = 1_000_000_000;

fn holder(account: &str, strategy: &str) -> Holder {
    Holder { account: account.into(), strategy: strategy.into() }
}

fn named(symbol: &str) -> Instrument {
    Instrument::new("binance", symbol).expect("a name")
}

fn listed(price: i64) -> Listed {
    Listed {
        kind: ContractKind::Linear,
        multiplier_e8: UNIT,
        sector: "layer1".into(),
        class: "crypto".into(),
        mark_e8: price * UNIT,
        mark_ns: 100 * SECOND,
        rate_e18: 1_000_000_000_000_000_000,
    }
}

/// One account with 100,000 of equity; `BTC` at 100, `ETH` at 10.
fn book() -> SlowBook {
    let mut book = SlowBook::default();
    let equity_e16 = 100_000 * MONEY;
    let money = AccountNumbers { equity_e16, peak_e16: equity_e16, day_start_e16: equity_e16, positions: 0 };
    book.money.insert("a".into(), money);
    book.margin_e16.insert(("a".into(), "binance".into()), equity_e16);
    book.listed.insert(named("BTC"), listed(100));
    book.listed.insert(named("ETH"), listed(10));
    book
}

/// The default policy without costs, so that numbers can be checked by hand.
fn policy() -> Policy {
    let mut policy = Policy::with_version(1);
    policy.decisions.fee_allowance = Ratio::ZERO;
    policy.decisions.market_slippage = Ratio::ZERO;
    policy
}

fn intent(id: &str, symbol: &str, quantity: f64) -> OrderIntent {
    OrderIntent {
        holder: holder("a", "s"),
        instrument: named(symbol),
        intent_id: id.into(),
        side: if quantity < 0.0 { Side::Sell } else { Side::Buy },
        quantity_e8: (quantity.abs() * 1e8).round() as i64,
        limit_price_e8: None,
        stop_price_e8: None,
        is_reduce_only: false,
        expires_ns: None,
        event_time_ns: 100 * SECOND,
    }
}

struct Desk {
    policy: Policy,
    book: SlowBook,
    level: Level,
    regime: Option<Regime>,
    decisions: Decisions,
    second: i64,
}

impl Desk {
    fn new() -> Self {
        let (policy, book) = (policy(), book());
        Self {
            policy,
            book,
            level: Level::Green,
            regime: Some(Regime::Normal),
            decisions: Decisions::default(),
            second: 100,
        }
    }

    fn holding(held: &[(&str, i64)]) -> Self {
        let mut desk = Self::new();
        for (symbol, quantity) in held {
            desk.book.held_e8.insert((holder("a", "s"), named(symbol)), quantity * UNIT);
        }
        desk
    }

    fn ask(&mut self, intents: Vec<OrderIntent>) -> Vec<Answer> {
        let (level, regime) = (self.level, self.regime);
        let judging = Judging {
            policy: &self.policy,
            now: Now { tick: self.second as u64 * 1_000, time_ns: self.second * SECOND },
            state_version: 7,
            level: &|_| (level, Vec::new()),
            regime: &|_| regime,
        };
        self.decisions.take(&judging, &self.book, intents)
    }

    fn decide(&mut self, intent: OrderIntent) -> Decision {
        match self.ask(vec![intent]).pop() {
            Some(Answer::Decided(decision)) => decision,
            other => panic!("not decided: {other:?}"),
        }
    }

    /// `approved 5`, `reduced 2 [Gross]`, `rejected 0 [PriceBand]`.
    fn say(&mut self, intent: OrderIntent) -> String {
        let decision = self.decide(intent);
        let reasons: Vec<_> = decision.reasons.iter().map(name_of).collect();
        let ruling = format!("{:?}", decision.ruling).to_lowercase();
        let quantity = decision.quantity_e8 as f64 / 1e8;
        if reasons.is_empty() {
            format!("{ruling} {quantity}")
        } else {
            format!("{ruling} {quantity} {}", reasons.join(" "))
        }
    }
}

fn name_of(reason: &Reason) -> String {
    match reason {
        Reason::Limit(used) => format!("{:?}", used.limit),
        other => format!("{other:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned(),
    }
}

#[test]
fn limits_cut_orders_to_what_fits_exactly() {
    // A tenth of 100,000 is 100 of BTC at 100.
    assert_eq!(Desk::new().say(intent("1", "BTC", 100.0)), "approved 100");
    assert_eq!(Desk::new().say(intent("1", "BTC", -100.0)), "approved 100");
    assert_eq!(Desk::new().say(intent("1", "BTC", 101.0)), "reduced 100 SinglePosition");
    assert_eq!(Desk::holding(&[("BTC", 60)]).say(intent("1", "BTC", 60.0)), "reduced 40 SinglePosition");
    assert_eq!(Desk::holding(&[("BTC", 100)]).say(intent("1", "BTC", 1.0)), "rejected 0 SinglePosition");
    // A flip is judged by what is held in the end.
    assert_eq!(Desk::holding(&[("BTC", 60)]).say(intent("1", "BTC", -160.0)), "approved 160");
    assert_eq!(Desk::holding(&[("BTC", 60)]).say(intent("1", "BTC", -170.0)), "reduced 160 SinglePosition");
    // What is above a limit already may be reduced.
    assert_eq!(Desk::holding(&[("BTC", 900)]).say(intent("1", "BTC", -100.0)), "approved 100");
    // The limit's price counts where it is above the mark: 10,000 / 104.
    let dear = OrderIntent { limit_price_e8: Some(104 * UNIT), ..intent("1", "BTC", 99.0) };
    let decision = Desk::new().decide(dear);
    assert_eq!(decision.ruling, Ruling::Reduced);
    // 104 x <= 0.1 * (100,000 - 4 x): x = 95.785440613...
    assert_eq!(decision.quantity_e8, 9_578_544_061);
}

#[test]
fn each_limit_is_named() {
    let mut desk = Desk::new();
    desk.policy.limits = Limits {
        single_position: Ratio::thousandths(500),
        sector: Ratio::thousandths(500),
        asset_class: Ratio::thousandths(500),
        risk_per_trade: Ratio::thousandths(200),
        ..Limits::default()
    };
    let with = |change: &dyn Fn(&mut Desk)| {
        let mut changed = Desk { policy: desk.policy.clone(), ..Desk::new() };
        change(&mut changed);
        changed.say(intent("1", "BTC", 300.0))
    };
    assert_eq!(with(&|_| {}), "approved 300");
    let cap = Ratio::thousandths(100);
    assert_eq!(with(&|desk| desk.policy.limits.single_position = cap), "reduced 100 SinglePosition");
    assert_eq!(with(&|desk| desk.policy.limits.sector = cap), "reduced 100 Sector");
    assert_eq!(with(&|desk| desk.policy.limits.asset_class = cap), "reduced 100 AssetClass");
    assert_eq!(with(&|desk| desk.policy.limits.gross = cap), "reduced 100 Gross");
    assert_eq!(with(&|desk| desk.policy.limits.strategy_gross = cap), "reduced 100 StrategyGross");
    assert_eq!(with(&|desk| desk.policy.limits.leverage = cap), "reduced 100 Leverage");
    assert_eq!(with(&|desk| desk.policy.limits.position_value = 10_000), "reduced 100 PositionValue");
    // An assumed stop of 5 % loses 5 a unit.
    assert_eq!(with(&|desk| desk.policy.limits.risk_per_trade = Ratio::thousandths(5)), "reduced 100 RiskPerTrade");
    let none = |desk: &mut Desk| {
        desk.policy.limits.concurrent_positions = 1;
        desk.book.held_e8.insert((holder("a", "s"), named("ETH")), UNIT);
    };
    assert_eq!(with(&none), "rejected 0 ConcurrentPositions");
    let lost = |desk: &mut Desk, peak: i128, begun: i128| {
        let money = desk.book.money.get_mut("a").expect("it was put in");
        (money.peak_e16, money.day_start_e16) = (peak * MONEY, begun * MONEY);
    };
    assert_eq!(with(&|desk| lost(desk, 125_001, 100_000)), "rejected 0 Drawdown");
    assert_eq!(with(&|desk| lost(desk, 110_000, 105_264)), "rejected 0 DailyLoss");
    // The override of a strategy.
    let strict = PartialLimits { single_position: Some(cap), ..Default::default() };
    let entry = Override { strategy: Some("s".into()), limits: strict, ..Default::default() };
    assert_eq!(with(&|desk| desk.policy.overrides = vec![entry.clone()]), "reduced 100 SinglePosition");
    // Two at once.
    let both = |desk: &mut Desk| {
        desk.policy.limits.sector = cap;
        desk.policy.limits.gross = Ratio::thousandths(50);
    };
    assert_eq!(with(&both), "reduced 50 Sector Gross");
}

#[test]
fn levels_let_through_what_their_table_says() {
    use Level::*;
    let cases: &[(Level, i64, f64, bool, &str)] = &[
        (Green, 0, 10.0, false, "approved 10"),
        (Green, 0, 10.0, true, "rejected 0 ReduceOnly"),
        (Green, 50, -60.0, true, "reduced 50 ReduceOnly"),
        (Yellow, 0, 10.0, false, "rejected 0 Level"),
        (Yellow, 50, 10.0, false, "approved 10"),
        (Yellow, 50, -60.0, false, "reduced 50 Level"),
        (Orange, 50, 10.0, false, "rejected 0 Level"),
        (Orange, 50, -10.0, false, "approved 10"),
        (Orange, 50, -60.0, false, "reduced 50 Level"),
        (Orange, -50, 60.0, false, "reduced 50 Level"),
        (Red, 50, -10.0, false, "rejected 0 Level"),
        (Red, 50, -10.0, true, "rejected 0 Level"),
        (Black, 50, -10.0, false, "rejected 0 Level"),
        (Black, 50, -10.0, true, "approved 10"),
        (Black, 50, -60.0, true, "reduced 50 ReduceOnly"),
        (Black, 50, 10.0, true, "rejected 0 ReduceOnly"),
    ];
    for (level, held, quantity, is_reduce_only, expected) in cases {
        let mut desk = Desk::holding(&[("BTC", *held)]);
        desk.level = *level;
        let order = OrderIntent { is_reduce_only: *is_reduce_only, ..intent("1", "BTC", *quantity) };
        assert_eq!(desk.say(order), *expected, "{level} {held} {quantity} {is_reduce_only}");
    }
}

#[test]
fn bad_orders_and_missing_input_are_refused_with_all_reasons() {
    let check = |expected: &str, change: &dyn Fn(&mut Desk, &mut OrderIntent)| {
        let (mut desk, mut order) = (Desk::new(), intent("1", "BTC", 10.0));
        change(&mut desk, &mut order);
        assert_eq!(desk.say(order), expected);
    };
    check("approved 10", &|_, _| {});
    check("rejected 0 Invalid", &|_, order| order.quantity_e8 = 0);
    check("rejected 0 Invalid", &|_, order| order.quantity_e8 = i64::MIN);
    check("rejected 0 Invalid", &|_, order| order.limit_price_e8 = Some(0));
    check("rejected 0 Invalid", &|_, order| order.limit_price_e8 = Some(i64::MIN));
    check("rejected 0 Invalid PriceBand RiskPerTrade", &|_, order| {
        (order.limit_price_e8, order.stop_price_e8) = (Some(200 * UNIT), Some(i64::MIN));
        order.quantity_e8 = 40 * UNIT;
    });
    check("rejected 0 Invalid Invalid", &|_, order| {
        (order.holder.strategy, order.intent_id) = ("".into(), "".into());
    });
    check("rejected 0 TooOld", &|_, order| order.event_time_ns = -501 * SECOND);
    check("rejected 0 FromTheFuture", &|_, order| order.event_time_ns = 102 * SECOND);
    check("rejected 0 Expired", &|_, order| order.expires_ns = Some(100 * SECOND));
    check("rejected 0 OutsideUniverse", &|desk, _| desk.policy.universe = vec!["binance|ETH".into()]);
    check("approved 10", &|desk, _| desk.policy.universe = vec!["binance|BTC".into(), "binance|ETH".into()]);
    check("rejected 0 NoMarket", &|_, order| order.instrument = named("XRP"));
    check("rejected 0 NoMarket", &|desk, _| desk.second = 111);
    check("rejected 0 FromTheFuture NoMarket", &|desk, _| desk.second = 98);
    check("rejected 0 NoBook", &|_, order| order.holder.account = "b".into());
    check("rejected 0 NoBook", &|desk, _| desk.book.margin_e16.clear());
    // A position of the account that cannot be valued: its exposure is not known.
    check("rejected 0 NoBook", &|desk, _| {
        desk.book.held_e8.insert((holder("a", "t"), named("XRP")), 1);
    });
    check("rejected 0 PriceBand", &|_, order| order.limit_price_e8 = Some(106 * UNIT));
    check("rejected 0 StopSide", &|_, order| order.stop_price_e8 = Some(100 * UNIT));
    check("approved 10", &|_, order| order.stop_price_e8 = Some(99 * UNIT));
    check("rejected 0 TooManyOrders", &|desk, _| {
        desk.policy.decisions.open_orders = 1;
        desk.decide(intent("0", "ETH", 10.0));
    });
    check("rejected 0 SinglePosition BelowMinimum", &|desk, _| {
        desk.book.held_e8.insert((holder("a", "t"), named("BTC")), 9_995_000_000);
    });
    check("rejected 0 NoMarket", &|desk, _| {
        desk.book.listed.get_mut(&named("BTC")).expect("it was put in").mark_e8 = 0;
    });
    check("rejected 0 OutOfRange", &|desk, _| {
        desk.book.listed.get_mut(&named("BTC")).expect("it was put in").rate_e18 = i128::MAX;
    });
    check("rejected 0 OutsideUniverse Expired NoMarket Level", &|desk, order| {
        desk.policy.universe = vec!["binance|ETH".into()];
        (desk.second, desk.level) = (120, Level::Red);
        order.expires_ns = Some(1);
    });
}

#[test]
fn no_position_may_be_opened_beside_an_open_order_that_cannot_be_valued() {
    let mut desk = Desk::new();
    assert_eq!(desk.say(intent("1", "ETH", 10.0)), "approved 10");
    desk.book.listed.remove(&named("ETH"));
    assert_eq!(desk.say(intent("2", "BTC", 10.0)), "rejected 0 OpenOrders");
}

#[test]
fn what_is_open_counts_until_it_is_filled_cancelled_or_expired() {
    let mut desk = Desk::new();
    let (account, id): (Arc<str>, Arc<str>) = ("a".into(), "1".into());
    assert_eq!(desk.say(intent("1", "BTC", 60.0)), "approved 60");
    assert_eq!(desk.say(intent("2", "BTC", 60.0)), "reduced 40 SinglePosition");
    assert_eq!(desk.say(intent("3", "BTC", 1.0)), "rejected 0 SinglePosition");
    // Sales beside purchases: the position lies between -100 and 100.
    assert_eq!(desk.say(intent("4", "BTC", -110.0)), "reduced 100 SinglePosition");
    // Filled: it is held now, and counts once.
    desk.book.held_e8.insert((holder("a", "s"), named("BTC")), 60 * UNIT);
    let filled = Progress::Filled { account: account.clone(), intent_id: id.clone(), quantity_e8: 60 * UNIT };
    assert_eq!(desk.decisions.progress(&[filled]), []);
    assert_eq!(desk.say(intent("5", "BTC", 1.0)), "rejected 0 SinglePosition");
    let cancelled = |id: &str| Progress::Cancelled { account: "a".into(), intent_id: id.into() };
    assert_eq!(desk.decisions.progress(&[cancelled("2"), cancelled("4")]), []);
    assert_eq!(desk.say(intent("6", "BTC", 15.0)), "approved 15");
    assert_eq!(desk.decisions.open().map(|open| open.open_e8).collect::<Vec<_>>(), [15 * UNIT]);
    // Expired.
    desk.second = 160;
    let ended = desk.decisions.expire(desk.second * SECOND);
    assert_eq!(ended.iter().map(|open| &*open.intent_id).collect::<Vec<_>>(), ["6"]);
    assert_eq!(desk.decisions.sizes()[1], 0);
    // What should not be is noted.
    let steps = [
        Progress::Filled { account: account.clone(), intent_id: "none".into(), quantity_e8: 1 },
        Progress::Filled { account: account.clone(), intent_id: id.clone(), quantity_e8: 1 },
        Progress::Filled { account: account.clone(), intent_id: "6".into(), quantity_e8: 1 },
    ];
    let notes = desk.decisions.progress(&steps);
    let after_end = ProgressNote::FilledAfterEnd((account.clone(), id));
    let last = ProgressNote::FilledAfterEnd((account.clone(), "6".into()));
    assert_eq!(notes, [ProgressNote::Unknown((account, "none".into())), after_end, last]);
}

#[test]
fn a_fill_that_is_cancelled_opens_its_order_again() {
    let mut desk = Desk::new();
    assert_eq!(desk.say(intent("1", "BTC", 100.0)), "approved 100");
    let (account, intent_id): (Arc<str>, Arc<str>) = ("a".into(), "1".into());
    let filled = |e8: i64| Progress::Filled { account: account.clone(), intent_id: intent_id.clone(), quantity_e8: e8 };
    let unfilled =
        |e8: i64| Progress::Unfilled { account: account.clone(), intent_id: intent_id.clone(), quantity_e8: e8 };
    let open = |desk: &Desk| desk.decisions.open().map(|open| open.open_e8).sum::<i64>();
    desk.decisions.progress(&[filled(70 * UNIT)]);
    assert_eq!(open(&desk), 30 * UNIT);
    desk.decisions.progress(&[unfilled(70 * UNIT), filled(60 * UNIT)]);
    assert_eq!(open(&desk), 40 * UNIT);
    let notes = desk.decisions.progress(&[filled(50 * UNIT)]);
    assert_eq!((open(&desk), notes.len()), (0, 1), "overfilled");
}

#[test]
fn an_intent_has_one_decision_for_ever() {
    let mut desk = Desk::new();
    let first = desk.decide(intent("1", "BTC", 60.0));
    assert_eq!(desk.ask(vec![intent("1", "BTC", 60.0)]), [Answer::Repeated(first.clone())]);
    desk.level = Level::Red;
    desk.second = 109;
    assert_eq!(desk.ask(vec![intent("1", "BTC", 60.0)]), [Answer::Repeated(first.clone())]);
    let other = intent("1", "BTC", 61.0);
    assert_eq!(desk.ask(vec![other.clone()]), [Answer::NameReused { intent: other, number: first.number }]);
    // From the future: the same answer in its own time.
    desk.level = Level::Green;
    let ahead = OrderIntent { event_time_ns: 115 * SECOND, ..intent("2", "BTC", 1.0) };
    let refused = desk.decide(ahead.clone());
    assert_eq!(refused.ruling, Ruling::Rejected);
    desk.second = 115;
    assert_eq!(desk.ask(vec![ahead]), [Answer::Repeated(refused)]);
    // Forgotten, and never approved again: not even by a policy that remembers longer.
    desk.second = 701;
    desk.decisions.expire(desk.second * SECOND);
    desk.policy.decisions.memory_ms = 3_600_000;
    for listed in desk.book.listed.values_mut() {
        listed.mark_ns = desk.second * SECOND;
    }
    assert_eq!(desk.say(intent("1", "BTC", 60.0)), "rejected 0 TooOld");
    assert_eq!(desk.decisions.sizes(), [1, 0], "the one from the future is still remembered");
}

#[test]
fn intents_of_a_tick_are_judged_in_one_order() {
    let intents = || {
        vec![
            OrderIntent { event_time_ns: 99 * SECOND, ..intent("9", "BTC", 60.0) },
            intent("1", "BTC", 60.0),
            intent("2", "BTC", 60.0),
            intent("2", "BTC", 10.0),
            intent("3", "ETH", 60.0),
        ]
    };
    let expected = Desk::new().ask(intents());
    let rulings: Vec<_> = expected
        .iter()
        .map(|answer| match answer {
            Answer::Decided(decision) => (&*decision.intent.intent_id, decision.quantity_e8 / UNIT),
            Answer::NameReused { intent, .. } => (&*intent.intent_id, -1),
            Answer::Repeated(_) => panic!("nothing came twice"),
        })
        .collect();
    assert_eq!(rulings, [("9", 60), ("1", 40), ("2", 0), ("2", -1), ("3", 60)]);
    for seed in 0..20 {
        let mut shuffled = intents();
        shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(Desk::new().ask(shuffled), expected, "seed {seed}");
    }
}

#[test]
fn the_score_is_the_greatest_share_of_a_limit_and_grows_with_the_order() {
    let score = |quantity: f64| Desk::new().decide(intent("1", "BTC", quantity)).risk_score;
    assert_eq!(score(50.0), Ratio::thousandths(500));
    assert_eq!(score(100.0), Ratio::ONE);
    assert_eq!(score(5_000.0), Ratio::ONE);
    let mut before = Ratio::ZERO;
    for step in 1..120 {
        let now = score(f64::from(step));
        assert!(now >= before, "{step}: {now} after {before}");
        before = now;
    }
    let wide = LimitUse { limit: LimitKind::Gross, value: i128::MAX / 2, allowed: i128::MAX };
    let share = judge::score_of(&[wide]);
    assert!((share.as_f64() - 0.5).abs() < 1e-8, "{share}");
}

#[test]
fn the_assumed_stop_widens_with_the_regime() {
    let mut quantities = Vec::new();
    for regime in [Some(Regime::Low), Some(Regime::High), Some(Regime::Extreme), None] {
        let mut desk = Desk { regime, ..Desk::new() };
        desk.policy.limits.risk_per_trade = Ratio::thousandths(1);
        quantities.push(desk.decide(intent("1", "BTC", 90.0)).quantity_e8);
    }
    // 100 may be lost: 5, 7.5 and 12.5 a unit.
    assert_eq!(quantities, [20 * UNIT, 1_333_333_333, 8 * UNIT, 8 * UNIT]);
    let mut desk = Desk { regime: None, ..Desk::new() };
    desk.policy.limits.risk_per_trade = Ratio::thousandths(1);
    let stopped = OrderIntent { stop_price_e8: Some(99 * UNIT), ..intent("1", "BTC", 90.0) };
    assert_eq!(desk.decide(stopped).ruling, Ruling::Approved, "its own stop is nearer");
}

/// A random book of two accounts and its policy.
fn random_desk(random: &mut ChaCha8Rng) -> Desk {
    let mut desk = Desk { policy: Policy::with_version(1), ..Desk::new() };
    desk.policy.limits.concurrent_positions = random.random_range(2..12);
    desk.policy.limits.risk_per_trade = Ratio::thousandths(random.random_range(1..40));
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
        let money = AccountNumbers { equity_e16: equity, peak_e16: peak, day_start_e16: begun, positions: 0 };
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

fn as_filled(order: &Reservation) -> Filled {
    Filled {
        holder: order.holder.clone(),
        instrument: order.instrument.clone(),
        side: order.side,
        quantity_e8: order.open_e8,
        price_e8: order.price_e8,
    }
}

#[test]
fn no_approved_order_passes_a_limit_when_filled_at_its_price() {
    let (mut checked, mut cut, mut rejected) = (0, 0, 0);
    for seed in 0..150 {
        println!("seed {seed}");
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut desk = random_desk(random);
        for number in 0..40 {
            if random.random_range(0..8) == 0 {
                step_on(random, &mut desk);
            }
            let order = random_order(random, &desk, &format!("o{number}"));
            let exposure_before = desk.book.quantity_e8(&order.holder, &order.instrument).abs();
            let open: Vec<_> = desk.decisions.open().collect();
            let open_same_side: i64 = open
                .iter()
                .filter(|open| {
                    (&open.holder, &open.instrument, open.side) == (&order.holder, &order.instrument, order.side)
                })
                .map(|open| open.open_e8)
                .sum();
            let held = desk.book.quantity_e8(&order.holder, &order.instrument);
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
            let mut filled = Filled {
                holder: order.holder.clone(),
                instrument: order.instrument.clone(),
                side: order.side,
                quantity_e8: decision.quantity_e8,
                price_e8: decision.price_e8.expect("it was approved at a price"),
            };
            let is_reducing =
                held.signum() == -order.side.sign() && decision.quantity_e8 + open_same_side <= held.abs();
            if is_reducing {
                assert!((held + decision.quantity_e8 * order.side.sign()).abs() <= exposure_before, "seed {seed}");
                continue;
            }
            // Filled alone, with all that is open, and with any part of it.
            for trial in 0..6 {
                let mut others: Vec<_> =
                    open.iter().filter(|other| other.holder.account == order.holder.account).collect();
                others.retain(|_| trial == 1 || (trial > 1 && random.random()));
                let mut fills: Vec<_> = others.into_iter().map(as_filled).collect();
                for fill in &mut fills {
                    fill.quantity_e8 =
                        if trial > 2 { random.random_range(0..=fill.quantity_e8) } else { fill.quantity_e8 };
                }
                filled.quantity_e8 =
                    if trial > 3 { random.random_range(1..=decision.quantity_e8) } else { decision.quantity_e8 };
                fills.push(filled.clone());
                let (after, change) = desk.book.after(&fills, desk.policy.decisions.fee_allowance);
                let change = change.min(0.0);
                let mark_e8 = desk.book.listed[&order.instrument].mark_e8;
                for price_e8 in [mark_e8, filled.price_e8] {
                    let passed = after.passed(&desk.policy.limits, &filled, change, price_e8);
                    assert_eq!(passed, [], "seed {seed} order {number} trial {trial}: {decision:?}");
                }
                checked += 1;
            }
        }
    }
    println!("{checked} outcomes checked, {cut} orders cut, {rejected} rejected");
    assert!(checked > 3_000 && cut > 300 && rejected > 300, "{checked} {cut} {rejected}: too little was tested");
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
                steps.push(Progress::Filled { account, intent_id, quantity_e8 });
            }
            _ => {}
        }
    }
    assert_eq!(desk.decisions.progress(&steps), []);
    desk.decisions.expire(desk.second * SECOND);
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

#[test]
fn a_position_of_another_strategy_is_not_netted() {
    let mut desk = Desk::new();
    desk.book.held_e8.insert((holder("a", "t"), named("BTC")), -60 * UNIT);
    assert_eq!(desk.say(intent("1", "BTC", 60.0)), "reduced 40 SinglePosition");
    assert_eq!(desk.book.account("a").map(|money| money.positions), Ok(1));
    assert_eq!(desk.book.account("c"), Err(Fault::Missing("account".into())));
}
