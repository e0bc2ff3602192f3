//! Figures of risk in lines for people.

use super::measures::{Form, Measure};
use crate::commands::time_text;
use tidewheel_risk::breakers::{Cause, Rule};
use tidewheel_risk::levels::Level;

/// A tick.
pub(super) fn time(tick: u64) -> String {
    time_text(tick)
}

/// Why a rule stands where it stands.
pub(super) fn cause_text(cause: &Cause, rule: Rule) -> String {
    let name = rule.name();
    match cause {
        Cause::Value => name.to_owned(),
        Cause::Fault(fault) => format!("{name}, not measured: {fault}"),
        Cause::Manual(why) => format!("{name}: {why}"),
    }
}

/// What was measured, as it is in the tables; nothing where there is none.
pub(super) fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| trimmed(value, 4))
}

/// An amount of money.
pub(super) fn money(value: Option<f64>) -> String {
    value.map_or_else(|| "not known".to_owned(), |value| format!("{value:.2}"))
}

/// A value of a measure.
pub(super) fn written(value: f64, form: Form) -> String {
    match form {
        Form::Share => format!("{} %", trimmed(value * 100.0, 2)),
        Form::Multiple => format!("{}x", trimmed(value, 2)),
        Form::Count => trimmed(value, 0),
    }
}

/// The value of a measure now.
pub(super) fn now(measure: &Measure) -> String {
    measure.now.map_or_else(|| "not known".to_owned(), |value| written(value, measure.form))
}

/// From where on which level: `yellow 10 %, orange 15 %, red 18 %, black 20 % (kill)`.
pub(super) fn rungs(measure: &Measure) -> String {
    let rung = |(rule, level, value): &(Rule, Level, f64)| {
        let kill = if rule.is_switch() { " (kill)" } else { "" };
        format!("{level} {}{kill}", written(*value, measure.form))
    };
    measure.rungs.iter().map(rung).collect::<Vec<_>>().join(", ")
}

/// What a level allows.
pub(super) fn allows(level: Level) -> String {
    let allowed = level.allows();
    let all = [
        ("open", allowed.open),
        ("increase", allowed.increase),
        ("reduce", allowed.reduce),
        ("cancel", allowed.cancel),
        ("liquidate", allowed.liquidate),
    ];
    all.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

/// A number with at most so many decimals, without zeros that say nothing.
fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_say_their_unit() {
        let cases = [(0.1, Form::Share, "10 %"), (-0.000_001, Form::Share, "0 %"), (0.123_456, Form::Share, "12.35 %")];
        let more = [(4.5, Form::Multiple, "4.5x"), (50.0, Form::Count, "50"), (0.0, Form::Multiple, "0x")];
        for (value, form, expected) in cases.into_iter().chain(more) {
            assert_eq!(written(value, form), expected);
        }
        assert_eq!(allows(Level::Green), "open increase reduce cancel");
        assert_eq!(allows(Level::Black), "cancel liquidate");
        assert_eq!(figure(Some(10.0)), "10");
    }
}
