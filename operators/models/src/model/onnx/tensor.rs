//! Tensors that stand in an ONNX file: checked to be as large as they say before the runtime reads them.

use super::super::ModelError;
use super::{malformed, scan::limit, unsupported};
use tract_onnx::pb::TensorProto;

/// Numbers that the tensors of a file may have together.
pub(super) const PARAMETERS_MAX: u64 = 8_000_000;

/// The type of `f32` in ONNX.
pub(super) const FLOAT: i32 = 1;

/// The type of `i64` in ONNX.
const INT64: i32 = 7;

/// What a tensor of a file is.
pub(super) enum Content {
    /// Weights.
    Floats(Vec<usize>),
    /// Shapes, axes and positions.
    Integers(Vec<usize>, Vec<i64>),
}

/// Numbers in a tensor of this shape.
pub(super) fn volume(shape: &[usize]) -> u64 {
    shape.iter().fold(1, |volume, dimension| volume.saturating_mul(*dimension as u64))
}

/// Checks a tensor and reads it where it is small and whole numbers.
pub(super) fn check(tensor: &TensorProto, name: &str) -> Result<Content, ModelError> {
    let dimension =
        |size: &i64| usize::try_from(*size).map_err(|_| malformed(format!("tensor \"{name}\" has {size} rows")));
    let shape = tensor.dims.iter().map(dimension).collect::<Result<Vec<_>, _>>()?;
    if shape.len() > 8 {
        return Err(unsupported(format!("tensor \"{name}\" has {} dimensions, more than 8", shape.len())));
    }
    let count = volume(&shape);
    limit(&format!("the size of tensor \"{name}\""), count, PARAMETERS_MAX)?;
    if !tensor.external_data.is_empty() || tensor.data_location.is_some_and(|location| location != 0) {
        return Err(unsupported(format!("tensor \"{name}\" has its data in another file")));
    }
    let raw = &tensor.raw_data;
    let (width, typed) = match tensor.data_type {
        FLOAT => (4, tensor.float_data.len()),
        INT64 => (8, tensor.int64_data.len()),
        other => {
            return Err(unsupported(format!("tensor \"{name}\" is of type {other}; export with float32 weights")));
        }
    };
    let given = if raw.is_empty() { typed as u64 } else { raw.len() as u64 / width };
    if given != count || (!raw.is_empty() && (!(raw.len() as u64).is_multiple_of(width) || typed != 0)) {
        return Err(malformed(format!("tensor \"{name}\" has {given} numbers for a shape of {count}")));
    }
    if tensor.data_type == INT64 {
        limit(&format!("the size of tensor \"{name}\" of whole numbers"), count, 4_096)?;
        let integers = if raw.is_empty() {
            tensor.int64_data.clone()
        } else {
            raw.chunks_exact(8).map(|bytes| i64::from_le_bytes(bytes.try_into().expect("chunks of eight"))).collect()
        };
        return Ok(Content::Integers(shape, integers));
    }
    let mut from_raw = raw.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("chunks of four")));
    if !from_raw.all(f32::is_finite) || !tensor.float_data.iter().all(|value| value.is_finite()) {
        return Err(malformed(format!("tensor \"{name}\" has a weight that is not a finite number")));
    }
    Ok(Content::Floats(shape))
}
