"""CIFAR's files and pictures as bytes: those that are well made, and each way in which they may not be."""

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pellucid import ArgumentError, data
from pellucid.data import DataError

RNG = np.random.default_rng(0)
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def records(labels, columns=1):
    """Pictures (n, 3, 32, 32) and the bytes of CIFAR's binary version."""
    labels = np.array(labels, np.uint8).reshape(len(labels), columns)
    pixels = RNG.integers(0, 256, (len(labels), 3, 32, 32)).astype(np.uint8)
    return pixels, np.concatenate([labels, pixels.reshape(len(labels), -1)], axis=1).tobytes()


def fails(call, *parts):
    with pytest.raises((ArgumentError, DataError)) as caught:
        call()
    for part in parts:
        assert str(part) in str(caught.value), f"{part!r} is not in: {caught.value}"


@pytest.fixture
def ten(tmp_path):
    """CIFAR-10 of two pictures a file, and all its training pictures."""
    parts = []
    for i in range(1, 6):
        pixels, content = records([i, i + 1])
        (tmp_path / f"data_batch_{i}.bin").write_bytes(content)
        parts.append(pixels)
    (tmp_path / "test_batch.bin").write_bytes(records([9])[1])
    (tmp_path / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")
    return tmp_path, np.concatenate(parts)


def test_cifar_10(ten):
    folder, pixels = ten
    train = data.cifar(folder, dtype="uint8")
    np.testing.assert_array_equal(train.x, pixels)
    assert train.y.tolist() == [1, 2, 2, 3, 3, 4, 4, 5, 5, 6] and train.y.dtype == np.int64
    assert train.class_names == tuple("abcdefghij") and train.name == "cifar train"
    scaled = data.cifar(str(folder)).x
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, pixels / np.float32(255))
    assert data.cifar(folder, "test").y.tolist() == [9]


def test_cifar_100(tmp_path):
    pixels, content = records([[3, 70], [19, 99]], 2)
    (tmp_path / "train.bin").write_bytes(content)
    fine = data.cifar(tmp_path, dtype="uint8")
    np.testing.assert_array_equal(fine.x, pixels)
    assert fine.y.tolist() == [70, 99] and len(fine.class_names) == 100
    coarse = data.cifar(tmp_path, coarse=True)
    assert coarse.y.tolist() == [3, 19] and len(coarse.class_names) == 20
    fails(lambda: data.cifar(tmp_path, "test"), tmp_path, "neither test_batch.bin nor test.bin")


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_cifar_from_its_archive(ten, tmp_path_factory, mode):
    folder, pixels = ten
    path = tmp_path_factory.mktemp("archive") / "cifar-10-binary.tar.gz"
    with tarfile.open(path, mode) as archive:
        archive.add(folder, "cifar-10-batches-bin")
    np.testing.assert_array_equal(data.cifar(path, dtype="uint8").x, pixels)
    if mode == "w:gz":
        path.write_bytes(path.read_bytes()[:5000])
        fails(lambda: data.cifar(path), path, "damaged gzip file")


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1)])
def test_cifar_from_arrays(tmp_path, axes):
    pixels, _ = records([0, 4, 2])
    names = np.array(["one", "two", "three", "four", "five"])
    np.savez(tmp_path / "c.npz", x_train=pixels.transpose(axes), y_train=np.array([[0], [4], [2]]), class_names=names)
    found = data.cifar(tmp_path / "c.npz", dtype="uint8")
    np.testing.assert_array_equal(found.x, pixels)
    assert found.x.flags.c_contiguous and found.y.tolist() == [0, 4, 2] and found.class_names[1] == "two"
    fails(lambda: data.cifar(tmp_path / "c.npz", "test"), "no x_test", "x_train, y_train, class_names")


def test_the_subset_that_comes_with_the_project():
    path = SHARED / "cifar10-subset" / "cifar10-subset.npz"
    if not path.exists():
        pytest.skip("the data are not here")
    test = data.cifar(path, "test", dtype="uint8")
    assert test.x.shape == (2000, 3, 32, 32) and np.bincount(test.y).tolist() == [200] * 10
    assert test.class_names[3] == "cat"


def test_damaged_cifar(ten, tmp_path_factory):
    folder, _ = ten
    fails(lambda: data.cifar(folder, coarse=True), "CIFAR-10, which has no coarse classes")
    fails(lambda: data.cifar(folder, "valid"), "'valid'", "'train' or 'test'")
    fails(lambda: data.cifar(folder, dtype="float64"), "'float64'", "'uint8'")
    file = folder / "data_batch_3.bin"
    file.write_bytes(file.read_bytes()[:-1])
    fails(lambda: data.cifar(folder), "data_batch_3.bin has 6145 bytes", "multiple of 3073")
    file.unlink()
    fails(lambda: data.cifar(folder), folder, "lacks data_batch_3.bin")
    (folder / "test_batch.bin").write_bytes(records([10])[1])
    fails(lambda: data.cifar(folder, "test"), "label 10 is outside 0..9")
    (folder / "test_batch.bin").write_bytes(b"")
    fails(lambda: data.cifar(folder, "test"), "test_batch.bin has 0 bytes")
    fails(lambda: data.cifar(folder / "none"), "no such file or folder")
    fails(lambda: data.cifar(folder / "none.npz"), "no such file or folder")
    fails(lambda: data.cifar(folder / "batches.meta.txt"), "cannot be read")


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_pickled_cifar_is_never_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "py").mkdir()
    for name in ("data_batch_1", "test_batch"):
        (tmp_path / "py" / name).write_bytes(pickle.dumps(Bomb()))
    fails(lambda: data.cifar("py"), "Python version", "pickled", "cifar-10-binary.tar.gz")
    with tarfile.open("py.tar.gz", "w:gz") as archive:
        archive.add("py")
    fails(lambda: data.cifar("py.tar.gz", "test"), "Python version")
    np.savez("c.npz", x_train=np.array([Bomb()]), y_train=np.zeros(1, int))
    fails(lambda: data.cifar("c.npz"), "cannot be read")
    Path("text.npz").write_text("nothing of the kind")
    fails(lambda: data.cifar("text.npz"), "cannot be read")
    np.savez("f.npz", x_train=np.zeros((1, 32, 32, 3)), y_train=np.zeros(1, int))
    fails(lambda: data.cifar("f.npz"), "float64 of shape (1, 32, 32, 3)", "expected uint8")
    assert not Path("exploded").exists()


def test_pictures_as_bytes(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "one").mkdir()
    pixels = RNG.integers(0, 256, (4, 5, 3)).astype(np.uint8)
    image.fromarray(pixels).save(tmp_path / "one" / "a.png")
    buffer = io.BytesIO()
    image.fromarray(np.dstack([pixels, np.zeros((4, 5), np.uint8)])).save(buffer, "png")  # wholly transparent
    (tmp_path / "one" / "b.png").write_bytes(buffer.getvalue())
    found = data.images(tmp_path, dtype="uint8").x
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.stack([pixels.transpose(2, 0, 1)] * 2))
    np.testing.assert_array_equal(data.images(tmp_path).x, found / np.float32(255))
    fails(lambda: data.images(tmp_path, dtype="int32"), "'int32'", "'float32' (0..1) or 'uint8' (0..255)")
