//! Real closes from the recordings beside the repository. Where they or a Python that reads them are missing, the test says so and passes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub const HOUR_NS: i64 = 3_600_000_000_000;

/// The closes of one bar: its opening time, and the prices of the symbols in the order asked for, eight decimals.
#[derive(Clone, Debug)]
pub struct Closes {
    pub time_ns: i64,
    pub prices_e8: Vec<i64>,
}

/// Hourly closes from one day to before another, of bars that all symbols have.
pub fn hourly(first: &str, last: &str, symbols: &[&str]) -> Option<Vec<Closes>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("../../../shared/data/klines_spot");
    if !folder.is_dir() {
        println!("skipped: the recordings are missing, expected in {}", folder.display());
        return None;
    }
    let mut command = Command::new(python_with_pyarrow().as_ref()?);
    command.arg(root.join("tests/fixtures/crash_closes.py")).arg(folder).args(["1h", first, last]).args(symbols);
    let output = command.output().expect("python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let mut bars: Vec<Closes> = Vec::new();
    for line in text.lines() {
        let [symbol, time, close] = line.split(',').collect::<Vec<_>>()[..] else { panic!("three words: {line}") };
        let at = symbols.iter().position(|known| *known == symbol).expect("a symbol that was asked for");
        let time_ns = time.parse().expect("a number");
        if bars.last().is_none_or(|bar| bar.time_ns != time_ns) {
            bars.push(Closes { time_ns, prices_e8: vec![0; symbols.len()] });
        }
        bars.last_mut().expect("it was pushed").prices_e8[at] = close.parse().expect("a number");
    }
    bars.retain(|bar| bar.prices_e8.iter().all(|price| *price > 0));
    Some(bars)
}

/// A Python that has pyarrow, installed beside the build if need be, once for all tests.
fn python_with_pyarrow() -> &'static Option<PathBuf> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(install)
}

fn install() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let python = folder.join("bin/python");
    let succeeds = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let has_reader = || succeeds(Command::new(&python).args(["-c", "import pyarrow.parquet"]));
    let is_there = has_reader()
        || (succeeds(Command::new("python3").args(["-m", "venv"]).arg(&folder))
            && succeeds(Command::new(&python).args(["-m", "pip", "install", "--quiet", "pyarrow"]))
            && has_reader());
    if !is_there {
        println!("skipped: pyarrow cannot be installed here (python3 or PyPI out of reach)");
    }
    is_there.then_some(python)
}
