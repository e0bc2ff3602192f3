//! Integers, decimals and times as text, appended to a buffer.

use crate::generate::event::{Cause, Damage, Event};
use tidewheel_schemas::{Instrument, SECOND_NS};

/// How many decimals a number is written with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// As many as it needs.
    Needed,
    /// Always eight, as Binance does.
    Eight,
}

#[inline]
pub fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

#[inline]
pub fn put_integer(out: &mut Vec<u8>, value: i64) {
    put(out, itoa::Buffer::new().format(value));
}

/// The trade's id, which is a number in this market.
#[inline]
pub fn put_id(out: &mut Vec<u8>, event: &Event) {
    put(out, itoa::Buffer::new().format(event.trade.id.to_bits()));
}

/// The symbol, with a byte that is no text where the event is damaged so.
#[inline]
pub fn put_symbol(out: &mut Vec<u8>, event: &Event, instrument: &Instrument) {
    put(out, &instrument.symbol);
    if event.cause == Cause::Malformed(Damage::BadUtf8) {
        out.push(0xff);
    }
}

/// The price, or what stands in its place.
#[inline]
pub fn put_price(out: &mut Vec<u8>, event: &Event, places: Places) {
    match event.cause {
        Cause::Malformed(Damage::PriceText) => return put(out, "cheap"),
        Cause::Malformed(Damage::NegativePrice) => out.push(b'-'),
        _ => {}
    }
    put_e8(out, event.trade.price_e8, places);
}

/// The quantity between what stands around it, or what stands in its place; nothing at all where it is to be missing.
#[inline]
pub fn put_quantity(out: &mut Vec<u8>, event: &Event, places: Places, before: &str, after: &str) {
    if event.cause == Cause::Malformed(Damage::MissingQuantity) {
        return;
    }
    put(out, before);
    match event.cause {
        Cause::Malformed(Damage::ZeroQuantity) => put(out, "0.0"),
        Cause::Malformed(Damage::TooManyDecimals) => put(out, "0.123456789"),
        _ => put_e8(out, event.trade.quantity_e8, places),
    }
    put(out, after);
}

/// A number that is not negative.
fn put_e8(out: &mut Vec<u8>, value_e8: i64, places: Places) {
    let (whole, fraction) = (value_e8 / 100_000_000, value_e8 % 100_000_000);
    put_integer(out, whole);
    if fraction == 0 && places == Places::Needed {
        return;
    }
    out.push(b'.');
    put_digits(out, fraction, 8);
    if places == Places::Needed {
        let zeros = out.iter().rev().take_while(|&&byte| byte == b'0').count();
        out.truncate(out.len() - zeros);
    }
}

/// An integer in exactly so many digits, at most nine.
pub fn put_digits(out: &mut Vec<u8>, mut value: i64, digits: usize) {
    let mut text = [b'0'; 9];
    for digit in text[..digits].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&text[..digits]);
}

/// Seconds with three decimals.
pub fn put_seconds(out: &mut Vec<u8>, time_ns: i64) {
    put_integer(out, time_ns / SECOND_NS);
    out.push(b'.');
    put_digits(out, time_ns % SECOND_NS / 1_000_000, 3);
}

/// RFC 3339 in UTC with microseconds. The calendar is the proleptic Gregorian one, counted from 0000-03-01 so that the
/// leap day is the last of its year (Hinnant, "chrono-compatible low-level date algorithms").
pub fn put_rfc3339(out: &mut Vec<u8>, time_ns: i64) {
    let seconds = time_ns.div_euclid(SECOND_NS);
    let (days, second) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let parts =
        [(year, 4, b'-'), (month, 2, b'-'), (day, 2, b'T'), (second / 3_600, 2, b':'), (second / 60 % 60, 2, b':')];
    for (value, digits, after) in parts {
        put_digits(out, value, digits);
        out.push(after);
    }
    put_digits(out, second % 60, 2);
    out.push(b'.');
    put_digits(out, time_ns.rem_euclid(SECOND_NS) / 1_000, 6);
    out.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = b"100".to_vec();
        write(&mut out);
        String::from_utf8(out.split_off(3)).expect("text")
    }

    #[test]
    fn decimals() {
        for (value, needed, eight) in [
            (1, "0.00000001", "0.00000001"),
            (150_000_000, "1.5", "1.50000000"),
            (20_000_000_000, "200", "200.00000000"),
        ] {
            assert_eq!(written(|out| put_e8(out, value, Places::Needed)), needed);
            assert_eq!(written(|out| put_e8(out, value, Places::Eight)), eight);
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for day in (0..80_000).step_by(37) {
            let time_ns = day * 86_400 * SECOND_NS + 3_723_000_001_000;
            let expected = format!("{:.6}", jiff::Timestamp::from_nanosecond(time_ns.into()).expect("a time"));
            assert_eq!(written(|out| put_rfc3339(out, time_ns)), expected);
        }
    }
}
