//! `tidewheel generate`: a market that never was, into a file, to standard output, or to a topic.
//!
//! The same arguments give the same bytes on every machine, but for `--live`, where the market opens now.

mod crash;
mod fraction;
pub(super) mod send;

use super::brokers::BrokerArgs;
use super::table::Table;
use super::{CommandError, now_ns};
use crate::config::TimeSpan;
use clap::ValueEnum;
use crash::CrashText;
use fraction::Fraction;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tidewheel_connectors::decode::Format;
use tidewheel_connectors::generate::{
    Faults, GenerateError, Market, MarketConfig, StreamKinds, TextOptions, WireFormat, Written, write_parquet,
    write_text,
};

/// Generates a deterministic market: many symbols, random walks with jumps and bursts, and the troubles of real feeds.
#[derive(Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("destination").required(true).args(["output", "topic"])),
    after_help = "\
Examples:
  tidewheel generate --output day.parquet --trades 10000000 --symbols 100
  tidewheel generate --output day.jsonl.gz --format binance --seed 7
  tidewheel generate --output day.jsonl --bad-day --cancelled 1%     every trouble, and many cancels
  tidewheel generate --output - --trades 5                           five lines to look at
  tidewheel generate --output day.jsonl --format binance --streams trades,quotes,books,marks,liquidations
  tidewheel generate --output day.jsonl --streams trades,account     and a paper account
  tidewheel generate --output day.jsonl --crash BTCUSDT@30s:5%       a fall of 5 % after half a minute
  tidewheel generate --brokers localhost:9092 --topic trades --rate 5000 --live

Fractions are percent (2%) or decimals (0.02) of the trades. Times are text: 100ms, 5s, 1m, 1h."
)]
pub struct GenerateArgs {
    /// The file to write, or - for standard output; .gz and .zst are compressed
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The topic to write to
    #[arg(long, value_name = "TOPIC", requires = "brokers")]
    topic: Option<String>,

    /// The format [default: as the file's name ends, else canonical]
    #[arg(long, short, value_enum)]
    format: Option<GenerateFormat>,

    /// Begin each line with its receive time, nanoseconds and a space
    #[arg(long, requires = "output")]
    receive_time: bool,

    #[command(flatten)]
    cluster: BrokerArgs,

    #[command(flatten)]
    pace: PaceArgs,

    #[command(flatten)]
    market: MarketArgs,

    #[command(flatten)]
    troubles: TroubleArgs,
}

/// How fast messages go to a topic.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Pace, for a topic")]
struct PaceArgs {
    /// Messages a second; 0 is as fast as possible
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "topic")]
    rate: u64,

    /// Open the market now and send each message when it is due, --rate a second on average
    #[arg(long, requires = "rate", conflicts_with_all = ["start", "trades_per_second"])]
    live: bool,
}

/// What the market is like.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Market")]
struct MarketArgs {
    /// The same seed gives the same market
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Number of symbols; the n-th is traded 1/n as often as the first
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    symbols: u32,

    /// Number of trades; duplicates, conflicts, cancels and corrections come on top
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000, conflicts_with = "duration")]
    trades: u64,

    /// Length of the market instead, in its own time
    #[arg(long, value_name = "TIME")]
    duration: Option<TimeSpan>,

    /// When the market opens
    #[arg(long, value_name = "RFC3339", default_value = "2024-08-05T00:00:00Z")]
    start: Timestamp,

    /// Trades of all symbols in a second of the market's own time, on average
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
    trades_per_second: u64,

    /// The venue [default: that of the format]
    #[arg(long)]
    venue: Option<String>,

    /// What stands between base and quote asset in a symbol [default: as the format's venue has it]
    #[arg(long, value_name = "TEXT")]
    separator: Option<String>,

    /// Event times are multiples of this [default: the format's]
    #[arg(long, value_name = "TIME")]
    time_step: Option<TimeSpan>,

    /// Let one trade in four stand for several fills
    #[arg(long)]
    counts: bool,

    /// Orders that take the side their symbol leans to for some seconds, so that prices can be predicted a little; none by default
    #[arg(long, value_name = "FRACTION")]
    leaning: Option<Fraction>,

    /// Let a symbol's price fall within 4 s by a share of itself, that long after the opening, stay there for 3 s and come back within
    /// a minute; may be given several times
    #[arg(long, value_name = "SYMBOL@TIME:SHARE")]
    crash: Vec<CrashText>,

    /// What is sent; all but trades as canonical or binance only, the account as canonical only, and marks bring the funding settled every
    /// 8 h
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STREAM", default_value = "trades")]
    streams: Vec<Stream>,
}

/// A stream of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stream {
    /// Trades
    Trades,
    /// Best bids and asks
    Quotes,
    /// Snapshots and changes of order books, with a gap now and then
    Books,
    /// Mark prices and funding rates
    Marks,
    /// Liquidations
    Liquidations,
    /// A paper account: its instruments, a deposit, orders and their fills
    Account,
}

/// How many trades meet which trouble.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Troubles, as fractions of the trades; none by default")]
struct TroubleArgs {
    /// A little of everything; the options below override single shares
    #[arg(long)]
    bad_day: bool,

    /// Trades that arrive behind younger ones, up to --disorder late
    #[arg(long, value_name = "FRACTION")]
    out_of_order: Option<Fraction>,

    /// Trades sent again as they were
    #[arg(long, value_name = "FRACTION")]
    duplicates: Option<Fraction>,

    /// Trades sent again with another price
    #[arg(long, value_name = "FRACTION")]
    conflicts: Option<Fraction>,

    /// Trades dated back beyond --horizon; none in the first eighth of the market
    #[arg(long, value_name = "FRACTION")]
    late: Option<Fraction>,

    /// Trades dated a day ahead or more
    #[arg(long, value_name = "FRACTION")]
    future: Option<Fraction>,

    /// Trades that cannot be decoded
    #[arg(long, value_name = "FRACTION")]
    malformed: Option<Fraction>,

    /// Trades cancelled a little later; canonical and parquet only
    #[arg(long, value_name = "FRACTION")]
    cancelled: Option<Fraction>,

    /// Trades corrected a little later; canonical and parquet only
    #[arg(long, value_name = "FRACTION")]
    corrected: Option<Fraction>,

    /// How late trades out of order arrive at most
    #[arg(long, value_name = "TIME", default_value = "2s")]
    disorder: TimeSpan,

    /// The correction horizon that late trades are beyond
    #[arg(long, value_name = "TIME", default_value = "1h")]
    horizon: TimeSpan,
}

/// A format to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum GenerateFormat {
    /// Tidewheel's own JSON, the only text that says cancels and corrections
    Canonical,
    /// Binance trade, and aggTrade for trades of several fills
    Binance,
    /// The same inside the envelope of a combined stream
    BinanceEnvelope,
    /// cryptofeed's Kafka backend
    Cryptofeed,
    /// Bybit v5 publicTrade
    Bybit,
    /// Coinbase Exchange match
    Coinbase,
    /// Kraken websocket v2 trade
    Kraken,
    /// Comma-separated time,symbol,id,price,quantity,side, times in nanoseconds
    Csv,
    /// Parquet rows, files only
    Parquet,
}

impl GenerateFormat {
    /// The text format; none for Parquet.
    const fn wire(self) -> Option<WireFormat> {
        Some(match self {
            Self::Canonical => WireFormat::Canonical,
            Self::Binance => WireFormat::Binance,
            Self::BinanceEnvelope => WireFormat::BinanceEnvelope,
            Self::Cryptofeed => WireFormat::Cryptofeed,
            Self::Bybit => WireFormat::Bybit,
            Self::Coinbase => WireFormat::Coinbase,
            Self::Kraken => WireFormat::Kraken,
            Self::Csv => WireFormat::Csv,
            Self::Parquet => return None,
        })
    }

    /// What a file's name tells.
    fn of_name(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
        match plain.rsplit_once('.') {
            Some((_, "parquet")) => Self::Parquet,
            Some((_, "csv")) => Self::Csv,
            _ => Self::Canonical,
        }
    }
}

impl GenerateArgs {
    /// Generates the market.
    ///
    /// # Errors
    /// If the arguments make no market, the file cannot be written or the cluster not be reached.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let by_name = || self.output.as_deref().map_or(GenerateFormat::Canonical, GenerateFormat::of_name);
        let format = self.format.unwrap_or_else(by_name);
        let mut market = Market::new(self.market_config(format)).map_err(CommandError::Usage)?;
        let has_words =
            matches!(format, GenerateFormat::Canonical | GenerateFormat::Binance | GenerateFormat::BinanceEnvelope);
        if !has_words && market.config().streams != StreamKinds::TRADES {
            let detail =
                "streams other than trades are written as canonical or binance: choose one of these with --format";
            return Err(CommandError::Usage(detail.to_owned()));
        }
        if format != GenerateFormat::Canonical && market.config().streams.account {
            let detail = "what accounts do is written as canonical only: choose that with --format";
            return Err(CommandError::Usage(detail.to_owned()));
        }
        let written = match (&self.output, &self.topic) {
            (Some(path), _) if path.as_os_str() == "-" => {
                let written = send::to_writer(&mut market, self.text_options(format)?, out)?;
                // Standard output has the market; the tally goes where it does not mix with it.
                tally(&written, format).write(&mut std::io::stderr(), "").map_err(CommandError::Output)?;
                return Ok(ExitCode::SUCCESS);
            }
            (Some(path), _) => self.to_file(path, format, &mut market)?,
            (None, Some(topic)) => {
                let format = self.text_options(format)?.format;
                let pace = send::Pace::new(self.pace.rate, self.pace.live);
                send::to_topic(&mut market, format, &self.cluster, topic, pace)?
            }
            (None, None) => return Err(CommandError::Usage("name an --output or a --topic".into())),
        };
        tally(&written, format).write(out, "").map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }

    fn to_file(&self, path: &Path, format: GenerateFormat, market: &mut Market) -> Result<Written, CommandError> {
        let spinner = ProgressBar::new_spinner().with_message(format!("writing {}", path.display()));
        spinner.set_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("a constant template"));
        spinner.enable_steady_tick(Duration::from_millis(100));
        let written = match format {
            GenerateFormat::Parquet if self.receive_time => Err(GenerateError::Options(
                "parquet rows have their receive time in a column: leave --receive-time out".into(),
            )),
            GenerateFormat::Parquet => write_parquet(path, market),
            _ => write_text(path, market, self.text_options(format)?),
        };
        spinner.finish_and_clear();
        Ok(written?)
    }

    fn text_options(&self, format: GenerateFormat) -> Result<TextOptions, CommandError> {
        let format = format.wire().ok_or_else(|| {
            CommandError::Usage("parquet is written to files only: name an --output, or another --format".into())
        })?;
        Ok(TextOptions { format, has_receive_time: self.receive_time })
    }

    fn market_config(&self, format: GenerateFormat) -> MarketConfig {
        let (market, troubles) = (&self.market, &self.troubles);
        let habits = MarketConfig::for_format(format.wire().map_or(Format::Canonical, WireFormat::format));
        let (start_time_ns, trades_per_second) = match self.pace.live {
            true => (now_ns(), self.pace.rate),
            // A time that does not fit is told by the market: it must open between 2012 and 2096.
            false => (i64::try_from(market.start.as_nanosecond()).unwrap_or(0), market.trades_per_second),
        };
        let trades = market.duration.map_or(market.trades, |duration| {
            let trades = i128::from(duration.as_ns()) * i128::from(trades_per_second) / 1_000_000_000;
            u64::try_from(trades).unwrap_or(u64::MAX)
        });
        MarketConfig {
            seed: market.seed,
            venue: market.venue.clone().unwrap_or(habits.venue),
            separator: market.separator.clone().unwrap_or(habits.separator),
            symbols: market.symbols,
            trades,
            start_time_ns,
            trades_per_second,
            time_step_ns: market.time_step.map_or(habits.time_step_ns, TimeSpan::as_ns),
            disorder_ns: troubles.disorder.as_ns(),
            horizon_ns: troubles.horizon.as_ns(),
            has_counts: market.counts,
            leaning_ppm: market.leaning.map_or(0, Fraction::ppm),
            faults: troubles.faults(),
            crashes: market.crash.iter().map(|crash| crash.0.clone()).collect(),
            streams: market.streams(),
        }
    }
}

impl MarketArgs {
    fn streams(&self) -> StreamKinds {
        let has = |stream| self.streams.contains(&stream);
        StreamKinds {
            trades: has(Stream::Trades),
            quotes: has(Stream::Quotes),
            books: has(Stream::Books),
            marks: has(Stream::Marks),
            liquidations: has(Stream::Liquidations),
            account: has(Stream::Account),
        }
    }
}

impl TroubleArgs {
    fn faults(&self) -> Faults {
        let usual = if self.bad_day { Faults::SOME } else { Faults::default() };
        let share = |asked: Option<Fraction>, usual: u32| asked.map_or(usual, Fraction::ppm);
        Faults {
            out_of_order_ppm: share(self.out_of_order, usual.out_of_order_ppm),
            duplicate_ppm: share(self.duplicates, usual.duplicate_ppm),
            conflict_ppm: share(self.conflicts, usual.conflict_ppm),
            late_ppm: share(self.late, usual.late_ppm),
            future_ppm: share(self.future, usual.future_ppm),
            malformed_ppm: share(self.malformed, usual.malformed_ppm),
            cancelled_ppm: share(self.cancelled, usual.cancelled_ppm),
            corrected_ppm: share(self.corrected, usual.corrected_ppm),
        }
    }
}

/// What was written, by kind; kinds that did not occur are left out.
fn tally(written: &Written, format: GenerateFormat) -> Table {
    let kinds = written.tally;
    let mut table = Table::right_aligned(&[1]);
    table.row(["records", &written.records.to_string()]);
    for (name, count) in [
        ("  trades in order", kinds.fresh),
        ("  trades out of order", kinds.out_of_order),
        ("  duplicates", kinds.duplicate),
        ("  conflicts", kinds.conflict),
        ("  late", kinds.late),
        ("  future", kinds.future),
        ("  malformed", kinds.malformed),
        ("  cancels", kinds.cancel),
        ("  corrections", kinds.correct),
    ] {
        if count > 0 {
            table.row([name, &count.to_string()]);
        }
    }
    if written.market > 0 {
        table.row(["  market records", &written.market.to_string()]);
    }
    if written.account > 0 {
        table.row(["  records of the account", &written.account.to_string()]);
    }
    if written.skipped > 0 {
        let format = format.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        let why = format!("{format} has no words for cancels and corrections");
        table.row(["left out".to_owned(), written.skipped.to_string(), why]);
    }
    table
}
