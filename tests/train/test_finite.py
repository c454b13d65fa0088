"""What is not finite is found: in weights after training, in samples to predict, in predictions."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import DataError, Model, nn, optim
from pellucid.train import finite
from pellucid.train.loop import DivergedError

X, Y = np.random.default_rng(0).normal(size=(2, 32, 3)).astype("float32")


def linear(optimizer="sgd", **options):
    return Model(nn.Dense(3), "mse", optimizer, input_shape=(3,), **options)


@pytest.mark.parametrize("executor", ["native", "reference"])
def test_a_fit_does_not_end_with_weights_that_are_not_finite(executor, tmp_path):
    """The loss of a step is that before it: here 1, and then the weight is 1e40."""
    model = Model(nn.Dense(1, weight_init=nn.init.zeros), "mse", optim.SGD(1e25), input_shape=(1,), executor=executor)
    before = model.parameters
    x, y = np.full((4, 1), 1e15, "float32"), np.full((4, 1), 1.0, "float32")
    with pytest.raises(DivergedError, match=r"weights became NaN or infinite in epoch 1, though the loss was finite: "
                       r"parameter 'weight'.*a smaller learning rate.*as it was before this epoch"):  # fmt: skip
        model.fit(x, y, batch_size="all", callbacks=[pel.Checkpoint(tmp_path)], verbose=0)
    assert all((model.parameters[name] == a).all() for name, a in before.items())
    assert model.epochs == 0 and [path.name for path in tmp_path.iterdir()] == ["step-000000000.pel"]


@pytest.mark.parametrize("callback", [pel.AverageWeights, lambda: pel.EarlyStopping("loss", mode="max", patience=9)])
def test_the_model_is_as_before_the_epoch_that_diverged(callback):
    """Though callbacks put other weights into it where a fit ends."""
    at_the_end = []

    class Grow(pel.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.learning_rate *= 1e30 if epoch == 2 else 1.0
            at_the_end.append(self.model.parameters)

    model = linear(optim.SGD(0.1))
    with pytest.raises(DivergedError, match="as it was before this epoch"):
        model.fit(X, Y, epochs=5, callbacks=[Grow(), callback()], verbose=0)
    assert len(at_the_end) == model.epochs == 4
    assert all((model.parameters[name] == a).all() for name, a in at_the_end[-1].items())


def test_what_the_optimizer_keeps_is_finite_too():
    """Squared, a gradient of 1e30 is infinite in float32: Adagrad would never move a weight again."""
    model = linear(optim.Adagrad(1e-20))
    with pytest.raises(DivergedError, match=r"what the optimizer keeps, 'optimizer\..*gradients are too large"):
        model.fit(X * 1e15, Y, verbose=0)
    assert model.epochs == 0


def test_members_trained_together_diverge_as_alone():
    models = [Model(nn.Dense(1, weight_init=nn.init.zeros), "mse", optim.SGD(1e25), seed=s) for s in range(2)]
    with pytest.raises(DivergedError, match="though the loss was finite"):
        pel.train.ensemble_training.fit_members(
            models, np.full((4, 1), 1e15), np.ones((4, 1)), batch_size="all", epochs=1
        )


def test_a_checkpoint_is_not_written_of_what_is_not_finite(tmp_path):
    """In the middle of an epoch too."""
    y = np.zeros((64, 1), "float32")
    x = np.zeros((64, 1), "float32")
    x[16:20], y[16:20] = 1e15, 1  # the fifth step
    model = Model(nn.Dense(1, weight_init=nn.init.zeros, bias=False), "mse", optim.SGD(1e25), input_shape=(1,))
    with pytest.raises(DivergedError):
        model.fit(x, y, batch_size=4, shuffle=False, callbacks=[pel.Checkpoint(tmp_path, steps=5)], verbose=0)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000000.pel"]


BAD = {"nan": np.nan, "infinity": np.inf, "minus infinity": -np.inf, "beyond float32": 1e300}


@pytest.mark.parametrize("number", BAD)
@pytest.mark.parametrize("n, row", [(1, 0), (20, 7), (1000, 700)])
def test_samples_to_predict_are_finite(number, n, row):
    """tanh makes a number of infinity, and of NaN a maximum may: it is looked for in the samples themselves."""
    model = Model(nn.Sequential(nn.Dense(4), nn.tanh, nn.Dense(2)), "cross_entropy", input_shape=(3,))
    x = np.random.default_rng(0).normal(size=(n, 3))
    fine = model.predict(x)
    x[row, 2] = BAD[number]
    for given in (x, x.tolist()) if number == "beyond float32" else (x, x.astype("float32"), x.tolist()):
        with pytest.raises(DataError, match=rf"x has .* in row {row}, column 2: fill it"):
            model.predict(given)
    dropping = Model(nn.Sequential(nn.Dropout(0.5), nn.Dense(2), nn.tanh), "mse", input_shape=(3,))
    with pytest.raises(DataError, match=rf"x has .* in row {row}, column 2"):
        dropping.predict_samples(x, samples=2)
    with np.errstate(all="ignore"):
        asked = model.predict(x, finite=False)
    assert asked.shape == fine.shape and (np.delete(asked, row, 0) == np.delete(fine, row, 0)).all()


@pytest.mark.parametrize("number", [np.nan, -np.inf, 1e39])
def test_all_that_predicts_refuses_what_is_not_finite(number):
    """And takes it where it is asked to."""
    model = Model(nn.Sequential(nn.GRU(4, return_sequences=True), nn.TimeDistributed(nn.Dense(2))), "mse",
                  input_shape=(5, 3))  # fmt: skip
    x = np.zeros((300, 5, 3))
    x[270, 4, 1] = number
    stepper = model.stepper()
    told = r"x has .* in row 270, column \(4, 1\): fill it .*leave the row out, or say finite=False"
    for refused in (model.predict, model.layer_outputs, lambda x: model.features(x, 0)):
        with pytest.raises(DataError, match=told):
            refused(x)
    for step in range(4):
        stepper(x[:, step])
    with pytest.raises(
        DataError,
        match=r"x has .* in row 270, column 1: fill it \(sklearn.impute.SimpleImputer\) or leave the row out$",
    ):
        stepper(x[:, 4])
    with np.errstate(all="ignore"):
        for taken in (model.predict, model.layer_outputs, lambda x, **how: model.features(x, 0, **how)):
            taken(x, finite=False)


def test_what_is_built_on_models_refuses_what_is_not_finite():
    x = np.random.default_rng(0).normal(size=(40, 3))
    y, bad = (x[:, 0] > 0).astype(int), x.copy()
    bad[30, 1] = np.nan
    model = Model(nn.Sequential(nn.Dense(4), nn.tanh, nn.Dropout(0.2), nn.Dense(2)), "cross_entropy", input_shape=(3,))
    features = pel.FeatureExtractor(model, 0).fit(x)
    classifier = pel.sklearn.NeuralClassifier(hidden_layer_sizes=(4,), max_iter=1).fit(x, y)
    built = [pel.Committee([model, model]).predict, model.predict_interval, features.transform, classifier.predict]
    for predict in built:
        predict(x)
        with pytest.raises((DataError, ValueError), match=r"(?i)nan"):
            predict(bad)


def test_predictions_are_finite():
    """Of finite samples: the net is exp(w x)."""
    model = Model(lambda x: pel.ops.exp(x), "mse", executor="reference", input_shape=(2,))
    x = np.zeros((300, 2))
    x[280, 1] = 1000.0
    with pytest.raises(
        DataError, match=r"the prediction for row 280 is not finite \(inf, output 1\), though its inputs"
    ):
        model.predict(x)
    assert np.isinf(model.predict(x, finite=False)[280, 1])
    with pytest.raises(DataError, match="the prediction for row 280 is not finite"):
        model.evaluate(x, np.zeros((300, 2)))
    assert np.isfinite(model.evaluate(x[:280], np.zeros((280, 2)))["loss"])


def test_buckets_name_the_samples_own_rows():
    x = [np.ones((t, 1), "float32") for t in (5, 3, 5, 3)]
    model = Model(nn.Sequential(nn.Masking(), nn.LSTM(2), nn.Dense(1)), "mse", input_shape=(5, 1))
    x[3][2, 0] = np.nan
    with pytest.raises(DataError, match=r"x has nan in row 3"):
        model.predict(pel.data.Buckets(x, batch_size=2, boundaries=[3, 5]))


def test_looking_for_what_is_not_finite():
    for shape in ((0, 3), (5,), (7, 3), (3000, 5), (3, 700_000), ()):
        for dtype in ("float32", "float64", "float16"):
            a = np.ones(shape, dtype)
            assert finite.is_finite(a) and finite.is_finite(a[::-1] if shape else a)
            if not a.size:
                continue
            for bad in (np.nan, np.inf, -np.inf):
                last = a.copy()
                last.reshape(-1)[-1] = bad
                assert not finite.is_finite(last)
                if shape:
                    row, place, _ = finite.first_bad(last)
                    assert (row, *place) == tuple(n - 1 for n in shape)
    huge = np.full(100, 1e30, "float32")  # whose squares are not finite
    assert finite.is_finite(huge) and not finite.is_finite(np.full(100, 1e300), "float32")
    assert finite.is_finite(np.arange(5)) and finite.is_finite(np.array([1e30]), "float32")
