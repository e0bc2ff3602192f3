//! Lines for people: time, level, category, what happened, with what.

use super::fields::Fields;
use serde_json::Value;
use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes an event as a sentence and its fields.
pub struct Human;

impl<S, N> FormatEvent<S, N> for Human
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Fields { message, others } = Fields::of(event);
        let (level, category) = (event.metadata().level(), super::category(event.metadata().target()));
        write!(writer, "{} {level:>5} {category}: ", super::timestamp())?;
        on_one_line(&mut writer, &message)?;
        for (name, value) in others.iter().filter(|(name, _)| *name != "run") {
            write!(writer, " {name}=")?;
            match value {
                Value::String(text) if text.contains([' ', '"', '=']) => {
                    on_one_line(&mut writer, &format!("{text:?}"))?
                }
                Value::String(text) => on_one_line(&mut writer, text)?,
                other => write!(writer, "{other}")?,
            }
        }
        if let Some(run) = super::run() {
            write!(writer, " run={run}")?;
        }
        writeln!(writer)
    }
}

/// Control characters would let what was read from outside write lines of its own.
fn on_one_line(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|letter| match letter {
        letter if letter.is_control() => write!(writer, "{}", letter.escape_default()),
        letter => writer.write_char(letter),
    })
}
