//! Damage: manifests and data files that are missing, cut or changed are named, and nothing is guessed.

use super::crash::{AFTER, third_commit};
use super::*;
use std::fs;

/// What an error must say, and what to do to a file for it.
type Damage = (&'static str, fn(&Path));

#[test]
fn a_damaged_or_missing_manifest_is_named() {
    let damage: [Damage; 4] = [
        ("has a wrong checksum", |path| {
            let text = fs::read_to_string(path).expect("a manifest");
            fs::write(path, text.replace("\"rows\":2", "\"rows\":3")).expect("a manifest");
        }),
        ("cannot be understood", |path| fs::write(path, "{\"crc32\":").expect("a manifest")),
        ("is not text", |path| fs::write(path, [0xff, 0xfe]).expect("a manifest")),
        ("is missing", |path| fs::remove_file(path).expect("a manifest")),
    ];
    for (expected, damage) in damage {
        let folder = TempDir::new().expect("a temporary folder");
        drop(third_commit(&folder));
        let root = config(&folder).root;
        damage(&root.join("_tidewheel/manifests/000000000001.json"));
        for error in [
            Lake::open(LakeConfig { on_existing: OnExisting::Resume, ..config(&folder) })
                .map(drop)
                .expect_err("it is damaged"),
            read::manifest(&root).map(drop).expect_err("it is damaged"),
        ] {
            let error = error.to_string();
            assert!(error.contains("000000000001.json") && error.contains(expected), "{error}");
        }
    }
}

#[test]
fn a_missing_or_shortened_data_file_is_named() {
    for (expected, damage) in [
        ("is missing", (|path| fs::remove_file(path)) as fn(&Path) -> std::io::Result<()>),
        ("has 3 bytes", |path| fs::write(path, "PAR")),
    ] {
        let folder = TempDir::new().expect("a temporary folder");
        drop(third_commit(&folder));
        let path = config(&folder).root.join("bars/interval=1m/date=2023-11-14/000000000001-000.parquet");
        damage(&path).expect("the file can be damaged");
        let error = Lake::open(LakeConfig { on_existing: OnExisting::Resume, ..config(&folder) })
            .expect_err("damage")
            .to_string();
        assert!(error.contains("000000000001-000.parquet") && error.contains(expected), "{error}");
    }
}

#[test]
fn a_folder_of_other_parquet_files_is_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    let day = config(&folder).root.join("trades/date=2023-11-14");
    fs::create_dir_all(&day).expect("a folder");
    fs::write(day.join("theirs.parquet"), "PAR1").expect("a file");
    let error = Lake::open(config(&folder)).expect_err("not a lake").to_string();
    assert!(error.contains("not a lake of ours"), "{error}");
    assert!(day.join("theirs.parquet").exists());
}

/// Every file of a lake of all tables, by path: what damage can hit.
fn full_lake(folder: &TempDir) -> Vec<PathBuf> {
    let root = config(folder).root;
    let mut lake = Lake::open(config(folder)).expect("a new lake");
    lake.append(records::output());
    lake.append(tick(
        1_700_000_000_001,
        vec![version("BTC", 1, 0, true, Some(10)), version("BTC", 2, 0, false, Some(9))],
    ));
    lake.commit(&progress(1_700_000_000_002)).expect("a commit");
    let state = lake.state().clone();
    let tables: BTreeSet<Table> = state.files.values().map(|file| file.table).collect();
    assert_eq!(tables, BTreeSet::from(Table::ALL), "a lake of every kind of file");
    state.files.keys().map(|path| root.join(path)).collect()
}

/// Before compaction, manifests did not name their staging folder: it was that of their number.
#[test]
fn a_lake_of_the_format_before_opens_and_goes_on_where_a_crash_left_it() {
    let folder = TempDir::new().expect("a temporary folder");
    let (mut lake, output) = third_commit(&folder);
    lake.append(output);
    lake.config.faults = faults("lake.committed:1=full");
    lake.commit(&progress(4)).expect_err("cut off between its manifest and its files");
    drop(lake);
    let root = config(&folder).root;
    for number in 1..=3 {
        let path = root.join(format!("_tidewheel/manifests/{number:012}.json"));
        let text = fs::read_to_string(&path).expect("a manifest");
        let mut manifest = serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["manifest"].take();
        manifest["format"] = 1.into();
        for field in ["staging", "is_compaction"] {
            manifest.as_object_mut().expect("an object").remove(field).expect("a field that is new");
        }
        let crc32 = format!("{:08x}", crc32fast::hash(manifest.to_string().as_bytes()));
        fs::write(&path, format!("{{\"crc32\":\"{crc32}\",\"manifest\":{manifest}}}\n")).expect("a manifest");
    }
    let mut lake = resumed(&folder);
    assert_eq!(bars_text(&root), AFTER);
    check_consistent(&root);
    lake.append(tick(4, vec![version("BTC", 9, 0, true, Some(90))]));
    lake.commit(&progress(5)).expect("a commit");
    check_consistent(&root);
}

#[test]
fn one_flipped_bit_in_any_data_file_is_named() {
    let folder = TempDir::new().expect("a temporary folder");
    let files = full_lake(&folder);
    let root = config(&folder).root;
    assert_eq!(read::check(&root).expect("whole").files.len(), files.len());
    for path in files {
        let whole = fs::read(&path).expect("a file");
        for at in [0, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            // A new file, since two tables may share the old one.
            fs::remove_file(&path).and_then(|()| fs::write(&path, &bytes)).expect("a file");
            let name = path.strip_prefix(&root).expect("below the lake").display().to_string();
            let named = |error: LakeError| {
                let text = error.to_string();
                assert!(text.contains(&name) && text.contains("has checksum"), "{text}");
            };
            named(read::check(&root).map(drop).expect_err("a flipped bit"));
            if name.starts_with("bars/") {
                named(read::bars(&root, Interval::M1).map(drop).expect_err("a flipped bit"));
                // The writer must not decide by it, or copy it.
                let mut lake = resumed(&folder);
                lake.append(tick(1_700_000_000_003, vec![version("BTC", 1, 1, true, Some(11))]));
                named(lake.commit(&progress(1_700_000_000_004)).map(drop).expect_err("a flipped bit"));
            }
        }
        fs::remove_file(&path).and_then(|()| fs::write(&path, &whole[..whole.len() - 7])).expect("a file");
        let error = read::check(&root).expect_err("a cut file").to_string();
        assert!(error.contains(path.to_str().expect("UTF-8")) && error.contains("bytes, not"), "{error}");
        fs::write(&path, &whole).expect("a file");
    }
    check_consistent(&root);
}

#[test]
fn any_flipped_byte_of_a_manifest_is_named() {
    let folder = TempDir::new().expect("a temporary folder");
    drop(third_commit(&folder));
    let root = config(&folder).root;
    for number in 1..=2 {
        let path = root.join(format!("_tidewheel/manifests/{number:012}.json"));
        let whole = fs::read(&path).expect("a manifest");
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, bytes).expect("a manifest");
            let error = read::manifest(&root).map(drop).expect_err("a flipped byte").to_string();
            assert!(error.contains(&format!("{number:012}.json")), "byte {at}: {error}");
        }
        fs::write(&path, whole).expect("a manifest");
    }
    check_consistent(&root);
}
