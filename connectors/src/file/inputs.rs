//! Which files the patterns of an input mean.

use crate::source::SourceError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Endings of text files, before `.gz` or `.zst`.
const TEXT_ENDINGS: [&str; 4] = ["jsonl", "ndjson", "json", "csv"];

/// Kinds of files that look like input but are not read, with what to do about it.
const UNREAD_ENDINGS: [(&str, &str); 12] = [
    ("bz2", "compress it with gzip or zstd instead"),
    ("xz", "compress it with gzip or zstd instead"),
    ("lz4", "compress it with gzip or zstd instead"),
    ("br", "compress it with gzip or zstd instead"),
    ("zip", "unpack it first"),
    ("tar", "unpack it first"),
    ("tgz", "unpack it first"),
    ("7z", "unpack it first"),
    ("arrow", "write it as Parquet instead"),
    ("feather", "write it as Parquet instead"),
    ("orc", "write it as Parquet instead"),
    ("avro", "write it as Parquet or JSON lines instead"),
];

/// The files, sorted by path, each once however often it is named.
pub fn find(patterns: &[String]) -> Result<Vec<PathBuf>, SourceError> {
    // By real path, so that `a.json` and `./a.json` are one file; the shortest spelling is kept, whatever the order.
    let mut found: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for pattern in patterns {
        for path in expand(pattern)? {
            check_kind(&path)?;
            let real = path.canonicalize().map_err(|source| cannot_read(&path, source))?;
            let kept = found.entry(real).or_insert_with(|| path.clone());
            if (path.as_os_str().len(), &path) < (kept.as_os_str().len(), kept) {
                *kept = path;
            }
        }
    }
    let mut paths: Vec<PathBuf> = found.into_values().collect();
    paths.sort();
    Ok(paths)
}

fn expand(pattern: &str) -> Result<Vec<PathBuf>, SourceError> {
    let path = Path::new(pattern);
    let mut files = Vec::new();
    if path.is_dir() {
        walk(path, &mut files)?;
        return not_empty(files, || {
            format!(
                "directory {pattern} holds no .parquet, .jsonl, .ndjson, .json or .csv file: name the files, or a glob"
            )
        });
    }
    // A file may have any name, brackets included; only what is not there is taken for a glob.
    if path.exists() {
        return Ok(vec![path.to_owned()]);
    }
    if !pattern.contains(['*', '?', '[']) {
        return Err(SourceError::Input(format!("there is no file {pattern}: check the path")));
    }
    let matches = glob::glob(pattern).map_err(|error| {
        SourceError::Input(format!("{pattern} is not a glob: {}, at byte {}", error.msg, error.pos))
    })?;
    for entry in matches {
        let path = entry.map_err(|error| {
            let path = error.path().to_owned();
            cannot_read(&path, error.into())
        })?;
        if path.is_dir() {
            walk(&path, &mut files)?;
        } else {
            files.push(path);
        }
    }
    not_empty(files, || {
        format!("no file matches {pattern}: check the glob, and quote it so that the shell leaves it alone")
    })
}

fn not_empty(files: Vec<PathBuf>, complaint: impl FnOnce() -> String) -> Result<Vec<PathBuf>, SourceError> {
    if files.is_empty() { Err(SourceError::Input(complaint())) } else { Ok(files) }
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), SourceError> {
    let cannot = |source| cannot_read(directory, source);
    for entry in std::fs::read_dir(directory).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") || name.as_encoded_bytes().starts_with(b"_") {
            continue;
        }
        let path = entry.path();
        // A directory behind a symbolic link is not entered: links may go in circles.
        if entry.file_type().map_err(cannot)?.is_dir() {
            walk(&path, files)?;
        } else if is_data(&path) && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn is_data(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let text = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    let ending = text.rsplit_once('.').map_or("", |(_, ending)| ending);
    TEXT_ENDINGS.contains(&ending) || name.ends_with(".parquet")
}

fn check_kind(path: &Path) -> Result<(), SourceError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let unread = UNREAD_ENDINGS.iter().find(|(ending, _)| name.ends_with(&format!(".{ending}")));
    if let Some((ending, advice)) = unread {
        return Err(SourceError::Input(format!("{} is a .{ending} file, which is not read: {advice}", path.display())));
    }
    if name.ends_with(".parquet.gz") || name.ends_with(".parquet.zst") {
        let path = path.display();
        return Err(SourceError::Input(format!(
            "{path} is a compressed Parquet file: unpack it first, Parquet compresses by itself"
        )));
    }
    Ok(())
}

fn cannot_read(path: &Path, source: std::io::Error) -> SourceError {
    SourceError::File { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(root: &Path, name: &str) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
        std::fs::write(path, b"{}\n").expect("a file");
    }

    /// Patterns and what is found, both relative to a directory of files.
    fn check(patterns: &[&str], expected: Result<&[&str], &str>) {
        let root = tempfile::tempdir().expect("a directory");
        for name in [
            "b.jsonl",
            "a.json.gz",
            "day=2/x.parquet",
            "day=1/y.csv.zst",
            ".hidden.json",
            "_temporary/z.json",
            "_SUCCESS",
            "notes.txt",
            "capture.gz",
            "odd[1].json",
            "old.json.bz2",
            "empty/readme.md",
            "x.parquet.gz",
        ] {
            touch(root.path(), name);
        }
        let patterns: Vec<String> =
            patterns.iter().map(|pattern| format!("{}/{pattern}", root.path().display())).collect();
        let found = find(&patterns);
        let relative = |path: &PathBuf| path.strip_prefix(root.path()).expect("below the root").display().to_string();
        match (found, expected) {
            (Ok(paths), Ok(expected)) => assert_eq!(paths.iter().map(relative).collect::<Vec<_>>(), expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{patterns:?} gave {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn patterns_to_files() {
        check(&["b.jsonl", "day=2", "*.gz"], Err("x.parquet.gz is a compressed Parquet file: unpack it first"));
        check(&["b.jsonl", "capture.*", "./b.jsonl"], Ok(&["b.jsonl", "capture.gz"]));
        check(&["day=*"], Ok(&["day=1/y.csv.zst", "day=2/x.parquet"]));
        check(&["odd[1].json"], Ok(&["odd[1].json"]));
        check(&["old.json.bz2"], Err("old.json.bz2 is a .bz2 file, which is not read: compress it with gzip"));
        check(&["none.json"], Err("there is no file"));
        check(&["*.none"], Err("no file matches"));
        check(&["a***"], Err("is not a glob"));
        check(&["empty"], Err("holds no .parquet"));
        check(&[""], Ok(&["a.json.gz", "b.jsonl", "day=1/y.csv.zst", "day=2/x.parquet", "odd[1].json"]));
    }
}
