"""Where sets that are not part of the package come from: said when they are asked for without their files."""

from __future__ import annotations

from os import PathLike

from ..errors import DataError

MNIST = (
    "the four files train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and "
    "t10k-labels-idx1-ubyte.gz are at https://ossci-datasets.s3.amazonaws.com/mnist/ (Fashion-MNIST's, of the same "
    "names: https://github.com/zalandoresearch/fashion-mnist); put them into one folder: pel.data.mnist('folder'). "
    "pel.data.digits() needs no file"
)
CIFAR = (
    "cifar-10-binary.tar.gz and cifar-100-binary.tar.gz are at https://www.cs.toronto.edu/~kriz/cifar.html (the binary "
    "version): pel.data.cifar('cifar-10-binary.tar.gz'). pel.data.digits() needs no file"
)


def given(path: str | PathLike[str] | None, caller: str, origin: str) -> str | PathLike[str]:
    """The path, or the `DataError` that says where the files are to be had."""
    if path is None:
        raise DataError(f"{caller}: the data is not part of the package; {origin}")
    return path
