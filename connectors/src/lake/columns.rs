//! Columns under construction: short ways from Rust vectors to Arrow arrays, without a float in sight.

use arrow::array::{
    Array, ArrayRef, Decimal64Array, Decimal128Array, DictionaryArray, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Int32Type, TimeUnit};
use std::fmt::Write;
use std::sync::Arc;
use tidewheel_schemas::{Instrument, TradeId};

/// `TIMESTAMP(us, UTC)`.
pub(super) fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A string column that is built from an index into names.
pub(super) fn name_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// A column without nulls.
pub(super) fn required(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, false)
}

/// A column with nulls.
pub(super) fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

/// Values with the rows in which they are absent.
pub(super) struct Values<T> {
    values: Vec<T>,
    present: Vec<bool>,
    absent: usize,
}

impl<T: Default + Copy> Values<T> {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self { values: Vec::with_capacity(rows), present: Vec::with_capacity(rows), absent: 0 }
    }

    pub(super) fn push(&mut self, value: Option<T>) {
        self.values.push(value.unwrap_or_default());
        self.present.push(value.is_some());
        self.absent += usize::from(value.is_none());
    }

    fn finish(self) -> (ScalarBuffer<T>, Option<NullBuffer>)
    where
        T: arrow::datatypes::ArrowNativeType,
    {
        let nulls = (self.absent > 0).then(|| NullBuffer::from(self.present));
        (self.values.into(), nulls)
    }
}

/// All of some values.
pub(super) fn values<T: Default + Copy>(each: impl Iterator<Item = Option<T>>) -> Values<T> {
    let mut values = Values::with_capacity(each.size_hint().0);
    each.for_each(|value| values.push(value));
    values
}

impl Values<i64> {
    /// The greatest distance from zero; absent values count as zero.
    pub(super) fn greatest_magnitude(&self) -> Option<u64> {
        self.values.iter().map(|value| value.unsigned_abs()).max()
    }
}

/// Integers with nulls.
pub(super) fn optional_int64(values: Values<i64>) -> ArrayRef {
    let (values, nulls) = values.finish();
    Arc::new(Int64Array::new(values, nulls))
}

/// Times in microseconds with nulls.
pub(super) fn optional_timestamp(values: Values<i64>) -> ArrayRef {
    let (values, nulls) = values.finish();
    Arc::new(TimestampMicrosecondArray::new(values, nulls).with_timezone("UTC"))
}

/// `DECIMAL(18,8)` with nulls.
pub(super) fn optional_decimal(values: Values<i64>) -> ArrayRef {
    let (values, nulls) = values.finish();
    decimal64(values, nulls)
}

/// `DECIMAL(20,8)`: all that 64 bits hold, which is more than a decimal stored in 64 bits may have digits.
pub(super) fn optional_quantity(values: Values<i64>) -> ArrayRef {
    let (values, nulls) = values.finish();
    let wide: Vec<i128> = values.iter().map(|value| i128::from(*value)).collect();
    let array = Decimal128Array::new(wide.into(), nulls);
    Arc::new(array.with_precision_and_scale(20, 8).expect("20 digits with 8 places are a Decimal128"))
}

/// `DECIMAL(18,8)`, stored in 64 bits.
pub(super) fn decimal64(values: impl Into<ScalarBuffer<i64>>, nulls: Option<NullBuffer>) -> ArrayRef {
    let array = Decimal64Array::new(values.into(), nulls);
    Arc::new(array.with_precision_and_scale(18, 8).expect("18 digits with 8 places are a Decimal64"))
}

/// `DECIMAL(38,scale)`.
pub(super) fn decimal128(values: Vec<i128>, nulls: Option<NullBuffer>, scale: i8) -> ArrayRef {
    let array = Decimal128Array::new(values.into(), nulls);
    Arc::new(array.with_precision_and_scale(38, scale).expect("38 digits with a lesser scale are a Decimal128"))
}

/// Times in microseconds.
pub(super) fn timestamp(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::new(values.into(), None).with_timezone("UTC"))
}

/// Integers.
pub(super) fn int64(values: Vec<i64>, nulls: Option<NullBuffer>) -> ArrayRef {
    Arc::new(Int64Array::new(values.into(), nulls))
}

/// Names by index.
pub(super) fn names(index: Vec<i32>, names: &ArrayRef) -> ArrayRef {
    let index = Int32Array::new(index.into(), None);
    Arc::new(
        DictionaryArray::<Int32Type>::try_new(index, names.clone()).expect("every index is below the number of names"),
    )
}

/// Names by index with nulls.
pub(super) fn optional_names(index: Values<i32>, names: &ArrayRef) -> ArrayRef {
    let (values, nulls) = index.finish();
    let index = Int32Array::new(values, nulls);
    Arc::new(
        DictionaryArray::<Int32Type>::try_new(index, names.clone()).expect("every index is below the number of names"),
    )
}

/// The venues and the symbols of instruments, to be indexed by [`names`].
pub(super) fn venues_and_symbols<'a>(instruments: impl Iterator<Item = &'a Instrument> + Clone) -> [ArrayRef; 2] {
    let venues: StringArray = instruments.clone().map(|instrument| Some(&*instrument.venue)).collect();
    let symbols: StringArray = instruments.map(|instrument| Some(&*instrument.symbol)).collect();
    [Arc::new(venues), Arc::new(symbols)]
}

/// Texts one after the other.
pub(super) struct Texts {
    offsets: Vec<i32>,
    text: String,
}

impl Texts {
    pub(super) fn with_capacity(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { offsets, text: String::with_capacity(rows * 12) }
    }

    /// Appends a trade id as its venue writes it.
    pub(super) fn push_id(&mut self, id: TradeId) {
        match u64::try_from(id.to_bits()) {
            Ok(number) => push_number(&mut self.text, number),
            Err(_) => write!(self.text, "{id}").expect("writing to a string does not fail"),
        }
        self.end_row();
    }

    /// Ends a row of what was appended since the last; nothing is an empty text.
    pub(super) fn end_row(&mut self) {
        self.offsets.push(i32::try_from(self.text.len()).expect("a batch of ids is below 2 GiB"));
    }

    pub(super) fn finish(self, nulls: Option<NullBuffer>) -> ArrayRef {
        let offsets = OffsetBuffer::new(self.offsets.into());
        let array = StringArray::new(offsets, self.text.into_bytes().into(), nulls);
        debug_assert_eq!(array.data_type(), &DataType::Utf8);
        Arc::new(array)
    }
}

/// Decimal digits, two at a time: a third of the time that the formatting machinery takes.
fn push_number(text: &mut String, mut number: u64) {
    const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
        2021222324252627282930313233343536373839\
        4041424344454647484950515253545556575859\
        6061626364656667686970717273747576777879\
        8081828384858687888990919293949596979899";
    let mut digits = [b'0'; 20];
    let mut start = 20;
    while number >= 10 {
        let pair = (number % 100) as usize * 2;
        number /= 100;
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if number > 0 || start == 20 {
        start -= 1;
        digits[start] = b'0' + number as u8;
    }
    text.push_str(std::str::from_utf8(&digits[start..]).expect("digits are ASCII"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_print_as_the_standard_library_prints_them() {
        let mut number = 1u64;
        for step in 0..200u64 {
            for number in [step, number, number.wrapping_sub(1), u64::MAX - step] {
                let mut text = String::new();
                push_number(&mut text, number);
                assert_eq!(text, number.to_string());
            }
            number = number.wrapping_mul(10).max(1);
        }
    }
}
