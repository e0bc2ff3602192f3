"""onnxruntime's half of `operators/models/examples/score_speed.rs`: the same artifacts and rows, one row a call, one thread."""

import json
import pathlib
import sys
import time

import numpy as np
import onnxruntime

DEMO = pathlib.Path(__file__).parent / "demo"


def scored(kind, names, values):
    """A function from the number of a row to a score: window, scaler, cast, model."""
    manifest = json.loads((DEMO / kind / "manifest.json").read_text())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(DEMO / kind / "model.onnx", options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    pick = [names.index(feature) for feature in manifest["features"]]
    steps = manifest["sequence_length"]
    scaler = None
    if "scalers" in manifest:
        scaler = json.loads((DEMO / kind / manifest["scalers"]).read_text())["symbols"]["BTCUSDT"]
        offset = np.array(scaler.get("mean") or scaler.get("median"))
        divisor = np.array(scaler.get("deviation") or scaler.get("range"))

    def score(at):
        rows = values[[(at + 60 - back) % len(values) for back in reversed(range(steps))]][:, pick]
        if scaler:
            rows = (rows - offset) / divisor
        x = rows.astype(np.float32)
        return session.run(None, {name: x[None] if steps > 1 else x})[0].reshape(-1)[0]

    return score


def main(scores):
    golden = json.loads((DEMO / "mlp" / "golden.json").read_text())
    rows = [row for vector in golden["vectors"] if vector["symbol"] == "BTCUSDT" for row in vector["rows"]]
    values = np.array([row for row in rows if None not in row])
    for title, kinds in [
        ("200 trees (ONNX)", ["gbt_onnx"]),
        ("perceptron 12-32-16-1", ["mlp"]),
        ("LSTM 60 x 6, 16 units", ["lstm_60"]),
        ("ensemble, trees of ONNX", ["gbt_onnx", "mlp", "lstm_60"]),
    ]:
        members = [scored(kind, golden["features"], values) for kind in kinds]
        times, total, started = [], 0.0, time.perf_counter()
        for at in range(scores):
            before = time.perf_counter_ns()
            total += sum(float(member(at)) for member in members) / len(members)
            times.append(time.perf_counter_ns() - before)
        rate = scores / (time.perf_counter() - started)
        p50, p99, p999 = np.quantile(times, [0.5, 0.99, 0.999]) / 1e3
        figures = f"p50 {p50:>8.1f} us  p99 {p99:>8.1f} us  p99.9 {p999:>8.1f} us  {rate:>9.0f} rows/s  ({total:e})"
        print(f"onnxruntime  {title:<32} {figures}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
