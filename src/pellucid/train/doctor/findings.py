"""What the doctor says: a `Finding` for each sickness, and the `Diagnosis` of all. Imports nothing of the package."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

ORDER = (  # causes before what follows from them
    "missing_values", "leaking_rows", "leaking_feature", "shuffled_labels", "contradicting_labels", "unscaled_inputs",
    "unscaled_targets", "class_imbalance", "squashed_outputs", "symmetric_units", "small_batch_norm",
    "learning_rate_too_high", "exploding_gradients", "vanishing_gradients", "saturated_units", "dead_relus",
    "learning_rate_too_low", "constant_predictor", "overfitting",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A sickness: its name, how bad ("error": the result cannot be trusted or there is none; "warning": it suffers),
    where, the number measured, a sentence that tells it, and what to do."""

    name: str
    severity: str
    where: str
    value: float
    sentence: str
    fix: str

    def __str__(self) -> str:
        place = f", {self.where}" if self.where else ""
        return f"{self.severity}: {self.name.replace('_', ' ')}{place}\n  {self.sentence}\n  Try: {self.fix}"


class Diagnosis:
    """All findings, causes before what follows from them; prints as text.

    ``ok`` if there are none; ``names`` are theirs; ``diagnosis["dead_relus"]`` is the list of findings of that name.

    >>> found = Finding("unscaled_inputs", "warning", "column 3", 812.0, "Column 3 is about 812.", "a StandardScaler")
    >>> Diagnosis([found])
    warning: unscaled inputs, column 3
      Column 3 is about 812.
      Try: a StandardScaler
    >>> Diagnosis([]).ok, Diagnosis([found]).names, "dead_relus" in Diagnosis([found])
    (True, ['unscaled_inputs'], False)
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = sorted(findings, key=lambda f: ORDER.index(f.name))

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys(f.name for f in self.findings))

    def __getitem__(self, name: str) -> list[Finding]:
        if name not in ORDER:
            raise KeyError(f"no sickness is called {name!r}; there are {', '.join(ORDER)}")
        return [f for f in self.findings if f.name == name]

    def __contains__(self, name: str) -> bool:
        return bool(self[name])

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __repr__(self) -> str:
        return "\n".join(map(str, self.findings)) or "healthy: nothing found"
