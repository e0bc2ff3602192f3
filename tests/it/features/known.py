"""Asks a lake what was known of features at ticks, with DuckDB by our macros, and compares with what was published.

Usage: known.py LAKE MACROS.sql EXPECTED.json
"""

import json
import sys
from pathlib import Path

import duckdb

lake, macros, expected = sys.argv[1], Path(sys.argv[2]).read_text(), json.loads(Path(sys.argv[3]).read_text())
db = duckdb.connect()
db.execute("SET TimeZone = 'UTC'")
db.execute(macros)
# Names with an @ or a point need quotes.
own = ", ".join(f'"{name}"' for name in expected["columns"])
selected = f"venue, symbol, epoch_us(event_time), tick, revision, is_ready, {own}"


def compare(what, source, wanted):
    found = sorted(map(list, db.execute(f"SELECT {selected} FROM {source}").fetchall()), key=lambda row: row[:3])
    wanted = sorted(wanted, key=lambda row: row[:3])
    if found != wanted:
        differing = next((pair for pair in zip(found, wanted) if pair[0] != pair[1]), None)
        sys.exit(f"{what}: {len(found)} rows, expected {len(wanted)}; first that differ: {differing}")


for question in expected["questions"]:
    tick, rows = question["tick"], question["rows"]
    compare(f"at tick {tick}", f"features_known_at_tick('{lake}', 'core_technical', {tick})", rows)
    compare(f"at its time {tick}", f"features_known_at('{lake}', 'core_technical', make_timestamptz({tick * 1000}))", rows)
last = max(expected["questions"], key=lambda question: question["tick"])["rows"]
compare("now", f"features_now('{lake}', 'core_technical')", last)
values = sum(value is not None for row in last for value in row[6:])
if values < len(last):
    sys.exit(f"only {values} values in {len(last)} rows")
print(f"{len(expected['questions'])} questions, {len(last)} rows in the end, {values} values: duckdb knows what was published")
