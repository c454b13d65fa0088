"""A reader's notebook session, run by a real kernel without ipywidgets: it shows numbers, a curve and tables."""

import os
import re
import struct
import sys
from base64 import b64decode
from pathlib import Path

import pytest

CELLS = [
    """
import sys
sys.modules["ipywidgets"] = None  # not there, whatever is installed here
import pellucid as pel
from pellucid import nn, optim
train, test = pel.data.digits().split(test_size=0.2)
net = nn.Sequential(nn.Dense(16), nn.sigmoid, nn.Dense(10))
model = pel.Model(net, "cross_entropy", optim.Adam(0.01), metrics=["accuracy"])
history = model.fit(train.x, train.y, epochs=12, validation_split=0.1)
""",
    "history.plot()",
    "history",
    "model",
    "print(model)",
    "test",
    "figure = history.plot()",
    "net",
    "model.find_learning_rate(train.x, train.y).plot()",
    """
import matplotlib.pyplot as plt
plt.plot([1, 2])
history.plot()
""",
    "model.summary()",
]


@pytest.fixture(scope="module")
def outputs():
    """What each cell shows: {the cell: its outputs}."""
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient: pip install 'pellucid[test]'")
    pytest.importorskip("ipykernel", reason="needs ipykernel: pip install 'pellucid[test]'")
    pytest.importorskip("matplotlib", reason="needs matplotlib: pip install 'pellucid[plot]'")
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbformat import v4

    class Manager(AsyncKernelManager):
        """Kernels of this Python, whatever kernels are installed."""

        kernel_spec = KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="this Python",
            language="python",
        )

    notebook = v4.new_notebook(cells=[v4.new_code_cell(source) for source in CELLS])
    source = str(Path(__file__).resolve().parents[2] / "src")
    path = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_manager_class=Manager, allow_errors=True)
    client.execute(env=os.environ | {"PYTHONPATH": path, "PYDEVD_DISABLE_FILE_VALIDATION": "1"})
    found = {cell.source: cell.outputs for cell in notebook.cells}
    errors = [output for shown in found.values() for output in shown if output.output_type == "error"]
    assert not errors, errors
    return found


def text_of(shown):
    return "".join(output.text for output in shown if output.output_type == "stream")


def pictures_of(shown):
    """Width and height of each PNG."""
    pngs = [b64decode(o.data["image/png"]) for o in shown if "image/png" in o.get("data", {})]
    assert all(png[:8] == b"\x89PNG\r\n\x1a\n" for png in pngs)
    return [struct.unpack(">II", png[16:24]) for png in pngs]


def html_of(shown):
    return "".join(output.data.get("text/html", "") for output in shown if "data" in output)


def test_progress_is_text(outputs):
    said = text_of(outputs[CELLS[0]]).splitlines()
    assert len(said) == 12 and said[0].startswith("epoch 1/12") and said[-1].startswith("epoch 12/12")
    losses = [float(re.search(r"  loss ([\d.]+)", line)[1]) for line in said]
    assert losses[-1] < losses[0] and all("val_accuracy" in line for line in said)
    assert {output.output_type for output in outputs[CELLS[0]]} == {"stream"}  # no widget, no empty block
    assert "warn" not in str(outputs).lower()


def test_a_curve_is_shown_once(outputs):
    for cell, panels in (("history.plot()", 2), ("model.find_learning_rate(train.x, train.y).plot()", 1)):
        ((width, height),) = pictures_of(outputs[cell])
        assert width > 400 * panels > height
    assert outputs["figure = history.plot()"] == []


def test_beside_pyplot_a_curve_is_shown_once_too(outputs):
    (cell,) = [c for c in CELLS if "pyplot" in c]
    sizes = pictures_of(outputs[cell])
    assert len(sizes) == 2 and len(set(sizes)) == 2  # pyplot's own, and ours


def test_tables(outputs):
    assert "<th>val_accuracy</th>" in html_of(outputs["history"]) and "<svg" in html_of(outputs["history"])
    assert "h = sigmoid(W1 x + b1)" in html_of(outputs["model"]) and "<td>1,040</td>" in html_of(outputs["model"])
    assert "360" in html_of(outputs["test"]) and "samples" in html_of(outputs["test"])
    assert "h = sigmoid(W1 x + b1)" in text_of(outputs["print(model)"])
    assert "1,210 parameters" in text_of(outputs["model.summary()"])
    (shown,) = outputs["net"]
    assert shown.data["text/plain"] == "Sequential(Dense(16), sigmoid, Dense(10))"
