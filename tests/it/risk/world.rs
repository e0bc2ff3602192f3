//! A small paper book full of trouble: trades of three instruments, what two accounts do, what people order, tick by tick.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel::config::RiskSection;
use tidewheel_connectors::source::DecodedChunk;
use tidewheel_operators::risk::RiskConfig;
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::policy::{Policy, Ratio};
use tidewheel_risk::switches::{ControlEvent, Order};
use tidewheel_schemas::{
    AccountContent, AccountRecord, AggressorSide, Amendment, CashMovement, Change, ContractKind, Fill, FillAmendment,
    FillChange, Holder, Instrument, InstrumentReference, Interval, OrderEnd, OrderIntent, SECOND_NS, Side, Trade,
    TradeId, TradeKind,
};

pub const UNIT: i64 = 100_000_000;
pub const HORIZON_NS: i64 = 600 * SECOND_NS;
/// 2026-01-05 11:00 UTC.
pub const START_NS: i64 = 1_767_610_800 * SECOND_NS;
pub const LENGTH_NS: i64 = 40 * 60 * SECOND_NS;

const LISTED: [(&str, &str, i64); 3] = [("BTCUSDT", "BTC", 60_000), ("ETHUSDT", "ETH", 3_000), ("SOLUSDT", "SOL", 150)];

pub fn instrument(symbol: &str) -> Instrument {
    Instrument::new("binance", symbol).expect("a name")
}

/// What comes, and when.
#[derive(Clone, Debug)]
pub enum Coming {
    Trade(Instrument, Trade),
    Cancel(Instrument, TradeId, i64),
    Account(AccountContent, i64),
    Order(ControlEvent),
}

/// Everything in the order of arrival.
pub struct World {
    pub arrivals: Vec<(i64, Coming)>,
}

/// The tick of the order that kills, in which an intent comes that nothing else speaks against.
pub const KILLED_AT_NS: i64 = START_NS + 20 * 60 * SECOND_NS + 450_000_000;

/// What is watched, with scenarios of bars of a step.
pub fn config(step: Interval) -> RiskConfig {
    let mut policy = Policy::with_version(1);
    // Ticks of a test may be a minute apart.
    policy.staleness.mark_ms = 120_000;
    policy.staleness.reading_ms = 120_000;
    policy.limits.single_position = Ratio::thousandths(400);
    policy.limits.sector = Ratio::thousandths(800);
    policy.limits.asset_class = Ratio::thousandths(1_000);
    (policy.regimes.warm_bars, policy.regimes.window_bars) = (10, 30);
    let section = RiskSection { step, scenarios: 60, scenarios_min: 5, policy: Some(policy), ..RiskSection::default() };
    section.resolve(HORIZON_NS)
}

impl World {
    pub fn new(seed: u64) -> Self {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut world = Self { arrivals: Vec::new() };
        world.references();
        let prices = world.trades(random);
        world.accounts(random, &prices);
        world.orders();
        world.arrivals.sort_by_key(|(time_ns, _)| *time_ns);
        world
    }

    fn account(&mut self, arrives_ns: i64, event_time_ns: i64, content: AccountContent) {
        self.arrivals.push((arrives_ns, Coming::Account(content, event_time_ns)));
    }

    /// The third instrument is told of late; a fourth is never.
    fn references(&mut self) {
        for (at, (symbol, base, _)) in LISTED.into_iter().enumerate() {
            let reference = AccountContent::Reference(InstrumentReference {
                instrument: instrument(symbol),
                asset_class: "crypto".into(),
                sector: if at == 0 { "store" } else { "layer1" }.into(),
                base_currency: base.into(),
                quote_currency: "USDT".into(),
                kind: ContractKind::Linear,
                multiplier_e8: UNIT,
            });
            let time_ns = START_NS + if at == 2 { 300 * SECOND_NS } else { 0 };
            self.account(time_ns, time_ns, reference.clone());
            // And once more.
            self.account(time_ns + 40 * SECOND_NS, time_ns, reference);
        }
        for (account, amount) in [("main", 1_000_000), ("small", 20_000)] {
            let movement = CashMovement {
                account: account.into(),
                id: "first".into(),
                currency: "USDT".into(),
                amount_e8: amount * UNIT,
                event_time_ns: START_NS,
            };
            self.account(START_NS, START_NS, AccountContent::Cash(movement.clone()));
            self.account(START_NS + SECOND_NS, START_NS, AccountContent::Cash(movement.clone()));
            let other = CashMovement { amount_e8: UNIT, ..movement };
            self.account(START_NS + 2 * SECOND_NS, START_NS, AccountContent::Cash(other));
        }
    }

    /// Trades; gives the price of each instrument at each second.
    fn trades(&mut self, random: &mut ChaCha8Rng) -> BTreeMap<&'static str, Vec<i64>> {
        let mut prices = BTreeMap::new();
        for (symbol, _, price) in LISTED {
            let mut price_e8 = price * UNIT;
            let mut of_seconds = Vec::new();
            for at in 0..LENGTH_NS / SECOND_NS * 2 {
                let event_time_ns = START_NS + at * SECOND_NS / 2;
                // A crash of the second instrument, and the way back.
                let drift = match at {
                    1_500..1_510 if symbol == "ETHUSDT" => -6_000,
                    1_600..1_640 if symbol == "ETHUSDT" => 1_500,
                    _ => 0,
                };
                price_e8 += price_e8 / 1_000_000 * (drift + random.random_range(-400..=400));
                let trade = Trade {
                    event_time_ns,
                    id: TradeId::number(at as u64),
                    price_e8,
                    quantity_e8: random.random_range(1..UNIT),
                    count: 1,
                    side: AggressorSide::Buy,
                    kind: TradeKind::Market,
                };
                let arrives_ns = event_time_ns + random.random_range(0..SECOND_NS / 4);
                self.arrivals.push((arrives_ns, Coming::Trade(instrument(symbol), trade)));
                if random.random_bool(0.02) {
                    self.arrivals.push((arrives_ns + SECOND_NS, Coming::Trade(instrument(symbol), trade)));
                }
                if random.random_bool(0.02) {
                    let late_ns = arrives_ns + random.random_range(1..HORIZON_NS / 2);
                    self.arrivals.push((late_ns, Coming::Cancel(instrument(symbol), trade.id, event_time_ns)));
                }
                if at % 2 == 0 {
                    of_seconds.push(price_e8);
                }
            }
            prices.insert(symbol, of_seconds);
        }
        prices
    }

    fn accounts(&mut self, random: &mut ChaCha8Rng, prices: &BTreeMap<&'static str, Vec<i64>>) {
        for number in 0..700u64 {
            let second = random.random_range(60..LENGTH_NS / SECOND_NS - 60);
            let event_time_ns = START_NS + second * SECOND_NS + random.random_range(0..SECOND_NS);
            let account: Arc<str> = ["main", "main", "main", "small"][random.random_range(0..4)].into();
            let holder = Holder { account, strategy: ["trend", "carry"][random.random_range(0..2)].into() };
            // The third is known from the fifth minute on. A fill of what nobody knows stops its account for good.
            let listed = LISTED[random.random_range(0..if second > 330 { 3 } else { 2 })];
            let price_e8 = prices[listed.0][second as usize];
            let is_unknown = &*holder.account == "small" && second > 1_800 && random.random_bool(0.1);
            let traded = instrument(if is_unknown { "NOBODY" } else { listed.0 });
            let side = if random.random_bool(0.5) { Side::Buy } else { Side::Sell };
            let worth = if &*holder.account == "small" { 500 } else { 20_000 };
            let quantity_e8 =
                (i128::from(random.random_range(1..worth) * UNIT) * i128::from(UNIT) / i128::from(price_e8)) as i64;
            let arrives_ns = event_time_ns + random.random_range(0..SECOND_NS / 2);
            if number % 2 == 0 {
                let intent = OrderIntent {
                    holder,
                    instrument: traded,
                    intent_id: number.to_string().into(),
                    side,
                    quantity_e8,
                    limit_price_e8: random.random_bool(0.5).then_some(price_e8),
                    stop_price_e8: None,
                    is_reduce_only: random.random_bool(0.1),
                    expires_ns: None,
                    event_time_ns,
                };
                self.intent(random, arrives_ns, intent, price_e8);
            } else {
                let fill = Fill {
                    holder,
                    instrument: traded,
                    fill_id: number.to_string().into(),
                    intent_id: None,
                    side,
                    quantity_e8,
                    price_e8,
                    fee_e8: 1_000,
                    fee_currency: "USDT".into(),
                    event_time_ns,
                };
                self.fill(random, arrives_ns, fill);
            }
        }
    }

    fn intent(&mut self, random: &mut ChaCha8Rng, arrives_ns: i64, intent: OrderIntent, price_e8: i64) {
        let (event_time_ns, account) = (intent.event_time_ns, intent.holder.account.clone());
        let content = AccountContent::Intent(intent.clone());
        self.account(arrives_ns, event_time_ns, content.clone());
        if random.random_bool(0.1) {
            let again_ns = arrives_ns + random.random_range(0..3 * SECOND_NS);
            self.account(again_ns, event_time_ns, content);
        }
        if random.random_bool(0.05) {
            let other = OrderIntent { quantity_e8: intent.quantity_e8 + 1, ..intent.clone() };
            self.account(arrives_ns + SECOND_NS, event_time_ns, AccountContent::Intent(other));
        }
        let end_ns = arrives_ns + 10 * SECOND_NS;
        if random.random_bool(0.3) {
            let end = OrderEnd { account, intent_id: intent.intent_id.clone() };
            self.account(end_ns, end_ns, AccountContent::OrderEnd(end));
        } else if random.random_bool(0.5) {
            let fill = Fill {
                holder: intent.holder,
                instrument: intent.instrument,
                fill_id: format!("of-{}", intent.intent_id).into(),
                intent_id: Some(intent.intent_id),
                side: intent.side,
                quantity_e8: intent.quantity_e8,
                price_e8,
                fee_e8: 0,
                fee_currency: "USDT".into(),
                event_time_ns: end_ns,
            };
            self.fill(random, end_ns, fill);
        }
    }

    fn fill(&mut self, random: &mut ChaCha8Rng, arrives_ns: i64, fill: Fill) {
        let (event_time_ns, account) = (fill.event_time_ns, fill.holder.account.clone());
        let is_late = random.random_bool(0.02);
        let came_ns = if is_late { arrives_ns + 2 * HORIZON_NS } else { arrives_ns };
        self.account(came_ns, event_time_ns, AccountContent::Fill(fill.clone()));
        if random.random_bool(0.05) {
            self.account(arrives_ns + SECOND_NS, event_time_ns, AccountContent::Fill(fill.clone()));
        }
        let (instrument, fill_id) = (fill.instrument.clone(), fill.fill_id.clone());
        let change = match random.random_range(0..20) {
            0 => FillChange::Cancel,
            1 => {
                let price_e8 = fill.price_e8 / 100 * 101;
                FillChange::Correct { fill: Box::new(Fill { price_e8, ..fill.clone() }), sequence: 1 }
            }
            2 => {
                // The same id once more, and not the same.
                let other = Fill { quantity_e8: fill.quantity_e8 + 1, ..fill };
                return self.account(arrives_ns + SECOND_NS, event_time_ns, AccountContent::Fill(other));
            }
            _ => return,
        };
        // Some come before what they change.
        let changed_ns = arrives_ns + random.random_range(-SECOND_NS..120 * SECOND_NS);
        let amendment = FillAmendment { account, instrument, fill_id, change, original_time_ns: Some(event_time_ns) };
        self.account(changed_ns, changed_ns, AccountContent::FillAmendment(amendment));
    }

    fn orders(&mut self) {
        let mut order = |id: &str, time_ns: i64, order: Order| {
            let event = ControlEvent { id: id.into(), who: "anna".into(), why: "a test".into(), time_ns, order };
            self.arrivals.push((time_ns, Coming::Order(event)));
        };
        let minute = |minute: i64| START_NS + minute * 60 * SECOND_NS;
        let mut policy = Policy { version: 2, ..config(Interval::M1).policy };
        policy.limits.position_value = 900_000;
        order("policy", minute(10), Order::SetPolicy(Box::new(policy.clone())));
        policy.version = 1;
        order("older", minute(11), Order::SetPolicy(Box::new(policy)));
        let kill = Order::Kill { scope: Scope::account("main"), level: Level::Red };
        order("stop", KILLED_AT_NS, kill.clone());
        order("stop", KILLED_AT_NS, kill);
        let trip = "kill_manual@account:main@red@stop".to_owned();
        order("nothing", minute(21), Order::Reset { trip: "no such trip".into() });
        order("go-on", minute(23), Order::Reset { trip });
        // Fills that never count stop an account until somebody has seen to it.
        for at in 1..LENGTH_NS / (60 * SECOND_NS) {
            for account in ["main", "small"] {
                order(&format!("clear-{account}-{at}"), minute(at), Order::Clear { account: account.into() });
            }
        }
        let never = OrderEnd { account: "main".into(), intent_id: "never-asked".into() };
        self.account(minute(12), minute(12), AccountContent::OrderEnd(never));
        let intent = OrderIntent {
            holder: Holder { account: "main".into(), strategy: "trend".into() },
            instrument: instrument("BTCUSDT"),
            intent_id: "in-vain".into(),
            side: Side::Buy,
            quantity_e8: UNIT / 1_000,
            limit_price_e8: None,
            stop_price_e8: None,
            is_reduce_only: false,
            expires_ns: None,
            event_time_ns: KILLED_AT_NS - 200_000_000,
        };
        // It came before the order, in the same tick.
        self.account(KILLED_AT_NS - 1_000_000, intent.event_time_ns, AccountContent::Intent(intent));
    }
}

/// What a tick is made of, in the order in which it came.
#[derive(Default)]
pub struct Cut {
    pub chunks: Vec<DecodedChunk>,
    pub orders: Vec<ControlEvent>,
}

/// The arrivals of a tick, trades in one partition and records of accounts in another; the latter shuffled, if there is something to
/// shuffle by: they keep their places.
pub fn cut(arrivals: &[(i64, Coming)], begin: u64, shuffle: Option<&mut ChaCha8Rng>) -> Cut {
    let mut cut = Cut::default();
    let (mut trades, mut accounts) = (DecodedChunk::default(), DecodedChunk::default());
    accounts.columns.partition = 1;
    for (position, (_, coming)) in (begin..).zip(arrivals) {
        match coming {
            Coming::Trade(instrument, trade) => {
                let known = trades.columns.instruments.iter().position(|known| known == instrument);
                let number = known.unwrap_or_else(|| {
                    trades.columns.instruments.push(instrument.clone());
                    trades.columns.instruments.len() - 1
                });
                trades.columns.push(number as u32, trade, position);
            }
            Coming::Cancel(instrument, id, time_ns) => trades.amendments.push(Amendment {
                instrument: instrument.clone(),
                id: *id,
                change: Change::Cancel,
                original_time_ns: Some(*time_ns),
                sequence: 0,
                partition: 0,
                position,
                receive_time_ns: None,
                raw: Arc::default(),
            }),
            Coming::Account(content, event_time_ns) => accounts.account.push(AccountRecord {
                event_time_ns: *event_time_ns,
                partition: 1,
                position,
                index: 0,
                receive_time_ns: None,
                content: content.clone(),
            }),
            Coming::Order(order) => cut.orders.push(order.clone()),
        }
    }
    for chunk in [&mut trades, &mut accounts] {
        chunk.end_position = begin + arrivals.len() as u64;
    }
    if let Some(random) = shuffle {
        cut.orders.shuffle(random);
    }
    cut.chunks = vec![trades, accounts];
    cut
}
