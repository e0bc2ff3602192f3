//! What the exchanges themselves say: recorded trades through the program against their own candles.
//!
//! The recordings lie beside the repository, in `../shared/data`, and are not part of it. Where they are missing, each test
//! says so and passes. Numbers are compared as integers with eight or sixteen decimals, read from decimal text.

mod archive;
mod books;
mod captures;
mod crash;
mod falls;
mod klines;
mod slow;
mod venues;
mod watched;

use std::io::Read;
use std::path::{Path, PathBuf};
use tidewheel_schemas::parse_e8;

/// A recording; nothing, after a line that says so, where there are none.
fn recording(path: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !folder.is_dir() {
        println!("skipped: the recordings are missing, expected in {}", folder.display());
        return None;
    }
    Some(folder.join(path))
}

/// The text of a file, unpacked if its name ends in `.gz`.
fn text_of_file(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_none_or(|ending| ending != "gz") {
        return String::from_utf8(bytes).expect("text");
    }
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("gzip of text");
    text
}

/// Decimal text with eight places, exactly.
fn e8(text: &str) -> i64 {
    parse_e8(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// Decimal text of up to eight places, with sixteen.
fn e16(text: &str) -> i128 {
    i128::from(e8(text)) * 100_000_000
}
