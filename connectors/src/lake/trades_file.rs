//! Accepted trades and amendments, and late ones, as Parquet rows in the order in which they arrived: by tick, source and
//! position. Replaying them gives the same bars.
//!
//! | column | type | meaning |
//! | --- | --- | --- |
//! | `venue`, `symbol` | string | the instrument |
//! | `op` | string | `insert`, `cancel` or `correct` |
//! | `trade_id` | string | as the venue writes it |
//! | `event_time` | timestamp (us, UTC) | trade time, cut to microseconds; the corrected one in a correction, else null |
//! | `event_time_ns` | int64 | the same, exact |
//! | `price` | decimal(18,8) | null where a correction leaves it as it was, and in cancels |
//! | `quantity` | decimal(20,8) | likewise; coins of little worth trade by tens of billions |
//! | `aggressor_side` | string | `buy`, `sell`, null for unknown; `unknown` in a correction that says so |
//! | `trade_count` | int64 | fills it stands for; null in amendments |
//! | `trade_kind` | string | `market` and the like; null in amendments |
//! | `sequence` | int64 | orders corrections; null in trades |
//! | `original_event_time_ns` | int64 | time of the trade that is amended, where the record tells it |
//! | `tick` | int64 | when it was taken in, milliseconds since the epoch |
//! | `source` | string | the source partition |
//! | `position` | int64 | offset, line or row there |
//! | `receive_time_ns` | int64 | where known |
//! | `watermark_ns` | int64 | only in `late`: the watermark after that tick |

use super::columns::{
    Texts, Values, int64, name_type, names, optional, optional_decimal, optional_int64, optional_names,
    optional_quantity, optional_timestamp, required, timestamp_type, venues_and_symbols,
};
use super::commit::tick_ns;
use super::error::LakeError;
use super::parquet_file::{BATCH_ROWS, FileKind};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use foldhash::HashMap;
use std::sync::{Arc, LazyLock};
use tidewheel_schemas::{
    AggressorSide, Amendment, Change, Instrument, LateRecord, PRICE_LIMIT_E8, TickOutput, Trade, TradeColumns, TradeId,
    TradeKind,
};

static TRADES: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(fields())));
static LATE: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields = fields();
    fields.push(required("watermark_ns", DataType::Int64));
    Arc::new(Schema::new(fields))
});

fn fields() -> Vec<arrow::datatypes::Field> {
    let decimal = |name| optional(name, DataType::Decimal64(18, 8));
    vec![
        required("venue", name_type()),
        required("symbol", name_type()),
        required("op", name_type()),
        required("trade_id", DataType::Utf8),
        optional("event_time", timestamp_type()),
        optional("event_time_ns", DataType::Int64),
        decimal("price"),
        optional("quantity", DataType::Decimal128(20, 8)),
        optional("aggressor_side", name_type()),
        optional("trade_count", DataType::Int64),
        optional("trade_kind", name_type()),
        optional("sequence", DataType::Int64),
        optional("original_event_time_ns", DataType::Int64),
        required("tick", DataType::Int64),
        required("source", name_type()),
        required("position", DataType::Int64),
        optional("receive_time_ns", DataType::Int64),
    ]
}

const NAMES: &[&str] = &["venue", "symbol", "op", "aggressor_side", "trade_kind", "source"];
const NUMBERS: &[&str] = &[
    "event_time",
    "event_time_ns",
    "price",
    "trade_count",
    "sequence",
    "original_event_time_ns",
    "tick",
    "position",
    "receive_time_ns",
];

/// How files of trades are written.
pub(super) fn kind() -> FileKind {
    FileKind { schema: TRADES.clone(), dictionary: NAMES, delta: NUMBERS, without_statistics: &[], sorted_by: &[] }
}

/// How files of late records are written.
pub(super) fn late_kind() -> FileKind {
    FileKind { schema: LATE.clone(), dictionary: NAMES, delta: NUMBERS, without_statistics: &[], sorted_by: &[] }
}

/// A row of the archive or of the late records.
#[derive(Clone, Copy)]
pub(super) struct TradeRow<'a> {
    /// The tick that it came in.
    pub tick: &'a TickOutput,
    pub record: Record<'a>,
}

impl TradeRow<'_> {
    /// The time by which the row is filed: the trade's, or the tick's where an amendment does not know the trade's.
    pub(super) fn time_ns(&self) -> i64 {
        match self.record {
            Record::Row(columns, row) => columns.event_time_ns[row as usize],
            Record::Late(_) => tick_ns(self.tick.tick),
            Record::Amendment(amendment) => amendment.original_time_ns.unwrap_or(tick_ns(self.tick.tick)),
        }
    }
}

/// Where the values of a row are.
#[derive(Clone, Copy)]
pub(super) enum Record<'a> {
    /// A row of a chunk.
    Row(&'a TradeColumns, u32),
    /// A late trade or amendment.
    Late(&'a LateRecord),
    /// An amendment.
    Amendment(&'a Amendment),
}

/// Rows of one file as record batches.
pub(super) fn batches<'a>(
    rows: &'a [TradeRow<'a>],
    sources: &'a [String],
    is_late: bool,
) -> impl Iterator<Item = Result<RecordBatch, LakeError>> + 'a {
    rows.chunks(BATCH_ROWS).map(move |rows| {
        let mut columns = Columns::new(rows.len(), sources);
        rows.iter().try_for_each(|row| columns.push(row))?;
        Ok(columns.finish(is_late))
    })
}

/// The name of a source partition, also of one that the configuration does not name.
pub(super) fn source_name(sources: &[String], partition: u32) -> String {
    sources.get(partition as usize).cloned().unwrap_or_else(|| format!("partition {partition}"))
}

const OPS: [&str; 3] = ["insert", "cancel", "correct"];
const SIDES: [&str; 3] = ["buy", "sell", "unknown"];

struct Columns<'a> {
    sources: &'a [String],
    instruments: Interner<'a>,
    partitions: HashMap<u32, i32>,
    source_names: Vec<String>,
    instrument: Vec<i32>,
    op: Vec<i32>,
    id: Texts,
    event_time_us: Values<i64>,
    event_time_ns: Values<i64>,
    price_e8: Values<i64>,
    quantity_e8: Values<i64>,
    side: Values<i32>,
    count: Values<i64>,
    kind: Values<i32>,
    sequence: Values<i64>,
    original_time_ns: Values<i64>,
    tick: Vec<i64>,
    source: Vec<i32>,
    position: Vec<i64>,
    receive_time_ns: Values<i64>,
    watermark_ns: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn new(rows: usize, sources: &'a [String]) -> Self {
        Self {
            sources,
            instruments: Interner::default(),
            partitions: HashMap::default(),
            source_names: Vec::new(),
            instrument: Vec::with_capacity(rows),
            op: Vec::with_capacity(rows),
            id: Texts::with_capacity(rows),
            event_time_us: Values::with_capacity(rows),
            event_time_ns: Values::with_capacity(rows),
            price_e8: Values::with_capacity(rows),
            quantity_e8: Values::with_capacity(rows),
            side: Values::with_capacity(rows),
            count: Values::with_capacity(rows),
            kind: Values::with_capacity(rows),
            sequence: Values::with_capacity(rows),
            original_time_ns: Values::with_capacity(rows),
            tick: Vec::with_capacity(rows),
            source: Vec::with_capacity(rows),
            position: Vec::with_capacity(rows),
            receive_time_ns: Values::with_capacity(rows),
            watermark_ns: Vec::with_capacity(rows),
        }
    }

    fn push(&mut self, row: &TradeRow<'a>) -> Result<(), LakeError> {
        self.tick.push(row.tick.tick.cast_signed());
        self.watermark_ns.push(row.tick.watermark_ns);
        match row.record {
            Record::Row(columns, at) => {
                let at = at as usize;
                let origin = (columns.partition, columns.position[at], columns.receive_time_of(at));
                self.push_trade(columns.instrument_of(at), &columns.trade(at), origin)
            }
            Record::Late(LateRecord::Trade { instrument, trade, partition, position, receive_time_ns }) => {
                self.push_trade(instrument, trade, (*partition, *position, *receive_time_ns))
            }
            Record::Late(LateRecord::Amendment(amendment)) | Record::Amendment(amendment) => {
                self.push_amendment(amendment)
            }
        }
    }

    fn push_trade(&mut self, instrument: &'a Instrument, trade: &Trade, origin: Origin) -> Result<(), LakeError> {
        self.push_common(instrument, 0, trade.id, origin);
        self.push_time(Some(trade.event_time_ns));
        self.push_values(instrument, trade.id, Some(trade.price_e8), Some(trade.quantity_e8))?;
        self.side.push(match trade.side {
            AggressorSide::Unknown => None,
            AggressorSide::Buy => Some(0),
            AggressorSide::Sell => Some(1),
        });
        self.count.push(Some(trade.count.into()));
        self.kind.push(Some(trade.kind as i32));
        self.sequence.push(None);
        self.original_time_ns.push(None);
        Ok(())
    }

    fn push_amendment(&mut self, amendment: &'a Amendment) -> Result<(), LakeError> {
        let (op, correction) = match amendment.change {
            Change::Cancel => (1, Default::default()),
            Change::Correct(correction) => (2, correction),
        };
        let origin = (amendment.partition, amendment.position, amendment.receive_time_ns);
        self.push_common(&amendment.instrument, op, amendment.id, origin);
        self.push_time(correction.event_time_ns);
        self.push_values(&amendment.instrument, amendment.id, correction.price_e8, correction.quantity_e8)?;
        self.side.push(correction.side.map(|side| match side {
            AggressorSide::Buy => 0,
            AggressorSide::Sell => 1,
            AggressorSide::Unknown => 2,
        }));
        self.count.push(None);
        self.kind.push(None);
        self.sequence.push(Some(amendment.sequence));
        self.original_time_ns.push(amendment.original_time_ns);
        Ok(())
    }

    fn push_common(&mut self, instrument: &'a Instrument, op: i32, id: TradeId, origin: Origin) {
        let (partition, position, receive_time_ns) = origin;
        self.instrument.push(self.instruments.index_of(instrument));
        self.op.push(op);
        self.id.push_id(id);
        let source = *self.partitions.entry(partition).or_insert_with(|| {
            self.source_names.push(source_name(self.sources, partition));
            self.source_names.len() as i32 - 1
        });
        self.source.push(source);
        self.position.push(position.cast_signed());
        self.receive_time_ns.push(receive_time_ns);
    }

    fn push_time(&mut self, event_time_ns: Option<i64>) {
        self.event_time_ns.push(event_time_ns);
        self.event_time_us.push(event_time_ns.map(|time_ns| time_ns.div_euclid(1_000)));
    }

    fn push_values(
        &mut self,
        instrument: &Instrument,
        id: TradeId,
        price_e8: Option<i64>,
        quantity_e8: Option<i64>,
    ) -> Result<(), LakeError> {
        if let Some(value) = price_e8.filter(|value| value.unsigned_abs() >= PRICE_LIMIT_E8.unsigned_abs()) {
            let what = format!("trade {instrument:?}|{id}");
            return Err(LakeError::OutOfRange { column: "price_e8", value: value.to_string(), what });
        }
        self.price_e8.push(price_e8);
        self.quantity_e8.push(quantity_e8);
        Ok(())
    }

    fn finish(self, is_late: bool) -> RecordBatch {
        let [venues, symbols] = venues_and_symbols(self.instruments.instruments.iter().copied());
        let constants = |texts: &[&str]| -> ArrayRef { Arc::new(StringArray::from_iter_values(texts)) };
        let source_names: ArrayRef = Arc::new(StringArray::from_iter_values(&self.source_names));
        let mut columns = vec![
            names(self.instrument.clone(), &venues),
            names(self.instrument, &symbols),
            names(self.op, &constants(&OPS)),
            self.id.finish(None),
            optional_timestamp(self.event_time_us),
            optional_int64(self.event_time_ns),
            optional_decimal(self.price_e8),
            optional_quantity(self.quantity_e8),
            optional_names(self.side, &constants(&SIDES)),
            optional_int64(self.count),
            optional_names(self.kind, &constants(&TradeKind::ALL.map(TradeKind::name))),
            optional_int64(self.sequence),
            optional_int64(self.original_time_ns),
            int64(self.tick, None),
            names(self.source, &source_names),
            int64(self.position, None),
            optional_int64(self.receive_time_ns),
        ];
        if is_late {
            columns.push(int64(self.watermark_ns, None));
        }
        let schema = if is_late { &LATE } else { &TRADES };
        RecordBatch::try_new(SchemaRef::clone(schema), columns)
            .expect("the columns are those of the schema, of one length")
    }
}

/// Source partition, position in it, receive time.
type Origin = (u32, u64, Option<i64>);

/// Instruments by number of first appearance. Rows of one instrument often follow one another, and share their text.
#[derive(Default)]
pub(super) struct Interner<'a> {
    pub instruments: Vec<&'a Instrument>,
    by_address: HashMap<(*const u8, *const u8), i32>,
    by_name: HashMap<&'a Instrument, i32>,
}

impl<'a> Interner<'a> {
    /// The number of an instrument.
    pub(super) fn index_of(&mut self, instrument: &'a Instrument) -> i32 {
        let address = (instrument.venue.as_ptr(), instrument.symbol.as_ptr());
        if let Some(&index) = self.by_address.get(&address) {
            return index;
        }
        let next = self.instruments.len() as i32;
        let index = *self.by_name.entry(instrument).or_insert(next);
        if index == next {
            self.instruments.push(instrument);
        }
        self.by_address.insert(address, index);
        index
    }
}
