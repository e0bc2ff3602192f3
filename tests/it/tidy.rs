//! The house rules that a compiler does not hold: sizes, module docs, layers, and documents that name only what exists.

use clap::Subcommand;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tidewheel_schemas::RejectReason;

/// Longer than this, and a file has more than one subject.
const LINE_LIMIT: usize = 600;

/// Folders of the repository that hold sources and documents.
const FOLDERS: [&str; 6] = ["schemas", "operators", "connectors", "dataflows", "tests", "benches"];

/// What must not stay in a source. Written in two parts, so that this file does not hold it.
const LEFTOVERS: [&str; 4] =
    [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("d", "bg!("), concat!("#[ig", "nore")];

/// Crates that touch the world or belong to another layer; the computing crates must not know them.
const OF_THE_WORLD: [&str; 10] = [
    "tidewheel-connectors",
    "rdkafka",
    "arrow",
    "parquet",
    "tokio",
    "crossbeam-channel",
    "tracing",
    "clap",
    "toml",
    "rand",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("could not read {}: {error}", path.display()))
}

/// All Rust sources, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|folder| root().join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a folder of the repository can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = read(&path);
                sources.push((path, text));
            }
        }
    }
    assert!(sources.len() > 100, "only {} sources were found: has the layout changed?", sources.len());
    sources
}

/// Fails with all that is wrong at once.
fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} untidy:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn every_source_is_short_says_what_it_is_for_and_is_finished() {
    let mut problems = Vec::new();
    for (path, text) in sources() {
        let name = path.display();
        let lines = text.lines().count();
        if lines > LINE_LIMIT {
            problems.push(format!("{name}: {lines} lines, more than {LINE_LIMIT}: split it by subject"));
        }
        if !text.starts_with("//! ") {
            problems.push(format!("{name}: does not begin with a module doc"));
        }
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(leftover) = LEFTOVERS.iter().find(|leftover| line.contains(**leftover)) {
                problems.push(format!("{name}:{number}: {leftover} was left behind"));
            }
        }
    }
    none(problems);
}

/// The crates that a manifest depends on, of all kinds or only for the library.
fn dependencies(crate_folder: &str, with_tests: bool) -> BTreeSet<String> {
    let manifest: toml::Table =
        read(&root().join(crate_folder).join("Cargo.toml")).parse().expect("a manifest is TOML");
    let kinds =
        if with_tests { &["dependencies", "build-dependencies", "dev-dependencies"][..] } else { &["dependencies"] };
    let tables = kinds.iter().filter_map(|kind| manifest.get(*kind)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

#[test]
fn the_layers_point_one_way() {
    for computing in ["schemas", "operators", "operators/models", "operators/risk"] {
        let known = dependencies(computing, false);
        let worldly: Vec<_> = OF_THE_WORLD.iter().filter(|name| known.contains(**name)).collect();
        assert!(worldly.is_empty(), "{computing} depends on {worldly:?}: what touches the world lives in connectors");
    }
    for (one, other) in [
        ("schemas", "tidewheel-operators"),
        ("operators", "tidewheel-connectors"),
        ("connectors", "tidewheel-operators"),
        ("connectors", "tidewheel-models"),
        ("operators/models", "tidewheel-connectors"),
        ("operators/models", "tidewheel"),
        ("schemas", "tidewheel"),
        ("operators", "tidewheel"),
        ("connectors", "tidewheel"),
    ] {
        assert!(!dependencies(one, true).contains(other), "{one} depends on {other}, which is beside or above it");
    }
    for dataflow in ["timely", "differential-dataflow"] {
        assert!(
            !dependencies("connectors", true).contains(dataflow),
            "connectors depends on {dataflow}: it does not compute"
        );
    }
}

#[test]
fn the_lock_file_belongs_to_the_repository() {
    assert!(
        root().join("Cargo.lock").is_file(),
        "Cargo.lock is missing: a program is built from the versions it was tested with"
    );
    let ignored = read(&root().join(".gitignore"));
    assert!(!ignored.lines().any(|line| line.trim_matches('/') == "Cargo.lock"), "Cargo.lock is ignored by git");
}

/// Words in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn the_documents_name_only_files_that_exist() {
    let is_place = |word: &str| {
        let folder = word.split('/').next().unwrap_or_default();
        let is_ours = FOLDERS.contains(&folder) || ["deploy", ".ci", ".github"].contains(&folder);
        word.contains('/') && is_ours && !word.contains(['<', '*', '{', ' '])
    };
    let mut problems = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        for place in quoted(&read(&root().join(document))).filter(|word| is_place(word)) {
            if !root().join(place).exists() {
                problems.push(format!("{document}: there is no {place}"));
            }
        }
    }
    none(problems);
}

#[test]
fn the_readme_names_every_reason_of_a_reject() {
    let readme = read(&root().join("README.md"));
    let missing: Vec<_> =
        RejectReason::ALL.iter().filter(|reason| !readme.contains(&format!("| `{reason}` |"))).collect();
    assert!(missing.is_empty(), "README.md has no row for {missing:?}");
}

/// The lines of shell in a document that call the program, as words, without comments and redirections.
fn calls(document: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for block in document.split("```sh\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default().replace("\\\n", " ");
        for line in block.lines() {
            let arguments = line.strip_prefix("tidewheel ").or_else(|| line.strip_prefix("cargo run --release -- "));
            let Some(arguments) = arguments else { continue };
            let words = arguments.split_whitespace().take_while(|word| !matches!(*word, "#" | ">"));
            let words = words.map(|word| word.trim_matches('\'').to_owned());
            calls.push(std::iter::once("tidewheel".to_owned()).chain(words).collect());
        }
    }
    calls
}

#[test]
fn the_readme_calls_the_program_as_it_wants_to_be_called() {
    let calls = calls(&read(&root().join("README.md")));
    assert!(calls.len() >= 10, "only {} calls were found in README.md", calls.len());
    let program = || tidewheel::commands::Command::augment_subcommands(clap::Command::new("tidewheel"));
    let refused = calls.iter().filter_map(|call| {
        let error = program().try_get_matches_from(call).err()?;
        Some(format!("{}\n{error}", call.join(" ")))
    });
    none(refused.collect());
    let program = program();
    let missing = program.get_subcommands().map(|command| command.get_name().to_owned());
    let missing = missing.filter(|name| !calls.iter().any(|call| call[1] == *name));
    none(missing.map(|name| format!("README.md does not show the command {name}")).collect());
}
