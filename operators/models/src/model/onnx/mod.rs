//! ONNX models: networks run by tract, tree ensembles by this crate's own trees.
//!
//! What is taken is a list, not what the runtime happens to know: the operators of `shapes.rs` in the default domain, with
//! float32 numbers and fixed shapes but for the batch, and graphs that are one ONNX-ML tree ensemble. A file goes through
//! four doors, each before anything larger is built of it: its bytes are walked, its graph's shapes are followed and its cost
//! is bounded, the runtime builds it (a panic there is an error), and the registry runs its golden vectors.

mod recurrent;
mod scan;
mod shapes;
mod tensor;
mod tree_ensemble;

use super::{ModelError, Trees};
use crate::guard::guarded;
use crate::manifest::{ArtifactFormat, Manifest};
use crate::refusal::Refusal;
use shapes::Shapes;
use std::collections::BTreeSet;
use std::sync::Arc;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, tensor_shape_proto, type_proto};
use tract_onnx::prelude::{Framework, Tensor, TypedRunnableModel, tvec};

/// A file larger than this is refused, bytes.
const BYTES_MAX: u64 = 32 << 20;

/// Versions of the default operator set that are taken.
const OPSETS: std::ops::RangeInclusive<i64> = 8..=22;

/// Versions of the operator set of ONNX-ML that are taken; from 5 on a tree ensemble is another operator.
const ML_OPSETS: std::ops::RangeInclusive<i64> = 1..=4;

/// A network that can be run.
#[derive(Clone)]
pub struct Network {
    plan: Arc<TypedRunnableModel>,
    shape: Vec<usize>,
    element: usize,
    /// Multiplications that a score takes.
    pub(super) work: u64,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("shape", &self.shape).field("element", &self.element).finish_non_exhaustive()
    }
}

/// What an ONNX file turned out to be.
pub(super) enum Loaded {
    /// A tree ensemble.
    Trees(Trees),
    /// Anything else.
    Network(Network),
}

fn malformed(detail: String) -> ModelError {
    ModelError::Malformed { format: ArtifactFormat::Onnx, detail }
}

const fn unsupported(detail: String) -> ModelError {
    ModelError::Unsupported(detail)
}

const fn mismatch(detail: String) -> ModelError {
    ModelError::Mismatch(detail)
}

/// Reads a file.
pub(super) fn load(manifest: &Manifest, bytes: &[u8]) -> Result<Loaded, ModelError> {
    scan::limit("its size in bytes", bytes.len() as u64, BYTES_MAX)?;
    scan::scan(bytes)?;
    let runtime = tract_onnx::onnx();
    let decoded = guarded(|| runtime.proto_model_for_read(&mut &*bytes)).map_err(malformed)?;
    let mut proto = decoded.map_err(|error| malformed(format!("{error:#}")))?;
    check_operator_sets(&proto)?;
    let graph = proto.graph.as_ref().ok_or_else(|| malformed("it holds no graph".to_owned()))?;
    if graph.node.iter().any(|node| node.domain == "ai.onnx.ml") {
        return tree_ensemble::load(manifest, graph).map(Loaded::Trees);
    }
    let (input, shape) = input(manifest, graph)?;
    let output = output_name(manifest, graph)?;
    let shapes = Shapes::follow(graph, input, &shape)?;
    let Some(given) = shapes.floats.get(output) else {
        return Err(malformed(format!("no node gives output \"{output}\"")));
    };
    let element = manifest.output_element as usize;
    let count = tensor::volume(given);
    if element as u64 >= count {
        let told = format!("output_element is {element}, output \"{output}\" has {count} number(s)");
        return Err(mismatch(told));
    }
    let (output, work) = (output.to_owned(), shapes.work);
    simplify(&mut proto, &output);
    let built = guarded(|| build(&runtime, &proto, &shape));
    let plan = built.map_err(|told| malformed(format!("the runtime could not build it: {told}")))?;
    let plan = plan.map_err(|told| unsupported(format!("the runtime could not build it: {told}")))?;
    Ok(Loaded::Network(Network { plan, shape, element, work }))
}

fn check_operator_sets(proto: &ModelProto) -> Result<(), ModelError> {
    for set in &proto.opset_import {
        let taken = match set.domain.as_str() {
            "" | "ai.onnx" => OPSETS,
            "ai.onnx.ml" => ML_OPSETS,
            // Declared by exporters without being used; a node of it is refused.
            _ => continue,
        };
        if !taken.contains(&set.version) {
            let (domain, version) = (if set.domain.is_empty() { "ai.onnx" } else { &set.domain }, set.version);
            let (first, last) = (taken.start(), taken.end());
            return Err(unsupported(format!("operator set {domain} {version}; export with {first} to {last}")));
        }
    }
    if proto.opset_import.is_empty() {
        return Err(malformed("it names no operator set".to_owned()));
    }
    Ok(())
}

/// The one input that is not a constant.
fn sole_input(graph: &GraphProto) -> Result<&tract_onnx::pb::ValueInfoProto, ModelError> {
    let constants: BTreeSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut inputs = graph.input.iter().filter(|input| !constants.contains(input.name.as_str()));
    match (inputs.next(), inputs.next()) {
        (Some(input), None) => Ok(input),
        _ => Err(mismatch("it has not exactly one input; join features into one".to_owned())),
    }
}

/// The name of the graph's input and the shape it is given.
fn input<'g>(manifest: &Manifest, graph: &'g GraphProto) -> Result<(&'g str, Vec<usize>), ModelError> {
    let input = sole_input(graph)?;
    let name = input.name.as_str();
    let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return Err(mismatch(format!("input \"{name}\" is no tensor")));
    };
    if tensor.elem_type != tensor::FLOAT {
        return Err(mismatch(format!("input \"{name}\" is of type {}, not float32", tensor.elem_type)));
    }
    let (rows, columns) = (manifest.sequence_length as usize, manifest.features.len());
    let dimensions = tensor.shape.as_ref().map_or(&[][..], |shape| shape.dim.as_slice());
    let mut shape = Vec::with_capacity(dimensions.len());
    for (at, dimension) in dimensions.iter().enumerate() {
        use tensor_shape_proto::dimension::Value::DimValue;
        shape.push(match &dimension.value {
            Some(DimValue(size)) if *size > 0 => usize::try_from(*size).unwrap_or(usize::MAX),
            Some(DimValue(size)) if *size < 0 => {
                return Err(malformed(format!("dimension {at} of input \"{name}\" is {size}")));
            }
            // Exporters leave the batch open; here it is one row.
            _ if at == 0 => 1,
            _ => {
                let told = format!("dimension {at} of input \"{name}\" is not fixed; export it with fixed shapes");
                return Err(unsupported(told));
            }
        });
    }
    let wanted = if rows == 1 { vec![1, columns] } else { vec![1, rows, columns] };
    let fits =
        shape == wanted || shape == [1, rows, columns] || shape == [rows, 1, columns] || shape == [1, rows * columns];
    if !fits {
        let told =
            format!("input \"{name}\" has the shape {shape:?}, the manifest's features and rows make {wanted:?}");
        return Err(mismatch(told));
    }
    Ok((name, shape))
}

fn output_name<'g>(manifest: &Manifest, graph: &'g GraphProto) -> Result<&'g str, ModelError> {
    let names = || graph.output.iter().map(|output| output.name.as_str());
    match &manifest.output_name {
        None => names().next().ok_or_else(|| malformed("it has no output".to_owned())),
        Some(wanted) => names().find(|name| name == wanted).ok_or_else(|| {
            mismatch(format!("it has no output \"{wanted}\"; it has {}", names().collect::<Vec<_>>().join(", ")))
        }),
    }
}

/// Leaves what the runtime needs: one output, and no shapes but those it works out itself.
fn simplify(proto: &mut ModelProto, output: &str) {
    if let Some(graph) = proto.graph.as_mut() {
        graph.value_info.clear();
        graph.output.retain(|one| one.name == output);
        graph.output.truncate(1);
    }
}

fn build(runtime: &tract_onnx::Onnx, proto: &ModelProto, shape: &[usize]) -> Result<Arc<TypedRunnableModel>, String> {
    use tract_onnx::prelude::*;
    let build = || -> TractResult<_> {
        let model = runtime
            .clone()
            .with_ignore_output_shapes(true)
            .with_ignore_value_info(true)
            .model_for_proto_model(proto)?;
        model.with_input_fact(0, f32::fact(shape).into())?.into_optimized()?.into_runnable()
    };
    build().map_err(|error| format!("{error:#}"))
}

impl Network {
    /// Runs it for one input.
    pub(super) fn score(&self, input: &[f64]) -> Result<f64, Refusal> {
        let failed = |detail: String| Refusal::ModelFailed { detail };
        let input: Vec<f32> = input.iter().map(|value| *value as f32).collect();
        let run = || {
            let tensor = Tensor::from_shape(&self.shape, &input)?;
            self.plan.run(tvec!(tensor.into()))
        };
        let outputs = guarded(run).map_err(failed)?.map_err(|error| failed(format!("{error:#}")))?;
        let output = outputs.first().ok_or_else(|| failed("it gave nothing".to_owned()))?;
        let values = output.try_as_plain_ram().and_then(|plain| plain.as_slice::<f32>().map(<[f32]>::to_vec));
        let values = values.map_err(|error| failed(format!("{error:#}")))?;
        values.get(self.element).map(|value| f64::from(*value)).ok_or_else(|| failed("it gave too little".to_owned()))
    }
}

/// The name of a node, for errors.
fn node_name(node: &NodeProto) -> String {
    format!("node \"{}\" ({})", node.name, node.op_type)
}

#[cfg(test)]
mod tests;
