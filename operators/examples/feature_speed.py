"""The yardstick of feature_speed.rs: core_technical over 30 days of minutes of 10 symbols, by TA-Lib and NumPy, array by array.

    python3 -m venv venv && venv/bin/pip install TA-Lib==0.8.2 numpy==2.4.6
    venv/bin/python feature_speed.py

It computes a history that is complete, once: no revisions, no state, no rows. The formulas are those of
tests/fixtures/features/make.py, here without a loop over bars but for the recursion of EWMA.
"""

import time

import numpy as np
import talib
from numpy.lib.stride_tricks import sliding_window_view as windows

MINUTES = 30 * 24 * 60


def series(count, seed):
    rng = np.random.default_rng(seed)
    c = 100 * np.exp(np.cumsum(rng.normal(0, 1e-4, count)))
    o = np.concatenate([[100.0], c[:-1]])
    h, l = np.maximum(o, c) * 1.0005, np.minimum(o, c) * 0.9995
    v = rng.uniform(1, 100, count)
    return o, h, l, c, v, v * c, v * rng.uniform(-1, 1, count), rng.integers(1, 100, count).astype(float)


def coarser(bars, by):
    o, h, l, c, v, q, s, n = (array.reshape(-1, by) for array in bars)
    return o[:, 0], h.max(1), l.min(1), c[:, -1], v.sum(1), q.sum(1), s.sum(1), n.sum(1)


def padded(values, count):
    return np.concatenate([np.full(count - len(values), np.nan), values])


def rolling(values, width):
    return windows(values, width).sum(1)


def ewma(r):
    out, value = np.empty(len(r)), r[0] ** 2
    for at, square in enumerate(r**2):
        value = square if at == 0 else 0.94 * value + 0.06 * square
        out[at] = value
    return np.sqrt(out)


def bands(c):
    upper, middle, lower = talib.BBANDS(c, 20, 2, 2, 0)
    return upper, lower, (c - lower) / (upper - lower), (upper - lower) / middle


def minutes(bars, t):
    o, h, l, c, v, q, s, n = bars
    r, hl, co = np.log(c[1:] / c[:-1]), np.log(h / l), np.log(c / o)
    out = [talib.ROCP(c, lag) for lag in (1, 5, 15, 60)]
    out += [np.log(c[lag:] / c[:-lag]) for lag in (1, 5, 15, 60)]
    out += [talib.SMA(c, 20), talib.EMA(c, 12), talib.EMA(c, 26), *talib.MACD(c), talib.RSI(c), talib.ATR(h, l, c)]
    out += [talib.NATR(h, l, c), *bands(c), talib.ADX(h, l, c), talib.PLUS_DI(h, l, c), talib.MINUS_DI(h, l, c)]
    out += [*talib.STOCH(h, l, c), talib.CCI(h, l, c), talib.OBV(c, v), talib.WILLR(h, l, c)]
    rs = np.log(h / c) * np.log(h / o) + np.log(l / c) * np.log(l / o)
    gap, k = np.log(o[1:] / c[:-1]), 0.34 / (1.34 + 31 / 29)
    out += [windows(r, 29).std(1, ddof=1), np.sqrt(rolling(r**2, 60)), np.sqrt(rolling(hl**2, 30) / (120 * np.log(2)))]
    out += [np.sqrt(rolling(0.5 * hl**2 - (2 * np.log(2) - 1) * co**2, 30) / 30), np.sqrt(np.abs(rolling(rs, 30) / 30))]
    of_gaps, of_bodies = windows(gap, 30).var(1, ddof=1), windows(co[1:], 30).var(1, ddof=1)
    out += [np.sqrt(np.abs(of_gaps + k * of_bodies + (1 - k) * rolling(rs[1:], 30) / 30)), ewma(r)]
    out += [rolling(s, width) / rolling(v, width) for width in (1, 15, 60)]
    out += [rolling(n, width) / (60 * width) for width in (1, 15)] + [rolling(v, w) / rolling(n, w) for w in (1, 15)]
    out += [c[width - 1 :] / (rolling(q, width) / rolling(v, width)) - 1 for width in (15, 60)]
    out += [rolling(np.abs(c[1:] / c[:-1] - 1) / q[1:], 30) / 30]
    out += [rolling(np.diff(c) * s[1:], 30) / rolling(s[1:] ** 2, 30)]
    out += [np.cumsum(s.reshape(-1, 1440), 1).ravel(), vpin(v, s)]
    for period, shift in ((86400, 0), (7 * 86400, 3 * 86400)):
        angle = 2 * np.pi * ((t + 60 + shift) % period) / period
        out += [np.sin(angle), np.cos(angle)]
    return out


def vpin(v, s):
    bought, at = np.concatenate([[0], np.cumsum(s)]), np.concatenate([[0], np.cumsum(v)])
    ends = np.arange(200, len(v) + 1)
    edges = np.linspace(at[ends - 200], at[ends], 51)
    return np.abs(np.diff(np.interp(edges, at, bought), axis=0)).mean(0) / ((at[ends] - at[ends - 200]) / 50)


def five(bars):
    o, h, l, c, v, q, s, n = bars
    r = np.log(c[1:] / c[:-1])
    out = [r, talib.RSI(c), talib.MACD(c)[2], talib.NATR(h, l, c), talib.ADX(h, l, c), bands(c)[2]]
    return out + [np.sqrt(rolling(r**2, 15)), rolling(s, 15) / rolling(v, 15)]


def hours(bars):
    o, h, l, c, *_ = bars
    r = np.log(c[1:] / c[:-1])
    return [r, talib.RSI(c), talib.NATR(h, l, c), ewma(r)]


def joined(values, by):
    """The newest value that had closed at each minute's close."""
    at = (np.arange(MINUTES) + 1) // by - 1
    return np.where(at >= 0, padded(values, MINUTES // by)[np.maximum(at, 0)], np.nan)


def main():
    t = 1767571200 + 60.0 * np.arange(MINUTES)
    seconds, rows = 0.0, 0
    for symbol in range(10):
        bars = series(MINUTES, symbol)
        begun = time.process_time()
        columns = [padded(values, MINUTES) for values in minutes(bars, t)]
        columns += [joined(values, 5) for values in five(coarser(bars, 5))]
        columns += [joined(values, 60) for values in hours(coarser(bars, 60))]
        table = np.stack(columns, 1)
        seconds += time.process_time() - begun
        rows += len(table)
        assert table.shape == (MINUTES, 65), table.shape
    print(f"{rows} rows of history: {rows / seconds:.0f} rows a processor second ({seconds:.1f} s)")


if __name__ == "__main__":
    main()
