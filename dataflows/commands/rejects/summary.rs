//! Dead letters for people: a table by reason, or each letter whole.

use super::letters::Letter;
use crate::commands::table::Table;
use crate::commands::time_text;
use std::collections::BTreeMap;
use std::io::{self, Write};
use tidewheel_schemas::RejectReason;

/// Characters of a sample in the table.
const SAMPLE_CHARACTERS: usize = 80;

/// Counts by reason.
#[derive(Debug, Default)]
pub struct Summary {
    by_reason: BTreeMap<RejectReason, OfReason>,
}

#[derive(Debug)]
struct OfReason {
    count: u64,
    first_tick: u64,
    last_tick: u64,
    sample: String,
}

impl Summary {
    /// Counts a letter; the first of a reason is its sample.
    pub fn add(&mut self, letter: Letter) {
        let of = self.by_reason.entry(letter.reason).or_insert_with(|| OfReason {
            count: 0,
            first_tick: letter.tick,
            last_tick: letter.tick,
            sample: format!("{}:{} {}", letter.source, letter.position, letter.detail),
        });
        of.count += letter.records;
        of.first_tick = of.first_tick.min(letter.tick);
        of.last_tick = of.last_tick.max(letter.tick);
    }

    /// Writes the table, most frequent first, and what can be done next.
    pub fn write(&self, place: &str, out: &mut dyn Write) -> io::Result<()> {
        if self.by_reason.is_empty() {
            return writeln!(out, "no dead letters in {place}");
        }
        let mut rows: Vec<_> = self.by_reason.iter().collect();
        rows.sort_by_key(|(_, of)| std::cmp::Reverse(of.count));
        let mut table = Table::right_aligned(&[1]);
        table.row(["REASON", "COUNT", "FIRST", "LAST", "SAMPLE"]);
        for (reason, of) in &rows {
            table.row([
                reason.name(),
                &of.count.to_string(),
                &time_text(of.first_tick),
                &time_text(of.last_tick),
                &shortened(&of.sample),
            ]);
        }
        table.write(out, "")?;
        let total: u64 = rows.iter().map(|(_, of)| of.count).sum();
        writeln!(out, "\n{total} refused records; --show prints them whole, --replay FILE writes their raw bytes again")
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SAMPLE_CHARACTERS) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// Writes a letter whole. Bytes that are no text show as `\xff`.
pub fn show(letter: &Letter, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}  {}:{}  at {}", letter.reason, letter.source, letter.position, time_text(letter.tick))?;
    let records = if letter.records > 1 { format!("{} times: ", letter.records) } else { String::new() };
    writeln!(out, "  {records}{}", letter.detail)?;
    let cut = if letter.is_cut { " (only its beginning was kept)" } else { "" };
    writeln!(out, "  {} bytes{cut}: {}\n", letter.raw.len(), printable(&letter.raw))
}

fn printable(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        // Control characters could move the cursor or worse.
        chunk.valid().chars().for_each(|letter| match letter {
            '\t' => text.push(letter),
            letter if letter.is_control() => text.extend(letter.escape_default()),
            letter => text.push(letter),
        });
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_bytes_print_without_harm() {
        assert_eq!(printable(b"{\"a\":1}\n\x1b[2J\xff\xc3\xa4"), "{\"a\":1}\\n\\u{1b}[2J\\xff\u{e4}");
    }
}
