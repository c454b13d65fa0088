"""Files of other versions: earlier formats are read for ever; what a later one added is said, with who wrote it."""

import copy
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import pellucid as pel
from pellucid import ArgumentError, DataError, GraphError, nn, optim
from pellucid.cli import cli
from pellucid.train import container

DATA = Path(__file__).parents[1] / "data"
X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = np.arange(12) % 3


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    model = pel.Model(nn.Sequential(nn.Dense(3), nn.tanh, nn.Dense(3)), "cross_entropy", optim.Adam(0.05), ["accuracy"])
    model.fit(X, Y, epochs=1, verbose=0)
    path = tmp_path_factory.mktemp("model") / "good.pel"
    model.save(path)
    return path


def from_later(good, path, change):
    """The good file as a later version would have written it: described otherwise."""
    tensors, described = container.read(good)
    change(described)
    container.write(path, tensors, described | {"version": "7.1"})
    return path


# ---- earlier ones ---------------------------------------------------------------------------------------------------
# format-2.pel, format-2-table.pel: made by Pellucid at commit e7f32d4. The first by
#     x = default_rng(0).normal(size=(40, 1, 6, 6)).astype("float32"); y = x.mean(axis=(1, 2, 3)) > 0
#     Sequential(Conv(2, 3), BatchNorm(), relu, Dropout(0.1), Flatten(), Dense(2)), "cross_entropy", Adam(0.01),
#     ["accuracy"], seed=3; fit(x, y, epochs=2, batch_size=10)
# format-3.pel is that, loaded and saved by 0.1.0. The table's by
#     pellucid train rows.csv --target label --keep what --dates born --epochs 20 --hidden 8
# format-3-series.pel, before forecasters had a line, of months from 2015-01 to 2018-03, by
#     pellucid train s.csv --forecast --target Sales --hidden 4 --epochs 20 --window 6


def test_a_series_of_an_earlier_version(tmp_path):
    """Written before forecasters had a line: it forecasts what it did then."""
    path = tmp_path / "s.csv"
    values = [100, 90, 80, 95, 105, 110]
    path.write_text("Month,Sales\n" + "".join(f"2018-0{i},{v}\n" for i, v in enumerate(values, 1)))
    said = CliRunner().invoke(cli, ["predict", str(DATA / "format-3-series.pel"), str(path), "--steps", "2"])
    assert said.exit_code == 0, said.stderr
    ahead = [float(line.split(",")[1]) for line in said.stdout.split()[1:]]
    np.testing.assert_allclose(ahead, [136.8629, 126.89602], rtol=1e-5)


@pytest.mark.parametrize("name", ["format-2.pel", "format-3.pel"])
def test_a_model_of_an_earlier_format(name, tmp_path):
    """It predicts and goes on training as it did when it was written, and is saved in today's format."""
    model = pel.load(DATA / name)
    pixels = (np.arange(72) % 7).reshape(2, 1, 6, 6) / 7
    then = [[0.5439766049385071, 0.4560234248638153], [0.5413622260093689, 0.4586378037929535]]
    np.testing.assert_allclose(model.predict(pixels), then, rtol=1e-5)
    model.save(tmp_path / "m.pel")
    x = np.random.default_rng(0).normal(size=(40, 1, 6, 6)).astype("float32")
    losses = [1.0576475381851196, 0.8258529663085937, 0.7385485291481018, 0.6540328741073609]
    for again in (pel.load(DATA / name), pel.load(tmp_path / "m.pel")):
        again.fit(x, (x.mean(axis=(1, 2, 3)) > 0).astype(int), epochs=2, batch_size=10, verbose=0)
        np.testing.assert_allclose(again.history["loss"], losses, rtol=1e-4)


def test_a_table_of_the_second_format(tmp_path):
    rows = ["age,colour,born,what", ",,,blue car 0", "37,blue,2012-11-22,blue roof 1", "70,green,1994-08-15,blue car 2"]
    (tmp_path / "few.csv").write_text("\n".join(rows) + "\n")
    done = CliRunner().invoke(cli, ["predict", str(DATA / "format-2-table.pel"), str(tmp_path / "few.csv")])
    assert done.exit_code == 0, done.output
    found = np.array([[float(v) for v in line.split(",")[3:]] for line in done.stdout.splitlines()[1:]])
    np.testing.assert_allclose(found, [[0.41947, 0.58053], [0.320209, 0.679791], [0.578638, 0.421362]], atol=2e-6)


@pytest.mark.parametrize("name", ["format-2.pel", "format-2-table.pel"])
def test_flipped_bits_in_the_second_format_are_refused(name, tmp_path):
    data = bytearray((DATA / name).read_bytes())
    for bit in np.random.default_rng(0).integers(0, 8 * len(data), 200).tolist():
        data[bit // 8] ^= 1 << bit % 8
        (tmp_path / "m.pel").write_bytes(data)
        with pytest.raises(DataError):
            container.read(tmp_path / "m.pel")
        data[bit // 8] ^= 1 << bit % 8


# ---- later ones -----------------------------------------------------------------------------------------------------


def layers(d):
    return d["net"]["fields"]["layers"]["tuple"]


UNKNOWN = {
    "a layer": (lambda d: layers(d)[0].update({"class": "Denser"}), "there is no layer, function or option 'Denser'"),
    "an activation": (lambda d: layers(d)[1].update(name="tanhish"), "there is no layer, function or option 'tanhish'"),
    "an option": (lambda d: layers(d)[0]["fields"].update(color="red"), "Dense has no field 'color'"),
    "a loss": (lambda d: d["loss"].update({"class": "Entropic"}), "'Entropic' in this .* the model's loss"),
}


@pytest.mark.parametrize(("change", "text"), UNKNOWN.values(), ids=list(UNKNOWN))
def test_what_a_later_version_added_is_named_with_who_wrote_it(change, text, good, tmp_path):
    with pytest.raises(DataError, match=rf"{text}.*Pellucid 7\.1 wrote it, this is {pel.__version__}"):
        pel.load(from_later(good, tmp_path / "m.pel", change))


def test_an_unknown_loss_is_replaced_as_the_message_says(good, tmp_path):
    path = from_later(good, tmp_path / "m.pel", UNKNOWN["a loss"][0])
    with pytest.raises(DataError, match="loss='cross_entropy'"):
        pel.load(path)
    assert (pel.load(path, loss="cross_entropy").predict(X) == pel.load(good).predict(X)).all()


def other_optimizer(d):
    d["optimizer"].update({"class": "Adamant"})


@pytest.mark.parametrize("change", [other_optimizer, lambda d: d["optimizer"]["fields"].update(warp=3)])
def test_an_unknown_optimizer_keeps_nobody_from_predicting(change, good, tmp_path):
    path = from_later(good, tmp_path / "m.pel", change)
    with pytest.warns(UserWarning, match=r"optimizer cannot be used.*7\.1 wrote it.*to predict and evaluate, none"):
        model = pel.load(path)
    assert (model.predict(X) == pel.load(good).predict(X)).all()
    assert model.evaluate(X, Y) == pel.load(good).evaluate(X, Y)
    before = {name: a.copy() for name, a in model.state.items()}
    for use in (
        lambda: model.fit(X, Y, verbose=0),
        lambda: model.find_learning_rate(X, Y),
        lambda: model.learning_rate,
        lambda: model.diagnose(X, Y),
    ):
        with pytest.raises(GraphError, match=r"pellucid\.load\(path, optimizer='adam'\)"):
            use()
    assert before.keys() == model.state.keys() and all((before[k] == model.state[k]).all() for k in before)
    assert model.epochs == 1 and "unknown here" in repr(model.optimizer)
    assert "optimizer=unknown here: A" in repr(model) and repr(model).endswith("trained for 1 epoch")
    model.save(tmp_path / "again.pel")  # with the optimizer as it was, for those who know it
    assert container.read(tmp_path / "again.pel")[1]["optimizer"] == container.read(path)[1]["optimizer"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained = pel.load(path, optimizer="adam")
    assert not any(name.startswith("optimizer.") for name in trained.state)
    assert len(trained.fit(X, Y, epochs=2, verbose=0)["loss"]) == 3


@pytest.mark.filterwarnings("ignore:the model's optimizer cannot be used")
def test_a_copy_of_a_model_with_an_unknown_optimizer(good, tmp_path):
    """For worker processes: pickled, copied; it predicts there, and says the same."""
    model = pel.load(from_later(good, tmp_path / "m.pel", other_optimizer))
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert (other.predict(X) == model.predict(X)).all()
        with pytest.raises(GraphError, match="'Adamant'"):
            other.fit(X, Y, verbose=0)
    with pytest.raises(GraphError, match=r"clone: .* optimizer cannot be used: .*'Adamant'.*clone\(optimizer='adam'\)"):
        model.clone()
    assert isinstance(model.clone(optimizer="adam").optimizer, optim.Adam)


LOADED = """
import sys, time
import pellucid as pel
from safetensors.numpy import load_file

how, small, large = sys.argv[1:]
pel.load(small), load_file(small)  # everything is imported
start = time.process_time()
{"load": pel.load, "read": load_file}[how](large)
print(time.process_time() - start)
"""


def test_loading_costs_no_more_than_twice_the_reading(tmp_path):
    """Of 40 MB, by processes that read them for the first time: safetensors reads them, we check them too."""
    net = nn.Sequential(nn.Dense(3000), nn.relu, nn.Dense(3000), nn.Dense(10))
    pel.Model(net, "mse", input_shape=(300,)).save(tmp_path / "large.pel")
    pel.Model(nn.Dense(2), "mse", input_shape=(2,)).save(tmp_path / "small.pel")
    times: dict[str, list[float]] = {"load": [], "read": []}
    for how in list(times) * 4:
        command = [sys.executable, "-c", LOADED, how, str(tmp_path / "small.pel"), str(tmp_path / "large.pel")]
        times[how].append(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert min(times["load"]) <= 2 * min(times["read"])


def test_an_unknown_metric_is_left_out(good, tmp_path):
    path = from_later(good, tmp_path / "m.pel", lambda d: d.update(metrics=["accuracy", {"name": "goodness"}]))
    with pytest.warns(UserWarning, match=r"a metric of the model is left out: .*'goodness'.*Pellucid 7\.1 wrote it"):
        model = pel.load(path)
    assert list(model.evaluate(X, Y)) == ["loss", "accuracy"]


def test_another_optimizer_and_loss_at_load(good):
    model = pel.load(good, loss="mse", optimizer=optim.SGD(0.1))
    assert isinstance(model.optimizer, optim.SGD) and (abs(model.predict(X).sum(axis=1) - 1) > 1e-3).any()
    for wrong in ({"optimizer": "adamant"}, {"loss": "entropic"}, {"optimizer": 3}):
        with pytest.raises(ArgumentError):
            pel.load(good, **wrong)
