//! The paper trader: signals in, order intents out; decisions in, fills out. It is trader and exchange in one, and both are paper: an order
//! is filled whole and at once at the price of the market, whatever its size, if that is within its limit.
//!
//! Pure state: what was heard goes in with the time of hearing, what is to be sent comes out.

use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{
    AccountContent, CashMovement, Fill, Holder, Instrument, OrderEnd, OrderIntent, SECOND_NS, Side,
};

/// The account's name.
pub const ACCOUNT: &str = "paper";
/// The strategy's.
pub const STRATEGY: &str = "signals";
/// What prices are in, and what the account is fed with.
const QUOTE: &str = "USDT";
/// A hundred thousand.
const DEPOSIT_E8: i64 = 10_000_000_000_000;
/// What a position is opened with, of the quote currency, eight decimals: seven in a hundred of the deposit, so that by the default limits
/// the fourth of one sector is too large, and the eighth of all.
const STAKE_E8: i64 = 700_000_000_000;
/// What is paid for a fill: four parts in ten thousand.
const FEE_PPM: i128 = 400;
/// How far beyond the price an order is limited, and how far behind it it is given up.
const LIMIT_PPM: i64 = 3_000;
const STOP_PPM: i64 = 20_000;
/// How long a position is held: as long as the models look ahead.
const HOLD_NS: i64 = 10 * SECOND_NS;
/// How long after an order that came to nothing a position is tried to be closed again.
const AGAIN_NS: i64 = 3 * SECOND_NS;
/// How old a signal or a price may be to be acted on.
const FRESH_NS: i64 = 8 * SECOND_NS;

/// What was decided of an intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The intent's name.
    pub intent_id: String,
    /// How much of it may be ordered, eight decimals.
    pub quantity_e8: i64,
}

/// A position of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    /// Below zero where it was sold.
    quantity_e8: i64,
    since_ns: i64,
    /// When it was last tried to be closed.
    tried_ns: i64,
}

/// The account's orders and positions, as far as it knows itself.
#[derive(Debug, Default)]
pub struct Trader {
    /// Price and time by instrument.
    prices: BTreeMap<Instrument, (i64, i64)>,
    held: BTreeMap<Instrument, Held>,
    /// Intents that wait for their decision.
    asked: BTreeMap<Arc<str>, OrderIntent>,
    has_money: bool,
    intents: u64,
    fills: u64,
}

impl Trader {
    /// Hears what was last paid for an instrument.
    pub fn price(&mut self, instrument: Instrument, price_e8: i64, event_time_ns: i64) {
        let known = self.prices.entry(instrument).or_insert((price_e8, event_time_ns));
        if event_time_ns >= known.1 {
            *known = (price_e8, event_time_ns);
        }
    }

    /// What was last paid for an instrument.
    pub fn price_of(&self, instrument: &Instrument) -> Option<i64> {
        self.prices.get(instrument).map(|(price_e8, _)| *price_e8)
    }

    /// The deposit, once, when prices are those of now: until then the pipeline reads history.
    pub fn begin(&mut self, now_ns: i64) -> Option<AccountContent> {
        let is_current = self.prices.values().any(|(_, time_ns)| now_ns - time_ns < FRESH_NS);
        if self.has_money || !is_current {
            return None;
        }
        self.has_money = true;
        let (account, id, currency) = (ACCOUNT.into(), "deposit".into(), QUOTE.into());
        let movement = CashMovement { account, id, currency, amount_e8: DEPOSIT_E8, event_time_ns: now_ns };
        Some(AccountContent::Cash(movement))
    }

    /// Hears a signal to act: opens a position, or closes one that is the other way round.
    pub fn signal(
        &mut self,
        instrument: &Instrument,
        side: Side,
        event_time_ns: i64,
        now_ns: i64,
    ) -> Option<AccountContent> {
        if !self.has_money || now_ns - event_time_ns > FRESH_NS || self.is_asked(instrument) {
            return None;
        }
        let price_e8 = self.fresh_price(instrument, now_ns)?;
        match self.held.get(instrument).map(|held| held.quantity_e8) {
            Some(quantity_e8) if quantity_e8.signum() == side.sign() => None,
            Some(_) => self.close(instrument, now_ns),
            None => {
                let quantity_e8 = rounded(i128::from(STAKE_E8) * 100_000_000 / i128::from(price_e8))?;
                let limit_price_e8 = Some(price_e8 + side.sign() * (price_e8 * LIMIT_PPM / 1_000_000).max(1));
                let stop_price_e8 = Some((price_e8 - side.sign() * (price_e8 * STOP_PPM / 1_000_000).max(1)).max(1));
                Some(self.ask(OrderIntent {
                    limit_price_e8,
                    stop_price_e8,
                    ..intent(instrument, side, quantity_e8, now_ns)
                }))
            }
        }
    }

    /// Closes what was held long enough.
    pub fn go_on(&mut self, now_ns: i64) -> Vec<AccountContent> {
        let is_due = |held: &Held| now_ns - held.since_ns >= HOLD_NS && now_ns - held.tried_ns >= AGAIN_NS;
        let due: Vec<Instrument> =
            self.held.iter().filter(|(_, held)| is_due(held)).map(|(instrument, _)| instrument.clone()).collect();
        let due = due.iter().filter(|instrument| !self.is_asked(instrument)).cloned().collect::<Vec<_>>();
        due.iter().filter_map(|instrument| self.close(instrument, now_ns)).collect()
    }

    /// Hears a decision: fills what was allowed of the order, as the exchange that it is, and ends it.
    pub fn decided(&mut self, decided: &Decided, now_ns: i64) -> Vec<AccountContent> {
        let Some(intent) = self.asked.remove(decided.intent_id.as_str()) else { return Vec::new() };
        if decided.quantity_e8 <= 0 {
            return Vec::new();
        }
        let end = AccountContent::OrderEnd(OrderEnd { account: ACCOUNT.into(), intent_id: intent.intent_id.clone() });
        let price_e8 = self.price_of(&intent.instrument);
        let is_within =
            |price_e8: &i64| intent.limit_price_e8.is_none_or(|limit| intent.side.sign() * (limit - price_e8) >= 0);
        match price_e8.filter(is_within) {
            Some(price_e8) => vec![self.fill(&intent, decided.quantity_e8, price_e8, now_ns), end],
            None => vec![end],
        }
    }

    /// Intents that were sent, those that have no decision yet, and fills.
    pub fn counts(&self) -> [u64; 3] {
        [self.intents, self.asked.len() as u64, self.fills]
    }

    fn is_asked(&self, instrument: &Instrument) -> bool {
        self.asked.values().any(|intent| intent.instrument == *instrument)
    }

    fn fresh_price(&self, instrument: &Instrument, now_ns: i64) -> Option<i64> {
        self.prices.get(instrument).filter(|(_, time_ns)| now_ns - time_ns < FRESH_NS).map(|(price_e8, _)| *price_e8)
    }

    /// Asks to sell what was bought or buy back what was sold, at the market.
    fn close(&mut self, instrument: &Instrument, now_ns: i64) -> Option<AccountContent> {
        let held = self.held.get_mut(instrument)?;
        held.tried_ns = now_ns;
        let side = if held.quantity_e8 > 0 { Side::Sell } else { Side::Buy };
        let quantity_e8 = held.quantity_e8.saturating_abs();
        let order = intent(instrument, side, quantity_e8, now_ns);
        Some(self.ask(OrderIntent { is_reduce_only: true, ..order }))
    }

    fn ask(&mut self, intent: OrderIntent) -> AccountContent {
        self.intents += 1;
        let intent = OrderIntent { intent_id: format!("i-{}", self.intents).into(), ..intent };
        self.asked.insert(Arc::clone(&intent.intent_id), intent.clone());
        AccountContent::Intent(intent)
    }

    fn fill(&mut self, intent: &OrderIntent, quantity_e8: i64, price_e8: i64, now_ns: i64) -> AccountContent {
        self.fills += 1;
        let instrument = &intent.instrument;
        let first = Held { quantity_e8: 0, since_ns: now_ns, tried_ns: now_ns };
        let held = self.held.entry(instrument.clone()).or_insert(first);
        held.quantity_e8 += intent.side.sign() * quantity_e8;
        if held.quantity_e8 == 0 {
            self.held.remove(instrument);
        }
        let worth_e16 = i128::from(price_e8) * i128::from(quantity_e8);
        AccountContent::Fill(Fill {
            holder: holder(),
            instrument: instrument.clone(),
            fill_id: format!("f-{}", self.fills).into(),
            intent_id: Some(Arc::clone(&intent.intent_id)),
            side: intent.side,
            quantity_e8,
            price_e8,
            fee_e8: i64::try_from(worth_e16 * FEE_PPM / 1_000_000 / 100_000_000).unwrap_or(0),
            fee_currency: QUOTE.into(),
            event_time_ns: now_ns,
        })
    }
}

fn holder() -> Holder {
    Holder { account: ACCOUNT.into(), strategy: STRATEGY.into() }
}

/// An order at the market, without a name.
fn intent(instrument: &Instrument, side: Side, quantity_e8: i64, now_ns: i64) -> OrderIntent {
    OrderIntent {
        holder: holder(),
        instrument: instrument.clone(),
        intent_id: "".into(),
        side,
        quantity_e8,
        limit_price_e8: None,
        stop_price_e8: None,
        is_reduce_only: false,
        expires_ns: None,
        event_time_ns: now_ns,
    }
}

/// A quantity cut to its first three digits, as people ask for; none of nothing, or of more than fits.
fn rounded(quantity_e8: i128) -> Option<i64> {
    let quantity_e8 = i64::try_from(quantity_e8).ok().filter(|quantity| *quantity > 0)?;
    let step = 10i64.pow(quantity_e8.ilog10().saturating_sub(2));
    Some(quantity_e8 / step * step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: i64 = 100_000_000;
    const NOW_NS: i64 = 1_000 * SECOND_NS;

    fn instrument() -> Instrument {
        Instrument::new("binance", "BTCUSDT").expect("a name")
    }

    fn begun() -> Trader {
        let mut trader = Trader::default();
        trader.price(instrument(), 60_000 * UNIT, NOW_NS);
        assert!(matches!(trader.begin(NOW_NS), Some(AccountContent::Cash(_))));
        assert_eq!(trader.begin(NOW_NS), None, "once");
        trader
    }

    fn asked(content: Option<AccountContent>) -> OrderIntent {
        let Some(AccountContent::Intent(intent)) = content else { panic!("no intent but {content:?}") };
        intent
    }

    fn allowed(intent: &OrderIntent, quantity_e8: i64) -> Decided {
        Decided { intent_id: intent.intent_id.to_string(), quantity_e8 }
    }

    fn filled(contents: &[AccountContent]) -> &Fill {
        let [AccountContent::Fill(fill), AccountContent::OrderEnd(_)] = contents else { panic!("{contents:?}") };
        fill
    }

    #[test]
    fn nothing_is_traded_on_history() {
        let mut trader = Trader::default();
        trader.price(instrument(), 60_000 * UNIT, NOW_NS - 20 * SECOND_NS);
        assert_eq!(trader.begin(NOW_NS), None);
        assert_eq!(trader.signal(&instrument(), Side::Buy, NOW_NS, NOW_NS), None);
        let mut trader = begun();
        assert_eq!(trader.signal(&instrument(), Side::Buy, NOW_NS - FRESH_NS - 1, NOW_NS), None, "an old signal");
        assert_eq!(
            trader.signal(&instrument(), Side::Buy, NOW_NS + SECOND_NS, NOW_NS + FRESH_NS),
            None,
            "an old price"
        );
        trader.price(instrument(), 50_000 * UNIT, NOW_NS - SECOND_NS);
        assert_eq!(trader.price_of(&instrument()), Some(60_000 * UNIT), "an older price");
    }

    #[test]
    fn a_position_is_opened_and_closed_again() {
        let mut trader = begun();
        let open = asked(trader.signal(&instrument(), Side::Sell, NOW_NS, NOW_NS));
        assert_eq!((open.quantity_e8, open.side), (11_600_000, Side::Sell), "7,000 at 60,000");
        assert_eq!((open.limit_price_e8, open.stop_price_e8), (Some(59_820 * UNIT), Some(61_200 * UNIT)));
        assert_eq!(trader.signal(&instrument(), Side::Sell, NOW_NS, NOW_NS), None, "it has no answer yet");
        // Some of it only.
        let contents = trader.decided(&allowed(&open, 10_000_000), NOW_NS);
        let fill = filled(&contents);
        assert_eq!((fill.quantity_e8, fill.price_e8, fill.fee_e8), (10_000_000, 60_000 * UNIT, 240_000_000));
        assert_eq!(trader.decided(&allowed(&open, 10_000_000), NOW_NS), [], "a decision counts once");
        assert_eq!(trader.signal(&instrument(), Side::Sell, NOW_NS, NOW_NS), None, "it is held");
        assert_eq!(trader.go_on(NOW_NS + HOLD_NS - 1), []);

        let mut due = trader.go_on(NOW_NS + HOLD_NS);
        let close = asked(due.pop());
        assert!(due.is_empty() && close.is_reduce_only && close.side == Side::Buy && close.quantity_e8 == 10_000_000);
        assert_eq!(trader.go_on(NOW_NS + HOLD_NS + AGAIN_NS), [], "it has no answer yet");
        assert_eq!(trader.decided(&allowed(&close, 0), NOW_NS + HOLD_NS), [], "it was rejected");
        let close = asked(trader.go_on(NOW_NS + HOLD_NS + AGAIN_NS).pop());
        let contents = trader.decided(&allowed(&close, 10_000_000), NOW_NS + HOLD_NS + AGAIN_NS);
        assert_eq!(filled(&contents).side, Side::Buy);
        assert_eq!(trader.go_on(NOW_NS + 10 * HOLD_NS), [], "nothing is held");
        assert_eq!(trader.counts(), [3, 0, 2]);
    }

    #[test]
    fn the_opposite_signal_closes_and_a_limit_holds() {
        let mut trader = begun();
        let open = asked(trader.signal(&instrument(), Side::Buy, NOW_NS, NOW_NS));
        filled(&trader.decided(&allowed(&open, open.quantity_e8), NOW_NS));
        let close = asked(trader.signal(&instrument(), Side::Sell, NOW_NS, NOW_NS));
        assert!(close.is_reduce_only && close.side == Side::Sell && close.quantity_e8 == open.quantity_e8);
        filled(&trader.decided(&allowed(&close, close.quantity_e8), NOW_NS));

        let open = asked(trader.signal(&instrument(), Side::Buy, NOW_NS, NOW_NS));
        trader.price(instrument(), 60_181 * UNIT, NOW_NS);
        let contents = trader.decided(&allowed(&open, open.quantity_e8), NOW_NS);
        assert!(matches!(contents[..], [AccountContent::OrderEnd(_)]), "{contents:?}");
        assert_eq!(trader.counts(), [3, 0, 2]);
    }

    #[test]
    fn quantities_have_three_digits() {
        assert_eq!([0, 7, 4_412_345, 999_999].map(rounded), [None, Some(7), Some(4_410_000), Some(999_000)]);
        assert_eq!(rounded(i128::MAX), None);
    }
}
