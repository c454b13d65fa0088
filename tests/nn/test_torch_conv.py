"""Against PyTorch (development only; skipped where it is not installed): convolution, pooling, upsampling."""

import numpy as np
import pytest
from conv_cases import draw
from tools import distinct

import pellucid as pel
from pellucid import ops
from pellucid.executors import reference

torch = pytest.importorskip("torch")
F = torch.nn.functional


def even_padding(case):
    """The padding as PyTorch takes it, one number for each axis; None where both borders differ."""
    given = case.options.get("padding", "valid")
    pairs = [(0, 0)] if given == "valid" else [] if given == "same" else given
    return tuple(a for a, _ in pairs) if pairs and all(a == b for a, b in pairs) else None


def theirs(case, x, w):
    o, rank = case.options, x.ndim - 2
    if case.name == "upsample":
        border = {} if o["method"] == "nearest" else {"align_corners": False}
        return F.interpolate(x, scale_factor=o["factor"], mode=o["method"], **border)
    padding = even_padding(case)
    if case.name == "correlate":
        function = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
        return function(x, w, None, o["strides"], padding, o["dilations"], o["groups"])
    if case.name == "correlate_transposed":
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
        return function(x, w, None, o["strides"], padding, o["output_padding"], o["groups"], o["dilations"])
    if case.name == "max_pool":
        return (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1](x, o["size"], o["strides"], padding, o["dilations"])
    function = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[rank - 1]
    return function(x, o["size"], o["strides"], padding, False, o["count_include_pad"])


CASES = [case for case in map(draw, range(3000, 3400)) if even_padding(case) is not None]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_drawn_cases(case):
    arrays = [distinct((3, *case.x))] + ([] if case.w is None else [distinct(case.w, 1)])
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    expected = theirs(case, *(tensors if case.w else (tensors[0], None)))
    inputs = [pel.input("x", case.x, "float64")]
    if case.w is not None:
        inputs.append(pel.input("w", case.w, "float64", "shared"))
    y = case(*inputs)
    weight = distinct(expected.shape, 9)
    r = pel.input("r", y.shape, "float64")
    slopes = pel.grad(ops.batch_sum(ops.sum(y * r)), inputs)
    program = pel.Program([*inputs, r], {"y": y, **{v.name: s for v, s in zip(inputs, slopes, strict=True)}})
    found = reference.compile(program)({}, {"r": weight, **{v.name: a for v, a in zip(inputs, arrays, strict=True)}})
    expected.backward(torch.tensor(weight))
    np.testing.assert_allclose(found["y"], expected.detach(), rtol=1e-10, atol=1e-12)
    for v, t in zip(inputs, tensors, strict=True):
        np.testing.assert_allclose(found[v.name], t.grad, rtol=1e-10, atol=1e-12, err_msg=v.name)


def test_equally_large_elements():
    """Both give the derivative to the first of them."""
    x = np.random.default_rng(0).integers(0, 3, (4, 2, 6, 6)).astype(float)
    t = torch.tensor(x, requires_grad=True)
    F.max_pool2d(t, 3, 2, 1).sum().backward()
    value = pel.input("x", x.shape[1:], "float64")
    y = ops.max_pool(value, 3, 2, padding=1, floor=True)
    slope = pel.grad(ops.batch_sum(ops.sum(y)), [value])[0]
    found = reference.compile(pel.Program([value], {"slope": slope}))({}, {"x": x})["slope"]
    np.testing.assert_array_equal(found, t.grad)
