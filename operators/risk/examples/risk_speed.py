"""The yardstick of risk_speed.rs: the same book revalued from scratch with NumPy, in floats. Processor time, as there.

    python3 -m venv venv && venv/bin/pip install numpy && OPENBLAS_NUM_THREADS=1 venv/bin/python risk_speed.py

`risk_speed -- numpy` does the same after its own figures.

10,000 positions over 1,000 instruments, ten accounts of two strategies, 500 scenarios. A tick revalues all positions, sums
exposure by account, strategy, symbol and sector, and makes the value at risk and the expected shortfall of ten accounts and
twenty strategies. `per position` keeps a vector of scenarios for each position, as a book must that is cut in other ways
each tick; `netted` first sums exposure by owner and instrument and then makes one matrix product.
"""
import time

import numpy as np

random = np.random.default_rng(5)
positions, instruments, scenarios = 10_000, 1_000, 500
instrument = np.arange(positions) % instruments
account = np.arange(positions) // instruments % 10
strategy = account * 2 + instrument % 2
sector = instrument % 20
quantity = random.uniform(-10, 10, positions)
cost = quantity * 100.0
returns = random.normal(0, 0.01, (instruments, scenarios))


def tails(vectors):
    ordered = np.sort(vectors, axis=1)
    mean, deviation = vectors.mean(axis=1), vectors.std(axis=1, ddof=1)
    return [
        (-ordered[:, worst - 1], -ordered[:, :worst].mean(axis=1), z * deviation - mean)
        for worst, z in ((25, 1.6448536269514722), (5, 2.3263478740408408))
    ]


def sums(worth):
    unrealised = np.bincount(account, worth - cost)
    gross = [np.bincount(by, abs(worth)) for by in (account, strategy, account * instruments + instrument, sector)]
    net = np.bincount(account, worth)
    return unrealised, gross, net


def per_position(price):
    worth = quantity * price[instrument]
    vectors = worth[:, None] * returns[instrument]
    of_accounts = np.zeros((10, scenarios))
    of_strategies = np.zeros((20, scenarios))
    np.add.at(of_accounts, account, vectors)
    np.add.at(of_strategies, strategy, vectors)
    return sums(worth), tails(of_accounts), tails(of_strategies)


def netted(price):
    worth = quantity * price[instrument]
    by_account = np.bincount(account * instruments + instrument, worth, 10 * instruments).reshape(10, instruments)
    by_strategy = np.bincount(strategy * instruments + instrument, worth, 20 * instruments).reshape(20, instruments)
    return sums(worth), tails(by_account @ returns), tails(by_strategy @ returns)


for way in (per_position, netted):
    taken = []
    for _ in range(30):
        price = random.uniform(99, 101, instruments)
        start = time.process_time()
        way(price)
        taken.append((time.process_time() - start) * 1e3)
    taken.sort()
    print(f"{way.__name__}: p50 {taken[15]:.1f} ms, max {taken[-1]:.1f} ms")
