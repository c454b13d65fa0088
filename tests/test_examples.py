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


@pytest.mark.slow
def test_a_small_resnet_learns_pictures(shared_data):
    accuracy = example("cifar_resnet").main(shared_data / "cifar10-subset" / "cifar10-subset.npz", 10)
    assert accuracy > 0.6  # 0.83 after 50 epochs, 8 minutes on two processors
