//! The shape of every tensor of a graph, worked out before the runtime sees it.
//!
//! A few bytes can ask for tensors of any size: a reshape, an outer product. Here each node of the operators that are taken
//! is followed on shapes alone, so that what a score will cost in memory and arithmetic is known, and bounded, first. An
//! operator that is not in the table is refused. Nodes stand after what they read, so there is no way round.

use super::super::ModelError;
use super::scan::limit;
use super::tensor::{Content, FLOAT, PARAMETERS_MAX, check as check_tensor, volume};
use super::{malformed, recurrent, unsupported};
use std::collections::BTreeMap;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto};

/// Numbers that one tensor may have while a score is made.
const VOLUME_MAX: u64 = 1 << 20;

/// Numbers that all tensors together may have while a score is made.
const VOLUMES_MAX: u64 = 1 << 23;

/// Multiplications that one score may take: some tens of milliseconds.
const WORK_MAX: u64 = 200_000_000;

/// Dimensions that a tensor may have.
const RANK_MAX: usize = 8;

/// Nodes that a graph may have.
const NODES_MAX: u64 = 2_000;

/// Operators whose output has the shape of their first input.
const SAME_SHAPE: [&str; 27] = [
    "Abs",
    "BatchNormalization",
    "Clip",
    "Elu",
    "Erf",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "Neg",
    "Reciprocal",
    "Relu",
    "Selu",
    "Sigmoid",
    "Sign",
    "Softmax",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tanh",
    "ThresholdedRelu",
    "Cast",
];

/// Operators that go element by element over two or more inputs.
const BROADCAST: [&str; 9] = ["Add", "Div", "Max", "Mean", "Min", "Mul", "PRelu", "Pow", "Sub"];

/// Operators that fold dimensions away.
const REDUCE: [&str; 4] = ["ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum"];

/// All other operators that are taken, each with a rule of its own.
const OTHERS: [&str; 14] = [
    "Concat",
    "Constant",
    "Flatten",
    "GRU",
    "Gather",
    "Gemm",
    "LSTM",
    "MatMul",
    "RNN",
    "Reshape",
    "Slice",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// The operators of the default domain that are taken.
pub(super) fn operators() -> impl Iterator<Item = &'static str> {
    [&SAME_SHAPE[..], &BROADCAST, &REDUCE, &OTHERS].concat().into_iter()
}

/// A node, and what it may ask for.
pub(super) struct Reader<'a, 'g> {
    pub node: &'g NodeProto,
    floats: &'a BTreeMap<&'g str, Vec<usize>>,
    integers: &'a BTreeMap<&'g str, (Vec<usize>, Vec<i64>)>,
}

impl<'g> Reader<'_, 'g> {
    /// How the node is told of.
    pub fn name(&self) -> String {
        let name = if self.node.name.is_empty() { self.node.output.first() } else { Some(&self.node.name) };
        format!("node \"{}\" ({})", name.map_or("", String::as_str), self.node.op_type)
    }

    /// The node cannot be what it says.
    pub fn broken(&self, detail: &str) -> ModelError {
        malformed(format!("{}: {detail}", self.name()))
    }

    /// The node does what is not done here.
    pub fn refused(&self, detail: &str) -> ModelError {
        unsupported(format!("{}: {detail}", self.name()))
    }

    /// Whether an input is given.
    pub fn has(&self, input: usize) -> bool {
        self.node.input.get(input).is_some_and(|name| !name.is_empty())
    }

    /// The shape of an input of floats.
    pub fn shape(&self, input: usize) -> Result<&[usize], ModelError> {
        let name = self.node.input.get(input).ok_or_else(|| self.broken(&format!("input {input} is missing")))?;
        let shape = self.floats.get(name.as_str());
        let told = || self.broken(&format!("it reads \"{name}\", which is no float tensor that stands before it"));
        shape.map(Vec::as_slice).ok_or_else(told)
    }

    /// The whole numbers of an input, which must stand in the file.
    pub fn integers(&self, input: usize) -> Result<&(Vec<usize>, Vec<i64>), ModelError> {
        let name = self.node.input.get(input).ok_or_else(|| self.broken(&format!("input {input} is missing")))?;
        let told = || self.refused(&format!("\"{name}\" is not a constant of whole numbers; export with fixed shapes"));
        self.integers.get(name.as_str()).ok_or_else(told)
    }

    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<&'g AttributeProto> {
        self.node.attribute.iter().find(|attribute| attribute.name == name)
    }

    /// An attribute that is a whole number, or what it is where it is not written.
    pub fn integer(&self, name: &str, otherwise: i64) -> i64 {
        self.attribute(name).map_or(otherwise, |attribute| attribute.i)
    }

    /// Whole numbers that are an attribute in old operator sets and an input in new ones.
    fn list(&self, name: &str, input: usize) -> Result<Option<Vec<i64>>, ModelError> {
        match self.attribute(name) {
            Some(attribute) => self.short(name, &attribute.ints).map(Some),
            None if self.has(input) => self.short(name, &self.integers(input)?.1).map(Some),
            None => Ok(None),
        }
    }

    /// A list that has an entry for a dimension each, and so is short. A file may say millions.
    fn short(&self, name: &str, list: &[i64]) -> Result<Vec<i64>, ModelError> {
        if list.len() > RANK_MAX {
            return Err(
                self.broken(&format!("its {name} have {} entries, for dimensions of at most {RANK_MAX}", list.len()))
            );
        }
        Ok(list.to_vec())
    }

    /// Numbers of dimensions of so many, each at most once.
    fn axes(&self, list: &[i64], rank: usize) -> Result<Vec<usize>, ModelError> {
        let mut axes = Vec::with_capacity(list.len());
        for axis in list {
            let axis = self.axis(*axis, rank)?;
            if axes.contains(&axis) {
                return Err(self.broken(&format!("dimension {axis} stands there twice")));
            }
            axes.push(axis);
        }
        Ok(axes)
    }

    /// A number of a dimension, from the end where it is below 0.
    fn axis(&self, axis: i64, rank: usize) -> Result<usize, ModelError> {
        let signed = i64::try_from(rank).expect("ranks are small");
        let from_start = if axis < 0 { axis.saturating_add(signed) } else { axis };
        let at = usize::try_from(from_start).ok().filter(|at| *at < rank);
        at.ok_or_else(|| self.broken(&format!("there is no dimension {axis} of {rank}")))
    }
}

/// The graph as it was understood.
pub(super) struct Shapes<'g> {
    pub floats: BTreeMap<&'g str, Vec<usize>>,
    integers: BTreeMap<&'g str, (Vec<usize>, Vec<i64>)>,
    volumes: u64,
    /// Multiplications that a score takes.
    pub work: u64,
}

impl<'g> Shapes<'g> {
    /// Follows a graph whose one input has this shape.
    pub fn follow(graph: &'g GraphProto, input: &'g str, shape: &[usize]) -> Result<Self, ModelError> {
        limit("the number of its nodes", graph.node.len() as u64, NODES_MAX)?;
        let (floats, integers) = (BTreeMap::new(), BTreeMap::new());
        let mut shapes = Self { floats, integers, volumes: 0, work: 0 };
        shapes.define(input, shape.to_vec(), 0)?;
        let mut parameters = 0;
        for tensor in &graph.initializer {
            let content = check_tensor(tensor, &tensor.name)?;
            if let Content::Floats(shape) = &content {
                parameters += volume(shape);
                limit("the number of its parameters", parameters, PARAMETERS_MAX)?;
            }
            shapes.constant(&tensor.name, content)?;
        }
        for node in &graph.node {
            shapes.node(node)?;
        }
        Ok(shapes)
    }

    fn is_defined(&self, name: &str) -> bool {
        self.floats.contains_key(name) || self.integers.contains_key(name)
    }

    fn constant(&mut self, name: &'g str, content: Content) -> Result<(), ModelError> {
        if name.is_empty() || self.is_defined(name) {
            return Err(malformed(format!("tensor \"{name}\" is defined twice or has no name")));
        }
        match content {
            Content::Floats(shape) => drop(self.floats.insert(name, shape)),
            Content::Integers(shape, values) => drop(self.integers.insert(name, (shape, values))),
        }
        Ok(())
    }

    fn define(&mut self, name: &'g str, shape: Vec<usize>, work: u64) -> Result<(), ModelError> {
        let size = volume(&shape);
        limit(&format!("the size of tensor \"{name}\""), size, VOLUME_MAX)?;
        self.volumes += size;
        limit("the size of all its tensors", self.volumes, VOLUMES_MAX)?;
        self.work = self.work.saturating_add(work).saturating_add(size);
        limit("the number of its multiplications", self.work, WORK_MAX)?;
        self.constant(name, Content::Floats(shape))
    }

    fn node(&mut self, node: &'g NodeProto) -> Result<(), ModelError> {
        let reader = Reader { node, floats: &self.floats, integers: &self.integers };
        if !matches!(node.domain.as_str(), "" | "ai.onnx") {
            return Err(reader.refused(&format!("domain \"{}\" is not done here", node.domain)));
        }
        if !operators().any(|known| known == node.op_type) {
            return Err(reader.refused("this operator is not done here"));
        }
        if node.op_type == "Constant" {
            let tensor = reader.attribute("value").and_then(|attribute| attribute.t.as_ref());
            let tensor = tensor.ok_or_else(|| reader.refused("only a constant with a tensor as its value is taken"))?;
            let [output] = node.output.as_slice() else { return Err(reader.broken("it has not one output")) };
            let content = check_tensor(tensor, output)?;
            return self.constant(output, content);
        }
        let (outputs, work) = match node.op_type.as_str() {
            "LSTM" | "GRU" | "RNN" => recurrent::outputs(&reader)?,
            _ => {
                let (shape, work) = output(&reader)?;
                (vec![shape], work)
            }
        };
        if let Some(shape) = outputs.iter().find(|shape| shape.len() > RANK_MAX) {
            return Err(reader.broken(&format!("it gives a tensor of {} dimensions", shape.len())));
        }
        let named: Vec<_> =
            node.output.iter().map(String::as_str).enumerate().filter(|(_, name)| !name.is_empty()).collect();
        if named.is_empty() || named.iter().any(|(at, _)| *at >= outputs.len()) {
            return Err(reader.refused("it has outputs that are not taken here"));
        }
        for (number, (at, name)) in named.into_iter().enumerate() {
            self.define(name, outputs[at].clone(), if number == 0 { work } else { 0 })?;
        }
        Ok(())
    }
}

/// The shape that a node with one output gives, and the multiplications beside one for each number of it.
fn output(reader: &Reader<'_, '_>) -> Result<(Vec<usize>, u64), ModelError> {
    let op = reader.node.op_type.as_str();
    match op {
        "Cast" if reader.integer("to", 0) != i64::from(FLOAT) => Err(reader.refused("only a cast to float32 is taken")),
        _ if SAME_SHAPE.contains(&op) => {
            // Parameters must be floats that exist too.
            for input in (1..reader.node.input.len()).filter(|input| reader.has(*input)) {
                reader.shape(input)?;
            }
            let shape = reader.shape(0)?.to_vec();
            let work = volume(&shape).saturating_mul(4);
            Ok((shape, work))
        }
        _ if BROADCAST.contains(&op) => {
            let mut shape = reader.shape(0)?.to_vec();
            for input in 1..reader.node.input.len() {
                shape = broadcast(reader, &shape, reader.shape(input)?)?;
            }
            Ok((shape, 0))
        }
        _ if REDUCE.contains(&op) => reduce(reader).map(|shape| (shape, 0)),
        "MatMul" => mat_mul(reader),
        "Gemm" => gemm(reader),
        "Concat" => concat(reader).map(|shape| (shape, 0)),
        "Flatten" => {
            let shape = reader.shape(0)?;
            let axis = reader.integer("axis", 1);
            let axis = if axis == shape.len() as i64 { shape.len() } else { reader.axis(axis, shape.len())? };
            Ok((vec![shape[..axis].iter().product(), shape[axis..].iter().product()], 0))
        }
        "Gather" => {
            let shape = reader.shape(0)?;
            let axis = reader.axis(reader.integer("axis", 0), shape.len())?;
            let (indices, values) = reader.integers(1)?;
            let size = i64::try_from(shape[axis]).unwrap_or(i64::MAX);
            if values.iter().any(|value| *value < -size || *value >= size) {
                return Err(reader.broken("a position lies outside its input"));
            }
            Ok(([&shape[..axis], indices, &shape[axis + 1..]].concat(), 0))
        }
        "Reshape" => reshape(reader).map(|shape| (shape, 0)),
        "Slice" => slice(reader).map(|shape| (shape, 0)),
        "Squeeze" => {
            let shape = reader.shape(0)?;
            let axes = match reader.list("axes", 1)? {
                Some(axes) => reader.axes(&axes, shape.len())?,
                None => (0..shape.len()).filter(|axis| shape[*axis] == 1).collect(),
            };
            if axes.iter().any(|axis| shape[*axis] != 1) {
                return Err(reader.broken("a dimension it takes away is not 1"));
            }
            Ok(((0..shape.len()).filter(|axis| !axes.contains(axis)).map(|axis| shape[axis]).collect(), 0))
        }
        "Unsqueeze" => {
            let shape = reader.shape(0)?;
            let axes = reader.list("axes", 1)?.ok_or_else(|| reader.broken("it has no axes"))?;
            let rank = shape.len() + axes.len();
            let axes = reader.axes(&axes, rank)?;
            let mut rest = shape.iter();
            let pick = |axis| if axes.contains(&axis) { 1 } else { rest.next().copied().unwrap_or(1) };
            Ok(((0..rank).map(pick).collect(), 0))
        }
        "Transpose" => {
            let shape = reader.shape(0)?;
            let order = match reader.attribute("perm") {
                Some(perm) => reader.axes(&reader.short("perm", &perm.ints)?, shape.len())?,
                None => (0..shape.len()).rev().collect(),
            };
            let mut sorted = order.clone();
            sorted.sort_unstable();
            if sorted != (0..shape.len()).collect::<Vec<_>>() {
                return Err(reader.broken("its perm is not an order of the dimensions"));
            }
            Ok((order.into_iter().map(|axis| shape[axis]).collect(), 0))
        }
        _ => Err(reader.refused("this operator is not done here")),
    }
}

fn broadcast(reader: &Reader<'_, '_>, one: &[usize], other: &[usize]) -> Result<Vec<usize>, ModelError> {
    let rank = one.len().max(other.len());
    let at = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    let join = |axis| match (at(one, axis), at(other, axis)) {
        (size, 1) | (1, size) => Ok(size),
        (size, same) if size == same => Ok(size),
        _ => Err(reader.broken(&format!("shapes {one:?} and {other:?} do not go together"))),
    };
    (0..rank).map(join).collect()
}

fn mat_mul(reader: &Reader<'_, '_>) -> Result<(Vec<usize>, u64), ModelError> {
    let (one, other) = (reader.shape(0)?, reader.shape(1)?);
    let ([one_outer @ .., rows, inner], [other_outer @ .., same, columns]) = (one, other) else {
        return Err(reader.refused("only matrices are multiplied"));
    };
    if inner != same {
        return Err(reader.broken(&format!("shapes {one:?} and {other:?} cannot be multiplied")));
    }
    let mut shape = broadcast(reader, one_outer, other_outer)?;
    shape.extend([rows, columns]);
    let work = volume(&shape).saturating_mul(*inner as u64);
    Ok((shape, work))
}

fn gemm(reader: &Reader<'_, '_>) -> Result<(Vec<usize>, u64), ModelError> {
    let (&[mut rows, mut inner], &[mut same, mut columns]) = (reader.shape(0)?, reader.shape(1)?) else {
        return Err(reader.broken("only matrices are multiplied"));
    };
    if reader.integer("transA", 0) != 0 {
        (rows, inner) = (inner, rows);
    }
    if reader.integer("transB", 0) != 0 {
        (same, columns) = (columns, same);
    }
    if inner != same {
        return Err(reader.broken(&format!("matrices of {inner} columns and {same} rows cannot be multiplied")));
    }
    let shape = vec![rows, columns];
    if reader.has(2) && broadcast(reader, &shape, reader.shape(2)?)? != shape {
        return Err(reader.broken("what is added is larger than the product"));
    }
    let work = volume(&shape).saturating_mul(inner as u64);
    Ok((shape, work))
}

fn concat(reader: &Reader<'_, '_>) -> Result<Vec<usize>, ModelError> {
    let mut shape = reader.shape(0)?.to_vec();
    let axis = reader.axis(reader.integer("axis", 0), shape.len())?;
    for input in 1..reader.node.input.len() {
        let next = reader.shape(input)?;
        let fits = next.len() == shape.len() && (0..next.len()).all(|at| at == axis || next[at] == shape[at]);
        if !fits {
            return Err(reader.broken(&format!("shapes {shape:?} and {next:?} cannot be joined")));
        }
        shape[axis] = shape[axis].saturating_add(next[axis]);
    }
    Ok(shape)
}

fn reshape(reader: &Reader<'_, '_>) -> Result<Vec<usize>, ModelError> {
    let shape = reader.shape(0)?;
    let wanted = reader.list("shape", 1)?.ok_or_else(|| reader.broken("it has no shape"))?;
    if reader.integer("allowzero", 0) != 0 {
        return Err(reader.refused("allowzero is not taken"));
    }
    let mut new = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (at, size) in wanted.iter().enumerate() {
        new.push(match size {
            0 => *shape.get(at).ok_or_else(|| reader.broken("it keeps a dimension that is not there"))?,
            -1 if open.is_none() => {
                open = Some(at);
                1
            }
            size => usize::try_from(*size).map_err(|_| reader.broken(&format!("a dimension of {size}")))?,
        });
    }
    let (old_volume, known) = (volume(shape), volume(&new));
    if let Some(at) = open
        && known > 0
    {
        new[at] = usize::try_from(old_volume / known).unwrap_or(usize::MAX);
    }
    if volume(&new) != old_volume {
        return Err(reader.broken(&format!("{shape:?} cannot be given the shape {wanted:?}")));
    }
    Ok(new)
}

fn slice(reader: &Reader<'_, '_>) -> Result<Vec<usize>, ModelError> {
    let mut shape = reader.shape(0)?.to_vec();
    let missing = || reader.broken("it has no starts or no ends");
    let starts = reader.list("starts", 1)?.ok_or_else(missing)?;
    let ends = reader.list("ends", 2)?.ok_or_else(missing)?;
    let axes = reader.list("axes", 3)?.unwrap_or_else(|| (0..).take(starts.len()).collect());
    let steps = reader.list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(reader.broken("its lists are not of one length"));
    }
    let axes = reader.axes(&axes, shape.len())?;
    for (((start, end), axis), step) in starts.iter().zip(&ends).zip(axes).zip(&steps) {
        if *step != 1 {
            return Err(reader.refused("only steps of 1 are taken"));
        }
        let size = i64::try_from(shape[axis]).unwrap_or(i64::MAX);
        let place = |at: i64| if at < 0 { at.saturating_add(size) } else { at }.clamp(0, size);
        let length = place(*end).saturating_sub(place(*start));
        shape[axis] = usize::try_from(length)
            .ok()
            .filter(|length| *length > 0)
            .ok_or_else(|| reader.broken("it takes nothing"))?;
    }
    Ok(shape)
}

fn reduce(reader: &Reader<'_, '_>) -> Result<Vec<usize>, ModelError> {
    let shape = reader.shape(0)?;
    let axes = match reader.list("axes", 1)? {
        Some(axes) => reader.axes(&axes, shape.len())?,
        None if reader.integer("noop_with_empty_axes", 0) != 0 => return Ok(shape.to_vec()),
        None => (0..shape.len()).collect(),
    };
    let keeps = reader.integer("keepdims", 1) != 0;
    let kept = (0..shape.len()).filter(|axis| keeps || !axes.contains(axis));
    Ok(kept.map(|axis| if axes.contains(&axis) { 1 } else { shape[axis] }).collect())
}
