//! The history of aliases: every change in order, written anew beside the old one and renamed over it.

use super::{Registry, RegistryError, read_bounded, sync_folder, write_synced};
use crate::fault;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::PathBuf;

/// The form of the file.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<T> {
    format: u32,
    changes: Vec<T>,
}

impl Registry {
    /// All changes, the oldest first; none where there was none.
    ///
    /// # Errors
    /// If the history cannot be read or understood.
    pub fn history<T: DeserializeOwned>(&self) -> Result<Vec<T>, RegistryError> {
        let path = self.history_path();
        let bytes = match read_bounded(&path) {
            Err(RegistryError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let error = |detail: String| RegistryError::History { path: path.clone(), detail };
        let Document { format, changes } = serde_json::from_slice(&bytes).map_err(|it| error(it.to_string()))?;
        if format == FORMAT {
            Ok(changes)
        } else {
            Err(error(format!("its format is {format}, this program knows {FORMAT}")))
        }
    }

    /// Appends a change that `make` makes of those before it, which nobody adds to in the meantime.
    ///
    /// # Errors
    /// If `make` fails, or the history cannot be read or written.
    pub fn append<T, E>(&self, make: impl FnOnce(&[T]) -> Result<T, E>) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned + Clone,
        E: From<RegistryError>,
    {
        let _lock = self.lock()?;
        let mut changes = self.history()?;
        let change = make(&changes)?;
        changes.push(change.clone());
        self.replace(&Document { format: FORMAT, changes })?;
        Ok(change)
    }

    fn replace<T: Serialize>(&self, document: &Document<T>) -> Result<(), RegistryError> {
        let path = self.history_path();
        let mut bytes = serde_json::to_vec_pretty(document)
            .map_err(|error| RegistryError::History { path: path.clone(), detail: error.to_string() })?;
        bytes.push(b'\n');
        let staged = self.staging().join("aliases.json");
        write_synced(&staged, &bytes)?;
        fault::reached("registry.alias_staged").map_err(RegistryError::io("write", &staged))?;
        fs::rename(&staged, &path).map_err(RegistryError::io("replace", &path))?;
        fault::reached("registry.alias_committed").map_err(RegistryError::io("write", &path))?;
        sync_folder(&self.root)
    }

    fn history_path(&self) -> PathBuf {
        self.root.join("aliases.json")
    }
}
