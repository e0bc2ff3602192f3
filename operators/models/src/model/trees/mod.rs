//! Ensembles of decision trees: one form for those of LightGBM, XGBoost and ONNX-ML.
//!
//! Every tree was checked to be one when it was read: each node is reached once and there is no way round, so a walk ends.
//! Leaves are summed in `f64`, tree after tree.

pub(super) mod lightgbm;
pub(super) mod xgboost;

use super::ModelError;
use crate::ensemble::logistic;
use crate::manifest::ArtifactFormat;

/// The most trees a model may have.
pub(super) const TREES_MAX: usize = 20_000;

/// The most nodes, leaves among them, that the trees of a model may have.
pub(super) const NODES_MAX: usize = 1_000_000;

/// How a value is compared with a node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Below or equal goes left.
    AtMost,
    /// Below goes left.
    Below,
    /// Above or equal goes left.
    AtLeast,
    /// Above goes left.
    Above,
}

/// Which values go where a missing one goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// A NaN is compared as 0 is.
    AsZero,
    /// NaN alone.
    NaN,
    /// NaN and what is as good as 0, in LightGBM's sense.
    ZeroOrNaN,
}

/// A node of a tree: its children are numbers of nodes, or of leaves with [`LEAF`] set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub feature: u32,
    pub threshold: f64,
    pub left: u32,
    pub right: u32,
    pub comparison: Comparison,
    pub missing: Missing,
    pub missing_goes_left: bool,
}

/// The bit of a child's number that says it is a leaf.
pub(super) const LEAF: u32 = 1 << 31;

/// What becomes of the sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Transform {
    /// They are what they are.
    Identity,
    /// The logistic function of each, times a factor.
    Logistic(f64),
    /// Each by the sum of all, after the exponential function.
    Softmax,
}

/// What a leaf adds: to which of the sums, and how much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub sum: u32,
    pub value: f64,
}

/// An ensemble of decision trees.
#[derive(Clone, Debug)]
pub struct Trees {
    nodes: Vec<Node>,
    /// Where each tree begins: a node, or a leaf with [`LEAF`] set.
    roots: Vec<u32>,
    /// Where the shares of each leaf begin; one more than there are leaves.
    leaves: Vec<u32>,
    shares: Vec<Share>,
    /// What each sum begins with.
    base: Vec<f64>,
    transform: Transform,
    /// Whether inputs are rounded to `f32` before they are compared.
    is_single: bool,
    /// Whether the one sum is the second of two classes, and the first its complement.
    is_binary: bool,
    /// Which output is given.
    element: usize,
    /// Nodes and leaves that a score visits at most.
    pub(super) steps: u64,
}

/// The parts of an ensemble as a reader found them.
pub(super) struct Parts {
    pub nodes: Vec<Node>,
    pub roots: Vec<u32>,
    pub leaves: Vec<u32>,
    pub shares: Vec<Share>,
    pub base: Vec<f64>,
    pub transform: Transform,
    pub is_single: bool,
    pub is_binary: bool,
    pub element: usize,
}

impl Trees {
    /// Checks that the parts are trees over so many features.
    pub(super) fn new(format: ArtifactFormat, features: usize, parts: Parts) -> Result<Self, ModelError> {
        let malformed = |detail: String| ModelError::Malformed { format, detail };
        let too_large = |what: &str, given: usize, limit: usize| ModelError::TooLarge {
            what: what.to_owned(),
            given: given as u64,
            limit: limit as u64,
        };
        if parts.roots.len() > TREES_MAX {
            return Err(too_large("the number of its trees", parts.roots.len(), TREES_MAX));
        }
        if parts.nodes.len() + parts.leaves.len() > NODES_MAX {
            return Err(too_large("the number of its nodes", parts.nodes.len() + parts.leaves.len(), NODES_MAX));
        }
        let outputs = if parts.is_binary { 2 } else { parts.base.len() };
        if parts.element >= outputs {
            let told = format!("output_element is {}, the model has {outputs} output(s)", parts.element);
            return Err(ModelError::Mismatch(told));
        }
        let leaves = parts.leaves.len() - 1;
        let (mut seen_nodes, mut seen_leaves) = (vec![false; parts.nodes.len()], vec![false; leaves]);
        // The trees, one after the other, and how many nodes above a leaf the deepest of each has.
        let (mut waiting, mut depth, mut steps) = (Vec::new(), 0, 0_u64);
        let mut roots = parts.roots.iter();
        while let Some((at, above)) = waiting.pop().or_else(|| roots.next().map(|root| (*root, 0_u64))) {
            if above == 0 {
                steps += std::mem::take(&mut depth);
            }
            depth = depth.max(above + 1);
            let (seen, index) = if at & LEAF == 0 { (&mut seen_nodes, at) } else { (&mut seen_leaves, at & !LEAF) };
            let Some(seen) = seen.get_mut(index as usize) else {
                return Err(malformed("a node points outside the tree".to_owned()));
            };
            if std::mem::replace(seen, true) {
                return Err(malformed("two nodes point to the same one: it is not a tree".to_owned()));
            }
            if at & LEAF == 0 {
                let node = &parts.nodes[at as usize];
                if node.feature as usize >= features {
                    let told = format!("a node asks for feature number {}, there are {features}", node.feature);
                    return Err(ModelError::Mismatch(told));
                }
                if node.threshold.is_nan() {
                    return Err(malformed("a threshold is not a number".to_owned()));
                }
                waiting.extend([node.left, node.right].map(|child| (child, above + 1)));
            }
        }
        steps += depth;
        let is_finite = parts.base.iter().chain(parts.shares.iter().map(|share| &share.value)).all(|x| x.is_finite());
        if !is_finite {
            return Err(malformed("a leaf or a base value is not a finite number".to_owned()));
        }
        let Parts { nodes, roots, leaves, shares, base, transform, is_single, is_binary, element } = parts;
        Ok(Self { nodes, roots, leaves, shares, base, transform, is_single, is_binary, element, steps })
    }

    /// How many trees there are.
    pub const fn trees(&self) -> usize {
        self.roots.len()
    }

    /// The asked output for one row; NaN for what is missing.
    pub(super) fn score(&self, input: &[f64]) -> f64 {
        let rounded: Vec<f64>;
        let input = if self.is_single {
            rounded = input.iter().map(|value| f64::from(*value as f32)).collect();
            &rounded
        } else {
            input
        };
        let mut one = [0.0];
        let mut many;
        let sums: &mut [f64] = if self.base.len() == 1 {
            one[0] = self.base[0];
            &mut one
        } else {
            many = self.base.clone();
            &mut many
        };
        for root in &self.roots {
            let leaf = self.walk(*root, input) as usize;
            for share in &self.shares[self.leaves[leaf] as usize..self.leaves[leaf + 1] as usize] {
                sums[share.sum as usize] += share.value;
            }
        }
        match (self.transform, self.is_binary) {
            (Transform::Softmax, _) => {
                let greatest = sums.iter().copied().fold(f64::MIN, f64::max);
                let whole: f64 = sums.iter().map(|sum| (sum - greatest).exp()).sum();
                (sums[self.element] - greatest).exp() / whole
            }
            (transform, is_binary) => {
                let sum = sums[if is_binary { 0 } else { self.element }];
                let value = if let Transform::Logistic(factor) = transform { logistic(factor * sum) } else { sum };
                if is_binary && self.element == 0 { 1.0 - value } else { value }
            }
        }
    }

    /// The number of the leaf that a row falls into.
    fn walk(&self, root: u32, input: &[f64]) -> u32 {
        let mut at = root;
        while at & LEAF == 0 {
            let node = &self.nodes[at as usize];
            let value = input[node.feature as usize];
            at = if node.goes_left(value) { node.left } else { node.right };
        }
        at & !LEAF
    }
}

impl Node {
    fn goes_left(&self, value: f64) -> bool {
        let value = match self.missing {
            Missing::NaN if value.is_nan() => return self.missing_goes_left,
            // LightGBM's bound, written there as a `float`.
            Missing::ZeroOrNaN if value.is_nan() || value.abs() <= f64::from(1e-35_f32) => {
                return self.missing_goes_left;
            }
            Missing::AsZero if value.is_nan() => 0.0,
            _ => value,
        };
        match self.comparison {
            Comparison::AtMost => value <= self.threshold,
            Comparison::Below => value < self.threshold,
            Comparison::AtLeast => value >= self.threshold,
            Comparison::Above => value > self.threshold,
        }
    }
}

/// Whether the columns a file was trained on are those of the manifest, where it names them. Names that the library
/// makes up (`Column_0`, `f0`) say nothing.
pub(super) fn check_names(names: &[&str], features: &[String]) -> Result<(), ModelError> {
    if names.is_empty() {
        return Ok(());
    }
    if names.len() != features.len() {
        let told = format!("the file has {} features, the manifest names {}", names.len(), features.len());
        return Err(ModelError::Mismatch(told));
    }
    let is_made_up = |at: usize, name: &str| name == format!("Column_{at}") || name == format!("f{at}");
    let is_other =
        |(at, (name, wanted)): &(usize, (&&str, &String))| **name != wanted.as_str() && !is_made_up(*at, name);
    match names.iter().zip(features).enumerate().find(is_other) {
        Some((at, (name, wanted))) => {
            let told = format!("feature number {at} is \"{name}\" in the file, \"{wanted}\" in the manifest");
            Err(ModelError::Mismatch(told))
        }
        None => Ok(()),
    }
}
