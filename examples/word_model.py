"""A net learns to write like a text, a word at a time: python examples/word_model.py FILE [EPOCHS]

Embedding, LSTM, and an output layer that shares its weights with the embedding: the scores of the next word are E h + b
with the table E of the embedding (tied weights: Press and Wolf, EACL 2017). On tinyshakespeare, whose last tenth is the
test and the tenth before it the validation, the perplexity, exp of the mean loss a word, is

                                                       validation   test
    by how often each word occurs                           215.9  176.2
    by how often after the word before it (bigrams)         101.8   92.1
    by this net after 10 epochs, 180 s of CPU                71.6   67.8
"""

import re
import sys
import time
from functools import partial

import numpy as np

import pellucid as pel
from pellucid import nn, ops, optim, schedules

WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]|\n")  # a line's end is a word, too
UNKNOWN = 0


class Tied(nn.Layer):
    """Tokens (T,) to the scores of the next word, (T, rows): E h + b, with E both the embedding and the output."""

    rows: int
    units: int
    inner: nn.Layer  # (T, units) to h (T, units)

    def __call__(self, tokens):
        table = self.param("weight", (self.rows, self.units), partial(nn.init.normal, size=0.1))
        bias = self.param("bias", (self.rows,), nn.init.zeros)
        return ops.contract(self.inner(ops.take(table, tokens)), table, "tu,vu->tv") + bias

    def by_step(self, *inputs):
        """Whether the net can go word by word: yes, what it keeps is kept by the layers within."""
        return True


def perplexities(tokens, test, rows, discount=0.75):
    """Of single words, and of pairs: p(w | v) = max(n(v w) - d, 0) / n(v) + d kinds(v) / n(v) * p(w).

    Absolute discounting (Ney, Essen and Kneser, 1994); kinds(v) is how many different words follow v, and p(w) has 1
    added to each count, so that nothing has the chance 0.
    """
    single = (np.bincount(tokens, minlength=rows) + 1) / (len(tokens) + rows)
    pairs, counts = np.unique(tokens[:-1].astype(np.int64) * rows + tokens[1:], return_counts=True)
    before = np.bincount(tokens[:-1], minlength=rows)
    kinds = np.bincount(pairs // rows, minlength=rows)
    v, w = test[:-1].astype(np.int64), test[1:]
    place = np.minimum(np.searchsorted(pairs, v * rows + w), len(pairs) - 1)
    count = np.where(pairs[place] == v * rows + w, counts[place], 0)
    n = np.maximum(before[v], 1)
    p = np.where(before[v] > 0, np.maximum(count - discount, 0) / n + discount * kinds[v] / n * single[w], single[w])
    return tuple(float(np.exp(-np.log(q).mean())) for q in (single[w], p))


def main(file: str, epochs: int = 10, units: int = 128, batch_size: int = 32) -> dict[str, tuple[float, float]]:
    """Train, print a sample and a table; the perplexities on validation and test by name."""
    words = [word.lower() for word in WORD.findall(pel.data.read_text(file))]
    first, second = len(words) * 8 // 10, len(words) * 9 // 10
    vocabulary = pel.data.Vocabulary([words[:first]], level="words", min_count=2, special=("<unk>",))
    tokens = vocabulary.encode(words)
    parts = tokens[first:second], tokens[second:]
    print(f"{len(words):,} words, {len(vocabulary):,} different ones; {np.mean(parts[1] == UNKNOWN):.1%} of the test's "
          "are others, which all count as <unk>")  # fmt: skip
    simple = zip(*(perplexities(tokens[:first], part, len(vocabulary)) for part in parts), strict=True)
    found = dict(zip(("single words", "bigrams"), simple, strict=True))

    inner = nn.Sequential(nn.Dropout(0.4), nn.LSTM(units, return_sequences=True), nn.Dropout(0.4))
    net = Tied(len(vocabulary), units, inner)
    model = pel.Model(net, "cross_entropy", optim.Adam(schedules.Cosine(0.004, epochs=epochs)))
    x, y = pel.data.windows(tokens[:first], 35, shifted=True)  # for each word the one behind it
    validation, test = (pel.data.windows(part, min(200, len(part) - 1), shifted=True) for part in parts)
    start = time.process_time()
    model.fit(x, y, batch_size=batch_size, epochs=epochs, validation_data=validation, verbose=2)
    took = time.process_time() - start
    found["LSTM"] = tuple(float(np.exp(model.evaluate(*part)["loss"])) for part in (validation, test))

    written = pel.decode.generate(Sure(model.stepper()), tokens[second - 30 : second], 150, temperature=0.8)
    print(re.sub(r" *\n *", "\n", re.sub(r" ([,.:;!?])", r"\1", vocabulary.decode(written))))
    print(f"\nperplexity after {epochs} epochs, {took:.0f} s of CPU: validation, test")
    for name, (valid, tested) in found.items():
        print(f"{name:14} {valid:8.1f} {tested:8.1f}")
    return found


class Sure:
    """A stepper that never writes <unk>."""

    def __init__(self, stepper):
        self.stepper, self.reset, self.select = stepper, stepper.reset, stepper.select

    def __call__(self, tokens):
        p = self.stepper(tokens).copy()
        p[:, UNKNOWN] = 0
        return p / p.sum(1, keepdims=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
