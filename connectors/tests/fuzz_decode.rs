//! Messages of a small corpus, damaged at random, through every decoder.
//!
//! Whatever comes: no panic, every message ends somewhere, the same block gives the same chunk, and where a block is cut makes
//! no difference. `TIDEWHEEL_FUZZ_SECONDS` runs it for that long instead of a fixed number of blocks, and
//! `TIDEWHEEL_FUZZ_SEED` repeats a run.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tidewheel_connectors::decode::{CsvColumns, DecodeConfig, Decoder, Format};
use tidewheel_connectors::source::{DecodedChunk, MessageBlock};
use tidewheel_schemas::{
    AccountContent, AccountRecord, Amendment, Fill, FillChange, Instrument, Level, MarketContent, MarketRecord,
    PRICE_LIMIT_E8, Reject, Trade, is_notional_in_range,
};

const BLOCKS: usize = 3_000;
const MESSAGES_PER_BLOCK: usize = 12;
const HEADERS: [&str; 2] =
    ["id,time,price,quantity,side", "venue,symbol,asset_class,sector,base_currency,quote_currency,contract,multiplier"];

#[test]
fn damaged_messages_end_somewhere() {
    let seed = std::env::var("TIDEWHEEL_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_090_103);
    let seconds = std::env::var("TIDEWHEEL_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    println!("seed {seed}");
    let deadline = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let corpus = corpus();
    let decoders = decoders();
    let mut blocks = 0;
    let mut found = Found::default();
    while deadline.map_or(blocks < BLOCKS, |deadline| Instant::now() < deadline) {
        let messages: Vec<Vec<u8>> = (0..MESSAGES_PER_BLOCK).map(|_| damaged(&corpus, &mut random)).collect();
        let received: Vec<Option<i64>> =
            (0..MESSAGES_PER_BLOCK).map(|_| random.random_bool(0.2).then_some(5)).collect();
        for decoder in &decoders {
            // A file that is told by its header is told so in two formats; the others do not look at it.
            let headers = if is_told_by_header(decoder) { &HEADERS[..] } else { &HEADERS[..1] };
            headers.iter().for_each(|header| found.add(&check(decoder, header, &messages, &received)));
        }
        blocks += 1;
    }
    println!("{blocks} blocks: {found:?}");
    assert!(found.trades > 0 && found.amendments > 0 && found.rejects > 0 && found.ignored > 0, "{found:?}");
    let kinds = found.market.iter().chain(&found.account);
    assert!(kinds.into_iter().all(|&count| count > 0), "records of every kind: {found:?}");
}

#[derive(Debug, Default)]
struct Found {
    trades: usize,
    amendments: usize,
    /// Quotes, books, marks, funding, liquidations.
    market: [usize; 5],
    /// References, fills, their amendments, cash, intents, their ends.
    account: [usize; 6],
    rejects: usize,
    ignored: u64,
}

impl Found {
    fn add(&mut self, outcome: &Outcome) {
        self.trades += outcome.trades.len();
        self.amendments += outcome.amendments.len();
        outcome.market.iter().for_each(|record| self.market[check_record(record)] += 1);
        outcome.account.iter().for_each(|record| self.account[check_account(record)] += 1);
        self.rejects += outcome.rejects.len();
        self.ignored += outcome.ignored.values().sum::<u64>();
    }
}

/// Holds a record to the bounds that the graph and the lake rely on; tells its kind.
fn check_record(record: &MarketRecord) -> usize {
    let is_price = |price: i64| 0 < price && price < PRICE_LIMIT_E8;
    let is_touch = |level: &Option<Level>| level.is_none_or(|level| is_price(level.price_e8) && level.quantity_e8 > 0);
    let is_rate = |rate: i64| rate.abs() < 100_000_000;
    let (kind, is_sound) = match &record.content {
        MarketContent::Quote(quote) => (0, is_touch(&quote.bid) && is_touch(&quote.ask)),
        MarketContent::Book(book) => {
            let least = if book.is_snapshot { 1 } else { 0 };
            let mut levels = book.bids.iter().chain(&*book.asks);
            let is_sound = levels.all(|level| is_price(level.price_e8) && level.quantity_e8 >= least);
            (1, is_sound && book.first_id <= book.last_id && i64::try_from(book.last_id).is_ok())
        }
        MarketContent::Mark(mark) => {
            let prices = [mark.mark_price_e8, mark.index_price_e8];
            (2, prices.into_iter().flatten().all(is_price) && mark.funding_rate_e8.is_none_or(is_rate))
        }
        MarketContent::Funding(funding) => (3, is_rate(funding.rate_e8) && funding.mark_price_e8.is_none_or(is_price)),
        MarketContent::Liquidation(liquidation) => (4, is_price(liquidation.price_e8) && liquidation.quantity_e8 > 0),
    };
    assert!(is_sound, "{record:?}");
    kind
}

/// Holds a record of an account to the bounds that the books and the lake rely on; tells its kind.
fn check_account(record: &AccountRecord) -> usize {
    let is_name = |name: &str| (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    let is_price = |price: i64| 0 < price && price < PRICE_LIMIT_E8;
    let is_time = |time: i64| (1_230_768_000_000_000_000..7_289_654_400_000_000_000).contains(&time);
    let is_fill = |fill: &Fill| {
        let names = [&fill.holder.account, &fill.holder.strategy, &fill.fill_id, &fill.fee_currency];
        names.into_iter().chain(&fill.intent_id).all(|name| is_name(name))
            && is_price(fill.price_e8)
            && fill.quantity_e8 > 0
            && is_notional_in_range(fill.price_e8, fill.quantity_e8)
            && fill.fee_e8.unsigned_abs() < PRICE_LIMIT_E8.unsigned_abs()
            && is_time(fill.event_time_ns)
    };
    let (kind, is_sound) = match &record.content {
        AccountContent::Reference(reference) => {
            let names =
                [&reference.asset_class, &reference.sector, &reference.base_currency, &reference.quote_currency];
            (0, names.into_iter().all(|name| is_name(name)) && reference.multiplier_e8 > 0)
        }
        AccountContent::Fill(fill) => (1, is_fill(fill) && fill.event_time_ns == record.event_time_ns),
        AccountContent::FillAmendment(amendment) => {
            let is_sound = match &amendment.change {
                FillChange::Cancel => true,
                FillChange::Correct { fill, .. } => {
                    let of = (&fill.holder.account, &fill.instrument, &fill.fill_id);
                    is_fill(fill) && of == (&amendment.account, &amendment.instrument, &amendment.fill_id)
                }
            };
            (2, is_sound && is_name(&amendment.fill_id) && amendment.original_time_ns.is_none_or(is_time))
        }
        AccountContent::Cash(movement) => {
            let names = [&movement.account, &movement.id, &movement.currency];
            let is_amount =
                movement.amount_e8 != 0 && movement.amount_e8.unsigned_abs() < PRICE_LIMIT_E8.unsigned_abs();
            (3, names.into_iter().all(|name| is_name(name)) && is_amount)
        }
        AccountContent::Intent(intent) => {
            let names = [&intent.holder.account, &intent.holder.strategy, &intent.intent_id];
            // One that makes no sense is decoded all the same: it is to have a decision.
            let mut prices = [intent.limit_price_e8, intent.stop_price_e8].into_iter().flatten();
            let is_sound = prices.all(|price| price.unsigned_abs() < PRICE_LIMIT_E8.unsigned_abs());
            (4, is_sound && names.into_iter().all(|name| is_name(name)))
        }
        AccountContent::OrderEnd(end) => (5, is_name(&end.account) && is_name(&end.intent_id)),
    };
    assert!(is_sound && is_time(record.event_time_ns), "{record:?}");
    kind
}

/// A chunk without what depends on the cut of the blocks.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    trades: Vec<(Instrument, Trade, u64, Option<i64>)>,
    amendments: Vec<Amendment>,
    market: Vec<MarketRecord>,
    account: Vec<AccountRecord>,
    rejects: Vec<Reject>,
    ignored: BTreeMap<String, u64>,
}

impl Outcome {
    fn of(chunk: DecodedChunk) -> Self {
        let columns = &chunk.columns;
        let row = |row: usize| {
            let receive_time_ns = columns.receive_time_of(row).filter(|time| *time != i64::MIN);
            (columns.instrument_of(row).clone(), columns.trade(row), columns.position[row], receive_time_ns)
        };
        let trades = (0..columns.len()).map(row).collect();
        assert!(columns.receive_time_ns.is_empty() || columns.receive_time_ns.len() == columns.len());
        assert!(columns.position.is_sorted());
        let sources: Vec<_> = chunk.market.iter().map(MarketRecord::source).collect();
        assert!(sources.is_sorted_by(|one, next| one < next), "no two of one source, in its order");
        let sources: Vec<_> = chunk.account.iter().map(AccountRecord::source).collect();
        assert!(sources.is_sorted_by(|one, next| one < next), "no two of one source, in its order");
        let DecodedChunk { amendments, market, account, rejects, ignored, .. } = chunk;
        Self { trades, amendments, market, account, rejects, ignored }
    }

    fn append(&mut self, other: Self) {
        self.trades.extend(other.trades);
        self.amendments.extend(other.amendments);
        self.market.extend(other.market);
        self.account.extend(other.account);
        self.rejects.extend(other.rejects);
        for (kind, count) in other.ignored {
            *self.ignored.entry(kind).or_default() += count;
        }
    }
}

fn check(decoder: &Decoder, header: &str, messages: &[Vec<u8>], received: &[Option<i64>]) -> Outcome {
    let block = |from: usize, to: usize| {
        let mut block = MessageBlock { partition: 2, header: Some(header.into()), ..MessageBlock::default() };
        (from..to).for_each(|at| block.push(&messages[at], at as u64, received[at]));
        block
    };
    let whole = Outcome::of(decoder.decode(block(0, messages.len())));
    assert_eq!(whole, Outcome::of(decoder.decode(block(0, messages.len()))), "twice the same block");
    let mut joined = Outcome::default();
    for (at, message) in messages.iter().enumerate() {
        let part = Outcome::of(decoder.decode(block(at, at + 1)));
        let beside = part.market.len() + part.account.len();
        let taken = part.trades.len() + part.amendments.len() + beside + part.rejects.len();
        let ignored: u64 = part.ignored.values().sum();
        assert!(
            if taken == 0 { ignored == 1 } else { ignored == 0 },
            "{decoder:?} {} {part:?}",
            message.escape_ascii()
        );
        assert!(part.rejects.iter().all(|reject| *reject.raw == **message));
        assert!(
            part.trades.iter().all(|(_, trade, ..)| trade.price_e8 > 0 && trade.quantity_e8 > 0 && trade.count > 0)
        );
        joined.append(part);
    }
    assert_eq!(whole, joined, "one by one");
    whole
}

fn decoders() -> Vec<Decoder> {
    use Format::*;
    let formats = [Auto, Canonical, Binance, Cryptofeed, Bybit, Coinbase, Kraken, Csv, Parquet];
    let csv = CsvColumns { id: Some("id".into()), side: Some("5".into()), signed: true, ..CsvColumns::default() };
    let config = |format| DecodeConfig {
        format,
        venue: Some("venue".into()),
        symbol: Some("AAABBB".into()),
        csv: csv.clone(),
        ..DecodeConfig::default()
    };
    formats.into_iter().map(|format| Decoder::new(config(format))).collect()
}

/// Whether it takes a table of instruments for what it is.
fn is_told_by_header(decoder: &Decoder) -> bool {
    let mut block = MessageBlock { header: Some(HEADERS[1].into()), ..MessageBlock::default() };
    block.push(b"v,S,c,s,B,C,linear,1", 0, None);
    !decoder.decode(block).account.is_empty()
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/decode");
    let entries = std::fs::read_dir(folder).expect("the corpus is part of the repository");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    let texts = paths.iter().map(|path| std::fs::read(path).expect("a readable file"));
    texts.flat_map(|text| text.split(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>()).collect()
}

/// A message of the corpus after none to four accidents.
fn damaged(corpus: &[Vec<u8>], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut message = corpus.choose(random).expect("a corpus").clone();
    for _ in 0..random.random_range(0..5) {
        let at = random.random_range(0..=message.len());
        match random.random_range(0..8) {
            0 => message.truncate(at),
            1 if at < message.len() => message[at] ^= 1 << random.random_range(0..8),
            2 => {
                let other = corpus.choose(random).expect("a corpus");
                let cut = random.random_range(0..=other.len());
                message.splice(at.., other[cut..].iter().copied());
            }
            3 => {
                let end = random.random_range(at..=message.len());
                let piece = message[at..end].to_vec();
                message.splice(at..at, piece);
            }
            4 => {
                let end = random.random_range(at..=message.len());
                message.drain(at..end);
            }
            _ => replace_number(&mut message, at, random),
        }
    }
    message
}

/// Puts something extreme in place of the next run of digits.
fn replace_number(message: &mut Vec<u8>, from: usize, random: &mut ChaCha8Rng) {
    const EXTREMES: [&str; 20] = [
        "0",
        "-1",
        "00",
        "1e5",
        "1E-9",
        "0.000000001",
        "9999999999.99999999",
        "10000000000",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999999999999999",
        "1e999999999",
        "NaN",
        "null",
        "\"\"",
        "1230767999999",
        "7289654400000",
        "[]",
        "{\"p\":1}",
    ];
    let Some(start) = (from..message.len()).find(|&at| message[at].is_ascii_digit()) else { return };
    let end = (start..message.len()).find(|&at| !message[at].is_ascii_digit()).unwrap_or(message.len());
    let extreme = EXTREMES.choose(random).expect("some extremes");
    message.splice(start..end, extreme.bytes());
}
