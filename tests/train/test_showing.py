"""What is seen of a training and of things: progress as text, figures, tables, and what ``repr`` and ``help`` say."""

import builtins
import copy
import inspect
import io
import pickle
import pydoc
import re
import sys
import time
from functools import partial
from typing import Protocol

import numpy as np
import pytest

import pellucid as pel
from pellucid import nn, ops, optim, schedules
from pellucid.reprs import html_table, html_text, shown, spelled_out
from pellucid.train import progress
from pellucid.train.history import History, curve
from pellucid.train.lr_finder import RateSearch
from pellucid.train.stopping import Epochs, SmallChange, Target, TimeLimit

X, Y = pel.data.xor()


def model(**options):
    net = nn.Sequential(nn.Dense(2), nn.sigmoid, nn.Dense(2))
    return pel.Model(net, "cross_entropy", optim.Adam(0.1), metrics=["accuracy"], **options)


# ---- progress ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("epochs", "said"), [(3, [1, 2, 3]), (50, [1, *range(3, 51, 3), 50]), (1, [1])])
def test_lines_where_there_is_no_terminal(epochs, said, capsys):
    model().fit(X, Y, epochs=epochs)
    printed = capsys.readouterr().out.splitlines()
    assert [int(line.split("/")[0].removeprefix("epoch ")) for line in printed] == said
    assert all("loss 0." in line and "accuracy" in line for line in printed)


def test_the_last_epoch_is_said_where_training_ends_early(capsys):
    class Stop(pel.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 58

    model().fit(X, Y, epochs=1000, callbacks=[Stop()])
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["1/1000", "50/1000", "59/1000"]


def test_a_long_epoch_says_how_far_it_is(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    lines = progress.SomeLines(2, samples=200)
    lines.on_step(10)
    now[0] += 31
    lines.on_step(50)
    now[0] += 1
    lines.on_step(60)
    lines.on_epoch(0, {"loss": 1.0}, 40.0)
    now[0] += 31
    lines.on_step(100)
    assert capsys.readouterr().out.splitlines() == ["epoch 1/2  25% done", "epoch 1/2  40.00 s  loss 1",
                                                    "epoch 2/2  50% done"]  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("jupyter", "dumb", "bar"), [(False, False, True), (True, False, False), (False, True, False)])
def test_a_bar_in_a_terminal_only(jupyter, dumb, bar, monkeypatch):
    rich = pytest.importorskip("rich.console")
    screen = Terminal()
    environment = {"TERM": "dumb" if dumb else "xterm"}
    console = rich.Console(file=screen, force_jupyter=jupyter, force_terminal=True, width=120, _environ=environment)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr("rich.get_console", lambda: console)
    made = progress.progress_for(1, 3, 4)
    assert isinstance(made, progress.Bar) == bar
    assert isinstance(progress.progress_for(2, 3, 4), progress.Lines)
    if bar:
        monkeypatch.setattr("rich.progress.get_console", lambda: console)
        model().fit(X, Y, epochs=3)
        assert "3/3" in screen.getvalue() and "accuracy" in screen.getvalue()


def test_no_progress_for_a_program_without_output(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)  # as of a program without a console
    assert progress.draws_bars() is False


# ---- figures -------------------------------------------------------------------------------------------------------


def figures():
    history = History({"loss": [0.5, 0.25, 0.1], "val_loss": [0.6, 0.4, 0.5], "accuracy": [0.5, 0.75, 1.0]})
    curves = pytest.importorskip("pellucid.selection.curves")
    two = np.arange(6.0).reshape(3, 2)
    return [history, RateSearch(np.geomspace(1e-3, 1, 9), np.linspace(1, 0.1, 9)),
            curves.Curve("samples", [10, 20, 30], two, two - 0.5, "accuracy")]  # fmt: skip


@pytest.mark.parametrize("kind", ["History", "RateSearch", "Curve"])
def test_a_figure_shows_itself_once(kind, tmp_path, monkeypatch):
    plt = pytest.importorskip("matplotlib.pyplot")
    (thing,) = [f for f in figures() if type(f).__name__ == kind]
    open_before = plt.get_fignums()
    figure = thing.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert figure._repr_png_()[:4] == b"\x89PNG" and repr(figure).startswith("<Figure size")
    assert plt.get_fignums() == open_before  # so that a notebook's end of cell does not show it again
    for again in (pickle.loads(pickle.dumps(figure)), copy.deepcopy(figure)):
        assert type(again) is type(figure) and again._repr_png_() == figure._repr_png_()


def test_a_figure_in_a_window(monkeypatch):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    waited = []
    monkeypatch.setattr(plt, "show", lambda: waited.append(plt.gcf()))
    figure = figures()[0].plot()
    figure.show()
    assert waited == [figure]
    plt.close("all")


def test_axes_of_ones_own():
    figure_module = pytest.importorskip("matplotlib.figure")
    axes = figure_module.Figure().subplots(1, 2)
    assert figures()[1].plot(axes=axes[1]) is axes[1].figure and axes[1].lines and not axes[0].lines


def test_axes_in_the_place_of_a_path():
    axes = pytest.importorskip("matplotlib.figure").Figure().subplots()
    with pytest.raises(TypeError, match=r"must be the name of a file, got Axes; give axes to draw into as axes="):
        figures()[1].plot(axes)
    with pytest.raises(TypeError, match="must be the name of a file, got int"):
        figures()[0].plot(3)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    found = figures()
    real = builtins.__import__
    monkeypatch.setattr("importlib.import_module", lambda name: real("no_such_module"))
    for thing in found:
        with pytest.raises(ImportError, match=rf"{type(thing).__name__}.plot needs .* 'pellucid\[plot\]'"):
            thing.plot()


# ---- history -------------------------------------------------------------------------------------------------------


def test_a_history_is_a_dict_of_columns():
    history = model().fit(X, Y, epochs=3, verbose=0)
    assert isinstance(history, dict) and len(history) == 2 and list(history) == ["loss", "accuracy"]
    assert dict(history.items()) == history.columns == history.history and history.epochs == 3
    assert history == pickle.loads(pickle.dumps(history)) and type(pickle.loads(pickle.dumps(history))) is History
    assert history.get("val_loss") is None and "val_loss" not in history
    with pytest.raises(KeyError, match="no 'val_loss' in the history; there are loss, accuracy"):
        history["val_loss"]
    with pytest.raises(KeyError, match="there are no epochs yet"):
        History()["loss"]


def test_a_history_as_a_frame():
    pandas = pytest.importorskip("pandas")
    history = History({"loss": [0.5, 0.25], "accuracy": [0.5, 1.0]})
    assert pandas.DataFrame(history).to_dict("list") == {"loss": [0.5, 0.25], "accuracy": [0.5, 1.0]}
    frame = history.to_frame()
    assert frame.index.tolist() == [1, 2] and frame.index.name == "epoch" and frame["loss"].tolist() == [0.5, 0.25]


def test_a_history_in_a_notebook():
    history = History({"loss": [1 / n for n in range(1, 31)], "late": [float("nan")] * 29 + [1.0]})
    page = history._repr_html_()
    assert page.count("<tr>") == 1 + 1 + 11 and "<td>0.03333</td>" in page and "<td>…</td>" in page
    assert page.count("<svg") == 1 and "nan" in page  # of one number there is no curve
    assert History()._repr_html_().startswith("<table>") and repr(History()) == "<History: 0 epochs>"
    assert curve([1 / (1 + n) for n in range(20_000)]).count(",") < 200
    assert curve([2.0, 2.0]).count(",") == 2 and curve([float("nan"), 1.0]) == ""


# ---- reprs ---------------------------------------------------------------------------------------------------------


class Scale(nn.Layer):
    start: float = 1.0
    axis: int | None = None

    def __call__(self, x: pel.Value) -> pel.Value:
        return x * self.start


@pytest.mark.parametrize(("thing", "text"), [
    (nn.Dense(10), "Dense(10)"),
    (nn.Dense(10, bias=False, name="out"), "Dense(10, bias=False, name='out')"),
    (nn.Dense(2, mask=np.ones((2, 3))), "Dense(2, mask=array (2, 3))"),
    (nn.Dense(2, weight_init=nn.init.zeros), "Dense(2, weight_init=zeros)"),
    (nn.Conv(6, (5, 3), padding="same"), "Conv(6, (5, 3), padding='same')"),
    (nn.LSTM(4, return_sequences=True), "LSTM(4, return_sequences=True)"),
    (nn.Sequential(nn.Dense(8), "relu", nn.Dense(2)), "Sequential(Dense(8), relu, Dense(2))"),
    (nn.Sequential(), "Sequential()"),
    (nn.Concatenate(nn.tanh, nn.relu, axis=1), "Concatenate(tanh, relu, axis=1)"),
    (nn.Residual(nn.Sequential(partial(nn.leaky_relu, slope=0.2))),
     "Residual(Sequential(partial(leaky_relu, slope=0.2)))"),
    (nn.Lambda(lambda x: x), "Lambda(<lambda>)"),
    (Scale(), "Scale()"), (Scale(2.0), "Scale(2.0)"), (Scale(axis=1), "Scale(axis=1)"),
    (optim.SGD(schedules.Step(0.1, epochs=10), momentum=0.9), "SGD(Step(0.1, epochs=10), momentum=0.9)"),
    (optim.Adam(layer_rates={"a": 0.1}), "Adam(layer_rates={'a': 0.1})"),
    (nn.CrossEntropy(), "CrossEntropy()"), (nn.L2(1e-4), "L2(0.0001)"), (nn.MaxNorm(3), "MaxNorm(3)"),
    (pel.input("x", (2,)), "<sample_input 'x': sample float32 (2,)>"),
    (nn.sigmoid(pel.input("x", (2,))), "<sigmoid: sample float32 (2,)>"),
], ids=lambda thing: thing.replace(" ", "") if isinstance(thing, str) else "")  # fmt: skip
def test_reprs(thing, text):
    assert repr(thing) == text


def test_a_long_repr_has_a_line_for_each_part():
    net = nn.Sequential(*(nn.Dense(100 + i, bias=False) for i in range(6)))
    lines = repr(net).splitlines()
    assert (
        lines[0] == "Sequential(" and lines[1] == "    Dense(100, bias=False)," and lines[-1] == ")" and len(lines) == 8
    )


def test_what_repr_says_makes_the_same():
    for net in (nn.Sequential(nn.Dense(3, bias=False), nn.LayerNorm(), nn.Dropout(0.1), nn.Reshape((3, 1))),
                nn.Residual(nn.Sequential(nn.Conv(3, 3, padding="same"), nn.PixelNorm()))):  # fmt: skip
        assert spelled_out(eval(repr(net), vars(nn))) == spelled_out(net)


def test_spelled_out_says_every_option():
    assert spelled_out(nn.Dropout(0.5)) == "Dropout(name=None, trainable=True, rate=0.5)"
    assert spelled_out([(nn.L2(0.1),), {"a": nn.L2(0.1)}]) == (
        "[(L2(per_batch=False, strength=0.1, squared=True),), {'a': L2(per_batch=False, strength=0.1, squared=True)}]"
    )


def test_models():
    m = model()
    assert repr(m).startswith("Model(") and repr(m).endswith("# no weights yet") and "0x" not in repr(m)
    m.fit(X, Y, epochs=2, verbose=0)
    assert repr(m).endswith("# 12 parameters, 12 of them trainable, trained for 2 epochs")
    assert "Adam(0.1)" in repr(m) and "metrics=('accuracy',)" in repr(m)
    assert "<td>layers.0 (Dense)</td>" in m._repr_html_().replace(' style="text-align:left"', "")
    assert "no weights yet" in model()._repr_html_()


class Until(pel.Callback):
    def __init__(self, loss, *, names=("a",), more=None):
        self.loss, self.more = loss, more

    def on_epoch_end(self, epoch, logs=None):
        pass


@pytest.mark.parametrize(("thing", "text"), [
    (Until(0.1), "Until(0.1)"), (Until(0.1, more=np.zeros(3)), "Until(0.1, more=array (3,))"),
    (pel.Callback(), "Callback()"), (pel.CSVLogger("a.csv"), "CSVLogger('a.csv')"),
    (pel.ReduceLROnPlateau(factor=0.5), "ReduceLROnPlateau(factor=0.5)"),
    (pel.EarlyStopping(patience=5), "EarlyStopping(patience=5)"),
    (pel.EarlyStopping("loss", 0.1, mode="min"), "EarlyStopping(monitor='loss', min_delta=0.1, mode='min')"),
    (pel.ReduceLROnPlateau(min_delta=0.5, mode="max"), "ReduceLROnPlateau(mode='max', min_delta=0.5)"),
    (Target(0.9, "accuracy"), "Target(0.9, monitor='accuracy')"), (Epochs(3), "Epochs(3)"),
    (SmallChange(0.01, patience=2), "SmallChange(0.01, patience=2)"), (TimeLimit(5), "TimeLimit(seconds=5)"),
], ids=lambda part: part if isinstance(part, str) else "")  # fmt: skip
def test_callbacks(thing, text):
    assert repr(thing) == text


def test_models_of_several_outputs():
    two = pel.Model(square, {"a": "mse", "b": "mae"}, input_shape=(2,))
    assert "loss={'a': MeanSquaredError(), 'b': MeanAbsoluteError()}" in repr(two) and "metrics" not in repr(two)
    assert repr(pel.Model(square, ("mse", "mae")).loss) == "(MeanSquaredError(), MeanAbsoluteError())"


def square(x):
    return {"a": x, "b": x * x}


def test_programs_and_data():
    x, w = pel.input("x", (2,)), pel.state("w", (2,))
    program = pel.Program([x], {"y": ops.sum(w * x)}, {w: w * 2.0})
    assert repr(program).startswith("<Program: inputs x; state w, updated w; outputs y;")
    assert "<details>" in program._repr_html_() and "return y" in program._repr_html_()
    few = pel.data.Dataset(np.array([[1.5, 2.0]] * 7), np.array([0, 1] * 3 + [1]), ("no", "<yes>"), ("a", "b"))
    page = few._repr_html_()
    assert page.count("<tr>") == 1 + 6 + 2 and "&lt;yes&gt;" in page and "<td>4</td>" in page and "1.5" in page
    for other in (pel.data.digits(), pel.data.Dataset(np.zeros((2, 3, 4)), np.zeros((2, 2))),
                  pel.data.Dataset(np.zeros((0, 2)), np.zeros(0))):  # fmt: skip
        assert other._repr_html_().startswith("<table>")


def test_html_is_escaped():
    assert "<b>" not in html_table(["<b>"], [["<b>"]], caption="<b>") + html_text("<b>")
    assert shown("<b>") == "'<b>'"


# ---- help ----------------------------------------------------------------------------------------------------------

CLASSES = [*(c for c in vars(nn).values() if isinstance(c, type) and issubclass(c, (nn.Layer, nn.Loss, nn.Penalty))),
           *(c for c in vars(optim).values() if isinstance(c, type) and issubclass(c, optim.Optimizer)),
           schedules.Step, Scale]  # fmt: skip


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_help_is_short_and_without_places_in_memory(kind):
    text = pydoc.plain(pydoc.render_doc(kind))
    assert " at 0x" not in text and "__dataclass" not in text
    assert len(text.splitlines()) <= (110 if kind in (nn.Layer, nn.Loss, optim.Optimizer) else 75)


def test_help_shows_the_options():
    text = pydoc.plain(pydoc.render_doc(nn.Dense))
    assert "units: int, bias: bool = True, weight_init: Callable = glorot_uniform" in text and "Each unit" in text
    assert {"param", "training", "by_step"} <= set(dir(nn.Layer)) and "param" in dir(nn.Dense(2))


def test_a_signature_is_copied_and_pickled():
    signature = inspect.signature(nn.Dense)
    for other in (copy.copy(signature), copy.deepcopy(signature), pickle.loads(pickle.dumps(signature))):
        assert str(other) == str(signature) and "weight_init: Callable = glorot_uniform" in str(other)
    assert signature.parameters["weight_init"].default.__name__ == "glorot_uniform"


class Sized(Protocol):
    def size(self) -> int: ...


class Doubled(nn.Layer, Sized):
    """Twice the input."""

    times: int = 2

    def size(self) -> int:
        return self.times

    def __call__(self, x: pel.Value) -> pel.Value:
        return self.times * x


def test_a_layer_may_be_of_a_protocol():
    assert Doubled(3).size() == 3 and repr(Doubled(3)) == "Doubled(3)" and isinstance(Doubled(), nn.Layer)
    assert not isinstance(nn.Dense(2), Doubled) and str(inspect.signature(Doubled)).startswith("(times: int = 2, *")
    assert len(pydoc.plain(pydoc.render_doc(Doubled)).splitlines()) < 75
    assert (pel.Model(Doubled(), "mse", input_shape=(2,)).predict([[1.0, 2.0]]) == [[2.0, 4.0]]).all()


def test_a_history_leaves_out_the_validation_that_the_last_epoch_had_not():
    history = History()
    history.append({"loss": 0.5, "val_loss": 0.75})
    assert "val_loss 0.75" in repr(history)
    history.append({"loss": 0.25})
    assert repr(history) == "<History: 2 epochs; last: loss 0.25>"
    history.append({"loss": float("nan")})
    assert "loss nan" in repr(history)


def test_wide_rows_of_a_dataset_show_their_first_and_last_columns():
    html = pel.data.digits()._repr_html_()
    heads = re.findall(r"<th[^>]*>([^<]*)</th>", html)
    wanted = ["sample", *pel.data.digits().feature_names[:6], "…", *pel.data.digits().feature_names[-6:], "y"]
    assert heads[1:].count("…") == 1 and heads[heads.index("sample") :][:15] == [*map(str, wanted)]
