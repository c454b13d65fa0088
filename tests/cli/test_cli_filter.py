"""``pellucid filter``: what it writes, and what it says to mistakes."""

import numpy as np
import pytest
from PIL import Image
from test_cli import fails, last, ok

from pellucid import cli
from pellucid.ops.kernels import KERNELS


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A gray picture with one vertical edge, and a colored one."""
    monkeypatch.chdir(tmp_path)
    gray = np.zeros((6, 6), np.uint8)
    gray[:, :3] = 5
    Image.fromarray(gray).save("edge.png")
    colors = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    Image.fromarray(colors).save("colors.png")
    return tmp_path


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_the_lectures_edge(folder):
    text = ok("filter", "edge.png", "--kernel", "vertical")
    assert last(text) == "vertical of edge.png (6 x 6) written to edge-vertical.png"
    assert pixels("edge-vertical.png").tolist() == [[0, 0, 15, 15, 0, 0]] * 6  # the border is no edge
    ok("filter", "edge.png", "--kernel", "1, 0, -1; 1 0 -1; 1 0 -1", "--out", "own.png")
    assert (pixels("own.png") == pixels("edge-vertical.png")).all()


def test_signs(folder):
    Image.open("edge.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save("mirror.png")
    ok("filter", "mirror.png", "--kernel", "vertical")
    assert not pixels("mirror-vertical.png").any()
    ok("filter", "mirror.png", "--kernel", "vertical", "--absolute")
    assert pixels("mirror-vertical.png").tolist() == [[0, 0, 15, 15, 0, 0]] * 6


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("gray", [False, True])
def test_each_kernel_by_its_definition(folder, monkeypatch, name, gray):
    monkeypatch.setattr("pellucid.cli.filter.PIXELS", 20)  # in strips of two rows
    ok("filter", "colors.png", "--kernel", name, "--out", "out.png", *["--gray"] * gray)
    image = np.asarray(Image.open("colors.png").convert("L" if gray else "RGB")).astype(float)
    wide = np.pad(image.reshape(9, 7, -1), ((1, 1), (1, 1), (0, 0)), mode="edge")
    parts = [sum(k[i, j] * wide[i : i + 9, j : j + 7] for i, j in np.ndindex(3, 3)) for k in KERNELS[name]]
    expected = parts[0] if len(parts) == 1 else np.hypot(*parts)
    found = pixels("out.png").reshape(expected.shape)
    assert abs(found - np.clip(expected, 0, 255)).max() <= 0.5 + 1e-3


def test_a_wide_blur_keeps_the_mean(folder):
    ok("filter", "colors.png", "--kernel", "gaussian", "--size", 5, "--sigma", 100, "--out", "blur.png")
    inner = pixels("colors.png")[2:7, 1:6].mean((0, 1))
    np.testing.assert_allclose(pixels("blur.png")[4, 3], inner, atol=0.6)


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["none.png"], "none.png: there is no such file"),
        (["."], ". is a folder, expected a picture"),
        (["text.png"], "text.png: not a picture"),
        (["edge.png", "--kernel", "sobl"], "no kernel 'sobl'; did you mean sobel?"),
        (["edge.png", "--kernel", "emboss"], "there are vertical, horizontal, diagonal, "),
        (["edge.png", "--kernel", "1 0; 1"], "must have rows of equally many numbers"),
        (["edge.png", "--kernel", ";"], "must have rows of equally many numbers"),
        (["edge.png", "--kernel", "1 nan"], "must have rows of equally many numbers"),
        (["edge.png", "--kernel", "gaussian", "--size", "4"], "size must be an odd whole number >= 1, got 4"),
        (["edge.png", "--kernel", "gaussian", "--sigma", "0"], "sigma must be a number > 0, or None, got 0.0"),
        (["edge.png", "--sigma", "2"], "--size and --sigma are for --kernel gaussian, not for sobel"),
        (["edge.png", "--out", "edge.png"], "edge.png is read by this command"),
        (["edge.png", "--out", "edges.txt"], "edges.txt: the name of the picture ends in .png or "),
        (["edge.png", "--out", "no/edges.png"], "there is no folder 'no'"),
    ],
)
def test_mistakes(folder, arguments, text):
    (folder / "text.png").write_text("no picture")
    before = sorted(folder.iterdir())
    assert text in fails("filter", *arguments)
    assert sorted(folder.iterdir()) == before


def test_it_is_listed():
    assert "filter" in cli.COMMANDS and "Slide a kernel" in ok("--help")
