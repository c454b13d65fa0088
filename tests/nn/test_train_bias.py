"""`train_bias=False`: biases that stay as they start, in every layer that has a bias."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from tools import distinct

import pellucid as pel
from pellucid import ArgumentError, nn, optim
from pellucid.train.summary import summary_text

HALF = partial(nn.init.constant, value=0.5)
LAYERS = {
    "Dense": (lambda **o: nn.Dense(3, **o), (4,)),
    "DropConnect": (lambda **o: nn.DropConnect(3, **o), (4,)),
    "Conv": (lambda **o: nn.Conv(2, 3, **o), (2, 5, 5)),
    "DepthwiseConv": (lambda **o: nn.DepthwiseConv(3, **o), (2, 5, 5)),
    "ConvTranspose": (lambda **o: nn.ConvTranspose(2, 2, **o), (2, 3, 3)),
    "LocallyConnected": (lambda **o: nn.LocallyConnected(2, 3, **o), (2, 5, 5)),
    "Conv1D": (lambda **o: nn.Conv1D(2, 3, **o), (6, 2)),
    "RNN": (lambda **o: nn.RNN(3, **o), (4, 2)),
    "LSTM": (lambda **o: nn.LSTM(3, **o), (4, 2)),
    "GRU": (lambda **o: nn.GRU(3, **o), (4, 2)),
    "MultiHeadAttention": (lambda **o: nn.MultiHeadAttention(2, **o), (3, 4)),
    "FeedForward": (lambda **o: nn.FeedForward(5, **o), (3, 4)),
}


def test_every_layer_with_a_bias_is_here():
    layers = {name: getattr(nn, name) for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    layers = {name: cls for name, cls in layers.items() if issubclass(cls, nn.Layer) and name != "Recurrent"}
    assert {name for name, cls in layers.items() if "bias" in {f.name for f in dataclasses.fields(cls)}} == set(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_biases_stay_and_weights_do_not(name):
    make, shape = LAYERS[name]
    model = pel.Model(make(train_bias=False, bias_init=HALF), "mse", optim.Adam(0.1), input_shape=shape, seed=1)
    x = distinct((6, *shape), dtype="float32")
    before = {name: np.array(w) for name, w in model.parameters.items()}
    biases = [name for name in before if name.endswith("bias")]
    assert biases
    model.fit(x, np.zeros_like(model.predict(x)), epochs=2, verbose=0)
    for name, w in model.parameters.items():
        assert (w == before[name]).all() == (name in biases), name
    trained = sum(before[n].size for n in before if n not in biases)
    assert f"{trained:,} of them trainable" in summary_text(model)


def test_a_model_with_them_is_saved_and_loaded(tmp_path):
    net = nn.Sequential(nn.Dense(3, train_bias=False, bias_init=HALF), nn.tanh, nn.Dense(1))
    model = pel.Model(net, "mse", optim.SGD(0.1, momentum=0.9), input_shape=(4,))
    x, y = distinct((6, 4), dtype="float32"), np.ones((6, 1))
    model.fit(x, y, verbose=0)
    assert "optimizer.velocity.layers.0.bias" not in model.state
    model.save(tmp_path / "m.pel")
    again = pel.load(tmp_path / "m.pel")
    again.fit(x, y, epochs=3, verbose=0)
    assert again.parameters["layers.0.bias"].tolist() == [0.5, 0.5, 0.5]
    assert not again.net.layers[0].train_bias


def test_what_train_bias_may_be():
    with pytest.raises(ArgumentError, match="Dense: train_bias must be True or False, got 'no'"):
        nn.Dense(3, train_bias="no")
