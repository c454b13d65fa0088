"""Options of layers and operations, right ones and wrong ones: refused by an error of ours, or native as the reference.

    python tests/cases/fuzz_options.py --count 20000 --seed 0 [--workers 2]

Input ``i`` is a function of the seed: a primitive, a function of `ops` or a layer with options of which some are
changed: to numbers beside them, to other types, to what is huge, negative, no number. What is taken is computed by both
executors, with its derivatives. That is done in processes of their own: one that dies by a signal, or is silent, is
noted and another goes on behind it. Findings are these, errors that are not ours, and results that differ. Prints how
many there are of each.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import math
import os
import random
import resource
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import pellucid as pel
from pellucid import nn, ops
from pellucid.executors import native, reference
from pellucid.graph import PRIMITIVES, Value

TOGETHER = 12  # inputs whose results are one program: it is making programs that takes time
SPAN = 1200  # inputs of one process
SILENT = 240.0  # seconds in which a process makes a span of its inputs, at least
MEMORY = 6 << 30  # bytes of a process's addresses
LARGE = 20_000  # elements of a Value from which on it is built, but not computed
OURS = (pel.ArgumentError, pel.GraphError, pel.DataError, IndexError)  # of x[9], and of rows outside a table

ODD: list[Any] = [
    None, True, False, 0, 1, 2, 3, -1, -2, 7, 1.0, 0.5, -0.5, 2.5, math.nan, math.inf, -math.inf, 1 << 20, 1 << 31,
    -(1 << 31), 1 << 63, 1 << 70, "", "same", "valid", "1", b"1", (), (0,), (1,), (2,), (2, 2), (1, 2, 3), (-1,),
    (True,), (1.0,), [1], [2, 2], {}, {"a": 1}, object(), np.int64(2), np.int8(-1), np.float32(2), np.bool_(True),
    np.array(2), np.array([1, 2]), (None,), ((1, 1),), ((0, 1), (1, 0)), range(2), 1j, (1 << 40,), (1 << 33, 1 << 33),
    "float16", "int32", "ij,jk->ik", math.sqrt,
]  # fmt: skip


def changed(r: random.Random, given: Any) -> Any:
    """Another value: beside the given one, or an odd one."""
    if r.random() < 0.35:
        return r.choice(ODD)
    if isinstance(given, bool):
        return r.choice([not given, int(given), 2, None])
    if isinstance(given, int):
        return r.choice([given + 1, given - 1, given + 2, -given, 2 * given, 10 * given + 3, float(given), 0])
    if isinstance(given, float):
        return r.choice([-given, given + 1, 0.0, 1.0, int(given), 1e30, 1e-30])
    if isinstance(given, tuple) and given:
        k, items = r.randrange(len(given)), list(given)
        how = r.randrange(6)
        if how == 0:
            del items[k]
        elif how == 1:
            items.insert(k, items[k])
        elif how == 2:
            r.shuffle(items)
        else:
            items[k] = changed(r, items[k])
        return tuple(items)
    if isinstance(given, str) and given:
        k = r.randrange(len(given))
        return r.choice([given[:k] + given[k + 1 :], given[:k] + given[k] + given[k:], given[::-1]])
    return r.choice(ODD)


def altered(r: random.Random, options: dict[str, Any]) -> dict[str, Any]:
    """Options of which none, one or two are changed."""
    found = dict(options)
    for name in r.sample(sorted(found), min(len(found), r.choice([0, 1, 1, 1, 2]))):
        found[name] = changed(r, found[name])
    return found


class Case(NamedTuple):
    """What is built: ``make(*inputs)`` of Values of these types; ``own``: it has state, so it is a program alone."""

    text: str
    inputs: tuple[tuple[tuple[int, ...], str, str], ...]  # shape, dtype, kind
    make: Callable[..., Any]
    own: bool = False


# ---- primitives -----------------------------------------------------------------------------------------------------

DRAWN = sorted(
    n
    for n, p in PRIMITIVES.items()
    if p.rule.__module__.startswith("pellucid.") and p.samples and not n.startswith("fast_")
)  # which are for some numbers only
LENGTHS = (1, 2, 3, 4, 5, 8, 9, 17)


def of_primitive(r: random.Random, dtype: str) -> Case:
    p = PRIMITIVES[r.choice(DRAWN)]
    sample = r.choice(p.samples)
    inputs = []
    for given in sample.inputs:
        shape, kind = (given, dtype) if isinstance(given, tuple) else (given.shape, str(given.dtype))
        if r.random() < 0.25:
            shape = tuple(r.choice(LENGTHS) if r.random() < 0.5 else n for n in shape)
        own = {"sample": "shared", "shared": "sample"}.get(p.kind) if p.name in ONE_KIND else None
        inputs.append((shape, dtype if kind == "float64" else kind, own or r.choice(["sample", "shared"])))
    options = altered(r, dict(sample.attributes))
    return Case(f"{p.name}{inputs}{options!r}", tuple(inputs), lambda *x: p(*x, **options))


ONE_KIND = ("batch_sum", "to_samples", "all_samples", "each_sample")

# ---- functions ------------------------------------------------------------------------------------------------------


def loop(x: Value, w: Value, **options: Any) -> Value:
    last, ys = ops.scan(lambda s, v: (ops.tanh(ops.contract(w, s, "ij,j->i") + v), s * v), x[0], x, **options)
    return ops.concatenate([ys, last[None]])


def table(x: Value, rows: Value, *, size, axis) -> Value:
    y = ops.scatter_rows(ops.take(x, rows), rows, size)
    return ops.softmax(ops.one_hot(rows, size, x), axis) + ops.sum(y)


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple, dict[str, Any]]] = {
    "scan": (loop, ((5, 3), (3, 3)), {"length": 5, "reverse": True, "truncate": 2, "remat": False}),
    "correlate": (ops.correlate, ((4, 7), (6, 2, 3)),
                  {"strides": 2, "padding": ((1, 1),), "dilations": 1, "groups": 2, "floor": True}),
    "correlate 2": (ops.correlate, ((2, 6, 7), (3, 2, 2, 3)),
                    {"strides": (2, 1), "padding": ((1, 0), 1), "dilations": (1, 2), "groups": 1, "floor": True}),
    "correlate_transposed": (ops.correlate_transposed, ((4, 5), (4, 2, 3)),
                             {"strides": 2, "padding": (1,), "dilations": 2, "groups": 2, "output_padding": 1}),
    "correlate_transposed 2": (ops.correlate_transposed, ((2, 3, 4), (2, 2, 2, 2)),
                               {"strides": (1, 2), "padding": "valid", "dilations": (2, 3), "output_padding": (1, 2)}),
    "max_pool": (ops.max_pool, ((2, 7, 6),),
                 {"size": (3, 2), "strides": (2, 2), "padding": ((1, 1), (0, 1)), "dilations": (1, 1), "floor": True}),
    "avg_pool": (ops.avg_pool, ((2, 7),),
                 {"size": 3, "strides": 2, "padding": 1, "floor": True, "count_include_pad": False}),
    "upsample": (ops.upsample, ((2, 3, 4),), {"factor": (2, 3), "method": "bilinear"}),
    "windows": (ops.windows, ((2, 7, 6),), {"kernel": (2, 3), "strides": (2, 1), "dilations": (2, 1)}),
    "pad": (ops.pad, ((3, 4),), {"widths": ((1, 2), (0, 3)), "value": 0.5}),
    "index": (lambda x, *, a, b, s, i: x[a:b:s, i], ((7, 4),), {"a": 1, "b": 6, "s": 2, "i": 3}),
    "part of a sum": (lambda x, z, *, w, a, b: (ops.pad(x, w) + z)[a:b], ((4,), (9,)),
                      {"w": ((2, 3),), "a": 1, "b": 6}),
    "reshape": (ops.reshape, ((4, 6),), {"shape": (3, -1, 2)}),
    "transpose": (ops.transpose, ((2, 3, 4),), {"axes": (2, 0, 1)}),
    "broadcast": (ops.broadcast_to, ((3, 1),), {"shape": (2, 3, 4)}),
    "flip": (ops.flip, ((3, 4),), {"axis": (0, 1)}),
    "concatenate": (lambda x, y, *, axis: ops.concatenate([x, y], axis), ((3, 4), (3, 4)), {"axis": 1}),
    "stack": (lambda x, y, *, axis: ops.stack([x, y], axis), ((3, 4), (3, 4)), {"axis": 1}),
    "expand_dims": (ops.expand_dims, ((3, 4),), {"axis": 1}),
    "softmax": (ops.softmax, ((3, 4),), {"axis": -1}),
    "logsumexp": (ops.logsumexp, ((3, 4),), {"axis": (0, 1), "keepdims": True}),
    "mean": (ops.mean, ((3, 4, 2),), {"axis": (0, -1), "keepdims": False}),
    "argmax": (ops.argmax, ((3, 4),), {"axis": 0}),
    "norm": (ops.norm, ((3, 4),), {"axis": 1, "keepdims": True}),
    "contract": (ops.contract, ((3, 4), (4, 5)), {"spec": "ij,jk->ki"}),
    "table": (table, ((5, 3), ("int32", (4,))), {"size": 5, "axis": -1}),
    "cast": (ops.cast, ((3, 4),), {"dtype": "int32"}),
    "power": (lambda x, *, p: abs(x) ** p, ((3, 4),), {"p": 3}),
}  # fmt: skip


def of_function(r: random.Random, dtype: str) -> Case:
    name = r.choice(sorted(FUNCTIONS))
    function, given, base = FUNCTIONS[name]
    inputs = []
    for k, g in enumerate(given):
        shape, kind = (g[1], g[0]) if isinstance(g[0], str) else (g, dtype)
        if r.random() < 0.2:
            shape = tuple(r.choice(LENGTHS) if r.random() < 0.4 else n for n in shape)
        inputs.append((shape, kind, "sample" if k == 0 else r.choice(["sample", "shared"])))
    options = altered(r, base)
    return Case(f"{name}{inputs}{options!r}", tuple(inputs), lambda *x: function(*x, **options))


# ---- layers ---------------------------------------------------------------------------------------------------------

LAYERS: dict[str, tuple[type, dict[str, Any], tuple[int, ...], str | None]] = {
    "Dense": (nn.Dense, {"units": 3}, (5,), None),
    "Conv": (nn.Conv, {"filters": 4, "kernel_size": 3, "floor": True}, (2, 6, 6), None),
    "Conv 1": (nn.Conv, {"filters": 2, "kernel_size": (3,), "strides": 2, "floor": True}, (2, 9), None),
    "ConvTranspose": (nn.ConvTranspose, {"filters": 4, "kernel_size": (2, 3), "strides": 2}, (2, 3, 4), None),
    "DepthwiseConv": (nn.DepthwiseConv, {"kernel_size": 3, "floor": True}, (3, 6, 5), None),
    "Conv1D": (nn.Conv1D, {"filters": 3, "kernel_size": 3}, (7, 2), None),
    "LocallyConnected": (nn.LocallyConnected, {"filters": 2, "kernel_size": 2, "floor": True}, (2, 4, 5), None),
    "MaxPool": (nn.MaxPool, {"size": 2, "floor": True}, (2, 7, 6), None),
    "AvgPool": (nn.AvgPool, {"size": (2, 3), "floor": True}, (2, 7, 6), None),
    "UpSample": (nn.UpSample, {"factor": 2}, (2, 3, 4), None),
    "ZeroPad": (nn.ZeroPad, {"padding": ((1, 0), (2, 1))}, (2, 3, 4), None),
    "LSTM": (nn.LSTM, {"units": 3}, (4, 2), None),
    "GRU": (nn.GRU, {"units": 3}, (4, 2), None),
    "RNN": (nn.RNN, {"units": 3}, (4, 2), None),
    "Lateral": (nn.Lateral, {"steps": 2}, (4,), None),
    "LayerNorm": (nn.LayerNorm, {}, (4, 6), None),
    "BatchNorm": (nn.BatchNorm, {}, (4, 3), None),
    "GroupNorm": (nn.GroupNorm, {"groups": 2}, (4, 3, 3), None),
    "LocalResponseNorm": (nn.LocalResponseNorm, {}, (5, 3), None),
    "PixelNorm": (nn.PixelNorm, {}, (5, 3), None),
    "Embedding": (nn.Embedding, {"rows": 9, "units": 3}, (4,), "int32"),
    "PositionEmbedding": (nn.PositionEmbedding, {"length": 5}, (4, 2), None),
    "PositionalEncoding": (nn.PositionalEncoding, {}, (4, 6), None),
    "MultiHeadAttention": (nn.MultiHeadAttention, {"heads": 2}, (4, 6), None),
    "TransformerBlock": (nn.TransformerBlock, {"heads": 2, "hidden": 5}, (4, 6), None),
    "RepeatVector": (nn.RepeatVector, {"length": 3}, (4,), None),
    "Reshape": (nn.Reshape, {"shape": (2, 6)}, (3, 4), None),
    "Dropout": (nn.Dropout, {"rate": 0.5}, (5,), None),
    "GaussianNoise": (nn.GaussianNoise, {"stddev": 0.5}, (5,), None),
    "SpatialDropout": (nn.SpatialDropout, {"rate": 0.5}, (3, 4), None),
}
PLAIN = (bool, int, float, str, tuple, type(None))


def options_of(cls: type, base: dict[str, Any]) -> dict[str, Any]:
    """A layer's options that are no functions or layers, as they are unless ``base`` says otherwise."""
    fields = dataclasses.fields(cls)
    known = {f.name: f.default for f in fields if isinstance(f.default, PLAIN)}
    return {name: a for name, a in known.items() if name not in ("name", "activation", "connections")} | base


def of_layer(r: random.Random, dtype: str) -> Case:
    name = r.choice(sorted(LAYERS))
    cls, base, shape, kind = LAYERS[name]
    options = options_of(cls, base)
    given = altered(r, options)
    given = {k: v for k, v in given.items() if k in base or v is not options.get(k)}
    training = r.random() < 0.3
    return Case(f"{name}{given!r} training={training}", ((shape, kind or dtype, "sample"),),
                lambda x: nn.trace(cls(**given), x, training=training), True)  # fmt: skip


def case(seed: int, i: int) -> tuple[Case, random.Random]:
    r = random.Random(f"{seed} {i}")
    dtype = "float64" if r.random() < 0.75 else "float32"
    kind = r.choices([of_primitive, of_function, of_layer], [5, 4, 1])[0]
    return kind(r, dtype), r


# ---- what is made of them, and compared -----------------------------------------------------------------------------

BATCH = 5


class Built(NamedTuple):
    """A case as part of a program: its leaves' arrays, results and state."""

    arrays: dict[str, np.ndarray]
    inputs: list[Value]
    outputs: dict[str, Value]
    state: dict[str, np.ndarray]


def build(i: int, c: Case, r: random.Random) -> Built | None:
    """A case built, with derivatives; None where it is too large to be computed. Raises where it is refused."""
    rng = np.random.default_rng(r.randrange(1 << 30))
    inputs = [pel.input(f"i{i}.{k}", shape, dtype, kind) for k, (shape, dtype, kind) in enumerate(c.inputs)]
    made = c.make(*inputs)
    state: dict[str, np.ndarray] = {}
    y = made
    if c.own:
        y = made.output
        values = [p.value for p in made.parameters.values()]
        if any(v.size > LARGE for v in values):
            return None
        for v in pel.graph.toposort([y[0] if isinstance(y, tuple) else y]):
            if v.primitive is pel.graph.state_leaf:
                state[v.name or ""] = drawn(rng, v.shape, v.dtype)
    several = y if isinstance(y, tuple) else (y,)
    outputs = {f"o{i}.{k}": v for k, v in enumerate(several)}
    if any(v.size > LARGE for v in pel.graph.toposort(outputs.values())):
        return None
    wrt = [v for v in pel.graph.toposort(outputs.values()) if not v.inputs and v.name and v.dtype.startswith("float")]
    floats = [v for v in several if v.dtype.startswith("float")]
    if floats and wrt and r.random() < 0.6:
        cost = sum(ops.sum(v * (1 / max(1, v.size))) for v in floats)
        cost = ops.batch_sum(cost) if cost.kind == "sample" else cost
        outputs |= {f"d{i}.{k}": g for k, g in enumerate(pel.grad(cost, wrt))}
    if any(v.size > LARGE for v in pel.graph.toposort(outputs.values())):
        return None
    arrays = {v.name or "": drawn(rng, ((BATCH,) if v.kind == "sample" else ()) + v.shape, v.dtype) for v in inputs}
    return Built(arrays, inputs, outputs, state)


def drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if dtype.startswith("float"):
        return (rng.normal(0, 1, shape) + 0.01).astype(dtype)
    return rng.integers(0, 2 if dtype == "bool" else 5, shape).astype(dtype)


def compared(parts: list[Built]) -> str:
    """How the executors differ on a program of these; "" where they agree."""
    inputs = [v for p in parts for v in p.inputs]
    program = pel.Program(inputs, {k: v for p in parts for k, v in p.outputs.items()})
    arrays = {k: a for p in parts for k, a in p.arrays.items()}
    state = {k: a for p in parts for k, a in p.state.items() if k in program.state}
    results = []
    for compiled in (reference.compile(program), native.Run(program, threads=1)):
        try:
            results.append(compiled(dict(state), arrays, BATCH))
        except OURS as error:
            results.append(type(error).__name__)
    if isinstance(results[0], str) or isinstance(results[1], str):
        return "" if results[0] == results[1] else f"{results[0]!s:.60} but {results[1]!s:.60}"
    wanted, found = results
    for name, a in wanted.items():
        b = found[name]
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            return f"{name}: {a.dtype} {a.shape} but {b.dtype} {b.shape}"
        if a.dtype.kind != "f":
            if not np.array_equal(a, b):
                return f"{name}: other numbers"
            continue
        finite = np.isfinite(a)
        size = np.abs(a, where=finite, out=np.zeros_like(a)).max(initial=1)
        near = (1e-9 if a.dtype == "float64" else 1e-3) * size
        if not np.allclose(a, b, rtol=1e-4 if a.dtype == "float32" else 1e-7, atol=near, equal_nan=True):
            return f"{name}: {np.abs(np.where(finite, a - b, 0)).max(initial=0)} of {size}, or not finite"
    return ""


def work(seed: int, first: int, count: int, say: Callable[[dict], None]) -> None:
    """Inputs first..first+count-1; says where it is, what it finds, and at the end how many were what."""
    counts: collections.Counter[str] = collections.Counter()
    for start in range(first, first + count, TOGETHER):
        say({"at": start})
        parts = []
        for i in range(start, min(start + TOGETHER, first + count)):
            c, r = case(seed, i)
            try:
                built = build(i, c, r)
            except OURS:
                counts["refused"] += 1
                continue
            except Exception as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                say({"finding": f"{type(error).__name__}: {error}"[:200], "input": i, "case": c.text[:300],
                     "where": f"{os.path.basename(last.filename)}:{last.lineno}"})  # fmt: skip
                counts["refused by a foreign error"] += 1
                continue
            counts["too large" if built is None else "computed"] += 1
            if built is not None:
                parts.append((i, c, built))
        whole = [built for _, c, built in parts if not c.own]
        alone = [p for p in parts if p[1].own]
        if whole:
            try:
                same = not compared(whole)
            except Exception:
                same = False
            alone += [] if same else [p for p in parts if not p[1].own]
        for i, c, built in alone:
            try:
                how = compared([built])
            except Exception as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                how = f"{type(error).__name__}: {error} ({os.path.basename(last.filename)}:{last.lineno})"
            if how:
                say({"finding": how[:300], "input": i, "case": c.text[:300], "where": "results"})
                counts["different"] += 1
    say({"counts": dict(counts), "inputs": count})


def spans(seed: int, first: int, count: int) -> Iterator[dict]:
    """The words of processes that work through some inputs; another goes on where one died."""
    end = first + count
    while first < end:
        command = [sys.executable, __file__, "--seed", str(seed), "--work", str(first), str(end - first)]
        said, died = [], None
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SILENT * max(1, (end - first) / 100))
            lines, died = done.stdout.splitlines(), done.returncode
            error = done.stderr[-300:]
        except subprocess.TimeoutExpired as stopped:
            out = stopped.stdout or b""
            lines, died, error = (out.decode() if isinstance(out, bytes) else out).splitlines(), "hang", ""
        for line in lines:
            try:
                said.append(json.loads(line))
            except ValueError:
                continue
        yield from (s for s in said if "at" not in s)
        if died == 0:
            return
        at = max((s["at"] for s in said if "at" in s), default=first)
        if end - first == 1:
            yield {"finding": f"process ended by {died}: {error}", "input": first, "where": "process",
                   "case": case(seed, first)[0].text[:300]}  # fmt: skip
            return
        yield {"counts": {}, "inputs": at - first}
        stop = min(at + TOGETHER, end)
        for i in range(at, stop):
            yield from spans(seed, i, 1)
        first = stop


def fuzz(count: int, seed: int = 0, workers: int = 1, show: Callable[[str], None] = print) -> dict[str, Any]:
    """Work through inputs 0..count-1; gives how many there were, what became of them, and the findings."""
    total: collections.Counter[str] = collections.Counter()
    findings: list[dict] = []
    pieces = [(k, min(SPAN, count - k)) for k in range(0, count, SPAN)]
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for said in pool.map(lambda piece: list(spans(seed, *piece)), pieces):
            for s in said:
                if "finding" in s:
                    findings.append(s)
                    show(f"{s['input']}: {s['case']}\n    {s['where']}: {s['finding']}")
                else:
                    total["inputs"] += s["inputs"]
                    total.update(s["counts"])
    show(f"{dict(total)}, {len(findings)} findings, seed {seed}")
    return {**total, "findings": findings}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--work", type=int, nargs=2)
    a = parser.parse_args()
    if a.work is None:
        sys.exit(bool(fuzz(a.count, a.seed, a.workers)["findings"]))
    os.environ["PELLUCID_CACHE"] = ""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    with np.errstate(all="ignore"):
        work(a.seed, *a.work, lambda said: print(json.dumps(said), flush=True))


if __name__ == "__main__":
    main()
