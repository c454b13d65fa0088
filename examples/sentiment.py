"""Do they like the film? python examples/sentiment.py FOLDER [EPOCHS], with the rt-polarity sentences in FOLDER.

Filters over three, four and five words look for phrases, and the strongest answer of each counts, wherever it is (Kim,
"Convolutional neural networks for sentence classification", EMNLP 2014). With 9,000 sentences a net soon knows them by
heart: half of what goes in and out of the filters is dropped, and a tenth that was not learnt says when to stop.
"""

import sys
import time
from pathlib import Path

import numpy as np

import pellucid as pel
from pellucid import nn, optim

CLASSES = ("neg", "pos")


def read(folder: str | Path, most: int | None) -> pel.data.Dataset:
    """The sentences, words with spaces between them, and their classes."""
    parts = [pel.data.read_text(Path(folder) / f"rt-polarity.{c}").strip().split("\n")[:most] for c in CLASSES]
    return pel.data.Dataset(np.concatenate(parts), np.repeat([0, 1], [len(part) for part in parts]), CLASSES)


def convolutions(words: int, units: int = 128, filters: int = 32) -> nn.Sequential:
    branches = [nn.Sequential(nn.Conv1D(filters, n, padding="same"), nn.relu, nn.GlobalMaxPool1D()) for n in (3, 4, 5)]
    return nn.Sequential(
        nn.Embedding(words, units, padding_index=0),
        nn.Dropout(0.5),
        nn.Concatenate(*branches),
        nn.Dropout(0.5),
        nn.Dense(2),
    )


def main(folder: str | Path, epochs: int = 10, seed: int = 0, most: int | None = None) -> float:
    """Train on four fifths, and give the accuracy on a tenth that was seen neither in training nor to stop it."""
    learnt, test = read(folder, most).split(0.1, seed)
    train, validation = learnt.split(1 / 9, seed)
    vocabulary = pel.data.Vocabulary(map(str.split, train.x), level="words", min_count=2, special=("<pad>", "<unk>"))

    def buckets(data: pel.data.Dataset, boundaries=None) -> pel.data.Buckets:
        return pel.data.Buckets([vocabulary.encode(text.split()) for text in data.x], data.y, boundaries)

    known = buckets(train)
    others = buckets(validation, known.boundaries), buckets(test, known.boundaries)
    model = pel.Model(
        convolutions(len(vocabulary)), "cross_entropy", optim.Adam(0.001), metrics=["accuracy"], seed=seed
    )
    start = time.perf_counter()
    model.fit(known, epochs=epochs, validation_data=others[0], callbacks=[pel.EarlyStopping(patience=2)], verbose=2)
    accuracy = model.evaluate(others[1])["accuracy"]
    for text, probabilities in zip(test.x[:5], model.predict(others[1]), strict=False):
        print(f"{probabilities[1]:.2f} positive: {text}")
    print(f"test accuracy {accuracy:.4f}, {time.perf_counter() - start:.0f} s")
    return accuracy


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
