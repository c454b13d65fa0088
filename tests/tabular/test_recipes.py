"""What is chosen where nobody says: by the rows, the task and the loss; and that it is better than what was before."""

import numpy as np
import pytest
from click.testing import CliRunner

import pellucid as pel
from pellucid import nn
from pellucid.cli import cli
from pellucid.recipes import Recipe, for_table, hidden_layers
from pellucid.sklearn import NeuralClassifier, NeuralForecaster, NeuralMultiLabel, NeuralRegressor
from pellucid.tabular import PARTS, FittedPreprocessing, PreprocessingSpec, choose_columns, restore

PLAIN = dict(hidden_layer_sizes=(100,), learning_rate_init=1e-3, max_iter=200, early_stopping=False)  # as it was
FEW = dict(max_iter=2, random_state=0)


def bent(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three columns, one of heavy tails, and a value with steps and waves in them."""
    r = np.random.default_rng(seed)
    x = np.stack([r.uniform(0, 1, n), np.exp(2 * r.normal(size=n)), r.integers(0, 24, n)], 1).astype(np.float32)
    steps = np.where(np.isin(x[:, 2], (7, 8, 17, 18)), 3.0, 0.0)
    return x, np.sin(9 * x[:, 0]) + np.log(x[:, 1]) + steps * (x[:, 0] > 0.3) + 0.3 * r.normal(size=n)


@pytest.mark.parametrize("rows, pieces, batch, epochs, held", [
    (50, 0, 32, 200, 0.0), (500, 0, 32, 200, 0.15), (2000, 16, 64, 100, 0.15), (9000, 16, 128, 100, 0.15),
    (50_000, 16, 256, 40, 0.15), (10_000_000, 16, 256, 20, 0.15),
])  # fmt: skip
def test_by_rows(rows, pieces, batch, epochs, held):
    r = for_table(rows)
    assert (r.pieces, r.batch_size, r.epochs, r.validation) == (pieces, batch, epochs, held)
    assert r.hidden == (64, 64) and r.members == 8 and r.falling


def test_wide_tables_are_not_in_pieces():
    assert for_table(5000, 50).pieces == 16 and for_table(5000, 51).pieces == 0


def test_a_recipe_of_one_member_is_plain_layers():
    layers = hidden_layers(Recipe((8, 4), 10, 32, dropout=0.2), 3, "cross_entropy")
    assert [type(layer).__name__ for layer in layers if layer is not nn.relu] == [
        "Dense", "Dropout", "Dense", "Dropout", "Dense"]  # fmt: skip


@pytest.mark.parametrize("make, y", [
    (NeuralRegressor, lambda t: t), (NeuralRegressor, lambda t: np.stack([t, -t], 1)),
    (NeuralClassifier, lambda t: t > 0), (NeuralClassifier, lambda t: np.digitize(t, [-1, 1])),
    (NeuralMultiLabel, lambda t: np.stack([t > 0, t > 1], 1).astype(int)),
])  # fmt: skip
def test_estimators_say_what_was_chosen(make, y):
    x, t = bent(1200)
    net = make(**FEW).fit(x, y(t))
    assert net.recipe_.members == 8 and net.recipe_.pieces == 16 and net.recipe_.epochs == 2
    assert type(net.model_.net.layers[0]) is nn.Pieces
    assert net.get_params()["hidden_layer_sizes"] == "auto"
    assert len(net.predict(x)) == len(x) and type(net.model_.net.layers[-1]) is nn.MemberMean


@pytest.mark.parametrize("said, expected", [
    (dict(hidden_layer_sizes=(7,)), dict(hidden=(7,), members=1, pieces=0, falling=False, epochs=200, batch_size=200)),
    (dict(layers=[nn.Dense(7)]), dict(members=1, pieces=0, falling=False, validation=0.15)),
    (dict(solver="lbfgs"), dict(hidden=(100,), members=1, pieces=0, validation=0.0)),
    (dict(optimizer="lbfgs"), dict(hidden=(100,), members=1, pieces=0, validation=0.0)),
    (dict(loss="mae"), dict(hidden=(128, 64), members=1, pieces=16, falling=True)),
    (dict(loss="poisson"), dict(members=8)),
    (dict(scale=False), dict(pieces=0, members=8)),
    (dict(early_stopping=False), dict(validation=0.0)),
    (dict(validation_fraction=0.3), dict(validation=0.3)),
    (dict(max_iter=5, learning_rate_init=0.5, n_iter_no_change=3), dict(epochs=5, learning_rate=0.5, patience=3)),
    (dict(learning_rate="constant"), dict(falling=False)),
    (dict(dropout=0.4), dict(dropout=0.4, members=8)),
])  # fmt: skip
def test_what_is_said_is_taken(said, expected):
    x, t = bent(1200)
    net = NeuralRegressor(**(dict(max_iter=1, random_state=0) | said if "max_iter" not in said else said))
    if "hidden_layer_sizes" in said or "solver" in said or "optimizer" in said:
        net.set_params(max_iter="auto" if "hidden_layer_sizes" in said else 2)
    found = net.fit(x, abs(t)).recipe_
    assert {name: getattr(found, name) for name in expected} == expected


def test_an_auto_word_elsewhere_is_refused():
    with pytest.raises(ValueError, match="alpha"):
        NeuralRegressor(alpha="auto").fit(*bent(30))


def test_training_in_parts_has_one_learning_rate():
    x, t = bent(300)
    net = NeuralRegressor(random_state=0)
    for _ in range(3):
        net.partial_fit(x, t)
    assert net.model_.learning_rate == pytest.approx(1e-3)
    fitted = NeuralRegressor(max_iter=3, random_state=0).fit(x, t)
    before = fitted.model_.parameters
    fitted.partial_fit(x, t)
    after = fitted.model_.parameters
    assert any(np.abs(after[name] - value).max() > 1e-5 for name, value in before.items())  # not at the course's end


def test_warm_start_keeps_the_pieces_of_the_first_rows():
    x, t = bent(1200)
    net = NeuralRegressor(warm_start=True, **FEW).fit(x, t)
    columns = net.features_.columns
    net.fit(x[:300], t[:300])
    assert net.recipe_.pieces == 16 and net.features_.columns == columns


def test_better_than_before():
    """Of 3,000 rows, on 3,000 others; as the defaults were: one layer of 100 units, without early stopping."""
    (x, t), (others, truth) = bent(3000), bent(3000, seed=1)
    new = NeuralRegressor(random_state=0).fit(x, t).score(others, truth)
    old = NeuralRegressor(**PLAIN, random_state=0).fit(x, t).score(others, truth)
    assert 1 - new < 0.5 * (1 - old)


def test_noise_is_not_learnt():
    """A fifth of the labels is drawn by chance: without early stopping the net learns these, too."""
    r = np.random.default_rng(0)
    x = r.normal(size=(1200, 10)).astype(np.float32)
    y = np.where(r.random(1200) < 0.2, r.integers(0, 2, 1200), x[:, 0] + x[:, 1] * x[:, 2] > 0)
    new = NeuralClassifier(random_state=0).fit(x[:400], y[:400]).score(x[400:], y[400:])
    old = NeuralClassifier(**PLAIN, random_state=0).fit(x[:400], y[:400]).score(x[400:], y[400:])
    assert new > old


# ---- series ---------------------------------------------------------------------------------------------------------


def months(n: int) -> np.ndarray:
    """A series that grows, with a season."""
    t = np.arange(n)
    return 100 + t + 20 * np.sin(2 * np.pi * t / 12) + np.random.default_rng(0).normal(0, 3, n)


def rmse(a, b) -> float:
    return float(np.sqrt(((a - b) ** 2).mean()))


@pytest.mark.parametrize("n", [40, 160, 400])
def test_a_forecaster_is_no_worse_than_the_naive_ways(n):
    from sklearn.linear_model import RidgeCV

    series = months(n)
    net = NeuralForecaster(random_state=0)
    x, y = net.windows(series)
    cut = int(0.75 * len(x))
    net.fit(x[:cut], y[:cut])
    found, truth = net.predict(x[cut:]), y[cut:]
    line = RidgeCV(np.logspace(-3, 3, 13)).fit(x[:cut], y[:cut]).predict(x[cut:])
    season = series[-len(truth) - 12 : -12]
    assert rmse(found, truth) < rmse(x[cut:, -1], truth)
    assert rmse(found, truth) < rmse(season, truth)
    assert rmse(found, truth) < 1.1 * rmse(line, truth)


def test_a_forecaster_s_window_and_share():
    net = NeuralForecaster(random_state=0).fit_series(months(400))
    assert net.n_features_in_ == 24 and 0 <= net.share_ <= 1 and net.recipe_.validation == 0.15
    short = NeuralForecaster(random_state=0, max_iter=3).fit_series(months(20))
    assert short.n_features_in_ == 4 and short.share_ == 0.0  # too few windows to judge the net by: the line alone
    assert short.forecast(months(20), 3).shape == (3,)
    several = np.stack([months(200), -months(200)], 1)
    both = NeuralForecaster(horizon=2, channels=2, random_state=0, max_iter=5).fit_series(several)
    ahead = both.forecast(several, 3)
    assert ahead.shape == (3, 2) and np.abs(ahead[:, 0] + ahead[:, 1]).max() < 20


def test_a_straight_line_goes_on():
    ahead = NeuralForecaster(random_state=0).fit_series(np.arange(100.0)).forecast(np.arange(100.0), 5)
    np.testing.assert_allclose(ahead, np.arange(100, 105), atol=0.1)


# ---- the command line -----------------------------------------------------------------------------------------------


def trained(folder, n: int, *options: str) -> pel.Model:
    x, t = bent(n)
    lines = ["a,b,c,y", *(",".join(f"{v:.6g}" for v in [*row, value]) for row, value in zip(x, t, strict=True))]
    (folder / "t.csv").write_text("\n".join(lines))
    model = folder / "t.pel"
    said = CliRunner().invoke(cli, ["train", str(folder / "t.csv"), "--target", "y", "--output", str(model),
                                    "--no-plot", "--epochs", "2", *options])  # fmt: skip
    assert said.exit_code == 0, said.output
    return pel.load(model)


def test_the_command_line_has_the_same_recipe(tmp_path):
    layers = trained(tmp_path, 1500).net.layers
    assert layers[0] == nn.Pieces(16, (0, 1, 2)) or layers[0].columns == (0, 1, 2)
    assert [layer.units for layer in layers if type(layer) is nn.MemberDense] == [64, 64, 1]


@pytest.mark.parametrize("n, options, first", [
    (400, (), nn.MemberDense), (1500, ("--scale", "standard"), nn.MemberDense), (1500, ("--hidden", "9"), nn.Dense),
    (1500, ("--dropout", "0.1"), nn.Dense),
])  # fmt: skip
def test_the_command_line_takes_what_is_said(tmp_path, n, options, first):
    assert type(trained(tmp_path, n, *options).net.layers[0]) is first


def test_words_have_one_net(tmp_path):
    words = ["good film", "bad film", "good plot here", "bad plot here"]
    lines = ["text,y", *(f"{words[i % 4]} number{i},{'ab'[i % 2]}" for i in range(80))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    said = CliRunner().invoke(cli, ["train", str(tmp_path / "t.csv"), "--target", "y", "--text", "text", "--no-plot",
                                    "--output", str(tmp_path / "t.pel"), "--epochs", "2"])  # fmt: skip
    assert said.exit_code == 0, said.output
    assert type(pel.load(tmp_path / "t.pel").net.layers[0]) is nn.Dense


def test_which_features_are_in_pieces():
    x, _ = bent(300)
    x = x.astype(float)
    x[::9, 1] = np.nan
    table = pel.data.Table(
        {"a": x[:, 0], "b": x[:, 1], "flag": x[:, 2] % 2, "word": np.array(["u", "v", "w"] * 100, object)}
    )
    done = FittedPreprocessing.fit(table, choose_columns(table), PreprocessingSpec(scale="pieces"))
    names = done.feature_names()
    assert [names[j] for j in done.in_pieces()] == ["a", "b"] and PARTS["numbers"]["scale"][-1] == "PieceScaler"
    made = done.transform(table)[:, done.in_pieces()]
    assert made.min() == 0 and made.max() == 16


def test_a_saved_table_with_pieces_predicts_the_same(tmp_path):
    model = trained(tmp_path, 1200)
    preprocessing, target = restore(model)
    x, t = bent(1200)
    table = pel.data.Table({"a": x[:, 0].astype(float), "b": x[:, 1].astype(float), "c": x[:, 2].astype(float)})
    said = target.decode(model.predict(preprocessing.transform(table).astype(np.float32)))
    assert np.corrcoef(said, t)[0, 1] > 0.5
