"""Training on pictures, digits, MNIST, CIFAR, folders: by dense layers or a net of the zoo. Imports pellucid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from .. import data, report
from ..errors import DataError
from . import sources
from .recipes import Run
from .train_options import PictureOptions

SMALL, LENET = 12, 32  # pixels: below the first too few for a convolutional net; the second is LeNet-5's side
MANY = 2000  # pictures: of 240 in color LeNet-5 learnt 0.67, ResNet-20 0.44
OF_NETS: dict[str, dict[str, Any]] = {  # in place of what the recipe says
    "lenet5": {"hidden": (), "learning_rate": 2e-3, "batch_size": 64, "dropout": 0.0, "input_dropout": 0.0},
    "resnet20": {"hidden": (), "learning_rate": 2e-3, "batch_size": 64, "dropout": 0.0, "input_dropout": 0.0,
                 "epochs": 30, "patience": 8},
}  # fmt: skip


def train(run: Run, kind: str, what: str, options: PictureOptions) -> None:
    """Train on pictures of this ``kind``, test, save and draw."""
    training, held, scale = parts(run, kind, what, options)
    if options.class_names is not None:
        names = names_given(options.class_names, max(int(training.y.max()), int(held.y.max())) + 1)
        training, held = (replace(part, class_names=names) for part in (training, held))
    source = training.name if kind == "images" else kind
    classes = training.class_names or ()
    if len(classes) < 2:
        raise DataError(f"{source}: one class only ({classes[0]}), there is nothing to tell apart")
    image = training.x.shape[1:]
    net, why = net_for(kind, image, len(training), options.net, run.asked)
    if net == "dense":
        flat = kind in ("digits", "mnist")  # as data.digits and data.mnist give them
        training, held = (replace(p, x=p.x.reshape(len(p), -1) if flat else p.x) for p in (training, held))
    else:
        recipe = replace(run.recipe, net=net, **OF_NETS[net])
        run = replace(run, recipe=recipe.changed(**run.asked))
    run.say(f"{source}: {len(training)} training and {len(held)} test samples of {len(classes)} classes")
    run.say(f"net: {net}, {why}")
    learn(run, source, training, held, image, scale)


def learn(run: Run, source: str, training, held, image: tuple[int, ...], scale: int) -> None:
    """Train on pixels in 0..1, test, save and draw."""
    k = len(training.class_names)
    counts = data.balance(training.y, training.class_names)
    if counts.uneven:
        from .tables import balance_text

        run.say(balance_text(counts, run))
    model = run.learn(training.x, training.y, k)
    predicted = model.predict(held.x).argmax(axis=1)
    scores = report.scores(held.y, predicted, classes=True)
    if counts.uneven:
        scores |= report.uneven_scores(held.y, predicted, k)
    run.say(f"\ntest set, {len(held)} samples\n{report.classes_text(held.y, predicted, training.class_names)}\n")
    for name, score in [*scores.items()][1:]:
        run.say(f"test {name} {score:.4f}")
    model.notes |= sources.notes(source, training, image, scale) | {"test": scores}
    run.keep(model)
    click.echo(f"test accuracy {scores['accuracy']:.4f}")


def parts(run: Run, kind: str, what: str, options: PictureOptions) -> tuple[data.Dataset, data.Dataset, int]:
    """Training and test pictures (n, C, H, W), and what a whole number stands for 1."""
    if kind == "digits":
        training, held = (replace(p, x=p.x.reshape(-1, 1, 8, 8)) for p in sources.digits_parts())
        return training, held, 16
    if kind == "images":
        whole = sources.folder_of_classes(what, options.size, options.skip_bad, run.say)
        if options.test is None:
            training, held = whole.split(0.2, seed=run.seed)
            return training, held, 255
        held = sources.folder_of_classes(options.test, options.size or whole.x.shape[2:], options.skip_bad, run.say)
        return whole, same_classes(whole, held, options.test), 255
    folder = options.folder
    assert folder is not None
    read = (lambda part: data.mnist(folder, part, images=True)) if kind == "mnist" else (
        lambda part: data.cifar(folder, part))  # fmt: skip
    training, held = read("train"), read("test")
    a, b = training.x.shape[2:], held.x.shape[2:]
    if a != b or (kind == "mnist" and a[0] != a[1]):
        raise DataError(f"{folder}: the pictures are not square, or differ in size between training and test")
    if len(held.class_names or ()) != len(training.class_names or ()):
        held = replace(held, class_names=training.class_names)
    return training, held, 255


def same_classes(training: data.Dataset, held: data.Dataset, path: str) -> data.Dataset:
    """Test pictures with the class numbers of the training pictures."""
    number = {name: i for i, name in enumerate(training.class_names or ())}
    if foreign := [name for name in held.class_names or () if name not in number]:
        raise DataError(f"{path} has the class {foreign[0]!r}; the training pictures have {', '.join(number)}")
    if held.x.shape[1:] != training.x.shape[1:]:
        raise DataError(f"{path} has pictures of shape {held.x.shape[1:]}, the training pictures {training.x.shape[1:]}"
                        " (channels, height, width)")  # fmt: skip
    own = np.array([number[name] for name in held.class_names or ()])
    return replace(held, y=own[held.y], class_names=training.class_names)


def net_for(kind: str, image: tuple[int, ...], n: int, asked: str | None, given: Mapping[str, Any]) -> tuple[str, str]:
    """The net, and why it is that: as asked, else by the n pictures (C, H, W)."""
    channels, height, width = image
    shape = f"{height} x {width} pixels" + (f", {channels} channels" if channels > 1 else "")
    of_dense = [name for name in ("hidden", "dropout") if given[name] is not None]
    if asked is not None:
        if asked != "dense" and of_dense:
            raise click.UsageError(f"--{of_dense[0]} is for --net dense; {asked} has its layers")
        if asked == "lenet5" and not (height == width <= LENET):
            way = "give --size 32, or --net resnet20" if kind == "images" else "give --net resnet20"
            raise DataError(f"--net lenet5 takes square pictures up to {LENET} x {LENET}, these are {height} x {width}"
                            f"; {way}")  # fmt: skip
        return asked, "as asked"
    if of_dense:
        return "dense", f"as --{of_dense[0]} is given"
    if min(height, width) < SMALL:
        return "dense", f"as pictures of {shape} are small; --net lenet5 is convolutional"
    if (channels == 1 or n < MANY) and height == width <= LENET:
        return "lenet5", f"for {n} pictures of {shape}; --net dense or resnet20 are others"
    slow = "; --size 32 makes it faster" if kind == "images" and math.prod(image[1:]) > 4096 else ""
    return "resnet20", f"for {n} pictures of {shape}; --net dense is quicker{slow}"


def names_given(text: str, k: int) -> tuple[str, ...]:
    """--class-names: a name for each of the classes 0..k-1, with commas between them or from the lines of a file."""
    lines = data.read_text(text).splitlines() if Path(text).is_file() else text.split(",")
    names = tuple(name.strip() for name in lines if name.strip())
    if len(names) < k or len(set(names)) < len(names):
        twice = [name for name in names if names.count(name) > 1]
        what = f"{twice[0]!r} is there twice" if twice else f"got {len(names)}"
        raise DataError(f"--class-names: expected {k} different names, of the classes 0 to {k - 1}, {what} "
                        "(names with commas between them, or a file with one name a line)")  # fmt: skip
    return names
