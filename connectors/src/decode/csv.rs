//! Text in columns, by the map of [`CsvColumns`](super::CsvColumns): one row a message, the header beside the block.
//!
//! A row without a quote is split by hand; a row with one goes through the `csv` crate. A column map that does not fit the
//! file is told by every reject of that file: the rows cannot be read until somebody mends the map.

use super::fault::Fault;
use super::field;
use super::output::{DecodedTrade, Output};
use super::{DecodeConfig, time};
use crate::source::MessageBlock;
use tidewheel_schemas::{AggressorSide, DecimalError, TradeKind, parse_e8};

/// Decodes all rows of a block.
pub(super) fn decode_block(config: &DecodeConfig, block: &MessageBlock, out: &mut Output<'_>) {
    let layout = Layout::of(config, block.header.as_deref());
    let mut ends = Vec::new();
    for message in &block.messages {
        out.begin_message(message);
        let row = block.payload(message);
        let result = match &layout {
            Ok(layout) => decode_row(row, layout, &mut ends, out),
            Err(fault) => Err(fault.clone()),
        };
        if let Err(fault) = result {
            out.reject(&fault);
        }
        out.end_message();
    }
}

/// Where in a row the fields stand, counted from 0.
#[derive(Debug, PartialEq)]
struct Layout {
    time: usize,
    price: usize,
    quantity: usize,
    id: Option<usize>,
    side: Option<usize>,
    symbol: Option<usize>,
    venue: Option<usize>,
    /// Columns a row must have: as many as the header, or as the map needs.
    width: usize,
    is_exact_width: bool,
    delimiter: u8,
}

impl Layout {
    fn of(config: &DecodeConfig, header: Option<&str>) -> Result<Self, Fault> {
        let columns = &config.csv;
        let delimiter = u8::try_from(columns.delimiter).ok().filter(u8::is_ascii);
        let delimiter = delimiter.ok_or_else(|| Fault::Csv("csv delimiter: not an ASCII character".into()))?;
        let names = match header {
            Some(line) if columns.header => Some(split_header(line, delimiter)?),
            _ => None,
        };
        let at = |what: &str, column: &str| find_column(what, column, names.as_deref());
        let at_optional =
            |what: &str, column: &Option<String>| column.as_deref().map(|column| at(what, column)).transpose();
        let mut layout = Self {
            time: at("time", &columns.time)?,
            price: at("price", &columns.price)?,
            quantity: at("quantity", &columns.quantity)?,
            id: at_optional("id", &columns.id)?,
            side: at_optional("side", &columns.side)?,
            symbol: at_optional("symbol", &columns.symbol)?,
            venue: at_optional("venue", &columns.venue)?,
            width: 0,
            is_exact_width: names.is_some(),
            delimiter,
        };
        let needed =
            [Some(layout.time), Some(layout.price), Some(layout.quantity), layout.id, layout.side, layout.symbol];
        let last = needed.into_iter().chain([layout.venue]).flatten().max().unwrap_or(0);
        layout.width = names.map_or(last + 1, |names| names.len());
        Ok(layout)
    }
}

pub(super) fn split_header(line: &str, delimiter: u8) -> Result<Vec<String>, Fault> {
    let line = line.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    let mut reader = reader(line.as_bytes(), delimiter);
    let mut record = csv::StringRecord::new();
    reader.read_record(&mut record).map_err(|error| Fault::Csv(format!("csv header: {error}")))?;
    Ok(record.iter().map(|name| name.trim().to_owned()).collect())
}

/// Finds a column by its name in the header, else by its number from 1.
fn find_column(what: &str, column: &str, names: Option<&[String]>) -> Result<usize, Fault> {
    if let Some(at) = names.and_then(|names| names.iter().position(|name| name == column)) {
        return Ok(at);
    }
    let by_number = column.parse::<usize>().ok().filter(|number| *number > 0);
    match (by_number, names) {
        (Some(number), None) => Ok(number - 1),
        (Some(number), Some(names)) if number <= names.len() => Ok(number - 1),
        (_, Some(names)) => {
            Err(Fault::Csv(format!("column \"{column}\" of csv.{what} is not in the header: {}", names.join(", "))))
        }
        (_, None) => Err(Fault::Csv(format!("column \"{column}\" of csv.{what} needs a header, or a number from 1"))),
    }
}

fn reader(text: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text)
}

fn decode_row(row: &[u8], layout: &Layout, ends: &mut Vec<usize>, out: &mut Output<'_>) -> Result<(), Fault> {
    let row = match row {
        [rest @ .., b'\r'] => rest,
        rest => rest,
    };
    if row.trim_ascii().is_empty() {
        return Err(Fault::Empty);
    }
    if !row.contains(&b'"') {
        ends.clear();
        ends.extend(row.iter().enumerate().filter(|(_, byte)| **byte == layout.delimiter).map(|(at, _)| at));
        ends.push(row.len());
        let field = |at: usize| {
            let start = if at == 0 { 0 } else { ends[at - 1] + 1 };
            &row[start..ends[at]]
        };
        return decode_fields(ends.len(), field, layout, out);
    }
    let record = quoted(row, layout.delimiter)?;
    decode_fields(record.len(), |at| &record[at], layout, out)
}

/// A row that has quotes, by the `csv` crate.
fn quoted(row: &[u8], delimiter: u8) -> Result<csv::ByteRecord, Fault> {
    let quotes = row.iter().filter(|byte| **byte == b'"').count();
    let mut record = csv::ByteRecord::new();
    let mut reader = reader(row, delimiter);
    // The crate takes the end of the text for a closing quote.
    match reader.read_byte_record(&mut record) {
        Ok(true) if quotes % 2 == 0 && reader.position().byte() == row.len() as u64 => Ok(record),
        _ => Err(Fault::CsvQuotes("row ends inside a quoted field, or is more than one row")),
    }
}

/// A row cut into cells, for tables that are too short for speed to matter.
pub(super) struct Row(csv::ByteRecord);

impl Row {
    /// Cuts a row.
    ///
    /// # Errors
    /// If it is empty, or its quotes do not match.
    pub(super) fn split(row: &[u8], delimiter: u8) -> Result<Self, Fault> {
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        if row.trim_ascii().is_empty() { Err(Fault::Empty) } else { quoted(row, delimiter).map(Self) }
    }

    /// How many cells there are.
    pub(super) fn width(&self) -> usize {
        self.0.len()
    }

    /// A cell without blanks around it.
    ///
    /// # Panics
    /// If there is no such cell.
    pub(super) fn cell(&self, at: usize) -> &[u8] {
        self.0[at].trim_ascii()
    }
}

fn decode_fields<'r>(
    width: usize,
    field: impl Fn(usize) -> &'r [u8],
    layout: &Layout,
    out: &mut Output<'_>,
) -> Result<(), Fault> {
    if width < layout.width || layout.is_exact_width && width != layout.width {
        return Err(Fault::CsvWidth { found: width, expected: layout.width });
    }
    let config = out.config;
    let field = |at: usize| field(at).trim_ascii();
    let event_time_ns =
        time::parse(field(layout.time), config.csv.time_unit).map_err(|error| Fault::Time("event_time", error))?;
    let price_e8 = field::price_text_e8(field(layout.price))?;
    let (quantity_e8, signed_side) = quantity(field(layout.quantity), config.csv.signed)?;
    let id = match layout.id.map(field) {
        None | Some([]) => None,
        Some(text) => Some(field::trade_id_text(text)?),
    };
    let side = match layout.side {
        Some(at) => side(field(at))?,
        None => signed_side,
    };
    let kind = TradeKind::Market;
    let trade = DecodedTrade { event_time_ns, id, price_e8, quantity_e8, count: 1, side, kind, receive_time_ns: None };
    let venue = named_or(layout.venue.map(field), config.venue.as_deref());
    let symbol = named_or(layout.symbol.map(field), config.symbol.as_deref());
    out.trade(venue, symbol, trade)
}

/// A name from the row, or else from the configuration.
fn named_or<'a>(column: Option<&'a [u8]>, configured: Option<&'a str>) -> &'a [u8] {
    column.filter(|name| !name.is_empty()).unwrap_or(configured.unwrap_or_default().as_bytes())
}

/// The size of the trade, and its side where the sign tells it.
fn quantity(text: &[u8], signed: bool) -> Result<(i64, AggressorSide), Fault> {
    if !signed {
        return Ok((field::quantity_text_e8(text)?, AggressorSide::Unknown));
    }
    match parse_e8(text) {
        Ok(quantity) if quantity > 0 => Ok((quantity, AggressorSide::Buy)),
        Ok(quantity) if quantity < 0 => Ok((-quantity, AggressorSide::Sell)),
        Ok(_) => Err(Fault::Decimal("quantity", DecimalError::NotPositive)),
        Err(error) => Err(Fault::Decimal("quantity", error)),
    }
}

/// The taker's side in words, or a boolean, which in every known file says whether the buyer was the maker.
fn side(text: &[u8]) -> Result<AggressorSide, Fault> {
    match text {
        b"" => Ok(AggressorSide::Unknown),
        b"true" | b"True" | b"TRUE" => Ok(AggressorSide::Sell),
        b"false" | b"False" | b"FALSE" => Ok(AggressorSide::Buy),
        text => field::side(text),
    }
}

#[cfg(test)]
mod tests {
    use crate::decode::tests::{decode, show};
    use crate::decode::{CsvColumns, DecodeConfig, Format, TimeUnit};

    fn config(csv: CsvColumns) -> DecodeConfig {
        let (venue, symbol) = (Some("bitmex".to_owned()), Some("XBTUSD".to_owned()));
        DecodeConfig { format: Format::Csv, venue, symbol, csv, ..DecodeConfig::default() }
    }

    fn check(csv: CsvColumns, header: Option<&str>, table: &[(&str, &str)]) {
        let config = config(csv);
        for (row, expected) in table {
            assert_eq!(show(&decode(&config, header, row.as_bytes())), *expected, "{row}");
        }
    }

    #[test]
    fn columns_by_name() {
        let csv = CsvColumns { id: Some("id".into()), side: Some("side".into()), ..CsvColumns::default() };
        check(
            csv,
            Some("\u{feff}id,\"time\", price ,quantity,side,note\r"),
            &[
                ("9,1514764800000,1.5,2,buy,x", "bitmex|XBTUSD 9 1514764800000000000 1.5 2 buy"),
                ("9,1514764800000,1.5,2,buy,x\r", "bitmex|XBTUSD 9 1514764800000000000 1.5 2 buy"),
                (r#""9","1514764800000",1.5,"2",S,"a ""b"", c""#, "bitmex|XBTUSD 9 1514764800000000000 1.5 2 sell"),
                (" 9 , 2018-01-01T00:00:00Z , 1.5 , 2 , Sell ,", "bitmex|XBTUSD 9 1514764800000000000 1.5 2 sell"),
                (",1514764800000,1.5,2,,", "bitmex|XBTUSD @3:7 1514764800000000000 1.5 2 -"),
                ("9,1514764800000,1.5,2,buy", "malformed: row of 5 columns, expected 6"),
                ("9,1514764800000,1.5,2,buy,x,y", "malformed: row of 7 columns, expected 6"),
                ("9,1514764800000,1.5,2,buy,\"x", "malformed: row ends inside a quoted field, or is more than one row"),
                ("9,1514764800000,,2,buy,x", "number: price: not a decimal number"),
                ("9,1514764800000,1.5,-2,buy,x", "number: quantity: not positive"),
                ("9,15147648000,1.5,2,buy,x", "time: event_time: before 2009 or after 2200 in every unit it may have"),
                (
                    "9,2018-01-01 00:00:00,1.5,2,buy,x",
                    "time: event_time: not a time: neither a number nor RFC 3339 with an offset",
                ),
                ("9,1514764800000,1.5,2,long,x", "field: aggressor_side: neither buy nor sell"),
                ("", "malformed: message is empty"),
            ],
        );
    }

    #[test]
    fn columns_by_number_with_signed_sizes() {
        let csv = CsvColumns {
            time: "1".into(),
            price: "2".into(),
            quantity: "3".into(),
            symbol: Some("4".into()),
            signed: true,
            header: false,
            delimiter: ';',
            time_unit: TimeUnit::Ms,
            ..CsvColumns::default()
        };
        check(
            csv,
            None,
            &[
                ("1514764800000;1.5;-2", "malformed: row of 3 columns, expected 4"),
                ("1514764800000;1.5;-2;", "bitmex|XBTUSD @3:7 1514764800000000000 1.5 2 sell"),
                ("1514764800000;1.5;2;ETHUSD;more", "bitmex|ETHUSD @3:7 1514764800000000000 1.5 2 buy"),
                ("1514764800000;1.5;0;", "number: quantity: not positive"),
                ("1514764800000000;1.5;1;", "time: event_time: before 2009 or after 2200 in every unit it may have"),
            ],
        );
    }

    #[test]
    fn buyer_is_maker_means_that_the_taker_sold() {
        let csv = CsvColumns { side: Some("is_buyer_maker".into()), ..CsvColumns::default() };
        check(
            csv,
            Some("time,price,quantity,is_buyer_maker"),
            &[
                ("1514764800000,1,2,true", "bitmex|XBTUSD @3:7 1514764800000000000 1 2 sell"),
                ("1514764800000,1,2,False", "bitmex|XBTUSD @3:7 1514764800000000000 1 2 buy"),
            ],
        );
    }

    #[test]
    fn a_map_that_does_not_fit_is_told() {
        let missing = CsvColumns { price: "px".into(), ..CsvColumns::default() };
        let row = "1514764800000,1,2";
        check(
            missing.clone(),
            Some("time,price,quantity"),
            &[(row, "field: column \"px\" of csv.price is not in the header: time, price, quantity")],
        );
        check(missing, None, &[(row, "field: column \"time\" of csv.time needs a header, or a number from 1")]);
        let delimiter = CsvColumns { delimiter: '…', ..CsvColumns::default() };
        check(delimiter, Some("time"), &[(row, "field: csv delimiter: not an ASCII character")]);
        let parquet = DecodeConfig { format: Format::Parquet, ..DecodeConfig::default() };
        let expected = "malformed: Parquet rows do not come as messages: read the file as a file";
        assert_eq!(show(&decode(&parquet, None, b"PAR1")), expected);
    }
}
