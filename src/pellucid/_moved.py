"""Modules that have new names: older pickles name the classes in them by the old ones. Imports nothing of Pellucid."""

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {  # old name -> new name, of modules whose objects may be in somebody's pickles
    "data.codes": "data.encoders",
    "metrics.counts": "metrics.classification",
    "metrics.each": "metrics.per_sample",
    "metrics.scores": "metrics.sklearn_scores",
    "metrics.values": "metrics.regression",
    "sklearn.inputs": "sklearn.features",
    "sklearn.kinds": "sklearn.estimators",
    "sklearn.nets": "sklearn.networks",
    "sklearn.neural": "sklearn.base",
    "sklearn.perceptron": "sklearn.mlp_programs",
    "train.finder": "train.lr_finder",
    "train.sampling": "train.mc_dropout",
}


class _Finder(MetaPathFinder, Loader):
    """Gives a moved module under its old name: the same module, so that there is one class of each kind."""

    def find_spec(self, fullname: str, path=None, target=None) -> ModuleSpec | None:
        package, _, name = fullname.partition(".")
        return ModuleSpec(fullname, self) if package == __package__ and name in MOVED else None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.partition(".")[2]
        sys.modules[module.__name__] = importlib.import_module(f"{__package__}.{MOVED[name]}")


def install() -> None:
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
