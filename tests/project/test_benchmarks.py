"""The benchmarks: their arithmetic, ratios and tables; and that a run works with Pellucid and scikit-learn alone."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from benchmarks import contest, contestants, estimators, fresh, images, peak, report, rows, sequences, table
from benchmarks.contest import Job, Result

ROW = rows.Row("tiny", (3, 4, 2), "tanh", 8, "momentum", 32, wanted=2)
QUIET = {"say": lambda text: None}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch, tmp_path):
    monkeypatch.setattr(contest, "PAUSE", 0.0)
    monkeypatch.setattr(contest, "LONGEST_PAUSE", 0.0)
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path / "cache"))


# ---- counting ---------------------------------------------------------------------------------------------------


def test_arithmetic_by_hand():
    # 784-1024-10, batch 64: forward and weight gradient of both layers, input gradient of the second only
    first, second = 2 * 784 * 1024 * 64, 2 * 1024 * 10 * 64
    assert rows.flops(replace(ROW, sizes=(784, 1024, 10), batch=64)) == 2 * first + 3 * second == 209_453_056
    assert rows.flops(replace(ROW, sizes=(784, 1024, 10), batch=1, kind="predict")) == (first + second) // 64


def test_what_is_counted_in_a_row():
    assert ROW.count == 4  # steps
    assert replace(ROW, kind="fit").count == 1
    assert replace(ROW, kind="predict", batch=1).count == 32


def test_arithmetic_of_images_by_hand():
    """LeNet-5: places x filters x inputs of each layer, once for the first layer's input gradient less than thrice."""
    c1, c3, dense = 28 * 28 * 6 * 25, 10 * 10 * 16 * 150, 400 * 120 + 120 * 84 + 84 * 10
    by_name = {r.name: r for r in images.ROWS}
    assert images.flops(by_name["lenet5-predict"]) == 2 * (c1 + c3 + dense) == 833_040
    assert images.flops(by_name["lenet5"]) == 2 * 64 * (2 * c1 + 3 * (c3 + dense))
    assert images.flops(by_name["conv"]) == 3 * 2 * (128 * 28 * 28) * (128 * 3 * 3) * 32
    grouped = 27 * 27 * 256 * 48 * 25  # AlexNet's second layer: each filter sees 48 of the 96 maps
    first, rest = 55 * 55 * 96 * 363, 13 * 13 * (384 * 2304 + 384 * 1728 + 256 * 1728)
    dense = 9216 * 4096 + 4096 * 4096 + 4096 * 1000
    assert images.flops(by_name["alexnet"]) == 2 * 16 * (2 * first + 3 * (grouped + rest + dense))


def test_arithmetic_of_sequences_by_hand():
    """Each product once forward and twice backward; but inputs that are given have no gradient."""
    by_name = {r.name: r for r in sequences.ROWS}
    count = lambda name: sequences.flops(by_name[name]) // (2 * by_name[name].batch)
    assert count("char-rnn") == 3 * 50 * (128 * 128 + 128 * 128 + 128 * 65)
    assert count("lstm-2x256") == 3 * 100 * (4 * 1024 * 256 + 256 * 65)
    assert count("lstm-small") == 20 * 256 * (2 * 16 + 3 * 64) + 3 * 64 * 10
    assert count("generate") == 2 * 1024 * 256 + 256 * 65
    block = 4 * 64 * 128 * 128 + 2 * 64 * 128 * 512 + 2 * (64 * 65 // 2) * 128  # projections, dense, seen pairs
    assert count("transformer") == 3 * (2 * block + 64 * 128 * 65)


def test_names_are_unique_and_samples_are_whole_batches():
    every = (*rows.ROWS, *images.ROWS, *sequences.ROWS)
    for some in (rows.ROWS, rows.SCALING, images.ROWS, sequences.ROWS, every):
        assert len({r.name for r in some}) == len(some)
        assert all(r.samples % r.batch == 0 for r in some)
    assert set(rows.SCALING_WANTED) | set(rows.SHARE_WANTED) <= {r.name for r in rows.SCALING}


# ---- turns ------------------------------------------------------------------------------------------------------


def constant(value):
    """A contestant that does nothing and comes to this result."""
    return lambda row, data: Job(lambda order: None, lambda: value)


def test_everybody_has_a_turn_in_each_round_and_the_first_changes():
    turns = []

    def maker(name):
        return lambda row, data: Job(lambda order: turns.append(name))

    contest.compete(ROW, rows.data(ROW), {n: maker(n) for n in "abc"}, rounds=3, seconds=0.0)
    assert "".join(turns[9:]) == "abc" + "bca" + "cab"  # after three calls each to begin with


def test_a_missing_or_failing_contestant_has_a_reason_and_hurts_nobody():
    def missing(row, data):
        import a_library_that_is_not_there  # noqa: F401

    def fails(row, data):
        def run(order):
            raise RuntimeError("no compiler\nand more")

        return Job(run)

    found = contest.compete(ROW, rows.data(ROW), {"a": missing, "b": fails, "c": constant(None)}, 2, 0.0)
    assert found["a"].reason == "not installed (a_library_that_is_not_there)"
    assert found["b"].reason == "RuntimeError: no compiler"
    assert len(found["c"].seconds) == 2 and not found["c"].reason
    assert math.isnan(found["a"].median)


def test_another_result_is_shown_as_a_failure():
    given = rows.data(ROW)
    moved = given.flat + 1
    makers = {"first": constant(moved), "same": constant(moved * 1.001), "idle": constant(given.flat),
              "nan": constant(moved * np.nan), "unknown": constant(None)}  # fmt: skip
    found = contest.compete(ROW, given, makers, 1, 0.0)
    assert [n for n, r in found.items() if r.reason] == ["idle", "nan"]
    assert found["idle"].reason == "Disagrees: another result: off by 100.0%"


# ---- ratios and tables ------------------------------------------------------------------------------------------


def results(**seconds):
    names = {"ours": "Pellucid", "eager": "PyTorch eager", "jit": "JAX jit", "scan": "JAX scan", "sk": "scikit-learn"}
    return {names[k]: Result([v] if v else [], reason="" if v else "failed") for k, v in seconds.items()}


def test_ratio_is_to_the_best_peer_and_the_scan_is_none():
    found = results(ours=2.0, eager=6.0, jit=5.0, scan=1.0, sk=0)
    assert table.best_peer(found) == "JAX jit"
    assert table.ratio(found, "JAX jit") == 2.5
    assert table.best_peer(results(ours=2.0)) is None
    assert math.isnan(table.ratio(results(ours=2.0), None))
    assert math.isnan(table.ratio(results(ours=0, sk=1.0), "scikit-learn"))


def test_the_scan_by_hand_has_a_ratio_of_its_own():
    row = replace(sequences.ROWS[1], what="it")
    seconds = zip(contestants.SEQUENCE_NAMES, (2.0, 7.0, 6.0, 5.0, 3.0), strict=True)
    found = {"rows": {"it": (row, {name: Result([s]) for name, s in seconds})}}
    text = table.sequence_table(found | {"peak": sequences.flops(row) / 2 / 0.5})
    assert table.best_peer(found["rows"]["it"][1]) == "JAX jit"
    assert text.splitlines()[-1].endswith("| 2.50 (wanted 1.3) | 1.50 | 0.50 (**wanted 0.75**) |")
    assert len({line.count("|") for line in text.splitlines()}) == 1


def test_median_and_spread():
    assert Result([3.0, 1.0, 2.0]).median == 2.0
    assert Result([3.0, 1.0, 2.0]).spread == 3.0


def test_a_promise_about_one_peer():
    found = results(ours=2.0, jit=5.0, sk=6.0)
    assert table.to_peers(replace(ROW, against="scikit-learn"), found) == "2.50; scikit-learn 3.00 (wanted 2)"
    assert table.to_peers(ROW, found) == "2.50 (wanted 2)"
    assert table.to_peers(ROW, results(ours=2.0, jit=3.0)) == "1.50 (**wanted 2**)"


def test_table_of_contestants():
    text = table.contest_table({"tiny": (ROW, results(ours=2e-6, eager=6e-6, jit=5e-6, scan=3e-6, sk=0))})
    assert text.splitlines()[-1] == (
        "| 3-4-2 tanh, batch 8, momentum | 2 | 6 | - | 5 | 3 | - | 2.50 (wanted 2) | 1.50 |"
    )
    assert {line.count("|") for line in text.splitlines()} == {len(contestants.NAMES) + 4}


def test_reasons_are_told_once():
    found = {n: (ROW, results(ours=1.0, jit=0)) for n in ("a", "b")}
    assert table.reasons(found) == "- JAX jit: failed (a, b)"


def test_write_between_the_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.write(page, "new")
    table.write(page, "newer")
    assert page.read_text() == f"before\n{table.BEGIN}\n\nnewer\n\n{table.END}\nafter\n"
    page.write_text("nothing")
    with pytest.raises(ValueError, match="has no lines"):
        table.write(page, "new")


def test_the_page_has_the_markers():
    page = (fresh.ROOT / "benchmarks" / "README.md").read_text()
    assert page.count(table.BEGIN) == page.count(table.END) == 1


# ---- runs -------------------------------------------------------------------------------------------------------


def test_a_run_with_pellucid_and_scikit_learn():
    small = [rows.smaller(replace(r, sizes=tuple(min(s, 24) for s in r.sizes)), 4 * r.batch) for r in rows.ROWS]
    found = report.run(
        [r.name for r in small] + ["scaling"], 1, 2, 0.0, ["Pellucid", "scikit-learn"],
        table_rows=small, scaling_rows=[small[2]], **QUIET,
    )  # fmt: skip
    for row, got in found["rows"].values():
        assert {n: r.reason for n, r in got.items()} == {"Pellucid": "", "scikit-learn": ""}, row.name
        assert all(r.median > 0 for r in got.values())
    text = report.text(found)
    assert "Peak of this machine" in text
    assert all(f"| {row.what} |" in text for row in small)
    stored = json.loads(json.dumps(report.plain(found), allow_nan=False))
    assert stored["rows"]["2-8-8-2"][0]["flops"] == rows.flops(small[0])


IMAGES = [images.smaller(r) for r in images.ROWS if r.name in ("lenet5", "conv", "lenet5-predict")]


def test_a_run_of_images_with_pellucid():
    found = report.run([r.name for r in IMAGES], 1, 1, 0.0, ["Pellucid"], image_rows=IMAGES, **QUIET)
    for row, got in found["images"]["rows"].values():
        assert {n: r.reason for n, r in got.items()} == {"Pellucid": ""}, row.name
        assert got["Pellucid"].median > 0
    text = report.text(found)
    assert all(f"| {row.what} |" in text for row in IMAGES)
    stored = json.loads(json.dumps(report.plain(found), allow_nan=False))
    assert stored["images"]["rows"]["conv"][0]["flops"] == images.flops(IMAGES[1])


def test_a_run_of_sequences_with_pellucid():
    small = [sequences.smaller(r) for r in sequences.ROWS if r.name in ("lstm-small", "transformer", "generate")]
    found = report.run([r.name for r in small], 1, 1, 0.0, ["Pellucid"], sequence_rows=small, **QUIET)
    for row, got in found["sequences"]["rows"].values():
        assert {n: r.reason for n, r in got.items()} == {"Pellucid": ""}, row.name
        assert got["Pellucid"].median > 0
    text = report.text(found)
    assert all(f"| {row.what} |" in text for row in small)
    stored = json.loads(json.dumps(report.plain(found), allow_nan=False))
    assert stored["sequences"]["rows"]["transformer"][0]["flops"] == sequences.flops(small[1])


@pytest.mark.slow
@pytest.mark.parametrize("library, peer", [("torch", "PyTorch channels last"), ("jax", "JAX jit")])
@pytest.mark.parametrize("name", [r.name for r in images.ROWS if r.name != "alexnet"])
def test_the_others_compute_the_same_of_images(name, library, peer):
    pytest.importorskip(library)
    row = next(images.smaller(r) for r in images.ROWS if r.name == name)
    makers = contestants.makers(row.kind, ["Pellucid", peer], 1, contestants.IMAGE_PLACES)
    found = contest.compete(row, images.data(row), makers, 1, 0.0)
    assert [r.reason for r in found.values()] == ["", ""]


@pytest.mark.slow
@pytest.mark.parametrize("library", ["torch", "jax"])
@pytest.mark.parametrize("name", [r.name for r in sequences.ROWS])
def test_the_others_compute_the_same_of_sequences(name, library):
    pytest.importorskip(library)
    row = next(sequences.smaller(r) for r in sequences.ROWS if r.name == name)
    peers = {"torch": ["PyTorch eager", "torch.compile"], "jax": ["JAX jit", "JAX by hand"]}[library]
    makers = contestants.makers(row.kind, ["Pellucid", *peers], 1, contestants.SEQUENCE_PLACES)
    if name == "transformer":
        makers.pop("JAX by hand", None)  # it has no scan
    found = contest.compete(row, sequences.data(row), makers, 1, 0.0)
    assert not any(r.reason for r in found.values()), found


def test_a_child_process_with_a_cold_and_a_warm_cache():
    found = fresh.measure("first_step", replace(ROW, kind="fit"), 1)
    assert found["warm"] > 0 and found["cold"] > 0


def test_a_failing_child_tells_its_last_line():
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        fresh.child(["-c", "1 / 0"])


def test_estimators_beside_scikit_learns(monkeypatch):
    monkeypatch.setattr(estimators, "FOLDS", 3)
    x, y, _ = estimators.sets(None)["iris"]
    with pytest.warns(ConvergenceWarning):
        found = estimators.validated(x, y, True, max_iter=3)
    theirs, ours, again = found.values()
    assert len(ours["scores"]) == 3 and ours["scores"] == again["scores"] == pytest.approx(theirs["scores"])
    assert estimators.line("iris", found).count("|") == 9 and ours["seconds"] > 0


def test_half_width_of_an_interval_by_hand():
    assert estimators.interval([1.0, 2.0, 3.0]) == pytest.approx(4.303 / math.sqrt(3), 1e-3)  # t of 2 degrees: 4.303


def test_peak():
    assert 1e8 < peak.peak(1, turns=10_000) < 1e13
