"""Model files that are damaged, or made to do harm: refused by a `DataError` that names the file, and nothing built."""

import hashlib
import json
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
import safetensors
from safetensors.numpy import save, save_file

import pellucid as pel
from pellucid import DataError, GraphError, nn, optim
from pellucid.train import container, saving

X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = np.arange(12) % 3


def saved(path, net=None, optimizer=None, loss="cross_entropy", x=X, y=Y, **options):
    model = pel.Model(net or nn.Sequential(nn.Dense(3), nn.tanh, nn.Dense(3)), loss, optimizer or optim.Adam(0.05),
                      **options)  # fmt: skip
    model.fit(x, y, epochs=1, verbose=0)
    model.save(path)
    return model


@pytest.fixture(scope="module")
def good_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "good.pel"
    saved(path)
    return path


def rewritten(good, path, change):
    """A file with another description or other arrays and the digest of these: as if it were written so."""
    tensors, described = saving.read(good)
    change(described, tensors)
    saving.write(path, tensors, described)
    return path


def sealed(good, path, text):
    """A file with any text in the place of the description, and its checksum."""
    tensors, _ = saving.read(good)
    data = save(tensors, {"pellucid": f'{{"crc32": "00000000", {text}'})
    path.write_bytes(data.replace(b"00000000", b"%08x" % zlib.crc32(data.replace(b"00000000", b"", 1)), 1))
    return path


def sealed_as_before(good, path, text):
    """The same in the second format, with its digest."""
    tensors, _ = saving.read(good)
    digest = container.digest(tensors, text, hashlib.sha256())
    path.write_bytes(save(tensors, {"pellucid": container.DIGEST % digest + text}))
    return path


def refused(path, text="."):
    with pytest.raises(DataError, match=text) as caught:
        pel.load(path)
    assert str(path) in str(caught.value)
    return caught.value


# ---- the digest -----------------------------------------------------------------------------------------------------


def test_every_single_flipped_bit_is_refused(tmp_path):
    path = tmp_path / "m.pel"
    saved(path, nn.Dense(3), optim.SGD(0.1))
    data = bytearray(path.read_bytes())
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(DataError):
            saving.read(path)
        data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    pel.load(path)


def test_a_changed_weight_and_a_changed_option_are_told(good_file, tmp_path):
    data = good_file.read_bytes()
    (tmp_path / "weight.pel").write_bytes(data[:-20] + bytes(4) + data[-16:])
    refused(tmp_path / "weight.pel", "its content is not what was written")
    (tmp_path / "option.pel").write_bytes(data.replace(rb"\"seed\": 0", rb"\"seed\": 1"))
    refused(tmp_path / "option.pel", "its content is not what was written")


def test_equal_models_are_equal_bytes(tmp_path, good_file):
    model = pel.load(good_file)
    for i in range(8):
        model.save(tmp_path / f"{i}.pel")
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {good_file.read_bytes()}


FIRST = Path(__file__).parents[1] / "data" / "format-1.pel"
"""Made by Pellucid at commit 9ba0ea9, which wrote no digest:

    x, y = pel.data.xor()
    model = pel.Model(nn.Dense(1), "binary_cross_entropy", optim.SGD(0.5, momentum=0.9), seed=0)
    model.fit(x, y, epochs=3, verbose=0)
    model.save("format-1.pel")
"""


def test_a_file_of_the_first_format(tmp_path):
    """Without a digest; it predicts and goes on training as it did then, and is saved with one."""
    x, _ = pel.data.xor()
    model = pel.load(FIRST)
    then = [0.5190055966377258, 0.35819002985954285, 0.640791118144989, 0.47988879680633545]
    np.testing.assert_allclose(model.predict(x).ravel(), then, rtol=1e-6)
    model.save(tmp_path / "m.pel")
    for again in (pel.load(FIRST), pel.load(tmp_path / "m.pel")):
        again.fit(*pel.data.xor(), epochs=2, verbose=0)
        np.testing.assert_allclose(again.history["loss"][-2:], [0.7143389582633972, 0.7100245952606201], rtol=1e-6)


def test_a_checkpoint_of_the_first_format(tmp_path, good_file):
    """Its digest was over two texts; `load` looks at it, too."""
    tensors, described = saving.read(good_file)
    texts = {"pellucid": json.dumps(described), "checkpoint": json.dumps({"epochs": 1})}
    digest = container.digest(tensors, json.dumps(sorted(texts.items())), hashlib.blake2b(digest_size=16))
    path = tmp_path / "m.pel"
    save_file(tensors, path, texts | {"format": "pellucid-1", "digest": digest})
    assert (pel.load(path).predict(X) == pel.load(good_file).predict(X)).all()
    assert saving.read(path)[1]["checkpoint"] == {"epochs": 1}
    save_file(tensors, path, texts | {"format": "pellucid-1", "digest": digest[::-1]})
    refused(path, "its content is not what was written")


def test_who_wrote_it(good_file, tmp_path):
    with safetensors.safe_open(good_file, "numpy") as file:
        described = json.loads(file.metadata()["pellucid"])
    assert described["format"] == 3 and described["version"] == pel.__version__
    newer = sealed(good_file, tmp_path / "newer.pel", '"format": 4, "version": "7.1", "net": "of another kind"}')
    refused(newer, r"its format is 4, and 3 is the newest known here; Pellucid 7\.1 wrote it")

    def later(d, t):
        d["version"] = "7.1"
        d["net"]["fields"]["layers"]["tuple"][0]["fields"]["color"] = "red"

    refused(rewritten(good_file, tmp_path / "m.pel", later), r"Dense has no field 'color'.*Pellucid 7\.1 wrote it")


@pytest.mark.parametrize(
    "text", ["", "[1]", "3}", '"net": 1}', "]", "NaN}", "[" * 100_000, '"net": ' + '{"list": [' * 100_000]
)
def test_a_text_that_is_no_description(text, good_file, tmp_path):
    refused(sealed(good_file, tmp_path / "m.pel", text))
    refused(sealed_as_before(good_file, tmp_path / "m.pel", text))


# ---- options --------------------------------------------------------------------------------------------------------


def dense(d):
    return d["net"]["fields"]["layers"]["tuple"][0]["fields"]


NETS = {
    "LSTM": lambda: nn.Sequential(nn.LSTM(2), nn.Dense(3)),
    "RNN": lambda: nn.Sequential(nn.RNN(2), nn.Dense(3)),
    "GRU": lambda: nn.Sequential(nn.GRU(2), nn.Dense(3)),
    "Conv": lambda: nn.Sequential(nn.Conv(2, 3, padding="same"), nn.Flatten(), nn.Dense(3)),
    "MaxPool": lambda: nn.Sequential(nn.MaxPool(2), nn.Flatten(), nn.Dense(3)),
    "Dropout": lambda: nn.Sequential(nn.Dropout(0.5), nn.Flatten(), nn.Dense(3)),
    "BatchNorm": lambda: nn.Sequential(nn.BatchNorm(), nn.Flatten(), nn.Dense(3)),
}
OPTIONS = [
    ("LSTM", "reverse", 2), ("RNN", "reverse", 2), ("GRU", "reverse", -1), ("LSTM", "reverse", 1),
    ("LSTM", "units", 2.0), ("LSTM", "units", "2"), ("LSTM", "units", True), ("LSTM", "units", -1),
    ("LSTM", "truncate", 0), ("LSTM", "remat", "yes"), ("LSTM", "return_sequences", 3), ("LSTM", "forget_bias", None),
    ("Conv", "groups", 0), ("Conv", "strides", 0), ("Conv", "strides", {"tuple": [1, 1, 1, 1]}),
    ("Conv", "filters", 1.5),
    ("Conv", "kernel_size", 0), ("Conv", "dilation", -1), ("Conv", "padding", {"tuple": ["a"]}), ("Conv", "mask", "x"),
    ("MaxPool", "size", 0), ("MaxPool", "strides", -2), ("MaxPool", "floor", "x"),
    ("Dropout", "rate", 2), ("Dropout", "rate", -1.0), ("Dropout", "rate", "x"), ("Dropout", "rate", True),
    ("BatchNorm", "momentum", 1.5), ("BatchNorm", "epsilon", -1), ("BatchNorm", "epsilon", 10**400),
    ("LSTM", "weight_init", 3), ("LSTM", "weight_init", {"class": "tanh", "fields": {}}), ("LSTM", "name", 4),
    ("LSTM", "name", [1]), ("LSTM", "units", {"again": 0}), ("LSTM", "units", {"array": "state.none"}),
    ("LSTM", "bias_init", {"name": ["a"]}), ("LSTM", "bias_init", {"nothing": 1}),
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nets")
    for name, net in NETS.items():
        saved(folder / name, net(), x=np.zeros((12, 3, 2) if name in ("LSTM", "RNN", "GRU") else (12, 2, 6), "float32"))
    return folder


@pytest.mark.parametrize("name, field, value", OPTIONS, ids=[f"{n} {f} {str(v)[:20]}" for n, f, v in OPTIONS])
def test_options_are_checked_as_by_the_constructor(name, field, value, files, tmp_path):
    refused(rewritten(files / name, tmp_path / "m.pel", lambda d, t: dense(d).update({field: value})))


CHANGES = {
    "a field is missing": lambda d, t: dense(d).pop("units"),
    "another class": lambda d, t: d["net"]["fields"]["layers"]["tuple"][0].update({"class": "Dropout"}),
    "no class": lambda d, t: d["net"]["fields"]["layers"]["tuple"][0].pop("class"),
    "a net in itself": lambda d, t: d["net"]["fields"]["layers"]["tuple"].append({"again": 0}),
    "a part before the first": lambda d, t: d["net"]["fields"]["layers"]["tuple"].append({"again": -1}),
    "a part by True": lambda d, t: d["net"]["fields"]["layers"]["tuple"].append({"again": True}),
    "a number as a layer": lambda d, t: d["net"]["fields"]["layers"]["tuple"].append(7),
    "a class as a layer": lambda d, t: d["net"]["fields"]["layers"]["tuple"].append({"name": "Dense"}),
    "a function of an option it has not": lambda d, t: d["net"]["fields"]["layers"]["tuple"].append(
        {"partial": {"name": "leaky_relu"}, "args": [], "options": {"colour": 1}}),
    "an operation of wrong options": lambda d, t: d["net"]["fields"]["layers"]["tuple"].append(
        {"partial": {"name": "ops.reshape"}, "args": [], "options": {"shape": {"tuple": [-7, "x"]}}}),
    "partial of a number": lambda d, t: d.update(net={"partial": 3, "args": [], "options": {}}),
    "a mask of another kind": lambda d, t: dense(d).update(mask={"array": "state.optimizer.step"}),
    "a net that is no net": lambda d, t: d.update(net=3),
    "an optimizer that is a layer": lambda d, t: d.update(optimizer=d["net"]),
    "a loss that is a number": lambda d, t: d.update(loss=5),
    "metrics that are a number": lambda d, t: d.update(metrics=5),
    "a seed that is text": lambda d, t: d.update(seed="0"),
    "a dtype that is none": lambda d, t: d.update(dtype="int32"),
    "inputs of a negative size": lambda d, t: d.update(inputs={"x": [[-4], "float32"]}),
    "inputs of half a size": lambda d, t: d.update(inputs={"x": [[4.0], "float32"]}),
    "inputs of text": lambda d, t: d.update(inputs={"x": [[4], "text"]}),
    "inputs of no size": lambda d, t: d.update(inputs={"x": [True, "float32"]}),
    "inputs of another name": lambda d, t: d.update(inputs={"y": [[4], "float32"]}),
    "no inputs": lambda d, t: d.update(inputs=None),
    "empty inputs": lambda d, t: d.update(inputs={}),
    "how it is called": lambda d, t: d.update(how="otherwise"),
    "history of text": lambda d, t: d.update(history={"loss": ["a"]}),
    "history of columns of several lengths": lambda d, t: d.update(history={"loss": [1.0], "accuracy": []}),
    "history that is a number": lambda d, t: d.update(history=3),
    "epochs that are text": lambda d, t: d.update(epochs="3"),
    "epochs below 0": lambda d, t: d.update(epochs=-1),
    "notes that are a list": lambda d, t: d.update(notes=[1]),
    "a rate that is text": lambda d, t: d["optimizer"]["fields"].update(learning_rate="0.1"),
    "a rate that is below 0": lambda d, t: d["optimizer"]["fields"].update(learning_rate=-0.1),
    "a beta of 2": lambda d, t: d["optimizer"]["fields"].update(beta_1=2),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_description_that_cannot_be(change, good_file, tmp_path):
    refused(rewritten(good_file, tmp_path / "m.pel", change))


class Odd(nn.Layer):
    size: int = 1

    def __post_init__(self):
        if self.size == 3:
            raise LookupError("three is not possible")

    def __call__(self, x):
        return x * self.size


def test_exceptions_of_a_users_layer_are_kept_as_cause(tmp_path):
    path = tmp_path / "m.pel"
    saved(path, nn.Sequential(nn.Dense(3), Odd(2)))
    assert pel.load(path).net.layers[1].size == 2
    wrong = rewritten(path, path, lambda d, t: d["net"]["fields"]["layers"]["tuple"][1]["fields"].update(size=3))
    assert isinstance(refused(wrong, "three is not possible").__cause__, LookupError)


def test_frozen_parts_come_back_frozen(tmp_path):
    """A block makes its parts in `__post_init__`; those in the file are others."""
    net = nn.Sequential(nn.TransformerBlock(2, 4), nn.Flatten(), nn.Dense(3))
    model = saved(tmp_path / "m.pel", net, x=np.zeros((12, 3, 4), "float32"))
    model.freeze("layers.0.attention")
    model.save(tmp_path / "m.pel")
    block = pel.load(tmp_path / "m.pel").net.layers[0]
    assert not block.attention.trainable and block.feed_forward.trainable


# ---- arrays ---------------------------------------------------------------------------------------------------------

V, W = "state.optimizer.v.layers.0.weight", "state.layers.0.weight"
STATES = {
    "Adam without one v": (lambda d, t: t.pop(V), r"'optimizer\.v\.layers\.0\.weight' is missing"),
    "v of another shape": (lambda d, t: t.update({V: t[V].T.copy()}), r"float32 of shape \(4, 3\), expected"),
    "v in another dtype": (lambda d, t: t.update({V: t[V].astype("float64")}), "is float64 of shape"),
    "steps as a float": (lambda d, t: t.update({"state.optimizer.step": np.float32(1)}), "expected int32"),
    "weights that are bool": (lambda d, t: t.update({W: t[W] > 0}), "is bool of shape"),
    "weights that are bytes": (lambda d, t: t.update({W: t[W].astype("uint8")}), "is uint8 of shape"),
    "weights in float64": (lambda d, t: t.update({W: t[W].astype("float64")}), "is float64 of shape"),
    "weights that are NaN": (lambda d, t: t.update({W: t[W] * np.nan}), "has NaN or infinity in 12 of 12 numbers"),
    "weights that are infinite": (
        lambda d, t: t[W].__setitem__((1, 2), np.inf),
        r"in 1 of 12 numbers: inf at \(1, 2\)",
    ),
    "a weight too few": (lambda d, t: t.pop(W), r"no parameter 'layers\.0\.weight' of shape \(3, 4\)"),
    "a weight too many": (lambda d, t: t.update({"state.layers.7.weight": t[W]}), "no parameter 'layers.7.weight'"),
}


@pytest.mark.parametrize("change, text", STATES.values(), ids=list(STATES))
def test_state_that_does_not_fit(change, text, good_file, tmp_path):
    refused(rewritten(good_file, tmp_path / "m.pel", change), text)


def test_what_lbfgs_remembers_must_fit(tmp_path):
    path = tmp_path / "m.pel"
    saved(path, nn.Dense(3), optim.LBFGS())
    pel.load(path).fit(X, Y, verbose=0)
    wrong = rewritten(path, tmp_path / "w.pel", lambda d, t: t.update({"state.optimizer.moves": np.zeros((2, 5))}))
    refused(wrong, "what L-BFGS remembers does not fit a net of 15 weights")


def test_strengths_of_penalties_come_back(tmp_path):
    net = nn.Sequential(nn.Regularized(nn.Dense(3), weights=nn.L1(0.25)), nn.Dense(3))
    model = saved(tmp_path / "m.pel", net, regularizer=nn.L2(0.5))
    model.penalties = {"strength": 0.125}
    model.save(tmp_path / "m.pel")
    assert pel.load(tmp_path / "m.pel").penalties == model.penalties


def test_memory_of_another_optimizer_is_left_alone(tmp_path):
    model = saved(tmp_path / "m.pel", optimizer=optim.SGD(0.1, momentum=0.9))
    model.optimizer = optim.Adam(0.01)
    model.save(tmp_path / "m.pel")
    pel.load(tmp_path / "m.pel").fit(X, Y, verbose=0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_not_saved(value, tmp_path):
    model = saved(tmp_path / "m.pel")
    before = (tmp_path / "m.pel").read_bytes()
    model.state["layers.2.weight"][1, 2] = value
    with pytest.raises(
        GraphError, match=rf"'layers\.2\.weight' has NaN or infinity in 1 of 9 numbers: {value} at \(1, 2\)"
    ):
        model.save(tmp_path / "m.pel")
    assert (tmp_path / "m.pel").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_notes_that_are_not_json(tmp_path):
    model = saved(tmp_path / "m.pel")
    model.notes["when"] = {1, 2}
    with pytest.raises(GraphError, match="its history or notes are not JSON"):
        model.save(tmp_path / "n.pel")


ORDERS = {
    "columns": lambda a: np.asfortranarray(a),
    "turned": lambda a: np.ascontiguousarray(a.T).T,
    "backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "every other": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "other bytes": lambda a: a.astype(a.dtype.newbyteorder()),
    "a part": lambda a: np.pad(a, 1)[1:-1, 1:-1],
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=list(ORDERS))
def test_arrays_in_any_order_in_memory_come_back_as_they_are(order, tmp_path):
    """safetensors 0.8.0 wrote the numbers of some in another order."""
    model = saved(tmp_path / "m.pel")
    weight, table = model.state["layers.0.weight"].copy(), np.arange(12.0).reshape(3, 4)
    model.blobs["table"], model.blobs["one"] = order(table), np.float64(3)
    if order is not ORDERS["other bytes"]:
        model.state["layers.0.weight"] = order(weight)
    model.save(tmp_path / "m.pel")
    again = pel.load(tmp_path / "m.pel")
    assert (again.blobs["table"] == table).all() and again.blobs["one"].shape == ()
    assert (again.state["layers.0.weight"] == weight).all()
    assert all(a.flags.writeable for a in again.state.values())


# ---- sizes ----------------------------------------------------------------------------------------------------------


def huge(d, t):
    dense(d).update(units=30_000_000)


def wide(d, t):
    d["inputs"]["x"] = [[30_000_000], "float32"]


@pytest.mark.parametrize("change", [huge, wide])
def test_sizes_in_a_file_are_compared_with_its_arrays_first(change, good_file, tmp_path):
    path = rewritten(good_file, tmp_path / "m.pel", change)
    start = time.perf_counter()
    tracemalloc.start()
    refused(path, "expected float32 of shape")
    assert tracemalloc.get_traced_memory()[1] < 20e6 and time.perf_counter() - start < 5
    tracemalloc.stop()


def test_load_draws_no_first_weights(good_file, monkeypatch):
    monkeypatch.setattr("pellucid.train.building.first_weights", None)
    pel.load(good_file)


@pytest.mark.parametrize("size", [0, 2, 100, 2**24, 2**40, 2**63, 2**64 - 1])
def test_the_size_of_the_head_is_not_believed(size, good_file, tmp_path):
    (tmp_path / "m.pel").write_bytes(size.to_bytes(8, "little") + good_file.read_bytes()[8:])
    refused(tmp_path / "m.pel", "is not a Pellucid model, or is cut short or damaged")


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2", "F16", "F32"])
@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "pellucid-1", "pellucid": "{}"}])
def test_safetensors_of_others_in_any_dtype(dtype, metadata, tmp_path):
    size = {"F32": 4, "F16": 2, "BF16": 2}.get(dtype, 1)
    head = {"w": {"dtype": dtype, "shape": [2], "data_offsets": [0, 2 * size]}}
    text = json.dumps(head | ({"__metadata__": metadata} if metadata else {})).encode()
    (tmp_path / "m.pel").write_bytes(len(text).to_bytes(8, "little") + text + bytes(2 * size))
    refused(tmp_path / "m.pel", "not a Pellucid model" if metadata is None or len(metadata) == 1 else ".")
