"""LeNet-5 learns MNIST's digits: python examples/mnist_lenet.py FOLDER [EPOCHS], with MNIST's four files in FOLDER."""

import sys
import time

import pellucid as pel
from pellucid import optim, schedules
from pellucid.nn import zoo

RATE = schedules.Step(0.002, 0.7, epochs=1)  # times 0.7 after every epoch


def main(folder: str, epochs: int = 10) -> float:
    """Train, and give the accuracy on the test images."""
    train, test = (pel.data.mnist(folder, part, images=True) for part in ("train", "test"))
    model = pel.Model(zoo.lenet5(size=28, modern=True), "cross_entropy", optim.Adam(RATE), metrics=["accuracy"])
    start = time.perf_counter()
    model.fit(train.x, train.y, batch_size=64, epochs=epochs, augment=pel.data.Augment(shift=1))
    accuracy = model.evaluate(test.x, test.y)["accuracy"]
    print(f"test accuracy {accuracy:.4f} after {epochs} epochs, {time.perf_counter() - start:.1f} s")
    return accuracy


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
