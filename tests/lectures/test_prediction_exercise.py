"""Lecture 001, exercise "Predict with a Neural Network": units sign(S - 0.2), accuracy, precision and recall.

The figure of the test set came down to us in parts: two columns of ten, and ten numbers in a line below. What is
certain is the worked row (-1, +1), with its weights. For the rest we show both ways to read it: the two columns as
inputs and the line as the class; or, as the garbled heading "12 | c = si" suggests, the columns as I2 and class and the
line as I1.
"""

from functools import partial

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from pellucid import Model, nn

W_HIDDEN = np.array([[0.4, 0.1], [0.0, -0.4], [-0.1, 0.4]])
W_OUTPUT = np.array([[0.2, 0.2, 0.3]])

COLUMN_1 = [+1, +1, -1, -1, +1, +1, -1, +1, -1, +1]
COLUMN_2 = [-1, +1, -1, +1, +1, +1, -1, -1, -1, +1]
LINE = [+1, +1, -1, -1, +1, +1, -1, +1, -1, -1]


def model():
    def layer(weights):
        return nn.Dense(len(weights), bias=False, weight_init=partial(nn.init.constant, value=weights))

    unit = partial(nn.sign, threshold=0.2)
    net = nn.Sequential(layer(W_HIDDEN), unit, layer(W_OUTPUT), unit)
    return Model(net, loss="mse", dtype="float64", input_shape=(2,))


def units(x):
    """What H1, H2, H3 and Y say for the samples."""
    outputs = model().layer_outputs(np.array(x, float))
    return np.hstack([outputs["layers.1"], outputs["layers.3"]]).astype(int).tolist()


def test_the_worked_row_lecture_001():
    """H1 = sign(-0.5) = -1, H2 = sign(-0.6) = -1, H3 = sign(0.3) = +1, Y = sign(0.2*-1 + 0.2*-1 + 0.3*1 - 0.2) = -1."""
    sums = W_HIDDEN @ [-1, 1] - 0.2
    np.testing.assert_allclose(sums, [-0.5, -0.6, 0.3])
    assert units([[-1, 1]]) == [[-1, -1, 1, -1]]


def test_the_four_rows_lecture_001():
    """The four different inputs of the set: Y is their AND."""
    assert units([[1, -1], [1, 1], [-1, -1], [-1, 1]]) == [
        [+1, +1, -1, -1],
        [+1, -1, +1, +1],
        [-1, +1, -1, -1],
        [-1, -1, +1, -1],
    ]


@pytest.mark.parametrize(
    "i1, i2, truth, accuracy, precision, recall",  # precision and recall of the classes -1, +1
    [
        pytest.param(COLUMN_1, COLUMN_2, LINE, 7 / 10, (4 / 6, 3 / 4), (4 / 5, 3 / 5), id="line-is-class"),
        pytest.param(LINE, COLUMN_1, COLUMN_2, 6 / 10, (3 / 5, 3 / 5), (3 / 5, 3 / 5), id="line-is-I1"),
    ],
)
def test_accuracy_precision_recall_lecture_001(i1, i2, truth, accuracy, precision, recall):
    predicted = model().predict(np.array([i1, i2], float).T)[:, 0]
    assert accuracy_score(truth, predicted) == pytest.approx(accuracy)
    found = precision_recall_fscore_support(truth, predicted, labels=[-1, 1])
    assert found[0] == pytest.approx(precision)
    assert found[1] == pytest.approx(recall)
