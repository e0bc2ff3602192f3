"""Rows of features and labels, as `train.py` reads them, made from a folder of klines.

A stand-in for rows exported by Tidewheel, with the same columns: `symbol` (text), `close_time` (timestamp, UTC), one column of
float64 for each feature (null before it is warm), and `label` (float64: the log return over the next three bars, null at the
end). Formulas follow TA-Lib where it has them, anchored at the first bar. The view is called `demo_klines`, version 1.

    python rows.py FOLDER_OF_KLINES rows.parquet

reads `SYMBOL-5m.parquet` with the columns date, open, high, low, close, volume.
"""

import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SYMBOLS = ["BTCUSDT", "ETHUSDT"]
BARS = 20_000
HORIZON = 3
STEP_NS = 300 * 10**9


def lagged_return(close, lag):
    out = np.full(len(close), np.nan)
    out[lag:] = np.log(close[lag:] / close[:-lag])
    return out


def wilder(values, period):
    """Wilder's smoothing, seeded with the mean of the first `period` values after the first."""
    out = np.full(len(values), np.nan)
    state = values[1 : period + 1].mean()
    out[period] = state
    for at in range(period + 1, len(values)):
        state = (state * (period - 1) + values[at]) / period
        out[at] = state
    return out


def rolling(values, period, function):
    out = np.full(len(values), np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(values, period)
    out[period - 1 :] = function(windows, axis=1)
    return out


def features(bars):
    high, low, close, volume = (bars[name] for name in ["high", "low", "close", "volume"])
    change = np.diff(close, prepend=close[0])
    gain, loss = wilder(np.maximum(change, 0), 14), wilder(np.maximum(-change, 0), 14)
    before = np.roll(close, 1)
    true_range = np.maximum(high, before) - np.minimum(low, before)
    mean, deviation = rolling(close, 20, np.mean), rolling(close, 20, np.std)
    one = lagged_return(close, 1)
    lowest, highest = rolling(low, 14, np.min), rolling(high, 14, np.max)
    parkinson = np.log(high / low) ** 2 / (4 * np.log(2))
    return {
        "log_return_1": one,
        "log_return_5": lagged_return(close, 5),
        "log_return_15": lagged_return(close, 15),
        "log_return_60": lagged_return(close, 60),
        "rsi_14": 100 * gain / (gain + loss),
        "atr_14_relative": wilder(true_range, 14) / close,
        "bollinger_b_20": (close - mean) / (2 * deviation),
        "bollinger_width_20": 4 * deviation / mean,
        "willr_14": -100 * (highest - close) / (highest - lowest),
        "realised_volatility_20": np.concatenate([[np.nan], rolling(one[1:], 20, np.std)]),
        "parkinson_20": np.sqrt(rolling(parkinson, 20, np.mean)),
        "volume_ratio_20": volume / rolling(volume, 20, np.mean),
    }


def main(folder, target):
    tables = []
    for symbol in SYMBOLS:
        table = pq.read_table(pathlib.Path(folder) / f"{symbol}-5m.parquet").slice(0, BARS)
        bars = {name: table[name].to_numpy().astype(float) for name in ["high", "low", "close", "volume"]}
        opened = table["date"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy()
        label = np.full(len(opened), np.nan)
        label[:-HORIZON] = np.log(bars["close"][HORIZON:] / bars["close"][:-HORIZON])
        columns = {"symbol": pa.array([symbol] * len(opened))}
        columns["close_time"] = pa.array(opened + STEP_NS).cast(pa.timestamp("ns", "UTC"))
        for name, values in (features(bars) | {"label": label}).items():
            columns[name] = pa.array(values, mask=~np.isfinite(values))
        tables.append(pa.table(columns))
    pq.write_table(pa.concat_tables(tables), target)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
