//! Promotions: from when on an alias of a target means which ensemble of which versions.
//!
//! A promotion names everything that scores change with, so that it can be carried as one record and take effect at once.

use crate::ensemble::{Ensemble, EnsembleDefinition};
use crate::manifest::ModelId;
use crate::score::ActiveError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The aliases that a target has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alias {
    /// What decides.
    Production,
    /// What scores beside it, without a say.
    Challenger,
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Production => "production",
            Self::Challenger => "challenger",
        })
    }
}

/// A model version that a promotion brings in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromotedMember {
    /// Which model.
    pub model: ModelId,
    /// Which version.
    pub version: u32,
    /// SHA-256 of its manifest as registered, which has those of its files: nothing of it can differ under the same one.
    pub sha256: String,
}

/// An alias is given an ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// Its number in the history of the registry, from 1.
    pub number: u64,
    /// Which alias.
    pub alias: Alias,
    /// Of which symbol; `any` for all.
    pub symbol: String,
    /// Of which target.
    pub target: String,
    /// The ensemble it means from now on.
    pub ensemble: EnsembleDefinition,
    /// The members' versions, in the order of the ensemble's.
    pub members: Vec<PromotedMember>,
    /// Where this is a rollback: the number of the promotion that is in force again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back_to: Option<u64>,
}

impl Promotion {
    /// Whether the members' versions are those of its ensemble, one for one.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_members(&self, ensemble: &Ensemble) -> Result<(), ActiveError> {
        let defined = &ensemble.definition().members;
        for (at, member) in self.members.iter().enumerate() {
            let wanted = defined.get(at).map(|member| (&member.model, member.version));
            if wanted != Some((&member.model, member.version)) {
                let wanted = wanted.map_or("nothing".to_owned(), |(model, version)| format!("{model}@{version}"));
                let detail = format!("version {} stands where the ensemble has {wanted}", member.version);
                return Err(ActiveError { model: member.model.to_string(), detail });
            }
        }
        match defined.get(self.members.len()) {
            Some(missing) => {
                Err(ActiveError { model: missing.model.to_string(), detail: "it was not given".to_owned() })
            }
            None => Ok(()),
        }
    }

    /// What is promoted for, as `symbol-target`.
    pub fn subject(&self) -> String {
        format!("{}-{}", self.symbol, self.target)
    }
}

/// An alias of a target is left without an ensemble. A symbol that had one of its own goes by that of `any` again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// Its number in the history of the registry, among those of the promotions.
    pub number: u64,
    /// Which alias.
    pub alias: Alias,
    /// Of which symbol; `any` for all that have none of their own.
    pub symbol: String,
    /// Of which target.
    pub target: String,
}

/// What the history of a registry is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Change {
    /// An alias was given an ensemble.
    Promotion(Promotion),
    /// It was left without.
    Withdrawal(Withdrawal),
}

impl Change {
    /// Its number.
    pub const fn number(&self) -> u64 {
        match self {
            Self::Promotion(promotion) => promotion.number,
            Self::Withdrawal(withdrawal) => withdrawal.number,
        }
    }

    /// The alias, symbol and target that it is about.
    pub fn of(&self) -> (Alias, &str, &str) {
        match self {
            Self::Promotion(it) => (it.alias, &it.symbol, &it.target),
            Self::Withdrawal(it) => (it.alias, &it.symbol, &it.target),
        }
    }

    /// The promotion, where it is one.
    pub const fn promotion(&self) -> Option<&Promotion> {
        match self {
            Self::Promotion(promotion) => Some(promotion),
            Self::Withdrawal(_) => None,
        }
    }
}
