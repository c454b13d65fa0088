"""Parts of a net by name or depth: copies of it with some layers frozen, or with its first layers only."""

from __future__ import annotations

import copy
import operator
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from ..errors import GraphError
from .combine import Sequential
from .layer import Layer, _places, _renamed


def freeze(net: Any, *layers: str | int, trainable: bool = False) -> Any:
    """A copy of a net in which some layers, and all in them, are frozen: training leaves their weights alone.

    ``layers`` are names (``"layers.0"``), or a number n: the first n layers of a `Sequential`. With
    ``trainable=True`` they are freed. What does not change is not copied. Raises
    `GraphError` for what the net does not have.

    >>> from pellucid import nn
    >>> [layer.trainable for layer in freeze(nn.Sequential(nn.Dense(4), nn.Dense(3), nn.Dense(2)), 2).layers]
    [False, False, True]
    """
    places = {path: layer for layer, path in _places(net, "") if path}
    wanted: set[int] = set()
    for layer in layers:
        if isinstance(layer, str) and layer not in places:
            raise GraphError(f"the net has no layer {layer!r} to freeze; there are {', '.join(places) or 'none'}"
                             + ("" if places else ": a function holds its layers, so make them with trainable=False")
                             )  # fmt: skip
        paths = [layer] if isinstance(layer, str) else [path_of_part(net, i) for i in range(_depth(net, layer))]
        wanted.update(places[path] for path in paths if path in places)  # of plain functions there is nothing to freeze
    return _changed(net, wanted, trainable, {})


def path_of_part(net: Any, i: int) -> str:
    """The name of a part of a `Sequential` by its number; negative ones count from the end.

    >>> from pellucid import nn
    >>> path_of_part(nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(2, name="out")), -1)
    'layers.out'
    """
    n = _parts(net)
    if not -n <= i < n:
        raise GraphError(f"the net has {n} layers, so there is no number {i}")
    part = net.layers[i]
    path = f"layers.{i % n}"
    return _renamed(path, part) if isinstance(part, Layer) else path


def first_layers(net: Any, keep: str | int) -> Sequential:
    """The first layers of a `Sequential`: n of them (-n: all but n), or up to the one of that name.

    A name may lie within a `Sequential` in it: ``"layers.0.layers.3"``. Raises `GraphError` for what is not there.

    >>> from pellucid import nn
    >>> net = nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(2))
    >>> len(first_layers(net, -1)), len(first_layers(net, "layers.0"))
    (2, 1)
    """
    if isinstance(keep, int):
        n = _parts(net)
        if isinstance(keep, bool) or not (1 <= keep <= n or -n < keep < 0):
            raise GraphError(f"the net has {n} layers: keep 1 to {n} of them, or -1 to leave out the last; got {keep}")
        return Sequential(*net.layers[:keep], name=net.name, trainable=net.trainable)
    paths = [path_of_part(net, i) for i in range(_parts(net))]
    for i, (path, part) in enumerate(zip(paths, net.layers, strict=True)):
        if keep == path:
            return Sequential(*net.layers[: i + 1], name=net.name, trainable=net.trainable)
        if keep.startswith(f"{path}.") and isinstance(part, Sequential):
            inner = first_layers(part, keep.removeprefix(f"{path}."))
            return Sequential(*net.layers[:i], inner, name=net.name, trainable=net.trainable)
    raise GraphError(f"the net has no layer {keep!r} to keep; there are {', '.join(paths)}")


def _parts(net: Any) -> int:
    if not isinstance(net, Sequential):
        raise GraphError(f"layers have numbers in an nn.Sequential, but the net is a {type(net).__name__}; use their "
                         "names")  # fmt: skip
    return len(net)


def _depth(net: Any, depth: int) -> int:
    n = _parts(net)
    if isinstance(depth, bool) or not isinstance(depth, int) or not 0 <= depth <= n:
        raise GraphError(f"freeze takes names of layers, or a number of the first 0 to {n} layers; got {depth!r}")
    return depth


def _changed(held: Any, wanted: Collection[int], trainable: bool, done: dict[int, Any]) -> Any:
    """What a field of a layer holds, with the wanted layers (by id) changed; the same object where nothing is."""
    if isinstance(held, Layer):
        if id(held) not in done:  # a layer in two places stays one
            old = {f.name: getattr(held, f.name) for f in fields(held)}  # type: ignore[arg-type]
            new = {name: _changed(value, wanted, trainable, done) for name, value in old.items()}
            if id(held) in wanted:
                new["trainable"] = trainable
            new = {name: value for name, value in new.items() if value is not old[name]}
            done[id(held)] = copy.copy(held) if new else held
            for name, value in new.items():
                object.__setattr__(done[id(held)], name, value)
        return done[id(held)]
    if isinstance(held, (tuple, list)):
        items = [_changed(item, wanted, trainable, done) for item in held]
        return held if all(map(operator.is_, items, held)) else type(held)(items)
    if isinstance(held, Mapping):
        new = {key: _changed(item, wanted, trainable, done) for key, item in held.items()}
        return held if all(new[key] is held[key] for key in held) else new
    return held
