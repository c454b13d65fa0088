"""What a saved model of a table does without scikit-learn: the same bits as the transformers that were fitted."""

import json
import subprocess
import sys

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn
from pellucid.data import Table
from pellucid.tabular import (
    FittedPreprocessing,
    PreprocessingSpec,
    choose_columns,
    keep_in,
    read_target,
    replay,
    restore,
)
from pellucid.tabular.persistence import classes, read, written

HOW = {
    "default": {},
    "minmax, mean": {"scale": "minmax", "impute": "mean"},
    "robust, most frequent": {"scale": "robust", "impute": "most_frequent"},
    "pieces": {"scale": "pieces"},
    "no scale, constant": {"scale": None, "impute": "constant", "fill_value": -1.5, "indicator": False},
    "binary": {"encode": "binary", "clip": "iqr"},
    "ordinal": {"encode": "ordinal", "clip": "robust_z"},
    "order": {"order": {"size": ["small", "middle", "large"]}},
}


def table(n: int, seed: int, strange: bool = False) -> Table:
    """Columns of all kinds with missing entries; ``strange``: with entries that were not seen before."""
    r = np.random.default_rng(seed)
    a, b = r.normal(3, 9, n), np.round(r.gamma(2.0, 50, n))
    a[::7], b[3::11] = np.nan, np.nan
    dates = np.datetime64("2001-01-01T00:00", "us") + r.integers(0, 10**9, n).astype("timedelta64[s]")
    dates[::9] = np.datetime64("NaT")
    colors = np.array(["red", "green", "blue", *(f"rare {i}" for i in range(5)), None], object)
    colour = colors[r.choice(9, n, p=[0.4, 0.2, 0.2, *[0.02] * 5, 0.1])]
    size = np.array(["small", "middle", "large", None], object)[r.integers(0, 4, n)]
    words = np.array(["the car", "roof", "a Blue-ish door,", "door", "élan", "7 of 9"], object)
    note = np.array([None if i % 8 == 0 else f"{words[r.integers(6)]} {words[r.integers(6)]} {i}" for i in range(n)])
    if strange:
        colour[1], size[2], note[3] = "purple", "huge", "nothing of that"
    return Table({"a": a, "b": b, "when": dates, "colour": colour, "size": size, "note": note.astype(object)})


def pair(how: dict):
    """The fitted transformers, and what a model keeps of them."""
    rows = table(200, 0)
    fitted = FittedPreprocessing.fit(rows, choose_columns(rows, keep=["note"]), PreprocessingSpec(**how))
    again = read(json.loads(json.dumps(written(fitted.steps))), replay.CLASSES)
    return fitted, FittedPreprocessing(fitted.columns, again)


@pytest.mark.parametrize("how", HOW.values(), ids=list(HOW))
def test_the_same_bits_and_names(how):
    fitted, again = pair(how)
    for rows in (table(200, 0), table(31, 1), table(20, 2, strange=True)):
        expected, found = fitted.transform(rows), again.transform(rows)
        assert found.dtype == expected.dtype and found.shape == expected.shape
        np.testing.assert_array_equal(found, expected)
        assert again.unseen(rows) == fitted.unseen(rows)
    assert again.feature_names() == fitted.feature_names()
    assert len(fitted.columns.texts) == len(fitted.columns.dates) == 1


def test_what_is_kept_again_is_the_same():
    fitted, again = pair({"encode": "binary"})
    assert json.dumps(written(again.steps)) == json.dumps(written(fitted.steps))  # NaN is not equal to itself
    assert {name for name, cls in classes().items() if cls.__name__ != name} == set()


def a_model(**how) -> pel.Model:
    rows = table(60, 0)
    rows = Table(rows.columns | {"y": (np.arange(60) % 2).astype(float)})
    target = read_target(rows, "y")
    preprocessing = FittedPreprocessing.fit(rows, choose_columns(rows.drop("y")), PreprocessingSpec(**how))
    x = preprocessing.transform(rows)
    model = pel.Model(nn.Dense(2), "cross_entropy", input_shape=x.shape[1:])
    keep_in(model, preprocessing, target)
    return model


def test_a_transformer_without_replay_is_the_real_one():
    """Filling in by the nearest rows is scikit-learn's own."""
    model = a_model(impute="neighbors")
    steps = restore(model)[0].steps
    assert type(steps["numbers"]).__module__.startswith("sklearn")
    assert type(restore(a_model())[0].steps["numbers"]) is replay.Pipeline


HEAVY = ("sklearn", "scipy", "pandas", "skops", "torch", "matplotlib", "rich", "polars", "pyarrow", "joblib")


def test_predict_on_the_command_line_imports_nothing_that_it_does_not_need(tmp_path):
    a_model().save(tmp_path / "m.pel")
    (tmp_path / "rows.csv").write_text("a,b,when,colour,size\n1.5,2,2001-02-03,red,small\n,,,,\n")
    (tmp_path / "wrong.csv").write_text("a,b,when,color,size\n1.5,2,2001-02-03,red,small\n")
    code = (f"import sys; from pellucid.cli import cli\ntry: cli(['predict', *sys.argv[1:]])\n"
            f"except SystemExit as end:\n found = [m for m in {HEAVY} if m in sys.modules]\n"
            " print(end.code, found + ['no llvmlite'] * ('llvmlite' not in sys.modules))")  # fmt: skip
    for name, status in (("rows.csv", 0), ("wrong.csv", 2)):
        args = [sys.executable, "-c", code, tmp_path / "m.pel", tmp_path / name]
        done = subprocess.run(args, capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == f"{status} {[] if status == 0 else ['no llvmlite']}", (
            done.stdout + done.stderr
        )
    assert "lacks the column colour" in done.stderr
