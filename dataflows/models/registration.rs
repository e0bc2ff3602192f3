//! Registering: a folder with a manifest becomes a version, if the model is what its manifest and golden vectors say.

use super::{ModelsError, title};
use std::collections::BTreeMap;
use std::path::Path;
use tidewheel_connectors::registry::{Registry, read_file, sha256};
use tidewheel_models::golden::Agreement;
use tidewheel_models::{LoadedModel, Manifest, ManifestError, ModelId};

/// What was registered.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Which model.
    pub id: ModelId,
    /// Which version.
    pub version: u32,
    /// SHA-256 of its manifest as registered.
    pub sha256: String,
    /// What its golden vectors came to.
    pub agreement: Agreement,
}

/// Registers the model of a folder: `manifest.json` and the files it names.
///
/// # Errors
/// If a file cannot be read, the model is not what its manifest or golden vectors say, or the version is there.
pub fn register(registry: &Registry, folder: &Path) -> Result<Registered, ModelsError> {
    let read = |name: &str| {
        let path = folder.join(name);
        read_file(&path).map_err(|source| ModelsError::File { path, source })
    };
    let path = folder.join("manifest.json");
    let mut manifest = Manifest::from_json(&read("manifest.json")?)
        .map_err(|source| ModelsError::Manifest { path: path.clone(), source })?;
    let (id, version) = (manifest.id.clone(), manifest.version);
    let mut files = BTreeMap::new();
    for name in manifest.file_names() {
        files.insert(name.to_owned(), read(name)?);
    }
    for (file, bytes) in &files {
        let given = sha256(bytes);
        let wanted = manifest.files.entry(file.clone()).or_insert_with(|| given.clone()).clone();
        if wanted != given {
            return Err(ModelsError::Checksum { model: title(&id, version), file: file.clone(), given, wanted });
        }
    }
    let json = manifest.to_json();
    // What lies in a registry already is taken as it is.
    if manifest.sequence_length > 1 && manifest.step_ms == 0 {
        let detail = "missing; the rows of a sequence are held against it, so that none of them is missing".to_owned();
        return Err(ModelsError::Manifest { path, source: ManifestError::Field { field: "step_ms", detail } });
    }
    let model = LoadedModel::load(&json, |name| files.get(name).map(Vec::as_slice))
        .map_err(|source| ModelsError::Load { model: title(&id, version), source: Box::new(source) })?;
    let agreement = model
        .verify()
        .map_err(|difference| ModelsError::Golden { model: title(&id, version), difference: Box::new(difference) })?;
    let sha256 = sha256(&json);
    files.insert("card.md".to_owned(), manifest.card.markdown(&manifest).into_bytes());
    files.insert("manifest.json".to_owned(), json);
    registry.put(&id.to_string(), version, &files)?;
    Ok(Registered { id, version, sha256, agreement })
}
