"""Charts keep their numbers inside the picture, and text stays text."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from entente_simulations.demo.report.charts import Dot, Series, dot_chart, line_chart
from entente_simulations.demo.report.markup import Markup, join, table, tag
from entente_simulations.demo.report.svg import HEIGHT, WIDTH, nice_ticks

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-6)


@given(NUMBERS, NUMBERS)
def test_ticks_enclose_the_values_and_are_few(first: float, second: float) -> None:
    low, high = min(first, second), max(first, second)

    ticks = nice_ticks(low, high, count=5)

    slack = 1e-6 * max(abs(low), abs(high), high - low)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_lines_stay_inside_the_picture(values: list[float]) -> None:
    series = Series("a", list(enumerate(values, start=1)), tone=0)

    chart = line_chart([series], title="t", description="d", x_label="x", y_label="y")

    (points,) = re.findall(r'points="([^"]+)"', chart)
    places = [tuple(float(part) for part in pair.split(",")) for pair in points.split()]
    assert len(places) == len(values)
    assert all(0 <= x <= WIDTH and -0.1 <= y <= HEIGHT for x, y in places)


def test_higher_values_stand_higher() -> None:
    series = Series("a", [(1, 0.1), (2, 0.5), (3, 0.9)], tone=0)

    chart = line_chart([series], title="t", description="d", x_label="x", y_label="y")

    (points,) = re.findall(r'points="([^"]+)"', chart)
    heights = [float(pair.split(",")[1]) for pair in points.split()]
    assert heights == sorted(heights, reverse=True)


def test_series_differ_by_mark_and_not_by_colour_alone() -> None:
    chart = line_chart(
        [Series(name, [(1, 1.0)], tone=tone) for tone, name in enumerate("abcd")],
        title="t", description="d", x_label="x", y_label="y",
    )  # fmt: skip

    assert len({re.sub(r"tone-\d", "", mark) for mark in _legend_marks(chart)}) == 4


def test_a_value_that_is_not_defined_is_said_to_be_so() -> None:
    chart = dot_chart(
        [Dot("a", 0.5, 0), Dot("b", None, 1)], title="t", description="d", x_label="x"
    )

    assert "not defined" in chart


@given(st.text(max_size=40), st.text(max_size=40))
def test_markup_never_lets_text_become_an_element(content: str, value: str) -> None:
    made = tag("p", content, title=value)

    assert made.count("<") == 2
    assert made.count(">") == 2


def test_markup_passes_only_markup() -> None:
    assert join("<b>", Markup("<i>x</i>")) == "&lt;b&gt;<i>x</i>"
    assert tag("line", x1=1.0, y1=2.5, aria_hidden="true", title=None) == (
        '<line x1="1" y1="2.5" aria-hidden="true"/>'
    )
    assert "<caption>c</caption>" in table("c", ["h"], [["r"]])


def _legend_marks(chart: str) -> list[str]:
    legend = chart[chart.index('class="legend"') :]
    return re.findall(r"/>(<(?:circle|rect|path)[^>]*>)", legend)
