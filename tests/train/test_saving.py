"""One file for a model: the same bits back, code of users, what is refused, and files that are not models."""

import contextlib
import importlib
import json
import re
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors
from safetensors.numpy import load_file, save_file

import pellucid as pel
from pellucid import DataError, GraphError, Model, nn, ops, optim
from pellucid.train import container, saving

random = np.random.default_rng(2)
X = random.normal(size=(40, 6))
LABELS = random.integers(0, 3, 40)
VALUES = random.normal(size=(40, 3))

shared = nn.Dense(4)
MASK = np.array([[1, 0, 1, 1], [0, 1, 1, 0], [1, 1, 1, 1]])
NETS = {
    "one layer": nn.Dense(3),
    "activations by function, name, partial": nn.Sequential(
        nn.Dense(4), nn.tanh, "relu", partial(nn.leaky_relu, slope=0.3), partial(nn.ramp, a=-1.0), nn.Dense(3)),
    "names, freezing, initializers": nn.Sequential(
        nn.Dense(4, name="a", trainable=False, weight_init=nn.init.he_normal),
        nn.Dense(3, bias=False, weight_init=partial(nn.init.constant, value=np.ones((3, 4)) / 7))),
    "masks": nn.Sequential(nn.Dense(4), nn.Dense(3, mask=MASK)),
    "masks of lists": nn.Sequential(nn.Dense(4), nn.Dense(3, mask=MASK.tolist())),
    "sharing": nn.Sequential(nn.Dense(4), shared, nn.tanh, shared, nn.Sequential(shared), nn.Dense(3)),
    "dropping": nn.Sequential(nn.Dense(8), nn.Dropout(0.3), nn.DropConnect(3, rate=0.2)),
    "branches": nn.Sequential(
        nn.Reshape((2, 3)), nn.Flatten(), nn.Residual(nn.Dense(6)), nn.Residual(nn.Dense(2), shortcut=nn.Dense(2)),
        nn.Concatenate(nn.linear, nn.Dense(1), axis=-1), nn.Lambda(nn.silu, name="bend")),
    "normalizing": nn.Sequential(
        nn.Reshape((2, 3)), nn.BatchNorm(0.8, scale=False), nn.LayerNorm(axis=(0, 1)), nn.GroupNorm(2), nn.PixelNorm(),
        nn.LocalResponseNorm(3, k=1.0), nn.SpatialDropout(0.1), nn.GaussianNoise(0.1), nn.Flatten(), nn.Dense(3),
        nn.BatchNorm(trainable=False)),
    "operations": nn.Sequential(nn.Dense(3), ops.tanh, ops.softplus, partial(ops.flip, axis=0)),
}  # fmt: skip


def fitted(net, **options):
    model = Model(net, **({"loss": "cross_entropy", "optimizer": optim.Adam(0.01), "metrics": ["accuracy"]} | options))
    target = LABELS if model.loss.targets == "classes" else VALUES
    model.fit(X, target, epochs=2, batch_size=16, validation_split=0.2, verbose=0)
    return model, target


def same_bits(a, b):
    assert list(a.state) == list(b.state) or a.state.keys() == b.state.keys()
    assert all(a.state[k].tobytes() == b.state[k].tobytes() and a.state[k].dtype == b.state[k].dtype for k in a.state)
    assert a.history.columns == b.history.columns and a.epochs == b.epochs


@pytest.mark.parametrize("name", NETS)
def test_the_same_bits_and_the_same_training_afterwards(name, tmp_path):
    model, target = fitted(NETS[name])
    model.save(tmp_path / "m.pel")
    again = pel.load(tmp_path / "m.pel")
    same_bits(model, again)
    assert (model.predict(X) == again.predict(X)).all()
    assert model.evaluate(X, target) == again.evaluate(X, target)
    for m in (model, again):
        m.fit(X, target, epochs=2, batch_size=16, validation_split=0.2, verbose=0)
    same_bits(model, again)


@pytest.mark.parametrize(
    "options",
    [
        {"loss": nn.CrossEntropy(label_smoothing=0.1), "optimizer": optim.SGD(0.1, momentum=0.9, nesterov=True)},
        {"loss": nn.Huber(delta=0.5), "metrics": ["mae", "mse"], "optimizer": "sgd"},
        {"loss": "hinge", "dtype": "float64", "seed": 2**63},
        {"loss": "class_distance", "metrics": []},
    ],
)
def test_options_come_back(options, tmp_path):
    model, target = fitted(nn.Sequential(nn.Dense(3)), **options)
    model.notes["columns"] = ["a", "b"]
    model.blobs["extra"] = np.arange(3)
    model.save(tmp_path / "m.pel")
    again = pel.load(str(tmp_path / "m.pel"))
    assert type(again.loss) is type(model.loss) and vars(again.loss) == vars(model.loss)
    assert again.optimizer == model.optimizer
    assert (again.metric_names, again.seed, again.dtype) == (model.metric_names, model.seed, model.dtype)
    assert again.notes == {"columns": ["a", "b"]} and again.blobs["extra"].tolist() == [0, 1, 2]
    assert again.evaluate(X, target) == model.evaluate(X, target)


@pytest.mark.parametrize("how", ["tuple", "named"])
def test_several_inputs(how, tmp_path, user_module):
    x = (X, X[:, :2]) if how == "tuple" else {"a": X, "b": X[:, :2]}
    model = Model(user_module.two, loss="mse")
    model.fit(x, VALUES, verbose=0)
    model.save(tmp_path / "m.pel")
    assert (pel.load(tmp_path / "m.pel").predict(x) == model.predict(x)).all()


def test_the_file_is_plain_safetensors(tmp_path):
    model, _ = fitted(nn.Sequential(nn.Dense(3)))
    model.save(tmp_path / "m.pel")
    tensors = load_file(tmp_path / "m.pel")
    assert (tensors["state.layers.0.weight"] == model.parameters["layers.0.weight"]).all()
    with safetensors.safe_open(tmp_path / "m.pel", "numpy") as file:
        assert json.loads(file.metadata()["pellucid"])["history"] == model.history.columns


def test_two_saves_are_the_same_bytes(tmp_path):
    model, _ = fitted(nn.Sequential(nn.Dense(3)))
    model.save(tmp_path / "a.pel")
    pel.load(tmp_path / "a.pel").save(tmp_path / "b.pel")
    a, b = (load_file(tmp_path / name) for name in ("a.pel", "b.pel"))
    assert a.keys() == b.keys() and all((a[k] == b[k]).all() for k in a)


# ---- code of users ----------------------------------------------------------------------------------------------

CODE = """
import os
from functools import partial
from pellucid import nn, ops

def cube(v):
    return v * v * v

def shifted(v, by):
    return v + by

def far(y, t):
    return ops.sum((y - t) ** 4)

def two(a, b):
    return nn.Dense(3)(ops.concatenate([a, b]))

class Scale(nn.Layer):
    start: float = 1.0

    class Inner(nn.Layer):
        def __call__(self, x):
            return x * 2

    def __call__(self, x):
        return x * self.param("scale", x.shape, partial(nn.init.constant, value=self.start))
"""


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    (tmp_path / "users_own_net.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield importlib.import_module("users_own_net")
    sys.modules.pop("users_own_net", None)


def user_net(m):
    return nn.Sequential(nn.Dense(3), m.Scale(2.0), m.cube, partial(m.shifted, by=1.5), m.Scale.Inner())


def test_code_of_users_that_is_imported(tmp_path, user_module):
    model, target = fitted(user_net(user_module), loss=user_module.far, metrics=[])
    model.save(tmp_path / "m.pel")
    again = pel.load(tmp_path / "m.pel")
    assert (again.predict(X) == model.predict(X)).all() and again.evaluate(X, target) == model.evaluate(X, target)
    assert again.net.layers[1].start == 2.0 and type(again.net.layers[1]) is user_module.Scale


def test_code_of_users_that_is_not_imported(tmp_path, user_module):
    model, _ = fitted(user_net(user_module))
    model.save(tmp_path / "m.pel")
    del sys.modules["users_own_net"]
    with pytest.raises(
        GraphError, match="uses 'Scale' of module 'users_own_net', which is not imported: import it first"
    ):
        pel.load(tmp_path / "m.pel")
    assert "users_own_net" not in sys.modules  # a file does not import code
    given = {"Scale": user_module.Scale, "cube": user_module.cube, "shifted": user_module.shifted,
             "Scale.Inner": user_module.Scale.Inner}  # fmt: skip
    assert (pel.load(tmp_path / "m.pel", custom_objects=given).predict(X) == model.predict(X)).all()


def local_function(v):
    return v


local_function.__qualname__ = "outer.<locals>.local_function"


NAMELESS = {
    "lambda": lambda v: v,
    "partial": partial(lambda v, k: v * k, k=2.0),
    "local": local_function,
    "in a layer": nn.Lambda(lambda v: v),
}


@pytest.mark.parametrize("thing", NAMELESS.values(), ids=list(NAMELESS))
def test_functions_without_a_name_are_refused(thing, tmp_path):
    """And what stood in the file before is still there."""
    path = tmp_path / "m.pel"
    good, _ = fitted(nn.Sequential(nn.Dense(3)))
    good.save(path)
    before = path.read_bytes()
    model, _ = fitted(nn.Sequential(nn.Dense(3), thing))
    with pytest.raises(
        GraphError,
        match=r"cannot save the (lambda|function \w+) in line \d+ of .*Define it by def at the top level of a module",
    ):
        model.save(path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["m.pel"]


def test_weights_of_a_net_that_cannot_be_saved_are_kept_as_the_message_says(tmp_path):
    model, _ = fitted(nn.Sequential(nn.Dense(3), lambda x: x * x))
    np.savez(tmp_path / "weights.npz", **model.parameters)
    again = Model(nn.Sequential(nn.Dense(3), lambda x: x * x), model.loss, input_shape=(6,), seed=5)
    again.set_parameters(np.load(tmp_path / "weights.npz"))
    assert (again.predict(X) == model.predict(X)).all()


class Holder(nn.Layer):
    thing: object

    def __call__(self, x):
        return x


@pytest.mark.parametrize(
    "thing, text",
    [(object(), "neither a layer"), ({1: 2}, "keys of a dict in a net must be text"), (b"bytes", "neither a layer")],
)
def test_fields_that_cannot_be_written(thing, text, tmp_path):
    model, _ = fitted(nn.Sequential(nn.Dense(3), Holder(thing)))
    with pytest.raises(GraphError, match=text):
        model.save(tmp_path / "m.pel")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failing", ["write", "replace"])
def test_a_failing_disk_leaves_the_old_file(failing, tmp_path, monkeypatch):
    path = tmp_path / "m.pel"
    path.write_bytes(b"old")

    def fail(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(container.os, {"write": "fsync", "replace": "replace"}[failing], fail)
    model, _ = fitted(nn.Sequential(nn.Dense(3)))
    with pytest.raises(OSError, match="no space left"):
        model.save(path)
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["m.pel"]


# ---- files that are no models -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "good.pel"
    fitted(nn.Sequential(nn.Dense(5, mask=np.ones((5, 6))), nn.tanh, nn.Dense(3)))[0].save(path)
    return path


def test_there_is_no_file(tmp_path):
    with pytest.raises(DataError, match="there is no model file"):
        pel.load(tmp_path / "none.pel")
    with pytest.raises(DataError, match="it is a folder"):
        pel.load(tmp_path)


@pytest.mark.parametrize("part", [0, 1, 7, 8, 100, 0.5, 0.9, -1])
def test_a_truncated_file(part, good_file, tmp_path):
    data = good_file.read_bytes()
    cut = int(part * len(data)) if isinstance(part, float) else part
    (tmp_path / "cut.pel").write_bytes(data[:cut])
    with pytest.raises(DataError, match="is not a Pellucid model, or is cut short or damaged"):
        pel.load(tmp_path / "cut.pel")


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 a zip file" * 50, b"\x80\x04\x95 a pickle" * 50, b"\xff" * 1000])
def test_a_foreign_file(data, tmp_path):
    (tmp_path / "foreign.pel").write_bytes(data)
    with pytest.raises(DataError, match="is not a Pellucid model"):
        pel.load(tmp_path / "foreign.pel")


def test_safetensors_of_another_program(tmp_path):
    save_file({"w": np.ones(3)}, tmp_path / "m.pel", {"format": "pt"})
    with pytest.raises(DataError, match="not a Pellucid model: its format is 'pt'"):
        pel.load(tmp_path / "m.pel")


def rewritten(good_file, path, change):
    """The good file with its description or arrays changed, and a digest that is right: as if it were written so."""
    tensors, described = saving.read(good_file)
    saving.write(path, tensors, change(described, tensors) or described)
    return path


BREAKS = {
    "no net": lambda d, t: {k: v for k, v in d.items() if k != "net"},
    "an unknown array": lambda d, t: d["net"]["fields"]["layers"]["tuple"][0]["fields"].update(mask={"array": "none"}),
    "a layer that was not before": lambda d, t: d.update(net={"again": 7}),
    "an unknown field": lambda d, t: d["net"]["fields"].update(color="red"),
    "no weight": lambda d, t: t.pop("state.layers.0.weight") is ...,
    "a weight of another shape": lambda d, t: t.update({"state.layers.0.weight": np.ones((5, 7), "float32")}),
    "inputs of another shape": lambda d, t: d.update(inputs={"x": [[7], "float32"]}),
    "history of numbers": lambda d, t: d.update(history=3, inputs={"x": 5}),
    "a loss that is none": lambda d, t: d.update(loss={"name": "tanh"}, optimizer={"name": "tanh"}),
}


@pytest.mark.parametrize("change", BREAKS.values(), ids=list(BREAKS))
def test_a_damaged_description(change, good_file, tmp_path):
    with pytest.raises((DataError, GraphError)):
        pel.load(rewritten(good_file, tmp_path / "m.pel", change))


def test_flipped_bits(good_file, tmp_path):
    """Whatever byte of the head is changed, the file loads or is refused with an error of ours."""
    data = good_file.read_bytes()
    head = 8 + int.from_bytes(data[:8], "little")
    for i in np.random.default_rng(0).integers(0, head, 300):
        changed = bytearray(data)
        changed[i] ^= 1 << int(i) % 8
        (tmp_path / "m.pel").write_bytes(changed)
        with contextlib.suppress(DataError, GraphError):
            pel.load(tmp_path / "m.pel")


ATTACKS = [
    "os:system",
    "builtins:exec",
    "builtins:print",
    "subprocess:call",
    "users_own_net:os.system",
    "pathlib:Path",
    "pellucid.train.saving:save",
    "numpy:save",
    "users_own_net:partial",
    "users_own_net:",
]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_file_cannot_call_what_is_in_memory(name, good_file, tmp_path, user_module):
    target = tmp_path / "written"
    net = {"partial": {"name": name}, "args": [f"touch {target}"], "options": {}}
    path = rewritten(good_file, tmp_path / "m.pel", lambda d, t: d.update(net=net, inputs={}))
    with pytest.raises(GraphError, match=re.escape(f"uses {name.partition(':')[2]!r} of module")):
        pel.load(path)
    assert not target.exists()


def test_executor_may_be_chosen(good_file):
    assert pel.load(good_file, executor="reference").executor is pel.executors.get("reference")
    assert Path(good_file).exists()
