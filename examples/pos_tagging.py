"""Which words are nouns, verbs, ...: python examples/pos_tagging.py FOLDER [EPOCHS], with the UD English EWT treebank.

A word is seen as itself and by its letters: the first one, the last two, the last three. So words that were never seen
have an ending and perhaps a capital letter. A bidirectional LSTM sees the words before and after.
"""

import sys
import time
from pathlib import Path

import numpy as np

import pellucid as pel
from pellucid import nn, optim

Sentences = list[tuple[list[str], list[str]]]  # words and tags of each

VIEWS = {"word": str.lower, "first": lambda w: w[:1], "last two": lambda w: w[-2:], "last three": lambda w: w[-3:]}
UNITS = {"word": 64, "first": 16, "last two": 32, "last three": 32}


def seen(sentences: Sentences, view: str) -> list[list[str]]:
    return [[VIEWS[view](word) for word in words] for words, _ in sentences]


def tagger(vocabularies: dict[str, pel.data.Vocabulary], tags: int):
    """A net of the views' numbers, each (T,), to (T, tags)."""
    tables = [nn.Embedding(len(v), UNITS[view], padding_index=0, name=view) for view, v in vocabularies.items()]
    body = nn.Sequential(
        nn.Dropout(0.3), nn.Bidirectional(nn.LSTM(64, return_sequences=True)), nn.Dropout(0.3),
        nn.TimeDistributed(nn.Dense(tags)), name="tagger",
    )  # fmt: skip

    def net(*views):
        vectors = [table(view) for table, view in zip(tables, views, strict=True)]
        together = nn.with_mask(pel.ops.concatenate(vectors, -1), nn.mask_of(vectors[0]))  # (T, 144)
        return body(together)

    return net


def main(folder: str | Path, epochs: int = 6, most: int | None = None) -> float:
    """Train, on the first ``most`` sentences if that is given, and give the share of test words with the right tag."""
    files = [Path(folder) / f"en_ewt-ud-{part}.conllu.gz" for part in ("train", "dev", "test")]
    train, dev, test = map(pel.data.read_conllu, files)
    train = train[:most]
    special = ("<pad>", "<unk>")
    vocabularies = {
        view: pel.data.Vocabulary(seen(train, view), level="words", min_count=2, special=special) for view in VIEWS
    }
    tags = pel.data.Vocabulary([t for _, t in train], level="words", special=())

    def buckets(sentences: Sentences, boundaries=None) -> pel.data.Buckets:
        x = tuple([v.encode(words) for words in seen(sentences, view)] for view, v in vocabularies.items())
        return pel.data.Buckets(x, [tags.encode(t) for _, t in sentences], boundaries=boundaries)

    known = buckets(train)
    model = pel.Model(
        tagger(vocabularies, len(tags)), nn.CrossEntropy(ignore_class=-1), optim.Adam(0.003), metrics=["accuracy"]
    )
    start = time.perf_counter()
    model.fit(known, epochs=epochs, validation_data=buckets(dev, known.boundaries), verbose=2)
    seconds = time.perf_counter() - start

    found = [[tags.tokens[i] for i in p.argmax(-1)] for p in model.predict(buckets(test, known.boundaries))]
    right = np.concatenate([np.equal(f, t) for f, (_, t) in zip(found, test, strict=True)])
    print(" ".join(f"{word}/{tag}" for word, tag in zip(test[0][0], found[0], strict=True)))
    print(f"test accuracy {right.mean():.4f} of {len(right)} words after {epochs} epochs, {seconds:.0f} s")
    return float(right.mean())


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
