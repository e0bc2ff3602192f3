//! A small paper account beside a generated market: what its instruments are, a deposit, orders and their fills.
//!
//! Two strategies buy a little of a symbol now and then and sell it again. An order asks first; the trades of its symbol that
//! follow fill it at their prices where these are within its limit, at most by their quantities, for a fee of four hundredths of a
//! percent. What is not filled within a minute ends. A fill in forty is corrected and one in eighty cancelled, a moment later. All of
//! it is drawn from a generator of its own, so that the market of a seed stays what it is. Nothing judges the orders: they are filled as if they had been allowed.

use super::event::{Cause, Event};
use super::instruments::Symbol;
use super::random::Random;
use crate::file::Op;
use std::sync::Arc;
use tidewheel_schemas::{
    AccountContent, AccountRecord, CashMovement, ContractKind, Fill, FillAmendment, FillChange, Holder, Instrument,
    InstrumentReference, OrderEnd, OrderIntent, SECOND_NS, Side,
};

/// The account's name.
pub const ACCOUNT: &str = "paper";

const STRATEGIES: [&str; 2] = ["trend", "carry"];
/// What prices are in, and what the account is fed with.
const QUOTE: &str = "USDT";
/// A million.
const DEPOSIT_E8: i64 = 100_000_000_000_000;
const WITHDRAWAL_E8: i64 = -100_000_000_000;
/// One trade in so many brings an order, where its symbol has none.
const TRADES_PER_ORDER: u64 = 50;
const ORDERS_PER_PATIENT: u64 = 8;
const FILLS_PER_CORRECTION: u64 = 40;
const FILLS_PER_CANCEL: u64 = 80;
const FILLS_PER_WITHDRAWAL: u64 = 500;
/// How long an order stands.
const EXPIRY_NS: i64 = 60 * SECOND_NS;
/// Keeps its draws apart from those of the market.
const SEED: u64 = 0x0070_6170_6572;

/// The account, as far as its records went.
pub struct PaperAccount {
    random: Random,
    has_begun: bool,
    /// Orders made.
    orders: u64,
    fills: u64,
    /// By symbol.
    books: Vec<Book>,
    /// What becomes of the last fill, to be told with the next record.
    sequel: Option<FillAmendment>,
}

/// What is known of one symbol.
#[derive(Default)]
struct Book {
    held_e8: i64,
    order: Option<Order>,
}

struct Order {
    id: Arc<str>,
    strategy: &'static str,
    side: Side,
    left_e8: i64,
    limit_price_e8: Option<i64>,
    expires_ns: i64,
}

impl PaperAccount {
    /// The account before the first trade.
    pub fn new(seed: u64, symbols: usize) -> Self {
        let books = (0..symbols).map(|_| Book::default()).collect();
        Self { random: Random::new(seed ^ SEED), has_begun: false, orders: 0, fills: 0, books, sequel: None }
    }

    /// Appends what the account sends because of an event, with its receive time.
    pub fn after(&mut self, event: &Event, instruments: &[Instrument], symbol: &Symbol, out: &mut Vec<AccountRecord>) {
        if event.cause != Cause::Fresh || event.op != Op::Insert {
            return;
        }
        let now_ns = event.trade.event_time_ns;
        let mut send = |content| {
            out.push(AccountRecord {
                event_time_ns: now_ns,
                partition: 0,
                position: 0,
                index: 0,
                receive_time_ns: Some(event.receive_time_ns),
                content,
            });
        };
        if !self.has_begun {
            self.has_begun = true;
            instruments.iter().for_each(|instrument| send(AccountContent::Reference(reference(instrument))));
            send(cash("deposit", DEPOSIT_E8, now_ns));
        }
        if let Some(amendment) = self.sequel.take() {
            send(AccountContent::FillAmendment(amendment));
        }
        let instrument = &instruments[event.instrument as usize];
        let book = &mut self.books[event.instrument as usize];
        if let Some(order) = book.order.take_if(|order| order.expires_ns <= now_ns) {
            send(AccountContent::OrderEnd(OrderEnd { account: ACCOUNT.into(), intent_id: order.id }));
        }
        let Some(order) = &mut book.order else {
            if self.random.below(TRADES_PER_ORDER) == 0 {
                self.orders += 1;
                let lots = 1 + self.random.below(symbol.typical_lots.max(1)) as i64;
                let intent = intent(event, instrument, self.orders, lots * symbol.lot_e8, book.held_e8);
                book.order = Some(Order {
                    id: Arc::clone(&intent.intent_id),
                    strategy: STRATEGIES[self.orders as usize % STRATEGIES.len()],
                    side: intent.side,
                    left_e8: intent.quantity_e8,
                    limit_price_e8: intent.limit_price_e8,
                    expires_ns: now_ns + EXPIRY_NS,
                });
                send(AccountContent::Intent(intent));
            }
            return;
        };
        if !order.takes(event.trade.price_e8) {
            return;
        }
        self.fills += 1;
        let fill = order.fill(event, instrument, self.fills);
        book.held_e8 += fill.side.sign() * fill.quantity_e8;
        order.left_e8 -= fill.quantity_e8;
        if order.left_e8 == 0 {
            book.order = None;
        }
        if self.random.below(FILLS_PER_CANCEL) == 0 {
            book.held_e8 -= fill.side.sign() * fill.quantity_e8;
            self.sequel = Some(amendment(&fill, FillChange::Cancel));
        } else if self.random.below(FILLS_PER_CORRECTION) == 0 {
            let corrected = Fill { price_e8: fill.price_e8 + symbol.tick_e8, ..fill.clone() };
            self.sequel = Some(amendment(&fill, FillChange::Correct { fill: Box::new(corrected), sequence: 1 }));
        }
        send(AccountContent::Fill(fill));
        if self.fills.is_multiple_of(FILLS_PER_WITHDRAWAL) {
            send(cash(&format!("withdrawal-{}", self.fills), WITHDRAWAL_E8, now_ns));
        }
    }
}

impl Order {
    /// Whether a price is within its limit.
    fn takes(&self, price_e8: i64) -> bool {
        self.limit_price_e8.is_none_or(|limit_e8| self.side.sign() * (limit_e8 - price_e8) >= 0)
    }

    /// What a trade fills of it.
    fn fill(&self, event: &Event, instrument: &Instrument, number: u64) -> Fill {
        let quantity_e8 = self.left_e8.min(event.trade.quantity_e8);
        let worth_e16 = i128::from(event.trade.price_e8) * i128::from(quantity_e8);
        Fill {
            holder: holder(self.strategy),
            instrument: instrument.clone(),
            fill_id: format!("f-{number}").into(),
            intent_id: Some(Arc::clone(&self.id)),
            side: self.side,
            quantity_e8,
            price_e8: event.trade.price_e8,
            // Four parts in ten thousand, cut to eight decimals.
            fee_e8: i64::try_from(worth_e16 * 4 / 10_000 / 100_000_000).unwrap_or(0),
            fee_currency: QUOTE.into(),
            event_time_ns: event.trade.event_time_ns,
        }
    }
}

/// An order: what is held is sold, else something is bought, a tenth of a percent beyond the last price at worst. One in eight waits for
/// a price that is a percent better.
fn intent(event: &Event, instrument: &Instrument, number: u64, quantity_e8: i64, held_e8: i64) -> OrderIntent {
    let (side, quantity_e8) = if held_e8 > 0 { (Side::Sell, held_e8) } else { (Side::Buy, quantity_e8) };
    let price_e8 = event.trade.price_e8;
    let beyond = if number.is_multiple_of(ORDERS_PER_PATIENT) { -price_e8 / 100 } else { price_e8 / 1_000 };
    OrderIntent {
        holder: holder(STRATEGIES[number as usize % STRATEGIES.len()]),
        instrument: instrument.clone(),
        intent_id: format!("i-{number}").into(),
        side,
        quantity_e8,
        limit_price_e8: Some((price_e8 + side.sign() * beyond).max(1)),
        stop_price_e8: (side == Side::Buy).then(|| (price_e8 - price_e8 / 50).max(1)),
        is_reduce_only: side == Side::Sell,
        expires_ns: Some(event.trade.event_time_ns + EXPIRY_NS),
        event_time_ns: event.trade.event_time_ns,
    }
}

fn holder(strategy: &str) -> Holder {
    Holder { account: ACCOUNT.into(), strategy: strategy.into() }
}

fn amendment(fill: &Fill, change: FillChange) -> FillAmendment {
    FillAmendment {
        account: Arc::clone(&fill.holder.account),
        instrument: fill.instrument.clone(),
        fill_id: Arc::clone(&fill.fill_id),
        change,
        original_time_ns: Some(fill.event_time_ns),
    }
}

fn cash(id: &str, amount_e8: i64, event_time_ns: i64) -> AccountContent {
    let (account, id, currency) = (ACCOUNT.into(), id.into(), QUOTE.into());
    AccountContent::Cash(CashMovement { account, id, currency, amount_e8, event_time_ns })
}

/// What an instrument of a generated market is: a linear contract of a coin in a sector of its own kind, quoted in USDT.
pub fn reference(instrument: &Instrument) -> InstrumentReference {
    let base = instrument.symbol.strip_suffix(QUOTE).unwrap_or(&instrument.symbol);
    let base = base.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
    let sector = match base {
        "BTC" | "LTC" | "BCH" | "XLM" | "XRP" => "payments",
        "UNI" | "LINK" => "defi",
        "DOGE" | "SHIB" | "PEPE" => "meme",
        _ => "platforms",
    };
    InstrumentReference {
        instrument: instrument.clone(),
        asset_class: "crypto".into(),
        sector: sector.into(),
        base_currency: base.into(),
        quote_currency: QUOTE.into(),
        kind: ContractKind::Linear,
        multiplier_e8: 100_000_000,
    }
}
