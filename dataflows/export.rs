//! Rows of features with labels, as models are trained on them: of each row the version that is right by now, or the one that
//! was known then, and beside it what became of the price.
//!
//! A label looks ahead, and no feature does: labels are made here, of the final bars in the lake, and never come near the graph.
//! What is read: the view's table day by day, of a large day some instruments after the others, and the base interval's bars, of
//! which the closes that labels look at stay in memory: those of the instruments that are asked for, from the beginning of the
//! range to the end of the longest label, or of all bars where a label counts bars.

use crate::models::contract_sha256;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, Range, RangeInclusive};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use tidewheel_connectors::lake::export::TableFile;
use tidewheel_connectors::lake::versions::VersionsByTick;
use tidewheel_connectors::lake::{LakeError, LakeState, Table, read, rows};
use tidewheel_operators::features::View;
use tidewheel_operators::intake::tick_time_ns;
use tidewheel_schemas::{ColumnKind, ColumnSpec, Instrument, Row, TableSpec, Value};

use crate::tables::Tables;

const DAY_NS: i64 = 86_400_000_000_000;

/// Which version of a row is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The last: what is right by now.
    Corrected,
    /// The first: what was known when the row came out.
    First,
    /// The last that a tick, milliseconds, or an earlier one published.
    At(u64),
}

/// How far a label looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Horizon {
    /// To the close of the n-th next bar of the instrument.
    Bars(usize),
    /// To the last close by so many nanoseconds later.
    Time(i64),
}

/// A label: the logarithm of a later close over the row's own. Written `return_15m`, `return_4h`, or `return_20bars`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    name: String,
    horizon: Horizon,
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no label: write return_15m, return_4h, return_1d or return_20bars");
        let length = text.strip_prefix("return_").ok_or_else(wrong)?;
        let (digits, unit) = length.split_at(length.bytes().take_while(u8::is_ascii_digit).count());
        let number: i64 = digits.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
        let times = |seconds: i64| number.checked_mul(seconds * 1_000_000_000).map(Horizon::Time).ok_or_else(wrong);
        let horizon = match unit {
            "bars" => Horizon::Bars(usize::try_from(number).map_err(|_| wrong())?),
            "s" => times(1)?,
            "m" => times(60)?,
            "h" => times(3_600)?,
            "d" => times(86_400)?,
            _ => return Err(wrong()),
        };
        Ok(Self { name: text.to_owned(), horizon })
    }
}

/// Which columns are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All: `venue`, `symbol`, `event_time`, `known_tick`, `revision`, `is_ready`, the features, the labels, `label_known_time`.
    Whole,
    /// What training programs read: `symbol`, `close_time`, the features, and one label called `label`.
    Training,
}

/// What to export.
#[derive(Clone, Debug)]
pub struct ExportConfig {
    /// The lake.
    pub lake: PathBuf,
    /// The view.
    pub view: View,
    /// Event times of the rows, nanoseconds.
    pub range_ns: Range<i64>,
    /// Only these, as `SYMBOL` or `VENUE|SYMBOL`; all where there are none.
    pub symbols: Vec<String>,
    /// Which version of each row.
    pub known: Known,
    /// The labels.
    pub labels: Vec<Label>,
    /// Which columns.
    pub form: Form,
    /// The file to write.
    pub output: PathBuf,
}

/// What was exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Rows.
    pub rows: u64,
    /// Of these, rows of which no label is null.
    pub labelled: u64,
    /// Instruments.
    pub instruments: usize,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The lake cannot be read, or the file not written.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The view is not in the lake.
    #[error("lake {} has no rows of view {view:?}", lake.display())]
    NoRows {
        /// The lake.
        lake: PathBuf,
        /// The view.
        view: String,
    },
    /// There is nothing to make labels of.
    #[error("lake {} has no final {interval} bars to make labels of: bars.intervals must have {interval}", lake.display())]
    NoBars {
        /// The lake.
        lake: PathBuf,
        /// The interval of the view's rows.
        interval: &'static str,
    },
    /// A file is not what the manifest says.
    #[error("{path} in the lake is damaged: {detail}")]
    Damaged {
        /// The file, relative to the lake.
        path: String,
        /// What is wrong.
        detail: String,
    },
    /// Rows for training are told apart by their symbol alone.
    #[error(
        "{symbol} is traded at {first} and at {second}, and the file has no column for the venue: choose with --symbols"
    )]
    TwoVenues {
        /// The symbol.
        symbol: String,
        /// One of its venues.
        first: String,
        /// Another.
        second: String,
    },
    /// The form has one label.
    #[error("rows for training have one label: give --label once")]
    OneLabel,
}

/// Writes the file.
///
/// # Errors
/// If there are no such rows, something cannot be read, or the file cannot be written: then there is none.
pub fn export(config: &ExportConfig) -> Result<Exported, ExportError> {
    if config.form == Form::Training && config.labels.len() != 1 {
        return Err(ExportError::OneLabel);
    }
    let state = read::manifest(&config.lake)?;
    let tables = Tables::new(std::slice::from_ref(&config.view), None);
    let spec = &tables.specs()[0];
    let days = rows::days(&state, spec);
    if days.is_empty() {
        return Err(ExportError::NoRows { lake: config.lake.clone(), view: config.view.name.clone() });
    }
    let closes = if config.labels.is_empty() { Closes::default() } else { Closes::read(config, &state)? };
    let mut file = TableFile::create(&config.output, columns(config, spec))?;
    // What a model that is trained on it must find in the stream again.
    file.describe("tidewheel.view", format!("{}@{}", config.view.name, config.view.version));
    file.describe("tidewheel.view_contract", config.view.contract().join("\n"));
    file.describe("tidewheel.view_contract_sha256", contract_sha256(&config.view));
    let (mut exported, mut venues, mut instruments) = (Exported::default(), BTreeMap::new(), BTreeSet::new());
    for day in days.iter().filter(|day| config.holds_part_of(day)) {
        // What a run committed after the manifest was read is left alone.
        let is_wanted = |tick: u64, row: &Row| tick < state.progress.tick_frontier && config.wants(row);
        for part in parts_of(config, &state, spec, day, &is_wanted)? {
            let is_in_part = |tick: u64, row: &Row| is_wanted(tick, row) && part.holds(&row.instrument);
            let versions = rows::of_day(&config.lake, spec, 0, day, &is_in_part)?;
            for versions in versions.chunk_by(|(_, left), (_, right)| left.key() == right.key()) {
                let Some((tick, row)) = config.known.of(versions) else { continue };
                let Some(values) = row.values.as_deref() else { continue };
                if config.form == Form::Training {
                    told_apart(&mut venues, &row.instrument)?;
                }
                let labels = config.labels.iter().map(|label| closes.label(row, label.horizon)).collect::<Vec<_>>();
                exported.labelled += u64::from(labels.iter().all(Option::is_some));
                file.push(config.form.row((*tick, row), values, &labels, config.view.columns.len()))?;
                if !instruments.contains(&row.instrument) {
                    instruments.insert(row.instrument.clone());
                }
            }
        }
    }
    exported.rows = file.finish()?;
    exported.instruments = instruments.len();
    Ok(exported)
}

/// Versions of rows that are in memory at once, if no instrument has more in a day: one of sixty columns takes three kilobytes.
/// For each so many of a day its files are read again.
const VERSIONS_AT_ONCE: usize = 200_000;

/// Instruments whose rows of a day are read together, from the first to the last in their order.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    All,
    Of(RangeInclusive<Instrument>),
}

impl Part {
    fn holds(&self, instrument: &Instrument) -> bool {
        match self {
            Self::All => true,
            Self::Of(instruments) => instruments.contains(instrument),
        }
    }
}

/// How a day is read: at once where it is small, else in parts, for which its instruments are counted first.
fn parts_of(
    config: &ExportConfig,
    state: &LakeState,
    spec: &Arc<TableSpec>,
    day: &str,
    is_wanted: &dyn Fn(u64, &Row) -> bool,
) -> Result<Vec<Part>, ExportError> {
    if rows::rows_in_day(state, spec, day) <= VERSIONS_AT_ONCE as u64 {
        return Ok(vec![Part::All]);
    }
    let counts = RefCell::new(BTreeMap::new());
    let count = |tick: u64, row: &Row| {
        if is_wanted(tick, row) {
            *counts.borrow_mut().entry(row.instrument.clone()).or_default() += 1;
        }
        false
    };
    rows::of_day(&config.lake, spec, 0, day, &count)?;
    Ok(cut(&counts.into_inner(), VERSIONS_AT_ONCE))
}

/// Cuts instruments, each with its versions, into parts of so many versions at most, or of one instrument.
fn cut(counts: &BTreeMap<Instrument, usize>, most: usize) -> Vec<Part> {
    let mut parts: Vec<(RangeInclusive<Instrument>, usize)> = Vec::new();
    for (instrument, &count) in counts {
        match parts.last_mut() {
            Some((part, held)) if *held + count <= most => {
                *part = part.start().clone()..=instrument.clone();
                *held += count;
            }
            _ => parts.push((instrument.clone()..=instrument.clone(), count)),
        }
    }
    parts.into_iter().map(|(part, _)| Part::Of(part)).collect()
}

impl Known {
    /// The version among those of a row, which are in the order of their ticks.
    fn of(self, versions: &[(u64, Row)]) -> Option<&(u64, Row)> {
        match self {
            Self::Corrected => versions.last(),
            Self::First => versions.first(),
            Self::At(tick) => versions.iter().rfind(|(of, _)| *of <= tick),
        }
    }

    /// The last tick of which anything may be known.
    const fn last_tick(self) -> u64 {
        match self {
            Self::At(tick) => tick,
            Self::Corrected | Self::First => u64::MAX,
        }
    }
}

impl ExportConfig {
    fn wants(&self, row: &Row) -> bool {
        self.range_ns.contains(&row.event_time_ns) && self.wants_instrument(&row.instrument)
    }

    fn wants_instrument(&self, Instrument { venue, symbol }: &Instrument) -> bool {
        let is_named = |name: &String| {
            **name == **symbol || name.split_once('|').is_some_and(|(of, name)| *of == **venue && *name == **symbol)
        };
        self.symbols.is_empty() || self.symbols.iter().any(is_named)
    }

    /// When bars end that labels of the range look at, nanoseconds.
    fn closes_ns(&self) -> RangeInclusive<i64> {
        let ends = self.labels.iter().map(|label| match label.horizon {
            Horizon::Time(length_ns) => self.range_ns.end.saturating_add(length_ns),
            Horizon::Bars(_) => i64::MAX,
        });
        self.range_ns.start..=ends.max().unwrap_or(self.range_ns.end)
    }

    /// Whether a day, `2024-08-05`, may have rows of the range. What is no day may.
    fn holds_part_of(&self, day: &str) -> bool {
        let begins = day.parse::<jiff::civil::Date>().ok().and_then(|date| {
            let time = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
            i64::try_from(time.as_nanosecond()).ok()
        });
        begins.is_none_or(|begins| begins < self.range_ns.end && begins.saturating_add(DAY_NS) > self.range_ns.start)
    }
}

fn columns(config: &ExportConfig, spec: &TableSpec) -> Box<[ColumnSpec]> {
    use ColumnKind::{Boolean, Double, Integer, Text, Time};
    // The start of the bar stands before the features.
    let features = spec.columns[1..=config.view.columns.len()].iter().cloned();
    let of = |columns: &[(&str, ColumnKind)]| {
        columns.iter().map(|(name, kind)| ColumnSpec::new(name, *kind)).collect::<Vec<_>>()
    };
    let labels = config.labels.iter().map(|label| ColumnSpec::new(&label.name, Double));
    match config.form {
        Form::Training => {
            let head = of(&[("symbol", Text), ("close_time", Time)]);
            head.into_iter().chain(features).chain(of(&[("label", Double)])).collect()
        }
        Form::Whole => {
            let head = [("venue", Text), ("symbol", Text), ("event_time", Time), ("known_tick", Integer)];
            let head = of(&head).into_iter().chain(of(&[("revision", Integer), ("is_ready", Boolean)]));
            let known = of(&[("label_known_time", Time)]).into_iter().filter(|_| !config.labels.is_empty());
            head.chain(features).chain(labels).chain(known).collect()
        }
    }
}

impl Form {
    fn row(
        self,
        (tick, row): (u64, &Row),
        values: &[Value],
        labels: &[Option<Labelled>],
        width: usize,
    ) -> Box<[Value]> {
        let (features, is_ready) = (values[1..=width].iter().cloned(), values[width + 1].clone());
        let Instrument { venue, symbol } = &row.instrument;
        let (symbol, time) = (Value::Text(Arc::clone(symbol)), Value::Time(row.event_time_ns));
        let numbers = labels.iter().map(|label| Value::number(label.map(|label| label.value)));
        if self == Self::Training {
            return [symbol, time].into_iter().chain(features).chain(numbers).collect();
        }
        let known_ns = labels.iter().flatten().map(|label| label.known_ns).max();
        let known = (!labels.is_empty()).then(|| known_ns.map_or(Value::Null, Value::Time));
        let whole = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        let venue = Value::Text(Arc::clone(venue));
        let head = [venue, symbol, time, whole(tick), whole(row.revision.into()), is_ready];
        head.into_iter().chain(features).chain(numbers).chain(known).collect()
    }
}

/// Refuses a symbol of a second venue.
fn told_apart(venues: &mut BTreeMap<Arc<str>, Arc<str>>, instrument: &Instrument) -> Result<(), ExportError> {
    let Instrument { venue, symbol } = instrument;
    match venues.get(symbol) {
        Some(first) if first != venue => Err(ExportError::TwoVenues {
            symbol: symbol.to_string(),
            first: first.to_string(),
            second: venue.to_string(),
        }),
        Some(_) => Ok(()),
        None => {
            venues.insert(Arc::clone(symbol), Arc::clone(venue));
            Ok(())
        }
    }
}

/// The close of a final bar.
#[derive(Clone, Copy, Debug)]
struct Close {
    price_e8: i64,
    /// The tick that published it.
    tick: u64,
}

/// A label of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Labelled {
    value: f64,
    /// The end of its horizon, or the tick that published the later of its two closes, whichever is later: nanoseconds.
    known_ns: i64,
}

/// The closes of the final bars of the base interval.
#[derive(Debug, Default)]
struct Closes {
    /// By the end of the bar.
    of: BTreeMap<Instrument, BTreeMap<i64, Close>>,
    /// The latest end of all: the watermark had passed it, so that every bar that ended by then is final.
    newest_ns: i64,
}

impl Closes {
    /// Those that a run had published by the tick that is asked for.
    fn read(config: &ExportConfig, state: &LakeState) -> Result<Self, ExportError> {
        let (interval, last_tick) = (config.view.base, config.known.last_tick());
        let table = if last_tick == u64::MAX { Table::Bars } else { Table::BarsChangelog };
        let mut closes = Self { of: BTreeMap::new(), newest_ns: i64::MIN };
        let looked_at_ns = config.closes_ns();
        let mut versions = VersionsByTick::open_interval(&config.lake, state, table, interval)?;
        versions.drain(|row| {
            let version = row.version;
            if !version.is_final || version.tick > last_tick || version.tick >= state.progress.tick_frontier {
                return;
            }
            let close_time_ns = version.close_time_ns();
            closes.newest_ns = closes.newest_ns.max(close_time_ns);
            if !looked_at_ns.contains(&close_time_ns) || !config.wants_instrument(&version.instrument) {
                return;
            }
            let of = closes.of.entry(version.instrument).or_default();
            match version.bar {
                // Versions come in the order of their ticks.
                Some(bar) => drop(of.insert(close_time_ns, Close { price_e8: bar.close_e8, tick: version.tick })),
                None => drop(of.remove(&close_time_ns)),
            }
        })?;
        if let Some(damage) = versions.damages().into_iter().next() {
            return Err(ExportError::Damaged { path: damage.path, detail: damage.detail });
        }
        if closes.newest_ns == i64::MIN {
            return Err(ExportError::NoBars { lake: config.lake.clone(), interval: interval.name() });
        }
        Ok(closes)
    }

    /// None where the horizon is not over yet, or the row's bar is gone by now.
    fn label(&self, row: &Row, horizon: Horizon) -> Option<Labelled> {
        let closes = self.of.get(&row.instrument)?;
        let start = closes.get(&row.event_time_ns)?;
        let (end_ns, end) = match horizon {
            Horizon::Bars(bars) => {
                let later = (Bound::Excluded(row.event_time_ns), Bound::Unbounded);
                closes.range(later).nth(bars - 1).map(|(time_ns, close)| (*time_ns, close))?
            }
            Horizon::Time(length_ns) => {
                let end_ns = row.event_time_ns.checked_add(length_ns).filter(|end_ns| *end_ns <= self.newest_ns)?;
                (end_ns, closes.range(..=end_ns).next_back()?.1)
            }
        };
        let value = (end.price_e8 as f64 / start.price_e8 as f64).ln();
        let published_ns = tick_time_ns(start.tick.max(end.tick));
        Some(Labelled { value, known_ns: end_ns.max(published_ns) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read() {
        let horizon = |text: &str| text.parse::<Label>().map(|label| label.horizon);
        assert_eq!(horizon("return_15m"), Ok(Horizon::Time(900_000_000_000)));
        assert_eq!(horizon("return_1d"), Ok(Horizon::Time(DAY_NS)));
        assert_eq!(horizon("return_20bars"), Ok(Horizon::Bars(20)));
        for wrong in ["return_", "return_0m", "return_m", "return_-1m", "return_15", "up_15m", "return_99999999999999d"]
        {
            assert!(horizon(wrong).is_err(), "{wrong}");
        }
    }

    /// Closes 100, 110, 121 of minutes 1, 2 and 4, the second published late; another instrument goes on to minute 6.
    fn closes() -> Closes {
        let close = |price: i64, tick: u64| Close { price_e8: price * 100_000_000, tick };
        let of = |symbol: &str, closes: &[(i64, Close)]| {
            let instrument = Instrument::new("binance", symbol).expect("a name");
            (instrument, closes.iter().map(|(minute, close)| (minute * MINUTE_NS, *close)).collect::<BTreeMap<_, _>>())
        };
        let btc = of("BTC", &[(1, close(100, 61_000)), (2, close(110, 900_000)), (4, close(121, 241_000))]);
        let eth = of("ETH", &[(6, close(7, 361_000))]);
        Closes { of: [btc, eth].into(), newest_ns: 6 * MINUTE_NS }
    }

    const MINUTE_NS: i64 = 60_000_000_000;

    fn row(minute: i64) -> Row {
        Row {
            table: 0,
            instrument: Instrument::new("binance", "BTC").expect("a name"),
            qualifier: "".into(),
            event_time_ns: minute * MINUTE_NS,
            revision: 0,
            values: None,
        }
    }

    #[test]
    fn a_label_is_the_return_to_the_last_close_of_its_horizon() {
        let closes = closes();
        let of = |minute, horizon| closes.label(&row(minute), horizon).map(|label| (label.value, label.known_ns));
        let (ten, twenty_one) = (1.1f64.ln(), 1.21f64.ln());
        // Published late: known when it was.
        assert_eq!(of(1, Horizon::Bars(1)), Some((ten, 900_000_000_000)));
        assert_eq!(of(1, Horizon::Bars(2)), Some((twenty_one, 241_000_000_000)));
        assert_eq!(of(1, Horizon::Bars(3)), None);
        // In the third minute nothing was traded.
        assert_eq!(of(1, Horizon::Time(2 * MINUTE_NS)), Some((ten, 900_000_000_000)));
        assert_eq!(of(1, Horizon::Time(3 * MINUTE_NS)), Some((twenty_one, 241_000_000_000)));
        // The horizon is over, though the instrument is silent; one minute more and it is not.
        assert_eq!(of(4, Horizon::Time(2 * MINUTE_NS)), Some((0.0, 6 * MINUTE_NS)));
        assert_eq!(of(4, Horizon::Time(3 * MINUTE_NS)), None);
        assert_eq!(of(3, Horizon::Bars(1)), None, "the row's bar is gone");
    }

    #[test]
    fn only_closes_that_labels_look_at_are_held() {
        let config = |labels: &[&str]| ExportConfig {
            lake: PathBuf::new(),
            view: View::core_technical(),
            range_ns: 10 * MINUTE_NS..20 * MINUTE_NS,
            symbols: vec!["BTC".to_owned()],
            known: Known::Corrected,
            labels: labels.iter().map(|label| label.parse().expect("a label")).collect(),
            form: Form::Whole,
            output: PathBuf::new(),
        };
        assert_eq!(config(&["return_5m", "return_1m"]).closes_ns(), 10 * MINUTE_NS..=25 * MINUTE_NS);
        assert_eq!(config(&["return_5m", "return_2bars"]).closes_ns(), 10 * MINUTE_NS..=i64::MAX);
        let instrument = |symbol| Instrument::new("binance", symbol).expect("a name");
        let wanted = ["BTC", "ETH"].map(|symbol| config(&[]).wants_instrument(&instrument(symbol)));
        assert_eq!(wanted, [true, false]);
    }

    #[test]
    fn a_large_day_is_read_in_parts() {
        let instrument = |symbol| Instrument::new("binance", symbol).expect("a name");
        let counts = [("A", 3), ("B", 4), ("C", 2), ("D", 20), ("E", 1)];
        let counts = counts.map(|(symbol, count)| (instrument(symbol), count)).into();
        let part = |first, last| Part::Of(instrument(first)..=instrument(last));
        assert_eq!(cut(&counts, 7), [part("A", "B"), part("C", "C"), part("D", "D"), part("E", "E")]);
        assert_eq!(cut(&counts, 100), [part("A", "E")]);
        assert!(part("A", "C").holds(&instrument("B")) && !part("A", "C").holds(&instrument("D")));
    }

    #[test]
    fn versions_by_what_is_asked() {
        let versions: Vec<(u64, Row)> = [5, 9, 12].map(|tick| (tick, row(1))).into();
        let tick = |known: Known| known.of(&versions).map(|(tick, _)| *tick);
        assert_eq!([Known::Corrected, Known::First, Known::At(11)].map(tick), [Some(12), Some(5), Some(9)]);
        assert_eq!(tick(Known::At(4)), None);
    }
}
