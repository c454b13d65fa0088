"""English into German, with attention: python examples/translation.py FOLDER [MINUTES], with Multi30k's files there.

Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align and translate", ICLR 2015; here the
decoder runs first and then looks at the source, as in Luong, Pham and Manning, EMNLP 2015. Needs
pip install 'pellucid[text]' sacrebleu.
"""

import sys
import time
from functools import partial

import numpy as np
import sacrebleu

import pellucid as pel
from pellucid import data, nn, ops, optim


class Translator:
    """Learns from pairs of sentences, those of at most ``lengths[-1]`` pieces of words, and translates."""

    def __init__(self, pairs: list[tuple[str, str]], pieces: int, units: int, lengths: tuple[int, ...]) -> None:
        english, german = zip(*pairs, strict=True)
        self.english, self.german = data.BytePairs(english, pieces), data.BytePairs(german, pieces)
        self.lengths = lengths
        loss = nn.CrossEntropy(label_smoothing=0.1, ignore_class=-1)
        self.model = pel.Model(self.net(units), loss, optim.Adam(0.006))

    def net(self, units: int):
        """A sentence, and its translation so far at each step, to logits of the next piece."""
        table = partial(nn.init.normal, size=1)

        def net(source, target):
            x = nn.Embedding(len(self.english), units, padding_index=0, weight_init=table, name="english")(source)
            encoder = nn.Bidirectional(nn.GRU(units, return_sequences=True, return_state=True), name="encoder")
            memory, *ends = encoder(nn.Dropout(0.2)(x))  # (S, 2 units), and two of (units,)
            first = nn.tanh(nn.Dense(units, name="first")(ops.concatenate(ends)))

            y = nn.Embedding(len(self.german), units, weight_init=table, name="german")(target)
            y = nn.GRU(units, return_sequences=True, name="decoder")(nn.Dropout(0.2)(y), first)  # (T, units)
            seen = nn.AdditiveAttention(units, name="attention")(y, memory)  # (T, 2 units)
            both = nn.TimeDistributed(nn.Dense(units), name="both")(ops.concatenate([y, seen], -1))
            return nn.TimeDistributed(nn.Dense(len(self.german)), name="pieces")(nn.Dropout(0.2)(nn.tanh(both)))

        return net

    def buckets(self, pairs: list[tuple[str, str]]) -> data.Buckets:
        """Sentences as numbers; at each step the decoder gets one piece of the translation, and is to say the next."""
        coded = [(self.english.encode(e), self.german.encode(g, start=True, end=True)) for e, g in pairs]
        coded = [(e, g) for e, g in coded if max(len(e), len(g) - 1) <= self.lengths[-1]]
        x = {"source": [e for e, _ in coded], "target": [g[:-1] for _, g in coded]}
        return data.Buckets(x, [g[1:] for _, g in coded], boundaries=self.lengths, batch_size=64)

    def translate(self, sentences: list[str], beams: int = 4) -> list[str]:
        """The likeliest translations that a beam search finds."""
        stepper, found = self.model.stepper(moving="target"), []
        options = {"beams": beams, "end": self.german.end, "length_penalty": 1.0, "go_on": True}
        for source in self.sources(sentences):
            stepper.reset(source=source[None])
            best, *_ = pel.decode.beam_search(stepper, [self.german.start], self.lengths[-1], **options)
            found.append(self.german.decode(best[0]))
        return found

    def attention(self, sentence: str, translation: str) -> tuple[list[str], list[str], np.ndarray]:
        """The words of both, and how much each word of the translation looked at each of the sentence, (T, S)."""
        source, target = self.sources([sentence]), self.german.encode(translation, start=True, end=True)
        outputs = self.model.layer_outputs({"source": source, "target": target[None, :-1]})
        starts, words = self.words(self.english, source[source > 0])
        target_starts, target_words = self.words(self.german, target[1:])
        weights = outputs["attention.weights"][0][:, : np.count_nonzero(source)]
        weights = np.add.reduceat(np.add.reduceat(weights, starts, 1), target_starts, 0)
        return words, target_words, weights / weights.sum(1, keepdims=True)

    def sources(self, sentences: list[str]) -> np.ndarray:
        return data.pad_sequences([self.english.encode(s) for s in sentences], self.lengths[-1], truncate="after")

    def words(self, tokenizer: data.BytePairs, numbers: np.ndarray) -> tuple[list[int], list[str]]:
        """Where words begin, in the pieces of a text, and the words: a piece that is no letters begins a new one."""
        pieces = [tokenizer.tokens[i] for i in numbers]
        starts = [i for i, piece in enumerate(pieces) if i == 0 or not piece[0].isalpha()]
        return starts, ["".join(pieces[a:b]).strip() for a, b in zip(starts, [*starts[1:], len(pieces)], strict=True)]


class Falling(pel.Callback):
    """A learning rate that falls to 0 within some minutes, after which training ends."""

    def __init__(self, minutes: float) -> None:
        self.seconds = 60 * minutes

    def on_train_begin(self, logs=None) -> None:
        self.start, self.first = time.perf_counter(), self.model.learning_rate

    def on_epoch_end(self, epoch, logs=None) -> None:
        left = 1 - (time.perf_counter() - self.start) / self.seconds
        self.model.learning_rate = self.first * max(left, 1e-6)
        self.model.stop_training = left <= 0


def main(folder, minutes=12.0, pieces=2000, units=128, lengths=(16, 22, 30, 40)) -> tuple[float, Translator]:
    """Train, and give the BLEU score on the test sentences of 2016, and the translator."""
    train, valid, test = (
        data.read_pairs(f"{folder}/{part}.en.gz", f"{folder}/{part}.de.gz")
        for part in ("train", "val", "test_2016_flickr")
    )
    translator = Translator(train, pieces, units, lengths)
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
    print(f"test_2016_flickr: {bleu}\nafter {translator.model.epochs} epochs, {took}\n")
    for texts in list(zip(sources, found, references, strict=True))[:5]:
        print(*texts, "", sep="\n")
    show(*translator.attention(sources[0], found[0]))
    return bleu.score, translator


def show(words: list[str], translated: list[str], weights: np.ndarray) -> None:
    """A row for each word of the translation: where it looked, in percent."""
    margin = max(map(len, translated))
    print(" " * margin, *(f"{word:>3}" for word in words))
    for word, row in zip(translated, weights, strict=True):
        print(f"{word:{margin}}", *(f"{100 * w:{max(len(of), 3)}.0f}" for w, of in zip(row, words, strict=True)))


if __name__ == "__main__":
    main(sys.argv[1], *map(float, sys.argv[2:]))
