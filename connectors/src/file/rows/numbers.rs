//! Columns of numbers: prices and quantities to eight decimals, times to nanoseconds, counts to integers. Exact, always.

use super::time::{TIME_MAX_NS, TIME_MIN_NS, checked_time, time_by_magnitude};
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Float32Array, Float64Array, Int64Array, PrimitiveArray, StringArray,
    UInt64Array,
};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Decimal64Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt64Type, i256,
};
use tidewheel_schemas::{DecimalError, parse_e8};

/// Prices or quantities of a batch.
pub struct Decimals {
    values: DecimalValues,
    scale: i8,
    nulls: Option<NullBuffer>,
}

enum DecimalValues {
    Bits64(ScalarBuffer<i64>),
    Bits128(ScalarBuffer<i128>),
    Bits256(ScalarBuffer<i256>),
    Unsigned(UInt64Array),
    Double(Float64Array),
    Single(Float32Array),
    Text(StringArray),
}

impl Decimals {
    /// Nothing for types that [`super::columns`] does not let through.
    pub fn of(array: &ArrayRef) -> Option<Self> {
        let nulls = array.nulls().cloned();
        let (values, scale) = match array.data_type() {
            DataType::Decimal64(_, scale) => (DecimalValues::Bits64(values::<Decimal64Type>(array)), *scale),
            DataType::Decimal128(_, scale) => (DecimalValues::Bits128(values::<Decimal128Type>(array)), *scale),
            DataType::Decimal256(_, scale) => (DecimalValues::Bits256(values::<Decimal256Type>(array)), *scale),
            DataType::Float64 => (DecimalValues::Double(array.as_primitive::<Float64Type>().clone()), 0),
            DataType::Float32 => (DecimalValues::Single(array.as_primitive::<Float32Type>().clone()), 0),
            DataType::Utf8 => (DecimalValues::Text(array.as_string::<i32>().clone()), 0),
            DataType::UInt64 => (DecimalValues::Unsigned(array.as_primitive::<UInt64Type>().clone()), 0),
            integer if integer.is_integer() => (
                DecimalValues::Bits64(cast(array, &DataType::Int64).ok()?.as_primitive::<Int64Type>().values().clone()),
                0,
            ),
            _ => return None,
        };
        Some(Self { values, scale, nulls })
    }

    /// The value of a row with eight decimals; nothing for null.
    ///
    /// A double stands for its shortest decimal text: 0.1 is 0.1.
    pub fn get(&self, row: usize) -> Result<Option<i64>, DecimalError> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(None);
        }
        let value = match &self.values {
            DecimalValues::Bits64(values) => rescale(values[row].into(), self.scale),
            DecimalValues::Bits128(values) => rescale(values[row], self.scale),
            DecimalValues::Bits256(values) => parse_e8(scaled_text(&values[row].to_string(), self.scale).as_bytes()),
            DecimalValues::Unsigned(values) => rescale(values.value(row).into(), 0),
            DecimalValues::Double(values) => parse_e8(values.value(row).to_string().as_bytes()),
            DecimalValues::Single(values) => parse_e8(values.value(row).to_string().as_bytes()),
            DecimalValues::Text(values) => parse_e8(values.value(row).as_bytes()),
        };
        value.map(Some)
    }

    /// Appends all rows to `out`. Rows that are null, not positive, not exact or not below `limit` get a zero and are
    /// named in `suspects`.
    pub fn fill(&self, limit_e8: i64, out: &mut Vec<i64>, suspects: &mut Vec<u32>) {
        let start = out.len();
        match (&self.values, self.scale, &self.nulls) {
            (DecimalValues::Bits64(values), scale @ 0..=8, None) => {
                let factor = power_of_ten(8 - scale);
                // Below the bound the product cannot overflow.
                let bound = (limit_e8 - 1) / factor;
                let is_good = |value: i64| value > 0 && value <= bound;
                out.extend(values.iter().map(|&value| if is_good(value) { value * factor } else { 0 }));
            }
            (DecimalValues::Bits128(values), scale @ 0..=8, None) => {
                let factor = power_of_ten(8 - scale);
                let bound = i128::from((limit_e8 - 1) / factor);
                let is_good = |value: i128| value > 0 && value <= bound;
                out.extend(values.iter().map(|&value| if is_good(value) { value as i64 * factor } else { 0 }));
            }
            _ => out.extend((0..self.len()).map(|row| match self.get(row) {
                Ok(Some(value)) if value > 0 && value < limit_e8 => value,
                _ => 0,
            })),
        }
        // A zero is no price: those rows are looked at again, one by one.
        push_rows_where(&out[start..], |value| value == 0, suspects);
    }

    fn len(&self) -> usize {
        match &self.values {
            DecimalValues::Bits64(values) => values.len(),
            DecimalValues::Bits128(values) => values.len(),
            DecimalValues::Bits256(values) => values.len(),
            DecimalValues::Unsigned(values) => values.len(),
            DecimalValues::Double(values) => values.len(),
            DecimalValues::Single(values) => values.len(),
            DecimalValues::Text(values) => values.len(),
        }
    }
}

fn values<T: ArrowPrimitiveType>(array: &ArrayRef) -> ScalarBuffer<T::Native> {
    array.as_primitive::<T>().values().clone()
}

const fn power_of_ten(exponent: i8) -> i64 {
    10i64.pow(exponent as u32)
}

/// Names the rows that need a second look. A first pass without branches tells whether there is any.
pub fn push_rows_where<T: Copy>(values: &[T], is_suspect: impl Fn(T) -> bool, suspects: &mut Vec<u32>) {
    let mut any = false;
    for &value in values {
        any |= is_suspect(value);
    }
    if any {
        suspects.extend((0u32..).zip(values).filter(|(_, value)| is_suspect(**value)).map(|(row, _)| row));
    }
}

/// An unscaled decimal to eight decimals, exactly.
fn rescale(value: i128, scale: i8) -> Result<i64, DecimalError> {
    let shift = 8 - i32::from(scale);
    let power = 10i128.checked_pow(shift.unsigned_abs());
    let rescaled = match power {
        _ if value == 0 => Some(0),
        Some(power) if shift >= 0 => value.checked_mul(power),
        None if shift >= 0 => None,
        Some(power) if value % power == 0 => Some(value / power),
        _ => return Err(DecimalError::TooManyDecimals),
    };
    rescaled.and_then(|value| i64::try_from(value).ok()).ok_or(DecimalError::OutOfRange)
}

/// The decimal text of an unscaled integer.
fn scaled_text(integer: &str, scale: i8) -> String {
    format!("{integer}e{}", -i32::from(scale))
}

/// Times of a batch.
pub struct Times {
    values: ScalarBuffer<i64>,
    /// Nanoseconds of the unit; nothing where each value tells by its magnitude.
    unit_ns: Option<i64>,
    nulls: Option<NullBuffer>,
}

impl Times {
    /// Nothing for types that [`super::columns`] does not let through.
    pub fn of(array: &ArrayRef, is_nanoseconds: bool) -> Option<Self> {
        let (values, unit_ns) = match array.data_type() {
            DataType::Timestamp(TimeUnit::Nanosecond, _) => (values::<TimestampNanosecondType>(array), Some(1)),
            DataType::Timestamp(TimeUnit::Microsecond, _) => (values::<TimestampMicrosecondType>(array), Some(1_000)),
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                (values::<TimestampMillisecondType>(array), Some(1_000_000))
            }
            DataType::Timestamp(TimeUnit::Second, _) => (values::<TimestampSecondType>(array), Some(1_000_000_000)),
            DataType::Int64 if is_nanoseconds => (values::<Int64Type>(array), Some(1)),
            DataType::Int64 => (values::<Int64Type>(array), None),
            // What does not fit 64 signed bits is no time in any unit; -1 is none either.
            DataType::UInt64 => {
                let values = values::<UInt64Type>(array);
                (values.iter().map(|&value| i64::try_from(value).unwrap_or(-1)).collect(), None)
            }
            _ => return None,
        };
        Some(Self { values, unit_ns, nulls: array.nulls().cloned() })
    }

    /// The time of a row, nanoseconds; nothing for null, an error with the value for what can be no time.
    pub fn get(&self, row: usize) -> Result<Option<i64>, i64> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Ok(None);
        }
        let value = self.values[row];
        let time = match self.unit_ns {
            Some(unit_ns) => checked_time(value, unit_ns),
            None => time_by_magnitude(value),
        };
        time.map(Some).ok_or(value)
    }

    /// Appends all rows to `out`; those without a possible time get `i64::MIN` and are named in `suspects`.
    pub fn fill(&self, out: &mut Vec<i64>, suspects: &mut Vec<u32>) {
        let start = out.len();
        match (self.unit_ns, &self.nulls) {
            (Some(unit_ns), None) => {
                let (least, bound) = (TIME_MIN_NS / unit_ns, TIME_MAX_NS / unit_ns);
                let is_good = |value: i64| value >= least && value < bound;
                out.extend(self.values.iter().map(|&value| if is_good(value) { value * unit_ns } else { i64::MIN }));
            }
            _ => out.extend((0..self.values.len()).map(|row| self.get(row).ok().flatten().unwrap_or(i64::MIN))),
        }
        push_rows_where(&out[start..], |time| time == i64::MIN, suspects);
    }
}

/// Counts, sequences and ids of a batch: integers of any width.
pub enum Integers {
    Signed(Int64Array),
    Unsigned(UInt64Array),
}

impl Integers {
    /// Nothing for arrays that are no integers.
    pub fn of(array: &ArrayRef) -> Option<Self> {
        match array.data_type() {
            DataType::UInt64 => Some(Self::Unsigned(array.as_primitive::<UInt64Type>().clone())),
            integer if integer.is_integer() => {
                let wide: PrimitiveArray<Int64Type> = cast(array, &DataType::Int64).ok()?.as_primitive().clone();
                Some(Self::Signed(wide))
            }
            _ => None,
        }
    }

    /// The value of a row; nothing for null.
    pub fn get(&self, row: usize) -> Option<i128> {
        match self {
            Self::Signed(values) => values.is_valid(row).then(|| values.value(row).into()),
            Self::Unsigned(values) => values.is_valid(row).then(|| values.value(row).into()),
        }
    }
}
