"""The report's charts: lines over rounds, dots on a scale, stacked shares.

Charts are SVG without script. Every chart has a name and a description for those who cannot see it,
and its numbers stand in a table beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from entente_simulations.demo.report.markup import Markup, join, tag
from entente_simulations.demo.report.svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Frame,
    axes,
    canvas,
    mark,
    nice_ticks,
    tone_class,
    vertical_grid,
    whole_ticks,
)

_ROW = 30
_LABEL = 172


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart.

    Attributes:
        name: What the legend says.
        points: (x, y), in order of x.
        tone: Which of the ten tones and marks it takes.
        strong: Whether it is the line to look at first.
    """

    name: str
    points: Sequence[tuple[float, float]]
    tone: int
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal reference line."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Dot:
    """One row of a dot chart: a label, and a value or none."""

    label: str
    value: float | None
    tone: int


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    description: str,
    x_label: str,
    y_label: str,
    level: Level | None = None,
    from_zero: bool = False,
) -> Markup:
    """Lines over whole numbers, such as rounds, with axes and a legend."""
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for _, y in line.points]
    if not ys:
        return tag("p", "No numbers were reported for this chart.", class_="note")
    ys += [level.value] if level else []
    ys += [0.0] if from_zero else []
    x_ticks = whole_ticks(min(xs), max(xs))
    y_ticks = nice_ticks(min(ys), max(ys), count=5)
    frame = Frame((min(xs), max(xs)), (y_ticks[0], y_ticks[-1]))
    parts = [axes(frame, x_ticks, y_ticks, x_label=x_label, y_label=y_label)]
    if level:
        parts.append(_level(frame, level))
    # The strong line is drawn last, so that nothing lies over it.
    parts.extend(_line(frame, line) for line in sorted(series, key=lambda line: line.strong))
    drawing = canvas(parts, title=title, description=description, height=HEIGHT)
    return tag("figure", tag("figcaption", title), drawing, _legend(series))


def dot_chart(dots: Sequence[Dot], *, title: str, description: str, x_label: str) -> Markup:
    """Values side by side on one scale, each on its own row."""
    values = [dot.value for dot in dots if dot.value is not None]
    if not values:
        return tag("p", "No numbers were reported for this chart.", class_="note")
    ticks = nice_ticks(min(values), max(values), count=5)
    height = TOP + _ROW * len(dots) + BOTTOM
    left, right = _LABEL, WIDTH - 64
    base = height - BOTTOM

    def across(value: float) -> float:
        return left + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (right - left)

    parts = [vertical_grid(across, ticks, top=TOP, base=base, label=x_label)]
    for row, dot in enumerate(dots):
        y = TOP + _ROW * (row + 0.5)
        parts.append(tag("text", dot.label, x=left - 12, y=y + 4.5, class_="label end"))
        if dot.value is None:
            parts.append(tag("text", "not defined", x=left + 6, y=y + 4.5, class_="tick"))
            continue
        x = across(dot.value)
        parts.append(tag("line", x1=left, y1=y, x2=right, y2=y, class_="guide"))
        parts.append(tag("circle", cx=x, cy=y, r=6, class_=f"mark {tone_class(dot.tone)}"))
        parts.append(tag("text", f"{dot.value:.4f}", x=x + 12, y=y + 4.5, class_="value"))
    return tag(
        "figure",
        tag("figcaption", title),
        canvas(parts, title=title, description=description, height=height),
    )


def stacked_bars(
    bars: Mapping[str, Mapping[str, int]], *, title: str, description: str, x_label: str
) -> Markup:
    """Counts of each class at each place, as one bar a place."""
    classes = list(dict.fromkeys(name for counts in bars.values() for name in counts))
    largest = max(sum(counts.values()) for counts in bars.values())
    ticks = nice_ticks(0, largest, count=5)
    row_height = 46
    height = TOP + row_height * len(bars) + BOTTOM
    left, right = 112, WIDTH - 60

    def across(value: float) -> float:
        return left + value / ticks[-1] * (right - left)

    parts = [vertical_grid(across, ticks, top=TOP, base=height - BOTTOM, label=x_label)]
    for row, (name, counts) in enumerate(bars.items()):
        y = TOP + row_height * row + 7
        parts.append(tag("text", name, x=left - 12, y=y + 21, class_="label end"))
        start = 0
        for tone, label in enumerate(classes):
            count = counts.get(label, 0)
            parts.append(_segment(across(start), across(start + count), y, label, count, tone=tone))
            start += count
        parts.append(tag("text", str(start), x=across(start) + 8, y=y + 21, class_="value"))
    drawing = canvas(parts, title=title, description=description, height=height)
    return tag("figure", tag("figcaption", title), drawing, _swatches(classes))


def _line(frame: Frame, line: Series) -> Markup:
    places = [(frame.x(x), frame.y(y)) for x, y in line.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    weight = " strong" if line.strong else ""
    marks = [
        tag(
            "g",
            tag("title", f"{line.name}, {x:g}: {y:.4f}"),
            mark(line.tone, place, strong=line.strong),
        )
        for (x, y), place in zip(line.points, places, strict=True)
    ]
    stroke = tag("polyline", points=path, class_=f"line {tone_class(line.tone)}{weight}")
    return tag("g", stroke, marks)


def _level(frame: Frame, level: Level) -> Markup:
    y, right = frame.y(level.value), WIDTH - RIGHT
    return join(
        tag("line", x1=LEFT, y1=y, x2=right, y2=y, class_="level"),
        tag("text", level.name, x=LEFT + 8, y=y + 17, class_="value"),
    )


def _segment(start: float, end: float, y: float, label: str, count: int, *, tone: int) -> Markup:
    width = max(end - start - 1.5, 0.0)
    text = f"{label}: {count}"
    words = []
    for candidate in (f"{label} {count}", label):
        if len(candidate) * 7.6 + 8 <= width:
            middle = (start + end) / 2
            words = [tag("text", candidate, x=middle, y=y + 21, class_="inside middle")]
            break
    bar = tag("rect", x=start, y=y, width=width, height=32, rx=3, class_=f"bar {tone_class(tone)}")
    return tag("g", tag("title", text), bar, words)


def _legend(series: Sequence[Series]) -> Markup:
    entries = []
    for line in series:
        style = f"line {tone_class(line.tone)}{' strong' if line.strong else ''}"
        swatch = tag(
            "svg",
            tag("line", x1=0, y1=8, x2=28, y2=8, class_=style),
            mark(line.tone, (14.0, 8.0)),
            viewBox="0 0 28 16",
            class_="swatch",
            aria_hidden="true",
        )
        entries.append(tag("li", swatch, line.name))
    return tag("ul", entries, class_="legend")


def _swatches(names: Sequence[str]) -> Markup:
    entries = []
    for tone, name in enumerate(names):
        box = tag("rect", x=0, y=1, width=14, height=14, rx=3, class_=f"bar {tone_class(tone)}")
        swatch = tag("svg", box, viewBox="0 0 16 16", class_="swatch small", aria_hidden="true")
        entries.append(tag("li", swatch, name))
    return tag("ul", entries, class_="legend")
