"""Asks a lake what was known at ticks, with DuckDB by our macros and with Polars, and compares with what was published.

Usage: known_at.py LAKE MACROS.sql EXPECTED.json
"""

import json
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import polars

lake, macros, questions = sys.argv[1], Path(sys.argv[2]).read_text(), json.loads(Path(sys.argv[3]).read_text())
DECIMALS = ["open", "high", "low", "close", "volume", "quote_volume"]
COLUMNS = ["venue", "symbol", "interval", "open_time", "tick", "revision", "is_final", *DECIMALS, "trade_count", "first_trade_id", "last_trade_id"]
KEY = ["venue", "symbol", "interval", "open_time"]


def compare(what, found, wanted):
    found = sorted(map(list, found), key=lambda row: row[:4])
    wanted = [row[:7] + [Decimal(cell) for cell in row[7:13]] + row[13:] for row in wanted]
    wanted.sort(key=lambda row: row[:4])
    if found != wanted:
        differing = next((pair for pair in zip(found, wanted) if pair[0] != pair[1]), None)
        sys.exit(f"{what}: {len(found)} rows, expected {len(wanted)}; first that differ: {differing}")


db = duckdb.connect()
db.execute("SET TimeZone = 'UTC'")
db.execute(macros)
selected = ", ".join("epoch_us(open_time)" if name == "open_time" else name for name in COLUMNS)
for question in questions:
    tick = question["tick"]
    by_tick = db.execute(f"SELECT {selected} FROM bars_known_at_tick('{lake}', {tick})").fetchall()
    compare(f"duckdb at tick {tick}", by_tick, question["rows"])
    by_time = db.execute(f"SELECT {selected} FROM bars_known_at('{lake}', make_timestamptz({tick * 1000}))").fetchall()
    compare(f"duckdb at the time of tick {tick}", by_time, question["rows"])
    known = (
        polars.scan_parquet(f"{lake}/bars_changelog/*/*/*.parquet", hive_partitioning=True)
        .filter(polars.col("tick") <= tick)
        .sort("tick")
        .unique(KEY, keep="last", maintain_order=True)
        .filter(polars.col("trade_count") > 0)
        .with_columns(polars.col("open_time").dt.epoch("us"))
        .select(COLUMNS)
        .collect()
    )
    compare(f"polars at tick {tick}", known.rows(), question["rows"])
last = max(questions, key=lambda question: question["tick"])
compare("duckdb now", db.execute(f"SELECT {selected} FROM bars_now('{lake}')").fetchall(), last["rows"])
# A text with an offset, and the filters that the header of the macros shows.
text = "SELECT count(*) FROM bars_known_at('{}', '2100-01-01 00:00:00+00') WHERE interval = '1m'".format(lake)
minutes = sum(row[2] == "1m" for row in last["rows"])
if db.execute(text).fetchone()[0] != minutes:
    sys.exit(f"duckdb by text: expected {minutes} rows")
# All bars of the replay are final: what is known last is what stands in bars.
bars = f"read_parquet('{lake}/bars/*/*/*.parquet', hive_partitioning = true)"
difference = f"SELECT count(*) FROM ((SELECT {selected} FROM {bars}) EXCEPT (SELECT {selected} FROM bars_now('{lake}')))"
counts = [db.execute(f"SELECT count(*) FROM {source}").fetchone()[0] for source in (bars, f"bars_now('{lake}')")]
if counts[0] != counts[1] or db.execute(difference).fetchone()[0] != 0:
    sys.exit(f"bars and bars_now differ: {counts}")
print(f"{len(questions)} questions, {len(last['rows'])} bars in the end: duckdb and polars know what was published")
