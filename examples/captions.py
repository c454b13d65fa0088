"""Captions for pictures of two digits: python examples/captions.py FOLDER [EPOCHS], with MNIST's four files in FOLDER.

A convolutional net looks at the picture, and what it makes of it is the first state of an LSTM, which writes the words
(Vinyals et al., "Show and tell", 2015). Each picture has two true captions, "a seven above a two" and "a two below a
seven"; in training it has one of them, drawn at random, and for the result either counts.
"""

import sys
import time

import numpy as np

import pellucid as pel
from pellucid import nn, optim, schedules

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RELATIONS = (("above", "below"), ("left of", "right of"))  # of the first digit to the second, and back
SIZE, DIGIT = 56, 28
WORDS = pel.data.Vocabulary(["a an", *NAMES, *(r for pair in RELATIONS for r in pair)], level="words")
LONGEST = 6  # words: a one left of a two


def pictures(digits, n: int, seed: int) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """n pictures (1, 56, 56) of two digits in one of two relations, and the two captions of each."""
    random = np.random.default_rng(seed)
    found, captions = np.zeros((n, 1, SIZE, SIZE), "uint8"), []
    for picture in found:
        first, second = random.integers(len(digits.x), size=2)
        sideways = random.integers(2)
        shifts = random.integers(DIGIT // 4, 3 * DIGIT // 4 + 1, size=2)  # across, so little that above is not left of
        for k, i in enumerate((first, second)):
            corner = (shifts[k], k * DIGIT) if sideways else (k * DIGIT, shifts[k])
            place = picture[0, corner[0] :, corner[1] :][:DIGIT, :DIGIT]
            place[:] = digits.x[i].reshape(DIGIT, DIGIT) * 255
        one, two = ("an eight" if digits.y[i] == 8 else f"a {NAMES[digits.y[i]]}" for i in (first, second))
        there, back = RELATIONS[sideways]
        captions.append((f"{one} {there} {two}", f"{two} {back} {one}"))
    return found, captions


def convolution(channels: int) -> list:
    return [nn.Conv(channels, 3, padding="same", bias=False), nn.BatchNorm(), nn.relu, nn.MaxPool(2)]


def captioner(units: int):
    """A net of two inputs: a picture of bytes, and the word before each word of its caption."""
    eye = nn.Sequential(*convolution(16), *convolution(32), *convolution(64), nn.Flatten(),
                        nn.Dense(256, bias=False), nn.BatchNorm(), nn.relu, nn.Dense(2 * units))  # fmt: skip
    embedding, writer = nn.Embedding(len(WORDS), 32), nn.LSTM(units, return_sequences=True)
    head = nn.TimeDistributed(nn.Dense(len(WORDS)))

    def net(picture, words):
        state = eye(picture)
        return head(writer(embedding(words), state[:units], state[units:]))

    return net


def captions_of(model: pel.Model, seen: np.ndarray) -> list[str]:
    """What the net writes below each picture: always the likeliest word, until the end."""
    stepper = model.stepper(moving="words")
    stepper.reset(picture=seen)
    start = np.full((len(seen), 1), WORDS.start)
    found = pel.decode.generate(stepper, start, LONGEST + 1, temperature=0, end=WORDS.end, go_on=True)
    return [WORDS.decode(row) for row in found]


def main(folder: str, epochs: int = 5, n: int = 20000, units: int = 128) -> float:
    """Train, and give the part of pictures, of digits that were not seen, whose caption is true word for word."""
    train, test = (pel.data.mnist(folder, part, images=True) for part in ("train", "test"))
    seen, captions = pictures(train, n, seed=0)
    said = np.random.default_rng(1).integers(2, size=n)
    words = pel.data.pad_sequences(
        [WORDS.encode(pair[k], start=True, end=True) for pair, k in zip(captions, said, strict=True)]
    )
    following = np.where(words == WORDS.padding, -1, words)[:, 1:]
    rate = schedules.Step(0.002, 0.5, epochs=1)
    model = pel.Model(captioner(units), nn.CrossEntropy(ignore_class=-1), optim.Adam(rate))
    start, cpu = time.perf_counter(), time.process_time()
    model.fit({"picture": seen, "words": words[:, :-1]}, following, epochs=epochs)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu

    unseen, true = pictures(test, 2000, seed=2)
    written = captions_of(model, unseen)
    exact = float(np.mean([caption in both for caption, both in zip(written, true, strict=True)]))
    for caption, both in list(zip(written, true, strict=True))[:8]:
        print(f"{caption:30s} {'right' if caption in both else 'wrong: ' + both[0]}")
    print(f"captions without an error: {exact:.4f}; {seconds:.0f} s, {cpu:.0f} s of processor time")
    return exact


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
