"""Names of Keras, PyTorch and scikit-learn: each is answered with code, and the code runs."""

import inspect
import pickle
from functools import cached_property, partial

import numpy as np
import pytest
from tools import run

import pellucid as pel
from pellucid import ArgumentError, GraphError, hints, nn, optim
from pellucid.hints import TABLE
from pellucid.sklearn import NeuralClassifier

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype("float32")
Y = np.arange(60) % 3
FRAMES = {  # a row's code that is an argument stands in a call
    "loss": "pel.Model(net, {})",
    "metric": "pel.Model(net, 'cross_entropy', {})",
    "optimizer": "pel.Model(net, 'mse', {})",
}
NUMBERS = [f"{row.place}: {row.names}" for row in TABLE]


def idx(array) -> bytes:
    sizes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


@pytest.fixture
def space(tmp_path, monkeypatch):
    """What the code of the rows may use."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-images-idx3-ubyte").write_bytes(idx(np.ones((2, 2, 2))))
    (tmp_path / "mnist" / "train-labels-idx1-ubyte").write_bytes(idx(np.ones(2)))
    (tmp_path / "cifar").mkdir()
    for i in range(1, 6):
        (tmp_path / "cifar" / f"data_batch_{i}.bin").write_bytes(bytes([7] + [255] * 3072))
    net = nn.Sequential(nn.Dense(5), nn.tanh, nn.Dense(3))
    model = pel.Model(net, "cross_entropy", metrics=["accuracy"])
    model.fit(X, Y, verbose=0)
    return {"pel": pel, "nn": nn, "optim": optim, "np": np, "partial": partial, "net": net, "model": model,
            "x": X, "y": Y, "images": np.zeros((2, 8, 8, 3))}  # fmt: skip


@pytest.fixture
def pictures(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for name in ("cats", "dogs"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        image.new("L", (4, 4)).save(tmp_path / "pictures" / name / "a.png")


@pytest.mark.parametrize("row", TABLE, ids=NUMBERS)
def test_the_code_of_a_row_runs(row, space, request):
    if "pictures" in row.here:
        request.getfixturevalue("pictures")
    exec(FRAMES.get(row.place, "{}").format(row.here), space)


PLACES = {  # how a person meets a name there
    "nn": lambda name: getattr(nn, name),
    "nn.init": lambda name: getattr(nn.init, name),
    "optim": lambda name: getattr(optim, name),
    "schedules": lambda name: getattr(pel.schedules, name),
    "data": lambda name: getattr(pel.data, name),
    "pel": lambda name: getattr(pel, name),
    "model": lambda name: getattr(pel.Model(nn.Dense(3), "mse"), name),
    "net": lambda name: getattr(nn.Sequential(nn.Dense(3)), name),
    "activation": lambda name: nn.Sequential(name),
    "loss": lambda name: pel.Model(nn.Dense(3), name),
    "metric": lambda name: pel.Model(nn.Dense(3), "mse", metrics=[name]),
    "optimizer": lambda name: pel.Model(nn.Dense(3), "mse", name),
    "layer": lambda name: nn.Flatten(**{name: 1}),
    "optimizer option": lambda name: optim.Lion(**{name: 1}),
    "schedule option": lambda name: pel.schedules.Piecewise(**{name: 1}),
    "Model": lambda name: pel.Model(nn.Dense(3), "mse", **{name: 1}),
    "fit": lambda name: pel.Model(nn.Dense(3), "mse").fit(X, Y, **{name: 1}),
    "predict": lambda name: pel.Model(nn.Dense(3), "mse").predict(X, **{name: 1}),
    "evaluate": lambda name: pel.Model(nn.Dense(3), "mse").evaluate(X, Y, **{name: 1}),
    "estimator": lambda name: NeuralClassifier(**{name: 1}),
    **{c.__name__: partial(lambda c, name: c(**{name: 1}), c)
       for c in (nn.Embedding, nn.MaxPool, nn.AvgPool, nn.MaxPool1D, nn.AvgPool1D, optim.RMSprop)},
}  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=NUMBERS)
def test_each_name_is_met_by_its_row(row):
    for name in row.names.split():
        with pytest.raises((AttributeError, TypeError, ArgumentError)) as error:
            PLACES[row.place](name)
        assert f"; here it is {row.here}" in str(error.value) and row.remark in str(error.value), name


def test_the_table_is_in_order():
    seen = [(row.place, hints.plain(name)) for row in TABLE for name in row.names.split()]
    assert len(seen) == len(set(seen)), {s for s in seen if seen.count(s) > 1}
    assert {row.place for row in TABLE} == set(PLACES) and all(set(row.of) <= set("KPS") for row in TABLE)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: nn.Densse, "module 'pellucid.nn' has no attribute 'Densse'; did you mean 'Dense'?"),
        (lambda: nn.conv2d, "here it is nn.Conv(32, 3)"),
        (lambda: optim.RMSProp, "did you mean 'RMSprop'?"),
        (lambda: pel.Model(nn.Dense(1), "hubber"), "no loss is named 'hubber'; did you mean 'huber'? There are half_"),
        (lambda: pel.Model(nn.Dense(1), "?"), "no loss is named '?'; there are half_squared_error"),
        (lambda: pel.Model(nn.Dense(1), "mse", "adm"), "did you mean 'adam'"),
        (lambda: pel.Model(nn.Dense(1), "mse", "?"), "no optimizer is named '?'; there are sgd"),
        (lambda: pel.Model(nn.Dense(1), "mse", metrics=["accurracy"]), "did you mean 'accuracy'?"),
        (lambda: nn.Sequential(nn.Dense(1), "rellu"), "part 1: no activation is named 'rellu'; did you mean 'relu'"),
        (lambda: nn.Dense(3, unit=3), "Dense has no option 'unit'; did you mean 'units'?"),
        (lambda: optim.Adam(learning_rat=1), "Adam has no option 'learning_rat'; did you mean 'learning_rate'?"),
        (lambda: pel.EarlyStopping(patiense=3), "EarlyStopping has no option 'patiense'; did you mean 'patience'?"),
        (lambda: pel.Model(nn.Dense(1), "mse").fitt, "'Model' object has no attribute 'fitt'; did you mean 'fit'?"),
        (lambda: nn.CrossEntropy(label_smooth=0.1), "did you mean 'label_smoothing'?"),
        (lambda: NeuralClassifier(max_iters=3), "did you mean 'max_iter'?"),
        (lambda: nn.Dense(64, "relu"), "an activation is a part of the net by itself: nn.Sequential(nn.Dense(64), nn"),
        (lambda: nn.Conv(8, 3, "relu"), "nn.Sequential(nn.Dense(64), nn.relu)"),
        (lambda: nn.Dense(64, bias="gaussian"), "nn.Sequential(nn.Dense(64), nn.relu)"),
        (lambda: nn.Dense(64, "hard_sigmoid"), "nn.Sequential(nn.Dense(64), nn.relu)"),
        (lambda: nn.Dense(784, 10), "sizes of inputs are taken from the data: nn.Dense(10)"),
    ],
    ids=range(20),
)
def test_near_names(call, words):
    with pytest.raises((AttributeError, TypeError, ArgumentError)) as error:
        call()
    assert words in str(error.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: optim.Adam("linear"),
        lambda: optim.SGD(momentum="linear"),
        lambda: nn.Conv(8, 3, padding="linear"),
        lambda: nn.Dense(8, weight_init="relu"),
        lambda: nn.CrossEntropy(label_smoothing="tanh"),
        lambda: nn.Dense(8, bias="none"),
    ],
    ids=range(6),
)
def test_a_word_that_is_no_activation_there_is_not_taken_for_one(call):
    with pytest.raises(ArgumentError, match=r" must be .*, got '") as error:
        call()
    assert "activation" not in str(error.value)


def test_what_is_not_the_same_is_said():
    v = np.linspace(-2, 8, 41)
    found = eval(hints.find("nn", "ReLU6").here, {"nn": nn, "partial": partial})
    assert np.allclose(run(found, v), np.clip(v, 0, 6))
    for place, name, words in [
        ("loss", "squared_hinge", "not squared"),
        ("loss", "rmse", "without the root"),
        ("optim", "Rprop", "another rule"),
        ("nn.init", "truncated_normal", "not truncated"),
        ("nn", "LogSoftmax", "without the logarithm"),
        ("nn", "MultiMarginLoss", "not the mean over all"),
        ("loss", "multi_margin", "not the mean over all"),
        ("nn", "AdaptiveAvgPool2d", "for output size 1"),
        ("nn", "AdaptiveMaxPool2d", "for output size 1"),
    ]:
        assert words in hints.find(place, name).remark
    assert "minmax" in hints.find("data", "MinMaxScaler").here


def test_weights_are_no_function():
    model = pel.Model(nn.Dense(3), "mse", input_shape=(4,))
    for call in (lambda: model.parameters(), lambda: optim.Adam(model.parameters)):
        with pytest.raises(
            (TypeError, ArgumentError), match=r"pel\.Model\(net, loss, optim\.Adam\(0\.001\)\)"
        ) as error:
            call()
        assert len(str(error.value)) < 900


def test_other_errors_stay():
    """What is no unknown option is Python's own error; what is not there is not there, and costs nothing."""
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'units'"):
        nn.Dense()
    with pytest.raises(TypeError, match="multiple values for argument 'units'"):
        nn.Dense(3, units=3)
    model = pel.Model(nn.Dense(3), "mse")
    assert not hasattr(model, "compile") and not hasattr(nn, "ReLU") and not hasattr(model, "__array__")
    assert getattr(nn.Dense(3), "forward", None) is None
    for thing in (nn, pel, model):
        with pytest.raises(AttributeError) as error:
            getattr(thing, "_nothing")  # noqa: B009
        assert "here" not in str(error.value)
        assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_signatures_are_those_of_the_functions():
    assert list(inspect.signature(nn.Dense).parameters)[:2] == ["units", "bias"]
    assert "validation_data" in inspect.signature(pel.Model.fit).parameters
    assert "epochs" in inspect.signature(pel.Model(nn.Dense(1), "mse").fit).parameters
    assert NeuralClassifier._get_param_names() == sorted(inspect.signature(NeuralClassifier).parameters)


def test_a_layer_of_ones_own_is_hinted_too():
    class Scale(nn.Layer):
        units: int = 1

        def __call__(self, x):
            return x * self.units

    with pytest.raises(TypeError, match=r"Scale has no option 'out_features'; here it is nn\.Dense\(units=64\)"):
        Scale(out_features=2)
    assert Scale(units=2).units == 2


@pytest.mark.parametrize("call, said", [
    (lambda: nn.LSTM(10, 20), r"LSTM: peepholes must be True or False, got 20; sizes of inputs .* nn\.LSTM\(20\)$"),
    (lambda: nn.GRU(10, 20), r"GRU: reset_after.*; sizes of inputs are taken from the data: nn\.GRU\(20\)$"),
    (lambda: nn.RNN(10, 20), r"RNN: activation.*; sizes of inputs are taken from the data: nn\.RNN\(20\)$"),
    (lambda: nn.GroupNorm(4, 64), r"GroupNorm: center.*; sizes of inputs are taken from the data: nn\.GroupNorm\(4\)$"),
    (lambda: nn.BatchNorm(64), r"BatchNorm: momentum.*; sizes of inputs are taken from the data: nn\.BatchNorm\(\)$"),
    (lambda: nn.BatchNorm(momentum=1.5), "got 1.5; it is what the moving averages keep$"),
    (lambda: nn.LayerNorm(64)(pel.input("x", (64,))), r"out of range .* taken from the data: nn\.LayerNorm\(\)$"),
    (lambda: pel.input((3,)), r"""input: name must be text, got \(3,\); for example pel\.input\("x", \(3,\)\)$"""),
    (lambda: pel.input(shape=(4,)), r"""input: name must be text, got ''; for example pel\.input\("x", \(4,\)\)$"""),
    (lambda: pel.state((3,)), r"""state: name must be text, got \(3,\); for example pel\.state\("x", \(3,\)\)$"""),
    (lambda: pel.EarlyStopping(5), "EarlyStopping: monitor must be the name of .*, got 5; .* its name, patience=5$"),
    (lambda: pel.ReduceLROnPlateau(3), "ReduceLROnPlateau: monitor must be the name of .*, got 3; .*, patience=3$"),
    (lambda: pel.Checkpoint("kept", best=True), "Checkpoint: best must be the name of .*, got True$"),
    (lambda: pel.Model(nn.Dense(1), "mse").predict([[1.0]], allow_nan=True), r"predict\(x, finite=False\)$"),
    (lambda: nn.Dense(8, True, 1, 2, 3, 4), "Dense takes units, bias, .* got 6 such; .*sizes of inputs are taken from"),
    (lambda: pel.Model(nn.Dense(1), "mse").fit([[1.0]], [[1.0]], 5), "Model.fit takes x, y without a name, got 3"),
])  # fmt: skip
def test_sizes_in_the_order_of_others_are_no_options(call, said):
    # PyTorch: nn.LSTM(inputs, units), nn.GroupNorm(groups, channels)
    with pytest.raises((TypeError, ArgumentError, GraphError), match=said):
        call()


# ---- errors within properties ---------------------------------------------------------------------------------------


class Counted(nn.Layer):
    units: int = 2

    @property
    def size(self):
        return self.unitz

    @cached_property
    def half(self):
        return self.units.half

    def __call__(self, x):
        return x * self.size


class Told(pel.Model):
    @property
    def size(self):
        return self.net.unitz

    @property
    def twice(self):
        return self.sizze


@pytest.mark.parametrize(
    "use, message",
    [
        (lambda: Counted().size, "'Counted' object has no attribute 'unitz'; did you mean 'units'?"),
        (lambda: Counted().half, "'int' object has no attribute 'half'"),
        (lambda: pel.Model(Counted(), "mse", input_shape=(2,)), "'Counted' object has no attribute 'unitz'"),
        (lambda: Told(nn.Dense(2), "mse").size, "'Dense' object has no attribute 'unitz'; did you mean 'units'?"),
        (lambda: Told(nn.Dense(2), "mse").twice, "'Told' object has no attribute 'sizze'; did you mean 'size'?"),
        (lambda: Counted().sizze, "'Counted' object has no attribute 'sizze'; did you mean 'size'?"),
    ],
    ids=["layer", "cached", "traced", "model", "own", "none"],
)
def test_an_error_within_a_property_is_told_as_it_is(use, message):
    with pytest.raises(AttributeError) as caught:
        use()
    assert str(caught.value).startswith(message)
    assert not hasattr(Counted(), "size")


def test_no_name_with_an_underscore_before_it_is_suggested():
    model = pel.Model(nn.Dense(1), "mse")
    with pytest.raises(AttributeError, match=r"no attribute 'plot'; here it is model\.history\.plot\(\)$"):
        model.plot()
    with pytest.raises(AttributeError, match=r"no attribute 'glt'$"):
        model.glt  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'predic'; did you mean 'predict'"):
        model.predic  # noqa: B018
