//! Versions against the rows of `bars_changelog`.

use super::report::{Difference, Report};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use tidewheel_connectors::lake::read::stored;
use tidewheel_connectors::lake::versions::{VersionRow, VersionsByTick};
use tidewheel_connectors::lake::{LakeError, LakeState, Table};
use tidewheel_schemas::{BarVersion, Instrument, Interval, TickOutput, format_e8, format_e16};

/// What a bar is called.
pub(super) type Key = (Interval, Instrument, i64);

pub(super) fn key_of(version: &BarVersion) -> Key {
    (version.interval, version.instrument.clone(), version.open_time_ns)
}

/// A key as in the topics.
pub(super) fn text_of((interval, instrument, open_time_ns): &Key) -> String {
    format!("{}|{}|{interval}|{}", instrument.venue, instrument.symbol, open_time_ns / 1_000_000)
}

/// The table being compared.
pub(super) struct Changelog {
    rows: VersionsByTick,
    end: u64,
}

impl Changelog {
    /// Nothing where the lake has bars and no changelog.
    pub fn open(lake: &Path, state: &LakeState, ticks: &Range<u64>) -> Result<Option<Self>, LakeError> {
        if state.of(Table::BarsChangelog).next().is_none() && state.of(Table::Bars).next().is_some() {
            return Ok(None);
        }
        let rows = VersionsByTick::open(lake, state, Table::BarsChangelog, ticks.start)?;
        Ok(Some(Self { rows, end: ticks.end }))
    }

    pub fn compare(&mut self, output: &TickOutput, report: &mut Report) -> Result<(), LakeError> {
        let rows = self.rows.take(output.tick)?;
        self.tell_strays(report);
        let mut expected: BTreeMap<Key, &BarVersion> = BTreeMap::new();
        expected.extend(output.bars.iter().map(|version| (key_of(version), version)));
        for row in rows {
            match expected.remove(&key_of(&row.version)) {
                Some(version) => report.versions += u64::from(same(NAME, &row, version, report)),
                None => report.differ(surplus(NAME, &row.version)),
            }
        }
        expected.into_values().for_each(|version| report.differ(missing(NAME, version)));
        Ok(())
    }

    /// Rows of ticks after the last one of the log.
    pub fn finish(&mut self, report: &mut Report) -> Result<(), LakeError> {
        self.rows.take(self.end)?;
        self.tell_strays(report);
        Ok(())
    }

    fn tell_strays(&mut self, report: &mut Report) {
        self.rows.damages().iter().for_each(|damage| report.damaged(damage));
        self.rows.strays().iter().for_each(|row| report.differ(surplus(NAME, &row.version)));
    }
}

const NAME: &str = Table::BarsChangelog.name();

/// A row that the graph says nothing of.
pub(super) fn surplus(place: &str, version: &BarVersion) -> Difference {
    let published = Some(line(version));
    Difference::of(place, text_of(&key_of(version)), Some(version.tick), "row", published, None)
}

/// A version without a row.
pub(super) fn missing(place: &str, version: &BarVersion) -> Difference {
    let recomputed = Some(line(version));
    Difference::of(place, text_of(&key_of(version)), Some(version.tick), "row", None, recomputed)
}

/// Whether a row says what the graph says; tells of each field that does not.
pub(super) fn same(place: &str, row: &VersionRow, version: &BarVersion, report: &mut Report) -> bool {
    let expected = stored(version);
    let vwap = version.bar.as_ref().and_then(tidewheel_schemas::Bar::vwap);
    let is_derived = row.derived.close_time_ns == version.close_time_ns()
        && row.derived.vwap.map(f64::to_bits) == vwap.map(f64::to_bits);
    if row.version == expected && is_derived {
        return true;
    }
    let shown = |value: Option<f64>| value.map_or_else(|| "null".to_owned(), |value| value.to_string());
    let mut published = fields(&row.version);
    published.extend([
        ("close_time", (row.derived.close_time_ns / 1_000_000).to_string()),
        ("vwap", shown(row.derived.vwap)),
    ]);
    let mut recomputed = fields(&expected);
    recomputed.extend([("close_time", (version.close_time_ns() / 1_000_000).to_string()), ("vwap", shown(vwap))]);
    for ((field, published), (_, recomputed)) in published.into_iter().zip(recomputed) {
        if published != recomputed {
            let key = text_of(&key_of(version));
            report.differ(Difference::of(place, key, Some(version.tick), field, Some(published), Some(recomputed)));
        }
    }
    false
}

/// The fields of a version that stand in a row, as text.
fn fields(version: &BarVersion) -> Vec<(&'static str, String)> {
    let bar = version.bar.as_ref();
    let text = |of: &dyn Fn(&tidewheel_schemas::Bar) -> String| bar.map_or_else(|| "null".to_owned(), of);
    vec![
        ("revision", version.revision.to_string()),
        ("is_final", version.is_final.to_string()),
        ("open", text(&|bar| format_e8(bar.open_e8.into()))),
        ("high", text(&|bar| format_e8(bar.high_e8.into()))),
        ("low", text(&|bar| format_e8(bar.low_e8.into()))),
        ("close", text(&|bar| format_e8(bar.close_e8.into()))),
        ("volume", text(&|bar| format_e8(bar.volume_e8))),
        ("taker_buy_volume", text(&|bar| format_e8(bar.taker_buy_volume_e8))),
        ("quote_volume", text(&|bar| format_e16(bar.quote_volume_e16))),
        ("taker_buy_quote_volume", text(&|bar| format_e16(bar.taker_buy_quote_volume_e16))),
        ("trade_count", text(&|bar| bar.trade_count.to_string())),
        ("first_trade_id", text(&|bar| bar.first.id.to_string())),
        ("last_trade_id", text(&|bar| bar.last.id.to_string())),
    ]
}

/// A version in few words.
fn line(version: &BarVersion) -> String {
    let state = if version.is_final { "final" } else { "provisional" };
    match &version.bar {
        None => format!("a tombstone, revision {} ({state})", version.revision),
        Some(bar) => format!(
            "revision {} ({state}) open {} high {} low {} close {} volume {} of {} trades",
            version.revision,
            format_e8(bar.open_e8.into()),
            format_e8(bar.high_e8.into()),
            format_e8(bar.low_e8.into()),
            format_e8(bar.close_e8.into()),
            format_e8(bar.volume_e8),
            bar.trade_count,
        ),
    }
}
