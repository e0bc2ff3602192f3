//! Versions that stay what they are, writers that do not clash, and files that were tampered with.

use super::*;
use std::collections::BTreeMap;
use std::sync::Barrier;

fn registry() -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = Registry::create(folder.path()).expect("a registry");
    (folder, registry)
}

fn files(text: &str) -> BTreeMap<String, Vec<u8>> {
    let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    BTreeMap::from([file("manifest.json", "{}"), file("model.txt", text)])
}

#[test]
fn what_is_put_is_got_back_and_listed() {
    let (folder, registry) = registry();
    registry.put("XBT/USD-up-gbt", 2, &files("two")).expect("a new version");
    registry.put("XBT/USD-up-gbt", 10, &files("ten")).expect("a new version");
    registry.put("any-up-mlp", 1, &files("one")).expect("a new version");
    let registry = Registry::open(folder.path()).expect("a registry");
    let version = registry.get("XBT/USD-up-gbt", 10).expect("a version");
    assert_eq!(version.files, files("ten"));
    assert_eq!(version.sha256["model.txt"], sha256(b"ten"));
    // `printf ten | sha256sum`
    assert_eq!(sha256(b"ten"), "e4432baa90819aaef51d2a7f8e148bf7e679610f3173752fabb4dcb2d0f418d3");
    let listed = registry.list().expect("a list");
    assert_eq!(
        listed,
        BTreeMap::from([("XBT/USD-up-gbt".to_owned(), vec![2, 10]), ("any-up-mlp".to_owned(), vec![1])])
    );
    let missing = registry.get("any-up-mlp", 3).expect_err("no such version").to_string();
    assert_eq!(missing, "could not find version 3 of model any-up-mlp; there is 1");
    assert!(
        Registry::open(&folder.path().join("none"))
            .expect_err("nothing")
            .to_string()
            .contains("could not find a registry")
    );
}

#[test]
fn a_version_is_never_put_twice() {
    let (_folder, registry) = registry();
    registry.put("any-up-mlp", 4, &files("first")).expect("a new version");
    let error = registry.put("any-up-mlp", 4, &files("second")).expect_err("it is there").to_string();
    assert!(error.ends_with("a version never changes; give the next number, 5"), "{error}");
    assert_eq!(registry.get("any-up-mlp", 4).expect("a version").files, files("first"));
}

#[test]
fn a_file_that_was_tampered_with_is_not_loaded() {
    let (folder, registry) = registry();
    let place = folder.path().join("models/any-up-mlp/1");
    let told = |change: &dyn Fn()| {
        drop(fs::remove_dir_all(&place));
        registry.put("any-up-mlp", 1, &files("what it was")).expect("a new version");
        change();
        registry.get("any-up-mlp", 1).expect_err("a changed file").to_string()
    };
    let write = |name: &str, text: &str| fs::write(place.join(name), text).expect("a written file");
    for (error, expected) in [
        (told(&|| write("model.txt", "what it is")), "model.txt: its SHA-256 is "),
        (told(&|| fs::remove_file(place.join("model.txt")).expect("a file")), "model.txt: it is missing"),
        (told(&|| fs::remove_file(place.join("SHA256")).expect("a file")), "SHA256: it is missing"),
        (told(&|| write("SHA256", "00  ../../../../etc/passwd\n")), "is no checksum"),
        (told(&|| write("extra.so", "")), "extra.so: it was not registered"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn of_writers_at_once_one_has_the_version_and_all_changes_are_kept() {
    let (_folder, registry) = registry();
    let writers = 8;
    let barrier = Barrier::new(writers);
    let put = |number: usize| {
        barrier.wait();
        let is_first = registry.put("any-up-mlp", 1, &files(&number.to_string())).is_ok();
        for _ in 0..5 {
            registry.append(|before: &[usize]| Ok::<_, RegistryError>(before.len())).expect("a change");
        }
        is_first.then_some(number)
    };
    let winners: Vec<usize> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..writers).map(|number| scope.spawn(move || put(number))).collect();
        handles.into_iter().filter_map(|handle| handle.join().expect("a writer that does not panic")).collect()
    });
    let [winner] = winners.as_slice() else { panic!("{winners:?} put the same version") };
    assert_eq!(registry.get("any-up-mlp", 1).expect("a version").files, files(&winner.to_string()));
    assert_eq!(registry.history::<usize>().expect("a history"), (0..writers * 5).collect::<Vec<_>>());
}

#[test]
fn what_a_writer_that_died_left_is_cleared_away_and_was_never_seen() {
    let (folder, registry) = registry();
    let staged = folder.path().join(".staging/version");
    fs::create_dir_all(&staged).expect("a folder");
    fs::write(staged.join("model.txt"), "half").expect("a file");
    assert_eq!(registry.list().expect("a list"), BTreeMap::new());
    registry.put("any-up-mlp", 1, &files("whole")).expect("a new version");
    assert_eq!(registry.get("any-up-mlp", 1).expect("a version").files, files("whole"));
}

#[test]
fn a_history_that_cannot_be_read_is_not_written_over() {
    let (folder, registry) = registry();
    let append = || registry.append(|_: &[u32]| Ok::<_, RegistryError>(7));
    for text in [
        "",
        "{\"format\": 1, \"changes\": [1",
        "{\"format\": 2, \"changes\": []}",
        "{\"format\": 1, \"changes\": [\"x\"]}",
    ] {
        fs::write(folder.path().join("aliases.json"), text).expect("a file");
        let error = append().expect_err(text).to_string();
        assert!(error.contains("could not read the history of aliases"), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join("aliases.json")).expect("a file"), text);
    }
}
