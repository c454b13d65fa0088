"""Damaged and generated files for every reader: what may happen is that a file is read, or refused by our errors.

    python tests/cases/fuzz_files.py --count 100000 --seed 0 [--only NAME] [--workers 2] [--keep FOLDER]

Each input is made from a valid file (cut, bits flipped, spliced, fields and numbers exchanged), or generated: a
description that is changed and has a right checksum. Worker processes read them; one that dies by a signal, or is
silent for 5 seconds, is noted and another goes on. Findings are these, exceptions that are not ours, memory beyond ten
times the file or what its header says, and a file with a checksum that was changed and is read nevertheless. Input
``i`` of a reader is a function of the seed, so that it can be made again. A new reader is one row of `READERS`.
"""

from __future__ import annotations

import argparse
import bz2
import collections
import contextlib
import faulthandler
import gzip
import io
import json
import lzma
import multiprocessing
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import pellucid as pel
from pellucid import data, nn, optim, schedules
from pellucid.executors.native.jit import cache as jit_cache
from pellucid.train import checkpoint, saving

HANG = 5.0  # seconds of a core; or ten times that by the clock, since the machine may be busy
MEMORY = 10  # times the file
FLOOR = 96 << 20  # bytes that any reader may take: its code, LLVM, what the allocator keeps
LIMIT = 6 << 30  # of a worker's address space

Change = Callable[[random.Random, list[bytes]], bytes]


class Reader(NamedTuple):
    """One way to read a file: ``read(path)`` of a file of that ``name``, of which ``valid()`` gives some.

    ``sealed``: the file has a checksum, so that a changed one must not be read. ``change`` makes an input of the valid
    ones. ``said(data)``: bytes that the header speaks of. ``share``: how often it is tried, beside the others.
    """

    name: str
    file: str
    valid: Callable[[], list[bytes]]
    read: Callable[[Path], Any]
    change: Change
    sealed: bool = False
    said: Callable[[bytes], int] = lambda data: 0
    share: int = 4
    allowed: tuple[type[BaseException], ...] = (pel.PellucidError,)


# ---- how inputs are made --------------------------------------------------------------------------------------------

ODD = [
    b"0",
    b"-1",
    b"1.5",
    b"nan",
    b"1e999",
    b"2147483648",
    b"99999999999999999999",
    b"true",
    b"null",
    b'""',
    b"[]",
    b"",
]
SIZES = [0, 1, 2, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]


def cut(r: random.Random, d: bytearray, others: list[bytes]) -> bytearray:
    return d[: r.randrange(len(d) + 1)]


def flip(r: random.Random, d: bytearray, others: list[bytes]) -> bytearray:
    for _ in range(r.choice((1, 1, 1, 2, 8))):
        if d:
            d[r.randrange(len(d))] ^= 1 << r.randrange(8)
    return d


def put(r: random.Random, d: bytearray, others: list[bytes]) -> bytearray:
    if d:
        d[r.randrange(len(d))] = r.choice((0, 1, 10, 13, 34, 44, 127, 128, 255, r.randrange(256)))
    return d


def field(r: random.Random, d: bytearray, others: list[bytes]) -> bytearray:
    """A number of the header, in any width and order of bytes, becomes an odd one."""
    size, order = r.choice((1, 2, 4, 8)), r.choice(("little", "big"))
    start = r.randrange(max(1, min(len(d), 64)))
    return d[:start] + (r.choice(SIZES) % 256**size).to_bytes(size, order) + d[start + size :]


def number(r: random.Random, d: bytearray, others: list[bytes]) -> bytearray:
    """A number that is written in digits becomes an odd one."""
    places = [i for i in range(len(d)) if 48 <= d[i] < 58 and not (i and 48 <= d[i - 1] < 58)]
    if not places:
        return flip(r, d, others)
    start = end = r.choice(places)
    while end < len(d) and 48 <= d[end] < 58:
        end += 1
    return d[:start] + r.choice(ODD) + d[end:]


def splice(r: random.Random, d: bytearray, others: list[bytes]) -> bytearray:
    other = r.choice(others)
    a, b = r.randrange(len(d) + 1), r.randrange(len(other) + 1)
    return d[:a] + other[b : b + r.choice((1, 4, 64, len(other)))] + d[a + r.choice((0, 1, 4, 64)) :]


def remove(r: random.Random, d: bytearray, others: list[bytes]) -> bytearray:
    a = r.randrange(len(d) + 1)
    return d[:a] + d[a + r.choice((1, 2, 4, 16, 100)) :]


def repeat(r: random.Random, d: bytearray, others: list[bytes]) -> bytearray:
    a = r.randrange(len(d) + 1)
    return d[:a] + d[a : a + r.choice((1, 8, 64))] * r.choice((2, 3, 50)) + d[a:]


def noise(r: random.Random, d: bytearray, others: list[bytes]) -> bytearray:
    keep = r.choice((0, 4, 8, 16))
    return d[:keep] + bytearray(r.randbytes(r.choice((0, 1, 7, 100))))


WAYS = [cut, flip, flip, flip, put, field, number, splice, remove, repeat, noise]


def bytewise(r: random.Random, valid: list[bytes]) -> bytes:
    """A valid file damaged in one way, or in several after each other."""
    d = bytearray(r.choice(valid))
    for _ in range(r.choice((1, 1, 1, 2, 4))):
        d = r.choice(WAYS)(r, d, valid)
    return bytes(d)


def gzipped(r: random.Random, valid: list[bytes]) -> bytes:
    """The same inside, and packed again; or the packed file itself."""
    if r.random() < 0.5:
        return bytewise(r, valid)
    return gzip.compress(bytewise(r, [gzip.decompress(v) for v in valid]), 1)


VALUES: list[Any] = [None, True, False, 0, 1, 2, -1, 7, 1.5, 1e300, -0.1, float("nan"), 10**400, "", "x", "relu",
                     "state.x", [], {}, [1], {"tuple": []}, {"tuple": [2, 2]}, {"again": 0}, {"again": -1},
                     {"again": 3}, {"name": "tanh"}, {"name": "Dense"}, {"name": "ops.reshape"}, {"name": "os:system"},
                     {"array": "state.optimizer.step"}, {"array": "none"}, {"class": "Dense", "fields": {}},
                     {"partial": {"name": "ops.pad"}, "args": [], "options": {}}]  # fmt: skip


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON tree: what holds it, and under which key."""
    found: list[tuple[Any, Any]] = []
    todo = [tree]
    while todo:
        node = todo.pop()
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            found.append((node, key))
            if isinstance(node[key], (dict, list)):
                todo.append(node[key])
    return found


def treewise(r: random.Random, tree: Any) -> Any:
    """A JSON tree in which some value is another, is gone, or has changed places."""
    for _ in range(r.choice((1, 1, 1, 2, 5))):
        found = places(tree)
        if not found:
            break
        node, key = r.choice(found)
        way = r.randrange(6)
        if way < 3:
            node[key] = json.loads(json.dumps(r.choice(VALUES)))
        elif way == 3:
            other, at = r.choice(found)
            node[key] = json.loads(json.dumps(other[at]))
        elif way == 4:
            del node[key]
        elif isinstance(node, list):
            node.insert(key, json.loads(json.dumps(node[key])))
        elif isinstance(node[key], (int, float)) and abs(node[key]) < 1e300 and not isinstance(node[key], bool):
            node[key] = r.choice((-node[key], node[key] * 1000003, node[key] + 0.5, str(node[key]), bool(node[key])))
    return tree


def noted(r: random.Random, valid: list[bytes]) -> bytes:
    """A model file with other notes or another history."""
    return generated(r, valid, r.choice(("notes", "notes", "notes", "history", None)))


def generated(r: random.Random, valid: list[bytes], part: str | None = None) -> bytes:
    """A model file with another description (or part of it), now and then other arrays, whose checksum is right."""
    from safetensors.numpy import load, save

    file = r.choice(valid)
    tensors, text = load(file), _metadata(file)
    tree = json.loads(text)
    tree.pop("crc32")
    if part is None and r.random() < 0.15:
        name = r.choice(sorted(tensors))
        a = tensors.pop(name)
        if way := r.randrange(6):
            made = [a.reshape(-1), a.astype("float64"), a.astype("uint8"), a[None], np.full_like(a, 0) / 0][way - 1]
            tensors[name] = np.ascontiguousarray(made)
    else:
        treewise(r, tree if part is None else tree[part])
    data = save(tensors, {"pellucid": json.dumps({"crc32": "00000000"} | tree)})
    return data.replace(b"00000000", b"%08x" % zlib.crc32(data.replace(b"00000000", b"", 1)), 1)


def _metadata(file: bytes) -> str:
    (size,) = struct.unpack_from("<Q", file)
    return json.loads(file[8 : 8 + size])["__metadata__"]["pellucid"]


def objects(r: random.Random, valid: list[bytes]) -> bytes:
    """A JSON text whose tree is changed."""
    return json.dumps(treewise(r, json.loads(r.choice(valid)))).encode()


# ---- valid files ----------------------------------------------------------------------------------------------------

KEPT: dict[str, list[bytes]] = {}


UNTRAINED: list[tuple[Callable, tuple]] = [
    (lambda: nn.Sequential(nn.ConvTranspose(2, 3, strides=2, output_padding=1), nn.AvgPool(2, floor=True),
                           nn.UpSample(2), nn.ZeroPad(((1, 0), 2)), nn.GlobalMaxPool()), (1, 3, 3)),
    (lambda: nn.Sequential(nn.DepthwiseConv(2, multiplier=2), nn.GroupNorm(2), nn.LocalResponseNorm(3), nn.PixelNorm(),
                           nn.SpatialDropout(0.1), nn.LayerNorm(axis=(0, 1)), nn.Flatten(), nn.DropConnect(2)),
     (2, 3, 3)),
    (lambda: nn.Sequential(nn.Reshape((2, 3)), nn.Masking(0.0), nn.RNN(2, return_sequences=True, activation="relu"),
                           nn.TimeDistributed(nn.Dense(2)), nn.GlobalAvgPool1D()), (6,)),
    (lambda: nn.Sequential(nn.Dense(4), nn.RepeatVector(3), nn.PositionEmbedding(), nn.LSTM(2, peepholes=True),
                           nn.WeightDrop(nn.Dense(2)), nn.Regularized(nn.Dense(2), weights=nn.L1L2(0.1, 0.2))), (3,)),
    (lambda: nn.Sequential(nn.MultiHeadAttention(2), nn.FeedForward(3), nn.Concatenate(nn.linear, nn.linear, axis=1),
                           nn.Lambda(nn.silu), partial(nn.leaky_relu, slope=0.2), partial(nn.ramp, a=-1.0)), (3, 4)),
]  # fmt: skip


def models() -> list[bytes]:
    """Small nets of many kinds, trained for an epoch."""
    if "models" in KEPT:
        return KEPT["models"]
    x, steps, y = np.zeros((6, 2, 4), "float32"), np.zeros((6, 3, 4), "float32"), np.arange(6) % 2
    flat, pictures = x.reshape(6, 8) + np.arange(8, dtype="float32") / 8, x[:, :, :, None] + np.zeros(4, "float32")
    dense = nn.Sequential(nn.Dense(3, mask=np.ones((3, 8))), nn.tanh, nn.Dropout(0.2), nn.Dense(2))
    rates = optim.SGD(schedules.WarmUp(schedules.Cosine(0.1, epochs=3), epochs=1), momentum=0.9, clipnorm=1.0)
    given = [
        (dense, flat, {"optimizer": optim.Adam(0.01), "metrics": ["accuracy"], "regularizer": nn.L2(1e-3)}),
        (nn.Sequential(nn.Conv(2, 3, padding="same", groups=2), nn.BatchNorm(), nn.relu, nn.MaxPool(2), nn.Flatten(),
                       nn.Dense(2)), pictures, {"optimizer": rates}),
        (nn.Sequential(nn.Bidirectional(nn.LSTM(2, return_sequences=True)), nn.GRU(2), nn.Dense(2)), steps, {}),
        (nn.Sequential(nn.TransformerBlock(2, 4), nn.Conv1D(2, 2), nn.Flatten(), nn.Residual(nn.Dense(4)), nn.Dense(2)),
         steps, {"optimizer": optim.RMSprop(centered=True), "constraint": nn.MaxNorm(2)}),
    ]  # fmt: skip
    files = []
    with tempfile.TemporaryDirectory() as folder:
        for net, shape in UNTRAINED:
            pel.Model(net(), "mse", "sgd", input_shape=shape, executor="reference").save(Path(folder) / "m.pel")
            files.append((Path(folder) / "m.pel").read_bytes())
        for net, inputs, options in given:
            model = pel.Model(net, "cross_entropy", executor="reference", **options)
            model.fit(inputs, y, epochs=1, verbose=0)
            image = [1, 1, int(inputs[0].size)]
            model.notes |= {"kind": "pixels", "source": "x", "task": "classification", "image": image, "scale": 255,
                            "class_names": ["a", "b"]}  # fmt: skip
            model.save(Path(folder) / "m.pel")
            files.append((Path(folder) / "m.pel").read_bytes())
    KEPT["models"] = files[::-1]
    return KEPT["models"]


def commanded() -> list[bytes]:
    """Models of a table, a text and pictures, with the notes that the command line keeps."""
    from click.testing import CliRunner

    from pellucid import cli

    files = models()[3:4]
    rows = "".join(f"{i % 7},{'ab'[i % 2]},2020-01-0{i % 9 + 1},{'yn'[i % 2]}\n" for i in range(40))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "t.csv").write_text(f"x,c,d,y\n{rows}")
        (Path(folder) / "t.txt").write_text("to be or not to be " * 20)
        for what in (["t.csv", "--target", "y"], ["t.txt", "--units", "4"]):
            out = Path(folder) / f"{what[0]}.pel"
            asked = ["train", f"{folder}/{what[0]}", *what[1:], "--epochs", "1", "--output", str(out), "--no-plot"]
            found = CliRunner().invoke(cli.cli, [*asked, "--executor", "reference"])
            if found.exit_code:
                raise AssertionError(found.output)
            files.append(out.read_bytes())
    return files


DATA = Path(__file__).parents[1] / "data"


def first_formats() -> list[bytes]:
    return [(DATA / "format-1.pel").read_bytes()]


def second_formats() -> list[bytes]:
    return [path.read_bytes() for path in sorted(DATA.glob("format-2*.pel"))]


def checkpoints() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        x = np.arange(24, dtype="float32").reshape(6, 4) / 24
        model = pel.Model(nn.Dense(2), "cross_entropy", optim.Adam(0.01), executor="reference")
        calls = [pel.Checkpoint(folder, steps=1), pel.EarlyStopping("loss", patience=3)]
        model.fit(x, np.arange(6) % 2, epochs=2, batch_size=4, callbacks=calls, verbose=0)
        return [path.read_bytes() for path in sorted(Path(folder).iterdir())]


KEY = "0123456789abcdef" * 4


def entries() -> list[bytes]:
    parts = [[b"\x7fELF" + bytes(range(256)) * 4], [b"one", b"", b"three" * 50]]
    codes = [jit_cache.join_objects(objects) for objects in parts]
    return [jit_cache.checksum(KEY, code) + code for code in codes]


def tables() -> list[bytes]:
    texts = ["a,b,c\n1,2,x\n3,,y\n-1.5,1e3,z\n", 'a;"b ""q""";c\n1,5;"two\nlines";x\n', "a\tb\n1\t2\n",
             "\ufeffid,when\n1,2020-01-01\n", "sep=;\na;b\n$5;12 %\n1.000,5;NA\n"]  # fmt: skip
    packed = [pack(texts[0].encode()) for pack in (gzip.compress, lzma.compress, bz2.compress)]
    with zipfile.ZipFile(archive := io.BytesIO(), "w") as file:
        file.writestr("t.csv", texts[0])
    return [text.encode() for text in texts] + [*packed, archive.getvalue(), "ä,ö\n1,2\n".encode("utf-16")]


def idxs() -> list[bytes]:
    kinds = [(8, "u1", (3, 2, 2)), (12, ">i4", (4,)), (13, ">f4", (2, 3)), (14, ">f8", (1, 1, 2))]
    return [bytes([0, 0, code, len(shape)]) + np.array(shape, ">u4").tobytes() + np.ones(shape, t).tobytes()
            for code, t, shape in kinds]  # fmt: skip


def pictures() -> list[bytes]:
    from PIL import Image

    files = []
    for mode, kinds in (
        ("RGB", ("png", "jpeg", "bmp", "gif", "ppm", "tiff", "webp")),
        ("L", ("png", "bmp")),
        ("P", ("gif",)),
    ):
        for kind in kinds:
            out = io.BytesIO()
            Image.new(mode, (5, 4), 3).save(out, kind)
            files.append(out.getvalue())
    return files


def texts() -> list[bytes]:
    return ["Grüezi\nZürich\n".encode(), b"go\tgeh\nI see\tich sehe\n", "\ufefftext\r\n".encode(),
            ("# a\n" + "1\tIt\t_\tPRON" + "\t_" * 6 + "\n\n").encode(), gzip.compress(b"packed\ttext\n")]  # fmt: skip


def vocabularies() -> list[bytes]:
    made = [data.Vocabulary("hello you"), data.Vocabulary("to be or not", level="words", special=["<pad>", "<unk>"])]
    return [json.dumps(v.to_json()).encode() for v in made]


def npys() -> list[bytes]:
    files = []
    for a in (np.zeros((2, 3)), np.arange(4, dtype="uint8").reshape(2, 2), np.ones((2, 2, 2), "float32", order="F")):
        np.save(out := io.BytesIO(), a)
        files.append(out.getvalue())
    return files


def npzs() -> list[bytes]:
    x, y = np.zeros((2, 32, 32, 3), "uint8"), np.array([0, 1], "uint8")
    np.savez(plain := io.BytesIO(), x_train=x, y_train=y)
    np.savez_compressed(packed := io.BytesIO(), x_train=x, y_train=y, class_names=np.array(["a", "b"]))
    return [packed.getvalue(), packed.getvalue(), plain.getvalue()]


def tars() -> list[bytes]:
    def packed(mode: str) -> bytes:
        with tarfile.open(fileobj=(out := io.BytesIO()), mode=mode) as archive:
            for name in ("test_batch.bin", "batches.meta.txt"):
                content = bytes([7] + [255] * 3072) if name.endswith("bin") else b"a\nb\n"
                info = tarfile.TarInfo(f"cifar/{name}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return out.getvalue()

    return [packed("w:gz"), packed("w")]


# ---- reading --------------------------------------------------------------------------------------------------------


def load_and_predict(path: Path) -> None:
    """Now and then a model that could be loaded predicts, too: options that were let through must do no harm."""
    size = path.stat().st_size
    model = pel.load(path, executor="native" if size % 320 == 0 else "reference")
    if size % 16 == 0 and sum(np.prod(s.shape, dtype=float) for s in model.specs.values()) < 1e5:
        x = {k: np.zeros((2, *s.shape), s.dtype) for k, s in model.specs.items()}
        named = {k.removeprefix("x."): a for k, a in x.items()}
        model.predict(x["x"] if model.how == "one" else tuple(x.values()) if model.how == "tuple" else named)


def on_the_command_line(path: Path) -> None:
    """Notes are read there: a table, an array or a text goes through a damaged model."""
    from click.testing import CliRunner

    from pellucid import cli

    if not (array := path.with_suffix(".npy")).exists():
        np.save(array, np.zeros((2, 8), "uint8"))
        path.with_suffix(".csv").write_text("x,c,d,y\n1,a,2020-01-01,y\n2,,,n\n")
        path.with_suffix(".txt").write_text("to be or not to be " * 9)
    kind = saving.read(path)[1].get("notes", {})
    given = {"table": ".csv", "text": ".txt"}.get(str(kind.get("kind") if isinstance(kind, dict) else kind), ".npy")
    command = (["summary", str(path)], ["predict", str(path), str(path.with_suffix(given))],
               ["evaluate", str(path), str(path.with_suffix(given))], ["sample", str(path), "--length", "2"],
               )[path.stat().st_size % 4]  # fmt: skip
    found = CliRunner().invoke(cli.cli, [*command, "--executor", "reference"] if command[0] != "summary" else command)
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    if found.exit_code:
        raise pel.DataError(found.output)


def entry(path: Path) -> bytes:
    os.environ["PELLUCID_CACHE"] = str(path.parent)
    code = jit_cache.read_cache(KEY)
    if code is None:
        raise pel.DataError("there is no such entry, or it is damaged")
    return jit_cache.split_objects(code) and code


WAYS_OF_TABLES: list[dict[str, Any]] = [
    {}, {"delimiter": ";", "decimal": ",", "thousands": "."}, {"categorical": ["a"], "missing": ["x", "3"]},
    {"numeric": ["a"], "thousands": "'"}, {"dates": ["when"]}, {"dates": {"a": "%d.%m.%Y"}}, {"delimiter": "\t"},
]  # fmt: skip
ENCODINGS = [
    "utf-8",
    "utf-16",
    "utf-32-le",
    "utf-7",
    "idna",
    "punycode",
    "hex",
    "cp1252",
    "shift_jis",
    "unicode_escape",
]


def any_table(path: Path) -> None:
    data.read_csv(path, **WAYS_OF_TABLES[path.stat().st_size % len(WAYS_OF_TABLES)])


def any_text(path: Path) -> None:
    size = path.stat().st_size
    if size % 4 == 3:
        data.read_text(path, ENCODINGS[size // 4 % len(ENCODINGS)])
    else:
        (data.read_text, data.read_pairs, data.read_conllu)[size % 4](path)


def vocabulary(path: Path) -> None:
    v = data.Vocabulary.from_json(json.loads(path.read_bytes()))
    v.decode(v.encode("to be"))


def npy(path: Path) -> np.ndarray:
    from pellucid.cli import sources

    return sources._array(path)


def npy_says(file: bytes) -> int:
    """The bytes of the array that the header of an .npy file speaks of."""
    try:
        shape, _, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(file[8:]))
        return int(np.prod(shape, dtype=float)) * dtype.itemsize
    except Exception:
        return 0


def picture_says(file: bytes) -> int:
    """The bytes of the pixels that a picture's header speaks of, as they are, in colors and scaled."""
    from PIL import Image

    try:
        return 8 * int(np.prod(Image.open(io.BytesIO(file)).size))
    except Exception:
        return 0


def zip_says(file: bytes) -> int:
    return 1 << 24  # pictures of 32 x 32, as many as the test files have, a thousand times


READERS = [
    Reader("model", "m.pel", models, pel.load, bytewise, sealed=True, share=12),
    Reader("model, generated", "m.pel", models, load_and_predict, generated, share=4),
    Reader("model, first format", "m.pel", first_formats, load_and_predict, bytewise, share=4),
    Reader("model, second format", "m.pel", second_formats, pel.load, bytewise, sealed=True, share=4),
    Reader("notes on the command line", "m.pel", commanded, on_the_command_line, noted, share=1),
    Reader("checkpoint", "step-000000001.pel", checkpoints, checkpoint._read, bytewise, sealed=True, share=12),
    Reader("checkpoint, generated", "step-000000001.pel", checkpoints, checkpoint._read, generated, share=4),
    Reader("cache entry", f"{KEY}.o", entries, entry, bytewise, sealed=True, share=12),
    Reader("table", "t.csv", tables, any_table, bytewise, share=12),
    Reader("idx", "i", idxs, data.idx, bytewise, share=12),
    Reader("idx, gzipped", "i.gz", lambda: [gzip.compress(i) for i in idxs()], data.idx, gzipped, share=8),
    Reader("picture", "one/p.png", pictures, lambda path: data.images(path.parent.parent), bytewise,
           said=picture_says, share=6),
    Reader("text", "t.txt", texts, any_text, bytewise, share=12),
    Reader("vocabulary", "v.json", vocabularies, vocabulary, objects, share=8),
    Reader(".npy", "a.npy", npys, npy, bytewise, said=npy_says, share=12),
    Reader(".npz", "c.npz", npzs, data.cifar, bytewise, said=zip_says, share=4),
    Reader("cifar archive", "c.tar.gz", tars, lambda path: data.cifar(path, "test"), bytewise, said=zip_says, share=4),
]  # fmt: skip


# ---- one worker -----------------------------------------------------------------------------------------------------


class Finding(NamedTuple):
    reader: str
    number: int
    what: str


def made(reader: Reader, seed: int, i: int, valid: list[bytes]) -> bytes:
    """Input ``i`` of a reader."""
    return reader.change(random.Random(f"{seed} {reader.name} {i}"), valid)


def tried(reader: Reader, path: Path, file: bytes, valid: list[bytes]) -> str | None:
    """What is wrong with how a file is read; None if nothing is. The second word is how it went."""
    with open(path, "wb") as out:
        out.write(file)
    before = peak(anew=True)
    try:
        reader.read(path)
    except reader.allowed:
        tried.refused += 1  # type: ignore[attr-defined]
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "pellucid" in f.filename] or [None]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames[-1] else "?"
        return f"{type(error).__name__} at {where}: {str(error)[:100]}"
    else:
        if reader.sealed and file not in valid:
            return "a changed file was read"
    grown = peak() - before
    if grown > FLOOR and grown > MEMORY * max(len(file), reader.said(file)):
        return f"memory: {grown >> 20} MB for a file of {len(file)} bytes"
    return None


tried.refused = 0  # type: ignore[attr-defined]


def peak(anew: bool = False) -> int:
    """The most bytes that this process has had in memory, since it was asked ``anew``."""
    if anew:
        with contextlib.suppress(OSError), open("/proc/self/clear_refs", "wb", buffering=0) as file:
            file.write(b"5")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def work(reader: Reader, seed: int, numbers: range, at: Any, refused: Any, out: Any, valid: list[bytes]) -> None:
    """In a process of its own: read the inputs of these numbers; say where it is, what was found, how many refused."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    warnings.simplefilter("ignore")
    faulthandler.disable()
    os.environ["PELLUCID_CACHE"] = ""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries written in C speak there
    tried.refused = 0  # type: ignore[attr-defined]
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    path = folder / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
            for i in numbers:
                at.value = i
                if what := tried(reader, path, made(reader, seed, i, valid), valid):
                    out.send(Finding(reader.name, i, what))
                refused.value = tried.refused  # type: ignore[attr-defined]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        out.close()


class Worker:
    """A process that reads some inputs of a reader, and its watchdog."""

    def __init__(self, reader: Reader, seed: int, numbers: range, valid: list[bytes]) -> None:
        self.reader, self.seed, self.numbers, self.valid = reader, seed, numbers, valid
        self.at, self.refused = (multiprocessing.Value("q", first, lock=False) for first in (-1, 0))
        self.seen, self.since, self.used = -1, time.monotonic(), 0.0
        self.inlet, outlet = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.get_context("fork").Process(
            target=work, args=(reader, seed, numbers, self.at, self.refused, outlet, valid), daemon=True)  # fmt: skip
        self.process.start()
        outlet.close()

    def look(self, found: list[Finding], refused: collections.Counter) -> Worker | None:
        """This one while it works; another that goes on, if it had to end; None when all is read."""
        alive = self.process.is_alive()
        with contextlib.suppress(EOFError, OSError):
            while self.inlet.poll():
                found.append(self.inlet.recv())
        if self.at.value != self.seen:
            self.seen, self.since, self.used = self.at.value, time.monotonic(), self.seconds()
        if alive:
            passed = time.monotonic() - self.since
            if self.seen < 0 or passed < HANG or (passed < 10 * HANG and self.seconds() - self.used < HANG):
                return self
            os.kill(self.process.pid or 0, signal.SIGKILL)
            self.process.join()
            found.append(Finding(self.reader.name, self.seen, f"hangs: {HANG:g} s and more"))
        elif self.process.exitcode:
            found.append(Finding(self.reader.name, self.seen, f"the process ended with {self.process.exitcode}"))
        refused[self.reader.name] += self.refused.value
        rest = range(max(self.seen, self.numbers.start) + 1, self.numbers.stop)
        return Worker(self.reader, self.seed, rest, self.valid) if rest else None

    def seconds(self) -> float:
        """How long the process has computed."""
        with contextlib.suppress(OSError, IndexError):
            words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
        return time.monotonic()


# ---- all of them ----------------------------------------------------------------------------------------------------


def run(count: int, seed: int, only: str | None = None, workers: int = 1) -> tuple[list[Finding], dict[str, tuple]]:
    """Try so many inputs, shared among the readers: the findings; of each how many, how many refused, core seconds."""
    readers = [r for r in READERS if only is None or r.name == only]
    total = sum(r.share for r in readers)
    counts = {r.name: count * r.share // total for r in readers}
    counts[readers[0].name] += count - sum(counts.values())
    found: list[Finding] = []
    refused: collections.Counter = collections.Counter()
    table = {}
    for reader in readers:
        valid, start = reader.valid(), cpu()
        n = counts[reader.name]
        if not n:
            continue
        parts = [range(n * k // workers, n * (k + 1) // workers) for k in range(workers)]
        going: list[Any] = [Worker(reader, seed, part, valid) for part in parts if part]
        while going:
            time.sleep(0.02)
            going = [w for w in [w.look(found, refused) for w in going] if w is not None]
        table[reader.name] = n, refused[reader.name], cpu() - start
    return found, table


def cpu() -> float:
    """Seconds that workers have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[r.name for r in READERS])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for an input of each kind of finding")
    asked = parser.parse_args()
    found, table = run(asked.count, asked.seed, asked.only, asked.workers)
    of = collections.Counter(f.reader for f in found)
    print(f"{'reader':28}{'inputs':>9}{'refused':>9}{'read':>9}{'findings':>9}{'a second':>10}")
    for name, (n, refused, seconds) in table.items():
        print(f"{name:28}{n:9}{refused:9}{n - refused - of[name]:9}{of[name]:9}{n / max(seconds, 1e-9):10.0f}")
    n, seconds = sum(t[0] for t in table.values()), sum(t[2] for t in table.values())
    print(f"{'all':28}{n:9}{'':18}{len(found):9}{n / max(seconds, 1e-9):10.0f}")
    kinds: dict[tuple[str, str], list[int]] = collections.defaultdict(list)
    for f in found:
        kinds[f.reader, f.what.partition(": ")[0] if " at " in f.what else f.what].append(f.number)
    for (name, _), numbers in sorted(kinds.items(), key=lambda k: -len(k[1])):
        example = next(f.what for f in found if f.reader == name and f.number == numbers[0])
        print(f"{len(numbers):6} x {name}: {example}  [input {numbers[0]}]")
        if asked.keep:
            asked.keep.mkdir(parents=True, exist_ok=True)
            reader = next(r for r in READERS if r.name == name)
            (asked.keep / f"{name}-{numbers[0]}-{Path(reader.file).name}").write_bytes(
                made(reader, asked.seed, numbers[0], reader.valid()))  # fmt: skip
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
