//! Decisions by hand.

use super::oracle::{Listed, SlowBook};
use super::*;
use crate::breakers::{Fault, Now};
use crate::policy::{Limits, Override, PartialLimits, Policy};
use crate::regimes::Regime;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tidewheel_schemas::{ContractKind, Holder, Instrument, Side};

pub(super) const UNIT: i64 = 100_000_000;
pub(super) const MONEY: i128 = 10_000_000_000_000_000;
pub(super) const SECOND: i64 = 1_000_000_000;

pub(super) fn holder(account: &str, strategy: &str) -> Holder {
    Holder { account: account.into(), strategy: strategy.into() }
}

pub(super) fn named(symbol: &str) -> Instrument {
    Instrument::new("binance", symbol).expect("a name")
}

pub(super) fn listed(price: i64) -> Listed {
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
    let money = Money { equity_e16, peak_e16: equity_e16, day_start_e16: equity_e16, positions: 0 };
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

pub(super) fn intent(id: &str, symbol: &str, quantity: f64) -> OrderIntent {
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

pub(super) struct Desk {
    pub policy: Policy,
    pub book: SlowBook,
    pub level: Level,
    pub regime: Option<Regime>,
    pub decisions: Decisions,
    pub second: i64,
}

impl Desk {
    pub(super) fn new() -> Self {
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

    pub(super) fn holding(held: &[(&str, i64)]) -> Self {
        let mut desk = Self::new();
        for (symbol, quantity) in held {
            desk.book.held_e8.insert((holder("a", "s"), named(symbol)), quantity * UNIT);
        }
        desk
    }

    pub(super) fn ask(&mut self, intents: Vec<OrderIntent>) -> Vec<Answer> {
        let (answers, notes) = self.ask_with(intents, Vec::new());
        assert_eq!(notes, []);
        answers
    }

    /// Asks in the tick in which this becomes of orders.
    pub(super) fn ask_with(
        &mut self,
        intents: Vec<OrderIntent>,
        steps: Vec<Progress>,
    ) -> (Vec<Answer>, Vec<ProgressNote>) {
        let (level, regime) = (self.level, self.regime);
        let judging = Judging {
            policy: &self.policy,
            now: Now { tick: self.second as u64 * 1_000, time_ns: self.second * SECOND },
            state_version: 7,
            level: &|_| (level, Vec::new()),
            regime: &|_| regime,
        };
        let (steps, early) = self.decisions.part(steps, &intents);
        let mut notes = self.decisions.progress(&steps);
        let (answers, more) = self.decisions.take(&judging, &self.book, intents, early);
        notes.extend(more);
        (answers, notes)
    }

    pub(super) fn decide(&mut self, intent: OrderIntent) -> Decision {
        match self.ask(vec![intent]).pop() {
            Some(Answer::Decided(decision)) => decision,
            other => panic!("not decided: {other:?}"),
        }
    }

    /// `approved 5`, `reduced 2 [Gross]`, `rejected 0 [PriceBand]`.
    pub(super) fn say(&mut self, intent: OrderIntent) -> String {
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
    check("rejected 0 Expired OutsideUniverse NoMarket Level", &|desk, order| {
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
    assert_eq!(desk.decisions.progress(&[filled("1", 60 * UNIT)]), []);
    assert_eq!(desk.say(intent("5", "BTC", 1.0)), "rejected 0 SinglePosition");
    let cancelled = |id: &str| Progress::Cancelled { account: "a".into(), intent_id: id.into() };
    assert_eq!(desk.decisions.progress(&[cancelled("2"), cancelled("4")]), []);
    assert_eq!(desk.say(intent("6", "BTC", 15.0)), "approved 15");
    assert_eq!(desk.decisions.open().map(|open| open.open_e8).collect::<Vec<_>>(), [15 * UNIT]);
    // Expired.
    desk.second = 160;
    let ended = desk.decisions.expire(desk.second * SECOND, desk.policy.decisions.memory_ms);
    assert_eq!(ended.iter().map(|open| &*open.intent_id).collect::<Vec<_>>(), ["6"]);
    assert_eq!(desk.decisions.sizes()[1], 0);
    // What should not be is noted.
    let notes = desk.decisions.progress(&[filled("none", 1), filled("1", 1), filled("6", 1)]);
    let name = |id: &str| (account.clone(), id.into());
    let (full, after_end) = (ProgressNote::Overfilled((account.clone(), id)), ProgressNote::FilledAfterEnd(name("6")));
    assert_eq!(notes, [full, after_end, ProgressNote::Unknown(name("none"))]);
}

/// Some of an order of bitcoin of the strategy that asks in these tests.
pub(super) fn fill_of(id: &str, e8: i64) -> OrderFill {
    let (side, quantity_e8) = (if e8 < 0 { Side::Sell } else { Side::Buy }, e8.abs());
    OrderFill { holder: holder("a", "s"), instrument: named("BTC"), intent_id: id.into(), side, quantity_e8 }
}

pub(super) fn filled(id: &str, e8: i64) -> Progress {
    Progress::Filled(fill_of(id, e8))
}

fn unfilled(id: &str, e8: i64) -> Progress {
    Progress::Unfilled(fill_of(id, e8))
}

#[test]
fn a_fill_that_is_cancelled_opens_its_order_again() {
    let mut desk = Desk::new();
    assert_eq!(desk.say(intent("1", "BTC", 100.0)), "approved 100");
    let open = |desk: &Desk| desk.decisions.open().map(|open| open.open_e8).sum::<i64>();
    desk.decisions.progress(&[filled("1", 70 * UNIT)]);
    assert_eq!(open(&desk), 30 * UNIT);
    desk.decisions.progress(&[unfilled("1", 70 * UNIT), filled("1", 60 * UNIT)]);
    assert_eq!(open(&desk), 40 * UNIT);
    let notes = desk.decisions.progress(&[filled("1", 50 * UNIT)]);
    assert_eq!((open(&desk), notes.len()), (0, 1), "overfilled");
}

#[test]
fn a_fill_of_something_else_releases_nothing() {
    let others: [&dyn Fn(&mut OrderFill); 4] = [
        &|fill| fill.side = Side::Sell,
        &|fill| fill.instrument = named("ETH"),
        &|fill| fill.holder.strategy = "t".into(),
        &|fill| (fill.side, fill.quantity_e8) = (Side::Sell, i64::MAX),
    ];
    for change in others {
        let mut desk = Desk::new();
        assert_eq!(desk.say(intent("1", "BTC", 100.0)), "approved 100");
        let mut fill = fill_of("1", 70 * UNIT);
        change(&mut fill);
        let notes = desk.decisions.progress(&[Progress::Filled(fill.clone()), Progress::Unfilled(fill)]);
        assert_eq!(notes, [ProgressNote::Mismatched(("a".into(), "1".into()))]);
        assert_eq!(desk.say(intent("2", "BTC", 1.0)), "rejected 0 SinglePosition", "all of the first is still open");
    }
}

#[test]
fn what_is_full_neither_expires_nor_is_overfilled_by_a_correction() {
    let mut desk = Desk::new();
    assert_eq!(desk.say(intent("1", "BTC", 100.0)), "approved 100");
    let open = |desk: &Desk| desk.decisions.open().map(|open| open.open_e8).sum::<i64>();
    assert_eq!(desk.decisions.progress(&[filled("1", 100 * UNIT)]), []);
    assert_eq!(desk.decisions.expire(200 * SECOND, desk.policy.decisions.memory_ms), []);
    // Corrected to the same quantity at another price, in either order of the two halves.
    for steps in
        [[unfilled("1", 100 * UNIT), filled("1", 100 * UNIT)], [filled("1", 100 * UNIT), unfilled("1", 100 * UNIT)]]
    {
        assert_eq!((desk.decisions.progress(&steps), open(&desk)), (vec![], 0));
    }
    // To less: it is open for the rest of the tick, and its time is over.
    assert_eq!(desk.decisions.progress(&[unfilled("1", 100 * UNIT), filled("1", 90 * UNIT)]), []);
    assert_eq!(open(&desk), 10 * UNIT);
    assert_eq!(desk.decisions.expire(201 * SECOND, desk.policy.decisions.memory_ms).len(), 1);
    assert_eq!(open(&desk), 0);
    let name = || ("a".into(), "1".into());
    assert_eq!(desk.decisions.progress(&[filled("1", 1)]), [ProgressNote::FilledAfterEnd(name())]);
    // A cancel in the tick of the last fill comes after it, and a fill too many is told once.
    let mut desk = Desk::new();
    assert_eq!(desk.say(intent("1", "BTC", 100.0)), "approved 100");
    let cancelled = Progress::Cancelled { account: "a".into(), intent_id: "1".into() };
    assert_eq!(desk.decisions.progress(&[cancelled, filled("1", 60 * UNIT)]), []);
    assert_eq!(open(&desk), 0);
    let mut desk = Desk::new();
    assert_eq!(desk.say(intent("1", "BTC", 100.0)), "approved 100");
    let over = desk.decisions.progress(&[filled("1", 101 * UNIT)]);
    assert_eq!(over, [ProgressNote::Overfilled(name())]);
    assert_eq!(desk.decisions.progress(&[unfilled("1", 101 * UNIT), filled("1", 101 * UNIT)]), []);
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
    desk.decisions.expire(desk.second * SECOND, desk.policy.decisions.memory_ms);
    desk.policy.decisions.memory_ms = 3_600_000;
    for listed in desk.book.listed.values_mut() {
        listed.mark_ns = desk.second * SECOND;
    }
    assert_eq!(desk.say(intent("1", "BTC", 60.0)), "rejected 0 TooOld");
    assert_eq!(
        desk.decisions.sizes(),
        [2, 0],
        "the one from the future is still remembered, and the one that is too old"
    );
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

#[test]
fn a_position_of_another_strategy_is_not_netted() {
    let mut desk = Desk::new();
    desk.book.held_e8.insert((holder("a", "t"), named("BTC")), -60 * UNIT);
    assert_eq!(desk.say(intent("1", "BTC", 60.0)), "reduced 40 SinglePosition");
    assert_eq!(desk.book.account("a").map(|money| money.positions), Ok(1));
    assert_eq!(desk.book.account("c"), Err(Fault::Missing("account".into())));
}
