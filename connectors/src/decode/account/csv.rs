//! Reference data of instruments as a table: a file with a header line that names these columns, in any order.
//!
//! ```text
//! venue,symbol,asset_class,sector,base_currency,quote_currency,contract,multiplier
//! binance,BTCUSDT,crypto,layer1,BTC,USDT,linear,1
//! ```
//!
//! Such a file is told by its header: one with `asset_class`, `base_currency` and `quote_currency` is a table of instruments, in the
//! formats `csv` and `auto`. It must have `sector` too; `venue` and `symbol` may be given from outside; `contract`, `multiplier` and
//! `event_time` may be absent, or empty in a row, and are then as in JSON. Columns of other names are passed over. Messages of a topic have
//! no header line: there instruments come as JSON.

use super::{ONE_E8, bounds, contract, decimal_e8, shared};
use crate::decode::csv::{Row, split_header};
use crate::decode::fault::Fault;
use crate::decode::output::{DecodedAccount, Output};
use crate::decode::{DecodeConfig, TimeUnit, time};
use crate::source::MessageBlock;
use std::sync::Arc;
use tidewheel_schemas::{AccountContent, ContractKind, InstrumentReference};

/// Columns of which no table of trades has all.
const TELLING: [&str; 3] = ["asset_class", "base_currency", "quote_currency"];

/// Where the columns stand, counted from 0.
#[derive(Debug)]
pub(in crate::decode) struct Layout {
    names: Vec<String>,
    delimiter: u8,
}

impl Layout {
    /// The layout of a table of instruments; none of other tables.
    pub(in crate::decode) fn of(config: &DecodeConfig, header: Option<&str>) -> Option<Self> {
        let delimiter = u8::try_from(config.csv.delimiter).ok().filter(u8::is_ascii)?;
        let names = split_header(header.filter(|_| config.csv.header)?, delimiter).ok()?;
        TELLING.iter().all(|telling| names.iter().any(|name| name == telling)).then_some(Self { names, delimiter })
    }
}

/// Decodes all rows of a block.
pub(in crate::decode) fn decode_block(layout: &Layout, block: &MessageBlock, out: &mut Output<'_>) {
    for message in &block.messages {
        out.begin_message(message);
        if out.config.account {
            let decoded = decode_row(block.payload(message), layout, out);
            if let Err(fault) = decoded {
                out.reject(&fault);
            }
        } else {
            out.ignore("csv", b"instrument");
        }
        out.end_message();
    }
}

fn decode_row(row: &[u8], layout: &Layout, out: &mut Output<'_>) -> Result<(), Fault> {
    let row = Row::split(row, layout.delimiter)?;
    if row.width() != layout.names.len() {
        return Err(Fault::CsvWidth { found: row.width(), expected: layout.names.len() });
    }
    // Of two columns of one name nobody knows which is meant.
    let cell = |name: &'static str| {
        let mut columns = layout.names.iter().enumerate().filter(|(_, column)| *column == name);
        match (columns.next(), columns.next()) {
            (_, Some(_)) => Err(Fault::Repeated(name)),
            (Some((at, _)), None) => Ok(Some(row.cell(at)).filter(|cell| !cell.is_empty())),
            (None, None) => Ok(None),
        }
    };
    let name = |key: &'static str| -> Result<Arc<str>, Fault> { shared(cell(key)?.unwrap_or_default(), key) };
    let config = out.config;
    let venue = cell("venue")?.unwrap_or(config.venue.as_deref().unwrap_or_default().as_bytes());
    let symbol = cell("symbol")?.unwrap_or(config.symbol.as_deref().unwrap_or_default().as_bytes());
    let content = AccountContent::Reference(InstrumentReference {
        instrument: out.instrument(venue, symbol)?,
        asset_class: name("asset_class")?,
        sector: name("sector")?,
        base_currency: name("base_currency")?,
        quote_currency: name("quote_currency")?,
        kind: cell("contract")?.map_or(Ok(ContractKind::Linear), contract)?,
        multiplier_e8: cell("multiplier")?.map_or(Ok(ONE_E8), |text| decimal_e8(text, "multiplier"))?,
    });
    bounds::check(&content)?;
    let event_time_ns = cell("event_time")?.map(|text| time::parse(text, TimeUnit::Auto)).transpose();
    let event_time_ns = event_time_ns.map_err(|error| Fault::Time("event_time", error))?;
    out.account(DecodedAccount { event_time_ns, else_ns: Some(time::EARLIEST_NS), receive_time_ns: None, content })
}

#[cfg(test)]
mod tests {
    use crate::decode::tests::{decode, show};
    use crate::decode::{DecodeConfig, Format};

    fn check(header: &str, table: &[(&str, &str)]) {
        for format in [Format::Csv, Format::Auto] {
            let config = DecodeConfig { format, symbol: Some("OUTER".into()), ..DecodeConfig::default() };
            for (row, expected) in table {
                assert_eq!(show(&decode(&config, Some(header), row.as_bytes())), *expected, "{row}");
            }
        }
    }

    #[test]
    fn tables_of_instruments() {
        check(
            "\u{feff}venue,symbol, asset_class ,\"sector\",base_currency,quote_currency,contract,multiplier,note\r",
            &[
                (
                    "Binance,BTCUSDT,crypto,layer1,BTC,USDT,linear,1,x\r",
                    r#"{"type":"instrument","venue":"binance","symbol":"BTCUSDT","event_time":1230768000000000000,"asset_class":"crypto","sector":"layer1","base_currency":"BTC","quote_currency":"USDT","contract":"linear","multiplier":"1"}"#,
                ),
                (
                    r#"bitmex, XBTUSD ,crypto,"layer1",BTC,USD,inverse,1e2,"a ""b"", c""#,
                    r#"{"type":"instrument","venue":"bitmex","symbol":"XBTUSD","event_time":1230768000000000000,"asset_class":"crypto","sector":"layer1","base_currency":"BTC","quote_currency":"USD","contract":"inverse","multiplier":"100"}"#,
                ),
                (
                    "v,,fx,none,EUR,USD,,,",
                    r#"{"type":"instrument","venue":"v","symbol":"OUTER","event_time":1230768000000000000,"asset_class":"fx","sector":"none","base_currency":"EUR","quote_currency":"USD","contract":"linear","multiplier":"1"}"#,
                ),
                (",S,crypto,a,B,C,linear,1,", "instrument: venue is missing"),
                ("v,S,,a,B,C,linear,1,", "field: asset_class: is empty"),
                ("v,S,crypto,,B,C,linear,1,", "field: sector: is empty"),
                (
                    "v,S,crypto,a b,B,C,linear,1,",
                    "field: sector: holds a character other than visible ASCII without quotes, backslashes and |",
                ),
                ("v,S,crypto,a,B,C,quanto,1,", "field: contract: neither linear nor inverse"),
                ("v,S,crypto,a,B,C,linear,0,", "number: multiplier: not positive"),
                ("v,S,crypto,a,B,C,linear,NaN,", "number: multiplier: not a decimal number"),
                ("v,S,crypto,a,B,C,linear,99999999999,", "number: multiplier: out of range"),
                ("v,S,crypto,a,B,C,linear,1", "malformed: row of 8 columns, expected 9"),
                ("v,S,crypto,a,B,C,linear,1,\"x", "malformed: row ends inside a quoted field, or is more than one row"),
                ("", "malformed: message is empty"),
            ],
        );
        check(
            "symbol,asset_class,base_currency,quote_currency,event_time,venue",
            &[("S,crypto,B,C,2024-08-08T00:00:00Z,v", "field: sector: is empty")],
        );
        check(
            "symbol,asset_class,base_currency,quote_currency,event_time,venue,sector",
            &[
                (
                    "S,crypto,B,C,2024-08-08T00:00:00Z,v,x",
                    r#"{"type":"instrument","venue":"v","symbol":"S","event_time":1723075200000000000,"asset_class":"crypto","sector":"x","base_currency":"B","quote_currency":"C","contract":"linear","multiplier":"1"}"#,
                ),
                ("S,crypto,B,C,noon,v,x", "time: event_time: not a time: neither a number nor RFC 3339 with an offset"),
            ],
        );
        check(
            "symbol,asset_class,base_currency,quote_currency,sector,sector,venue",
            &[("S,crypto,B,C,a,b,v", "field: sector: written twice")],
        );
    }
}
