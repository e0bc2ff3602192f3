//! Tidewheel's own JSON: trades, cancels and corrections, for producers that can choose.
//!
//! ```json
//! {"type":"trade","op":"insert","venue":"binance","symbol":"BTCUSDT","trade_id":"3735683259",
//!  "event_time":1723161255342000000,"price":"61837.63","quantity":"0.02","aggressor_side":"sell"}
//! {"type":"trade","op":"cancel","venue":"binance","symbol":"BTCUSDT","trade_id":"3735683259"}
//! {"type":"trade","op":"correct","venue":"binance","symbol":"BTCUSDT","trade_id":"3735683259","price":"61837.64","sequence":1}
//! ```
//!
//! Times are nanoseconds or RFC 3339; numbers stand in quotes or not and are read as decimal text. `op` is `insert` where
//! absent. An insert may have `trade_count`, `trade_kind` and `receive_time`; without `trade_id` its place in the source
//! names it, and that name (`@partition:offset:index`) can be used in a cancel. In a correction, `event_time` is the right
//! time and `original_event_time` the wrong one; a field that is absent or null stays as it was. In a cancel, `event_time` is
//! the trade's. [`super::render`] writes the same form. Objects of other types are decoded in `market` and [`super::account`].

mod market;

use super::Recognised;
use super::account::{self, Kind};
use super::fault::Fault;
use super::field;
use super::json::{Object, Value};
use super::output::{DecodedAmendment, DecodedTrade, Output};
use std::borrow::Cow;
use tidewheel_schemas::{AggressorSide, Change, Correction, TradeId, TradeKind};

const NAME: &str = "canonical";

/// Fields of which no other venue's object of type `trade` has any, and some that are in all objects of our other types.
const OWN_FIELDS: [&[u8]; 7] =
    [b"op", b"venue", b"event_time", b"aggressor_side", b"quantity", b"account", b"asset_class"];

/// Decodes one object.
pub(super) fn decode<'a>(object: &Object<'a>, _: &mut Object<'a>, out: &mut Output<'_>) -> Result<Recognised, Fault> {
    let Some(kind) = object.first(b"type").and_then(Value::text) else { return Ok(Recognised::No) };
    if !OWN_FIELDS.iter().any(|key| object.has(key)) {
        return Ok(Recognised::No);
    }
    if *kind != *b"trade" {
        if let Some(kind) = Kind::of(&kind).filter(|_| out.config.account) {
            account::decode(kind, object, out)?;
            return Ok(Recognised::Yes);
        }
        if out.config.market && market::decode(&kind, object, out)? == Recognised::Yes {
            return Ok(Recognised::Yes);
        }
        // Coinbase, too, has objects with a type and, say, a quantity; ours have a venue or are of an account.
        return Ok(match object.has(b"venue") || Kind::of(&kind).is_some() {
            true => {
                out.ignore(NAME, &kind);
                Recognised::Yes
            }
            false => Recognised::No,
        });
    }
    match field::optional(object, "op", "op")?.map(|op| field::text(op, "op")).transpose()?.as_deref() {
        None | Some(b"insert") => insert(object, out)?,
        Some(b"cancel") => cancel(object, out)?,
        Some(b"correct") => correct(object, out)?,
        Some(_) => return Err(Fault::Value("op", "neither insert, cancel nor correct")),
    }
    Ok(Recognised::Yes)
}

fn insert(object: &Object<'_>, out: &mut Output<'_>) -> Result<(), Fault> {
    let count = match field::optional(object, "trade_count", "trade_count")? {
        Some(count) => u32::try_from(field::integer(count, "trade_count")?).unwrap_or(0),
        None => 1,
    };
    if count == 0 {
        return Err(Fault::Value("trade_count", "not between 1 and 4294967295"));
    }
    let trade = DecodedTrade {
        id: field::optional(object, "trade_id", "trade_id")?.map(trade_id).transpose()?,
        event_time_ns: field::ns_or_rfc3339(field::required(object, "event_time", "event_time")?, "event_time")?,
        price_e8: field::price_e8(field::required(object, "price", "price")?)?,
        quantity_e8: field::quantity_e8(field::required(object, "quantity", "quantity")?)?,
        side: side(object)?.unwrap_or_default(),
        count,
        kind: kind(object)?,
        receive_time_ns: receive_time_ns(object)?,
    };
    let venue = named(object, "venue", out.config.venue.as_deref())?;
    let symbol = named(object, "symbol", out.config.symbol.as_deref())?;
    out.trade(&venue, &symbol, trade)
}

fn cancel(object: &Object<'_>, out: &mut Output<'_>) -> Result<(), Fault> {
    let original_time_ns = time_ns(object, "event_time")?;
    amend(object, out, Change::Cancel, original_time_ns)
}

fn correct(object: &Object<'_>, out: &mut Output<'_>) -> Result<(), Fault> {
    let correction = Correction {
        price_e8: field::optional(object, "price", "price")?.map(field::price_e8).transpose()?,
        quantity_e8: field::optional(object, "quantity", "quantity")?.map(field::quantity_e8).transpose()?,
        event_time_ns: time_ns(object, "event_time")?,
        side: side(object)?,
    };
    if correction == Correction::default() {
        return Err(Fault::Value("op", "correct without anything to correct"));
    }
    let original_time_ns = time_ns(object, "original_event_time")?;
    amend(object, out, Change::Correct(correction), original_time_ns)
}

fn amend(
    object: &Object<'_>,
    out: &mut Output<'_>,
    change: Change,
    original_time_ns: Option<i64>,
) -> Result<(), Fault> {
    let id = trade_id(field::required(object, "trade_id", "trade_id")?)?;
    let sequence = field::optional(object, "sequence", "sequence")?;
    let sequence = sequence.map(|value| field::integer(value, "sequence")).transpose()?.unwrap_or(0);
    let receive_time_ns = receive_time_ns(object)?;
    let venue = named(object, "venue", out.config.venue.as_deref())?;
    let symbol = named(object, "symbol", out.config.symbol.as_deref())?;
    out.amendment(&venue, &symbol, DecodedAmendment { id, change, original_time_ns, sequence, receive_time_ns })
}

/// Venue or symbol, from the configuration where the message has none.
pub(super) fn named<'a>(
    object: &Object<'a>,
    name: &'static str,
    configured: Option<&'a str>,
) -> Result<Cow<'a, [u8]>, Fault> {
    match field::optional(object, name, name)? {
        Some(value) => field::text(value, name),
        None => Ok(Cow::Borrowed(configured.unwrap_or_default().as_bytes())),
    }
}

/// A trade id, or a source position in its printed form.
fn trade_id(value: Value<'_>) -> Result<TradeId, Fault> {
    match value.text() {
        Some(text) if text.first() == Some(&b'@') => position_id(&text)
            .ok_or(Fault::TradeIdForm("not a source position @partition:offset or @partition:offset:index")),
        _ => field::trade_id(value),
    }
}

fn position_id(text: &[u8]) -> Option<TradeId> {
    let text = std::str::from_utf8(text).ok()?.strip_prefix('@')?;
    // Only the printed form: `@0:07` is no other name of `@0:7`.
    let is_plain = |digits: &&str| !digits.starts_with('+') && (!digits.starts_with('0') || digits.len() == 1);
    let mut parts = text.split(':');
    let partition = parts.next().filter(is_plain)?.parse().ok()?;
    let offset = parts.next().filter(is_plain)?.parse().ok()?;
    let index = match parts.next() {
        Some(digits) => Some(digits).filter(is_plain)?.parse().ok().filter(|index| *index > 0)?,
        None => 0,
    };
    parts.next().is_none().then(|| TradeId::position(partition, offset, index))
}

fn time_ns(object: &Object<'_>, name: &'static str) -> Result<Option<i64>, Fault> {
    field::optional(object, name, name)?.map(|value| field::ns_or_rfc3339(value, name)).transpose()
}

/// Any time a clock may show: a wrong receive clock is no fault of the trade.
pub(super) fn receive_time_ns(object: &Object<'_>) -> Result<Option<i64>, Fault> {
    let value = field::optional(object, "receive_time", "receive_time")?;
    Ok(value.and_then(|value| field::ns_or_rfc3339(value, "receive_time").ok()))
}

/// Absent where absent or null; `unknown` says that it is not known.
fn side(object: &Object<'_>) -> Result<Option<AggressorSide>, Fault> {
    let Some(value) = field::optional(object, "aggressor_side", "aggressor_side")? else { return Ok(None) };
    match &*field::text(value, "aggressor_side")? {
        b"unknown" => Ok(Some(AggressorSide::Unknown)),
        text => field::side(text).map(Some),
    }
}

fn kind(object: &Object<'_>) -> Result<TradeKind, Fault> {
    let Some(value) = field::optional(object, "trade_kind", "trade_kind")? else { return Ok(TradeKind::Market) };
    let text = field::text(value, "trade_kind")?;
    let found = TradeKind::ALL.into_iter().find(|kind| kind.name().as_bytes() == &*text);
    found.ok_or(Fault::Value("trade_kind", "none of market, insurance_fund, adl, block, other"))
}

#[cfg(test)]
mod tests {
    use crate::decode::tests::check;
    use crate::decode::{Format, render_trade};

    #[test]
    fn trades_cancels_and_corrections() {
        const WHO: &str = r#""type":"trade","venue":"binance","symbol":"BTCUSDT""#;
        let table = [
            (
                r#""op":"insert","trade_id":"9","event_time":1723161255342000001,"price":"61837.63","quantity":0.02,"aggressor_side":"sell""#,
                "binance|BTCUSDT 9 1723161255342000001 61837.63 0.02 sell",
            ),
            (
                r#""event_time":"2021-04-17T16:43:37.089723Z","price":1e-8,"quantity":"2","aggressor_side":null,"trade_kind":"block","trade_count":4,"receive_time":1618677817100000000"#,
                "binance|BTCUSDT @3:7 1618677817089723000 0.00000001 2 - count=4 block received=1618677817100000000",
            ),
            (
                r#""trade_id":9,"event_time":1723161255342,"price":1,"quantity":2"#,
                "time: event_time: before 2009 or after 2200 in every unit it may have",
            ),
            (
                r#""trade_id":9,"event_time":"noon","price":1,"quantity":2"#,
                "time: event_time: not a time: neither a number nor RFC 3339 with an offset",
            ),
            (
                r#""event_time":1723161255342000001,"price":1,"quantity":2,"trade_count":0"#,
                "field: trade_count: not between 1 and 4294967295",
            ),
            (
                r#""event_time":1723161255342000001,"price":1,"quantity":2,"trade_kind":"gift""#,
                "field: trade_kind: none of market, insurance_fund, adl, block, other",
            ),
            (
                r#""event_time":1723161255342000001,"price":1,"quantity":2,"aggressor_side":"bid""#,
                "field: aggressor_side: neither buy nor sell",
            ),
            (r#""op":"cancel","trade_id":"9""#, "binance|BTCUSDT 9 cancel of None sequence 0"),
            (
                r#""op":"cancel","trade_id":"@3:7:2","event_time":1723161255342000001"#,
                "binance|BTCUSDT @3:7:2 cancel of Some(1723161255342000001) sequence 0",
            ),
            (
                r#""op":"cancel","trade_id":"@3:07""#,
                "trade_id: trade_id: not a source position @partition:offset or @partition:offset:index",
            ),
            (r#""op":"cancel""#, r#"field: trade_id: missing, expected in "trade_id""#),
            (
                r#""op":"correct","trade_id":"9","price":"1.5","quantity":null,"aggressor_side":"unknown","sequence":-3,"original_event_time":1723161255342000001"#,
                "binance|BTCUSDT 9 correct Some(150000000) None None Some(Unknown) of Some(1723161255342000001) sequence -3",
            ),
            (
                r#""op":"correct","trade_id":"9","event_time":1723161255342000001"#,
                "binance|BTCUSDT 9 correct None None Some(1723161255342000001) None of None sequence 0",
            ),
            (r#""op":"correct","trade_id":"9""#, "field: op: correct without anything to correct"),
            (r#""op":"correct","trade_id":"9","quantity":0"#, "number: quantity: not positive"),
            (
                r#""op":"correct","trade_id":"9","quantity":1,"sequence":1.5"#,
                "field: sequence: not a whole number of 64 bits",
            ),
            (r#""op":"bust","trade_id":"9""#, "field: op: neither insert, cancel nor correct"),
        ];
        for (rest, expected) in table {
            check(Format::Canonical, &[(&format!("{{{WHO},{rest}}}"), expected)]);
        }
        check(
            Format::Canonical,
            &[
                (
                    r#"{"type":"trade","op":"cancel","venue":"Binance","symbol":"A|B","trade_id":"9"}"#,
                    "instrument: symbol holds a character other than letters, digits and ._-/:@+#",
                ),
                (r#"{"type":"trade","op":"cancel","symbol":"AB","trade_id":"9"}"#, "instrument: venue is missing"),
                (r#"{"type":"order","venue":"binance","symbol":"AB","event_time":1}"#, "ignored canonical:order 1"),
            ],
        );
    }

    #[test]
    fn written_then_read_is_the_same() {
        use crate::decode::{DecodeConfig, Decoder, render_amendment};
        use crate::source::MessageBlock;
        use rand::{Rng, SeedableRng, seq::IndexedRandom};
        use tidewheel_schemas::*;

        let seed: u64 = 0x6361_6e6f;
        println!("seed {seed}");
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let ids = [
            "0",
            "18446744073709551615",
            "007",
            "a\"\\é",
            "5c35c02703aa673ceec2a168",
            "c1e5a2e4-3b1a-4b6e-9e3e-6a5c2d7f8a90",
        ];
        let mut ids: Vec<TradeId> =
            ids.iter().map(|id| TradeId::parse(id.as_bytes()).expect("a supported id")).collect();
        ids.extend([TradeId::position(0, 0, 0), TradeId::position(u32::MAX, u64::MAX, u16::MAX)]);
        let sides = [AggressorSide::Unknown, AggressorSide::Buy, AggressorSide::Sell];
        let instruments = [("kraken", "XBT/USD"), ("binance_usdm", "1000SHIB:USDT@x+#._-")];
        let instruments = instruments.map(|(venue, symbol)| Instrument::new(venue, symbol).expect("a name"));
        let (mut block, mut trades, mut amendments) = (MessageBlock::default(), Vec::new(), Vec::new());
        for position in 0..20_000 {
            let time = random.random_range(1_230_768_000_000_000_000..7_289_654_400_000_000_000i64);
            let price_e8 = 1 + random.random_range(0..PRICE_LIMIT_E8 - 1) / 10i64.pow(random.random_range(0..18));
            let quantity_e8 = 1 + random.random_range(0..i64::MAX - 1) / 10i64.pow(random.random_range(0..18));
            // The largest of both at once make no trade.
            let largest = i64::try_from((NOTIONAL_LIMIT_E16 - 1) / i128::from(price_e8)).unwrap_or(i64::MAX);
            let quantity_e8 = quantity_e8.min(largest);
            let side = *sides.choose(&mut random).expect("three sides");
            let id = *ids.choose(&mut random).expect("some ids");
            let instrument = instruments.choose(&mut random).expect("two instruments").clone();
            let receive_time_ns = random.random::<bool>().then_some(time);
            if random.random() {
                let kind = *TradeKind::ALL.choose(&mut random).expect("five kinds");
                let count = random.random_range(1..=u32::MAX);
                let trade = Trade { event_time_ns: time, id, price_e8, quantity_e8, count, side, kind };
                block.push(&render_trade(&instrument, &trade, receive_time_ns), position, None);
                trades.push((instrument, trade, receive_time_ns));
            } else {
                let correction = Correction {
                    price_e8: Some(price_e8),
                    quantity_e8: random.random::<bool>().then_some(quantity_e8),
                    event_time_ns: random.random::<bool>().then_some(time),
                    side: random.random::<bool>().then_some(side),
                };
                let mut amendment = Amendment {
                    instrument,
                    id,
                    change: if random.random() { Change::Cancel } else { Change::Correct(correction) },
                    original_time_ns: random.random::<bool>().then_some(time),
                    sequence: random.random_range(i64::MIN..=i64::MAX),
                    partition: 0,
                    position,
                    receive_time_ns,
                    raw: [].into(),
                };
                amendment.raw = render_amendment(&amendment).into();
                block.push(&amendment.raw, position, None);
                amendments.push(amendment);
            }
        }
        let chunk = Decoder::new(DecodeConfig { format: Format::Canonical, ..DecodeConfig::default() }).decode(block);
        assert_eq!((chunk.rejects, chunk.ignored.len()), (vec![], 0));
        assert_eq!(chunk.amendments, amendments);
        let columns = &chunk.columns;
        let read = (0..columns.len()).map(|row| {
            let receive_time_ns = columns.receive_time_of(row).filter(|time| *time != i64::MIN);
            (columns.instrument_of(row).clone(), columns.trade(row), receive_time_ns)
        });
        assert!(read.eq(trades));
    }
}
