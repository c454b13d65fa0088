"""Figures as text: ratios, and tables in Markdown. Imports rows, contest and the contestants' names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import images, rows, scaling, sequences
from .contest import Result
from .contestants import BY_HAND, IMAGE_NAMES, NAMES, OURS, SEQUENCE_NAMES, WHOLE_EPOCH

BEGIN, END = "<!-- the table begins -->", "<!-- the table ends -->"


def best_peer(results: Mapping[str, Result]) -> str | None:
    """The fastest of the others; the loop compiled as a whole and the scan by hand are not among them."""
    peers = {n: r.median for n, r in results.items() if n not in (OURS, WHOLE_EPOCH, BY_HAND) and r.seconds}
    return min(peers, key=lambda n: peers[n]) if peers else None


def ratio(results: Mapping[str, Result], peer: str | None) -> float:
    """A peer's seconds by ours: 2 means that Pellucid takes half the time. NaN where one of them is missing."""
    if peer not in results or OURS not in results:
        return math.nan
    return results[peer].median / results[OURS].median


def microseconds(seconds: float) -> str:
    """Three digits, and thousands apart.

    >>> microseconds(0.00123456), microseconds(1.5e-6), microseconds(float("nan"))
    ('1,235', '1.5', '-')
    """
    us = seconds * 1e6
    return "-" if math.isnan(us) else f"{us:,.0f}" if us >= 100 else f"{us:.3g}"


def times(x: float, wanted: float | None = None) -> str:
    """A ratio, and whether it is what was wanted.

    >>> times(1.234), times(1.5, 1.2), times(1.1, 1.2)
    ('1.23', '1.50 (wanted 1.2)', '1.10 (**wanted 1.2**)')
    """
    if math.isnan(x):
        return "-"
    text = f"{x:.2f}"
    if wanted is None:
        return text
    return f"{text} (wanted {wanted:g})" if x >= wanted else f"{text} (**wanted {wanted:g}**)"


def at_most(x: float, unit: float, digits: str, wanted: float) -> str:
    """A time that should not be longer than wanted."""
    mark = "wanted" if x <= wanted else "**wanted"
    return f"{x * unit:{digits}} ({mark} {wanted * unit:g}{'**' if x > wanted else ''})"


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text, the others are numbers."""
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def contest_table(found: Mapping[str, tuple[rows.Row, Mapping[str, Result]]]) -> str:
    head = ["microseconds", *NAMES, "best peer by Pellucid", "JAX scan by Pellucid"]
    body = []
    for row, results in found.values():
        cells = [microseconds(results[n].median) if n in results else "-" for n in NAMES]
        body.append([row.what, *cells, to_peers(row, results), times(ratio(results, WHOLE_EPOCH))])
    return markdown(head, body)


def image_table(found: Mapping[str, Any]) -> str:
    """Milliseconds, and Pellucid's share of the peak: it may exceed 1 where a convolution needs less arithmetic."""
    body = []
    for row, results in found["rows"].values():
        share = times(share_of_peak(images.flops(row), results, found["peak"]))
        body.append([row.what, *milliseconds(results, IMAGE_NAMES), to_peers(row, results), share])
    return markdown(["milliseconds", *IMAGE_NAMES, "best peer by Pellucid", "share of peak"], body)


def sequence_table(found: Mapping[str, Any]) -> str:
    body = []
    for row, results in found["rows"].values():
        share = times(share_of_peak(sequences.flops(row), results, found["peak"]), row.share)
        ratios = [to_peers(row, results), times(ratio(results, BY_HAND))]
        body.append([row.what, *milliseconds(results, SEQUENCE_NAMES), *ratios, share])
    head = ["milliseconds", *SEQUENCE_NAMES, "best peer by Pellucid", f"{BY_HAND} by Pellucid", "share of peak"]
    return markdown(head, body)


def milliseconds(results: Mapping[str, Result], names: Sequence[str]) -> list[str]:
    return [f"{results[n].median * 1e3:.3g}" if n in results and results[n].seconds else "-" for n in names]


def share_of_peak(flops: int, results: Mapping[str, Result], peak: float) -> float:
    return flops / results[OURS].median / peak if OURS in results else math.nan


def to_peers(row: rows.Row, results: Mapping[str, Result]) -> str:
    """The ratio to the best peer; and to the one that something was promised about, where that is another."""
    best = best_peer(results)
    if row.against is None or row.against == best:
        return times(ratio(results, best), row.wanted)
    return f"{times(ratio(results, best))}; {row.against} {times(ratio(results, row.against), row.wanted)}"


def reasons(found: Mapping[str, tuple[rows.Row, Mapping[str, Result]]]) -> str:
    """Why a figure is missing, each reason once; and where the machine was disturbed."""
    lines: dict[str, list[str]] = {}
    for name, (_, results) in found.items():
        for contestant, r in results.items():
            if r.reason:
                lines.setdefault(f"{contestant}: {r.reason}", []).append(name)
    text = [f"- {line} ({', '.join(names)})" for line, names in lines.items()]
    rough = [f"{n} {c} {r.spread:.1f}" for n, (_, rs) in found.items() for c, r in rs.items() if r.spread > 1.5]
    if rough:
        text.append(f"- slowest round by fastest above 1.5 (something else was running): {', '.join(rough)}")
    return "\n".join(text)


def scaling_table(found: Mapping[str, Any]) -> str:
    best = found["peak"]
    peaks = ", ".join(f"{t} thread{'s' * (t > 1)} {p / 1e9:,.0f} GFLOP/s" for t, p in best.items() if p)
    body = []
    for row, results in found["rows"].values():
        one, two = results[1], results.get(2, Result())
        failed = one.reason or two.reason
        body.append([
            f"{row.net}, batch {row.batch}, {row.optimizer}" + (f": {failed}" if failed else ""),
            microseconds(one.median),
            microseconds(two.median),
            times(one.median / two.median, rows.SCALING_WANTED.get(row.name)),
            times(scaling.share(row, one, best[1]) if one.seconds else math.nan, rows.SHARE_WANTED.get(row.name)),
            times(scaling.share(row, two, best[2]) if two.seconds else math.nan),
        ])  # fmt: skip
    head = ["microseconds a step", "1 thread", "2 threads", "1 by 2", "share of peak, 1", "share of peak, 2"]
    return f"Peak of this machine ({found['loop']}): {peaks}.\n\n" + markdown(head, body)


def compile_table(found: Mapping[str, Mapping[str, float]]) -> str:
    body = [[name, f"{t['cold'] * 1e3:.0f}", f"{t['warm'] * 1e3:.0f}"] for name, t in found.items()]
    return markdown(["compile time, milliseconds", "cold cache", "warm cache"], body)


def start_table(found: Mapping[str, Any], sklearn_fit: float) -> str:
    step, fit = found["first_step"], found["whole_fit"]
    beside = [] if math.isnan(sklearn_fit) else [["scikit-learn's whole fit in this run", f"{sklearn_fit:.3f}"]]
    cold = f"{fit['cold']:.3f}" if math.isnan(sklearn_fit) else at_most(fit["cold"], 1, ".3f", round(sklearn_fit, 3))
    return markdown(["in a new process", "seconds"], [
        ["import pellucid", at_most(found["import"], 1, ".3f", 0.25)],
        ["64-64-10, `fit` of one step, cold cache", at_most(step["cold"], 1, ".3f", 0.3)],
        ["64-64-10, `fit` of one step, warm cache", at_most(step["warm"], 1, ".3f", 0.1)],
        ["64-64-10, 1792 rows, 20 epochs, whole fit, cold cache", cold],
        ["the same, warm cache", f"{fit['warm']:.3f}"],
        *beside,
    ])  # fmt: skip


def mnist_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    body = []
    for name, r in found.items():
        done = "seconds" in r
        figures = [f"{r['epochs']}", f"{r['seconds']:.1f}", f"{r['accuracy']:.4f}"] if done else ["-"] * 3
        body.append([name if done else f"{name}: {r['reason']}", *figures])
    return markdown(["MNIST, 784-1024-10 relu, batch 64, momentum", "epochs", "seconds", "test accuracy"], body)


def write(path: Path, text: str) -> None:
    """Put the text between the markers of a file."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} has no lines {BEGIN!r} and {END!r}")
    path.write_text(f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}")
