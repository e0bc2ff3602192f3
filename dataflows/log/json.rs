//! Lines for machines: one JSON object each, by the names of the Elastic Common Schema, version 8. What the schema has no name
//! for stands under `tidewheel.`.

use super::fields::Fields;
use serde_json::Value;
use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The version of the schema.
const SCHEMA: &str = "8.11.0";

/// Writes an event as an object.
pub struct Json;

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let Fields { message, others } = Fields::of(event);
        let category = super::category(metadata.target());
        let level = metadata.level().as_str().to_ascii_lowercase();
        let thread = std::thread::current();
        let mut object: Vec<(String, Value)> = [
            ("@timestamp", super::timestamp()),
            ("log.level", level),
            ("message", message),
            ("ecs.version", SCHEMA.to_owned()),
            ("event.category", category.to_owned()),
            ("event.dataset", format!("tidewheel.{category}")),
            ("log.logger", metadata.target().to_owned()),
            ("service.name", "tidewheel".to_owned()),
            ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value.into()))
        .into();
        object.push(("process.pid".to_owned(), std::process::id().into()));
        object.extend(thread.name().map(|name| ("process.thread.name".to_owned(), name.into())));
        object.extend(super::run().map(|run| ("tidewheel.run".to_owned(), run.into())));
        for (name, value) in others.into_iter().filter(|(name, _)| *name != "run") {
            let name = if name == "error" { "error.message".to_owned() } else { format!("tidewheel.{name}") };
            object.push((name, value));
        }
        let mut separator = '{';
        for (name, value) in object {
            write!(writer, "{separator}{}:{value}", Value::String(name))?;
            separator = ',';
        }
        writeln!(writer, "}}")
    }
}
