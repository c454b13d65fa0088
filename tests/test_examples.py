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


def test_sentences_about_films_like_them_or_not(shared_data, capsys):
    assert example("sentiment").main(shared_data / "rt-polarity", epochs=3) > 0.7  # 0.77 after 6
    assert "positive, in truth 1" in capsys.readouterr().out


def test_words_of_a_treebank_get_their_tags(shared_data, capsys):
    assert example("pos_tagging").main(shared_data / "ud-english-ewt", 2, most=1000) > 0.7  # 0.93 after 4 of all
    assert "What/PRON" in capsys.readouterr().out


def test_a_day_of_power_demand_says_its_season(shared_data):
    files = [shared_data / "ucr-italypowerdemand" / f"ItalyPowerDemand_{part}.tsv" for part in ("TRAIN", "TEST")]
    assert example("power_demand").main(*files, epochs=60, repeats=1, seeds=2) > 0.93


def test_tomorrow_is_foretold_better_than_by_a_linear_function(shared_data):
    found = example("temperatures").main(shared_data / "daily-min-temperatures" / "daily-min-temperatures.csv")
    assert found["GRU"] < found["linear, with the season"] < found["linear"] < found["as today"]
