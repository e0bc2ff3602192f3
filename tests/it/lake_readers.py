"""Reads a lake with DuckDB, Polars, pandas and pyarrow, each by a plain glob, and checks what they see.

Usage: lake_readers.py LAKE EXPECTED.json
"""

import json
import sys
from decimal import Decimal, getcontext
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow as pa
import pyarrow.dataset as dataset
import pyarrow.parquet as parquet

getcontext().prec = 60

lake = Path(sys.argv[1])
expected = json.loads(Path(sys.argv[2]).read_text())
bars_glob = f"{lake}/bars/*/*/*.parquet"
log_glob = f"{lake}/bars_changelog/*/*/*.parquet"
trades_glob = f"{lake}/trades/*/*.parquet"

BAR_TYPES = {
    "venue": pa.string(),
    "symbol": pa.string(),
    "open_time": pa.timestamp("us", tz="UTC"),
    "close_time": pa.timestamp("us", tz="UTC"),
    "open": pa.decimal128(18, 8),
    "high": pa.decimal128(18, 8),
    "low": pa.decimal128(18, 8),
    "close": pa.decimal128(18, 8),
    "volume": pa.decimal128(38, 8),
    "taker_buy_volume": pa.decimal128(38, 8),
    "quote_volume": pa.decimal128(38, 16),
    "taker_buy_quote_volume": pa.decimal128(38, 16),
    "trade_count": pa.int64(),
    "vwap": pa.float64(),
    "first_trade_id": pa.string(),
    "last_trade_id": pa.string(),
    "revision": pa.int32(),
    "is_final": pa.bool_(),
    "tick": pa.int64(),
}


def same(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: found {found!r}, expected {wanted!r}")


def check_sums(reader, rows, volume, quote_volume, trade_count):
    same(f"{reader} rows", int(rows), expected["rows"])
    same(f"{reader} volume", Decimal(volume), Decimal(expected["volume"]))
    same(f"{reader} quote volume", Decimal(quote_volume), Decimal(expected["quote_volume"]))
    same(f"{reader} trade count", int(trade_count), expected["trade_count"])


def check_pyarrow():
    bars = dataset.dataset(lake / "bars", format="parquet", partitioning="hive").to_table()
    for name, wanted in BAR_TYPES.items():
        same(f"pyarrow type of {name}", bars.schema.field(name).type, wanted)
    same("pyarrow partitions", set(bars.column("interval").unique().to_pylist()), set(expected["intervals"]))
    totals = [sum(bars.column(name).to_pylist()) for name in ("volume", "quote_volume", "trade_count")]
    check_sums("pyarrow", bars.num_rows, *totals)
    for path in sorted((lake / "bars").rglob("*.parquet")):
        metadata = parquet.ParquetFile(path).metadata
        same(f"sorting columns of {path.name}", [c.column_index for c in metadata.row_group(0).sorting_columns], [0, 1, 2])
        same(f"schema version of {path.name}", metadata.metadata.get(b"tidewheel.schema_version"), b"1")
        low = metadata.row_group(0).column(2).statistics
        same(f"statistics of {path.name}", low.has_min_max, True)


def check_duckdb():
    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    db.execute(f"CREATE VIEW bars AS FROM read_parquet('{bars_glob}', hive_partitioning = true)")
    db.execute(f"CREATE VIEW bars_changelog AS FROM read_parquet('{log_glob}', hive_partitioning = true)")
    totals = "SELECT count(*), sum(volume), sum(quote_volume), sum(trade_count) FROM bars"
    check_sums("duckdb", *db.execute(totals).fetchone())
    same("duckdb keys", db.execute("SELECT count(*) FROM (SELECT DISTINCT venue, symbol, interval, open_time FROM bars)").fetchone()[0], expected["rows"])
    same("duckdb days", db.execute("SELECT count(*) FROM bars WHERE date != open_time::DATE").fetchone()[0], 0)
    types = dict((name, kind) for name, kind, *_ in db.execute("DESCRIBE bars").fetchall())
    same("duckdb type of close", types["close"], "DECIMAL(18,8)")
    same("duckdb type of quote_volume", types["quote_volume"], "DECIMAL(38,16)")
    same("duckdb type of open_time", types["open_time"], "TIMESTAMP WITH TIME ZONE")
    # The product of two decimals must not overflow: DECIMAL(38,8) times DECIMAL(18,8).
    same("duckdb product", db.execute("SELECT count(volume * close) FROM bars").fetchone()[0], expected["rows"])
    # What is right now is also the newest final version of the changelog, where its bar is not gone.
    newest = """
        SELECT venue, symbol, interval, open_time, close, volume, revision
        FROM bars_changelog WHERE is_final
        QUALIFY row_number() OVER (PARTITION BY venue, symbol, interval, open_time ORDER BY revision DESC, tick DESC) = 1
            AND trade_count > 0
    """
    right_now = "SELECT venue, symbol, interval, open_time, close, volume, revision FROM bars"
    for one, other in ((newest, right_now), (right_now, newest)):
        same("duckdb newest against bars", db.execute(f"SELECT count(*) FROM (({one}) EXCEPT ({other}))").fetchone()[0], 0)
    same("duckdb changelog", db.execute("SELECT count(*) FROM bars_changelog").fetchone()[0], expected["changelog_rows"])
    same("duckdb tombstones", db.execute("SELECT count(*) FROM bars_changelog WHERE close IS NULL AND trade_count = 0").fetchone()[0], expected["tombstones"])
    trades = f"SELECT count(*), sum(quantity), min(op), max(source) FROM read_parquet('{trades_glob}', hive_partitioning = true)"
    rows, quantity, op, source = db.execute(trades).fetchone()
    same("duckdb trades", (rows, quantity, op, source), (expected["trades"], Decimal(expected["quantity"]), "insert", "trades[0]"))


def check_polars():
    bars = polars.scan_parquet(bars_glob, hive_partitioning=True)
    totals = bars.select(
        polars.len().alias("rows"),
        polars.col("volume").sum(),
        polars.col("quote_volume").sum(),
        polars.col("trade_count").sum(),
    ).collect()
    check_sums("polars", *totals.row(0))
    schema = bars.collect_schema()
    same("polars type of close", schema["close"], polars.Decimal(18, 8))
    same("polars type of open_time", schema["open_time"], polars.Datetime("us", "UTC"))
    same("polars type of symbol", schema["symbol"], polars.String)
    day = bars.filter(polars.col("interval") == "1m", polars.col("symbol") == expected["symbol"]).collect()
    same("polars filtered rows", day.height, expected["rows_of_symbol"])


def check_pandas():
    bars = pandas.read_parquet(lake / "bars", filters=[("interval", "==", "1m")])
    same("pandas keys", bars.duplicated(["venue", "symbol", "open_time"]).sum(), 0)
    same("pandas time zone", str(bars["open_time"].dt.tz), "UTC")
    everything = pandas.read_parquet(lake / "bars")
    check_sums("pandas", len(everything), everything["volume"].sum(), everything["quote_volume"].sum(), everything["trade_count"].sum())


check_pyarrow()
check_duckdb()
check_polars()
check_pandas()
print("duckdb", duckdb.__version__, "polars", polars.__version__, "pandas", pandas.__version__, "pyarrow", pa.__version__, "agree")
