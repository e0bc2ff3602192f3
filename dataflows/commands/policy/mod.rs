//! `tidewheel policy`: what accounts are held to, as one document. It is changed through the control topic alone, as a whole, at one
//! tick; what became of each change is told by `risk_events`.

mod file;
mod history;
mod set;
mod show;

use super::CommandError;
use super::model::flatten;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use tidewheel_risk::policy::Policy;

/// Look at the policy that accounts are held to, check another one, and put it in force
#[derive(Debug, clap::Args)]
#[command(after_help = "\
show and history read the lake, and say how far it reaches. set writes to the control topic: the policy takes effect at
one tick, or is refused there.

Examples:
  tidewheel policy show --config tidewheel.toml > policy.toml          change it, with a greater version, and then
  tidewheel policy validate policy.toml
  tidewheel policy set policy.toml --who anna --why 'smaller book' --config tidewheel.toml
  tidewheel policy show --lake ./lake --at 2024-08-05T12:00:00Z        the one that was in force then
  tidewheel policy history --diff --config tidewheel.toml
  tidewheel policy show --defaults")]
pub struct PolicyArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Show(show::ShowArgs),
    Set(set::SetArgs),
    History(history::HistoryArgs),
    Validate(file::ValidateArgs),
}

impl PolicyArgs {
    /// Does it.
    ///
    /// # Errors
    /// If a policy cannot be, there is nothing to tell of, or the control topic cannot be written to.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        match self.action {
            Action::Show(args) => args.run(out),
            Action::Set(args) => args.run(out),
            Action::History(args) => args.run(out),
            Action::Validate(args) => args.run(out),
        }
    }
}

/// A field that differs: name, before, after. Null where one has no such field.
type Difference = (String, Value, Value);

/// Which fields of two policies differ. The version always does, and is left out.
fn differences(before: &Policy, after: &Policy) -> Vec<Difference> {
    let fields = |policy: &Policy| -> BTreeMap<String, Value> {
        let mut fields = BTreeMap::new();
        flatten("", &json!(policy), &mut fields);
        fields.remove("version");
        fields
    };
    let (before, after) = (fields(before), fields(after));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of = |fields: &BTreeMap<String, Value>, name: &String| fields.get(name).cloned().unwrap_or_default();
    let all = names.into_iter().map(|name| (name.clone(), of(&before, name), of(&after, name)));
    all.filter(|(_, before, after)| before != after).collect()
}

/// A difference for people.
fn difference_text((field, before, after): &Difference) -> String {
    let text = |value: &Value| if value.is_null() { "none".to_owned() } else { value.to_string() };
    format!("{field}: {} -> {}", text(before), text(after))
}

/// The same as fields.
fn difference_json((field, before, after): &Difference) -> Value {
    json!({ "field": field, "before": before, "after": after })
}

/// The whole document as TOML.
///
/// # Panics
/// Never: a policy is a table.
fn document(policy: &Policy) -> String {
    toml::to_string(policy).expect("a policy is a table")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewheel_risk::policy::{Override, Ratio};

    #[test]
    fn policies_differ_by_fields() {
        let before = Policy::with_version(1);
        let mut after = Policy::with_version(2);
        assert_eq!(differences(&before, &after), []);
        after.limits.gross = Ratio::thousandths(1_500);
        after.universe = vec!["paper|BTCUSDT".to_owned()];
        after.overrides = vec![Override { account: Some("a".to_owned()), ..Override::default() }];
        let told: Vec<String> = differences(&before, &after).iter().map(difference_text).collect();
        assert!(told.contains(&"limits.gross: 2.0 -> 1.5".to_owned()), "{told:?}");
        assert!(told.contains(&"universe[0]: none -> \"paper|BTCUSDT\"".to_owned()), "{told:?}");
        assert!(told.contains(&"overrides[0].account: none -> \"a\"".to_owned()), "{told:?}");
        assert_eq!(told.len(), 3, "{told:?}");
        assert_eq!(toml::from_str::<Policy>(&document(&after)).expect("it reads back"), after);
    }
}
