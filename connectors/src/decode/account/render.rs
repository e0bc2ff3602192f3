//! Records of accounts as canonical JSON: the inverse of [`super::decode`], for rejects of sources without text and for
//! generated input.

use crate::decode::render::{end, put};
use tidewheel_schemas::{
    AccountContent, AccountRecord, Fill, FillChange, Holder, Instrument, InstrumentReference, format_e8,
};

/// Writes a record of an account as one line of canonical JSON, without the line's end. Times are nanoseconds.
pub fn render_account(record: &AccountRecord) -> Vec<u8> {
    let mut line = String::with_capacity(384);
    match &record.content {
        AccountContent::Fill(fill) => {
            begin(&mut line, "fill");
            put_fill(&mut line, fill);
        }
        AccountContent::FillAmendment(amendment) => match &amendment.change {
            FillChange::Cancel => {
                begin(&mut line, "fill_cancel");
                put_text(&mut line, "account", &amendment.account);
                put_instrument(&mut line, &amendment.instrument);
                put_text(&mut line, "fill_id", &amendment.fill_id);
                put_time(&mut line, "event_time", amendment.original_time_ns);
                put_time(&mut line, "changed_time", Some(record.event_time_ns));
            }
            FillChange::Correct { fill, sequence } => {
                begin(&mut line, "fill_correction");
                put_fill(&mut line, fill);
                if *sequence != 0 {
                    put(&mut line, format_args!(r#","sequence":{sequence}"#));
                }
                put_time(&mut line, "original_event_time", amendment.original_time_ns);
                put_time(&mut line, "changed_time", Some(record.event_time_ns));
            }
        },
        AccountContent::Cash(movement) => {
            begin(&mut line, "cash");
            put_text(&mut line, "account", &movement.account);
            put_text(&mut line, "cash_id", &movement.id);
            put_text(&mut line, "currency", &movement.currency);
            put_e8(&mut line, "amount", Some(movement.amount_e8));
            put_time(&mut line, "event_time", Some(movement.event_time_ns));
        }
        AccountContent::Intent(intent) => {
            begin(&mut line, "order_intent");
            put_holder(&mut line, &intent.holder);
            put_instrument(&mut line, &intent.instrument);
            put_text(&mut line, "intent_id", &intent.intent_id);
            put_text(&mut line, "side", intent.side.name());
            put_e8(&mut line, "quantity", Some(intent.quantity_e8));
            put_e8(&mut line, "limit_price", intent.limit_price_e8);
            put_e8(&mut line, "stop_price", intent.stop_price_e8);
            if intent.is_reduce_only {
                put(&mut line, format_args!(r#","reduce_only":true"#));
            }
            put_time(&mut line, "expires", intent.expires_ns);
            put_time(&mut line, "event_time", Some(intent.event_time_ns));
        }
        AccountContent::OrderEnd(end) => {
            begin(&mut line, "order_end");
            put_text(&mut line, "account", &end.account);
            put_text(&mut line, "intent_id", &end.intent_id);
            put_time(&mut line, "event_time", Some(record.event_time_ns));
        }
        AccountContent::Reference(reference) => {
            begin(&mut line, "instrument");
            put_instrument(&mut line, &reference.instrument);
            put_time(&mut line, "event_time", Some(record.event_time_ns));
            put_reference(&mut line, reference);
        }
    }
    end(line, record.receive_time_ns)
}

fn begin(line: &mut String, kind: &str) {
    put(line, format_args!(r#"{{"type":"{kind}""#));
}

fn put_fill(line: &mut String, fill: &Fill) {
    put_holder(line, &fill.holder);
    put_instrument(line, &fill.instrument);
    put_text(line, "fill_id", &fill.fill_id);
    if let Some(intent_id) = &fill.intent_id {
        put_text(line, "intent_id", intent_id);
    }
    put_text(line, "side", fill.side.name());
    put_e8(line, "quantity", Some(fill.quantity_e8));
    put_e8(line, "price", Some(fill.price_e8));
    put_e8(line, "fee", Some(fill.fee_e8));
    put_text(line, "fee_currency", &fill.fee_currency);
    put_time(line, "event_time", Some(fill.event_time_ns));
}

fn put_reference(line: &mut String, reference: &InstrumentReference) {
    put_text(line, "asset_class", &reference.asset_class);
    put_text(line, "sector", &reference.sector);
    put_text(line, "base_currency", &reference.base_currency);
    put_text(line, "quote_currency", &reference.quote_currency);
    put_text(line, "contract", reference.kind.name());
    put_e8(line, "multiplier", Some(reference.multiplier_e8));
}

fn put_holder(line: &mut String, holder: &Holder) {
    put_text(line, "account", &holder.account);
    put_text(line, "strategy", &holder.strategy);
}

fn put_instrument(line: &mut String, instrument: &Instrument) {
    put_text(line, "venue", &instrument.venue);
    put_text(line, "symbol", &instrument.symbol);
}

/// Names hold nothing that JSON would escape.
fn put_text(line: &mut String, key: &str, text: &str) {
    put(line, format_args!(r#","{key}":"{text}""#));
}

fn put_e8(line: &mut String, key: &str, value: Option<i64>) {
    if let Some(value) = value {
        put(line, format_args!(r#","{key}":"{}""#, format_e8(value.into())));
    }
}

fn put_time(line: &mut String, key: &str, time_ns: Option<i64>) {
    if let Some(time_ns) = time_ns {
        put(line, format_args!(r#","{key}":{time_ns}"#));
    }
}
