//! Columns of names: dictionaries whose values are understood once a batch, so that a row costs a lookup by key.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::Int32Type;
use std::collections::HashMap;
use tidewheel_schemas::{AggressorSide, Instrument, InstrumentError, TradeKind};

/// A dictionary column of a batch.
pub struct Names {
    keys: ScalarBuffer<i32>,
    values: StringArray,
    nulls: Option<NullBuffer>,
}

impl Names {
    /// Nothing for arrays that are no dictionary of strings.
    pub fn of(array: &ArrayRef) -> Option<Self> {
        let dictionary = array.as_dictionary_opt::<Int32Type>()?;
        let values = dictionary.values().as_string_opt::<i32>()?.clone();
        Some(Self { keys: dictionary.keys().values().clone(), values, nulls: array.nulls().cloned() })
    }

    /// The text of a row; nothing for null.
    pub fn get(&self, row: usize) -> Option<&str> {
        let key = self.key(row)?;
        self.values.is_valid(key).then(|| self.values.value(key))
    }

    fn key(&self, row: usize) -> Option<usize> {
        match &self.nulls {
            Some(nulls) if nulls.is_null(row) => None,
            // A dictionary array is only made with keys inside its values.
            _ => Some(self.keys[row] as usize),
        }
    }

    /// Appends what each row means, `of_null` for null; rows whose text means nothing are `of_null` and named in `suspects`.
    pub fn fill<T: Copy>(
        &self,
        meaning: impl Fn(&str) -> Option<T>,
        of_null: T,
        out: &mut Vec<T>,
        suspects: &mut Vec<u32>,
    ) {
        let table: Vec<Option<T>> = self.values.iter().map(|text| text.map_or(Some(of_null), &meaning)).collect();
        if self.nulls.is_none()
            && let Some(table) = table.iter().copied().collect::<Option<Vec<T>>>()
        {
            out.extend(self.keys.iter().map(|&key| table[key as usize]));
            return;
        }
        for row in 0..self.keys.len() {
            let meant = self.key(row).map_or(Some(of_null), |key| table[key]);
            if meant.is_none() {
                suspects.push(row as u32);
            }
            out.push(meant.unwrap_or(of_null));
        }
    }
}

/// A side as files write it; an empty text says that the venue does not tell.
pub fn side_of(text: &str) -> Option<AggressorSide> {
    match text {
        "buy" | "BUY" | "Buy" | "b" | "B" => Some(AggressorSide::Buy),
        "sell" | "SELL" | "Sell" | "s" | "S" => Some(AggressorSide::Sell),
        "" | "unknown" => Some(AggressorSide::Unknown),
        _ => None,
    }
}

/// A trade kind as the lake writes it.
pub fn kind_of(text: &str) -> Option<TradeKind> {
    TradeKind::ALL.into_iter().find(|kind| kind.name() == text)
}

/// Where the side of a batch comes from.
pub enum Sides {
    /// Names of sides.
    Names(Names),
    /// Whether the buyer was the maker, so that the taker sold.
    BuyerIsMaker(BooleanArray),
}

impl Sides {
    /// Nothing for arrays that are neither.
    pub fn of(array: &ArrayRef) -> Option<Self> {
        array
            .as_boolean_opt()
            .map(|array| Self::BuyerIsMaker(array.clone()))
            .or_else(|| Names::of(array).map(Self::Names))
    }

    /// The side of a row, or the text that is none.
    pub fn get(&self, row: usize) -> Result<AggressorSide, &str> {
        match self {
            Self::Names(names) => names.get(row).map_or(Ok(AggressorSide::Unknown), |text| side_of(text).ok_or(text)),
            Self::BuyerIsMaker(flags) if flags.is_null(row) => Ok(AggressorSide::Unknown),
            Self::BuyerIsMaker(flags) if flags.value(row) => Ok(AggressorSide::Sell),
            Self::BuyerIsMaker(_) => Ok(AggressorSide::Buy),
        }
    }

    /// Appends all rows.
    pub fn fill(&self, rows: usize, out: &mut Vec<AggressorSide>, suspects: &mut Vec<u32>) {
        match self {
            Self::Names(names) => names.fill(side_of, AggressorSide::Unknown, out, suspects),
            Self::BuyerIsMaker(_) => out.extend((0..rows).map(|row| self.get(row).unwrap_or_default())),
        }
    }
}

type VenueAndSymbol = (Box<str>, Box<str>);

/// The instruments of a chunk as they are met, each once.
#[derive(Default)]
pub struct Instruments {
    by_name: HashMap<VenueAndSymbol, Result<u32, InstrumentError>, foldhash::fast::RandomState>,
}

impl Instruments {
    /// The index of an instrument in `list`, where it is appended when new.
    pub fn index(&mut self, list: &mut Vec<Instrument>, venue: &str, symbol: &str) -> Result<u32, InstrumentError> {
        let made = self.by_name.entry((venue.into(), symbol.into())).or_insert_with(|| {
            let instrument = Instrument::new(venue, symbol)?;
            list.push(instrument);
            Ok(list.len() as u32 - 1)
        });
        made.clone()
    }
}

/// The venue or the symbol of a batch: a column, or one name for all rows.
pub enum NameSource<'a> {
    Column(&'a Names),
    Constant(&'a str),
}

impl<'a> NameSource<'a> {
    /// The name of a row; nothing for null.
    pub fn get(&self, row: usize) -> Option<&'a str> {
        match self {
            Self::Column(names) => names.get(row),
            Self::Constant(name) => Some(name),
        }
    }

    fn distinct(&self) -> usize {
        match self {
            Self::Column(names) => names.values.len(),
            Self::Constant(_) => 1,
        }
    }

    fn key(&self, row: usize) -> Option<usize> {
        match self {
            Self::Column(names) => names.key(row),
            Self::Constant(_) => Some(0),
        }
    }
}

/// Most cells of the table from keys to instruments; dictionaries beyond that are looked up row by row.
const TABLE_LIMIT: usize = 1 << 16;
const UNRESOLVED: u32 = u32::MAX;

/// Appends the instrument index of each row; rows without an instrument get a zero and are named in `suspects`.
pub fn fill_instruments(
    rows: usize,
    (venue, symbol): (&NameSource<'_>, &NameSource<'_>),
    (instruments, list): (&mut Instruments, &mut Vec<Instrument>),
    out: &mut Vec<u32>,
    suspects: &mut Vec<u32>,
) {
    let width = symbol.distinct();
    let cells = venue.distinct().saturating_mul(width);
    let mut table = vec![UNRESOLVED; if cells <= TABLE_LIMIT { cells } else { 0 }];
    for row in 0..rows {
        let cell = venue.key(row).zip(symbol.key(row)).map(|(venue, symbol)| venue * width + symbol);
        let known = cell.and_then(|cell| table.get(cell).copied()).filter(|&index| index != UNRESOLVED);
        let index = known.or_else(|| {
            let index = instruments.index(list, venue.get(row)?, symbol.get(row)?).ok()?;
            if let Some(slot) = cell.and_then(|cell| table.get_mut(cell)) {
                *slot = index;
            }
            Some(index)
        });
        if index.is_none() {
            suspects.push(row as u32);
        }
        out.push(index.unwrap_or(0));
    }
}
