"""Makes the models of `tidewheel demo` with Tidewheel itself: a generated market, replayed, its features exported, trained on, registered.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python make_demo.py --tidewheel ../../target/release/tidewheel

Needs Python 3.11 and nothing else: the market is generated from a seed, of the sort that the demo opens, but not the same one. Takes some minutes.
--out says where the models go (the folder `demo` beside this file), --keep where the market, the lake, the rows and a registry with
everything registered and promoted may stay; they are thrown away else.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile
import tomllib

HERE = pathlib.Path(__file__).parent
DEMO = HERE / "demo"
# As the demo's market (dataflows/commands/demo/mod.rs), which has another seed.
MARKET = ["--symbols", "20", "--trades-per-second", "2000", "--bad-day", "--leaning", "20%", "--seed", "2024"]
LABEL = "return_10s"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tidewheel", default="tidewheel")
    parser.add_argument("--out", type=pathlib.Path, default=DEMO)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--duration", default="40m", help="length of the market")
    parser.add_argument("--trees", default="200")
    parser.add_argument("--rounds", default="600")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        make(arguments, arguments.keep or pathlib.Path(temporary))


def make(arguments, work):
    work.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    market, lake, rows, registry = work / "market.jsonl.zst", work / "lake", work / "rows.parquet", work / "registry"

    def call(*words):
        print("$", *words, flush=True)
        subprocess.run([str(word) for word in words], check=True)

    tidewheel, config = arguments.tidewheel, ["--config", DEMO / "demo.toml"]
    lateness = tomllib.loads((DEMO / "demo.toml").read_text())["bars"]["lateness"]
    call(tidewheel, "generate", "--output", market, "--receive-time", "--duration", arguments.duration, *MARKET)
    replay = ["replay", "--input", market, "--format", "canonical", "--intervals", "1s", "--tick", "1s", "--lateness", lateness]
    call(tidewheel, *replay, "--views", "demo", *config, "--lake", lake, "--quiet", "--leave-open")
    # Rows as they first came out: what a model is shown when it serves.
    export = ["features", "export", lake, "--view", "demo", *config, "--as-known", "--label", LABEL, "--for-training"]
    call(tidewheel, *export, "--output", rows)
    train = [sys.executable, HERE / "train.py", rows, arguments.out, "--view", "demo@1", "--label", LABEL, "--step", "1s"]
    train += ["--max-age", "15s", "--golden-symbols", "BTCUSDT,ETHUSDT", "--trees", arguments.trees, "--rounds", arguments.rounds]
    call(*train, "--register", registry, "--tidewheel", tidewheel)
    for file, alias in [("challenger", "challenger"), ("ensemble", "production"), ("ensemble-2", "production")]:
        promote = ["model", "promote", arguments.out / f"{file}.json", "--target", LABEL, "--alias", alias]
        call(tidewheel, *promote, "--registry", registry)


if __name__ == "__main__":
    main()
