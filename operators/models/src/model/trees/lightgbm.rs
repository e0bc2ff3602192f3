//! The text that LightGBM saves, read without LightGBM: `Booster.save_model`, version 3 and 4.
//!
//! Numerical splits only. Refused: categorical splits, linear trees, several classes, forests (`average_output`), and
//! objectives whose output is neither the sum of the leaves nor its logistic function. Thresholds and leaves are `f64`, as
//! in LightGBM itself, and are compared as its `NumericalDecision` does.

use super::{Comparison, LEAF, Missing, Node, Parts, Share, Transform, Trees, check_names};
use crate::manifest::{ArtifactFormat, Manifest};
use crate::model::ModelError;
use std::collections::BTreeMap;
use std::str::FromStr;

/// A file larger than this is refused, bytes.
const BYTES_MAX: usize = 64 << 20;

/// Objectives whose output is the sum of the leaves.
const PLAIN: [&str; 6] = ["regression", "regression_l1", "huber", "fair", "quantile", "mape"];

fn malformed(detail: String) -> ModelError {
    ModelError::Malformed { format: ArtifactFormat::Lightgbm, detail }
}

fn unsupported<T>(detail: &str) -> Result<T, ModelError> {
    Err(ModelError::Unsupported(detail.to_owned()))
}

/// The lines `key=value` of one part of the file.
struct Section<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Section<'a> {
    fn read(lines: impl Iterator<Item = &'a str>) -> Self {
        Self(lines.map(|line| line.split_once('=').unwrap_or((line, ""))).collect())
    }

    fn text(&self, key: &str) -> Result<&'a str, ModelError> {
        self.0.get(key).copied().ok_or_else(|| malformed(format!("there is no line {key}=")))
    }

    fn number<T: FromStr>(&self, key: &str) -> Result<T, ModelError> {
        let text = self.text(key)?;
        text.parse().map_err(|_| malformed(format!("{key}={text} is not such a number")))
    }

    fn list<T: FromStr>(&self, key: &str, length: usize) -> Result<Vec<T>, ModelError> {
        let parse =
            |word: &str| word.parse().map_err(|_| malformed(format!("{key} has \"{word}\", not such a number")));
        let list = self.text(key)?.split_ascii_whitespace().map(parse).collect::<Result<Vec<T>, _>>()?;
        if list.len() == length {
            return Ok(list);
        }
        Err(malformed(format!("{key} has {} numbers, the tree wants {length}", list.len())))
    }
}

/// Reads a file.
pub(in crate::model) fn load(manifest: &Manifest, bytes: &[u8]) -> Result<Trees, ModelError> {
    if bytes.len() > BYTES_MAX {
        let (given, limit) = (bytes.len() as u64, BYTES_MAX as u64);
        return Err(ModelError::TooLarge { what: "its size in bytes".to_owned(), given, limit });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    let mut lines = text.lines().map(str::trim_end);
    if lines.next() != Some("tree") {
        return Err(malformed("its first line is not \"tree\"".to_owned()));
    }
    let header = Section::read(lines.by_ref().take_while(|line| !line.starts_with("tree_sizes=")));
    check_version(&header)?;
    let names: Vec<&str> = header.text("feature_names")?.split_ascii_whitespace().collect();
    check_names(&names, &manifest.features)?;
    let transform = objective(&header)?;
    let mut parts = Parts {
        nodes: Vec::new(),
        roots: Vec::new(),
        leaves: vec![0],
        shares: Vec::new(),
        base: vec![0.0],
        transform,
        is_single: false,
        is_binary: false,
        element: manifest.output_element as usize,
    };
    let mut is_whole = false;
    while let Some(line) = lines.next() {
        if line == "end of trees" {
            is_whole = true;
            break;
        }
        if line.starts_with("Tree=") {
            let tree = Section::read(lines.by_ref().take_while(|line| !line.is_empty()));
            read_tree(&tree, &mut parts)?;
        }
    }
    if !is_whole {
        return Err(malformed("there is no line \"end of trees\": the file is cut off".to_owned()));
    }
    if parts.roots.is_empty() {
        return Err(malformed("there are no trees".to_owned()));
    }
    let mut parameters = lines.filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')?.split_once(": "));
    if parameters.any(|parameter| parameter == ("reg_sqrt", "1")) {
        return unsupported("it was trained with reg_sqrt; train on what is to be told");
    }
    Trees::new(ArtifactFormat::Lightgbm, manifest.features.len(), parts)
}

fn check_version(header: &Section<'_>) -> Result<(), ModelError> {
    let version = header.text("version")?;
    if !matches!(version, "v3" | "v4") {
        return unsupported(&format!("version {version} of the format is not known; save it with LightGBM 3 or 4"));
    }
    let (classes, trees) = (header.number::<u32>("num_class")?, header.number::<u32>("num_tree_per_iteration")?);
    if (classes, trees) != (1, 1) {
        return unsupported("it has several classes; a model gives one number");
    }
    if header.0.contains_key("average_output") {
        return unsupported("it is a forest (average_output); train boosted trees");
    }
    Ok(())
}

fn objective(header: &Section<'_>) -> Result<Transform, ModelError> {
    let objective = header.text("objective")?;
    let mut words = objective.split_ascii_whitespace();
    match words.next() {
        Some(name) if PLAIN.contains(&name) && !words.any(|word| word == "sqrt") => Ok(Transform::Identity),
        Some("binary") => {
            let factor = words.find_map(|word| word.strip_prefix("sigmoid:"));
            let factor = factor.and_then(|factor| factor.parse::<f64>().ok()).filter(|factor| *factor > 0.0);
            factor.map(Transform::Logistic).ok_or_else(|| malformed(format!("objective={objective} has no sigmoid:")))
        }
        _ => unsupported(&format!("objective \"{objective}\" is not done here; use {} or binary", PLAIN.join(", "))),
    }
}

fn read_tree(tree: &Section<'_>, parts: &mut Parts) -> Result<(), ModelError> {
    let leaves: usize = tree.number("num_leaves")?;
    if leaves == 0 {
        return Err(malformed("num_leaves=0".to_owned()));
    }
    if tree.number::<u32>("num_cat")? != 0 {
        return unsupported("it has categorical splits; encode categories as numbers");
    }
    if tree.0.get("is_linear").is_some_and(|is_linear| *is_linear != "0") {
        return unsupported("it has linear trees; train with linear_tree=false");
    }
    let splits = leaves - 1;
    let offset = |length: usize| u32::try_from(length).ok().filter(|offset| offset & LEAF == 0);
    let (Some(first_node), Some(first_leaf)) = (offset(parts.nodes.len()), offset(parts.shares.len())) else {
        return Err(malformed("there are more nodes than can be numbered".to_owned()));
    };
    let values: Vec<f64> = tree.list("leaf_value", leaves)?;
    for value in values {
        parts.shares.push(Share { sum: 0, value });
        parts.leaves.push(offset(parts.shares.len()).ok_or_else(|| malformed("too many leaves".to_owned()))?);
    }
    if splits == 0 {
        parts.roots.push(first_leaf | LEAF);
        return Ok(());
    }
    parts.roots.push(first_node);
    let features: Vec<u32> = tree.list("split_feature", splits)?;
    let thresholds: Vec<f64> = tree.list("threshold", splits)?;
    let decisions: Vec<u8> = tree.list("decision_type", splits)?;
    let left: Vec<i32> = tree.list("left_child", splits)?;
    let right: Vec<i32> = tree.list("right_child", splits)?;
    // Its own numbers: a node from 0, a leaf as its complement.
    let child = |number: i32| {
        let (within, first, count, bit) =
            if number >= 0 { (number, first_node, splits, 0) } else { (!number, first_leaf, leaves, LEAF) };
        let within = u32::try_from(within).ok().filter(|within| (*within as usize) < count);
        let at = within.and_then(|within| first.checked_add(within)).filter(|at| at & LEAF == 0);
        at.map(|at| at | bit).ok_or_else(|| malformed(format!("child {number} is outside its tree")))
    };
    for at in 0..splits {
        let decision = decisions[at];
        if decision & 1 != 0 {
            return unsupported("it has categorical splits; encode categories as numbers");
        }
        let missing = match (decision >> 2) & 3 {
            0 => Missing::AsZero,
            1 => Missing::ZeroOrNaN,
            2 => Missing::NaN,
            _ => return Err(malformed(format!("decision_type has {decision}, which means nothing"))),
        };
        parts.nodes.push(Node {
            feature: features[at],
            threshold: thresholds[at],
            left: child(left[at])?,
            right: child(right[at])?,
            comparison: Comparison::AtMost,
            missing,
            missing_goes_left: decision & 2 != 0,
        });
    }
    Ok(())
}
