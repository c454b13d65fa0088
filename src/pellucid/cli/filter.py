"""``pellucid filter``: a picture under a kernel. Imports click at the top."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import completion, files, options

if TYPE_CHECKING:
    import numpy as np

PIXELS = 1 << 20  # of the picture that are worked on at a time


@click.command("filter", short_help="Slide a kernel over a picture: edges, blur.")
@click.argument("image", metavar="IMAGE", shell_complete=completion.FILE)
@click.option("--kernel", default="sobel", metavar="NAME", help="Its name, or its rows. Default: sobel.")
@click.option(
    "--out",
    "--output",
    "out",
    metavar="FILE",
    shell_complete=completion.FILE,
    help="Where to write. Default: IMAGE-KERNEL.png, here.",
)
@click.option("--gray", "--grey", "gray", is_flag=True, help="Make the picture gray first. Default: each color alone.")
@click.option("--absolute", is_flag=True, help="Show how strong a response is, without its sign.")
@click.option("--size", type=int, metavar="N", help="gaussian: pixels of a side, an odd number. Default: 3.")
@click.option("--sigma", type=float, metavar="S", help="gaussian: its width. Default: binomial weights.")
@options.debug
def command(image, kernel, out, gray, absolute, size, sigma) -> None:
    """Slide a kernel over IMAGE, as the first layer of a convolutional network does, and write what comes out.

    NAME is vertical, horizontal or diagonal (edges), sobel or scharr (edges of any direction; sobel-x, sobel-y,
    scharr-x, scharr-y of one), gaussian (blur), or a kernel of your own: "1 0 -1; 1 0 -1; 1 0 -1". Responses are cut
    to 0..255; beyond the border the picture goes on as at its last pixels.

    \b
    Examples:
      pellucid filter photo.jpg --kernel sobel --gray --out edges.png
      pellucid filter photo.jpg --kernel gaussian --size 9 --sigma 2
    """
    import numpy as np

    from .. import DataError
    from ..data.images import _pixels, _read
    from .sources import PICTURE_SUFFIXES

    kernels, name = chosen(kernel, size, sigma)
    path = files.output(out or f"{Path(image).stem}-{name}.png", PICTURE_SUFFIXES, "the picture", [image])
    if not Path(image).is_file():
        raise DataError(f"{image} is a folder, expected a picture" if Path(image).is_dir() else
                        f"{image}: there is no such file")  # fmt: skip
    try:
        from PIL import Image

        picture = _read(Path(image), None)
    except ImportError:
        raise DataError("pictures need Pillow: pip install 'pellucid[images]'") from None
    except ValueError as error:
        raise DataError(f"{image}: {error}") from None
    pixels = _pixels(picture, gray or picture.mode == "L")  # (C, H, W) uint8
    response = filtered(pixels.astype(np.float32), kernels)
    result = np.clip(np.rint(abs(response) if absolute else response), 0, 255).astype(np.uint8)
    with files.whole(path) as part:
        Image.fromarray(result[0] if len(result) == 1 else result.transpose(1, 2, 0)).save(part)
    click.echo(f"{name} of {image} ({result.shape[1]} x {result.shape[2]}) written to {path}")


def chosen(kernel: str, size: int | None, sigma: float | None) -> tuple[tuple[np.ndarray, ...], str]:
    """The kernels that are meant, and what to call them."""
    import numpy as np

    from .. import DataError
    from ..ops.kernels import KERNELS, gaussian

    if kernel == "gaussian":
        return (gaussian(3 if size is None else size, sigma),), kernel
    if size is not None or sigma is not None:
        raise DataError(f"--size and --sigma are for --kernel gaussian, not for {kernel}")
    if kernel in KERNELS:
        return KERNELS[kernel], kernel
    try:
        rows = [[float(n) for n in row.replace(",", " ").split()] for row in kernel.split(";") if row.strip()]
    except ValueError:
        close = difflib.get_close_matches(kernel, KERNELS, 1)
        hint = (
            f"did you mean {close[0]}?"
            if close
            else f"there are {', '.join(KERNELS)}, or rows such as '1 0 -1; 1 0 -1'"
        )
        raise DataError(f"no kernel {kernel!r}; {hint}") from None
    if len({len(row) for row in rows}) != 1 or not np.isfinite(rows).all():
        raise DataError(f"the kernel {kernel!r} must have rows of equally many numbers, with ; between them")
    return (np.array(rows),), "kernel"


def filtered(x: np.ndarray, kernels: tuple[np.ndarray, ...]) -> np.ndarray:
    """The response of each channel of a picture (C, H, W): of one kernel with its sign, of several their length."""
    import numpy as np

    from .. import Program, input, ops
    from ..executors import reference

    height, width = kernels[0].shape
    around = ((height // 2, (height - 1) // 2), (width // 2, (width - 1) // 2))
    x = np.pad(x, ((0, 0), *around), mode="edge")[:, None]
    step = max(1, PIXELS // x.shape[3])
    parts = []
    for start in range(0, x.shape[2] - height + 1, step):  # by strips, each channel a sample
        strip = np.ascontiguousarray(x[:, :, start : start + step + height - 1])
        value = input("x", strip.shape[1:])
        weight = ops.constant(np.stack(kernels)[:, None], "float32")  # (kernels, 1, height, width)
        y = ops.correlate(value, weight)
        y = y[0] if len(kernels) == 1 else ops.norm(y, axis=0)
        parts.append(reference.compile(Program([value], {"y": y}))({}, {"x": strip})["y"])
    return np.concatenate(parts, axis=1)
