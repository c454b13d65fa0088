"""Code that is there early: compiled quickly, and used until so much is computed that fast code pays.

Both give the same bits. Fast code takes LLVM some milliseconds for each nest, more than a short fit takes in all.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from .... import settings
from ..jit import cache

if TYPE_CHECKING:
    from .executable import Executable

# operations that quick code makes in about the time in which fast code is compiled: of a program, of each nest more
WORK, NEST_WORK = 3_000_000_000, 200_000_000
CALL_WORK = 3_000  # and what a call of a nest counts


class Early:
    """What quick code has done of a program so far, and may do. Runs that share their code share this, too.

    A second model of the same structure gets fast code at once: folds and searches train many.
    """

    def __init__(self) -> None:
        self.done, self.limit = 0, -1
        self.owner: weakref.ref | None = None  # the run that quick code is for

    def use(self, run: object, executable: Executable, samples: int, batch: int) -> bool:
        """Whether quick code computes ``samples`` more, which count; not where fast code is there, or pays."""
        if not self.pays(run, executable, samples, batch):
            return False
        self.done += work(executable.quick, samples, batch)
        return True

    def pays(self, run: object, executable: Executable, samples: int, batch: int) -> bool:
        """Whether quick code is made for ``samples`` more; if not, it never is again."""
        if self.limit < 0:
            self.limit, self.owner = limit(executable), weakref.ref(run)
        if self.owner is not None and self.owner() is not run:
            self.limit = 0
        made = "function" in executable.__dict__
        if not self.limit or made or self.done + work(executable.quick, samples, batch) > self.limit:
            self.limit = 0
        return self.limit > 0


def work(executable: Executable, samples: int, batch: int) -> int:
    """Operations for ``samples`` samples, and what calling the nests costs."""
    return samples * executable.work + -(-samples // batch) * len(executable.built.plan.groups) * CALL_WORK


def limit(executable: Executable) -> int:
    """Operations that quick code may make; none where fast code is in the cache."""
    if not asked() or executable.name is None or cache.is_kept(executable.name, executable.host):
        return 0
    groups = executable.quick.built.plan.groups
    distinct = {tuple((v.primitive.name, v.shape, v.kind) for v in g.values) for g in groups}
    return WORK + NEST_WORK * len(distinct)


def asked() -> bool:
    """What PELLUCID_EARLY says; by default, that there is code early."""
    return settings.EARLY.get()
