//! The market's tables are read by DuckDB, Polars, pandas and pyarrow, by a plain glob.

use crate::harness::program::{replay, text_of, tidewheel};
use crate::readers::python_with_readers;
use std::path::Path;
use std::process::Command;

const SCRIPT: &str = r#"
import sys
from decimal import Decimal
import duckdb, pandas, polars, pyarrow as pa, pyarrow.parquet as parquet
from pathlib import Path

lake, macros = Path(sys.argv[1]), Path(sys.argv[2])

def same(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: found {found!r}, expected {wanted!r}")

db = duckdb.connect()
db.execute("SET TimeZone = 'UTC'")
db.execute(macros.read_text())
level = "STRUCT(price DECIMAL(18,8), quantity DECIMAL(20,8))[]"
types = {
    "quotes": {"update_id": "BIGINT", "bid_price": "DECIMAL(18,8)", "ask_quantity": "DECIMAL(20,8)"},
    "books": {"is_snapshot": "BOOLEAN", "sequence": "BIGINT", "bids": level, "asks": level},
    "marks": {"mark_price": "DECIMAL(18,8)", "funding_rate": "DECIMAL(18,8)", "next_funding_time": "TIMESTAMP WITH TIME ZONE"},
    "funding": {"funding_rate": "DECIMAL(18,8)", "mark_price": "DECIMAL(18,8)"},
    "liquidations": {"side": "VARCHAR", "price": "DECIMAL(18,8)", "quantity": "DECIMAL(20,8)"},
}
for table, wanted in types.items():
    glob = f"{lake}/{table}/*/*.parquet"
    found = dict((name, kind) for name, kind, *_ in db.execute(f"DESCRIBE FROM read_parquet('{glob}', hive_partitioning = true)").fetchall())
    same(f"duckdb types of {table}", {name: found[name] for name in wanted}, wanted)
    same(f"duckdb time of {table}", found["event_time"], "TIMESTAMP WITH TIME ZONE")
    rows = db.execute(f"SELECT count(*) FROM read_parquet('{glob}')").fetchone()[0]
    same(f"polars rows of {table}", polars.scan_parquet(glob).select(polars.len()).collect().item(), rows)
    same(f"pandas rows of {table}", len(pandas.read_parquet(lake / table)), rows)
    same(f"pyarrow rows of {table}", sum(parquet.ParquetFile(path).metadata.num_rows for path in (lake / table).rglob("*.parquet")), rows)
    if rows == 0:
        sys.exit(f"{table} is empty")

# The same sum over the levels of all books, by each reader.
glob = f"{lake}/books/*/*.parquet"
total = db.execute(f"SELECT sum(b.price), sum(b.quantity), count(*) FROM (SELECT unnest(bids) AS b FROM read_parquet('{glob}'))").fetchone()
bids = polars.scan_parquet(glob).select(polars.col("bids")).explode("bids").drop_nulls().unnest("bids").collect()
same("polars levels", (bids["price"].sum(), bids["quantity"].sum(), bids.height), total)
levels = [level for row in pandas.read_parquet(lake / "books")["bids"] for level in row]
same("pandas levels", (sum(level["price"] for level in levels), sum(level["quantity"] for level in levels), len(levels)), total)
kind = parquet.ParquetFile(next((lake / "books").rglob("*.parquet"))).schema_arrow.field("bids").type
same("pyarrow levels", (kind.value_type.field("price").type, kind.value_type.field("quantity").type), (pa.decimal128(18, 8), pa.decimal128(20, 8)))

# The touch of each snapshot, its best levels first, is not crossed; and the macros give one row an instrument.
crossed = f"SELECT count(*) FROM read_parquet('{glob}') WHERE is_snapshot AND bids[1].price >= asks[1].price"
same("crossed snapshots", db.execute(crossed).fetchone()[0], 0)
same("duckdb quotes_now", db.execute(f"SELECT count(*), count(DISTINCT symbol) FROM quotes_now('{lake}')").fetchone(), (3, 3))
same("duckdb marks_now", db.execute(f"SELECT count(*), count(mark_price), count(funding_rate) FROM marks_now('{lake}')").fetchone(), (3, 3, 3))
newest = "SELECT max_by(bid_price, (event_time_ns, update_id)) FROM read_parquet('" + f"{lake}/quotes/*/*.parquet" + "') WHERE symbol = 'BTCUSDT'"
same("the newest quote", db.execute(f"SELECT bid_price FROM quotes_now('{lake}') WHERE symbol = 'BTCUSDT'").fetchone(), db.execute(newest).fetchone())
one = f"SELECT level, price, quantity FROM book_levels('{lake}') WHERE is_snapshot AND side = 'bid' AND symbol = 'BTCUSDT' LIMIT 1"
same("duckdb book_levels", len(db.execute(one).fetchall()), 1)
print("all agree on", total)
"#;

#[test]
fn duckdb_polars_pandas_and_pyarrow_read_the_levels_of_books() {
    let Some(python) = python_with_readers() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let market = at("market.jsonl");
    let said = tidewheel(&[
        "generate",
        "--output",
        text_of(&market),
        "--symbols",
        "3",
        "--trades",
        "20000",
        "--trades-per-second",
        "1",
        "--start",
        "2024-08-05T05:00:00Z",
        "--streams",
        "trades,quotes,books,marks,liquidations",
        "--format",
        "binance",
    ]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let lake = at("lake");
    replay(&lake, &["--input", text_of(&market), "--archive", "--intervals", "1h"]);
    std::fs::write(at("check.py"), SCRIPT).expect("a file");
    let macros = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/duckdb.sql");
    let output = Command::new(python).arg(at("check.py")).arg(&lake).arg(macros).output().expect("python runs");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
