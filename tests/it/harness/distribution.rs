//! Fetches Apache Kafka from Maven Central, once for a machine, and says how to run its classes.
//!
//! The jars lie in `${XDG_CACHE_HOME:-~/.cache}/tidewheel/kafka-VERSION`. They are put there under another name and moved when
//! complete, so that a broken download is never taken for a whole one and two test runs do not disturb each other.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The release of Apache Kafka that is tested against; it runs on Java 17.
pub const KAFKA_VERSION: &str = "4.3.0";

/// Kafka needs some binding of this logging interface; the simple one writes to standard error.
const SLF4J_VERSION: &str = "1.7.36";

/// The folder of the jars, fetched first if need be.
///
/// # Panics
/// If Maven is missing or cannot fetch them.
pub fn jars() -> PathBuf {
    let folder = cache_folder().join(format!("kafka-{KAFKA_VERSION}"));
    if !folder.is_dir() {
        fetch(&folder);
    }
    folder
}

/// A command that runs a class of the distribution, in little memory and soon started.
pub fn java(class: &str) -> Command {
    let mut command = Command::new("java");
    let jars = jars();
    command
        .args([
            "-Xmx512m",
            "-XX:TieredStopAtLevel=1",
            "-XX:+UseSerialGC",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        ])
        .arg("-cp")
        .arg(jars.join("*"))
        .arg(class);
    command
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started or fails.
pub fn run(mut command: Command, purpose: &str) {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|error| {
        panic!("could not {purpose}: {program} does not start ({error}); install Java 17 and Maven to run these tests")
    });
    assert!(
        output.status.success(),
        "could not {purpose}: {program} ended with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn cache_folder() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME or XDG_CACHE_HOME must be set")).join(".cache");
    cache.unwrap_or_else(home).join("tidewheel")
}

fn fetch(folder: &Path) {
    let parent = folder.parent().expect("the cache folder has a parent");
    std::fs::create_dir_all(parent).expect("the cache folder can be made");
    let work = tempfile::tempdir_in(parent).expect("the cache folder can be written to");
    let pom = work.path().join("pom.xml");
    std::fs::write(&pom, pom_text()).expect("the cache folder can be written to");
    let jars = work.path().join("jars");
    let mut maven = Command::new("mvn");
    maven
        .args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"])
        .arg(&pom)
        .arg(format!("-DoutputDirectory={}", jars.display()));
    run(maven, "fetch Apache Kafka from Maven Central");
    // Another test run may have been faster; its jars are as good.
    if std::fs::rename(&jars, folder).is_err() {
        assert!(folder.is_dir(), "could not move the jars of Apache Kafka to {}", folder.display());
    }
}

fn pom_text() -> String {
    let dependency = |group: &str, artifact: &str, version: &str| {
        format!(
            "<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version></dependency>"
        )
    };
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>tidewheel</groupId><artifactId>kafka</artifactId>\
         <version>1</version><dependencies>{}{}</dependencies></project>",
        dependency("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
        dependency("org.slf4j", "slf4j-simple", SLF4J_VERSION),
    )
}
