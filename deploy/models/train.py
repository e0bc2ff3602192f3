"""Trains small models on rows of features and registers them: trees, a perceptron, an LSTM, a linear and a logistic model.

    python -m venv venv && venv/bin/pip install -r requirements.txt
    venv/bin/python train.py rows.parquet OUT [--view NAME@VERSION] [--step-ms 300000] [--register REGISTRY --tidewheel PROGRAM]

`rows.parquet` has the columns `symbol`, `close_time` (timestamp, UTC), a column of float64 for each feature, and `label`, the
log return over the target's horizon; nulls where there is none. Rows of a symbol stand in the order of time. The last quarter
of the time is held out for the metrics, with a gap of the horizon before it.

OUT gets one folder for each model: artifact, scalers, golden vectors (outputs of the runtime that trained or would serve it:
onnxruntime, LightGBM, XGBoost), manifest; and `ensemble.json`, which can be promoted. With --register each is registered, which
runs its golden vectors. The models are for showing that everything works; nobody should trade on them.
"""

import argparse
import json
import pathlib
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

STEPS = 60
HIDDEN = 16
SEED = 20_240_101
SEQUENCE_FEATURES = ["log_return_1", "rsi_14", "atr_14_relative", "bollinger_b_20", "willr_14", "volume_ratio_20"]


class Rows:
    """Rows of one symbol, with what is trained on and what is held out."""

    def __init__(self, table, names):
        self.times = table["close_time"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy()
        self.x = np.column_stack([table[name].to_numpy(zero_copy_only=False).astype(float) for name in names])
        self.y = table["label"].to_numpy(zero_copy_only=False).astype(float)
        self.good = np.isfinite(self.x).all(axis=1)


def read(path):
    table = pq.read_table(path)
    names = [name for name in table.column_names if name not in ("symbol", "close_time", "label")]
    symbols = sorted(set(table["symbol"].to_pylist()))
    of = lambda symbol: table.filter(pa.compute.equal(table["symbol"], symbol))
    return names, {symbol: Rows(of(symbol), names) for symbol in symbols}


def split(rows):
    cut = np.quantile(rows.times, 0.75)
    usable = rows.good & np.isfinite(rows.y)
    return usable & (rows.times < cut - 3_600 * 10**9), usable & (rows.times >= cut)


def scaler(kind, x):
    if kind == "standard":
        return {"kind": kind, "mean": x.mean(0).tolist(), "deviation": x.std(0).tolist()}
    if kind == "min_max":
        return {"kind": kind, "min": x.min(0).tolist(), "max": x.max(0).tolist()}
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
    return {"kind": kind, "median": middle.tolist(), "range": (high - low).tolist()}


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
        hit = ((predicted > 0.5) == (truth > 0)).mean()
        return {"held_out_rows": len(truth), "held_out_hit_rate": round(float(hit), 4)}
    correlation = float(np.corrcoef(predicted, truth)[0, 1])
    error = float(np.sqrt(((predicted - truth) ** 2).mean()))
    return {"held_out_rows": len(truth), "held_out_correlation": round(correlation, 4), "held_out_rmse": round(error, 7)}


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
        self.step_ms = arguments.step_ms
        self.folders = []

    def write(self, kind, form, artifact, predict, *, names=None, steps=1, scalers=None, probability=False, missing=False, extra={}):
        """One model. `predict` takes scaled inputs, (n, features) or (n, steps, features), as the artifact does."""
        names = names or self.names
        pick = [self.names.index(name) for name in names]
        target = "up_15m" if probability else "return_15m"
        # Of what is computed in float64 only the order of a sum or the library's exponential function can differ; XGBoost and
        # ONNX round each step to float32.
        absolute, relative = {"onnx": (1e-8, 1e-5), "xgboost": (1e-8, 1e-6)}.get(form, (1e-12, 1e-12))
        goldens, predicted, truth = [], [], []
        for symbol, rows in self.all_rows.items():
            held_out = np.flatnonzero(split(rows)[1])
            held_out = held_out[held_out >= steps]
            windows = np.stack([rows.x[at - steps + 1 : at + 1][:, pick] for at in held_out[:: 7 if steps > 1 else 1]])
            scaled = scale(scalers[symbol], windows) if scalers else windows
            outputs = predict(scaled if steps > 1 else scaled[:, 0])
            predicted.append(outputs)
            truth.append(rows.y[held_out[:: 7 if steps > 1 else 1]])
            for at in np.linspace(0, len(windows) - 1, 3 if steps > 1 else 12).astype(int):
                goldens.append({"symbol": symbol, "rows": windows[at].tolist(), "expected": float(outputs[at])})
            if missing:
                for column in range(3):
                    window = windows[column].copy()
                    window[0, column] = np.nan
                    given = [[None if np.isnan(value) else value for value in row] for row in window.tolist()]
                    goldens.append({"symbol": symbol, "rows": given, "expected": float(predict(window)[0])})
        symbol = next(iter(self.all_rows))
        if scalers:
            row = [[0.5] * len(names)] * steps
            goldens.append({"symbol": "NOSCALER", "rows": row, "expected": "scaler_missing"})
        if not missing:
            row = [[0.5] * (len(names) - 1) + [None]] * steps
            goldens.append({"symbol": symbol, "rows": row, "expected": "feature_null"})
        goldens.append({"symbol": symbol, "rows": [], "expected": "sequence_short"})
        trained = [rows.times[split(rows)[0]] for rows in self.all_rows.values()]
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
            "max_age_ms": 2 * self.step_ms,
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


def trees(writer, x, y):
    common = {"num_leaves": 7, "learning_rate": 0.03, "min_data_in_leaf": 200, "seed": SEED, "deterministic": True}
    common |= {"verbose": -1, "num_threads": 1}
    booster = lightgbm.train({"objective": "regression"} | common, lightgbm.Dataset(x, y, feature_name=writer.names), 200)
    writer.write("gbt", "lightgbm", booster.model_to_string().encode(), booster.predict, missing=True)
    booster = lightgbm.train({"objective": "binary"} | common, lightgbm.Dataset(x, y > 0, feature_name=writer.names), 60)
    text = booster.model_to_string().encode()
    writer.write("gbc", "lightgbm", text, booster.predict, missing=True, probability=True)
    kinds = [("x", FloatTensorType([None, x.shape[1]]))]
    graph = onnxmltools.convert_lightgbm(booster, initial_types=kinds, target_opset=15, zipmap=False)
    artifact = graph.SerializeToString()
    second = {"output_name": "probabilities", "output_element": 1}
    writer.write("gbc_onnx", "onnx", artifact, onnx_predict(artifact, 1, 1), probability=True, extra=second)
    booster = xgboost.train(
        {"objective": "reg:squarederror", "max_depth": 3, "eta": 0.05, "seed": SEED, "nthread": 1},
        xgboost.DMatrix(x, y, feature_names=writer.names),
        60,
    )
    predict = lambda x: booster.predict(xgboost.DMatrix(x, feature_names=writer.names)).astype(float)
    writer.write("xgb", "xgboost", bytes(booster.save_raw("json")), predict, missing=True)
    booster = lightgbm.train({"objective": "regression"} | common, lightgbm.Dataset(x, y, feature_name=writer.names), 200)
    graph = onnxmltools.convert_lightgbm(booster, initial_types=kinds, target_opset=15, zipmap=False)
    artifact = graph.SerializeToString()
    writer.write("gbt_onnx", "onnx", artifact, onnx_predict(artifact))


def networks(writer, names, all_rows, random):
    scalers = {symbol: scaler("standard", rows.x[split(rows)[0]]) for symbol, rows in all_rows.items()}
    x = np.concatenate([scale(scalers[symbol], rows.x[split(rows)[0]]) for symbol, rows in all_rows.items()])
    y = np.concatenate([rows.y[split(rows)[0]] for rows in all_rows.values()])
    deviation = y.std()
    perceptron = MLPRegressor(hidden_layer_sizes=(32, 16), alpha=0.1, max_iter=12, random_state=SEED).fit(x, y / deviation)
    # Trained on labels of deviation 1; the last layer gives returns again.
    perceptron.coefs_[-1] = perceptron.coefs_[-1] * deviation
    perceptron.intercepts_[-1] = perceptron.intercepts_[-1] * deviation
    graph = skl2onnx.to_onnx(perceptron, initial_types=[("x", skl2onnx.common.data_types.FloatTensorType([None, x.shape[1]]))])
    artifact = graph.SerializeToString()
    writer.write("mlp", "onnx", artifact, onnx_predict(artifact), scalers=scalers)

    pick = [names.index(name) for name in SEQUENCE_FEATURES]
    robust = {symbol: scaler("robust", rows.x[split(rows)[0]][:, pick]) for symbol, rows in all_rows.items()}
    windows, labels = [], []
    for symbol, rows in all_rows.items():
        values = np.nan_to_num(scale(robust[symbol], rows.x[:, pick]))
        ends = np.flatnonzero(split(rows)[0])
        ends = ends[ends >= STEPS + 100]
        windows.append(np.stack([values[at - STEPS + 1 : at + 1] for at in ends[::5]]))
        labels.append(rows.y[ends[::5]])
    weights = recurrent.train(np.concatenate(windows), np.concatenate(labels) / deviation, HIDDEN, 300, random)
    artifact = recurrent.to_onnx(weights, STEPS, deviation)
    writer.write("lstm", "onnx", artifact, onnx_predict(artifact), names=SEQUENCE_FEATURES, steps=STEPS, scalers=robust)
    return deviation


def lines(writer, names, all_rows):
    scalers = {symbol: scaler("min_max", rows.x[split(rows)[0]]) for symbol, rows in all_rows.items()}
    x = np.concatenate([scale(scalers[symbol], rows.x[split(rows)[0]]) for symbol, rows in all_rows.items()])
    y = np.concatenate([rows.y[split(rows)[0]] for rows in all_rows.values()])
    write = lambda model: (
        json.dumps({"intercept": float(np.ravel(model.intercept_)[0]), "weights": dict(zip(names, np.ravel(model.coef_)))})
    ).encode()
    linear = LinearRegression().fit(x, y)
    writer.write("linear", "linear", write(linear), linear.predict, scalers=scalers)
    logistic = LogisticRegression(max_iter=500).fit(x, y > 0)
    predict = lambda x: logistic.predict_proba(x)[:, 1]
    writer.write("logistic", "logistic", write(logistic), predict, scalers=scalers, probability=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rows")
    parser.add_argument("out")
    parser.add_argument("--view", default="demo_klines@1")
    parser.add_argument("--step-ms", type=int, default=300_000)
    parser.add_argument("--register")
    parser.add_argument("--tidewheel", default="tidewheel")
    arguments = parser.parse_args()
    names, all_rows = read(arguments.rows)
    writer = Writer(arguments, names, all_rows)
    x = np.concatenate([rows.x[split(rows)[0]] for rows in all_rows.values()])
    y = np.concatenate([rows.y[split(rows)[0]] for rows in all_rows.values()])
    trees(writer, x, y)
    deviation = networks(writer, names, all_rows, np.random.default_rng(SEED))
    lines(writer, names, all_rows)
    members = [{"model": f"any-return_15m-{kind}", "version": 1, "weight": weight} for kind, weight in
               [("gbt", 2.0), ("mlp", 1.0), ("lstm", 1.0)]]
    ensemble = {
        "name": "demo",
        "version": 1,
        "output": "expected_return",
        "method": {"kind": "weighted_mean"},
        "missing": {"kind": "renormalise", "minimum_weight": 0.5},
        # The scale of a logistic distribution that has the labels' deviation.
        "return_scale": round(float(deviation * np.sqrt(3) / np.pi), 7),
        "members": members,
    }
    (writer.out / "ensemble.json").write_text(json.dumps(ensemble, indent=2) + "\n")
    for folder in writer.folders if arguments.register else []:
        subprocess.run([arguments.tidewheel, "model", "register", folder, "--registry", arguments.register], check=True)


if __name__ == "__main__":
    main()
