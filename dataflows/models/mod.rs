//! Models in the registry: registered once their golden vectors hold, loaded with their checksums, promoted and rolled back.
//!
//! The registry keeps bytes and the models' crate computes; here the two meet. A promotion is one value that names all that
//! scores change with; when it takes effect in a run is not decided here.

mod promotion;
mod registration;

pub use promotion::{in_force, promote, rollback, who, withdraw};
pub use registration::{Registered, register};

use std::path::PathBuf;
use std::sync::Arc;
use tidewheel_connectors::registry::{Registry, RegistryError, sha256};
use tidewheel_models::score::{ActiveEnsemble, ActiveError};
use tidewheel_models::{
    Difference, Ensemble, EnsembleError, FeatureView, LoadError, LoadedModel, Manifest, ManifestError, ModelId,
    Promotion,
};
use tidewheel_operators::features::View;

/// Why a model cannot be registered, loaded or promoted.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    /// The registry cannot be read or written.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A file to register cannot be read.
    #[error("could not read {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A manifest cannot be used.
    #[error("{}: {source}", path.display())]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: ManifestError,
    },
    /// A version cannot be loaded.
    #[error("{model}: {source}")]
    Load {
        /// Which version of which model.
        model: String,
        /// Why not.
        source: Box<LoadError>,
    },
    /// A file is not the one its manifest says.
    #[error(
        "{model}: file \"{file}\" has the SHA-256 {given}, the manifest says {wanted}; \
             correct field files of the manifest, or leave it out to have it filled in"
    )]
    Checksum {
        /// Which version of which model.
        model: String,
        /// Which file.
        file: String,
        /// What it has.
        given: String,
        /// What the manifest says.
        wanted: String,
    },
    /// What is in a version's place is another model.
    #[error("{model}: its manifest is of {found}; restore it from a copy")]
    Misplaced {
        /// Which version of which model.
        model: String,
        /// What is there.
        found: String,
    },
    /// A model does not give what its golden vectors expect.
    #[error("{model} does not agree with its golden vectors: {difference}")]
    Golden {
        /// Which version of which model.
        model: String,
        /// The first difference.
        difference: Box<Difference>,
    },
    /// A definition of an ensemble cannot be used.
    #[error(transparent)]
    Ensemble(#[from] EnsembleError),
    /// Models do not make up the ensemble.
    #[error(transparent)]
    Members(#[from] ActiveError),
    /// A version is not the one that was promoted.
    #[error(
        "{model} has a manifest of SHA-256 {given}, promoted was {wanted}; \
             restore the registry from a copy, or promote again"
    )]
    Promoted {
        /// Which version of which model.
        model: String,
        /// What it has.
        given: String,
        /// What was promoted.
        wanted: String,
    },
    /// An ensemble of this name and version was another.
    #[error(
        "could not promote {ensemble}: promotion {number} has another definition under this name and version; \
             give it the next version"
    )]
    Redefined {
        /// The ensemble.
        ensemble: String,
        /// The promotion that has it.
        number: u64,
    },
    /// There is nothing to withdraw.
    #[error("could not withdraw {0}: it has no ensemble")]
    NothingInForce(String),
    /// There is nothing to go back to.
    #[error("could not roll back: {0}")]
    Rollback(String),
}

/// How a version is told of.
pub(crate) fn title(id: &ModelId, version: u32) -> String {
    format!("model {id} version {version}")
}

/// SHA-256 of what the values of a view depend on, its contract, a line each: `view_contract` of a manifest.
pub fn contract_sha256(view: &View) -> String {
    sha256(view.contract().join("\n").as_bytes())
}

/// A version out of the registry.
#[derive(Debug)]
pub struct FromRegistry {
    /// The model.
    pub model: LoadedModel,
    /// SHA-256 of its manifest as registered.
    pub sha256: String,
}

/// Loads a version, held against its checksums. Where its manifest must have a certain one, nothing is built of another.
///
/// # Errors
/// If there is none, it is another, a file changed or was registered without a checksum, or it cannot be loaded.
pub fn load(
    registry: &Registry,
    id: &ModelId,
    version: u32,
    wanted: Option<&str>,
) -> Result<FromRegistry, ModelsError> {
    let model = || title(id, version);
    let checksums = registry.checksums(&id.to_string(), version)?;
    if let (Some(wanted), given) = (wanted, checksums.get("manifest.json").cloned().unwrap_or_default())
        && given != wanted
    {
        return Err(ModelsError::Promoted { model: model(), given, wanted: wanted.to_owned() });
    }
    let stored = registry.get(&id.to_string(), version)?;
    let file = |name: &str| stored.files.get(name).map(Vec::as_slice);
    let manifest = file("manifest.json").unwrap_or_default();
    let refused = |source| ModelsError::Load { model: model(), source: Box::new(source) };
    let sha256 = sha256(manifest);
    if let Some(wanted) = wanted.filter(|wanted| *wanted != sha256) {
        return Err(ModelsError::Promoted { model: model(), given: sha256, wanted: wanted.to_owned() });
    }
    let found = Manifest::from_json(manifest).map_err(|error| refused(error.into()))?;
    if (&found.id, found.version) != (id, version) {
        return Err(ModelsError::Misplaced { model: model(), found: title(&found.id, found.version) });
    }
    for file in found.file_names() {
        let wanted = found.files.get(file).ok_or_else(|| refused(LoadError::Unsealed(file.to_owned())))?;
        let given = stored.sha256.get(file).cloned().unwrap_or_default();
        if given != *wanted {
            let (file, wanted) = (file.to_owned(), wanted.clone());
            return Err(ModelsError::Checksum { model: model(), file, given, wanted });
        }
    }
    let loaded = LoadedModel::load(manifest, file).map_err(refused)?;
    Ok(FromRegistry { sha256, model: loaded })
}

/// Loads what a promotion names and puts it together for a view: all that scores depend on, as one value.
///
/// # Errors
/// If a version cannot be loaded, is not the one that was promoted, or does not fit the view.
pub fn activate(
    registry: &Registry,
    promotion: &Promotion,
    view: &FeatureView,
    columns: &[String],
) -> Result<ActiveEnsemble, ModelsError> {
    let ensemble = Ensemble::new(promotion.ensemble.clone())?;
    promotion.check_members(&ensemble)?;
    let load = |member: &tidewheel_models::PromotedMember| {
        let loaded = load(registry, &member.model, member.version, Some(&member.sha256))?;
        Ok::<_, ModelsError>(Arc::new(loaded.model))
    };
    let models = promotion.members.iter().map(load).collect::<Result<Vec<_>, _>>()?;
    Ok(ActiveEnsemble::new(ensemble, &models, view, columns)?)
}
