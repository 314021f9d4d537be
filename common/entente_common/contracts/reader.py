"""YAML and JSON text as plain JSON values, with the line of each.

The reading follows YAML 1.2's core schema, so that `1e-5` is a number and `no` is text (both are
otherwise in YAML 1.1). Nothing in a text can run code or grow: tags, aliases, deep nesting and
texts above 1 MiB are refused. Keys that occur twice are faults, told with all the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, cast

import yaml
from yaml.error import Mark
from yaml.events import AliasEvent, Event
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from entente_common.contracts.faults import Fault, Path
from entente_common.errors import InvalidDocument

SIZE_LIMIT_BYTES = 1024 * 1024
DEPTH_LIMIT = 32

_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_PLAIN: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
    (_NULL, lambda _: None),
    (_TRUE, lambda _: True),
    (_FALSE, lambda _: False),
    (_INTEGER, int),
    (_FLOAT, float),
    (_SPECIAL, lambda text: float(text.replace(".", "", 1))),
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says, where it says it, and what was wrong with the text itself.

    Attributes:
        document: JSON values.
        lines: The line, from 1, on which the value at a path begins.
        faults: Keys that occur twice or are no text.
    """

    document: object
    lines: dict[Path, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def with_line(self, reason: str, path: Path) -> str:
        """`reason` with the line of `path`, or of the nearest part around it that has one."""
        for end in range(len(path), 0, -1):
            line = self.lines.get(path[:end])
            if line is not None:
                return f"{reason.removesuffix('.')} (line {line})."
        return reason


class _Loader(yaml.SafeLoader):
    """Composes nodes only; refuses aliases, tags and deep nesting."""

    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:  # noqa: ANN401
        event: Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, AliasEvent):
            raise _refused(event, "aliases (*name) are not allowed: write the value out")
        if getattr(event, "tag", None) not in {None, "!"}:
            raise _refused(event, "tags (!name) are not allowed: leave the tag out")
        if self.depth >= DEPTH_LIMIT:
            raise _refused(event, f"nested more than {DEPTH_LIMIT} levels deep")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _refused(event: Event, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=cast("Mark", event.start_mark))


def read_text(path: FilePath, *, error: type[InvalidDocument]) -> str:
    """The text of the file at `path` (UTF-8, at most 1 MiB).

    Raises:
        InvalidDocument: As `error`; the file is missing, unreadable, too large or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(SIZE_LIMIT_BYTES + 1)
    except OSError as refusal:
        reason = refusal.strerror or type(refusal).__name__
        raise error(
            f"{path} cannot be read: {reason}.", hint="Check the file's path and permissions."
        ) from refusal
    if len(content) > SIZE_LIMIT_BYTES:
        raise _too_large(str(path), error)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as refusal:
        raise error(
            f"{path} is not UTF-8 text (byte {refusal.start}).", hint="Save the file as UTF-8."
        ) from refusal


def read_yaml(text: str, *, source: str, error: type[InvalidDocument]) -> Reading:
    """Read `text` as one YAML or JSON document.

    Raises:
        InvalidDocument: As `error`; the text is not one YAML document, uses what is refused here,
            or is above 1 MiB. The detail begins with `source:line:column`.
    """
    if len(text) > SIZE_LIMIT_BYTES or len(text.encode(errors="replace")) > SIZE_LIMIT_BYTES:
        raise _too_large(source, error)
    try:
        root = _compose(text)
        reading = Reading(document=None)
        document = None if root is None else _value(root, (), reading)
    except yaml.MarkedYAMLError as refusal:
        raise error(_where(source, refusal), hint=_SYNTAX_HINT) from refusal
    except yaml.YAMLError as refusal:
        raise error(f"{source}: {_plainly(refusal)}", hint=_SYNTAX_HINT) from refusal
    return Reading(document=document, lines=reading.lines, faults=reading.faults)


_SYNTAX_HINT = "Correct the YAML at the place named; indent with spaces and quote text with `:`."


def _compose(text: str) -> Node | None:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return node if isinstance(node, Node) else None
    finally:
        loader.dispose()


def _value(node: Node, path: Path, reading: Reading) -> object:
    reading.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, MappingNode):
        return _mapping(node, path, reading)
    if isinstance(node, SequenceNode):
        return [_value(entry, (*path, place), reading) for place, entry in enumerate(node.value)]
    return _scalar(node) if isinstance(node, ScalarNode) else None


def _mapping(node: MappingNode, path: Path, reading: Reading) -> dict[str, object]:
    found: dict[str, object] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, ScalarNode):
            cure = f"Write a name as the key on line {line}."
            reading.faults.append(Fault(path, "has a key that is no text.", cure))
            continue
        key, place = key_node.value, (*path, key_node.value)
        if key in found:
            cure = f"Keep one of the two; the second is on line {line}."
            reading.faults.append(Fault(place, "is written twice.", cure))
            continue
        reading.lines[place] = line
        found[key] = _value(value_node, place, reading)
    return found


def _scalar(node: ScalarNode) -> object:
    """A quoted text as it stands; a plain one by the core schema."""
    if node.style is None:
        for pattern, convert in _PLAIN:
            if pattern.fullmatch(node.value):
                return convert(node.value)
    return node.value


def _where(source: str, refusal: yaml.MarkedYAMLError) -> str:
    mark = refusal.problem_mark or refusal.context_mark
    problem = refusal.problem or refusal.context or "not YAML"
    if mark is None:
        return f"{source}: {problem}."
    return f"{source}:{mark.line + 1}:{mark.column + 1}: {problem}."


def _plainly(refusal: yaml.YAMLError) -> str:
    """PyYAML's other errors: characters that no YAML text may hold."""
    return str(refusal).splitlines()[0].rstrip(".") + "."


def _too_large(source: str, error: type[InvalidDocument]) -> InvalidDocument:
    return error(
        f"{source} is larger than {SIZE_LIMIT_BYTES // 1024} KiB.",
        hint="A document of this kind is a few KiB; check that it is the right file.",
    )
