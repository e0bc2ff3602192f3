//! The log of the built program: what it says unasked, that every line can be told to its run, and that no secret is in it.

use super::observed::Observed;
use crate::harness::kafka::broker;
use crate::kafka_live::markets::{PARTITIONS, Recorded, Spread, market};
use crate::kafka_live::program::{Setup, tidewheel};
use std::process::Command;
use tidewheel_connectors::generate::Faults;

/// Secrets as people choose them: with quotes, in other scripts, and one that is a user's name too.
const FROM_FILE: &str = "correct horse \\\"battery\\\" stäple";
const FROM_FILE_AS_MEANT: &str = "correct horse \"battery\" stäple";
const FROM_ENVIRONMENT: &str = "Tr0ub4dor&3-from-outside";

const CATEGORIES: [&str; 8] = ["source", "sink", "lake", "recovery", "config", "http", "engine", "kafka"];

fn recorded_run(seed: u64, name: &str) -> (Recorded, Setup) {
    let recorded = Recorded::new(market(seed, 1_000, Faults::SOME));
    let topic = broker().topic(name, PARTITIONS);
    recorded.send_all(broker().address(), &topic, Spread::Keyed);
    let setup = Setup::new(broker().address(), &topic, recorded.folder());
    (recorded, setup)
}

#[test]
fn a_run_says_when_it_begins_listens_and_ends() {
    let (recorded, setup) = recorded_run(73, "logged");
    let run = Observed::start(setup.command());
    let all = recorded.messages.len() as u64;
    let report = run.wait_until(Observed::status, |report| report.counters.counts.read == all);
    let ended = run.stop();
    assert_eq!(ended.code, Some(0));
    let log = ended.log.join("\n");
    for part in ["run begins", "source connected", "sink opened", "http server listening", "run ended"] {
        assert!(log.contains(part), "{part:?} is missing in:\n{log}");
    }
    let of_run = format!(" run={}", report.run);
    let begun = ended.log.iter().position(|line| line.contains("run begins")).expect("it was found above");
    for line in &ended.log[begun..] {
        assert!(line.ends_with(&of_run), "{line}");
        assert!(line.contains(" INFO ") || line.contains(" WARN "), "{line}");
        assert!(CATEGORIES.iter().any(|category| line.contains(&format!(" {category}: "))), "{line}");
    }
}

#[test]
fn lines_for_machines_follow_the_schema_and_carry_run_and_tick() {
    let (recorded, setup) = recorded_run(74, "machine");
    let mut command = setup.command();
    command.args(["--log-format", "json"]).env("TIDEWHEEL_LOG", "tidewheel=debug,tidewheel_connectors=debug");
    let run = Observed::start(command);
    let all = recorded.messages.len() as u64;
    let report = run.wait_until(Observed::status, |report| report.counters.counts.read == all);
    run.wait_for_line("lake committed");
    let ended = run.stop();
    assert_eq!(ended.code, Some(0));
    let mut committed = Vec::new();
    for line in &ended.log {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("{name} is missing: {line}")).to_owned();
        assert!(text("@timestamp").ends_with('Z') && !text("message").is_empty(), "{line}");
        assert!(["debug", "info", "warn"].contains(&text("log.level").as_str()), "{line}");
        assert!(CATEGORIES.contains(&text("event.category").as_str()), "{line}");
        assert_eq!(text("event.dataset"), format!("tidewheel.{}", text("event.category")));
        assert_eq!((text("service.name"), text("service.version")), ("tidewheel".into(), report.version.clone()));
        if text("event.category") != "config" {
            assert_eq!(text("tidewheel.run"), report.run, "{line}");
        }
        if text("message").ends_with(" committed") {
            let tick = line["tidewheel.tick"].as_u64().unwrap_or_else(|| panic!("no tick: {line}"));
            assert!(tick >= report.started_ms, "{line}");
            committed.push(text("event.category"));
        }
    }
    for category in ["sink", "lake"] {
        assert!(committed.iter().any(|other| other == category), "{category}: {committed:?}");
    }

    // The error that a run ends with is such a line too.
    let mut command = Setup { topic: "absent".to_owned(), ..setup }.command();
    let output = command.env("TIDEWHEEL_LOG_FORMAT", "json").output().expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).expect("text");
    let last: serde_json::Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["log.level"], "error");
    let message = last["error.message"].as_str().unwrap_or_default();
    assert!(message.starts_with("could not find topic \"absent\""), "{last}");
}

#[test]
fn what_the_log_is_asked_for_must_make_sense() {
    for (name, value, expected) in [
        ("TIDEWHEEL_LOG", "tidewheel=loud", "error: could not use TIDEWHEEL_LOG=\"tidewheel=loud\": "),
        ("TIDEWHEEL_LOG_FORMAT", "xml", "error: invalid value 'xml' for '--log-format <FORMAT>'"),
    ] {
        let output = tidewheel(&["metrics"]).env(name, value).output().expect("the program starts");
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{complaint}");
        assert!(complaint.starts_with(expected), "{complaint}");
    }
}

/// Holds a text free of secrets.
#[track_caller]
fn has_no_secret(text: &str) {
    for secret in [FROM_FILE, FROM_FILE_AS_MEANT, FROM_ENVIRONMENT, "battery", "Tr0ub4dor"] {
        let line = text.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret:?} was printed: {}", line.unwrap_or_default());
    }
}

/// Everything that a command that fails prints at its most talkative, in both formats; held free of secrets.
fn printed_by_failing(mut command: Command) -> String {
    let mut text = String::new();
    for format in ["human", "json"] {
        command.env("TIDEWHEEL_LOG", "trace").env("TIDEWHEEL_LOG_FORMAT", format);
        let output = command.output().expect("the program starts");
        text += &String::from_utf8_lossy(&output.stdout);
        text += &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}");
    }
    has_no_secret(&text);
    text
}

/// The properties of a client with a password, and with a name that is the same: the client prints its name everywhere.
fn properties(password: &str, protocol: &str) -> String {
    format!(
        "\"security.protocol\" = \"{protocol}\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"someone\"\n\
         \"sasl.password\" = \"{password}\"\n\"client.id\" = \"{password}\"\n\"debug\" = \"all\"\n"
    )
}

fn with_secrets(arguments: &[&str]) -> Command {
    let mut command = tidewheel(arguments);
    command.env("TIDEWHEEL_KAFKA__PROPERTIES__SASL_PASSWORD", FROM_ENVIRONMENT);
    command.env("TIDEWHEEL_KAFKA__PROPERTIES__CLIENT_ID", FROM_ENVIRONMENT);
    command
}

#[test]
fn secrets_are_never_printed_not_even_by_the_client_at_its_most_talkative() {
    let (recorded, setup) = recorded_run(75, "secret");
    let path = recorded.folder().join("secret.toml");
    let file = path.display().to_string();
    let write = |before: &str, source: &str| {
        let kafka = properties("replaced", "PLAINTEXT");
        let text = format!("{before}{}\n[source.properties]\n{source}[kafka.properties]\n{kafka}", setup.text());
        std::fs::write(&path, text).expect("a temporary folder can be written to");
    };
    write("", &properties(FROM_FILE, "PLAINTEXT"));
    for format in ["human", "json"] {
        let mut command = with_secrets(&["run", "--config", &file, "--replace", "--log-format", format]);
        let run = Observed::start({
            command.env("TIDEWHEEL_LOG", "trace");
            command
        });
        let all = recorded.messages.len() as u64;
        run.wait_until(Observed::status, |report| report.counters.counts.read == all && report.sinks.kafka.is_some());
        let ended = run.stop();
        let printed = format!("{}{}", ended.stdout, ended.log.join("\n"));
        assert_eq!(ended.code, Some(0), "{}", printed.lines().last().unwrap_or_default());
        has_no_secret(&printed);
        for part in ["client.id = ***", "***#consumer-", "***#producer-", "TxnCoordinator"] {
            assert!(printed.contains(part), "{part:?}: the client has told what it does, and who it is, masked");
        }
    }

    // A broker that wants no password, a check, and configurations that cannot be used.
    write("", &properties(FROM_FILE, "SASL_PLAINTEXT"));
    printed_by_failing(with_secrets(&["run", "--config", &file, "--replace"]));
    let printed = printed_by_failing(with_secrets(&["check", "--timeout", "2s", "--config", &file]));
    assert!(printed.contains("sasl.password = ***"), "{printed}");
    write("wrong = 1\n", &properties(FROM_FILE, "PLAINTEXT"));
    printed_by_failing(with_secrets(&["run", "--config", &file]));
    let clash = properties(FROM_FILE, "PLAINTEXT").replace("\"all\"", &format!("\"{FROM_FILE}\""));
    write("", &clash);
    let printed = printed_by_failing(with_secrets(&["run", "--config", &file, "--replace"]));
    assert!(printed.contains("***"), "the value that the client refuses is named, masked: {printed}");
}
