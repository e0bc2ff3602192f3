//! Orders to risk onto the control topic, with who and why.

use super::known::with_risk;
use crate::commands::model::send_record;
use crate::commands::{CommandError, now_ns};
use crate::config::Config;
use crate::risk_view::{RiskView, Story};
use crate::scoring::Wanted;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use tidewheel_connectors::kafka::check::partitions_of;
use tidewheel_risk::switches::{ControlEvent, Order};

/// How long the brokers may take to say which topics there are.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Who sends what where.
#[derive(Debug, clap::Args)]
pub struct Sender {
    /// Who orders it
    #[arg(long, value_name = "NAME")]
    who: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// The order's name, different for each; one is made of the time if absent. The same order sent twice under one name is done once
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The configuration of the run, whose control.topic is written to
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Send it whatever the lake says
    #[arg(long)]
    unchecked: bool,
}

impl Sender {
    /// The configuration, with a control topic that is there.
    ///
    /// # Errors
    /// If it cannot be used, has no risk or no control topic, or the brokers do not answer or have no such topic.
    pub fn config(&self) -> Result<Config, CommandError> {
        for (name, text) in [("--who", &self.who), ("--why", &self.why)] {
            if text.trim().is_empty() {
                return Err(CommandError::Usage(format!("{name} is empty: an order says who and why")));
            }
        }
        let config = with_risk(&self.config)?;
        let Some(topic) = &config.control.topic else {
            let path = self.config.display();
            let none = format!("{path} has no control.topic to send to: name a topic of one partition there");
            return Err(CommandError::Usage(none));
        };
        let source = config.kafka_source();
        if partitions_of(&source.brokers, topic, &source.properties, CONNECT_TIMEOUT)?.is_none() {
            let brokers = &source.brokers;
            let none = format!(
                "there is no topic {topic:?} at {brokers}, which control.topic names: create it, with one partition"
            );
            return Err(CommandError::Usage(none));
        }
        Ok(config)
    }

    /// What the run's lake says, where it is to be asked; a warning where it cannot be.
    ///
    /// # Errors
    /// If the output does not take the warning.
    pub fn known(&self, config: &Config, out: &mut dyn Write) -> Result<Option<(RiskView, Story)>, CommandError> {
        if self.unchecked {
            return Ok(None);
        }
        let read = || -> Result<(RiskView, Story), String> {
            let lake = config.lake().ok_or("the run has no lake")?;
            let view = RiskView::open(&lake.path, None).map_err(|error| error.to_string())?;
            let story = view.story().map_err(|error| error.to_string())?;
            Ok((view, story))
        };
        match read() {
            Ok(known) => Ok(Some(known)),
            Err(why) => {
                writeln!(out, "warning: not held against what is in force, which the run will do: {why}")
                    .map_err(CommandError::Output)?;
                Ok(None)
            }
        }
    }

    /// Warns where the policy in force does not name the sender. The order goes out all the same: that somebody tried is told in the
    /// audit.
    ///
    /// # Errors
    /// If the output does not take the warning.
    pub fn warn_of(&self, people: &[String], out: &mut dyn Write) -> Result<(), CommandError> {
        if people.is_empty() || people.contains(&self.who) {
            return Ok(());
        }
        let (who, people) = (&self.who, people.join(", "));
        writeln!(out, "warning: the policy in force does not name {who} for this, but {people}: the run will refuse it")
            .map_err(CommandError::Output)
    }

    /// Sends an order. Gives its name.
    ///
    /// # Errors
    /// If the topic cannot be written to.
    pub fn send(&self, order: Order, out: &mut dyn Write) -> Result<String, CommandError> {
        // A record says milliseconds.
        let time_ns = now_ns() / 1_000_000 * 1_000_000;
        let (who, why) = (self.who.clone(), self.why.clone());
        let id = self.id.clone().unwrap_or_else(|| format!("{who}-{time_ns}"));
        let wanted = Wanted::Risk(Box::new(ControlEvent { id: id.clone(), who, why, time_ns, order }));
        let mut record = wanted.to_json();
        (record["who"], record["why"]) = (json!(self.who), json!(self.why));
        let topic = send_record(&record, &self.config)?;
        writeln!(out, "sent {} {id} to {topic}", wanted.kind()).map_err(CommandError::Output)?;
        Ok(id)
    }
}
