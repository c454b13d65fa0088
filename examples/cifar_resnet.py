"""A small ResNet learns 10,000 of CIFAR-10's pictures: python examples/cifar_resnet.py FILE.npz [EPOCHS]"""

import sys
import time

import pellucid as pel
from pellucid import optim, schedules
from pellucid.nn import zoo


def main(file: str, epochs: int = 60) -> float:
    """Train with flipped and shifted pictures, and give the accuracy on pictures that were not seen."""
    train, test = pel.data.cifar(file), pel.data.cifar(file, "test")
    rate = schedules.Piecewise((0.1, 0.01, 0.001), epochs=(0.7 * epochs, 0.9 * epochs))
    model = pel.Model(zoo.resnet_cifar(20), "cross_entropy", optim.SGD(rate, momentum=0.9), metrics=["accuracy"])
    start = time.perf_counter()
    model.fit(train.x, train.y, batch_size=64, epochs=epochs, verbose=2,
              augment=pel.data.Augment(flip=True, shift=4))  # fmt: skip
    accuracy = model.evaluate(test.x, test.y)["accuracy"]
    print(f"test accuracy {accuracy:.4f} after {epochs} epochs, {time.perf_counter() - start:.0f} s")
    return accuracy


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
