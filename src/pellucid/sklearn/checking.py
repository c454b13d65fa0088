"""scikit-learn's check of X, with advice of our own where numbers are missing. Imports sklearn."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import validate_data as _validate_data

ADVICE = ("missing numbers must be filled first, by pellucid.tabular.Preprocessor() in a pipeline before the net, or "
          "sklearn.impute.SimpleImputer(add_indicator=True); the gaps of a DataFrame are filled by the net's own "
          "preprocessing")  # fmt: skip


def validate_data(estimator: Any, X: Any, **how: Any) -> Any:
    """As `sklearn.utils.validation.validate_data`; the error for NaN says what to do about it with this estimator."""
    try:
        return _validate_data(estimator, X, **how)
    except ValueError as error:
        text = str(error)
        if "does not accept missing values" not in text:
            raise
        raise ValueError(f"{text.splitlines()[0]}\n{type(estimator).__name__}: {ADVICE}") from None
