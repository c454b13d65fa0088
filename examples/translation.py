"""English into German, with attention: python examples/translation.py FOLDER [MINUTES], with Multi30k's files in FOLDER.

Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align and translate", ICLR 2015, with the
attention after the decoder, as in Luong, Pham and Manning, EMNLP 2015. Needs pip install pellucid[text] sacrebleu.
"""

import sys
import time
from functools import partial

import numpy as np
import sacrebleu

import pellucid as pel
from pellucid import data, nn, ops, optim

LONGEST = 40  # pieces of words in a sentence


class Translator:
    """A model that learns from pairs of sentences, and translates."""

    def __init__(self, pairs: list[tuple[str, str]], pieces: int, units: int) -> None:
        english, german = zip(*pairs, strict=True)
        self.english, self.german = data.BytePairs(english, pieces), data.BytePairs(german, pieces)
        loss = nn.CrossEntropy(label_smoothing=0.1, ignore_class=-1)
        self.model = pel.Model(self.net(units), loss, optim.Adam(0.006))

    def net(self, units: int):
        """Encoder, decoder and attention: what was said so far, and the source, to logits of the next piece."""
        table = partial(nn.init.normal, size=1)

        def each_step(layer):
            return nn.TimeDistributed(layer)

        def net(source, target):
            x = nn.Embedding(len(self.english), units, padding_index=0, weight_init=table, name="english")(source)
            encoder = nn.Bidirectional(nn.GRU(units, return_sequences=True, return_state=True), name="encoder")
            memory, forward, backward = encoder(nn.Dropout(0.2)(x))  # (S, 2 units), (units,), (units,)
            first = nn.Dense(units, name="first")(ops.concatenate([forward, backward]))

            y = nn.Embedding(len(self.german), units, weight_init=table, name="german")(target)
            y = nn.GRU(units, return_sequences=True, name="decoder")(nn.Dropout(0.2)(y), nn.tanh(first))  # (T, units)
            context = nn.AdditiveAttention(units, name="attention")(y, memory)  # (T, 2 units)
            y = nn.tanh(each_step(nn.Dense(units, name="both"))(ops.concatenate([y, context], -1)))
            return each_step(nn.Dense(len(self.german), name="pieces"))(nn.Dropout(0.2)(y))

        return net

    def buckets(self, pairs: list[tuple[str, str]]) -> data.Buckets:
        """Sentences as numbers; the decoder sees a translation up to each piece, and is to say the next one."""
        coded = [(self.english.encode(e), self.german.encode(g, start=True, end=True)) for e, g in pairs]
        coded = [(e, g) for e, g in coded if len(e) <= LONGEST and len(g) <= LONGEST]
        x = {"source": [e for e, _ in coded], "target": [g[:-1] for _, g in coded]}
        return data.Buckets(x, [g[1:] for _, g in coded], boundaries=[16, 22, 30, LONGEST], batch_size=64)

    def translate(self, sentences: list[str], beams: int = 4) -> list[str]:
        """The likeliest translations that a beam search finds."""
        stepper, found = self.model.stepper(moving="target"), []
        for source in self.sources(sentences):
            stepper.reset(source=source[None])
            start, end = [self.german.start], self.german.end
            best = pel.decode.beam_search(stepper, start, LONGEST, beams=beams, end=end, length_penalty=1.0, go_on=True)
            found.append(self.german.decode(best[0][0]))
        return found

    def attention(self, sentence: str, translation: str) -> tuple[list[str], list[str], np.ndarray]:
        """Pieces of a sentence, those of its translation, and where the latter looked: (T, S), rows of sum 1."""
        source, target = self.sources([sentence]), self.german.encode(translation, start=True, end=True)[None]
        outputs = self.model.layer_outputs({"source": source, "target": target[:, :-1]})
        names = [[t.tokens[i] for i in n if i] for t, n in ((self.english, source[0]), (self.german, target[0, 1:]))]
        return *names, outputs["attention.weights"][0][:, : len(names[0])]

    def sources(self, sentences: list[str]) -> np.ndarray:
        return data.pad_sequences([self.english.encode(s) for s in sentences], LONGEST, truncate="after")


class Falling(pel.Callback):
    """A learning rate that falls to 0 within some minutes, after which training ends."""

    def __init__(self, minutes: float) -> None:
        self.seconds = 60 * minutes

    def on_train_begin(self, logs=None) -> None:
        self.start, self.first = time.perf_counter(), self.model.state["optimizer.learning_rate"]

    def on_epoch_end(self, epoch, logs=None) -> None:
        left = 1 - (time.perf_counter() - self.start) / self.seconds
        self.model.state["optimizer.learning_rate"] = self.first * np.float32(max(left, 0))
        self.model.stop_training = left <= 0


def main(folder: str, minutes: float = 12, sentences: int | None = None, pieces: int = 2000, units: int = 128):
    """Train, and give the BLEU score on the test sentences of 2016; ``sentences``: use so many of each file alone."""
    train, valid, test = (
        data.read_pairs(f"{folder}/{part}.en.gz", f"{folder}/{part}.de.gz")[:sentences]
        for part in ("train", "val", "test_2016_flickr")
    )
    translator = Translator(train, pieces, units)
    start, busy = time.perf_counter(), time.process_time()
    translator.model.fit(
        translator.buckets(train),
        epochs=1000,
        validation_data=translator.buckets(valid),
        callbacks=[Falling(minutes)],
        verbose=2,
    )
    took = f"{(time.perf_counter() - start) / 60:.1f} minutes, {(time.process_time() - busy) / 60:.1f} of a processor"
    sources, references = zip(*test, strict=True)
    found = translator.translate(sources)
    bleu = sacrebleu.corpus_bleu(found, [references])
    print(f"{bleu}\nafter {took}\n")
    for texts in list(zip(sources, found, references, strict=True))[:5]:
        print(*texts, "", sep="\n")
    show(*translator.attention(sources[1], found[1]))
    return bleu.score, translator


def show(source: list[str], target: list[str], weights: np.ndarray) -> None:
    """A row for each piece of the translation: where it looked, in percent."""
    width = max(map(len, source))
    print(" " * width, *(f"{piece.strip():>{width}}" for piece in source))
    for piece, row in zip(target, weights, strict=True):
        print(f"{piece.strip():{width}}", *(f"{100 * weight:{width}.0f}" for weight in row))


if __name__ == "__main__":
    main(sys.argv[1], *map(float, sys.argv[2:]))
