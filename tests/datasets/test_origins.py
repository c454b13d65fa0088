"""Sets that are not part of the package: asked for without their files, they say where these are."""

import re
from pathlib import Path

import numpy as np
import pytest

import pellucid as pel
from pellucid import DataError
from pellucid.data import origins

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text()


@pytest.mark.parametrize("call", [pel.data.mnist, lambda: pel.data.mnist("nowhere"), lambda: pel.data.mnist(".")])
def test_mnist_says_where_it_is_to_be_had(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"ossci-datasets\.s3\.amazonaws\.com/mnist/.*pel\.data\.mnist\('folder'\)"):
        call()


@pytest.mark.parametrize("call", [pel.data.cifar, lambda: pel.data.cifar("nowhere")])
def test_cifar_says_where_it_is_to_be_had(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"cs\.toronto\.edu/~kriz/cifar\.html.*cifar-10-binary\.tar\.gz"):
        call()


def test_the_files_that_are_named_are_read(tmp_path):
    """The names in the message, as they are distributed: gzipped."""
    import gzip

    names = re.findall(r"[\w-]+-idx\d-ubyte\.gz", origins.MNIST)
    assert len(names) == 4
    for name in names:
        array = np.ones((2, 3, 3) if "idx3" in name else (2,), np.uint8)
        header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        (tmp_path / name).write_bytes(gzip.compress(header + array.tobytes()))
    assert len(pel.data.mnist(tmp_path)) == len(pel.data.mnist(tmp_path, "test")) == 2


def test_the_page_says_the_same():
    for url in re.findall(r"https://[^\s;)]+", origins.MNIST + " " + origins.CIFAR):
        assert f"<{url}>" in PAGE, url
    for name in re.findall(r"[\w-]+\.(?:tar\.)?gz", f"{origins.MNIST} {origins.CIFAR}"):
        assert f"`{name}`" in PAGE, name
    assert "pel.data.digits()" in PAGE and pel.data.digits().x.shape == (1797, 64)
