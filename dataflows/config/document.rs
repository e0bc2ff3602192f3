//! The config file and the environment as one tree, in which every value knows where it was said.
//!
//! Keys are held against the schema here; types and sense are judged later. A value from the environment gets a span beyond
//! the end of the text, so that an error about it names the variable and not a line.

use super::error::{Place, Problem};
use super::schema::{FieldInfo, SECTIONS, SectionInfo, join, section_of};
use serde::de::Deserialize;
use std::borrow::Cow;
use std::ops::Range;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};

/// What all variables of the program begin with.
const PREFIX: &str = "TIDEWHEEL_";
/// Variables that are not fields: for the program's start and for its tests.
const OTHER_VARIABLES: [&str; 4] =
    ["TIDEWHEEL_CONFIG", "TIDEWHEEL_LOG", "TIDEWHEEL_LOG_FORMAT", tidewheel_connectors::fault::VARIABLE];
const OTHER_PREFIXES: [&str; 3] = ["TIDEWHEEL_TEST_", "TIDEWHEEL_FUZZ_", "TIDEWHEEL_BENCH_"];

/// A tree of values and where each was said.
pub struct Document<'t> {
    root: Spanned<DeTable<'t>>,
    /// Where each value stands: its bytes, its path, and the line or variable.
    places: Vec<(Range<usize>, String, Place)>,
    problems: Vec<Problem>,
}

impl<'t> Document<'t> {
    /// Reads the text and lays the environment over it. Keys that are unknown are all told at once.
    pub fn read(text: &'t str, environment: &'t [(String, String)]) -> Result<Self, Vec<Problem>> {
        let root = DeTable::parse(text).map_err(|error| {
            let place = error.span().map_or(Place::Default, |span| Place::Line(line_of(text, span.start)));
            vec![Problem { place, field: None, detail: error.message().to_owned() }]
        })?;
        let mut document = Self { root, places: Vec::new(), problems: Vec::new() };
        let root = std::mem::replace(&mut document.root, Spanned::new(0..0, DeTable::new()));
        document.walk(text, "", root.get_ref());
        document.root = root;
        let mut start = text.len() + 1;
        for (name, value) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            let span = start..start + 1;
            start += 2;
            document.override_field(name, value, span);
        }
        if document.problems.is_empty() { Ok(document) } else { Err(document.problems) }
    }

    /// Where the value of a field was said; of the section around it where the field is not set.
    pub fn place_of(&self, field: &str) -> Place {
        let mut path = field;
        loop {
            if let Some((_, _, place)) = self.places.iter().rev().find(|(_, known, _)| known == path) {
                return place.clone();
            }
            match path.rsplit_once('.') {
                Some((section, _)) => path = section,
                None => return Place::Default,
            }
        }
    }

    /// Makes a typed value of the tree, and hands the places on.
    pub fn into_typed<T: Deserialize<'t>>(mut self) -> Result<(T, Self), Problem> {
        let root = std::mem::replace(&mut self.root, Spanned::new(0..0, DeTable::new()));
        match T::deserialize(toml::de::Deserializer::from(root)) {
            Ok(typed) => Ok((typed, self)),
            Err(error) => {
                let at = error.span().map(|span| span.start);
                let around = |(span, _, _): &&(Range<usize>, String, Place)| at.is_some_and(|at| span.contains(&at));
                let found = self.places.iter().filter(around).min_by_key(|(span, _, _)| span.len());
                let (field, place) = found.map(|(_, path, place)| (path.clone(), place.clone())).unzip();
                Err(Problem { place: place.unwrap_or_default(), field, detail: error.message().to_owned() })
            }
        }
    }

    /// Notes where the values of a section stand, and complains about keys that nobody knows.
    fn walk(&mut self, text: &str, section: &str, table: &DeTable<'_>) {
        for (key, value) in table.iter() {
            let (name, path) = (key.get_ref().as_ref(), join(section, key.get_ref()));
            let place = Place::Line(line_of(text, key.span().start));
            let is_field = section_of(section).is_some_and(|info| info.fields.iter().any(|field| field.name == name));
            let is_section = section_of(&path).is_some();
            if !is_field && !is_section {
                self.problems.push(Problem { place, field: Some(path), detail: unknown(section, name) });
                continue;
            }
            self.note(key, value, &path, place);
            match value.get_ref().as_table() {
                Some(inner) if is_section => self.walk(text, &path, inner),
                Some(inner) => self.walk_open(text, &path, inner),
                None => {}
            }
        }
    }

    /// Notes where the values of a table stand that may have any keys.
    fn walk_open(&mut self, text: &str, path: &str, table: &DeTable<'_>) {
        for (key, value) in table.iter() {
            let path = join(path, key.get_ref());
            let place = Place::Line(line_of(text, key.span().start));
            self.note(key, value, &path, place);
            if let Some(inner) = value.get_ref().as_table() {
                self.walk_open(text, &path, inner);
            }
        }
    }

    /// Notes a value under its own bytes and those of its key: type errors point at one or the other.
    fn note(&mut self, key: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>, path: &str, place: Place) {
        self.places.push((key.span(), path.to_owned(), place.clone()));
        self.places.push((value.span(), path.to_owned(), place));
    }

    fn override_field(&mut self, variable: &str, value: &'t str, span: Range<usize>) {
        if OTHER_VARIABLES.contains(&variable) || OTHER_PREFIXES.iter().any(|prefix| variable.starts_with(prefix)) {
            return;
        }
        let place = Place::Variable(variable.to_owned());
        let Some((section, field, rest)) = field_of(variable) else {
            let detail = unknown_variable(variable);
            return self.problems.push(Problem { place, field: None, detail });
        };
        let path = join(section.name, field.name);
        let table = subtable(self.root.get_mut(), section.name, &span);
        let is_open = field.sample().is_table();
        match (table, rest) {
            // A section that is no table: the type error that follows says so.
            (None, _) => {}
            (Some(table), Some(property)) if is_open => {
                let name = property.to_ascii_lowercase().replace('_', ".");
                if let Some(properties) = subtable(table, field.name, &span) {
                    remove_nested(properties, &name);
                    properties.insert(Spanned::new(span.clone(), Cow::Owned(name)), text_value(value, &span));
                }
            }
            (Some(table), None) if !is_open => {
                table.remove(field.name);
                table.insert(Spanned::new(span.clone(), field.name.into()), typed_value(field, value, &span));
            }
            (Some(_), rest) => {
                let detail = match rest {
                    None => format!("one variable sets one property: {variable}__SASL_PASSWORD sets sasl.password"),
                    Some(_) => unknown_variable(variable),
                };
                return self.problems.push(Problem { place, field: Some(path), detail });
            }
        }
        self.places.push((span, path, place));
    }
}

/// The field that a variable sets, and for properties the name that follows.
fn field_of(variable: &str) -> Option<(&'static SectionInfo, &'static FieldInfo, Option<&str>)> {
    let name = variable.strip_prefix(PREFIX)?;
    let all = SECTIONS.iter().flat_map(|section| section.fields.iter().map(move |field| (section, field)));
    all.into_iter().find_map(|(section, field)| {
        let rest = name.strip_prefix(variable_part(section, field).as_str())?;
        match rest.strip_prefix("__") {
            Some(property) if !property.is_empty() => Some((section, field, Some(property))),
            _ => rest.is_empty().then_some((section, field, None)),
        }
    })
}

/// `SOURCE__CSV__TIME` for the field `time` of the section `source.csv`.
fn variable_part(section: &SectionInfo, field: &FieldInfo) -> String {
    join(section.name, field.name).to_ascii_uppercase().replace('.', "__")
}

/// The table at a path, made where there is none; nothing where something else stands there.
fn subtable<'a, 't>(table: &'a mut DeTable<'t>, path: &str, span: &Range<usize>) -> Option<&'a mut DeTable<'t>> {
    path.split('.').filter(|name| !name.is_empty()).try_fold(table, |table, name| {
        if !table.contains_key(name) {
            let empty = Spanned::new(span.clone(), DeValue::Table(DeTable::new()));
            table.insert(Spanned::new(span.clone(), Cow::Owned(name.to_owned())), empty);
        }
        match table.get_mut(name)?.get_mut() {
            DeValue::Table(inner) => Some(inner),
            _ => None,
        }
    })
}

/// Removes a property, whether its name was written in quotes or as tables inside tables.
fn remove_nested(table: &mut DeTable<'_>, name: &str) {
    table.remove(name);
    for (at, _) in name.match_indices('.') {
        if let Some(DeValue::Table(inner)) = table.get_mut(&name[..at]).map(Spanned::get_mut) {
            remove_nested(inner, &name[at + 1..]);
        }
    }
}

fn text_value<'t>(text: &'t str, span: &Range<usize>) -> Spanned<DeValue<'t>> {
    Spanned::new(span.clone(), DeValue::String(Cow::Borrowed(text)))
}

/// A variable's text as a value of the field's type; text where it is none, for the type error that follows.
fn typed_value<'t>(field: &FieldInfo, text: &'t str, span: &Range<usize>) -> Spanned<DeValue<'t>> {
    match field.sample() {
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            let items = items.map(|item| text_value(item, span)).collect();
            Spanned::new(span.clone(), DeValue::Array(items))
        }
        Value::Integer(_) | Value::Boolean(_) | Value::Float(_) => match DeValue::parse(text.trim()) {
            Ok(value) if value.get_ref().is_integer() || value.get_ref().is_bool() || value.get_ref().is_float() => {
                Spanned::new(span.clone(), value.into_inner())
            }
            _ => text_value(text, span),
        },
        _ => text_value(text, span),
    }
}

/// The line of a byte, from 1.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|&&byte| byte == b'\n').count()
}

fn unknown(section: &str, name: &str) -> String {
    let of_section = |info: &SectionInfo| info.fields.iter().map(|field| field.name).collect::<Vec<_>>();
    let own = section_of(section).map(of_section).unwrap_or_default();
    let inside = if section.is_empty() { String::new() } else { format!("{section}.") };
    let children = SECTIONS.iter().filter_map(|info| info.name.strip_prefix(inside.as_str()));
    let known: Vec<&str> = own.into_iter().chain(children.filter(|name| !name.is_empty())).collect();
    if let Some(nearest) = nearest(name, known.iter().copied()) {
        return format!("unknown key; did you mean {nearest}?");
    }
    let elsewhere = SECTIONS.iter().find(|info| info.fields.iter().any(|field| field.name == name));
    match elsewhere {
        Some(info) if info.name.is_empty() => "unknown key here; it belongs above the first section".to_owned(),
        Some(info) => format!("unknown key here; it belongs under [{}]", info.name),
        None => format!("unknown key; there are {}", known.join(", ")),
    }
}

fn unknown_variable(variable: &str) -> String {
    let all = SECTIONS.iter().flat_map(|section| {
        section.fields.iter().map(move |field| format!("{PREFIX}{}", variable_part(section, field)))
    });
    let names: Vec<String> = all.collect();
    match nearest(variable, names.iter().map(String::as_str)) {
        Some(nearest) => format!("it sets no field; did you mean {nearest}?"),
        None => {
            format!("it sets no field; a field's variable is {PREFIX}<SECTION>__<FIELD>, as {PREFIX}SOURCE__BROKERS")
        }
    }
}

/// The name that was most likely meant, if one is near enough.
fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let distance = |name: &str| strsim::damerau_levenshtein(&wanted.to_lowercase(), &name.to_lowercase());
    let least = names.map(|name| (distance(name), name)).min()?;
    (least.0 <= 1 + wanted.len() / 4).then_some(least.1)
}
