"""Trains small models on rows of features and registers them: trees, a perceptron, LSTMs, a linear and a logistic model.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python train.py rows.parquet OUT --view NAME@VERSION --label return_15m --step 1m \\
        [--register REGISTRY --tidewheel PROGRAM]

`rows.parquet` is what `tidewheel features export --for-training` writes: `symbol`, `close_time` (timestamp, UTC), a column of
float64 for each feature, and `label`, the log return over the label's horizon; nulls where there is none. Of each symbol's rows,
in the order of time, three fifths are trained on, the next ones up to three quarters say how sure an ensemble may be, and the
last quarter is held out for the metrics; three horizons lie between. Labels are cut at the 2 % and 98 % quantiles of what is
trained on, so that jumps, which nothing foretells, do not drown the rest; those of the metrics are not cut.

OUT gets one folder for each model: artifact, scalers, golden vectors (outputs of the runtime that trained or would serve it:
onnxruntime, LightGBM, XGBoost), manifest; and the definitions of ensembles, which can be promoted. With --register each model is
registered, which runs its golden vectors. The models are for showing that everything works; nobody should trade on them.
"""

import argparse
import json
import pathlib
import re
import subprocess

import lightgbm
import numpy as np
import onnxmltools
import onnxruntime
import pyarrow as pa
import pyarrow.parquet as pq
import skl2onnx
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPRegressor

import recurrent

HIDDEN = 16
SEED = 20_240_101
# The LSTMs take so many columns of the view, from the first on.
SEQUENCE_FEATURES = 6
# Steps of the LSTMs: one that is warm soon, and one long enough to measure how fast sequences are scored.
LSTMS = {"lstm": 15, "lstm_60": 60}
UNITS_NS = {"s": 10**9, "m": 60 * 10**9, "h": 3_600 * 10**9, "d": 86_400 * 10**9}


def span_ns(text):
    """`10s`, `15m`, `1h` as nanoseconds."""
    number, unit = re.fullmatch(r"(\d+)([smhd])", text).groups()
    return int(number) * UNITS_NS[unit]


class Rows:
    """Rows of one symbol, with what is trained on and what is held out."""

    def __init__(self, table, names, horizon_ns, step_ns):
        self.times = table["close_time"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy()
        self.x = np.column_stack([table[name].to_numpy(zero_copy_only=False).astype(float) for name in names])
        self.y = table["label"].to_numpy(zero_copy_only=False).astype(float)
        self.step_ns = step_ns
        self.good = np.isfinite(self.x).all(axis=1)
        first, second = np.quantile(self.times, [0.6, 0.75])
        usable, gap = self.good & np.isfinite(self.y), 3 * horizon_ns
        self.trained = usable & (self.times < first - gap)
        self.between = usable & (self.times >= first) & (self.times < second - gap)
        self.held_out = usable & (self.times >= second)
        self.cut = np.clip(self.y, *np.quantile(self.y[self.trained], [0.02, 0.98]))

    def ends(self, of, steps):
        """Those of the rows `of` that end a sequence without a gap or a null."""
        at = np.flatnonzero(of)
        at = at[at >= steps - 1]
        bad = np.concatenate([[0], np.cumsum(~self.good)])
        whole = bad[at + 1] == bad[at - steps + 1]
        return at[whole & (self.times[at] - self.times[at - steps + 1] == (steps - 1) * self.step_ns)]

    def windows(self, ends, steps, pick):
        return np.stack([self.x[at - steps + 1 : at + 1][:, pick] for at in ends])


def read(path, horizon_ns, step_ns):
    table = pq.read_table(path)
    names = [name for name in table.column_names if name not in ("symbol", "close_time", "label")]
    symbols = sorted(set(table["symbol"].to_pylist()))
    of = lambda symbol: table.filter(pa.compute.equal(table["symbol"], symbol))
    return names, {symbol: Rows(of(symbol), names, horizon_ns, step_ns) for symbol in symbols}


def scaler(kind, x):
    # A column that stayed the same is only shifted.
    or_one = lambda spread: np.where(spread > 0, spread, 1.0)
    if kind == "standard":
        return {"kind": kind, "mean": x.mean(0).tolist(), "deviation": or_one(x.std(0)).tolist()}
    if kind == "min_max":
        low = x.min(0)
        return {"kind": kind, "min": low.tolist(), "max": (low + or_one(x.max(0) - low)).tolist()}
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
    return {"kind": kind, "median": middle.tolist(), "range": or_one(high - low).tolist()}


def scale(scaler, x):
    """As the program does it, in float64, operation by operation."""
    value = lambda name: np.array(scaler[name])
    if scaler["kind"] == "standard":
        return (x - value("mean")) / value("deviation")
    if scaler["kind"] == "min_max":
        return (x - value("min")) / (value("max") - value("min"))
    return (x - value("median")) / value("range")


def metrics(predicted, truth, is_probability):
    if is_probability:
        hit = ((predicted > 0.5) == (truth > 0))[truth != 0].mean()
        return {"held_out_rows": len(truth), "held_out_hit_rate": round(float(hit), 4)}
    hit = (np.sign(predicted) == np.sign(truth))[truth != 0].mean()
    correlation = float(np.corrcoef(predicted, truth)[0, 1])
    error = float(np.sqrt(((predicted - truth) ** 2).mean()))
    known = {"held_out_rows": len(truth), "held_out_hit_rate": round(float(hit), 4)}
    return known | {"held_out_correlation": round(correlation, 4), "held_out_rmse": round(error, 9)}


def onnx_predict(artifact, output=0, element=0):
    session = onnxruntime.InferenceSession(artifact, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    one = lambda row: session.run(None, {name: row[None].astype(np.float32)})[output].reshape(-1)[element]
    return lambda x: np.array([one(row) for row in x], dtype=float)


class Writer:
    """Writes the folders of the models."""

    def __init__(self, arguments, names, all_rows):
        self.out, self.names, self.all_rows = pathlib.Path(arguments.out), names, all_rows
        name, version = arguments.view.split("@")
        self.view = {"name": name, "version": int(version)}
        self.horizon = arguments.label.removeprefix("return_")
        self.step_ms = span_ns(arguments.step) // 10**6
        self.max_age_ms = span_ns(arguments.max_age) // 10**6 if arguments.max_age else 2 * self.step_ms
        self.golden_symbols = arguments.golden_symbols.split(",") if arguments.golden_symbols else list(all_rows)[:2]
        self.folders, self.predictions = [], {}

    def write(self, kind, form, artifact, predict, *, names=None, steps=1, scalers=None, probability=False, missing=False, extra={}):
        """One model. `predict` takes scaled inputs, (n, features) or (n, steps, features), as the artifact does."""
        names = names or self.names
        pick = [self.names.index(name) for name in names]
        target = f"up_{self.horizon}" if probability else f"return_{self.horizon}"
        # Of what is computed in float64 only the order of a sum or the library's exponential function can differ; XGBoost and
        # ONNX round each step to float32.
        absolute, relative = {"onnx": (1e-9, 1e-5), "xgboost": (1e-9, 1e-6)}.get(form, (1e-12, 1e-12))
        # A sequence is dear in NumPy and nearly the same as the one before.
        every = 7 if steps > 1 else 1

        def outputs(symbol, of):
            rows = self.all_rows[symbol]
            ends = rows.ends(of, steps)[::every]
            windows = rows.windows(ends, steps, pick)
            scaled = scale(scalers[symbol], windows) if scalers else windows
            return ends, windows, predict(scaled if steps > 1 else scaled[:, 0])

        goldens, predicted, truth = [], [], []
        for symbol, rows in self.all_rows.items():
            ends, windows, given = outputs(symbol, rows.held_out)
            predicted.append(given)
            truth.append(rows.y[ends])
            if symbol not in self.golden_symbols:
                continue
            for at in np.linspace(0, len(windows) - 1, 3 if steps > 1 else 12).astype(int):
                goldens.append({"symbol": symbol, "rows": windows[at].tolist(), "expected": float(given[at])})
            if missing:
                for column in range(3):
                    window = windows[column].copy()
                    window[0, column] = np.nan
                    texts = [[None if np.isnan(value) else value for value in row] for row in window.tolist()]
                    goldens.append({"symbol": symbol, "rows": texts, "expected": float(predict(window)[0])})
        self.predictions[kind] = {symbol: outputs(symbol, rows.between)[::2] for symbol, rows in self.all_rows.items()}
        symbol = self.golden_symbols[0]
        if scalers:
            row = [[0.5] * len(names)] * steps
            goldens.append({"symbol": "NOSCALER", "rows": row, "expected": "scaler_missing"})
        if not missing:
            row = [[0.5] * (len(names) - 1) + [None]] * steps
            goldens.append({"symbol": symbol, "rows": row, "expected": "feature_null"})
        goldens.append({"symbol": symbol, "rows": [], "expected": "sequence_short"})
        trained = [rows.times[rows.trained] for rows in self.all_rows.values()]
        when = lambda ns: np.datetime_as_string(np.datetime64(int(ns), "ns"), unit="s") + "Z"
        file = {"onnx": "model.onnx", "lightgbm": "model.txt"}.get(form, "model.json")
        manifest = {
            "id": f"any-{target}-{kind}",
            "version": 1,
            "format": form,
            "view": self.view,
            "features": names,
            "sequence_length": steps,
            "step_ms": self.step_ms if steps > 1 else 0,
            "max_age_ms": self.max_age_ms,
            "nulls": "missing" if missing else "refuse",
            "output": "probability" if probability else "expected_return",
            "artifact": file,
            "golden": "golden.json",
            "card": {
                "author": "Tidewheel's train.py",
                "intended_use": "Showing and testing that models are served exactly. Not for trading.",
                "trained_from": when(min(times[0] for times in trained)),
                "trained_to": when(max(times[-1] for times in trained) + 1),
                "metrics": metrics(np.concatenate(predicted), np.concatenate(truth), probability),
            },
        }
        manifest |= extra
        golden = {
            "made_by": f"onnxruntime {onnxruntime.__version__}" if form == "onnx" else f"{form}, in Python",
            "features": names,
            "absolute_tolerance": absolute,
            "relative_tolerance": relative,
            "vectors": goldens,
        }
        folder = self.out / kind
        folder.mkdir(parents=True, exist_ok=True)
        if scalers:
            manifest["scalers"] = "scalers.json"
            (folder / "scalers.json").write_text(json.dumps({"symbols": scalers}) + "\n")
        (folder / file).write_bytes(artifact)
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
        self.folders.append(folder)
        print(kind, manifest["card"]["metrics"], flush=True)
        return manifest


def trees(writer, x, y, count):
    common = {"num_leaves": 7, "learning_rate": 0.03, "min_data_in_leaf": 200, "seed": SEED, "deterministic": True}
    common |= {"verbose": -1, "num_threads": 1}
    booster = lightgbm.train({"objective": "regression"} | common, lightgbm.Dataset(x, y, feature_name=writer.names), count)
    writer.write("gbt", "lightgbm", booster.model_to_string().encode(), booster.predict, missing=True)
    kinds = [("x", FloatTensorType([None, x.shape[1]]))]
    graph = onnxmltools.convert_lightgbm(booster, initial_types=kinds, target_opset=15, zipmap=False, name="trees")
    artifact = graph.SerializeToString()
    writer.write("gbt_onnx", "onnx", artifact, onnx_predict(artifact))
    booster = lightgbm.train({"objective": "binary"} | common, lightgbm.Dataset(x, y > 0, feature_name=writer.names), count * 3 // 10)
    text = booster.model_to_string().encode()
    writer.write("gbc", "lightgbm", text, booster.predict, missing=True, probability=True)
    graph = onnxmltools.convert_lightgbm(booster, initial_types=kinds, target_opset=15, zipmap=False, name="trees")
    artifact = graph.SerializeToString()
    second = {"output_name": "probabilities", "output_element": 1}
    writer.write("gbc_onnx", "onnx", artifact, onnx_predict(artifact, 1, 1), probability=True, extra=second)
    booster = xgboost.train(
        {"objective": "reg:squarederror", "max_depth": 3, "eta": 0.05, "seed": SEED, "nthread": 1},
        xgboost.DMatrix(x, y, feature_names=writer.names),
        count * 3 // 10,
    )
    predict = lambda x: booster.predict(xgboost.DMatrix(x, feature_names=writer.names)).astype(float)
    writer.write("xgb", "xgboost", bytes(booster.save_raw("json")), predict, missing=True)


def networks(writer, names, all_rows, rounds, random):
    scalers = {symbol: scaler("standard", rows.x[rows.trained]) for symbol, rows in all_rows.items()}
    x = np.concatenate([scale(scalers[symbol], rows.x[rows.trained]) for symbol, rows in all_rows.items()])
    y = np.concatenate([rows.cut[rows.trained] for rows in all_rows.values()])
    deviation = y.std()
    perceptron = MLPRegressor(hidden_layer_sizes=(32, 16), alpha=0.1, max_iter=12, random_state=SEED).fit(x, y / deviation)
    # Trained on labels of deviation 1; the last layer gives returns again.
    perceptron.coefs_[-1] = perceptron.coefs_[-1] * deviation
    perceptron.intercepts_[-1] = perceptron.intercepts_[-1] * deviation
    graph = skl2onnx.to_onnx(perceptron, initial_types=[("x", skl2onnx.common.data_types.FloatTensorType([None, x.shape[1]]))])
    artifact = graph.SerializeToString()
    writer.write("mlp", "onnx", artifact, onnx_predict(artifact), scalers=scalers)

    pick = list(range(SEQUENCE_FEATURES))
    robust = {symbol: scaler("robust", rows.x[rows.trained][:, pick]) for symbol, rows in all_rows.items()}
    for kind, steps in LSTMS.items():
        windows, labels = [], []
        for symbol, rows in all_rows.items():
            ends = rows.ends(rows.trained, steps)[::5]
            windows.append(scale(robust[symbol], rows.windows(ends, steps, pick)))
            labels.append(rows.cut[ends])
        weights = recurrent.train(np.concatenate(windows), np.concatenate(labels) / deviation, HIDDEN, rounds, random)
        artifact = recurrent.to_onnx(weights, steps, deviation)
        predict = onnx_predict(artifact)
        writer.write(kind, "onnx", artifact, predict, names=names[:SEQUENCE_FEATURES], steps=steps, scalers=robust)


def lines(writer, names, all_rows):
    scalers = {symbol: scaler("min_max", rows.x[rows.trained]) for symbol, rows in all_rows.items()}
    x = np.concatenate([scale(scalers[symbol], rows.x[rows.trained]) for symbol, rows in all_rows.items()])
    y = np.concatenate([rows.cut[rows.trained] for rows in all_rows.values()])
    write = lambda model: (
        json.dumps({"intercept": float(np.ravel(model.intercept_)[0]), "weights": dict(zip(names, np.ravel(model.coef_)))})
    ).encode()
    linear = LinearRegression().fit(x, y)
    writer.write("linear", "linear", write(linear), linear.predict, scalers=scalers)
    logistic = LogisticRegression(max_iter=500).fit(x, y > 0)
    predict = lambda x: logistic.predict_proba(x)[:, 1]
    writer.write("logistic", "logistic", write(logistic), predict, scalers=scalers, probability=True)


def return_scale(writer, members, combine):
    """The scale by which a return of the ensemble becomes the odds of its direction, fitted to rows between training and metrics."""
    values, signs = [], []
    for symbol, rows in writer.all_rows.items():
        given = [dict(zip(*writer.predictions[kind][symbol])) for kind, _ in members]
        for at in sorted(set.intersection(*(set(one) for one in given))):
            if rows.y[at] != 0:
                values.append(combine([one[at] for one in given], [weight for _, weight in members]))
                signs.append(rows.y[at] > 0)
    values = np.array(values)
    unit = values.std()
    fitted = LogisticRegression(fit_intercept=False, C=1e6).fit((values / unit)[:, None], signs)
    odds = float(fitted.coef_[0, 0])
    if odds <= 0:
        print("the ensemble's returns say nothing of what comes: it is given the scale of the labels, and will hardly ever be sure")
        labels = np.concatenate([rows.cut[rows.trained] for rows in writer.all_rows.values()])
        return float(f"{labels.std() * np.sqrt(3) / np.pi:.4g}")
    return float(f"{unit / odds:.4g}")


def ensembles(writer):
    """Three definitions: what the demo begins with, what is promoted while it is watched, and what only scores beside it."""
    mean = lambda values, weights: np.dot(values, weights) / np.sum(weights)
    middle = lambda values, weights: np.median(values)
    first = [("gbt", 2.0), ("mlp", 1.0), ("lstm", 1.0)]
    second = [(kind, 1.0) for kind in ("gbt", "mlp", "lstm", "linear", "xgb")]
    for file, name, version, method, combine, members in [
        ("ensemble", "demo", 1, "weighted_mean", mean, first),
        ("ensemble-2", "demo", 2, "median", middle, second),
        ("challenger", "plain", 1, "weighted_mean", mean, [("linear", 1.0)]),
    ]:
        definition = {
            "name": name,
            "version": version,
            "output": "expected_return",
            "method": {"kind": method},
            # Trees alone decide for symbols that no scaler is for.
            "missing": {"kind": "renormalise", "minimum_weight": 0.4},
            "return_scale": return_scale(writer, members, combine),
            "members": [
                {"model": f"any-return_{writer.horizon}-{kind}", "version": 1, "weight": weight} for kind, weight in members
            ],
        }
        (writer.out / f"{file}.json").write_text(json.dumps(definition, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rows")
    parser.add_argument("out")
    parser.add_argument("--view", required=True)
    parser.add_argument("--label", required=True, help="as it was exported: return_10s, return_15m")
    parser.add_argument("--step", required=True, help="the view's base interval: 1s, 1m")
    parser.add_argument("--max-age", help="how old a row may be when it is scored; two steps where it is not said")
    parser.add_argument("--golden-symbols", help="whose rows make golden vectors; the first two where it is not said")
    parser.add_argument("--trees", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=600, help="of the LSTMs' training")
    parser.add_argument("--register")
    parser.add_argument("--tidewheel", default="tidewheel")
    arguments = parser.parse_args()
    horizon_ns = span_ns(arguments.label.removeprefix("return_"))
    names, all_rows = read(arguments.rows, horizon_ns, span_ns(arguments.step))
    writer = Writer(arguments, names, all_rows)
    x = np.concatenate([rows.x[rows.trained] for rows in all_rows.values()])
    y = np.concatenate([rows.cut[rows.trained] for rows in all_rows.values()])
    trees(writer, x, y, arguments.trees)
    networks(writer, names, all_rows, arguments.rounds, np.random.default_rng(SEED))
    lines(writer, names, all_rows)
    ensembles(writer)
    for folder in writer.folders if arguments.register else []:
        subprocess.run([arguments.tidewheel, "model", "register", folder, "--registry", arguments.register], check=True)


if __name__ == "__main__":
    main()
