//! Values that several commands take: durations, times, intervals.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use tidewheel_connectors::decode::CsvColumns;
use tidewheel_schemas::Interval;

/// `100ms`, `10s`, `1h`: above zero, in nanoseconds.
pub fn duration_ns(text: &str) -> Result<i64, String> {
    let duration: SignedDuration =
        text.parse().map_err(|_| "expected a duration such as 100ms, 10s or 1h".to_owned())?;
    match i64::try_from(duration.as_nanos()) {
        Ok(ns) if ns > 0 => Ok(ns),
        _ => Err("expected a duration above zero and below 290 years".to_owned()),
    }
}

/// As [`duration_ns`], or zero.
pub fn duration_or_zero_ns(text: &str) -> Result<i64, String> {
    if text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic()) == "0" { Ok(0) } else { duration_ns(text) }
}

/// `10s` or `none`.
pub fn duration_or_none_ns(text: &str) -> Result<Option<i64>, String> {
    if text == "none" { Ok(None) } else { duration_ns(text).map(Some) }
}

/// RFC 3339, a date for its midnight in UTC, or a tick in milliseconds; nanoseconds since the epoch.
pub fn time_ns(text: &str) -> Result<i64, String> {
    if let Some(ns) = text.parse::<i64>().ok().filter(|_| text.len() > 8).and_then(|ms| ms.checked_mul(1_000_000)) {
        return Ok(ns);
    }
    let timestamp = text.parse::<Timestamp>().ok().or_else(|| {
        let date: Date = text.parse().ok()?;
        Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
    });
    let ns = timestamp.and_then(|timestamp| i64::try_from(timestamp.as_nanosecond()).ok());
    ns.ok_or_else(|| "expected a time such as 2024-08-09T00:00:00Z, a date, or a tick in milliseconds".to_owned())
}

/// One interval by name.
pub fn interval(text: &str) -> Result<Interval, String> {
    text.parse().map_err(|error: tidewheel_schemas::UnknownInterval| error.to_string())
}

/// A column map as `time=timestamp,price=px,signed=true`, field by field as in the configuration's `[source.csv]`.
pub fn csv_columns(text: &str) -> Result<CsvColumns, String> {
    let mut table = toml::Table::new();
    for field in text.split(',').filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once('=').ok_or_else(|| format!("expected name=value, got {field:?}"))?;
        let value = match (name, value) {
            ("signed" | "header", "true") => toml::Value::Boolean(true),
            ("signed" | "header", "false") => toml::Value::Boolean(false),
            ("delimiter", "comma") => toml::Value::String(",".to_owned()),
            ("delimiter", "tab") => toml::Value::String("\t".to_owned()),
            _ => toml::Value::String(value.to_owned()),
        };
        table.insert(name.to_owned(), value);
    }
    table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_what_they_mean() {
        assert_eq!(duration_ns("100ms"), Ok(100_000_000));
        assert_eq!(duration_ns("10s"), Ok(10_000_000_000));
        assert_eq!(duration_ns("1h"), Ok(3_600_000_000_000));
        assert!(duration_ns("0s").is_err() && duration_ns("-1s").is_err() && duration_ns("10").is_err());
        assert_eq!(duration_or_zero_ns("0s"), Ok(0));
        assert_eq!(duration_or_none_ns("none"), Ok(None));
        assert_eq!(time_ns("1970-01-02"), Ok(86_400_000_000_000));
        assert_eq!(time_ns("1970-01-01T00:00:01.5Z"), Ok(1_500_000_000));
        assert_eq!(time_ns("1700000000123"), Ok(1_700_000_000_123_000_000));
        assert!(time_ns("yesterday").is_err() && time_ns("2024").is_err());
        let columns = csv_columns("time=timestamp,quantity=size,signed=true,delimiter=tab").expect("known fields");
        assert_eq!((columns.time.as_str(), columns.signed, columns.delimiter), ("timestamp", true, '\t'));
        assert!(csv_columns("tme=x").expect_err("unknown").contains("tme"));
    }
}
