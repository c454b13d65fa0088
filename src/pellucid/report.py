"""What a test says of predictions, as text: confusion matrix, precision and recall, errors of values. Imports numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

MOST_CLASSES = 20  # a wider confusion matrix does not fit on a terminal
WIDEST = 14  # characters of a class name at the head of a column


def scores(truth: np.ndarray, predicted: np.ndarray, classes: bool) -> dict[str, float]:
    """Accuracy of class numbers; or R2, mean absolute error and root mean squared error of values.

    R2 = 1 - sum (t - y)^2 / sum (t - mean t)^2; not a number where all targets are equal.

    >>> scores(np.array([0, 1, 1, 0]), np.array([0, 1, 0, 0]), classes=True)
    {'accuracy': 0.75}
    >>> scores(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0]), classes=False)
    {'R2': 0.5, 'MAE': 0.3333333333333333, 'RMSE': 0.5773502691896257}
    """
    if classes:
        return {"accuracy": float(np.mean(truth == predicted))}
    error = predicted - truth
    spread = float(np.sum((truth - truth.mean()) ** 2))
    return {
        "R2": 1 - float(np.sum(error**2)) / spread if spread else float("nan"),
        "MAE": float(np.mean(np.abs(error))),
        "RMSE": float(np.sqrt(np.mean(error**2))),
    }


def uneven_scores(truth: np.ndarray, predicted: np.ndarray, k: int) -> dict[str, float]:
    """What accuracy hides where classes are unequal: the means of recall and of F1 over the classes, each as much.

    >>> uneven_scores(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0]), 2)
    {'balanced_accuracy': 0.5, 'f1_macro': 0.42857142857142855}
    """
    from sklearn.metrics import f1_score, recall_score

    present = np.unique(truth)
    mean = {"average": "macro", "zero_division": 0.0}
    return {
        "balanced_accuracy": float(recall_score(truth, predicted, labels=present, **mean)),
        "f1_macro": float(f1_score(truth, predicted, labels=range(k), **mean)),
    }


def classes_text(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> str:
    """The confusion matrix, then precision, recall and F1 of each class, from class numbers."""
    return f"{confusion_text(truth, predicted, names)}\n\n{per_class_text(truth, predicted, names)}"


def confusion_text(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> str:
    """How often each class was taken for which; the commonest mistakes alone if there are more than 20 classes.

    >>> print(confusion_text(np.array([0, 1, 1]), np.array([0, 1, 0]), ["cat", "dog"]))
    confusion matrix (rows: true class, columns: predicted)
           cat  dog
      cat    1    .
      dog    1    1
    """
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(truth, predicted, labels=range(len(names)))
    if len(names) > MOST_CLASSES:
        mistakes = counts * (1 - np.eye(len(names), dtype=int))
        order = [divmod(int(i), len(names)) for i in np.argsort(-mistakes, axis=None, kind="stable")[:10]]
        rows = [[names[i], names[j], str(counts[i, j])] for i, j in order if mistakes[i, j]]
        return "commonest mistakes\n" + aligned(["true class", "predicted", "times"], rows, left=2)
    heads = [name if len(name) <= WIDEST else name[: WIDEST - 1] + "…" for name in names]
    rows = [[name, *(str(n) if n else "." for n in row)] for name, row in zip(names, counts, strict=True)]
    return "confusion matrix (rows: true class, columns: predicted)\n" + aligned(["", *heads], rows)


def per_class_text(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> str:
    """Precision, recall, F1 and number of samples of each class; "-" where it is 0/0.

    Precision: of what was called the class, the share that is. Recall: of the class, the share that was called so.

    >>> print(per_class_text(np.array([0, 1, 1]), np.array([0, 1, 0]), ["cat", "dog"]))
      class  precision  recall      F1  samples
      cat       0.5000  1.0000  0.6667        1
      dog       1.0000  0.5000  0.6667        2
    """
    from sklearn.metrics import precision_recall_fscore_support

    values = precision_recall_fscore_support(truth, predicted, labels=range(len(names)), zero_division=np.nan)
    rows = [
        [name, *("-" if np.isnan(v) else f"{v:.4f}" for v in numbers), str(n)]
        for name, *numbers, n in zip(names, *values, strict=True)
    ]
    return aligned(["class", "precision", "recall", "F1", "samples"], rows)


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table as text, indented by two; the first ``left`` columns to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        for row in [head, *rows]
    ]
    return "\n".join("  " + "  ".join(line).rstrip() for line in lines)
