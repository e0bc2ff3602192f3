//! Which Parquet columns hold what, and in which Arrow types to read them.

use crate::file::FileOptions;
use crate::source::SourceError;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::basic::Type as PhysicalType;
use parquet::schema::types::SchemaDescriptor;
use std::sync::Arc;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Venue,
    Symbol,
    TradeId,
    EventTime,
    Price,
    Quantity,
    Side,
    Count,
    Kind,
    Op,
    Sequence,
    ReceiveTime,
    OriginalTime,
}

/// A role, its canonical name, and the other names it goes by, best first. Names compare without regard to case.
const ROLES: [(Role, &str, &[&str]); 13] = [
    (Role::Venue, "venue", &["exchange"]),
    (Role::Symbol, "symbol", &["instrument", "pair"]),
    (Role::TradeId, "trade_id", &["id", "tid", "agg_trade_id"]),
    // Exact nanoseconds come first where a file has both.
    (Role::EventTime, "event_time", &["event_time_ns", "trade_time", "time", "timestamp", "ts", "transact_time"]),
    (Role::Price, "price", &["px"]),
    (Role::Quantity, "quantity", &["qty", "size", "amount"]),
    (Role::Side, "aggressor_side", &["side", "is_buyer_maker"]),
    (Role::Count, "trade_count", &["count"]),
    (Role::Kind, "trade_kind", &["kind"]),
    (Role::Op, "op", &[]),
    (Role::Sequence, "sequence", &[]),
    (Role::ReceiveTime, "receive_time", &["receive_time_ns", "receipt_timestamp"]),
    (Role::OriginalTime, "original_event_time", &["original_time_ns"]),
];

/// The column that holds nanoseconds of event time as integers; taken before all others.
const EXACT_TIME: &str = "event_time_ns";

/// The columns of a file that are read, and how.
pub struct Binding {
    /// Role and index in the file's schema, ascending by index.
    pub columns: Vec<(Role, usize)>,
    /// The file's schema with the types to read.
    pub schema: SchemaRef,
}

/// Finds the columns by name, and their types.
///
/// # Errors
/// If a column that a trade needs is not there, a mapped name is not, or a type is none that the role can have.
pub fn bind(
    path: &str,
    schema: &Schema,
    parquet: &SchemaDescriptor,
    options: &FileOptions,
) -> Result<Binding, SourceError> {
    check_map(options)?;
    let mut columns = Vec::new();
    for (role, canonical, aliases) in ROLES {
        let found = match options.columns.get(canonical) {
            Some(name) => Some(position(schema, name).ok_or_else(|| missing(path, canonical, name, schema))?),
            None if role == Role::EventTime => {
                position(schema, EXACT_TIME).or_else(|| by_name(schema, canonical, aliases))
            }
            None => by_name(schema, canonical, aliases),
        };
        let has_default = match role {
            Role::Venue => options.venue.is_some(),
            Role::Symbol => options.symbol.is_some(),
            Role::EventTime | Role::Price | Role::Quantity => false,
            _ => true,
        };
        match found {
            Some(index) => columns.push((role, index)),
            None if has_default => {}
            None => return Err(missing(path, canonical, canonical, schema)),
        }
    }
    let mut fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    for &(role, index) in &columns {
        let field = &fields[index];
        let read_as = type_to_read(role, field.data_type(), physical_type(parquet, index)).ok_or_else(|| {
            let detail = format!(
                "column {} is of type {}, which cannot be read as {}: cast it when writing the file",
                field.name(),
                field.data_type(),
                canonical_name(role)
            );
            SourceError::Parquet { path: path.to_owned(), detail }
        })?;
        fields[index] = field.clone().with_data_type(read_as);
    }
    columns.sort_by_key(|&(_, index)| index);
    if let Some(twice) = columns.windows(2).find(|pair| pair[0].1 == pair[1].1) {
        let name = schema.field(twice[0].1).name();
        return Err(SourceError::Input(format!("column {name} of {path} is mapped twice: name another column")));
    }
    let schema = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    Ok(Binding { columns, schema })
}

/// The name of a role in canonical JSON.
pub fn canonical_name(role: Role) -> &'static str {
    ROLES.iter().find(|(other, ..)| *other == role).map_or("column", |(_, name, _)| name)
}

fn check_map(options: &FileOptions) -> Result<(), SourceError> {
    let known = |name: &str| ROLES.iter().any(|(_, canonical, _)| *canonical == name);
    match options.columns.keys().find(|name| !known(name)) {
        Some(name) => {
            let names: Vec<&str> = ROLES.iter().map(|(_, canonical, _)| *canonical).collect();
            Err(SourceError::Input(format!("the column map names {name}, expected one of {}", names.join(", "))))
        }
        None => Ok(()),
    }
}

fn missing(path: &str, canonical: &str, name: &str, schema: &Schema) -> SourceError {
    let columns: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let advice = match canonical {
        "venue" | "symbol" => format!("give the {canonical} on the command line or name its column"),
        _ => format!("name the column of the {canonical} in the column map"),
    };
    let detail = format!("there is no column {name} among {}: {advice}", columns.join(", "));
    SourceError::Parquet { path: path.to_owned(), detail }
}

fn by_name(schema: &Schema, canonical: &str, aliases: &[&str]) -> Option<usize> {
    std::iter::once(&canonical).chain(aliases).find_map(|name| position(schema, name))
}

fn position(schema: &Schema, name: &str) -> Option<usize> {
    let fields = schema.fields();
    let exact = fields.iter().position(|field| field.name() == name);
    exact.or_else(|| fields.iter().position(|field| field.name().eq_ignore_ascii_case(name)))
}

fn physical_type(parquet: &SchemaDescriptor, root: usize) -> Option<PhysicalType> {
    let field = &parquet.root_schema().get_fields()[root];
    field.is_primitive().then(|| field.get_physical_type())
}

/// The type to read a column as: few values repeat in names, sides and kinds, so that these come as dictionaries and are
/// looked at once a batch; decimals of up to 18 digits come as 64 bits.
fn type_to_read(role: Role, given: &DataType, physical: Option<PhysicalType>) -> Option<DataType> {
    let is_text = matches!(given, DataType::Utf8 | DataType::Binary);
    let dictionary = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    match role {
        Role::Venue | Role::Symbol | Role::Kind | Role::Op => is_text.then(dictionary),
        Role::Side if *given == DataType::Boolean => Some(DataType::Boolean),
        Role::Side => is_text.then(dictionary),
        Role::TradeId if is_text => Some(DataType::Utf8),
        Role::TradeId | Role::Count | Role::Sequence => given.is_integer().then(|| given.clone()),
        Role::EventTime | Role::ReceiveTime | Role::OriginalTime => {
            let is_time = matches!(given, DataType::Timestamp(..) | DataType::Int64 | DataType::UInt64);
            // Files of the oldest kind hold 96-bit times, which as nanoseconds would overflow outside 1677 to 2262.
            let is_96_bit = physical == Some(PhysicalType::INT96);
            let read_as = if is_96_bit { DataType::Timestamp(TimeUnit::Microsecond, None) } else { given.clone() };
            is_time.then_some(read_as)
        }
        Role::Price | Role::Quantity => match given {
            DataType::Decimal128(precision @ 1..=18, scale) if physical != Some(PhysicalType::BYTE_ARRAY) => {
                Some(DataType::Decimal64(*precision, *scale))
            }
            DataType::Decimal128(..) | DataType::Decimal256(..) => Some(given.clone()),
            DataType::Float32 | DataType::Float64 => Some(given.clone()),
            _ if is_text => Some(DataType::Utf8),
            _ => given.is_integer().then(|| given.clone()),
        },
    }
}
