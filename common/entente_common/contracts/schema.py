"""Places in a JSON Schema: what a document may hold there, in data and in words.

A place is always resolved: references are followed and `null` branches dropped, so that a place is
an object, an array, a scalar, a choice of scalars, or a union told apart by one of its keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from entente_common.contracts.spelling import listed

Node = Mapping[str, Any]

_NOUNS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "`true` or `false`",
    "array": "a list",
    "object": "a mapping",
}


@dataclass(frozen=True, slots=True)
class Place:
    """One place in a schema.

    Attributes:
        root: The whole schema, for its definitions.
        node: What the schema says here.
        union: Of a branch, the union it was chosen from.
    """

    root: Node
    node: Node
    union: Place | None = None

    @classmethod
    def top(cls, schema: Node) -> Place:
        """The place of the whole document."""
        return cls(schema, schema)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys a mapping may have here."""
        return tuple(self.node.get("properties", ()))

    @property
    def tag(self) -> str | None:
        """Of a union, the key that tells its branches apart."""
        name: str | None = self.node.get("discriminator", {}).get("propertyName")
        return name

    @property
    def branches(self) -> dict[str, Place]:
        """Of a union, its branches by the value of `tag`."""
        mapping = self.node.get("discriminator", {}).get("mapping", {})
        return {value: self._at({"$ref": ref}, union=self) for value, ref in mapping.items()}

    @property
    def allowed(self) -> tuple[Any, ...]:
        """The values allowed here, when they can be listed."""
        if "const" in self.node:
            return (self.node["const"],)
        return tuple(self.node.get("enum", ()))

    @property
    def secret(self) -> bool:
        """Whether what stands here must never be shown."""
        return bool(self.node.get("x-secret"))

    @property
    def noun(self) -> str:
        """What kind of value stands here: `a whole number`, `text`, `a list`."""
        if "anyOf" in self.node:
            return " or ".join(self._at(branch).noun for branch in self.node["anyOf"])
        if self.tag is not None:
            return _NOUNS["object"]
        return _NOUNS.get(self.node.get("type", ""), "a value of the right kind")

    def is_branch(self, key: str | int) -> bool:
        """Whether `key` names a branch of this union rather than a key of the document."""
        return key in self.branches or ("anyOf" in self.node and isinstance(key, str))

    def child(self, key: str | int) -> Place:
        """The place of `key` in a mapping or list, or the branch of that name."""
        if key in self.branches:
            return self.branches[str(key)]
        if self.is_branch(key):
            return self
        if isinstance(key, int):
            entries = self.node.get("prefixItems", ())
            return self._at(entries[key] if key < len(entries) else self.node.get("items", {}))
        inner = self.node.get("properties", {}).get(key)
        return self._at(self.node.get("additionalProperties") if inner is None else inner)

    def leaves(self) -> Iterator[tuple[tuple[str, ...], Place]]:
        """Every place below this one that a key leads to, with its keys; `*` is any list entry."""
        for branch in self.branches.values():
            yield from branch.leaves()
        for key in self.keys:
            inner = self.child(key)
            yield (key,), inner
            yield from (((key, *path), place) for path, place in inner.leaves())
        if "items" in self.node:
            yield from ((("*", *path), place) for path, place in self.child(0).leaves())

    def expectation(self) -> str:
        """What may stand here, to follow `Write`: `a whole number from 1 to 10000`."""
        words: str | None = self.node.get("x-expected")
        if words is not None:
            return words
        if self.allowed:
            return listed(self.allowed)
        if self.tag is not None:
            return f"a mapping with `{self.tag}` as {listed(self.branches)}"
        if "anyOf" in self.node:
            return " or ".join(self._at(branch).expectation() for branch in self.node["anyOf"])
        return self._expectation_of_type()

    def stand_in(self) -> object:
        """Some value that is valid here."""
        if "examples" in self.node:
            return self.node["examples"][0]
        if self.allowed:
            return self.allowed[0]
        if self.tag is not None:
            first = next(iter(self.branches))
            return {self.tag: first, **_mapping(self.branches[first].stand_in())}
        if "default" in self.node:
            return self.node["default"]
        required = self.node.get("required", ())
        return {key: self.child(key).stand_in() for key in required}

    def _expectation_of_type(self) -> str:
        kind = self.node.get("type")
        if kind == "object" and self.keys:
            return f"a mapping with {listed(self.keys, last='and')}"
        if kind == "array":
            return f"a list{_count(self.node)}, each {self.child(0).expectation()}"
        return f"{self.noun}{_range(self.node)}"

    def _at(self, node: object, *, union: Place | None = None) -> Place:
        return Place(self.root, _resolved(self.root, node), union)


def _resolved(root: Node, node: object) -> Node:
    """`node` with its reference followed and its `null` branch dropped."""
    if not isinstance(node, Mapping):
        return {}
    if "$ref" in node:
        target = root["$defs"][str(node["$ref"]).rpartition("/")[2]]
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _resolved(root, {**target, **beside})
    branches = [branch for branch in node.get("anyOf", ()) if branch.get("type") != "null"]
    if len(branches) == 1:
        beside = {key: value for key, value in node.items() if key != "anyOf"}
        return _resolved(root, {**branches[0], **beside})
    return node


def _mapping(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, Mapping) else {}


def _range(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low:.12g} to {high:.12g}"
    bounds = [
        f"{word} {bound:.12g}"
        for word, bound in (
            ("greater than", above),
            ("at least", low),
            ("less than", below),
            ("at most", high),
        )
        if bound is not None
    ]
    return f" {' and '.join(bounds)}" if bounds else ""


def _count(node: Node) -> str:
    low, high = node.get("minItems"), node.get("maxItems")
    if low is not None and high is not None:
        return f" of {low} entries" if low == high else f" of {low} to {high} entries"
    if low is not None:
        return " of one or more entries" if low == 1 else f" of at least {low} entries"
    return "" if high is None else f" of at most {high} entries"
