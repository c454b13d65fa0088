"""`scan` against the same steps one after the other, forward and backward; `vmap` against one step at a time."""

import numpy as np
import pytest
from native_tools import agree
from tools import distinct

import pellucid as pel
from pellucid import ArgumentError, GraphError, Program, ops
from pellucid.executors import native, reference

T, C, H, N = 5, 3, 4, 3


def unrolled(body, init, xs, length=None, reverse=False, mask=None, truncate=None, **_):
    """What `scan` means: the steps one after the other."""
    several = isinstance(init, tuple)
    carry, ys = init if several else (init,), []
    given = xs if isinstance(xs, tuple) else (xs,)
    n = length if xs is None else given[0].shape[0]
    for k in range(n):
        t = n - 1 - k if reverse else k
        if truncate is not None and k % truncate == 0:
            carry = tuple(ops.stop_gradient(c) for c in carry)
        x = None if xs is None else tuple(g[t] for g in given) if isinstance(xs, tuple) else xs[t]
        new, y = body(carry if several else carry[0], x)
        new = new if several else (new,)
        carry = new if mask is None else tuple(ops.where(mask[t], a, b) for a, b in zip(new, carry, strict=True))
        ys.append(y)
    ys = ys[::-1] if reverse else ys
    return carry if several else carry[0], None if ys[0] is None else ops.stack(ys)


def lstm(w, u, b):
    def body(carry, x):
        h, c = carry
        z = ops.contract(w, h, "ij,j->i") + (ops.contract(u, x, "ij,j->i") + b)
        i, f, g, o = (z[k * H : (k + 1) * H] for k in range(4))
        c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
        h = ops.sigmoid(o) * ops.tanh(c)
        return (h, c), h

    return body


def elman(w, u, b):
    def body(h, x):
        h = ops.tanh(ops.contract(w[:H], h, "ij,j->i") + (ops.contract(u[:H], x, "ij,j->i") + b[:H]))
        return h, ops.sum(h * h)

    return body


def with_softmax(w, u, b):
    def body(h, x):
        a = ops.softmax(ops.contract(w[:H], h, "ij,j->i") + b[:H])
        return a * ops.max(h) + ops.contract(u[:H], x, "ij,j->i"), ops.concatenate([a, h])

    return body


def program(scan, make, **options):
    """Outputs and derivatives of a net with a loop, made by ``scan`` or written out."""
    x, h0 = pel.input("x", (T, C), "float64"), pel.input("h0", (H,), "float64")
    real = pel.input("real", (T,), "bool")
    w, u, b = (pel.state(k, s, "float64") for k, s in (("w", (4 * H, H)), ("u", (4 * H, C)), ("b", (4 * H,))))
    if options.pop("masked", False):
        options["mask"] = real
    init = (h0, h0 * 0.5) if make is lstm else h0
    last, ys = scan(make(w, u, b), init, x, **options)
    last = last if isinstance(last, tuple) else (last,)
    cost = pel.batch_sum(ops.sum(ys * ys * ys) + sum(ops.sum(v * v) for v in last))
    wrt = [w, u, b, x, h0]
    slopes = dict(zip(("w", "u", "b", "x", "h0"), pel.grad(cost, wrt), strict=True))
    return Program([x, h0, real], {"ys": ys, "last": last[-1], **slopes})


def arrays():
    state = {"w": distinct((4 * H, H), 1) / 2, "u": distinct((4 * H, C), 2), "b": distinct((4 * H,), 3)}
    real = np.arange(T) < np.array([[5], [2], [1]])
    return state, {"x": distinct((N, T, C), 4), "h0": distinct((N, H), 5), "real": real}


OPTIONS = ({}, {"reverse": True}, {"masked": True}, {"masked": True, "reverse": True}, {"truncate": 2},
           {"truncate": 2, "reverse": True}, {"remat": True}, {"remat": True, "masked": True})  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("make", [lstm, elman, with_softmax])
def test_is_its_steps_one_after_the_other(make, options):
    state, inputs = arrays()
    got, wanted = (reference.compile(program(f, make, **options))(dict(state), inputs) for f in (ops.scan, unrolled))
    for name in wanted:
        np.testing.assert_allclose(got[name], wanted[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_what_does_not_wait_for_the_state_is_computed_at_once():
    """Projections of inputs stand before the loop, gradients of weights behind it: one contraction for all steps."""
    specs = [v.attributes["spec"] for v in program(ops.scan, lstm).order if v.primitive.name == "contract"]
    bodies = [v.attributes["body"] for v in program(ops.scan, lstm).order if v.primitive.name == "scan"]
    inside = [v.attributes["spec"] for b in bodies for v in b.order if v.primitive.name == "contract"]
    assert len(bodies) == 2 and inside == ["ij,j->i", "ij,i->j"]
    assert sorted(specs) == sorted(["ij,Zj->Zi", "Zi,Zj->ij", "Zi,Zj->ij", "ij,Zi->Zj"])


def test_without_sequences():
    start = pel.input("start", (), "float64")
    last, powers = ops.scan(lambda s, _: (s * 2, s), start, length=4)
    run = reference.compile(Program([start], {"last": last, "powers": powers}))
    found = run({}, {"start": [1.0, 3.0]})
    assert found["last"].tolist() == [16, 48] and found["powers"].tolist() == [[1, 2, 4, 8], [3, 6, 12, 24]]


def test_shared_values_and_counters():
    xs = pel.input("xs", (6,), "float64", "shared")
    (total, count), _ = ops.scan(lambda s, x: ((s[0] + x, s[1] + 1), None),
                                 (ops.fill(0, (), "float64"), ops.fill(0, (), "int32")), xs)  # fmt: skip
    slope = pel.grad(total * total, xs)
    run = reference.compile(Program([xs], {"total": total, "count": count, "slope": slope}))
    found = run({}, {"xs": np.arange(6.0)})
    assert (found["total"], found["count"], found["slope"].tolist()) == (15, 6, [30.0] * 6)


def test_what_is_used_from_outside_may_differ_from_sample_to_sample():
    memory, start = pel.input("memory", (H,), "float64"), ops.fill(1, (H,), "float64")
    last, _ = ops.scan(lambda h, _: (h * memory, None), start, length=3)
    slope = pel.grad(pel.batch_sum(ops.sum(last)), memory)
    found = reference.compile(Program([memory], {"slope": slope}))({}, {"memory": distinct((N, H))})
    np.testing.assert_allclose(found["slope"], 3 * distinct((N, H)) ** 2)


def test_bad_loops_are_told():
    x, h = pel.input("x", (T, C)), pel.input("h", (C,))
    step = lambda s, x: (s + x, s)
    for call, words in [
        (lambda: ops.scan(step, h, pel.input("none", (0, C))), "length 0"),
        (lambda: ops.scan(step, h, (x, pel.input("y", (T + 1, C)))), r"one length, got \[5, 6\]"),
        (lambda: ops.scan(step, h), "needs xs, or length="),
        (lambda: ops.scan(lambda s, x: s + x, h, x), r"must return \(carry, y\)"),
        (lambda: ops.scan(lambda s, x: (ops.sum(s + x), s), h, x), r"into float32 \(\); the state must keep"),
        (lambda: ops.scan(step, h, x, mask=pel.input("m", (T,))), "mask must be a bool"),
        (lambda: ops.scan(step, h, x, truncate=0), "truncate must be"),
        (lambda: ops.scan(lambda s, x: (s + pel.batch_sum(s), s), h, x), "batch_sum within the recurrence"),
    ]:
        with pytest.raises((ArgumentError, GraphError), match=words):
            call()


def test_vmap_is_each_step():
    x, w = pel.input("x", (T, C), "float64"), pel.state("w", (H, C), "float64")

    def step(v):
        a = ops.contract(w, v, "ij,j->i")
        return ops.concatenate(
            [ops.softmax(a), ops.flip(ops.pad(a[1:3], [(1, 0)])), ops.max(v, keepdims=True), a.reshape(2, 2).T[0]]
        )

    both = {"at once": ops.vmap(step, x), "each": ops.stack([step(x[t]) for t in range(T)])}
    both |= {f"slope {k}": pel.grad(pel.batch_sum(ops.sum(v * v * v)), w) for k, v in list(both.items())}
    found = reference.compile(Program([x], both))({"w": distinct((H, C), 1)}, {"x": distinct((N, T, C))})
    np.testing.assert_allclose(found["at once"], found["each"])
    np.testing.assert_allclose(found["slope at once"], found["slope each"])


# ---- native -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("make", [lstm, elman, with_softmax])
def test_native(make, options):
    state, inputs = arrays()
    agree(program(ops.scan, make, **options), inputs, state, width=(4, 8, 16)[OPTIONS.index(options) % 3], threads=1)


def test_native_one_sample_at_a_time():
    """The whole loop with features in lanes."""
    state, inputs = arrays()
    p = program(ops.scan, lstm)
    p = Program(p.inputs, {name: p.outputs[name] for name in ("ys", "last", "x")})
    one = {name: a[:1] for name, a in inputs.items()}
    run, wanted = native.compile(p), reference.compile(p)(dict(state), one)
    assert run.executable.one_sample is not None
    for name, a in run(dict(state), one).items():
        np.testing.assert_allclose(a, wanted[name], rtol=1e-9, atol=1e-12, err_msg=name)


def test_native_same_bits_for_any_number_of_threads():
    state, inputs = arrays()
    many = {name: np.concatenate([a] * 15) for name, a in inputs.items()}
    p = program(ops.scan, lstm)
    first, *others = (native.compile(p, threads=n)(dict(state), many) for n in (1, 2, 3, 4))
    for other in others:
        for name in first:
            np.testing.assert_array_equal(first[name], other[name])


def test_native_looks_at_what_a_loop_computes(tmp_path):
    p = program(ops.scan, lstm)
    native.compile(p).dump(tmp_path)
    plan = (tmp_path / "plan.txt").read_text()
    assert "5 steps" in plan and "5 steps, the last one first" in plan


def test_what_a_loop_gives_may_be_padded():
    """A loop writes its results without a margin around them."""
    x, w, u = (
        pel.input("x", (T, C), "float64"),
        pel.state("w", (C, C), "float64"),
        pel.state("u", (C + 2, H), "float64"),
    )
    _, ys = ops.scan(lambda s, v: (ops.contract(w, s * v, "ij,j->i"), s * v), ops.fill(1, (C,), "float64"), x)
    y = ops.contract(u, ops.pad(ys, [(0, 0), (2, 0)]), "ij,ti->tj")
    state = {"w": distinct((C, C), 1), "u": distinct((C + 2, H), 2)}
    agree(Program([x], {"y": y}), {"x": distinct((N, T, C))}, state)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("make", [lstm, elman])
def test_native_second_derivatives(make, reverse):
    """Of a loop all of whose results are used: its last state, and what it gives at each step."""
    x, h0 = pel.input("x", (T, C), "float64"), pel.input("h0", (H,), "float64")
    w, u, b = (pel.state(k, s, "float64") for k, s in (("w", (4 * H, H)), ("u", (4 * H, C)), ("b", (4 * H,))))
    last, ys = ops.scan(make(w, u, b), (h0, h0 * 0.5) if make is lstm else h0, x, reverse=reverse)
    last = last if isinstance(last, tuple) else (last,)
    cost = pel.batch_sum(ops.sum(ys * ys) + sum(ops.sum(v * v) for v in last))
    first = pel.grad(cost, [x, h0, w])
    again = pel.batch_sum(ops.sum(first[0] * first[0]) + ops.sum(first[1] * first[1])) + ops.sum(first[2] * first[2])
    slopes = dict(zip(("x", "h0", "w", "u", "b"), pel.grad(again, [x, h0, w, u, b]), strict=True))
    state, inputs = arrays()
    agree(Program([x, h0], slopes), {k: inputs[k] for k in ("x", "h0")}, state, tolerance=1e-10)
