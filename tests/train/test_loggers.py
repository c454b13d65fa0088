"""Logs of the epochs: tables, JSON lines, and TensorBoard's event files, read by a reader of their own."""

import csv
import errno
import io
import json
import math
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn, optim
from pellucid.train import loggers, tensorboard

X, Y = np.random.default_rng(0).normal(size=(40, 3)).astype("float32"), np.arange(40) % 2


def fit(*callbacks, epochs=3, model=None, **options):
    model = model or pel.Model(nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(2)), "cross_entropy", optim.Adam(0.05))
    model.fit(X, Y, epochs=epochs, validation_split=0.25, callbacks=callbacks, verbose=0, **options)
    return model


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# ---- CSV and JSON lines ---------------------------------------------------------------------------------------------


def test_csv(tmp_path):
    path = tmp_path / "new" / "log.csv"
    model = fit(pel.CSVLogger(path))
    found = rows(path)
    assert list(found[0]) == ["epoch", "loss", "val_loss", "learning_rate"]
    assert [int(row["epoch"]) for row in found] == [1, 2, 3]
    for name in ("loss", "val_loss"):
        assert [float(row[name]) for row in found] == model.history[name]
    assert {row["learning_rate"] for row in found} == {"0.05"}


def test_csv_again(tmp_path):
    """A further fit writes it anew, or adds to it."""
    path = tmp_path / "log.csv"
    model = fit(pel.CSVLogger(path))
    fit(pel.CSVLogger(path, append=True), model=model, epochs=2)
    assert [row["epoch"] for row in rows(path)] == ["1", "2", "3", "4", "5"]
    model.fit(X, Y, epochs=1, callbacks=[pel.CSVLogger(path, append=True)], verbose=0)
    assert rows(path)[-1]["val_loss"] == ""  # there was no validation
    fit(pel.CSVLogger(path), model=model, epochs=1)
    assert [row["epoch"] for row in rows(path)] == ["7"]


def test_json_lines(tmp_path):
    path = tmp_path / "log.jsonl"
    model = fit(pel.JSONLinesLogger(path))
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["loss"] for row in found] == model.history["loss"]
    logger = pel.JSONLinesLogger(path)
    logger.set_model(model)
    logger.on_train_begin()
    logger.on_epoch_end(0, {"loss": math.nan, "val_loss": math.inf})
    assert json.loads(path.read_text(), parse_constant=pytest.fail)["loss"] is None


def test_a_line_that_was_cut_short_is_not_glued_to_the_next(tmp_path):
    path = tmp_path / "log.csv"
    model = fit(pel.CSVLogger(path))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.warns(UserWarning, match=r"the last line in .*log\.csv.* is cut short; new ones begin after it"):
        fit(pel.CSVLogger(path, append=True), model=model, epochs=2)
    assert [row["epoch"] for row in rows(path)] == ["1", "2", "3", "4", "5"]
    assert [float(row["loss"]) for row in rows(path)] == model.history["loss"]
    path = tmp_path / "log.jsonl"
    path.write_text('{"epoch": 1, "lo')
    with pytest.warns(UserWarning, match="is cut short"):
        fit(pel.JSONLinesLogger(path, append=True), model=model, epochs=1)
    assert json.loads(path.read_text().splitlines()[1])["epoch"] == 6


NO_LOGS = {
    "another encoding": "epoch,Gr\u00f6\u00dfe\n1,2\n".encode("latin-1"),
    "UTF-16": "epoch,loss\n1,2\n".encode("utf-16"),
    "UTF-16 without a mark": "epoch,loss\n1,2\n".encode("utf-16-le"),
    "half a line of names": b"epoch,lo",
    "an event file": bytes(range(256)) * 20,
    "a long line": b"a" * (1 << 21),
}


@pytest.mark.parametrize("content", NO_LOGS.values(), ids=list(NO_LOGS))
def test_what_is_no_log_is_refused_before_training(content, tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(content)
    model = pel.Model(nn.Dense(2), "cross_entropy", optim.Adam(0.05), input_shape=(3,))
    before = {name: a.tobytes() for name, a in model.parameters.items()}
    with pytest.raises(pel.DataError, match=r"log\.csv.* is no log to add to"):
        fit(pel.CSVLogger(path, append=True), model=model)
    assert model.epochs == 0 and path.read_bytes() == content
    assert {name: a.tobytes() for name, a in model.parameters.items()} == before
    fit(pel.CSVLogger(path), model=model)
    assert len(rows(path)) == 3


def test_a_log_that_a_spreadsheet_saved(tmp_path):
    """With a byte order mark, and Windows' line ends."""
    path = tmp_path / "log.csv"
    path.write_bytes(b"\xef\xbb\xbfepoch,loss\r\n1,2\r\n")
    model = fit(pel.CSVLogger(path, append=True), epochs=1)
    assert path.read_bytes().endswith(f"\n1,{model.history['loss'][0]!r}\n".encode())


FULL = {"csv": pel.CSVLogger, "json lines": pel.JSONLinesLogger, "board": pel.TensorBoard}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize("kind", FULL)
def test_training_goes_on_when_the_disk_is_full(kind, tmp_path, monkeypatch):
    """What was written before stays, nothing half is behind it, and the user is told once for a file."""
    path = tmp_path / "log"
    fit(FULL[kind](path))
    whole = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    class Full(io.FileIO):
        def write(self, data):
            if len(data) > 3:
                return super().write(data[:3])
            raise OSError(errno.ENOSPC, "No space left on device")

    def open_full(file, mode="r", *rest, **options):
        return Full(file, mode) if "a" in mode else open(file, mode, *rest, **options)

    logger = pel.TensorBoard(path) if kind == "board" else FULL[kind](path, append=True)
    monkeypatch.setattr(loggers, "open", open_full, raising=False)
    with pytest.warns(UserWarning, match=r"the log .* could not be written \(No space left on device\)") as told:
        model = fit(logger, epochs=3)
    assert model.epochs == 3 and len(told) == (2 if kind == "board" else 1)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.stat().st_size} == whole


@pytest.mark.parametrize("append", [False, True])
def test_cut_back_to_the_checkpoint(append, tmp_path):
    """What was logged after the checkpoint that a fit goes on from is not there twice."""

    class Break(pel.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 3:
                raise KeyboardInterrupt

    def loggers(folder):
        (tmp_path / folder).mkdir(exist_ok=True)
        return [pel.CSVLogger(tmp_path / folder / "log.csv", append), pel.TensorBoard(tmp_path / folder / "board"),
                pel.JSONLinesLogger(tmp_path / folder / "log.jsonl", append)]  # fmt: skip

    def run(folder, *more):
        fit(*loggers(folder), pel.Checkpoint(tmp_path / folder, epochs=3), *more, epochs=5, resume=True)

    if append:
        for folder in ("whole", "cut"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "log.jsonl").write_text('{"of": "before"}\n')
    run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", Break())
    assert len(rows(tmp_path / "cut" / "log.csv")) == 4
    run("cut")
    for name in ("log.csv", "log.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len((tmp_path / "cut" / "log.jsonl").read_text().splitlines()) == 5 + append
    for run_name in ("train", "validation"):
        whole, cut = (events_of(only(tmp_path / folder / "board" / run_name)) for folder in ("whole", "cut"))
        assert [e[1:] for e in cut] == [e[1:] for e in whole] and [e[1] for e in cut] == [0, 1, 2, 3, 4, 5]


def test_a_log_that_was_shortened_by_others(tmp_path):
    path = tmp_path / "log.csv"
    fit(pel.CSVLogger(path), pel.Checkpoint(tmp_path))
    path.write_text("epoch,loss\n")
    with pytest.warns(
        UserWarning, match=r"log.csv' has 11 bytes, and had \d+ at the checkpoint: some of it is missing"
    ):
        fit(pel.CSVLogger(path), pel.Checkpoint(tmp_path), resume=True)


# ---- TensorBoard ----------------------------------------------------------------------------------------------------


def only(folder):
    (path,) = folder.iterdir()
    assert path.name.startswith("events.out.tfevents.")
    return path


def slow_crc32c(data: bytes) -> int:
    """Bit by bit, as polynomial division: the data and 32 bits, by 0x1EDC6F41, all bits reversed."""
    value = int("".join(f"{byte:08b}"[::-1] for byte in data) + "0" * 32, 2) ^ (0xFFFFFFFF << 8 * len(data))
    for k in range(8 * len(data) + 31, 31, -1):
        if value >> k & 1:
            value ^= 0x11EDC6F41 << k - 32
    return int(f"{value:032b}"[::-1], 2) ^ 0xFFFFFFFF


def records(path):
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        body = data[12 : 12 + length]
        for part, told in ((data[:8], data[8:12]), (body, data[12 + length : 16 + length])):
            crc = slow_crc32c(part)
            rotated = (crc >> 15) | (crc << 17 & 0xFFFFFFFF)
            assert struct.unpack("<I", told)[0] == (rotated + 0xA282EAD8) % 2**32
        found.append(body)
        data = data[16 + length :]
    return found


def fields(message: bytes) -> list[tuple[int, object]]:
    """(number, value) of each field of a protobuf message: whole numbers, 8 or 4 bytes, or bytes with a length."""

    def whole(at):
        value = shift = 0
        while True:
            value |= (message[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if message[at - 1] < 128:
                return value, at

    found, at = [], 0
    while at < len(message):
        key, at = whole(at)
        size = {1: 8, 5: 4}.get(key & 7)
        if key & 7 == 0:
            value, at = whole(at)
        else:
            if size is None:
                size, at = whole(at)
            value, at = message[at : at + size], at + size
        found.append((key >> 3, value))
    return found


def events_of(path):
    """(wall time, step, file version, {tag: value}) of each event."""
    found = []
    for body in records(path):
        event = dict(fields(body))
        values = {}
        for _, value in fields(event.get(5, b"")):
            parts = dict(fields(value))
            values[parts[1].decode()] = struct.unpack("<f", parts[2])[0] if 2 in parts else histo(parts[5])
        found.append((struct.unpack("<d", event[1])[0], event[2], event.get(3, b"").decode(), values))
    return found


def histo(message):
    numbers = {k: np.frombuffer(v, "<f8") for k, v in fields(message)}
    return {
        name: numbers[i].tolist() for i, name in enumerate(("min", "max", "num", "sum", "squares", "ends", "in"), 1)
    }


def test_tensorboard(tmp_path):
    model = fit(pel.TensorBoard(tmp_path, histograms=2), epochs=4)
    (first, *train), (_, *validation) = (events_of(only(tmp_path / run)) for run in ("train", "validation"))
    assert first[1:] == (0, "brain.Event:2", {})
    assert [step for _, step, _, _ in train] == [1, 2, 3, 4]
    assert [values["loss"] for *_, values in train] == np.float32(model.history["loss"]).tolist()
    assert [values for *_, values in validation] == [{"loss": np.float32(v)} for v in model.history["val_loss"]]
    assert [set(values) - set(model.parameters) for *_, values in train] == [{"loss", "learning_rate"}] * 4
    assert train[0][3]["learning_rate"] == np.float32(0.05)
    assert train[0][0] <= train[1][0] < train[0][0] + 600
    assert [set(model.parameters) <= set(values) for *_, values in train] == [False, True, False, True]
    for name, w in model.parameters.items():
        h, w = train[-1][3][name], w.astype(float)
        assert (h["min"], h["max"], h["num"]) == ([w.min()], [w.max()], [w.size])
        assert h["sum"] == pytest.approx([w.sum()]) and h["squares"] == pytest.approx([(w**2).sum()])
        assert sum(h["in"]) == w.size and h["ends"][-1] == w.max() and h["ends"] == sorted(h["ends"])


def test_numbers_without_end(tmp_path):
    """NaN, infinity and what is larger than a float32 are written; a weight that is not finite is left out."""
    values = {"nan": math.nan, "large": 1e39, "inf": -math.inf}
    with np.errstate(over="ignore"):
        event = tensorboard.event(3, {k: tensorboard.scalar(v) for k, v in values.items()})
    (tmp_path / "e").write_bytes(tensorboard.record(event))
    ((_, step, _, found),) = events_of(tmp_path / "e")
    assert step == 3 and math.isnan(found["nan"]) and (found["large"], found["inf"]) == (math.inf, -math.inf)
    weights = np.array([1.0, math.nan, 3.0], "float32")
    event = tensorboard.event(300, {"w": tensorboard.histogram(weights), "none": tensorboard.histogram(weights[1:2])})
    (tmp_path / "e").write_bytes(tensorboard.record(event))
    assert dict(fields(records(tmp_path / "e")[0]))[2] == 300
    w = dict(fields(fields(dict(fields(records(tmp_path / "e")[0]))[5])[0][1]))
    assert histo(w[5])["num"] == [2.0] and histo(w[5])["max"] == [3.0]


@pytest.mark.parametrize("value, read", [(1e39, math.inf), (-1e39, -math.inf), (3.4e38, 3.4e38), (1e-50, 0.0)])
def test_scalars_beyond_32_bits(value, read):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = struct.unpack("<f", tensorboard.scalar(value)[-4:])[0]
    assert found == pytest.approx(read)


def test_histograms_of_the_largest_and_the_nearest_numbers():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for numbers in ([-1.7e308, 1.7e308], [1e200, 2e200], [0.0, 0.0], [1e308], [1.0, 1 + 2**-52]):
            tensorboard.histogram(np.array(numbers))


def test_checksums():
    """The vectors of RFC 3720, appendix B.4; and the reader's own way."""
    for data, crc in ((bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)):
        assert tensorboard.crc32c(data) == slow_crc32c(data) == crc
