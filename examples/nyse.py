"""Trading volume at the New York Stock Exchange from the five days before: the lab of ISL, ch. 10.

Predict today's log volume from five lags of three series: by a straight line (AR(5)), by an RNN of
12 units that reads the days in order, and by a dense network on all 15 numbers at once; then again
with the day of the week. James, Witten, Hastie, Tibshirani, *An Introduction to Statistical
Learning* (2nd ed.), sec. 10.5.2 and 10.9.6. The networks are trained from five seeds.
GRAPHNN_QUICK=1 takes a simulated series, a few epochs and one seed instead.
"""

import os

import numpy as np
from rich.console import Console
from rich.table import Table

import graphnn as gn
from graphnn import nn, optim

quick = bool(os.environ.get("GRAPHNN_QUICK"))
LAGS, SERIES, EPOCHS = 5, ("DJ_return", "log_volume", "log_volatility"), 5 if quick else 200
SEEDS = range(1 if quick else 5)


def simulated(days=1200):
    """A series that follows its own past, and the day of the week."""
    rng = np.random.default_rng(0)
    day, volume = np.arange(days) % 5, np.zeros(days)
    for t in range(1, days):
        volume[t] = 0.6 * volume[t - 1] - 0.5 * (day[t] == 0) + 0.5 * rng.normal()
    others = {name: rng.normal(size=days) for name in SERIES if name != "log_volume"}
    train = np.arange(days) < 0.7 * days
    return {"day_of_week": day, "log_volume": volume, "train": train} | others


data = simulated() if quick else gn.datasets.nyse()
train = data["train"]
columns = np.stack([data[name] for name in SERIES], axis=1)
columns = (columns - columns[train].mean(axis=0)) / columns[train].std(axis=0)
past = np.stack([columns[k : len(columns) - LAGS + k] for k in range(LAGS)], axis=1)  # oldest first
target, train = columns[LAGS:, 1], train[LAGS:]
weekday = np.eye(5)[data["day_of_week"][LAGS:]]
none = np.zeros((len(target), 0))


def r_squared(prediction):
    """1 - squared error / variance, on the test years."""
    error = np.mean((target - prediction)[~train] ** 2)
    return 1 - error / np.var(target[~train], ddof=1)


def least_squares(day):
    """AR(5): the best straight line on the training years."""
    table = np.hstack([np.ones((len(target), 1)), past.reshape(len(target), -1), day])
    weights, *_ = np.linalg.lstsq(table[train], target[train])
    return [table @ weights], np.linalg.matrix_rank(table)


def trained(network, day):
    """The predictions of networks of (the five days, the day of the week), one for each seed."""
    arrays = {"x": past.astype("f4"), "day": day.astype("f4")}
    known = {name: array[train] for name, array in arrays.items()}
    known["y"] = target[train].astype("f4")
    predictions = []
    for seed in SEEDS:
        gn.set_seed(seed)
        x, d = gn.Input((None, LAGS, 3), name="x"), gn.Input((None, day.shape[1]), name="day")
        y = gn.Input((None,), name="y")
        output = network(day.shape[1])(x, d)
        model = gn.Model([x, d], output)
        model.compile(optim.Adam(lr=1e-3), loss=gn.mse_loss(output, y))
        model.fit(known, epochs=EPOCHS, batch_size=64, verbose=0)
        predictions.append(model.predict(arrays))
    return predictions, sum(p.size for p in model.state_dict().values())


class Recurrent(nn.Module):
    """12 units read the days one by one; the last state and the day of the week tell the volume."""

    def __init__(self, days):
        super().__init__()
        self.rnn, self.dense = nn.RNN(3, 12), nn.Linear(12 + days, 1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x, day):
        """The volume, (N,), from the days (N, 5, 3) and the day of the week (N, days)."""
        output, _ = self.rnn(x)
        return self.dense(gn.concat([self.dropout(output[:, -1]), day], axis=1))[:, 0]


class Flattened(nn.Module):
    """32 rectified units see all 15 numbers, and the day of the week, at once."""

    def __init__(self, days):
        super().__init__()
        self.hidden, self.dense = nn.Linear(3 * LAGS + days, 32), nn.Linear(32, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x, day):
        """The volume, (N,), from the days (N, 5, 3) and the day of the week (N, days)."""
        h = gn.relu(self.hidden(gn.concat([gn.flatten(x), day], axis=1)))
        return self.dense(self.dropout(h))[:, 0]


rows = [("yesterday's volume", [past[:, -1, 1]], 0, "0.18")]
for day, suffix, line, rnn, mlp in (
    (none, "", "0.41", "0.42", "0.42"),
    (weekday, " + day of week", "0.46", "-", "-"),
):
    rows.append((f"AR(5), least squares{suffix}", *least_squares(day), line))
    rows.append((f"RNN, 12 units{suffix}", *trained(Recurrent, day), rnn))
    rows.append((f"MLP, 32 units{suffix}", *trained(Flattened, day), mlp))

title = "Log volume of " + ("a simulated series" if quick else "the NYSE, 1980-1986")
table = Table("prediction by", title=title)
for name in ("parameters", "test R²", "ISL, about"):
    table.add_column(name, justify="right")
found = {}
for name, predictions, parameters, book in rows:
    each = [r_squared(prediction) for prediction in predictions]
    found[name] = np.mean(each)
    spread = f" ± {np.std(each):.3f}" if len(each) > 1 else " " * 8
    table.add_row(name, str(parameters), f"{found[name]:.3f}{spread}", "-" if quick else book)
Console().print(table)

assert found["AR(5), least squares + day of week"] > found["AR(5), least squares"]
if not quick:
    assert abs(found["AR(5), least squares"] - 0.4132) < 5e-5  # the lab's own number
    assert abs(found["AR(5), least squares + day of week"] - 0.4599) < 5e-5
    assert found["RNN, 12 units"] > 0.40
    assert found["RNN, 12 units + day of week"] > found["AR(5), least squares"]
