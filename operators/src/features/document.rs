//! The table of features as a document for people.

use super::{FEATURES, View};
use std::fmt::Write;

const HEAD: &str = "\
# Features

What can be computed of bars. Made from the table in the code; a test holds that it is current. `tidewheel features describe NAME`
tells one of them, with `--json` for machines.

Only final bars count, and they count as bars: a window of 20 is 20 bars that there were, however long the gaps between. `O H L C V`
are those of a bar, `n` is the number in the name. What has no value is null, never zero: before the bars *needed*, counted from an
instrument's first bar, and where a formula divides by zero. From the bars in *warm* on, where history began weighs less than 1 %.
Volatilities are for one bar, or for the bars of the window together; nothing is made yearly.

| name | version | unit | made of | needed | warm | formula | source |
| --- | --- | --- | --- | --- | --- | --- | --- |
";

/// The document, in Markdown.
pub fn document() -> String {
    let mut text = HEAD.to_owned();
    for feature in FEATURES {
        let (name, version, family) = (feature.name, feature.version, feature.family);
        let (needs, warm_up) = (feature.kernel.needs(), feature.kernel.warm_up());
        let formula = family.formula.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| `{name}` | {version} | {} | {} | {needs} | {warm_up} | {formula} | {} |",
            family.unit, family.inputs, family.source
        );
    }
    for view in View::built_in() {
        let _ = writeln!(
            text,
            "\n## View `{}`, version {}\n\nA row for each final {} bar. A column over longer bars has the value of the newest that had \
             closed when the row's bar did.\n",
            view.name, view.version, view.base
        );
        for column in &view.columns {
            let _ = writeln!(text, "- `{}` ({})", column.name(view.base), column.feature.family.unit);
        }
    }
    text
}
