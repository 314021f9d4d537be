"""HTML and SVG as values: text is escaped by construction, only `Markup` passes as it is."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


class Markup(str):
    """Text that is already HTML or SVG."""

    __slots__ = ()


Content = str | Markup | Iterable[str | Markup]

_VOID = frozenset({"meta", "br", "circle", "line", "path", "rect", "polyline"})


def tag(name: str, /, *content: Content, **attributes: str | float | None) -> Markup:
    """One element.

    Args:
        name: The element's name.
        content: Text to escape, or `Markup`, or several of them.
        attributes: Attributes; `_` stands for `-`, a trailing `_` is dropped, `None` leaves the
            attribute out.
    """
    written = "".join(
        f' {_attribute_name(key)}="{escape(_attribute_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID and not content:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(*content)}</{name}>")


def join(*content: Content) -> Markup:
    """Pieces one after another."""
    return Markup("".join(_piece(piece) for piece in content))


def table(
    caption: str, header: Iterable[str | Markup], rows: Iterable[Iterable[str | Markup]]
) -> Markup:
    """A table; the first cell of each row is its heading, the others are numbers or short text."""
    head = tag("tr", [tag("th", cell, scope="col") for cell in header])
    body = []
    for row in rows:
        first, *others = row
        body.append(tag("tr", tag("th", first, scope="row"), [tag("td", cell) for cell in others]))
    inner = join(tag("caption", caption), tag("thead", head), tag("tbody", body))
    # Wide tables scroll inside their frame, which must then be reachable by keyboard.
    return tag("div", tag("table", inner), class_="scroll", role="region", aria_label=caption,
               tabindex="0")  # fmt: skip


def _piece(piece: Content) -> str:
    if isinstance(piece, Markup):
        return piece
    if isinstance(piece, str):
        return escape(piece, quote=False)
    return "".join(_piece(part) for part in piece)


def _attribute_name(key: str) -> str:
    return key.removesuffix("_").replace("_", "-") if key != "viewBox" else key


def _attribute_value(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}".rstrip("0").rstrip(".")
