//! The tables of what accounts do are read by DuckDB, Polars, pandas and pyarrow, by a plain glob, and say what was sent.

use crate::harness::program::{replay, text_of, tidewheel};
use crate::readers::python_with_readers;
use std::process::Command;

const SCRIPT: &str = r#"
import json, sys
from decimal import Decimal
import duckdb, pandas, polars, pyarrow.parquet as parquet
from pathlib import Path

lake, sent = Path(sys.argv[1]), [json.loads(line) for line in open(sys.argv[2])]

def same(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: found {found!r}, expected {wanted!r}")

def of(*types):
    return [record for record in sent if record["type"] in types]

db = duckdb.connect()
db.execute("SET TimeZone = 'UTC'")
price, quantity, time = "DECIMAL(18,8)", "DECIMAL(20,8)", "TIMESTAMP WITH TIME ZONE"
tables = {
    "fills": (of("fill"), {"account": "VARCHAR", "fill_id": "VARCHAR", "quantity": quantity, "price": price, "fee": quantity}),
    "fill_amendments": (of("fill_cancel", "fill_correction"), {"op": "VARCHAR", "original_event_time": time, "sequence": "BIGINT", "fill_time_ns": "BIGINT"}),
    "cash": (of("cash"), {"cash_id": "VARCHAR", "amount": quantity}),
    "order_intents": (of("order_intent"), {"limit_price": price, "is_reduce_only": "BOOLEAN", "expires": time}),
    "order_ends": (of("order_end"), {"intent_id": "VARCHAR"}),
    "instruments": (of("instrument"), {"sector": "VARCHAR", "contract": "VARCHAR", "multiplier": quantity}),
}
for table, (records, wanted) in tables.items():
    glob = f"{lake}/{table}/*/*.parquet"
    found = dict((name, kind) for name, kind, *_ in db.execute(f"DESCRIBE FROM read_parquet('{glob}', hive_partitioning = true)").fetchall())
    same(f"duckdb types of {table}", {name: found[name] for name in wanted}, wanted)
    same(f"duckdb time of {table}", found["event_time"], time)
    same(f"duckdb rows of {table}", db.execute(f"SELECT count(*) FROM read_parquet('{glob}')").fetchone()[0], len(records))
    same(f"polars rows of {table}", polars.scan_parquet(glob).select(polars.len()).collect().item(), len(records))
    same(f"pandas rows of {table}", len(pandas.read_parquet(lake / table)), len(records))
    same(f"pyarrow rows of {table}", sum(parquet.ParquetFile(path).metadata.num_rows for path in (lake / table).rglob("*.parquet")), len(records))
    if not records:
        sys.exit(f"{table} is empty")

def key(row):
    return int(row[0].removeprefix("f-"))

# Each fill as it was sent, to the last decimal and the nanosecond.
columns = ["fill_id", "account", "strategy", "venue", "symbol", "intent_id", "side", "quantity", "price", "fee", "fee_currency", "event_time_ns"]
exact = {"quantity", "price", "fee"}
wanted = sorted((tuple(Decimal(fill[name]) if name in exact else fill[name.replace("_time_ns", "_time")] for name in columns) for fill in of("fill")), key=key)
glob = f"{lake}/fills/*/*.parquet"
same("duckdb fills", sorted(db.execute(f"SELECT {', '.join(columns)} FROM read_parquet('{glob}')").fetchall(), key=key), wanted)
same("polars fills", sorted(polars.scan_parquet(glob).select(columns).collect().rows(), key=key), wanted)
# What it ended with, and where it is.
deposits = sum(Decimal(movement["amount"]) for movement in of("cash"))
same("duckdb cash", db.execute(f"SELECT sum(amount) FROM read_parquet('{lake}/cash/*/*.parquet')").fetchone()[0], deposits)
orders = f"SELECT count(*) FROM read_parquet('{lake}/order_intents/*/*.parquet') WHERE is_reduce_only"
same("duckdb orders", db.execute(orders).fetchone()[0], sum(intent.get("reduce_only", False) for intent in of("order_intent")))
print("all agree on", len(wanted), "fills and", deposits)
"#;

#[test]
fn duckdb_polars_pandas_and_pyarrow_read_an_account() {
    let Some(python) = python_with_readers() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let file = at("paper.jsonl");
    let market = ["--symbols", "3", "--trades", "20000", "--trades-per-second", "1"];
    let told = ["generate", "--output", text_of(&file), "--streams", "trades,account"];
    let said = tidewheel(&[&told[..], &market].concat());
    assert_eq!(said.code, Some(0), "{}", said.err);
    let lake = at("lake");
    replay(&lake, &["--input", text_of(&file), "--archive", "--intervals", "1h"]);
    std::fs::write(at("check.py"), SCRIPT).expect("a file");
    let output = Command::new(python).arg(at("check.py")).arg(&lake).arg(&file).output().expect("python runs");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
