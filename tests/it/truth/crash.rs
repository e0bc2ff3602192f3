//! The crash of 2024-08-05 through the graph: the exchange's own five-minute candles of bitcoin and ether as trades, an account that is
//! long in both, and every trip, regime and flash crash at the tick that plain loops over the candles name.

use super::klines::klines;
use super::recording;
use super::slow::{Believed, Falls, LEVELS, Regimes, Rule};
use super::watched::{LATENESS_NS, Told, events};
use crate::risk::world::{Coming, UNIT, instrument};
use std::collections::BTreeSet;
use tidewheel::config::RiskSection;
use tidewheel_risk::policy::{Ladder, Policy, Ratio, Rung};
use tidewheel_schemas::{
    AccountContent, AggressorSide, Bar, CashMovement, ContractKind, Fill, Holder, InstrumentReference, Interval,
    SECOND_NS, Side, Trade, TradeId, TradeKind,
};

const SYMBOLS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];
const HELD: [i64; 2] = [1, 6];
const DEPOSIT: i64 = 100_000;
/// 2024-07-30 00:00 UTC, 2024-08-02 00:00 and 2024-08-06 00:00.
const BEGIN_NS: i64 = 1_722_297_600 * SECOND_NS;
const BUY_NS: i64 = 1_722_556_800 * SECOND_NS;
const END_NS: i64 = 1_722_902_400 * SECOND_NS;
const HOUR_NS: i64 = 3_600 * SECOND_NS;
const DAY_NS: i64 = 24 * HOUR_NS;
/// When a candle's open, its extremes and its close are traded, after it opened; each is in a minute of its own.
const TRADED_AT_S: [i64; 4] = [5, 80, 155, 290];
/// Ticks after each: the first has the trades, the second can tell of the prices, the third of the equity after both.
const TICKS_AFTER_MS: [i64; 3] = [400, 1_000, 1_400];
const REORDER_NS: i64 = 300_000_000;
const WINDOW_MS: u64 = 900_000;

/// Wide limits, since the account is to hold what it holds; thresholds of losses as they are by default. What is at risk in an hour is
/// less than in a day, for which the defaults are; and candles tell no fall in ten seconds.
fn section() -> RiskSection {
    let mut policy = Policy::with_version(1);
    policy.limits.single_position = Ratio::thousandths(2_000);
    policy.limits.sector = Ratio::thousandths(2_000);
    policy.limits.asset_class = Ratio::thousandths(2_000);
    policy.margin.share = Ratio::ONE;
    let rung = |e4: i64| Some(Rung { trigger: Ratio::from_e9(e4 * 100_000), clear: None });
    policy.breakers.value_at_risk = Ladder { yellow: rung(95), orange: rung(105), red: rung(115), black: None };
    policy.switches.value_at_risk.trigger = Ratio::from_e9(14_500_000);
    policy.switches.volatility.trigger = Ratio::thousandths(3_000);
    policy.hysteresis.dwell_ms = 1_800_000;
    (policy.staleness.mark_ms, policy.staleness.reading_ms) = (3_600_000, 3_600_000);
    policy.flash_crash.window_ms = WINDOW_MS;
    RiskSection {
        step: Interval::H1,
        scenarios: 500,
        scenarios_min: 30,
        policy: Some(policy),
        ..RiskSection::default()
    }
}

/// A moment at which both instruments trade.
struct Step {
    time_ns: i64,
    prices_e8: [i64; 2],
}

impl Step {
    fn price(&self, symbol: usize) -> f64 {
        self.prices_e8[symbol] as f64 / 1e8
    }

    fn tick(&self, of: usize) -> u64 {
        (self.time_ns / 1_000_000 + TICKS_AFTER_MS[of]) as u64
    }
}

/// Four moments a candle: open, the extremes, close. What fell was high before it was low.
fn steps() -> Option<Vec<Step>> {
    let folder = recording("klines_spot")?;
    let [bitcoin, ether] = SYMBOLS.map(|symbol| klines(&folder.join(format!("{symbol}-5m.parquet"))));
    let path = |bar: &Bar| {
        let Bar { open_e8, high_e8, low_e8, close_e8, .. } = *bar;
        if close_e8 < open_e8 { [open_e8, high_e8, low_e8, close_e8] } else { [open_e8, low_e8, high_e8, close_e8] }
    };
    let mut steps = Vec::new();
    for (open_ns, bar) in bitcoin.range(BEGIN_NS..END_NS) {
        let (one, other) = (path(bar), path(&ether[open_ns]));
        steps.extend(
            (0..4).map(|at| Step { time_ns: open_ns + TRADED_AT_S[at] * SECOND_NS, prices_e8: [one[at], other[at]] }),
        );
    }
    assert_eq!(steps.len(), 4 * 12 * 24 * 7);
    Some(steps)
}

fn trade(at: usize, step: &Step, symbol: usize) -> (i64, Coming) {
    let trade = Trade {
        event_time_ns: step.time_ns,
        id: TradeId::number(at as u64),
        price_e8: step.prices_e8[symbol],
        quantity_e8: UNIT,
        count: 1,
        side: AggressorSide::Buy,
        kind: TradeKind::Market,
    };
    (step.time_ns, Coming::Trade(instrument(SYMBOLS[symbol]), trade))
}

/// What the instruments are, and money.
fn beginning() -> Vec<(i64, Coming)> {
    let reference = |symbol: &str| {
        AccountContent::Reference(InstrumentReference {
            instrument: instrument(symbol),
            asset_class: "crypto".into(),
            sector: "coin".into(),
            base_currency: symbol[..3].into(),
            quote_currency: "USDT".into(),
            kind: ContractKind::Linear,
            multiplier_e8: UNIT,
        })
    };
    let cash = AccountContent::Cash(CashMovement {
        account: "long".into(),
        id: "first".into(),
        currency: "USDT".into(),
        amount_e8: DEPOSIT * UNIT,
        event_time_ns: BEGIN_NS,
    });
    let all = SYMBOLS.map(reference).into_iter().chain([cash]);
    all.map(|content| (BEGIN_NS, Coming::Account(content, BEGIN_NS))).collect()
}

fn purchase(step: &Step, symbol: usize) -> (i64, Coming) {
    let fill = Fill {
        holder: Holder { account: "long".into(), strategy: "hold".into() },
        instrument: instrument(SYMBOLS[symbol]),
        fill_id: format!("buy-{symbol}").into(),
        intent_id: None,
        side: Side::Buy,
        quantity_e8: HELD[symbol] * UNIT,
        price_e8: step.prices_e8[symbol],
        fee_e8: 0,
        fee_currency: "USDT".into(),
        event_time_ns: step.time_ns,
    };
    (step.time_ns, Coming::Account(AccountContent::Fill(fill), step.time_ns))
}

/// The ticks of the graph.
fn ticks(steps: &[Step], bought: usize) -> Vec<(u64, Vec<(i64, Coming)>)> {
    let mut ticks = vec![((BEGIN_NS / 1_000_000) as u64, beginning())];
    for (at, step) in steps.iter().enumerate() {
        let mut arrivals: Vec<_> = (0..2).map(|symbol| trade(at, step, symbol)).collect();
        arrivals.extend((0..2).filter(|_| at == bought).map(|symbol| purchase(step, symbol)));
        ticks.push((step.tick(0), arrivals));
        ticks.extend((1..TICKS_AFTER_MS.len()).map(|of| (step.tick(of), Vec::new())));
    }
    ticks
}

/// The account, recomputed from the prices alone.
struct Account<'a> {
    steps: &'a [Step],
    bought: usize,
    /// The closes of whole hours, with the time at which they can be known.
    hours: Vec<(i64, [f64; 2])>,
}

impl<'a> Account<'a> {
    fn new(steps: &'a [Step], bought: usize) -> Self {
        let mut hours: Vec<(i64, [f64; 2])> = Vec::new();
        for step in steps {
            let end_ns = (step.time_ns / HOUR_NS + 1) * HOUR_NS + LATENESS_NS;
            let prices = [step.price(0), step.price(1)];
            match hours.last_mut() {
                Some(last) if last.0 == end_ns => last.1 = prices,
                _ => hours.push((end_ns, prices)),
            }
        }
        Self { steps, bought, hours }
    }

    fn equity(&self, at: usize) -> f64 {
        let won = |symbol: usize| {
            let price = |at: usize| self.steps[at].price(symbol);
            if at < self.bought { 0.0 } else { HELD[symbol] as f64 * (price(at) - price(self.bought)) }
        };
        DEPOSIT as f64 + won(0) + won(1)
    }

    fn drawdown(&self, at: usize) -> f64 {
        let peak = (0..=at).map(|at| self.equity(at)).fold(f64::MIN, f64::max);
        1.0 - self.equity(at) / peak
    }

    /// Since the last moment of the day before.
    fn daily_loss(&self, at: usize) -> f64 {
        let day_ns = self.steps[at].time_ns / DAY_NS * DAY_NS;
        let before = self.steps.partition_point(|step| step.time_ns < day_ns);
        let begun = if before == 0 { DEPOSIT as f64 } else { self.equity(before - 1) };
        1.0 - self.equity(at) / begun
    }

    /// The closes that are known at a moment.
    fn closes(&self, at: usize) -> &[(i64, [f64; 2])] {
        &self.hours[..self.hours.partition_point(|(known_ns, _)| *known_ns <= self.steps[at].time_ns)]
    }

    /// The observation at the inverted distribution function of 5 %, over equity.
    fn value_at_risk(&self, at: usize) -> f64 {
        if at < self.bought {
            return 0.0;
        }
        let profit = |pair: &[(i64, [f64; 2])]| {
            let of = |symbol: usize| {
                HELD[symbol] as f64 * self.steps[at].price(symbol) * (pair[1].1[symbol] / pair[0].1[symbol] - 1.0)
            };
            of(0) + of(1)
        };
        let mut profits: Vec<f64> = self.closes(at).windows(2).map(profit).collect();
        profits.sort_by(f64::total_cmp);
        let worst = (profits.len() as f64 * 0.05).ceil() as usize;
        -profits[worst - 1] / self.equity(at)
    }
}

/// What is compared: the tick, and what happened at it.
type Story = BTreeSet<(u64, String)>;

/// What must happen, by plain loops.
fn expected(account: &Account<'_>) -> Story {
    let mut story = Story::new();
    let at_risk = || {
        [Rule::graded("value_at_risk", &[0.009_5, 0.010_5, 0.011_5]), Rule::switch("kill_value_at_risk", 3, 0.014_5)]
    };
    let mut rules = [
        ("account:long", at_risk()),
        ("strategy:long/hold", at_risk()),
        ("account:long", [Rule::graded("drawdown", &[0.1, 0.15, 0.18]), Rule::switch("kill_drawdown", 4, 0.2)]),
        ("account:long", [Rule::graded("daily_loss", &[0.03, 0.04, 0.045]), Rule::switch("kill_loss", 3, 0.05)]),
    ];
    let mut spikes = SYMBOLS.map(|_| Rule::switch("kill_volatility", 3, 3.0));
    let mut regimes = [Regimes::default(), Regimes::default()];
    let window_ns = WINDOW_MS as i64 * 1_000_000;
    let (mut falls, mut of_equity) = (SYMBOLS.map(|_| Falls::new(window_ns, 0.03)), Falls::new(window_ns, 0.03));
    let mut believed = SYMBOLS.map(|_| Believed::new(window_ns, 0.03));
    let mut hours = 0;
    for (at, step) in account.steps.iter().enumerate() {
        let closes = account.closes(at);
        if closes.len() > hours {
            hours = closes.len();
            for (symbol, name) in SYMBOLS.iter().enumerate() {
                let prices: Vec<f64> = closes.iter().map(|(_, prices)| prices[symbol]).collect();
                let (change, spike) = regimes[symbol].take(&prices);
                story.extend(change.map(|to| (step.tick(0), format!("regime {to} symbol:binance|{name}"))));
                let said = spike.map(|spike| spikes[symbol].take(step.tick(0), spike)).unwrap_or_default();
                story.extend(said.into_iter().map(|said| (step.tick(0), format!("{said} symbol:binance|{name}"))));
            }
        }
        for (symbol, name) in SYMBOLS.iter().enumerate() {
            believed[symbol].take(step.time_ns, step.price(symbol));
            if falls[symbol].take(step.time_ns, step.price(symbol)) {
                story.insert((step.tick(0), format!("flash_crash symbol:binance|{name}")));
            }
        }
        let values =
            [account.value_at_risk(at), account.value_at_risk(at), account.drawdown(at), account.daily_loss(at)];
        for of in 0..TICKS_AFTER_MS.len() {
            let tick = step.tick(of);
            for ((scope, rules), value) in rules.iter_mut().zip(values) {
                let said = rules.iter_mut().flat_map(|rule| rule.take(tick, value));
                story.extend(said.map(|said| (tick, format!("{said} {scope}"))));
            }
            // Equity is a price of the tick where that of all held is believed, and is looked at once it has waited as prices do.
            let tick_ns = tick as i64 * 1_000_000;
            let is_watched = believed.iter().all(|believed| believed.is_at(tick_ns));
            if is_watched && of_equity.take(tick_ns, account.equity(at)) {
                let later = (0..TICKS_AFTER_MS.len()).map(|of| step.tick(of)).chain([account.steps[at + 1].tick(0)]);
                let looked_at =
                    later.into_iter().find(|other| other.saturating_sub(tick) as i64 * 1_000_000 >= REORDER_NS);
                story.insert((looked_at.expect("a tick follows"), "flash_crash account:long".to_owned()));
            }
        }
    }
    story
}

/// What the graph says of the same.
fn found(told: &[Told]) -> Story {
    let of = |told: &Told| {
        let text = match (told.kind.as_str(), told.rule.as_str()) {
            ("flash_crash", _) => format!("flash_crash {}", told.scope),
            ("regime_changed", _) => {
                let to = told.detail["regime"]["to"].as_str().unwrap_or_else(|| panic!("{}", told.detail));
                format!("regime {to} {}", told.scope)
            }
            // What stands on a flash crash is compared with the crashes below.
            ("tripped" | "lowered", "flash_crash") | ("level_changed" | "policy_in_force", _) => return None,
            ("tripped", rule) => format!("{rule}>{} {}", told.level, told.scope),
            ("lowered", rule) => format!("{rule}<{} {}", told.level, told.scope),
            (kind, _) => panic!("{kind}: {told:?}"),
        };
        Some((told.tick, text))
    };
    told.iter().filter_map(of).collect()
}

fn name_of(tick: u64) -> String {
    let time = jiff::Timestamp::from_millisecond(tick as i64).expect("a time");
    time.to_string()[5..19].to_owned()
}

#[test]
fn the_crash_of_august_is_told_at_the_ticks_that_plain_loops_over_the_candles_name() {
    let Some(steps) = steps() else { return };
    let bought = steps.iter().position(|step| step.time_ns >= BUY_NS).expect("the recording has the day");
    let told = events(&section(), 2, &ticks(&steps, bought));
    let (found, expected) = (found(&told), expected(&Account::new(&steps, bought)));
    expected.iter().for_each(|(tick, text)| println!("{} {text}", name_of(*tick)));
    for (tick, text) in found.symmetric_difference(&expected) {
        let side = if expected.contains(&(*tick, text.clone())) { "missing" } else { "unexpected" };
        println!("{side}: {} {text}", name_of(*tick));
    }
    assert!(found == expected, "the graph says something else than the candles");

    // What it came to, so that a recording of something else would be noticed.
    let count = |of: &str| expected.iter().filter(|(_, text)| text.starts_with(of)).count();
    assert_eq!((count("flash_crash symbol"), count("flash_crash account")), (9, 2));
    assert!(count("regime") > 20 && count("drawdown>") == 3 && count("kill_drawdown>black") == 1);
    // A rule stands on each flash crash from its tick on, and the last word on the account is the drawdown's.
    for (tick, text) in expected.iter().filter(|(_, text)| text.starts_with("flash_crash")) {
        let scope = text.split_once(' ').expect("two words").1;
        let stood = told.iter().rfind(|told| told.rule == "flash_crash" && told.scope == scope && told.tick <= *tick);
        assert!(stood.is_some_and(|told| told.kind == "tripped"), "{} {text}", name_of(*tick));
    }
    let last = told.iter().rfind(|told| told.kind == "level_changed" && told.scope == "account:long");
    let killed = expected.iter().find(|(_, text)| text.starts_with("kill_drawdown")).expect("counted above");
    let last = last.expect("the level changed");
    assert_eq!((last.level.as_str(), last.tick), (LEVELS[4], killed.0));
}
