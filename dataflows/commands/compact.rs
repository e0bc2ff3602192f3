//! `tidewheel compact`: few large files in the lake in the place of many small ones.

use super::arguments::duration_or_zero_ns;
use super::table::Table as Columns;
use super::{CommandError, now_ns, summary};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tidewheel_connectors::lake::compact::{CompactConfig, CompactReport, Joined, compact};
use tidewheel_connectors::lake::{Table, read};

/// Join the lake's small files into large ones, also while a run writes it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The rows stay the same, and so does the frontier. Stopped at any moment, it has lost nothing: call it again.

Examples:
  tidewheel compact ./lake
  tidewheel compact ./lake --older-than 1d --target-bytes 512MiB --table bars,bars_changelog
  tidewheel compact ./lake --dry-run
  tidewheel compact ./lake --check"
)]
pub struct CompactArgs {
    /// The lake's folder
    #[arg(value_name = "LAKE")]
    lake: PathBuf,
    /// Only files all of whose rows are older than this: newer bars a run may soon revise
    #[arg(long, default_value = "1h", value_parser = duration_or_zero_ns, value_name = "DURATION")]
    older_than: i64,
    /// Rows that a file has at most; one of half as many is left alone
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(2..), value_name = "N")]
    target_rows: u64,
    /// Bytes of the files that become one: 500000, 128MiB, 1GB
    #[arg(long, default_value = "128MiB", value_parser = bytes, value_name = "SIZE")]
    target_bytes: u64,
    /// Only these tables: bars, bars_changelog, trades, late, rejects [default: all]
    #[arg(long, value_delimiter = ',', value_parser = table, value_name = "TABLE")]
    table: Vec<Table>,
    /// Only say what would be joined
    #[arg(long)]
    dry_run: bool,
    /// Join nothing; read every file of a lake that nobody writes, and hold it against its checksum
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,
}

fn table(text: &str) -> Result<Table, String> {
    let names = || Table::ALL.map(Table::name).join(", ");
    let known = Table::ALL.into_iter().find(|table| table.name() == text);
    known.ok_or_else(|| format!("expected one of {}", names()))
}

/// A number of bytes, with or without a unit.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let unit: u64 = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => 0,
    };
    let number: Option<u64> = digits.parse().ok();
    let size = number.and_then(|number| number.checked_mul(unit)).filter(|size| *size > 0);
    size.ok_or_else(|| "expected a size such as 500000, 128MiB or 1GB".to_owned())
}

impl CompactArgs {
    /// Compacts, and says what became one.
    ///
    /// # Errors
    /// If there is no lake, if a file is damaged, or if the file system refuses.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        if self.check {
            let state = read::check(&self.lake)?;
            let bytes: u64 = state.files.values().map(|file| file.bytes).sum();
            let files = summary::number(state.files.len() as u64);
            writeln!(out, "lake {}: {files} files, {} are whole", self.lake.display(), megabytes(bytes))
                .map_err(CommandError::Output)?;
            return Ok(ExitCode::SUCCESS);
        }
        let report = compact(&CompactConfig {
            tables: if self.table.is_empty() { Table::ALL.to_vec() } else { self.table.clone() },
            before_ns: now_ns().saturating_sub(self.older_than),
            target_rows: self.target_rows,
            target_bytes: self.target_bytes,
            dry_run: self.dry_run,
            ..CompactConfig::new(&self.lake)
        })?;
        self.tell(&report, out).map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }

    fn tell(&self, report: &CompactReport, out: &mut dyn Write) -> std::io::Result<()> {
        let mut columns = Columns::right_aligned(&[1, 2, 3]);
        let counts = |group: &Joined| {
            let (files, rows) = (summary::number(group.files), summary::number(group.rows));
            (format!("{files} files"), format!("{rows} rows"), megabytes(group.bytes_before))
        };
        for group in &report.joined {
            let (files, rows, before) = counts(group);
            let after =
                if self.dry_run { "-> 1".to_owned() } else { format!("-> 1, {}", megabytes(group.bytes_after)) };
            columns.row([group.folder.clone(), files, rows, before, after]);
        }
        for group in &report.outrun {
            let (files, rows, before) = counts(group);
            columns.row([group.folder.clone(), files, rows, before, "left: rewritten meanwhile".to_owned()]);
        }
        columns.write(out, "")?;
        let (before, after) = (summary::number(report.files_before), summary::number(report.files_after));
        let verb = if self.dry_run { "would become" } else { "became" };
        writeln!(out, "lake {}: {before} files {verb} {after}", self.lake.display())
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_what_they_mean() {
        for (text, expected) in [("7", 7), ("500 kB", 500_000), ("128MiB", 128 << 20), ("1GB", 1_000_000_000)] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for wrong in ["", "MiB", "0", "1.5GB", "-1", "5 parsecs", "99999999999GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn tables_by_name() {
        assert!(Table::ALL.into_iter().all(|known| table(known.name()) == Ok(known)));
        assert!(table("bar").expect_err("unknown").contains("bars_changelog"));
    }
}
