"""The drawing kit under the report's charts: a frame, axes, grids and marks, as SVG.

Colours come from classes (`tone-0` to `tone-9`), so that one drawing serves light and dark; marks
also differ by shape, so that colour is never the only sign.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from entente_simulations.demo.report.markup import Markup, join, tag

WIDTH = 620
HEIGHT = 300
LEFT, RIGHT, TOP, BOTTOM = 72, 14, 12, 44
_TONES = 10
_MARK = 4.2


def nice_ticks(low: float, high: float, *, count: int) -> list[float]:
    """About `count` round numbers that enclose `low` and `high` (Heckbert 1990)."""
    span = high - low if high > low else max(abs(high), 1.0) * 0.1
    raw = span / count
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor >= raw)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if last == first:
        last += 1
    return [round(place * step, 12) for place in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Frame:
    """Maps values to places in the drawing.

    Attributes:
        xs: Smallest and largest value across.
        ys: Smallest and largest value upwards.
    """

    xs: tuple[float, float]
    ys: tuple[float, float]

    def x(self, value: float) -> float:
        """Where a value lies across."""
        low, high = self.xs
        share = 0.5 if high == low else (value - low) / (high - low)
        return LEFT + 10 + share * (WIDTH - LEFT - RIGHT - 20)

    def y(self, value: float) -> float:
        """Where a value lies up and down."""
        low, high = self.ys
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)


def canvas(parts: Sequence[Markup], *, title: str, description: str, height: float) -> Markup:
    """The picture around `parts`, with its name and description."""
    return tag(
        "svg",
        tag("title", title),
        tag("desc", description),
        parts,
        viewBox=f"0 0 {WIDTH} {height:g}",
        role="img",
        aria_label=f"{title}. {description}",
    )


def axes(
    frame: Frame,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    *,
    x_label: str,
    y_label: str,
) -> Markup:
    """Both axes with their ticks and names, and a horizontal grid."""
    base, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for tick in y_ticks:
        y = frame.y(tick)
        parts.append(tag("line", x1=LEFT, y1=y, x2=right, y2=y, class_="grid"))
        parts.append(tag("text", f"{tick:g}", x=LEFT - 8, y=y + 4, class_="tick end"))
    parts += [
        tag("text", f"{tick:g}", x=frame.x(tick), y=base + 18, class_="tick middle")
        for tick in x_ticks
    ]
    middle = (TOP + base) / 2
    parts.append(tag("line", x1=LEFT, y1=base, x2=right, y2=base, class_="axis"))
    parts.append(tag("text", x_label, x=(LEFT + right) / 2, y=HEIGHT - 6, class_="name middle"))
    turned = f"rotate(-90 14 {middle:g})"
    parts.append(tag("text", y_label, x=14, y=middle, transform=turned, class_="name middle"))
    return join(parts)


def vertical_grid(
    place: Callable[[float], float],
    ticks: Sequence[float],
    *,
    top: float,
    base: float,
    label: str,
) -> Markup:
    """A scale along the bottom, with a vertical grid."""
    parts = []
    for tick in ticks:
        x = place(tick)
        parts.append(tag("line", x1=x, y1=top, x2=x, y2=base, class_="grid"))
        parts.append(tag("text", f"{tick:g}", x=x, y=base + 18, class_="tick middle"))
    middle = (place(ticks[0]) + place(ticks[-1])) / 2
    parts.append(tag("text", label, x=middle, y=base + 38, class_="name middle"))
    return join(parts)


def mark(tone: int, place: tuple[float, float], *, strong: bool = False) -> Markup:
    """The mark of a tone: circle, square, diamond or triangle."""
    x, y = place
    style, size = f"mark {tone_class(tone)}", _MARK + (1.2 if strong else 0)
    shape = tone % 4
    if shape == 0:
        return tag("circle", cx=x, cy=y, r=size, class_=style)
    if shape == 1:
        return tag("rect", x=x - size * 0.9, y=y - size * 0.9, width=size * 1.8,
                   height=size * 1.8, class_=style)  # fmt: skip
    if shape == 2:
        outline = f"M{x:.1f} {y - size * 1.3:.1f}l{size * 1.3:.1f} {size * 1.3:.1f}"
        outline += f"l{-size * 1.3:.1f} {size * 1.3:.1f}l{-size * 1.3:.1f} {-size * 1.3:.1f}z"
        return tag("path", d=outline, class_=style)
    outline = f"M{x:.1f} {y - size * 1.2:.1f}l{size * 1.2:.1f} {size * 2.1:.1f}"
    return tag("path", d=f"{outline}h{-size * 2.4:.1f}z", class_=style)


def tone_class(tone: int) -> str:
    """The class that gives a tone its colour."""
    return f"tone-{tone % _TONES}"


def whole_ticks(low: float, high: float) -> list[float]:
    """At most thirteen whole numbers from `low` to `high`."""
    step = max(1, math.ceil((high - low) / 12))
    return [float(tick) for tick in range(int(low), int(high) + 1, step)]
