//! From the bytes of one message to the decoders: takes off what is around a message and finds out whose it is.
//!
//! A message is told by its own shape, never by the messages before it, so that the same message means the same wherever a
//! block is cut. Around it may be: a JSON string that holds the JSON, an array of messages, or the notes that a capture of a
//! session writes between the messages.

use super::fault::Fault;
use super::json::{Kind, Object, Value};
use super::output::Output;
use super::{DECODERS, Format, JsonDecoder, Recognised, market, time};
use crate::source::MessageBlock;

/// Decodes all messages of a block with the decoder of a format, or with whichever knows them.
pub(super) fn decode_block(format: Format, block: &MessageBlock, out: &mut Output<'_>) {
    let only = DECODERS.iter().find(|decoder| decoder.format == format);
    // One look at all bytes saves one at each message.
    let is_ascii = block.bytes.is_ascii();
    let mut scratch = Scratch::default();
    for message in &block.messages {
        out.begin_message(message);
        let payload = block.payload(message);
        let checked = if is_ascii { Ok(()) } else { check_utf8(payload) };
        let decoded = checked.and_then(|()| decode_message(payload, only, &mut scratch, out));
        if let Err(fault) = decoded {
            out.reject(&fault);
        }
        out.end_message();
    }
}

/// Room for the fields of a message and of an object inside it.
#[derive(Default)]
struct Scratch<'a> {
    message: Object<'a>,
    inner: Object<'a>,
}

fn check_utf8(payload: &[u8]) -> Result<(), Fault> {
    match std::str::from_utf8(payload) {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::Utf8(error.valid_up_to())),
    }
}

#[inline]
fn decode_message<'a>(
    payload: &'a [u8],
    only: Option<&JsonDecoder>,
    scratch: &mut Scratch<'a>,
    out: &mut Output<'_>,
) -> Result<(), Fault> {
    let payload = payload.trim_ascii();
    match payload.first() {
        Some(b'{') => decode_object(payload, only, scratch, out),
        Some(b'[') => decode_array(payload, only, scratch, out),
        Some(b'"') => decode_quoted(payload, only, out),
        Some(b'w' | b'h' | b'c') if is_note(payload) => decode_note(payload, only, scratch, out),
        Some(_) => Err(Value::scan(payload).err().map_or(Fault::Shape(known(only)), Fault::Json)),
        None => Err(Fault::Empty),
    }
}

fn decode_object<'a>(
    payload: &'a [u8],
    only: Option<&JsonDecoder>,
    scratch: &mut Scratch<'a>,
    out: &mut Output<'_>,
) -> Result<(), Fault> {
    let Scratch { message, inner } = scratch;
    message.read_with_data(payload, inner)?;
    let recognised = match only {
        Some(decoder) => (decoder.object)(message, inner, out)?,
        None => {
            let mut decoders = DECODERS.iter();
            loop {
                match decoders.next() {
                    None => break Recognised::No,
                    Some(decoder) => match (decoder.object)(message, inner, out)? {
                        Recognised::Yes => break Recognised::Yes,
                        Recognised::No => {}
                    },
                }
            }
        }
    };
    match recognised {
        Recognised::Yes => Ok(()),
        Recognised::No if is_book(message) => {
            out.ignore("unknown", b"book");
            Ok(())
        }
        Recognised::No => Err(Fault::Shape(known(only))),
    }
}

/// Bids and asks, and nothing that a trade would have: an order book, whoever sends it.
fn is_book(message: &Object<'_>) -> bool {
    let is_book = |object: &Object<'_>| {
        object.has(b"bids") && object.has(b"asks") && !object.fields().any(|(key, _)| is_price(key) || is_quantity(key))
    };
    let Some(data) = message.first(b"data").filter(|data| data.kind() == Kind::Object) else { return is_book(message) };
    let mut inner = Object::default();
    inner.read(data.raw()).is_ok() && is_book(&inner)
}

fn is_price(key: &[u8]) -> bool {
    matches!(key, b"price" | b"price_str" | b"px" | b"p")
}

fn is_quantity(key: &[u8]) -> bool {
    matches!(key, b"amount" | b"amount_str" | b"quantity" | b"qty" | b"size" | b"sz" | b"volume" | b"q")
}

/// An array of messages, or of a venue that sends arrays. Its messages are trades of one message: they share its position.
fn decode_array<'a>(
    payload: &'a [u8],
    only: Option<&JsonDecoder>,
    scratch: &mut Scratch<'a>,
    out: &mut Output<'_>,
) -> Result<(), Fault> {
    let array = Value::scan(payload)?;
    if array.elements().next().is_none_or(|first| first.kind() == Kind::Object) {
        for element in array.elements() {
            out.begin_trade();
            let decoded = match element.kind() {
                Kind::Object => decode_object(element.raw(), only, scratch, out),
                _ => Err(Fault::Shape(known(only))),
            };
            if let Err(fault) = decoded {
                out.reject_trade(&fault);
            }
        }
        return Ok(());
    }
    for decoder in DECODERS.iter().filter(|decoder| only.is_none_or(|only| only.format == decoder.format)) {
        if let Some(decode) = decoder.array
            && decode(array, out)? == Recognised::Yes
        {
            return Ok(());
        }
    }
    Err(Fault::Shape(known(only)))
}

/// A JSON string that holds the message: some producers serialise twice.
#[cold]
fn decode_quoted(payload: &[u8], only: Option<&JsonDecoder>, out: &mut Output<'_>) -> Result<(), Fault> {
    let text = Value::scan(payload)?.text().ok_or(Fault::Shape(known(only)))?;
    match text.trim_ascii().first() {
        Some(b'{' | b'[') => decode_message(&text, only, &mut Scratch::default(), out),
        _ => Err(Fault::Shape(known(only))),
    }
}

fn is_note(payload: &[u8]) -> bool {
    [&b"wss://"[..], b"ws://", b"https://", b"http://", b"configuration:"]
        .iter()
        .any(|start| payload.starts_with(start))
}

/// A line that a capture wrote beside the messages: what the client sent or asked, `<address> -> <seconds>: <answer>`, or its
/// settings. Only an answer can hold records.
#[cold]
fn decode_note<'a>(
    payload: &'a [u8],
    only: Option<&JsonDecoder>,
    scratch: &mut Scratch<'a>,
    out: &mut Output<'_>,
) -> Result<(), Fault> {
    let split = |text: &'a [u8], mark: &[u8]| {
        let at = text.windows(mark.len()).position(|window| window == mark)?;
        Some((&text[..at], &text[at + mark.len()..]))
    };
    let answer = payload.starts_with(b"http").then(|| split(payload, b" -> ")).flatten();
    let Some((seconds, answer)) = answer.and_then(|(_, rest)| split(rest, b": ")) else {
        out.ignore("capture", b"note");
        return Ok(());
    };
    out.note_receive_time(time::parse_number(seconds, time::S).ok());
    let asked = |key: &[u8]| split(payload, b" -> ").and_then(|(address, _)| asked_in(address, key));
    out.note_question(asked(b"symbol="), asked(b"limit=").and_then(market::depth));
    let answer = answer.trim_ascii();
    let decoded = match answer.first() {
        // A list of something: one verdict on the whole, not one for each element.
        Some(b'[') if !looks_like_record(answer) => Value::scan(answer).map_err(Fault::Json).and(Err(Fault::Shape(""))),
        _ => decode_message(answer, only, scratch, out),
    };
    match decoded {
        // Venues answer all kinds of questions; what looks like a trade must not go unseen, though.
        Err(Fault::Shape(_)) if !looks_like_record(answer) => {
            out.ignore("capture", b"answer");
            Ok(())
        }
        other => other,
    }
}

/// What an address asks for under a key: `https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000`.
fn asked_in<'a>(address: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let query = address.split(|&byte| byte == b'?').nth(1)?;
    let mut parts = query.split(|byte| matches!(byte, b'&' | b' '));
    parts.find_map(|part| part.strip_prefix(key)).filter(|value| !value.is_empty())
}

/// Whether an object, or the first of an array of objects, has a price and a quantity, or is a funding rate.
fn looks_like_record(answer: &[u8]) -> bool {
    let Ok(value) = Value::scan(answer) else { return false };
    let first = if value.kind() == Kind::Array { value.elements().next() } else { Some(value) };
    let mut object = Object::default();
    let is_trade = |object: &Object<'_>| {
        object.fields().any(|(key, _)| is_price(key)) && object.fields().any(|(key, _)| is_quantity(key))
    };
    first.is_some_and(|first| object.read(first.raw()).is_ok())
        && (is_trade(&object) || object.has_all(&[b"symbol", b"fundingTime", b"fundingRate"]))
}

fn known(only: Option<&JsonDecoder>) -> &'static str {
    only.map_or("known", |decoder| decoder.name)
}
