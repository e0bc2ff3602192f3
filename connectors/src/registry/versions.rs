//! Versions: put once, whole, and held against their checksums each time they are read.

use super::{Registry, RegistryError, read_bounded, sha256, sync_folder, write_synced};
use crate::fault;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The file of checksums.
const CHECKSUMS: &str = "SHA256";

/// The most files a version may have.
const FILES_MAX: usize = 64;

/// What tells that the files of a version are others than they were, without reading them: names, lengths, times of change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(Vec<(std::ffi::OsString, u64, SystemTime)>);

/// A version as it was read: all its files, found to be what they were when they were registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// By name, without the checksums.
    pub files: BTreeMap<String, Vec<u8>>,
    /// SHA-256 of each.
    pub sha256: BTreeMap<String, String>,
}

impl Registry {
    /// Puts a version: its files, by name. All or nothing, and durable once this returns.
    ///
    /// # Errors
    /// If the version is there, or cannot be written.
    pub fn put(&self, id: &str, version: u32, files: &BTreeMap<String, Vec<u8>>) -> Result<(), RegistryError> {
        let _lock = self.lock()?;
        let place = self.place(id, version);
        let there = self.versions(id)?;
        if there.contains(&version) {
            let next = there.iter().max().map_or(1, |last| last.saturating_add(1));
            return Err(RegistryError::Exists { id: id.to_owned(), version, next });
        }
        let staged = self.staging().join("version");
        fs::create_dir(&staged).map_err(RegistryError::io("create folder", &staged))?;
        let mut checksums = String::new();
        for (name, bytes) in files {
            write_synced(&staged.join(name), bytes)?;
            checksums += &format!("{}  {name}\n", sha256(bytes));
        }
        write_synced(&staged.join(CHECKSUMS), checksums.as_bytes())?;
        sync_folder(&staged)?;
        fault::reached("registry.staged").map_err(RegistryError::io("write", &staged))?;
        let model = place.parent().unwrap_or(&place);
        fs::create_dir_all(model).map_err(RegistryError::io("create folder", model))?;
        // A folder that has files is never replaced by a rename.
        fs::rename(&staged, &place).map_err(RegistryError::io("put a version at", &place))?;
        fault::reached("registry.committed").map_err(RegistryError::io("write", &place))?;
        sync_folder(model)?;
        sync_folder(&self.root.join("models"))
    }

    /// Reads a version and holds each file against its checksum.
    ///
    /// # Errors
    /// If there is none, or a file is missing, changed, or one that was not registered.
    pub fn get(&self, id: &str, version: u32) -> Result<Version, RegistryError> {
        let place = self.place(id, version);
        let sha256 = self.checksums(id, version)?;
        let mut files = BTreeMap::new();
        for (name, wanted) in &sha256 {
            let file = place.join(name);
            let bytes = read_there(&file)?;
            let given = super::sha256(&bytes);
            if given != *wanted {
                return Err(changed(&file, &format!("its SHA-256 is {given}, it was registered with {wanted}")));
            }
            files.insert(name.clone(), bytes);
        }
        for entry in fs::read_dir(&place).map_err(RegistryError::io("list", &place))? {
            let entry = entry.map_err(RegistryError::io("list", &place))?;
            let name = entry.file_name();
            let is_known = name.to_str().is_some_and(|name| name == CHECKSUMS || files.contains_key(name));
            if !is_known {
                return Err(changed(&entry.path(), "it was not registered"));
            }
        }
        Ok(Version { files, sha256 })
    }

    /// The checksums that a version was registered with, by the name of the file; nothing is held against them.
    ///
    /// # Errors
    /// If there is no such version, or its checksums cannot be read.
    pub fn checksums(&self, id: &str, version: u32) -> Result<BTreeMap<String, String>, RegistryError> {
        let place = self.place(id, version);
        if !place.is_dir() {
            return Err(RegistryError::NoSuchVersion { id: id.to_owned(), version, there: self.versions(id)? });
        }
        let path = place.join(CHECKSUMS);
        let text = String::from_utf8(read_there(&path)?).map_err(|_| changed(&path, "it is no text"))?;
        if text.lines().nth(FILES_MAX).is_some() {
            return Err(changed(&path, &format!("it names more than {FILES_MAX} files")));
        }
        let checksum = |line: &str| {
            let entry = line.split_once("  ").filter(|(_, name)| is_plain(name));
            let told = || changed(&path, &format!("its line \"{line}\" is no checksum"));
            entry.map(|(checksum, name)| (name.to_owned(), checksum.to_owned())).ok_or_else(told)
        };
        text.lines().map(checksum).collect()
    }

    /// A stamp of the files of a version; none where there is no such version, or no end of its files.
    pub fn stamp(&self, id: &str, version: u32) -> Option<Stamp> {
        let entries = fs::read_dir(self.place(id, version)).ok()?;
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok()?;
            files.push((entry.file_name(), metadata.len(), metadata.modified().ok()?));
            if files.len() > FILES_MAX + 1 {
                return None;
            }
        }
        files.sort_unstable();
        Some(Stamp(files))
    }

    /// All versions there are: ids in order, and the versions of each in order.
    ///
    /// # Errors
    /// If a folder cannot be listed.
    pub fn list(&self) -> Result<BTreeMap<String, Vec<u32>>, RegistryError> {
        let models = self.root.join("models");
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&models).map_err(RegistryError::io("list", &models))? {
            let name = entry.map_err(RegistryError::io("list", &models))?.file_name();
            let Some(id) = name.to_str().and_then(decode) else { continue };
            let versions = self.versions(&id)?;
            if !versions.is_empty() {
                found.insert(id, versions);
            }
        }
        Ok(found)
    }

    /// The versions of a model, in order.
    ///
    /// # Errors
    /// If its folder cannot be listed.
    pub fn versions(&self, id: &str) -> Result<Vec<u32>, RegistryError> {
        let folder = self.root.join("models").join(encode(id));
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(RegistryError::io("list", &folder))?,
        };
        let mut versions = Vec::new();
        for entry in entries {
            let name = entry.map_err(RegistryError::io("list", &folder))?.file_name();
            versions.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        versions.sort_unstable();
        Ok(versions)
    }

    fn place(&self, id: &str, version: u32) -> PathBuf {
        self.root.join("models").join(encode(id)).join(version.to_string())
    }
}

fn changed(path: &Path, detail: &str) -> RegistryError {
    RegistryError::Changed { path: path.to_owned(), detail: detail.to_owned() }
}

/// Reads a file that a version must have.
fn read_there(path: &Path) -> Result<Vec<u8>, RegistryError> {
    match read_bounded(path) {
        Err(RegistryError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(changed(path, "it is missing"))
        }
        other => other,
    }
}

/// Whether a name is that of a file in the folder, and of no other.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0'])
}

/// An id as the name of a folder: what is not plain becomes `%` and two hexadecimal digits.
fn encode(id: &str) -> String {
    let is_plain =
        |at: usize, byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte) || (byte == b'.' && at > 0);
    let encode = |(at, byte): (usize, u8)| {
        if is_plain(at, byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    id.bytes().enumerate().map(encode).collect()
}

/// The id of a folder that [`encode`] named.
fn decode(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        if first == '%' {
            bytes.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
            rest = rest.get(3..)?;
        } else {
            bytes.extend(first.to_string().bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    let id = String::from_utf8(bytes).ok()?;
    (encode(&id) == name).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_one_folder_and_comes_back() {
        for (id, name) in [
            ("any-return_15m-gbt", "any-return_15m-gbt"),
            ("XBT/USD-up_1h-mlp", "XBT%2FUSD-up_1h-mlp"),
            ("../../etc-a-b", "%2E.%2F..%2Fetc-a-b"),
        ] {
            assert_eq!(encode(id), name);
            assert_eq!(decode(name).as_deref(), Some(id));
        }
        assert_eq!(decode("a%2"), None);
        assert_eq!(decode("a%41"), None, "a folder that no id is encoded to");
    }
}
