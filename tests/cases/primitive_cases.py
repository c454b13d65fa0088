"""The samples of the primitives, each with every choice of kinds."""

import pytest
from tools import kind_choices

from pellucid import ops  # noqa: F401, so that all are registered
from pellucid.graph import PRIMITIVES

LEAVES = {"sample_input", "shared_input", "state"}
ONLY_KIND = {"batch_sum": "sample", "all_samples": "sample", "to_samples": "shared", "each_sample": "shared"}


def cases(selected=lambda p, s: True):
    """One test case for each sample of each selected primitive and each choice of kinds."""
    for p in PRIMITIVES.values():
        for n, s in enumerate(p.samples):
            for kinds in kind_choices(len(s.inputs), ONLY_KIND.get(p.name)) if selected(p, s) else ():
                label = "-".join([p.name, str(n), *kinds])
                yield pytest.param(p, s, kinds, id=label)


def has_gradient(p, s):
    return p.vjp is not None and s.check_gradient
