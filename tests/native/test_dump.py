"""The plan and the machine code as text: what people see of the native engine is what it does."""

import re

import numpy as np
import pytest
from click.testing import CliRunner

import pellucid as pel
from pellucid import nn, ops, optim
from pellucid.cli import cli
from pellucid.executors import native
from pellucid.executors.native.build.builder import Builder
from pellucid.executors.native.plan.passes import PASSES

FILES = ["assembly.s", "module.ll", "plan.txt", "program.txt"]


def model(**options):
    net = nn.Sequential(nn.Dense(48), nn.relu, nn.Dense(10))
    given = {"input_shape": (40,), "executor": "native"} | options
    return pel.Model(net, "cross_entropy", optim.SGD(0.1, momentum=0.9), **given)


@pytest.fixture(scope="module")
def dumped(tmp_path_factory):
    """A model that was trained for a step, and the folder with what it is made of."""
    m, folder = model(), tmp_path_factory.mktemp("dumped")
    rng = np.random.default_rng(0)
    m.fit(rng.normal(size=(64, 40)), rng.integers(0, 10, 64), batch_size=64, verbose=0)
    m.dump(folder, 64)
    return m, folder


def step_of(m):
    return next(run for (what, *_), run in m.programs.runs.items() if what == "step")


def nests(plan: str) -> dict[str, str]:
    """Each nest's lines by its name."""
    return {part.split(":")[0].strip(): part for part in re.split(r"\n(?=  nest)", plan) if part.startswith("  nest")}


def test_files(dumped):
    _, folder = dumped
    for place in (folder / "step", folder / "predict", folder / "predict" / "one_sample"):
        assert sorted(p.name for p in place.iterdir() if p.is_file()) == FILES  # and nothing half-written
    program = (folder / "step" / "program.txt").read_text()
    run = step_of(dumped[0])
    full = [p.listing(full=True) for p in (run.program, run.built.plan.program)]
    assert full[0] in program and full[1] in program


def test_the_program_after_each_pass(tmp_path):
    net = nn.Sequential(nn.Embedding(3, 4), nn.RNN(4), nn.Dense(2))
    m = pel.Model(net, "mse", input_shape=(8,), executor="native")
    m.fit(np.arange(512).reshape(64, 8) % 3, np.ones((64, 2)), verbose=0)
    m.dump(tmp_path)
    text = (tmp_path / "step" / "program.txt").read_text()
    found = re.findall(r"^After the pass (\w+):( the same)?", text, re.M)
    assert [name for name, _ in found] == [name for name, _ in PASSES]
    changed = [name for name, same in found if not same]
    assert changed == [
        "tables",
        "weight_layout",
    ]  # embedded words times weights; a recurrent weight read across its rows
    last = text[text.index("As it is computed") :]
    assert "copy(" in last and "copy(" not in text[: text.index("After the pass weight_layout")]


def test_every_nest_is_there_once(dumped):
    m, folder = dumped
    builder = Builder(step_of(m).executable.simplified, step_of(m).host)
    modules = list(builder.modules())
    names = [task.name for tasks in builder.phases for task in tasks]
    functions = list(dict.fromkeys(task.function for tasks in builder.phases for task in tasks))
    assert len(modules) > 1 and "run" not in functions
    plan, code, assembly = ((folder / "step" / name).read_text() for name in ("plan.txt", "module.ll", "assembly.s"))
    assert list(nests(plan)) == names
    assert f"{len(names)} nests in {len(builder.phases)} phases" in plan
    for text, comment in ((code, ";"), (assembly, "#|//")):
        assert re.findall(rf"^(?:{comment}) ---- (nest[.\d]*):", text, re.MULTILINE) == functions
        assert len(re.findall(rf"^(?:{comment}) ---- run:", text, re.MULTILINE)) == 1
    # behind each comment stands the nest's own label
    assert re.search(r"---- nest: phase 1, gather by blocks: .*\n_?nest:", assembly)


def test_operations_are_all_there(dumped):
    m, folder = dumped
    plan = (folder / "step" / "plan.txt").read_text()
    run = step_of(m)
    names = run.built.plan.program.names()
    for group in run.built.plan.groups:
        for v in group.values:
            assert len(re.findall(rf"^    {re.escape(names[v])} = {v.primitive.name}\b", plan, re.MULTILINE)) == 1


def test_equal_nests_say_so(dumped):
    """Sums over ten classes: one function, called for several nests; the plan and the code name them all."""
    plan, code = ((dumped[1] / "step" / name).read_text() for name in ("plan.txt", "module.ll"))
    shared = {
        name: found[1] for name, text in nests(plan).items() if (found := re.search(r"same as of ([\w.]+)", text))
    }
    assert shared
    for name, function in shared.items():
        assert function in nests(plan) and function not in shared
        assert re.search(rf"^; ---- {re.escape(function)}: .*; {re.escape(name)} too", code, re.MULTILINE)
        assert not re.search(rf"^define .*@{re.escape(name)}\(", code, re.MULTILINE)


def test_the_dense_layer(dumped):
    """The first contraction: its tile, what it loads with shapes and bytes, its formula behind it."""
    plan = (dumped[1] / "step" / "plan.txt").read_text()
    forward = next(text for text in nests(plan).values() if "(layers.0.weight, x)" in text and "ij,j->i" in text)
    assert re.search(r"samples by blocks over 48: ", forward)
    assert re.search(r"tile +\d+ rows x \d+ blocks of samples", forward)
    assert "<- contraction" in forward and "maximum(" in forward and ", 0)" in forward
    assert re.search(r"loads .*(.|\n)*layers\.0\.weight: float32 \(48, 40\), once, C order, 7\.5 KB", forward)
    assert re.search(r"stores %\d+: float32 \(48,\), \[block\]\[element\]\[lane\], 192 B a sample", forward)


def test_the_update_of_a_weight(dumped):
    """The gradient, momentum and the update in one nest of the last phase, in place."""
    plan = (dumped[1] / "step" / "plan.txt").read_text()
    last_phase = plan.split("\nphase ")[-1]
    update = next(t for t in nests(last_phase).values() if "-> layers.0.weight in place" in t)
    assert re.search(r"weights by \d+ units over 48 x 40", update)
    assert re.search(r"tile +\d+ rows x \d+ vectors", update)
    assert "optimizer.velocity.layers.0.weight" in update and "batch_sum" in update
    assert re.search(r"  x: float32 \(40,\), .*, 160 B a sample", update)  # rows: features in lanes
    end = plan.split("at the end of a step")[1]
    assert "layers.0.weight has been updated in place" in end and "layers.0.bias becomes a copy of %" in end
    assert re.search(r"%\d+ is added to the total 'loss'", end)


def test_kinds_of_nests(dumped):
    texts = [text.splitlines()[0] for text in nests((dumped[1] / "step" / "plan.txt").read_text()).values()]
    for kind in ("gather by blocks: x,", "samples by blocks", "weights by", "shared by", "rows by blocks"):
        assert [t for t in texts if f": {kind}" in t], kind


def test_totals(dumped):
    """Memory is what a run allocates; arithmetic what a person counts."""
    m, folder = dumped
    run, plan = step_of(m), (folder / "step" / "plan.txt").read_text()
    run.workspace.reserve(64)
    spaces = {id(a.base): a for a in run.workspace.arrays.values()}  # values that share memory are views of one array
    own = sum(max(a.nbytes for a in run.workspace.arrays.values() if a.base is space.base) for space in spaces.values())
    apart = sum(a.nbytes for a in run.workspace.arrays.values())
    assert f"memory for a batch of 64: {own / 1024:.1f} KB for values, {apart / 1024:.1f} KB without reuse" in plan
    assert own < apart
    # forward and weights' gradients of both layers, and the gradient of the second's input
    assert f"{64 * (2 * 48 * 40 + 3 * 10 * 48):,} multiplications with addition" in plan
    assert f"memory for a batch of 32: {own / 1024:.1f} KB" not in run.listing(32)


def test_predict_alone(dumped):
    plan = (dumped[1] / "predict" / "one_sample" / "plan.txt").read_text()
    assert re.search(r"tile +\d+ results x 1 vector of \d+ along the sum", plan) and "gather" not in plan
    assert "-> output 'prediction'" in plan


def test_listing_is_the_same_twice():
    m = model()
    program = m.programs.program("step", pel.train.arrays.Spec((), "int32"))
    assert native.compile(program).listing() == native.compile(program).listing()


def test_a_table_and_an_empty_program():
    """Operations with memory of the engine's own, numbers that are written out, and nothing at all."""
    table, rows = pel.state("table", (9, 4)), pel.input("rows", (2,), "int32")
    program = pel.Program([rows], {"y": ops.take(table, rows) * 2}, {})
    text = native.compile(program).listing()
    assert "take[" in text and "table: float32 (9, 4), once" in text and re.search(r"multiply\(%\d+, 2", text)
    assert "0 nests in 1 phase" in native.compile(pel.Program()).listing()


def test_before_the_first_fit(tmp_path):
    model().dump(tmp_path / "new" / "folder")
    assert "memory for a batch of 32" in (tmp_path / "new" / "folder" / "step" / "plan.txt").read_text()


@pytest.mark.parametrize("loss", ["mse", "mae", "binary_cross_entropy", "hinge"])
def test_any_loss(loss, tmp_path):
    pel.Model(nn.Dense(2), loss, input_shape=(3,), executor="native").dump(tmp_path)
    assert "weight" in (tmp_path / "step" / "plan.txt").read_text()


def test_what_cannot_be_dumped(tmp_path):
    with pytest.raises(pel.ArgumentError, match="'reference' makes no machine code to dump; use executor='native'"):
        model(executor="reference").dump(tmp_path / "a")
    with pytest.raises(pel.GraphError, match="no weights yet"):
        model(input_shape=None).dump(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        model().dump(tmp_path / "file")


def test_a_full_disk_leaves_the_old_files(tmp_path, monkeypatch):
    from pellucid.executors.native.runtime import dump

    dump.write_all(tmp_path, {"a": "old", "b": "old"})

    def full(path, text, encoding):
        if path.name.startswith(".b"):
            raise OSError(28, "No space left on device", str(path))
        path.write_bytes(text.encode())

    monkeypatch.setattr(dump.Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        dump.write_all(tmp_path, {"a": "new", "b": "new"})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"old", "b": b"old"}


# ---- on the command line


def call(*args):
    return CliRunner().invoke(cli, [str(a) for a in args])


def test_train_dumps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = ("train", "digits", "--epochs", 1, "--hidden", 8, "--no-plot", "--batch-size", 96)
    done = call(*train, "--executor", "native", "--threads", 2, "--dump", "seen")
    assert done.exit_code == 0, done.stderr
    assert "program, plan and machine code written to seen" in done.stdout
    assert "memory for a batch of 96" in (tmp_path / "seen" / "step" / "plan.txt").read_text()
    assert sorted(p.name for p in (tmp_path / "seen").iterdir()) == ["predict", "step"]


@pytest.mark.parametrize(
    "args, said",
    [
        (("--executor", "reference", "--dump", "seen"), "'reference' makes no machine code"),
        (("--executor", "native", "--dump", "file"), "file is a file, expected a folder"),
        (("--executor", "native", "--dump", "no/such"), "there is no folder 'no'"),
    ],
)
def test_errors_come_before_training(args, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    done = call("train", "digits", *args)
    assert done.exit_code == 2 and said in done.stderr and "epoch" not in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# ---- how many threads


@pytest.mark.parametrize("executor", ["native", "reference"])
@pytest.mark.parametrize("threads", [0, -1, 1.5, "many", True, 5000])
def test_wrong_numbers_of_threads(threads, executor):
    with pytest.raises(pel.ArgumentError, match="threads must be a whole number from 1 to 1024, got"):
        model(threads=threads, executor=executor)
    with pytest.raises(pel.ArgumentError, match="threads must be"):
        native.compile(pel.Program(), threads=threads)


def test_lanes_of_the_environment(monkeypatch):
    from pellucid.executors.native.jit import target as jit_target

    for text, lanes in (("", 0), ("0", 0), ("8", 8)):
        monkeypatch.setenv("PELLUCID_LANES", text)
        assert jit_target.lanes_asked() == lanes
    for wrong in ("3", "-4", "wide", "64"):
        monkeypatch.setenv("PELLUCID_LANES", wrong)
        with pytest.raises(pel.ArgumentError, match="PELLUCID_LANES must be"):
            jit_target.host.__wrapped__()


def test_threads_reach_the_executor():
    m = model(threads=3)
    m.fit(np.zeros((8, 40)), np.arange(8), verbose=0)
    assert {run.threads for run in m.programs.runs.values()} == {3}


def test_threads_of_the_environment(monkeypatch, tmp_path):
    from pellucid.executors.native.runtime.limits import available

    monkeypatch.setenv("PELLUCID_THREADS", "3")
    assert available() == 3
    for wrong in ("0", "two", "-1", "1e3"):
        monkeypatch.setenv("PELLUCID_THREADS", wrong)
        with pytest.raises(pel.ArgumentError, match="PELLUCID_THREADS must be a whole number"):
            model().fit(np.zeros((8, 40)), np.arange(8), verbose=0)
    monkeypatch.setenv("PELLUCID_THREADS", "")
    assert available() >= 1
