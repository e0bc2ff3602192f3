//! The JSON that XGBoost saves, read without XGBoost: `Booster.save_model("model.json")`, version 2 and 3.
//!
//! Boosted trees with numerical splits only. Refused: categorical splits, linear boosters, `dart`, several classes or
//! targets, and objectives whose output is neither the sum of the leaves nor its logistic function. Inputs are rounded to
//! `f32` and compared as there; leaves are summed in `f64`, where XGBoost rounds each sum to `f32`.

use super::{Comparison, LEAF, Missing, Node, Parts, Share, Transform, Trees, check_names};
use crate::manifest::{ArtifactFormat, Manifest};
use crate::model::ModelError;
use serde::Deserialize;

/// A file larger than this is refused, bytes.
const BYTES_MAX: usize = 64 << 20;

#[derive(Deserialize)]
struct File {
    learner: Learner,
    version: Vec<u32>,
}

#[derive(Deserialize)]
struct Learner {
    feature_names: Vec<String>,
    gradient_booster: Booster,
    learner_model_param: LearnerParameters,
    objective: Objective,
}

#[derive(Deserialize)]
struct Booster {
    name: String,
    model: Option<BoosterModel>,
}

#[derive(Deserialize)]
struct BoosterModel {
    trees: Vec<Tree>,
    tree_info: Vec<i64>,
}

#[derive(Deserialize)]
struct LearnerParameters {
    base_score: String,
    num_class: String,
    num_feature: String,
    #[serde(default)]
    num_target: Option<String>,
}

#[derive(Deserialize)]
struct Objective {
    name: String,
}

#[derive(Deserialize)]
struct Tree {
    left_children: Vec<i64>,
    right_children: Vec<i64>,
    split_indices: Vec<u32>,
    split_conditions: Vec<f32>,
    default_left: Vec<Flag>,
    #[serde(default)]
    split_type: Vec<u8>,
}

/// Written as 0 and 1, or as false and true, by version.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Flag {
    Number(u8),
    Truth(bool),
}

impl Flag {
    const fn is_set(self) -> bool {
        matches!(self, Self::Truth(true) | Self::Number(1..))
    }
}

fn malformed(detail: String) -> ModelError {
    ModelError::Malformed { format: ArtifactFormat::Xgboost, detail }
}

fn unsupported<T>(detail: &str) -> Result<T, ModelError> {
    Err(ModelError::Unsupported(detail.to_owned()))
}

/// Reads a file.
pub(in crate::model) fn load(manifest: &Manifest, bytes: &[u8]) -> Result<Trees, ModelError> {
    if bytes.len() > BYTES_MAX {
        let (given, limit) = (bytes.len() as u64, BYTES_MAX as u64);
        return Err(ModelError::TooLarge { what: "its size in bytes".to_owned(), given, limit });
    }
    let File { learner, version } = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    if !matches!(version.first(), Some(2 | 3)) {
        return unsupported(&format!("version {version:?} of the format is not known; save it with XGBoost 2 or 3"));
    }
    let names: Vec<&str> = learner.feature_names.iter().map(String::as_str).collect();
    check_names(&names, &manifest.features)?;
    let LearnerParameters { base_score, num_class, num_feature, num_target } = &learner.learner_model_param;
    if num_feature.parse() != Ok(manifest.features.len()) {
        let told = format!("the file has {num_feature} features, the manifest names {}", manifest.features.len());
        return Err(ModelError::Mismatch(told));
    }
    let is_one = |number: &String| matches!(number.as_str(), "0" | "1");
    if !is_one(num_class) || !num_target.as_ref().is_none_or(is_one) {
        return unsupported("it has several classes or targets; a model gives one number");
    }
    let Booster { name, model: Some(BoosterModel { trees, tree_info }) } = learner.gradient_booster else {
        return unsupported("it holds no plain boosted trees; train with booster=gbtree");
    };
    if name != "gbtree" || tree_info.iter().any(|group| *group != 0) {
        return unsupported("it holds no plain boosted trees of one output; train with booster=gbtree");
    }
    // A number, or since version 3 a list of one.
    let base = base_score.trim_start_matches('[').trim_end_matches(']');
    let base: f64 = base.parse().map_err(|_| malformed(format!("base_score is \"{base_score}\"")))?;
    let (transform, base) = match learner.objective.name.as_str() {
        "reg:squarederror" | "reg:absoluteerror" | "reg:pseudohubererror" => (Transform::Identity, base),
        "binary:logistic" | "reg:logistic" if base > 0.0 && base < 1.0 => {
            (Transform::Logistic(1.0), (base / (1.0 - base)).ln())
        }
        other => {
            let told = "is not done here; use reg:squarederror or binary:logistic";
            return unsupported(&format!("objective \"{other}\" with a base_score of {base} {told}"));
        }
    };
    let mut parts = Parts {
        nodes: Vec::new(),
        roots: Vec::new(),
        leaves: vec![0],
        shares: Vec::new(),
        base: vec![base],
        transform,
        is_single: true,
        is_binary: false,
        element: manifest.output_element as usize,
    };
    if trees.is_empty() {
        return Err(malformed("there are no trees".to_owned()));
    }
    for tree in &trees {
        read_tree(tree, &mut parts)?;
    }
    Trees::new(ArtifactFormat::Xgboost, manifest.features.len(), parts)
}

fn read_tree(tree: &Tree, parts: &mut Parts) -> Result<(), ModelError> {
    let count = tree.left_children.len();
    let lengths = [tree.right_children.len(), tree.split_indices.len(), tree.split_conditions.len()];
    if count == 0 || lengths != [count; 3] || tree.default_left.len() != count {
        return Err(malformed("the lists of a tree are not of one length".to_owned()));
    }
    if tree.split_type.iter().any(|kind| *kind != 0) {
        return unsupported("it has categorical splits; encode categories as numbers");
    }
    // Nodes and leaves have one row of numbers in the file and two here.
    let too_many = || malformed("there are more nodes than can be numbered".to_owned());
    let number = |length: usize| u32::try_from(length).ok().filter(|at| at & LEAF == 0).ok_or_else(too_many);
    let (mut nodes, mut leaves) = (number(parts.nodes.len())?, number(parts.shares.len())?);
    let mut places = Vec::with_capacity(count);
    for left in &tree.left_children {
        if *left < 0 {
            places.push(leaves | LEAF);
            leaves += 1;
        } else {
            places.push(nodes);
            nodes += 1;
        }
    }
    let child = |at: i64| {
        let place = usize::try_from(at).ok().and_then(|at| places.get(at));
        place.copied().ok_or_else(|| malformed(format!("child {at} is outside its tree")))
    };
    for at in 0..count {
        let condition = f64::from(tree.split_conditions[at]);
        if tree.left_children[at] < 0 {
            parts.shares.push(Share { sum: 0, value: condition });
            parts.leaves.push(number(parts.shares.len())?);
            continue;
        }
        parts.nodes.push(Node {
            feature: tree.split_indices[at],
            threshold: condition,
            left: child(tree.left_children[at])?,
            right: child(tree.right_children[at])?,
            comparison: Comparison::Below,
            missing: Missing::NaN,
            missing_goes_left: tree.default_left[at].is_set(),
        });
    }
    parts.roots.push(places[0]);
    Ok(())
}
