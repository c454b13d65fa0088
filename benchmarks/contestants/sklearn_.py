"""scikit-learn's MLPClassifier: an epoch of mini-batches is one `partial_fit`; two classes have one logistic output."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier

from ..contest import Job
from ..rows import OPTIMIZERS, Data, Row, flat


def classifier(row: Row, **more) -> MLPClassifier:
    o = OPTIMIZERS[row.optimizer]
    if row.optimizer == "Adam":
        more |= {"solver": "adam", "beta_1": o["beta_1"], "beta_2": o["beta_2"], "epsilon": o["epsilon"]}
    else:
        more |= {"solver": "sgd", "momentum": o.get("momentum", 0), "nesterovs_momentum": False}
    return MLPClassifier(row.sizes[1:-1], activation=row.activation, alpha=0, batch_size=row.batch,
                         learning_rate_init=o["rate"], random_state=0, **more)  # fmt: skip


def started(row: Row, data: Data) -> MLPClassifier:
    """A classifier with the given weights, and an optimizer that has seen nothing yet."""
    made = classifier(row, shuffle=False)
    one = np.resize(np.arange(row.sizes[-1]), row.batch)  # a batch of zeros, to have it make its arrays
    made.partial_fit(np.zeros((row.batch, row.sizes[0]), np.float32), one, classes=np.arange(row.sizes[-1]))
    if row.sizes[-1] > 2:
        for k, (w, b) in enumerate(data.weights):
            made.coefs_[k][...], made.intercepts_[k][...] = w.T, b
    del made._optimizer  # it has seen the zeros; partial_fit makes another
    return made


def step(row: Row, data: Data, threads: int) -> Job:
    made = started(row, data)

    def run(order):
        made.partial_fit(data.x[order], data.y[order])

    def result():
        if row.sizes[-1] == 2:
            return None
        return flat((w.T, b) for w, b in zip(made.coefs_, made.intercepts_, strict=True))

    return Job(run, result)


def fit(row: Row, data: Data, threads: int) -> Job:
    def run(order):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged
            classifier(row, max_iter=row.epochs, n_iter_no_change=10**9, tol=0).fit(data.x, data.y)

    return Job(run)


def predict(row: Row, data: Data, threads: int) -> Job:
    made = started(row, data)
    last = []

    def run(order):
        for i in order.tolist():
            y = made.predict_proba(data.x[i : i + 1])
        last[:] = [y]

    return Job(run, lambda: last[0].ravel())
