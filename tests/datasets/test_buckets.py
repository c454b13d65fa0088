"""Buckets: sequences of similar lengths together, and what a Model does with them."""

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, DivergedError, GraphError, Model, data, nn, ops, optim
from pellucid.data import Buckets, DataError, pad_sequences
from pellucid.train.batches import RUNS, mixed

random = np.random.default_rng(7)
LENGTHS = random.integers(1, 24, 150)
SEQUENCES = [random.integers(1, 12, n) for n in LENGTHS]
LABELS = np.array([int((s > 6).mean() > 0.5) for s in SEQUENCES])
TAGS = [np.where(s % 3 == 0, 1, 0) for s in SEQUENCES]
ENDS = (6, 12, 24)


def fails(call, *parts, error=DataError):
    """The call raises the error, and its message has all these parts."""
    with pytest.raises(error) as caught:
        call()
    for part in parts:
        assert str(part) in str(caught.value), f"{part!r} is not in: {caught.value}"


def bag(**options):
    """Two classes of a sequence: the mean of its words' vectors; 0 is padding, whose vector is not counted."""
    table = nn.Embedding(12, 8)

    head = nn.Dense(2)

    def net(words):
        there = ops.cast(words > 0, "float32")
        return head(ops.contract(there, table(words), "t,ti->i") / ops.sum(there))

    return Model(net, loss="cross_entropy", metrics=["accuracy"], optimizer=optim.Adam(0.03), **options)


def tagger(**options):
    """A class for every step."""
    loss = nn.CrossEntropy(ignore_class=-1)
    net = nn.Sequential(nn.Embedding(12, 8), PerStep(3))
    return Model(net, loss=loss, metrics=["accuracy"], optimizer=optim.Adam(0.05), **options)


class PerStep(nn.Layer):
    """y_t = w x_t."""

    units: int

    def __call__(self, x):
        return ops.contract(self.param("weight", (self.units, x.shape[1]), nn.init.normal), x, "ij,tj->ti")


def same_bits(a, b):
    assert a.state.keys() == b.state.keys()
    for name in a.state:
        assert a.state[name].tobytes() == b.state[name].tobytes(), name
    assert a.history.columns == b.history.columns


# ---- the buckets --------------------------------------------------------------------------------------------------


def test_every_sample_is_in_the_first_bucket_that_it_fits_in():
    buckets = Buckets(SEQUENCES, LABELS, boundaries=ENDS)
    assert len(buckets) == 150 and [b.length for b in buckets.parts] == [6, 12, 24]
    assert sorted(np.concatenate([b.rows for b in buckets.parts])) == list(range(150))
    for b, least in zip(buckets.parts, (1, 7, 13), strict=True):
        assert b.x.shape == (len(b.rows), b.length) and b.x.dtype == np.int32
        for i, row in enumerate(b.rows):
            n = LENGTHS[row]
            assert least <= n <= b.length and b.y[i] == LABELS[row]
            assert b.x[i, :n].tolist() == SEQUENCES[row].tolist() and not b.x[i, n:].any()
    padding = 1 - LENGTHS.sum() / sum(b.x.size for b in buckets.parts)
    assert f"{100 * padding:.0f} % is padding" in repr(buckets)


def test_default_boundaries():
    buckets = Buckets([[0] * n for n in range(1, 101)])
    assert buckets.boundaries == (41, 76, 96, 100) == tuple(b.length for b in buckets.parts)
    assert Buckets([[1, 2], [3, 4]]).boundaries == (2,)  # all alike


def test_what_is_longer_than_all_boundaries():
    buckets = Buckets([[1], [1] * 9, [1] * 7], boundaries=[2])
    assert [(b.length, b.rows.tolist()) for b in buckets.parts] == [(2, [0]), (9, [1, 2])]


def test_labels_for_every_step_are_padded_with_no_class():
    buckets = Buckets([[5, 2], [7]], [[1, 0], [2]])
    assert buckets.parts[-1].y.tolist()[0] == [1, 0] and buckets.per_step
    assert Buckets([[5, 2], [7]], [[1, 0], [2]], boundaries=[3]).parts[0].y.tolist() == [[1, 0, -1], [2, -1, -1]]


def test_several_inputs():
    named = Buckets({"left": [[1, 2], [3]], "right": [[1], [1, 2, 3, 4]]}, [[0.5, 1], [2, 3]], boundaries=[2, 4])
    assert [b.length for b in named.parts] == [2, 4] and not named.per_step
    assert {k: a.tolist() for k, a in named.parts[1].x.items()} == {"left": [[3, 0, 0, 0]], "right": [[1, 2, 3, 4]]}
    assert named.parts[1].y.tolist() == [[2, 3]]
    pair = Buckets(([[1, 2], [3]], [[1], [1, 2]]), [[7], [8, 9]])  # as for translation: y goes with the second
    assert pair.per_step and pair.steps.tolist() == [1, 2] and isinstance(pair.parts[0].x, tuple)


def test_numbers_at_every_step_are_padded_with_what_is_said():
    buckets = Buckets([[1, 2], [3]], [[[0.5, 1], [2, 3]], [[4, 5]]], target_value=-1)
    (part,) = buckets.parts
    assert part.y.tolist() == [[[0.5, 1], [2, 3]], [[4, 5], [-1, -1]]] and part.y.dtype == "float32"


BAD = {
    "length 0": (lambda: Buckets([[1], []], [0, 1]), "x sequence 1 has length 0"),
    "labels longer": (lambda: Buckets([[1, 2], [3]], [[0, 1], [1, 1, 0]]),
                      "y sequence 1 has 3 steps, but x sequence 1 has 1"),
    "labels shorter": (lambda: Buckets([[1, 2], [3, 4]], [[0], [1, 1]]), "y sequence 0 has 1 steps, but x sequence 0"),
    "fewer targets": (lambda: Buckets([[1], [2]], [0]), "x has 2 sequences, y has 1"),
    "fewer inputs": (lambda: Buckets(([[1], [2]], [[1]])), "differ in their number of sequences", "'x[1]': 1"),
    "numbers at every step": (lambda: Buckets([[1, 2], [3]], [[0.5, 1], [1]]), "no class numbers"),
    "descending": (lambda: Buckets([[1]], boundaries=[4, 4]), "boundaries must be lengths that ascend", "[4, 4]"),
    "no boundaries": (lambda: Buckets([[1]], boundaries=[]), "boundaries must be"),
    "batch_size": (lambda: Buckets([[1]], batch_size=0), "batch_size must be a whole number >= 1, got 0"),
    "no inputs": (lambda: Buckets(()), "x holds no inputs"),
    "text": (lambda: Buckets(["a b"], [1]), "x sequence 0 holds text"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD.values(), ids=list(BAD))
def test_bad_buckets(case):
    fails(*case)


# ---- an epoch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch, longest_run", [(1, 2), (32, 32)])
def test_an_epoch_has_every_sample_once_and_mixes_the_buckets(batch, longest_run):
    parts = [{"y": np.zeros(n)} for n in (100, 0, 33)]
    orders = []
    for epoch in (0, 0, 1):
        runs = list(mixed(parts, 3, epoch, [batch] * 3, shuffle=True))
        for i, part in enumerate(parts):
            rows = [row for run in runs if run.part == i for row in run.order]
            assert sorted(rows) == list(range(len(part["y"])))
        assert max(run.rows for run in runs) <= longest_run * batch
        orders.append([(run.part, *run.order) for run in runs])
    assert orders[0] == orders[1] != orders[2]
    if batch == 1:
        assert len(runs) >= RUNS and len({run.part for run in runs[:12]}) > 1
    plain = list(mixed(parts, 3, 0, [batch] * 3, shuffle=False))
    assert [run.part for run in plain] == sorted(run.part for run in plain)
    assert [row for run in plain for row in run.order] == [*range(100), *range(33)]


# ---- a model ------------------------------------------------------------------------------------------------------


def test_it_learns_and_reports_means_over_all_samples():
    train = Buckets(SEQUENCES[:120], LABELS[:120], boundaries=ENDS, batch_size=16)
    held = Buckets(SEQUENCES[120:], LABELS[120:], boundaries=ENDS)
    model = bag()
    history = model.fit(train, epochs=30, validation_data=held, verbose=0)
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"] and history["accuracy"][-1] > 0.9
    p = model.predict(held)
    right = np.array([p[i, k] for i, k in enumerate(LABELS[120:])])
    found = model.evaluate(held)
    assert found == {"loss": history["val_loss"][-1], "accuracy": history["val_accuracy"][-1]}
    assert found["loss"] == pytest.approx(-np.log(right).mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((p.argmax(1) == LABELS[120:]).mean())


def test_predictions_are_in_the_order_of_the_samples():
    """As the model predicts sample by sample, each alone in its own length: padding does not count in this net."""
    model = bag()
    model.fit(Buckets(SEQUENCES, LABELS, boundaries=ENDS), verbose=0)
    whole = model.predict(Buckets(SEQUENCES, boundaries=ENDS), batch_size=7)
    for i in (0, 3, 149):
        np.testing.assert_allclose(whole[i], model.predict(SEQUENCES[i][None].astype("int32"))[0], rtol=1e-4)


def test_outputs_for_every_step_are_as_long_as_their_sequences():
    model = tagger()
    buckets = Buckets(SEQUENCES, TAGS, boundaries=ENDS)
    history = model.fit(buckets, epochs=40, verbose=0)
    assert history["accuracy"][-1] > 0.98
    found = model.predict(Buckets(SEQUENCES, boundaries=ENDS))
    assert isinstance(found, list) and [p.shape for p in found] == [(n, 3) for n in LENGTHS]
    accuracy = np.mean([(p.argmax(1) == t).mean() for p, t in zip(found, TAGS, strict=True)])
    assert model.evaluate(buckets)["accuracy"] == pytest.approx(accuracy)


def test_padding_does_not_count_in_recurrent_layers():
    layers = nn.Embedding(12, 8, padding_index=0), nn.Bidirectional(nn.LSTM(4)), nn.Dense(2)
    model = Model(nn.Sequential(*layers), loss="cross_entropy")
    model.fit(Buckets(SEQUENCES, LABELS, boundaries=[24]), verbose=0)
    whole = model.predict(Buckets(SEQUENCES, boundaries=[24]))
    for i in (0, 3, 149):
        np.testing.assert_allclose(whole[i], model.predict(SEQUENCES[i][None].astype("int32"))[0], rtol=1e-4)
    layers = nn.Embedding(12, 8), nn.GRU(4, stateful=32), nn.Dense(2)
    model = Model(nn.Sequential(*layers), loss="cross_entropy")
    fails(lambda: model.fit(Buckets(SEQUENCES, LABELS), verbose=0), "shuffle=False", error=GraphError)


def test_several_inputs_of_a_model():
    table, head = nn.Embedding(12, 8), PerStep(3)

    def net(source, target):
        return head(table(target) + ops.mean(table(source), 0))

    model = Model(net, loss=nn.CrossEntropy(ignore_class=-1), seed=1)
    buckets = Buckets(([s[:3] for s in SEQUENCES], SEQUENCES), TAGS, boundaries=ENDS)
    assert model.fit(buckets, epochs=2, verbose=0).epochs == 2
    assert [len(p) for p in model.predict(buckets)] == LENGTHS.tolist()


def test_one_bucket_is_the_padded_array():
    one, array = bag(), bag()
    one.fit(Buckets(SEQUENCES, LABELS, boundaries=[24], batch_size=16), epochs=3, verbose=0)
    array.fit(pad_sequences(SEQUENCES, 24), LABELS, batch_size=16, epochs=3, verbose=0)
    same_bits(one, array)


def test_the_same_bits_for_any_threads_and_in_two_parts():
    buckets = Buckets(SEQUENCES, LABELS, boundaries=ENDS, batch_size=16)
    first, second, other = bag(threads=1), bag(threads=2), bag(seed=1)
    first.fit(buckets, epochs=3, verbose=0)
    second.fit(buckets, epochs=1, verbose=0)
    second.fit(buckets, epochs=2, verbose=0)
    same_bits(first, second)
    other.fit(buckets, epochs=3, verbose=0)
    assert other.history["loss"] != first.history["loss"]


def test_native_is_the_reference():
    found = []
    for executor in ("native", "reference"):
        model = tagger(executor=executor)
        model.fit(Buckets(SEQUENCES, TAGS, boundaries=ENDS), epochs=3, verbose=0)
        found.append(model)
    np.testing.assert_allclose(found[0].history["loss"], found[1].history["loss"], rtol=1e-4)
    for name in found[0].parameters:
        np.testing.assert_allclose(found[0].state[name], found[1].state[name], rtol=1e-3, atol=1e-5)


def test_a_double_precision_model():
    model = tagger(dtype="float64")
    floats = [s[:, None].astype("float32") for s in SEQUENCES]
    model = Model(PerStep(2), loss=nn.CrossEntropy(ignore_class=-1), dtype="float64")
    model.fit(Buckets(floats, TAGS, boundaries=ENDS), verbose=0)
    assert model.state["weight"].dtype == np.float64


def test_a_saved_model_goes_on(tmp_path):
    def net():
        return nn.Sequential(nn.Embedding(12, 8), PerStep(3))

    buckets = Buckets(SEQUENCES, TAGS, boundaries=ENDS)
    model = Model(net(), loss=nn.CrossEntropy(ignore_class=-1))
    model.fit(buckets, verbose=0)
    model.save(tmp_path / "m.pel")
    again = pel.load(tmp_path / "m.pel", custom_objects={"PerStep": PerStep})
    for m in (model, again):
        m.fit(buckets, verbose=0)
    same_bits(model, again)


def test_divergence_is_told_and_changes_nothing():
    sequences = [s[:, None].astype("float32") for s in SEQUENCES]
    buckets = Buckets(sequences, np.ones((150, 2)), boundaries=ENDS, batch_size=4)
    buckets.parts[2].x[9] = 1e30  # whose square is infinite: the third batch of the last bucket
    step = sum(-(-len(b.rows) // 4) for b in buckets.parts[:2]) + 3
    model = Model(nn.Sequential(PerStep(2), lambda x: ops.mean(x, 0)), loss="mse", optimizer=optim.SGD(1e-6))
    model.fit(buckets, epochs=0, verbose=0)
    before = model.parameters
    with pytest.raises(DivergedError, match=rf"epoch 1, step {step}\. It began in the loss itself.*inputs scaled"):
        model.fit(buckets, shuffle=False, verbose=0)
    assert all((before[k] == v).all() for k, v in model.parameters.items())


def test_validation_on_an_array_and_early_stopping():
    model = bag()
    stop = pel.EarlyStopping(patience=2)
    padded = pad_sequences(SEQUENCES, 24), LABELS
    model.fit(Buckets(SEQUENCES, LABELS), epochs=4, validation_data=padded, callbacks=[stop], verbose=0)
    assert "val_loss" in model.history
    other = bag()
    other.fit(*padded, validation_data=Buckets(SEQUENCES, LABELS, boundaries=ENDS), verbose=0)
    assert other.history["val_loss"][0] == pytest.approx(other.evaluate(*padded)["loss"], rel=1e-5)


FIT = {
    "y": ({"y": LABELS}, "y does not go with Buckets; they hold the targets: Buckets(x, y)"),
    "batch_size": ({"batch_size": 8}, "batch_size does not go", "Buckets(x, y, batch_size=...)"),
    "validation_split": ({"validation_split": 0.1}, "validation_split does not go", "validation_data=Buckets(...)"),
    "sample_weight": ({"sample_weight": np.ones(150)}, "sample_weight does not go with Buckets"),
    "class_weight": ({"class_weight": "balanced"}, "class_weight does not go with Buckets"),
    "augment": ({"augment": lambda x, *_: x}, "augment does not go with Buckets"),
}


@pytest.mark.parametrize("case", FIT.values(), ids=list(FIT))
def test_options_that_do_not_go_with_buckets(case):
    options, *parts = case
    model = bag()
    fails(lambda: model.fit(Buckets(SEQUENCES, LABELS), **options, verbose=0), *parts, error=ArgumentError)
    assert model.traced is None and not model.state


def test_other_mistakes():
    buckets = Buckets(SEQUENCES, LABELS)
    model = bag()
    fails(lambda: model.fit(SEQUENCES), "y is missing")
    fails(lambda: model.fit(Buckets(SEQUENCES)), "x has no targets; give them to the buckets: Buckets(x, y)")
    fails(lambda: model.predict(buckets), "no weights yet", error=GraphError)
    model.fit(buckets, verbose=0)
    fails(lambda: model.evaluate(Buckets(SEQUENCES)), "x has no targets")
    fails(lambda: model.evaluate(buckets, LABELS), "y does not go with Buckets", error=ArgumentError)
    fails(lambda: model.fit(buckets, validation_data=Buckets(SEQUENCES)), "validation_data has no targets")
    fails(lambda: model.layer_outputs(buckets), "x is Buckets", "pad_sequences")
    fails(lambda: model.fit(Buckets(SEQUENCES, LABELS + 1), verbose=0), "labels outside 0..1: 2")
    strange = [np.full(3, 12)] * 4  # a word that the table has not
    with pytest.raises(DataError, match=r"x holds 12 \(row 0\), expected whole numbers 0\.\.11"):
        model.fit(Buckets(strange, LABELS[:4]), verbose=0)


def test_a_net_of_fixed_length_says_why():
    model = Model(nn.Dense(2), loss="cross_entropy")
    floats = [s.astype("float32") for s in SEQUENCES]
    fails(lambda: model.fit(Buckets(floats, LABELS, boundaries=ENDS), verbose=0),
          "samples of shape (6,), but the net was built for (24,)", error=GraphError)  # fmt: skip
    assert model.traced is None


def test_real_sentences(shared_data):
    """One pass over a treebank's development set tells nouns from the rest better than chance."""
    sentences = data.read_conllu(shared_data / "ud-english-ewt" / "en_ewt-ud-dev.conllu.gz")
    forms = data.Vocabulary([f for f, _ in sentences], level="words", min_count=2)
    tags = data.Vocabulary([t for _, t in sentences], level="words", special=())
    buckets = Buckets([forms.encode(f) for f, _ in sentences], [tags.encode(t) for _, t in sentences])
    net = nn.Sequential(nn.Embedding(len(forms), 24, padding_index=0), PerStep(len(tags)))
    model = Model(net, loss=nn.CrossEntropy(ignore_class=-1), metrics=["accuracy"], optimizer=optim.Adam(0.02))
    model.fit(buckets, epochs=5, verbose=0)
    assert model.history["accuracy"][-1] > 0.8
