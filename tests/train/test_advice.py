"""Errors that give advice: the advice is in the message, and following it works. Each row: what is wrong, what is said,
and what is done then. (Names from elsewhere are in test_hints.py, labels in test_labels.py.)"""

import numpy as np
import pytest

import pellucid as pel
from pellucid import ArgumentError, DataError, GraphError, data, nn, optim, schedules

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype("float32")
IMAGES = RNG.normal(size=(12, 1, 8, 8)).astype("float32")
SPACE = {
    "pel": pel, "nn": nn, "optim": optim, "data": data, "np": np, "schedules": schedules, "x": X, "values": X[:, 0],
    "y": np.arange(60) % 3, "images": IMAGES, "places": np.arange(12) % 3, "steps": RNG.normal(size=(12, 5, 3)),
    "tokens": RNG.integers(0, 9, (12, 5)),
}  # fmt: skip


def made(net, loss="cross_entropy", optimizer="adam", **options):
    return pel.Model(net, loss, optimizer, **options)


def fit(net, x, y, loss="cross_entropy", **options):
    return made(net, loss).fit(x, y, verbose=0, **options)


SPACE |= {"made": made, "fit": fit}
DENSE = nn.Dense(4)
SPACE["two"] = lambda a: (DENSE(a), nn.tanh(DENSE(a)))
SPACE["conv"] = nn.Sequential(nn.Conv(2, 3), nn.Flatten(), nn.Dense(3))


class Loader:
    """What gives batches, as PyTorch's does."""

    def __len__(self):
        return 2

    def __iter__(self):
        return iter([X[:30], X[30:]])


SPACE["Loader"] = Loader
ADVICE = [
    # ---- nets
    ("made(nn.Dense)", "did you forget the parentheses?", "made(nn.Dense(3))"),
    ("nn.Sequential(nn.Dense(3), nn.Flatten)", "did you mean Flatten(...)?",
     "nn.Sequential(nn.Dense(3), nn.Flatten())"),
    ("fit(nn.Dense(3), images, places)", "nn.Flatten() before it",
     "fit(nn.Sequential(nn.Flatten(), nn.Dense(3)), images, places)"),
    ("fit(nn.Dense(3), x[:, 0], y)", "nn.Reshape((1,)) before it",
     "fit(nn.Sequential(nn.Reshape((1,)), nn.Dense(3)), x[:, 0], y)"),
    ("fit(nn.Dense(3), steps, tokens % 3)", "nn.TimeDistributed(nn.Dense(3))",
     "fit(nn.TimeDistributed(nn.Dense(3)), steps, tokens % 3)"),
    ("fit(nn.Sequential(nn.Conv(4, 3), nn.Flatten(), nn.Dense(3)), np.zeros((12, 8, 8, 3)), places)",
     "x.transpose(0, 3, 1, 2)",
     "fit(nn.Sequential(nn.Conv(4, 3), nn.Flatten(), nn.Dense(3)), np.zeros((12, 8, 8, 3)).transpose(0, 3, 1, 2), "
     "places)"),
    ("nn.trace(nn.MultiHeadAttention(3), pel.input('x', (5, 8)))", "use one of 1, 2, 4, 8",
     "nn.trace(nn.MultiHeadAttention(4), pel.input('x', (5, 8)))"),
    ("nn.zoo.resnet_cifar(21)", "for example 20, 32", "nn.zoo.resnet_cifar(20)"),
    ("nn.Dense(3, weight_init='he_normal')", "such as nn.init.he_normal", "nn.Dense(3, weight_init=nn.init.he_normal)"),
    ("nn.Bidirectional(nn.Dense(3))", "for example nn.LSTM(8)", "nn.Bidirectional(nn.LSTM(8))"),
    ("nn.Regularized(nn.Dense(3), weights=nn.L2)", "did you mean nn.L2(...)?",
     "nn.Regularized(nn.Dense(3), weights=nn.L2(1e-4))"),
    ("nn.Regularized(nn.Dense(3), weights=0.1)", "for example nn.L2(1e-4)",
     "nn.Regularized(nn.Dense(3), weights=nn.L2(1e-4))"),
    ("made(nn.Dense(3), constraint=3)", "for example nn.MaxNorm(3)", "made(nn.Dense(3), constraint=nn.MaxNorm(3))"),
    ("made(nn.Dense(3), input_shape=4)", "for example (4,)", "made(nn.Dense(3), input_shape=(4,))"),
    ("made(nn.Dense(3)).predict(x)", "give Model(..., input_shape=(n,))",
     "made(nn.Dense(3), input_shape=(4,)).predict(x)"),
    ("nn.trace(nn.PositionEmbedding(4), pel.input('x', (5, 8)))", "use a length of at least 5",
     "nn.trace(nn.PositionEmbedding(5), pel.input('x', (5, 8)))"),
    ("nn.trace(nn.LSTM(4), pel.input('x', (5,)))", "nn.Reshape((-1, 1))",
     "nn.trace(nn.Sequential(nn.Reshape((-1, 1)), nn.LSTM(4)), pel.input('x', (5,)))"),
    ("fit(nn.Sequential(nn.Dense(8), nn.BatchNorm(), nn.Dense(3)), x, y, batch_size=1)",
     "a batch_size of 2 or more, better 16",
     "fit(nn.Sequential(nn.Dense(8), nn.BatchNorm(), nn.Dense(3)), x, y, batch_size=16)"),
    ("fit(nn.Sequential(nn.Dense(8), nn.BatchNorm(), nn.Dense(3)), x, y, batch_size=1)",
     "use nn.LayerNorm() in its place",
     "fit(nn.Sequential(nn.Dense(8), nn.LayerNorm(), nn.Dense(3)), x, y, batch_size=1)"),
    ("made(nn.Dense(3), input_shape=(4,)).predict_samples(x)", "put nn.Dropout(0.2)",
     "made(nn.Sequential(nn.Dense(3), nn.Dropout(0.2), nn.Dense(3)), input_shape=(4,)).predict_samples(x, 2)"),
    ("fit(two, x, x, 'mse')", "loss=(..., ...)", "fit(two, x, (x, x), ('mse', 'mse'))"),
    # ---- losses and metrics
    ("fit(nn.Dense(1), x, y % 2)", "or with this net loss='binary_cross_entropy'",
     "fit(nn.Dense(1), x, y % 2, 'binary_cross_entropy')"),
    ("fit(nn.Dense(3), x, y, 'mse')", "for class labels use loss='cross_entropy'",
     "fit(nn.Dense(3), x, y, loss='cross_entropy')"),
    ("fit(nn.Dense(3), x, y * 1.0)", "use y.astype(int)", "fit(nn.Dense(3), x, (y * 1.0).astype(int))"),
    ("fit(nn.Dense(3), x, values)", "loss='mse' if they are values", "fit(nn.Dense(1), x, values, loss='mse')"),
    ("made(nn.Dense(3), metrics='accuracy')", "['accuracy']", "made(nn.Dense(3), metrics=['accuracy'])"),
    ("made(nn.Dense(3), metrics=['roc_auc'], input_shape=(4,)).evaluate(x, y)", "use roc_auc_ovr or roc_auc_ovo",
     "made(nn.Dense(3), metrics=['roc_auc_ovr'], input_shape=(4,)).evaluate(x, y)"),
    ("made(nn.Dense(3), metrics=['f1'], input_shape=(4,)).evaluate(x, y)", "f1_macro",
     "made(nn.Dense(3), metrics=['f1_macro'], input_shape=(4,)).evaluate(x, y)"),
    # ---- optimizers and training
    ("optim.SGD(0.1, nesterov=True)", "for example momentum=0.9", "optim.SGD(0.1, nesterov=True, momentum=0.9)"),
    ("optim.SGD(0.1, ema_momentum=0.9)", "give that too", "optim.SGD(0.1, ema_momentum=0.9, use_ema=True)"),
    ("optim.Nadam(beta_1=0)", "without momentum use optim.Adam", "optim.Adam(beta_1=0)"),
    ("schedules.Cosine(0.1)", "give its length as epochs=", "schedules.Cosine(0.1, epochs=5)"),
    ("made(nn.Dense(3), 'cross_entropy', optim.LBFGS()).find_learning_rate(x, y)",
     "finds the length of its steps by itself",
     "made(nn.Dense(3), 'cross_entropy', optim.LBFGS()).fit(x, y, verbose=0)"),
    ("fit(nn.Dense(3), x, y, callbacks=[pel.EarlyStopping()])", "give fit validation_split or validation_data",
     "fit(nn.Dense(3), x, y, callbacks=[pel.EarlyStopping()], validation_split=0.2)"),
    ("fit(nn.Dense(3), x, y, callbacks=pel.EarlyStopping('loss'))", "callbacks=[EarlyStopping(...)]",
     "fit(nn.Dense(3), x, y, callbacks=[pel.EarlyStopping('loss')])"),
    ("fit(nn.Dense(3), x, y, callbacks=[pel.AverageWeights])", "did you forget the parentheses?",
     "fit(nn.Dense(3), x, y, callbacks=[pel.AverageWeights()])"),
    ("fit(nn.Dense(3), x, y, callbacks=[pel.AverageWeights(5)])", "give a start below 1, or more epochs",
     "fit(nn.Dense(3), x, y, callbacks=[pel.AverageWeights(0)]); fit(nn.Dense(3), x, y, "
     "callbacks=[pel.AverageWeights(5)], epochs=6)"),
    ("made(nn.Dense(3), input_shape=(4,)).predict_interval(x, level=95)", "for example 0.95",
     "made(nn.Sequential(nn.Dropout(0.2), nn.Dense(3)), input_shape=(4,)).predict_interval(x, level=0.95, samples=3)"),
    ("fit(nn.Dense(3), x, y, validation_data=(x, y), validation_split=0.1)", "not both",
     "fit(nn.Dense(3), x, y, validation_data=(x, y))"),
    ("fit(nn.Dense(1), x, values, 'mse', class_weight={0: 1})", "give sample_weight, one number a sample",
     "fit(nn.Dense(1), x, values, 'mse', sample_weight=np.ones(60))"),
    ("fit(nn.Dense(3), x, y, class_weight={0: 1, 1: 2})", "says nothing of class 2",
     "fit(nn.Dense(3), x, y, class_weight={0: 1, 1: 2, 2: 1})"),
    ("fit(nn.Dense(3), x, y, class_weight=[1, 1, 1])", "must be a dict or 'balanced'",
     "fit(nn.Dense(3), x, y, class_weight='balanced')"),
    # ---- samples
    ("made(nn.Dense(3), input_shape=(4,)).predict(x[0])", "x[None]",
     "made(nn.Dense(3), input_shape=(4,)).predict(x[0][None])"),
    ("made(conv, input_shape=(1, 8, 8)).predict(images[:, 0])", "x[:, None]",
     "made(conv, input_shape=(1, 8, 8)).predict(images[:, 0][:, None])"),
    ("made(conv, input_shape=(1, 8, 8)).predict(images.reshape(12, 64))", "x.reshape(-1, 1, 8, 8)",
     "made(conv, input_shape=(1, 8, 8)).predict(images.reshape(12, 64).reshape(-1, 1, 8, 8))"),
    ("made(conv, input_shape=(1, 8, 8)).predict(images.transpose(0, 2, 3, 1))", "x.transpose(0, 3, 1, 2)",
     "made(conv, input_shape=(1, 8, 8)).predict(images.transpose(0, 2, 3, 1).transpose(0, 3, 1, 2))"),
    ("fit(nn.Dense(3), iter(x), y)", "np.stack(list(x))", "fit(nn.Dense(3), np.stack(list(iter(x))), y)"),
    ("fit(nn.Dense(3), x + 1j, y)", "np.concatenate([x.real, x.imag], axis=-1)",
     "x = x + 1j; fit(nn.Dense(3), np.concatenate([x.real, x.imag], axis=-1), y)"),
    ("fit(nn.Dense(3), np.datetime64('2026-01-01') + np.arange(60)[:, None], y)",
     "(x - x.min()) / np.timedelta64(1, 'D')",
     "x = np.datetime64('2026-01-01') + np.arange(60)[:, None]; fit(nn.Dense(3), (x - x.min()) / np.timedelta64(1, "
     "'D'), y)"),
    ("fit(nn.Dense(3), np.arange(60)[:, None] * np.timedelta64(1, 'm'), y)", "x / np.timedelta64(1, 's')",
     "x = np.arange(60)[:, None] * np.timedelta64(1, 'm'); fit(nn.Dense(3), x / np.timedelta64(1, 's'), y)"),
    ("fit(nn.Dense(3), np.zeros(60, [('a', 'f4'), ('b', 'f4')]), y)",
     "numpy.lib.recfunctions.structured_to_unstructured(x)",
     "import numpy.lib.recfunctions; x = np.zeros(60, [('a', 'f4'), ('b', 'f4')])\n"
     "fit(nn.Dense(3), numpy.lib.recfunctions.structured_to_unstructured(x), y)"),
    ("fit(nn.Dense(3), np.ma.masked_less(x, 0), y)", "x.filled(0)",
     "fit(nn.Dense(3), np.ma.masked_less(x, 0).filled(0), y)"),
    ("fit(nn.Dense(3), np.array([['a', 'b']] * 60), y)", "sklearn.preprocessing.OrdinalEncoder or OneHotEncoder",
     "from sklearn.preprocessing import OrdinalEncoder, OneHotEncoder; x = np.array([['a', 'b']] * 60)\n"
     "fit(nn.Dense(3), OrdinalEncoder().fit_transform(x), y); fit(nn.Dense(3), "
     "OneHotEncoder().fit_transform(x).toarray(), y)"),
    ("import scipy.sparse; fit(nn.Dense(3), scipy.sparse.csr_matrix(x), y)", "what its toarray() gives",
     "import scipy.sparse; fit(nn.Dense(3), scipy.sparse.csr_matrix(x).toarray(), y)"),
    ("fit(nn.Dense(3), np.where(x > 2, np.nan, x), y)", "sklearn.impute.SimpleImputer",
     "from sklearn.impute import SimpleImputer; fit(nn.Dense(3), SimpleImputer().fit_transform(np.where(x > 2, "
     "np.nan, x)), y)"),
    ("fit(nn.Dense(3), x.astype(float) * 1e100, y)", "dtype='float64'",
     "made(nn.Dense(3), dtype='float64', input_shape=(4,)).predict(x.astype(float) * 1e100)"),
    ("fit(nn.LSTM(3), [[1.0, 2.0], [1.0]], [0, 1])", "pad them with pellucid.data.pad_sequences",
     "fit(nn.Sequential(nn.Masking(), nn.LSTM(3)), data.pad_sequences([[[1.0], [2.0]], [[1.0]]]), [0, 1])"),
    ("made(nn.Dense(3), input_shape=(4,)).layer_outputs(data.Buckets([[[1.0]]]))", "of pellucid.data.pad_sequences",
     "made(nn.LSTM(3), input_shape=(2, 1)).layer_outputs(data.pad_sequences([[[1.0], [2.0]]]))"),
    ("fit(nn.LSTM(3), data.Buckets([[[1.0]], [[2.0]]]), None)", "Buckets(x, y)",
     "fit(nn.LSTM(3), data.Buckets([[[1.0]], [[2.0]]], [0, 1]), None)"),
    ("fit(nn.Dense(3), x, y, augment=data.Augment(flip=True))", "pictures",
     "fit(nn.Sequential(nn.Flatten(), nn.Dense(3)), images, places, "
     "augment=data.Augment(flip=True))"),
    ("fit(nn.Dense(3), Loader(), y)", "model.fit(x, y, batch_size=32)", "fit(nn.Dense(3), x, y, batch_size=32)"),
    ("made(nn.Dense(3)).fit((x, y))", "did you mean (*x)", "made(nn.Dense(3)).fit(*(x, y), verbose=0)"),
    ("made(nn.Dense(3)).fit(data.split(x, y))", "such as x.train, and validation_data=x.validation",
     "x = data.split(x, y); made(nn.Dense(3)).fit(x.train, validation_data=x.validation, verbose=0)"),
    # ---- data
    ("data.split(x, np.arange(60) // 59, stratify=True)", "stratify=False",
     "data.split(x, np.arange(60) // 59, stratify=False)"),
    ("data.pad_sequences(['a text'])", "encode text first: pellucid.data.Vocabulary",
     "data.pad_sequences([data.Vocabulary(['a text']).encode('a text')])"),
    ("data.balance({0, 1})", "y = list(y)", "data.balance(list({0, 1}))"),
    ("data.mnist('.', 'validation')", "expected 'train' or 'test'", None),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:batch_size:UserWarning")
@pytest.mark.parametrize("wrong, said, then", ADVICE, ids=[f"{i}: {row[1]}"[:60] for i, row in enumerate(ADVICE)])
def test_advice_can_be_followed(wrong, said, then):
    with pytest.raises((ArgumentError, DataError, GraphError)) as error:
        exec(wrong, dict(SPACE))
    assert said in str(error.value)
    if then is not None:
        exec(then, dict(SPACE))
