"""The command line on series: `train --forecast`, `predict`, `evaluate`, and what it says to series that have gaps."""

import re

import numpy as np
import pytest
from test_cli import fails, last, ok

import pellucid as pel
from pellucid.cli.timeline import read_series

QUICK = ("--no-plot", "--epochs", 40)


def months(n: int = 144, gap: bool = False) -> str:
    """A series of months with a season and noise."""
    rng = np.random.default_rng(0)
    lines = ["month,value"]
    for i in range(n):
        value = 100 + 20 * np.sin(2 * np.pi * i / 12) + rng.normal(0, 2)
        lines.append(f"{2000 + i // 12}-{i % 12 + 1:02},{'' if gap and i in (5, 6) else f'{value:.2f}'}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("series")
    (folder / "months.csv").write_text(months())
    text = ok("train", folder / "months.csv", "--forecast", "--horizon", 3, "--output", folder / "m.pel", *QUICK)
    (folder / "printed").write_text(text)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_beside_the_naive_ways(trained):
    text = (trained / "printed").read_text()
    assert "144 values of 'value', 2000-01-01 to 2011-12-01, months" in text and "season: 12 steps" in text
    assert "from the last 23 values" in text and "test, the last 29 values, 1 to 3 steps ahead" in text
    errors = dict(re.findall(r"^  (net|as last|as 12 steps before) +\S+ +(\S+)$", text, re.M))
    assert len(errors) == 3
    net, naive = map(float, re.fullmatch(r"test RMSE (\S+), as last (\S+)", last(text)).groups())
    assert net < 0.5 * naive and float(errors["net"]) == pytest.approx(net, rel=1e-4)
    x = np.array([float(line.split(",")[1]) for line in months().splitlines()[1:]])
    own = [x[i + h] - x[i - 1] for i in range(115, 142) for h in range(3)]  # all origins whose targets are in the test
    assert naive == pytest.approx(np.sqrt(np.mean(np.square(own))), rel=1e-4)


def test_predict_goes_on(trained):
    lines = ok("predict", trained / "m.pel", trained / "months.csv", "--steps", 14).splitlines()
    assert lines[0] == "month,value" and [line.split(",")[0] for line in lines[1:3]] == ["2012-01-01", "2012-02-01"]
    assert lines[14].startswith("2013-02-01,")
    found = np.array([float(line.split(",")[1]) for line in lines[1:]])
    assert abs(found - (100 + 20 * np.sin(2 * np.pi * np.arange(144, 158) / 12))).mean() < 6
    assert ok("predict", trained / "m.pel", trained / "months.csv").count("\n") == 4  # the horizon
    short = trained / "short.csv"
    short.write_text(months(10))
    assert "forecast needs the last 23 values" in fails("predict", trained / "m.pel", short)
    assert "expected at least 26" in fails("evaluate", trained / "m.pel", short)


def test_evaluate_another_series(trained):
    assert re.fullmatch(r"RMSE \S+, as last \S+", last(ok("evaluate", trained / "m.pel", trained / "months.csv")))
    text = ok("summary", trained / "m.pel")
    assert "months.csv, a series of 'value' by 'month'" in text and "the next 3 from the last 23" in text


def test_without_forecast_the_error_points_to_it(here):
    (here / "m.csv").write_text(months(40))
    assert "--forecast" in fails("train", "m.csv")
    assert "--forecast" in fails("train", "m.csv", "--target", "value")
    assert "for a series of values in time give --forecast too" in fails("train", "m.csv", "--horizon", 3)
    assert "does not go with m.csv with --forecast" in fails("train", "m.csv", "--forecast", "--folds", 3)


def test_gaps_are_named_and_filled(here):
    (here / "m.csv").write_text(months(60, gap=True))
    error = fails("train", "m.csv", "--forecast", "--no-plot")
    assert "column 'value' is missing in 2 rows (6, 7)" in error and "--fill" in error
    assert "2 missing values are filled" in ok("train", "m.csv", "--forecast", "--fill", "--no-plot", "--epochs", 1)


@pytest.mark.parametrize(
    "text, args, message",
    [
        ("a,b,c\n2024-01-01,1,2\n", (), "several columns of numbers, b, c; give --target"),
        ("a,b\nx,y\nz,w\n", (), "has no column of numbers"),
        ("a,b\n2024-01-01,1\n2024-01-01,2\n2024-01-02,2\n", (), "'a' is 2024-01-01T00:00:00 in several rows"),
        ("a,b\n01.02.2024,1\n02.02.2024,2\n", ("--date", "a"), "--dates a=%d.%m.%Y"),
        ("a,b\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n", (), "3 values are too few"),
        ("a,b\n2024-01-01,1\n", ("--date", "d"), "no column 'd'"),
        ("a,b\n2024-01-01,1\n", ("--target", "a", "--date", "a"), "expected two columns"),
    ],
)
def test_mistakes(here, text, args, message):
    (here / "s.csv").write_text(text)
    assert message in fails("train", "s.csv", "--forecast", "--no-plot", *args)
    assert not list(here.glob("*.pel"))


def test_dates_go_on(here):
    """By days, weekdays, month ends, quarters, years, hours, and by numbers without dates."""
    from pellucid.cli.timeline import read_series

    def after(given, steps=2, **reading):
        rows = "\n".join(f"{date},{i % 3}" for i, date in enumerate(given))
        (here / "d.csv").write_text(f"when,value\n{rows}\n")
        return read_series("d.csv", reading, "value", "when", False).after(steps)

    def every(start, count, unit):
        return (np.datetime64(start) + np.arange(count)).astype(f"datetime64[{unit}]")

    assert after(every("2024-02-26", 3, "D")) == ["2024-02-29", "2024-03-01"]
    assert after([d for d in every("2024-01-01", 12, "D") if np.is_busday(d)]) == ["2024-01-15", "2024-01-16"]
    assert after(["2024-01-31", "2024-02-29", "2024-03-31"]) == ["2024-04-30", "2024-05-31"]
    assert after(["2023-01-30", "2023-04-30", "2023-07-30"]) == ["2023-10-30", "2024-01-30"]
    assert after([2001, 2002, 2003]) == ["2004-01-01", "2005-01-01"]
    assert after(["2024-01-01T22:00", "2024-01-01T23:00", "2024-01-02T00:00"]) == [
        "2024-01-02T01:00:00", "2024-01-02T02:00:00",
    ]  # fmt: skip
    assert after(["31.12.2023", "01.01.2024", "02.01.2024"], dates={"when": "%d.%m.%Y"}) == ["2024-01-03", "2024-01-04"]


def test_dates_in_another_format_are_pointed_to(here):
    rows = "\n".join(f"{1 + i % 28:02}.{1 + i // 28:02}.2024,{i % 7}" for i in range(40))
    (here / "e.csv").write_text(f"day,value\n{rows}\n")
    said = read_series("e.csv", {}, None, None, False)
    assert said.remarks == ("column 'day' looks like dates in another format: --dates day=%d.%m.%Y",)
    assert not read_series("e.csv", {"dates": {"day": "%d.%m.%Y"}}, None, None, False).remarks[1:]


def test_a_damaged_forecaster_is_refused(trained, tmp_path):
    model = pel.load(trained / "m.pel")
    model.blobs["series"] = model.blobs["series"][:50]
    model.save(tmp_path / "bad.pel")
    assert "forecaster is damaged" in fails("predict", tmp_path / "bad.pel", trained / "months.csv")
