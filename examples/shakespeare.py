"""A net learns to write like a text, a character at a time: python examples/shakespeare.py FILE [EPOCHS]"""

import sys
import time

import pellucid as pel
from pellucid import nn, optim, schedules

RATE = 0.008


def main(file: str, epochs: int = 15, units: int = 128) -> float:
    """Train on the first nine tenths, print a sample, and give the loss on the last tenth in nats a character."""
    text = pel.data.read_text(file)
    characters = pel.data.Vocabulary(text, special=())
    tokens = characters.encode(text)
    cut = len(tokens) * 9 // 10
    x, y = pel.data.windows(tokens[:cut], 50, shifted=True)  # for each character the one behind it
    held = pel.data.windows(tokens[cut:], 1000, shifted=True)

    net = nn.Sequential(
        nn.Embedding(len(characters), 64),
        nn.LSTM(units, return_sequences=True),
        nn.LSTM(units, return_sequences=True),
        nn.TimeDistributed(nn.Dense(len(characters))),
    )
    model = pel.Model(net, "cross_entropy", optim.Adam(schedules.Cosine(RATE, epochs=epochs)))
    start, start_cpu = time.perf_counter(), time.process_time()
    model.fit(x, y, batch_size=32, epochs=epochs, validation_data=held, verbose=2)
    took, took_cpu = time.perf_counter() - start, time.process_time() - start_cpu
    loss = model.evaluate(*held)["loss"]
    print(f"validation loss {loss:.4f} nats a character after {epochs} epochs, {took:.0f} s, {took_cpu:.0f} s of CPU\n")
    written = pel.decode.generate(model.stepper(), characters.encode(text[cut:][:100]), 500, temperature=0.8)
    print(characters.decode(written))
    return loss


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
