//! Graphs that are one ONNX-ML tree ensemble: `TreeEnsembleRegressor` or `TreeEnsembleClassifier`.
//!
//! The runtime knows only one of the two and follows children unchecked, so these are read into this crate's trees. Around
//! the ensemble may stand what exporters put there and what changes no number: `Identity`, a cast to float32, a product with
//! the constant 1; and behind the class label anything, which is not read.

use super::super::{ModelError, Trees, trees};
use super::{malformed, mismatch, node_name, output_name, sole_input, tensor, unsupported};
use crate::manifest::{ArtifactFormat, Manifest};
use std::collections::BTreeMap;
use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, type_proto};
use trees::{Comparison, LEAF, Missing, Node, Parts, Share, Transform};

/// The most classes a classifier may tell apart.
const CLASSES_MAX: usize = 256;

/// Reads a graph.
pub(super) fn load(manifest: &Manifest, graph: &GraphProto) -> Result<Trees, ModelError> {
    let mut of_ml = graph.node.iter().filter(|node| node.op_type.starts_with("TreeEnsemble"));
    let (Some(ensemble), None) = (of_ml.next(), of_ml.next()) else {
        return Err(unsupported("it is not one tree ensemble; of ONNX-ML nothing else is taken".to_owned()));
    };
    check_input(manifest, graph)?;
    let source = sole_input(graph)?.name.as_str();
    let input = ensemble.input.first().map(String::as_str).unwrap_or_default();
    if origin(graph, input)? != source {
        return Err(unsupported(format!("{} does not read the graph's input as it is", node_name(ensemble))));
    }
    let is_classifier = match ensemble.op_type.as_str() {
        "TreeEnsembleRegressor" => false,
        "TreeEnsembleClassifier" => true,
        other => return Err(unsupported(format!("{other} is not taken; export with operator set ai.onnx.ml 3"))),
    };
    let output = origin(graph, output_name(manifest, graph)?)?;
    let scores = ensemble.output.get(usize::from(is_classifier)).map(String::as_str);
    if scores != Some(output) {
        let told = "it is not what the ensemble gives; name the output of the scores or probabilities in output_name";
        return Err(mismatch(format!("output \"{output}\": {told}")));
    }
    parts(manifest, &Attributes(ensemble), is_classifier)
        .and_then(|parts| Trees::new(ArtifactFormat::Onnx, manifest.features.len(), parts))
}

fn check_input(manifest: &Manifest, graph: &GraphProto) -> Result<(), ModelError> {
    let input = sole_input(graph)?;
    let Some(type_proto::Value::TensorType(kind)) = input.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return Err(mismatch(format!("input \"{}\" is no tensor", input.name)));
    };
    if kind.elem_type != tensor::FLOAT {
        return Err(mismatch(format!("input \"{}\" is of type {}, not float32", input.name, kind.elem_type)));
    }
    super::input(manifest, graph).map(drop)
}

/// What a name is a copy of, through nodes that change no number.
fn origin<'g>(graph: &'g GraphProto, name: &'g str) -> Result<&'g str, ModelError> {
    let mut name = name;
    // As many steps as there are nodes: more would be a way round.
    for _ in 0..=graph.node.len() {
        let Some(node) = graph.node.iter().find(|node| node.output.iter().any(|output| output == name)) else {
            return Ok(name);
        };
        let to_float = || node.attribute.iter().any(|one| one.name == "to" && one.i == i64::from(tensor::FLOAT));
        match (node.op_type.as_str(), node.input.first()) {
            ("Identity", Some(input)) => name = input,
            ("Cast", Some(input)) if to_float() => name = input,
            // What LightGBM's converter puts behind probabilities.
            ("Mul", Some(input)) if node.input.get(1).is_some_and(|factor| is_one(graph, factor)) => name = input,
            ("TreeEnsembleRegressor" | "TreeEnsembleClassifier", _) => return Ok(name),
            _ => return Err(unsupported(format!("{} stands beside a tree ensemble", node_name(node)))),
        }
    }
    Err(malformed(format!("\"{name}\" is made of itself")))
}

/// Whether a name is that of the constant 1.
fn is_one(graph: &GraphProto, name: &str) -> bool {
    let tensor = graph.initializer.iter().find(|tensor| tensor.name == name);
    tensor.is_some_and(|tensor| {
        let is_single = matches!(tensor::check(tensor, name), Ok(tensor::Content::Floats(shape)) if shape.is_empty() || shape == [1]);
        let is_one = tensor.raw_data == 1.0_f32.to_le_bytes() || tensor.float_data == [1.0];
        is_single && is_one
    })
}

/// The attributes of the ensemble's node.
struct Attributes<'g>(&'g NodeProto);

impl<'g> Attributes<'g> {
    fn find(&self, name: &str) -> Option<&'g AttributeProto> {
        self.0.attribute.iter().find(|attribute| attribute.name == name)
    }

    fn integers(&self, name: &str) -> &'g [i64] {
        self.find(name).map_or(&[], |attribute| &attribute.ints)
    }

    fn floats(&self, name: &str) -> &'g [f32] {
        self.find(name).map_or(&[], |attribute| &attribute.floats)
    }

    fn text(&self, name: &str, otherwise: &'static str) -> &'g [u8] {
        self.find(name).map_or(otherwise.as_bytes(), |attribute| &attribute.s)
    }
}

/// A list that must be of a length.
fn of_length<'g, T>(list: &'g [T], name: &str, length: usize) -> Result<&'g [T], ModelError> {
    if list.len() == length {
        return Ok(list);
    }
    Err(malformed(format!("attribute {name} has {} entries where {length} are wanted", list.len())))
}

fn parts(manifest: &Manifest, attributes: &Attributes<'_>, is_classifier: bool) -> Result<Parts, ModelError> {
    if attributes.0.attribute.iter().any(|attribute| attribute.name.ends_with("_as_tensor")) {
        return Err(unsupported("thresholds in float64 are not taken; export with float32".to_owned()));
    }
    let classes = attributes.integers("classlabels_int64s").len()
        + attributes.find("classlabels_strings").map_or(0, |attribute| attribute.strings.len());
    let targets = attributes.find("n_targets").map_or(1, |attribute| attribute.i);
    if !is_classifier && targets != 1 {
        return Err(unsupported(format!("it has {targets} targets; a model gives one number")));
    }
    if is_classifier && !(2..=CLASSES_MAX).contains(&classes) {
        return Err(unsupported(format!("it has {classes} classes; 2 to {CLASSES_MAX} are taken")));
    }
    if attributes.text("aggregate_function", "SUM") != b"SUM" {
        return Err(unsupported("only sums of leaves are taken".to_owned()));
    }
    let prefix = if is_classifier { "class" } else { "target" };
    let ids = attributes.integers(&format!("{prefix}_ids"));
    // Two classes of which only one has scores: those of the second, and the first has the rest.
    let is_binary = is_classifier && classes == 2 && ids.windows(2).all(|pair| pair[0] == pair[1]);
    let sums = if !is_classifier || is_binary { 1 } else { classes };
    let transform = match attributes.text("post_transform", "NONE") {
        b"NONE" => Transform::Identity,
        b"LOGISTIC" => Transform::Logistic(1.0),
        b"SOFTMAX" if !is_binary => Transform::Softmax,
        other => {
            let told = String::from_utf8_lossy(other);
            return Err(unsupported(format!("post_transform {told} is not taken; use NONE, LOGISTIC or SOFTMAX")));
        }
    };
    // With a negative weight ONNX Runtime gives a score and its negative in the place of a probability and the rest.
    let is_score = attributes.floats("class_weights").iter().any(|weight| *weight < 0.0);
    if is_binary && transform == Transform::Identity && is_score {
        return Err(unsupported("its two classes have scores, not probabilities; export with LOGISTIC".to_owned()));
    }
    let base = match attributes.floats("base_values") {
        [] => vec![0.0; sums],
        values => of_length(values, "base_values", sums)?.iter().map(|value| f64::from(*value)).collect(),
    };
    let element = manifest.output_element as usize;
    let (nodes, roots, leaves, shares) = read_nodes(attributes, prefix, if is_binary { None } else { Some(sums) })?;
    Ok(Parts { nodes, roots, leaves, shares, base, transform, is_single: true, is_binary, element })
}

/// Nodes, roots, leaves and shares.
type Lists = (Vec<Node>, Vec<u32>, Vec<u32>, Vec<Share>);

/// Reads the nodes; leaves add to sum 0 where the number of sums is not given.
fn read_nodes(attributes: &Attributes<'_>, prefix: &str, sums: Option<usize>) -> Result<Lists, ModelError> {
    let tree_ids = attributes.integers("nodes_treeids");
    let count = tree_ids.len();
    super::scan::limit("the number of its nodes", count as u64, trees::NODES_MAX as u64)?;
    let integers = |name: &str| of_length(attributes.integers(name), name, count);
    let (node_ids, features) = (integers("nodes_nodeids")?, integers("nodes_featureids")?);
    let (lefts, rights) = (integers("nodes_truenodeids")?, integers("nodes_falsenodeids")?);
    let values = of_length(attributes.floats("nodes_values"), "nodes_values", count)?;
    let modes = attributes.find("nodes_modes").map_or(&[][..], |attribute| attribute.strings.as_slice());
    let modes = of_length(modes, "nodes_modes", count)?;
    let tracks = attributes.integers("nodes_missing_value_tracks_true");
    if !tracks.is_empty() {
        of_length(tracks, "nodes_missing_value_tracks_true", count)?;
    }
    let mut shares = leaf_shares(attributes, prefix, sums)?;
    let (mut lists, mut places) = ((Vec::new(), Vec::new(), vec![0], Vec::new()), BTreeMap::new());
    let (nodes, roots, leaves, all_shares): &mut Lists = &mut lists;
    let number = |at: usize| {
        u32::try_from(at).ok().filter(|at| at & LEAF == 0).ok_or_else(|| malformed("too many nodes".to_owned()))
    };
    let mut inner = 0;
    for at in 0..count {
        let key = (tree_ids[at], node_ids[at]);
        let place = if modes[at] == b"LEAF" {
            all_shares.extend(shares.remove(&key).unwrap_or_default());
            leaves.push(number(all_shares.len())?);
            number(leaves.len() - 2)? | LEAF
        } else {
            inner += 1;
            number(inner - 1)?
        };
        if at == 0 || tree_ids[at - 1] != tree_ids[at] {
            roots.push(place);
        }
        if places.insert(key, place).is_some() {
            return Err(malformed(format!("node {} of tree {} is there twice", key.1, key.0)));
        }
    }
    if let Some((tree, node)) = shares.keys().next() {
        return Err(malformed(format!("leaf {node} of tree {tree} has a weight and is not there")));
    }
    for at in (0..count).filter(|at| modes[*at] != b"LEAF") {
        let comparison = match modes[at].as_slice() {
            b"BRANCH_LEQ" => Comparison::AtMost,
            b"BRANCH_LT" => Comparison::Below,
            b"BRANCH_GTE" => Comparison::AtLeast,
            b"BRANCH_GT" => Comparison::Above,
            other => return Err(unsupported(format!("a node compares by {}", String::from_utf8_lossy(other)))),
        };
        let child = |id: i64| {
            let told = || {
                malformed(format!("node {} of tree {} points to {id}, which is not there", node_ids[at], tree_ids[at]))
            };
            places.get(&(tree_ids[at], id)).copied().ok_or_else(told)
        };
        nodes.push(Node {
            feature: u32::try_from(features[at]).map_err(|_| malformed(format!("feature number {}", features[at])))?,
            threshold: f64::from(values[at]),
            left: child(lefts[at])?,
            right: child(rights[at])?,
            comparison,
            missing: Missing::NaN,
            missing_goes_left: tracks.get(at).is_some_and(|track| *track != 0),
        });
    }
    Ok(lists)
}

/// What each leaf adds, by tree and node.
fn leaf_shares(
    attributes: &Attributes<'_>,
    prefix: &str,
    sums: Option<usize>,
) -> Result<BTreeMap<(i64, i64), Vec<Share>>, ModelError> {
    let [tree_name, node_name, id_name, weight_name] =
        ["treeids", "nodeids", "ids", "weights"].map(|name| format!("{prefix}_{name}"));
    let tree_ids = attributes.integers(&tree_name);
    let node_ids = of_length(attributes.integers(&node_name), &node_name, tree_ids.len())?;
    let ids = of_length(attributes.integers(&id_name), &id_name, tree_ids.len())?;
    let weights = of_length(attributes.floats(&weight_name), &weight_name, tree_ids.len())?;
    let mut shares: BTreeMap<_, Vec<Share>> = BTreeMap::new();
    for at in 0..tree_ids.len() {
        let sum = match sums {
            None => 0,
            Some(sums) => u32::try_from(ids[at])
                .ok()
                .filter(|sum| (*sum as usize) < sums)
                .ok_or_else(|| malformed(format!("a leaf adds to output {}, there are {sums}", ids[at])))?,
        };
        shares.entry((tree_ids[at], node_ids[at])).or_default().push(Share { sum, value: f64::from(weights[at]) });
    }
    Ok(shares)
}
