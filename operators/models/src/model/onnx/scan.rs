//! A first walk over the bytes of an ONNX file, before anything is built of them.
//!
//! A decoded message can be hundreds of times as large as its bytes, so messages and fields are counted first, in constant
//! memory and without recursion into what is not known. What can hold code or reach outside is refused here: graphs in
//! nodes, functions, training, sparse tensors, data in other files.

use super::super::ModelError;

/// Messages that a file may hold: nodes, attributes, tensors, types and so on.
const MESSAGES_MAX: u64 = 50_000;

/// Fields that a file may hold, each string of a list being one.
const FIELDS_MAX: u64 = 2_000_000;

/// The messages that are walked into.
#[derive(Clone, Copy, Debug)]
enum Level {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Other,
}

/// What is done with a field that has bytes.
enum Step {
    Into(Level),
    Skip,
    Refuse(&'static str),
}

impl Level {
    /// By the field numbers of `onnx.proto`.
    const fn field(self, number: u64) -> Step {
        match (self, number) {
            (Self::Model, 7) => Step::Into(Self::Graph),
            (Self::Model, 20) => Step::Refuse("it holds training graphs; export the model for inference"),
            (Self::Model, 25) => Step::Refuse("it holds functions; inline them when exporting"),
            (Self::Graph, 1) => Step::Into(Self::Node),
            (Self::Graph, 5) => Step::Into(Self::Tensor),
            (Self::Graph, 11..=13) => Step::Into(Self::Value),
            (Self::Graph, 15) => Step::Refuse("it holds sparse tensors; make them dense"),
            (Self::Node, 5) => Step::Into(Self::Attribute),
            (Self::Attribute, 5 | 10) => Step::Into(Self::Tensor),
            (Self::Attribute, 6 | 11) => {
                Step::Refuse("a node holds a graph of its own, as Loop, If and Scan do; export the model without them")
            }
            (Self::Attribute, 22 | 23) => Step::Refuse("it holds sparse tensors; make them dense"),
            (Self::Tensor, 13) => {
                Step::Refuse("a tensor has its data in another file; save the model with its weights inside")
            }
            (Self::Model, 8 | 14 | 26)
            | (Self::Graph, 14 | 16)
            | (Self::Node, 9 | 10)
            | (Self::Attribute, 14 | 15)
            | (Self::Tensor, 3 | 16)
            | (Self::Value, 2 | 4) => Step::Into(Self::Other),
            _ => Step::Skip,
        }
    }
}

/// Walks a file and refuses it where it is broken, too large, or holds what it may not.
pub(super) fn scan(bytes: &[u8]) -> Result<(), ModelError> {
    let mut messages = 0_u64;
    let mut fields = 0_u64;
    let mut graphs = 0_u64;
    let mut waiting = vec![(Level::Model, bytes)];
    while let Some((level, mut rest)) = waiting.pop() {
        messages += 1;
        limit("the number of its messages", messages, MESSAGES_MAX)?;
        while !rest.is_empty() {
            fields += 1;
            limit("the number of its fields", fields, FIELDS_MAX)?;
            let key = varint(&mut rest)?;
            let number = key >> 3;
            match key & 7 {
                0 => {
                    let value = varint(&mut rest)?;
                    if matches!((level, number, value), (Level::Tensor, 14, 1..)) {
                        let told = "a tensor has its data in another file; save the model with its weights inside";
                        return Err(ModelError::Unsupported(told.to_owned()));
                    }
                }
                1 => drop(take(&mut rest, 8)?),
                5 => drop(take(&mut rest, 4)?),
                2 => {
                    let length = varint(&mut rest)?;
                    let inner = take(&mut rest, length)?;
                    if matches!((level, number), (Level::Model, 7)) {
                        graphs += 1;
                    }
                    match level.field(number) {
                        // What follows it is not known here and is small: a shape, a key and a value.
                        Step::Into(Level::Other) => {
                            messages += 1 + (inner.len() / 2) as u64;
                            limit("the number of its messages", messages, MESSAGES_MAX)?;
                        }
                        Step::Into(level) => {
                            limit("the number of its messages", messages + waiting.len() as u64, MESSAGES_MAX)?;
                            waiting.push((level, inner));
                        }
                        Step::Skip => {}
                        Step::Refuse(told) => return Err(ModelError::Unsupported(told.to_owned())),
                    }
                }
                _ => return Err(malformed("a field of a kind that ONNX does not use")),
            }
        }
    }
    if graphs == 1 { Ok(()) } else { Err(malformed(&format!("{graphs} graphs where there should be one"))) }
}

/// Refuses what is beyond a limit.
pub(super) fn limit(what: &str, given: u64, limit: u64) -> Result<(), ModelError> {
    if given <= limit { Ok(()) } else { Err(ModelError::TooLarge { what: what.to_owned(), given, limit }) }
}

fn malformed(detail: &str) -> ModelError {
    ModelError::Malformed { format: crate::manifest::ArtifactFormat::Onnx, detail: detail.to_owned() }
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Result<&'a [u8], ModelError> {
    let length = usize::try_from(length).ok().filter(|length| *length <= rest.len());
    let Some(length) = length else { return Err(malformed("the file ends inside a field: it is cut off or broken")) };
    let (taken, after) = rest.split_at(length);
    *rest = after;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, ModelError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(malformed("a number of more than ten bytes"))
}
