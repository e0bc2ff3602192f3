//! `send`, and what other actions do with --config: records to the control topic of a run.

use super::RegistryArgs;
use crate::commands::CommandError;
use crate::config::{self, Config};
use crate::models::ModelsError;
use crate::scoring::Wanted;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};
use tidewheel_models::Change;

/// How long the first contact with the brokers may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is said beside what is wanted.
#[derive(Debug, clap::Args)]
pub(super) struct Remarks {
    /// Who wants it, for the table of events
    #[arg(long, value_name = "NAME", requires = "config")]
    who: Option<String>,
    /// Why, for the table of events
    #[arg(long, value_name = "TEXT", requires = "config")]
    why: Option<String>,
}

/// Send a promotion or withdrawal of the registry to the runs that read a control topic
#[derive(Debug, clap::Args)]
pub(super) struct SendArgs {
    /// Its number
    #[arg(value_name = "NUMBER")]
    number: u64,
    /// The configuration of the run, whose control.topic is written to
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    remarks: Remarks,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl SendArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let history: Vec<Change> = self.registry.open()?.history().map_err(ModelsError::from)?;
        let found = history.into_iter().find(|change| change.number() == self.number);
        let none = || format!("{} is not the number of a promotion in the registry", self.number);
        let wanted = Wanted::from(found.ok_or_else(|| CommandError::Usage(none()))?);
        let sent = send(&wanted, &self.config, &self.remarks)?;
        if self.registry.json {
            RegistryArgs::answer(out, &json!({ "sent": self.number, "topic": sent }))?;
        } else {
            writeln!(out, "sent {} {} to {sent}", wanted.kind(), self.number).map_err(CommandError::Output)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A record of the control topic, sent there. Gives the topic's name.
pub(super) fn send(wanted: &Wanted, config: &Path, remarks: &Remarks) -> Result<String, CommandError> {
    let mut record = wanted.to_json();
    let remarks = [("who", &remarks.who), ("why", &remarks.why)];
    for (name, text) in remarks.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?))) {
        record[name] = json!(text);
    }
    send_record(&record, config)
}

/// A record as it is, sent to the control topic of a configuration. Gives the topic's name.
pub(in crate::commands) fn send_record(record: &serde_json::Value, config: &Path) -> Result<String, CommandError> {
    let config = Config::load(config, &config::environment())?;
    let Some(topic) = config.control.topic.clone() else {
        return Err(CommandError::Usage("the configuration has no control.topic to send to".to_owned()));
    };
    let source = config.kafka_source();
    let mut publisher = Publisher::connect(&source.brokers, &topic, &source.properties, CONNECT_TIMEOUT)?;
    publisher.send(&Outgoing { payload: record.to_string().as_bytes(), ..Outgoing::default() })?;
    publisher.finish()?;
    Ok(topic)
}
