//! The example file: every field with its docs and its default.

use super::schema::{FieldInfo, SECTIONS, SectionInfo};
use std::fmt::Write;

/// Columns of a comment line.
const WIDTH: usize = 100;

/// A config file with every field, what it means, and its default. Reads back as [`super::Config::default`].
pub fn example() -> String {
    let mut text = String::new();
    comment(
        &mut text,
        "Tidewheel: trades from Kafka in, exact and self-repairing bars out. Every field is shown with its default; a line \
         that starts with # and no space is a field that is not set. An environment variable overrides each: \
         TIDEWHEEL_WORKERS, TIDEWHEEL_SOURCE__BROKERS (lists with commas between), \
         TIDEWHEEL_SOURCE__PROPERTIES__SASL_PASSWORD.",
    );
    SECTIONS.iter().for_each(|section| write_section(&mut text, section));
    text
}

fn write_section(text: &mut String, section: &SectionInfo) {
    let off = if section.is_rare { "#" } else { "" };
    if !section.name.is_empty() {
        text.push('\n');
        comment(text, section.docs);
        line(text, &format!("{off}[{}]", section.name));
    }
    for field in &section.fields {
        text.push('\n');
        write_field(text, field, off);
    }
}

fn write_field(text: &mut String, field: &FieldInfo, off: &str) {
    comment(text, &field.docs);
    let off = if field.default.is_none() { "#" } else { off };
    line(text, &format!("{off}{} = {}", field.name, field.sample()));
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{content}").expect("writing to a string cannot fail");
}

/// Writes words as comment lines, broken between words.
fn comment(text: &mut String, words: &str) {
    let mut column = 0;
    for word in words.split_whitespace() {
        if column > 0 && column + 1 + word.len() > WIDTH {
            text.push('\n');
            column = 0;
        }
        text.push_str(if column == 0 { "# " } else { " " });
        text.push_str(word);
        column += word.len() + if column == 0 { 2 } else { 1 };
    }
    text.push('\n');
}
