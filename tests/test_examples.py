"""The examples, run small on real data."""

import importlib.util

import pytest

from conftest import ROOT


def example(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_lenet_learns_mnist(shared_data, capsys):
    assert example("mnist_lenet").main(shared_data / "mnist", 1) > 0.96
    assert "after 1 epochs" in capsys.readouterr().out


def test_what_was_learnt_of_some_digits_helps_with_others(shared_data):
    found = example("transfer_digits").main(shared_data / "mnist", 1)
    assert found["convolutions frozen"] > found["from scratch"]
    assert found["features and SVM"] > 0.7


def test_a_text_is_learnt_a_character_at_a_time(shared_data, tmp_path, capsys):
    text = (shared_data / "tinyshakespeare" / "input.txt").read_text()
    (tmp_path / "part.txt").write_text(text[:100_000])
    assert example("shakespeare").main(tmp_path / "part.txt", 4, units=64) < 2.4  # by how often each occurs: 3.3
    assert len(capsys.readouterr().out.split("of CPU\n\n")[1]) == 501


@pytest.mark.slow
def test_a_small_resnet_learns_pictures(shared_data):
    accuracy = example("cifar_resnet").main(shared_data / "cifar10-subset" / "cifar10-subset.npz", 10)
    assert accuracy > 0.6  # 0.83 after 50 epochs, 8 minutes on two processors
