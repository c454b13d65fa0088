"""The loop of the passes: what a rule changes, what stays the very same, loops over time."""

import pytest

from pellucid import Program, input, ops, state
from pellucid.ops.elementwise import exp, log
from pellucid.ops.loop import rebuilt, result_of, scan_of
from pellucid.passes.rewrite import rewrite


def nothing(v, inputs):
    return None


def test_without_changes_every_value_is_the_same():
    w, x = state("w", (3,)), input("x", (3,))
    program = Program([x], {"y": ops.exp(w * x)}, {w: w + ops.batch_sum(x)})
    assert rewrite(program, nothing).order == program.order


def test_what_is_read_from_a_changed_value_is_made_anew():
    w, x = state("w"), input("x")
    y, z = ops.exp(x) * w, w * 2
    found = rewrite(Program([x], {"y": y, "z": z}), lambda v, inputs: log(*inputs) if v.primitive is exp else None)
    assert found.outputs["z"] is z and found.outputs["y"] is not y
    assert [v.primitive.name for v in found.order if v.inputs] == ["log", "multiply", "multiply"]


def test_leaves_may_change_too():
    w, x = state("w"), input("x")
    other = {w: state("v"), x: input("x", kind="shared")}
    new = {}
    found = rewrite(Program([x], {"y": x * w}, {w: w * 2}), lambda v, inputs: other.get(v), new=new)
    assert found.inputs == {"x": other[x]} and [*found.updates] == [other[w]]
    assert found.outputs["y"].kind == "shared" and new[w] is other[w]


def scanned():
    start, x = input("start"), input("x", (5,))
    total, each = ops.scan(lambda s, v: (s + ops.exp(v * s),) * 2, start, x)
    return Program([start, x], {"total": total, "each": each})


@pytest.mark.parametrize("inside", [False, True])
def test_loops(inside):
    """Their steps are rewritten where there is a rule for loops; without, they stay as they are."""

    def rule(v, inputs):
        return log(*inputs) if v.primitive is exp else None

    def change(body):
        return rewrite(body, rule)

    program = scanned()
    found = rewrite(program, rule, (lambda v, inputs, wanted: rebuilt(v, inputs, wanted, change)) if inside else None)
    (loop,) = (v for v in found.order if v.primitive is scan_of)
    names = {v.primitive.name for v in loop.attributes["body"].order}
    assert ("log" in names, "exp" in names) == (inside, not inside)
    assert (found.order == program.order) is not inside
    body = loop.attributes["body"].order
    assert all(v.attributes["of"] in body for v in found.order if v.primitive is result_of)
