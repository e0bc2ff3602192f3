//! What fields there are, with their docs, defaults and examples: read off the config structs, for the example file, the
//! environment, and the hunt for unknown keys.

use super::{
    BarsSection, Config, ControlSection, CsvSection, FeaturesSection, HttpSection, KafkaSection, LakeSection,
    RecoverySection, RiskSection, ScoringSection, SignalsSection, SourceSection,
};
use documented::{Documented, DocumentedFields};
use serde::Serialize;
use std::sync::LazyLock;
use toml::Value;

/// One section of the file.
pub struct SectionInfo {
    /// Its name, as `source.csv`; empty for the fields above all sections.
    pub name: &'static str,
    /// What it is for.
    pub docs: &'static str,
    /// Whether the example shows it commented out: most configurations have none.
    pub is_rare: bool,
    /// Its fields, in their order.
    pub fields: Vec<FieldInfo>,
}

/// One field.
pub struct FieldInfo {
    /// Its name in its section.
    pub name: &'static str,
    /// What it means.
    pub docs: String,
    /// Its default; none for a field that may be left out and then is nothing.
    pub default: Option<Value>,
    /// A value to show where there is no default.
    pub example: Option<Value>,
}

impl FieldInfo {
    /// A value of the type that the field has.
    pub fn sample(&self) -> &Value {
        let sample = self.default.as_ref().or(self.example.as_ref());
        sample.expect("a test holds that every field has a default or an example")
    }
}

/// All sections, in the order of the example file.
pub static SECTIONS: LazyLock<Vec<SectionInfo>> = LazyLock::new(|| {
    vec![
        section("", &Config::default()),
        section("source", &SourceSection::default()),
        SectionInfo { is_rare: true, ..section("source.csv", &CsvSection::default()) },
        section("bars", &BarsSection::default()),
        section("features", &FeaturesSection::default()),
        section("control", &ControlSection::default()),
        section("scoring", &ScoringSection::default()),
        section("signals", &SignalsSection::default()),
        SectionInfo { is_rare: true, ..section("risk", &RiskSection::default()) },
        section("kafka", &KafkaSection::default()),
        section("lake", &LakeSection::default()),
        section("recovery", &RecoverySection::default()),
        SectionInfo { is_rare: true, ..section("http", &HttpSection::default()) },
    ]
});

/// The section of a name.
pub fn section_of(name: &str) -> Option<&'static SectionInfo> {
    SECTIONS.iter().find(|section| section.name == name)
}

/// The path of a field or a section inside a section.
pub fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// The words before an example at the end of a field's docs.
const EXAMPLE: &str = "Example: `";

const SECTION_NAMES: [&str; 12] = [
    "source",
    "source.csv",
    "bars",
    "features",
    "control",
    "scoring",
    "signals",
    "risk",
    "kafka",
    "lake",
    "recovery",
    "http",
];

fn section<T: Serialize + Documented + DocumentedFields>(name: &'static str, defaults: &T) -> SectionInfo {
    let defaults = toml::Table::try_from(defaults).expect("a section is a table");
    let info = |field: &'static str| {
        let docs = T::get_field_docs(field).expect("the name comes from the same list");
        let (docs, example) = match docs.split_once(EXAMPLE) {
            Some((docs, example)) => (docs.trim_end(), Some(example.trim_end().trim_end_matches('`'))),
            None => (docs, None),
        };
        let example = example.map(|text| toml::from_str::<toml::Table>(&format!("value = {text}")));
        FieldInfo {
            name: field,
            docs: docs.to_owned(),
            default: defaults
                .get(field)
                .filter(|value| value.as_table().is_none_or(|table| !table.is_empty()))
                .cloned(),
            example: example.map(|table| table.expect("a test holds that examples are TOML")["value"].clone()),
        }
    };
    let names = T::FIELD_NAMES.iter().copied().filter(|field| !SECTION_NAMES.contains(&join(name, field).as_str()));
    let fields = names.map(info).collect();
    SectionInfo { name, docs: T::DOCS, is_rare: false, fields }
}
