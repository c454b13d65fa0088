"""scikit-learn's perceptrons and Pellucid's drop-in ones in one run: 10-fold cross-validation, and a search.

`python -m benchmarks.estimators [--titanic FILE] [--json FILE]`. Both get the same folds and the same seeds,
fold by fold; the time is that of all fits and predictions. Pellucid does it twice: the first time nothing is compiled
yet, then its machine code is known, as it is later in the life of a process or from the cache on disk.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np

FOLDS, SEED = 10, 0


def sets(titanic: str | None) -> dict[str, tuple]:
    """Samples, targets and whether they are classes, by name."""
    from sklearn import datasets

    found = {}
    for name in ("iris", "wine", "breast_cancer", "digits", "diabetes"):
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        found[name] = x, y, name != "diabetes"
    if titanic:
        x, y = passengers(Path(titanic))
        found["titanic"] = x, y, True
    return found


def passengers(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Class, age (NaN where unknown), relatives, fare, sex and port as numbers (n, 9), and who survived."""
    from pellucid.data import read_csv

    table = read_csv(file)
    columns = [table[name] for name in ("Pclass", "Age", "SibSp", "Parch", "Fare")]
    columns += [table["Sex"] == "male", *(table["Embarked"] == port for port in "CQS")]
    return np.stack([c.astype(float) for c in columns], 1), table["Survived"].astype(int)


def contestants(classes: bool) -> dict:
    import sklearn.neural_network as theirs

    import pellucid.sklearn as ours

    kind = "MLPClassifier" if classes else "MLPRegressor"
    return {"scikit-learn": getattr(theirs, kind), "Pellucid": getattr(ours, kind), "again": getattr(ours, kind)}


def validated(x: np.ndarray, y: np.ndarray, classes: bool, **options) -> dict[str, dict]:
    """Scores of the folds, and seconds, of each."""
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = (StratifiedKFold if classes else KFold)(FOLDS, shuffle=True, random_state=SEED)
    found = {name: {"scores": [], "seconds": 0.0} for name in contestants(classes)}
    for name, kind in contestants(classes).items():
        for train, test in folds.split(x, y):
            start = time.perf_counter()
            net = kind(random_state=SEED, **options)
            model = make_pipeline(SimpleImputer(), StandardScaler(), net).fit(x[train], y[train])
            found[name]["scores"].append(float(model.score(x[test], y[test])))
            found[name]["seconds"] += time.perf_counter() - start
    return found


def searched(x: np.ndarray, y: np.ndarray) -> dict[str, dict]:
    """64 configurations of a net of 16 hidden units, each on 3 folds."""
    from sklearn.model_selection import GridSearchCV

    grid = {"alpha": np.logspace(-5, 0, 8), "learning_rate_init": np.logspace(-3, -1, 8)}
    found = {}
    for name, kind in contestants(True).items():
        start = time.perf_counter()
        search = GridSearchCV(kind((16,), random_state=SEED), grid, cv=3).fit(x, y)
        seconds = time.perf_counter() - start
        best = [float(search.cv_results_[f"split{i}_test_score"][search.best_index_]) for i in range(3)]
        found[name] = {"seconds": seconds, "scores": best}
    return found


def interval(scores: list[float]) -> float:
    """Half the width of the 95 % interval of the mean."""
    from scipy.stats import t

    return float(t.ppf(0.975, len(scores) - 1) * np.std(scores, ddof=1) / np.sqrt(len(scores)))


def run(titanic: str | None) -> dict:
    found = {"validation": {}, "search": {}}
    for name, (x, y, classes) in sets(titanic).items():
        found["validation"][name] = validated(x, y, classes)
        print(line(name, found["validation"][name]), flush=True)
    x, y, _ = sets(None)["breast_cancer"]
    found["search"] = searched((x - x.mean(0)) / x.std(0), y)
    print(line("search of 64", found["search"]))
    return found


def line(name: str, found: dict[str, dict]) -> str:
    """A row of the table: scores with their intervals, seconds, and how many times as fast."""
    score = [f"{np.mean(f['scores']):.4f} ± {interval(f['scores']):.4f}" for f in found.values()]
    theirs, first, again = (f["seconds"] for f in found.values())
    return (f"| {name} | {score[0]} | {score[1]} | {theirs:.2f} | {first:.2f} | {again:.2f} | {theirs / first:.1f} | "
            f"{theirs / again:.1f} |")  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.estimators", description=__doc__)
    parser.add_argument("--titanic", metavar="FILE", help="the table of passengers")
    parser.add_argument("--threads", type=int, default=2, help="threads of everybody (default: 2)")
    parser.add_argument("--json", metavar="FILE", help="write all figures")
    asked = parser.parse_args(arguments)
    from .__main__ import prepare

    prepare(asked.threads)
    os.environ["PELLUCID_CACHE"] = ""  # nothing is compiled yet
    from sklearn.exceptions import ConvergenceWarning

    warnings.simplefilter("ignore", ConvergenceWarning)
    print(
        "| set | scikit-learn | Pellucid | s | s, first | s, again | times as fast, first | again |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    found = run(asked.titanic)
    if asked.json:
        Path(asked.json).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    sys.exit(main())
