"""Documents that people write: read strictly, told all their faults at once.

The way in is the same for each kind of document. Its fields are checked first. What is wrong is
then taken out, or filled with a stand-in where the document cannot do without, so that the rules
between fields can be checked in the same go; a rule that rests on a faulty field keeps silent. A
document without any fault is returned, and only such a one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from entente_common.canonical import digest
from entente_common.contracts.faults import REMOVE, Fault, Path, dotted, faults_of
from entente_common.contracts.reader import Reading, read_yaml
from entente_common.errors import InvalidDocument, Issue

FAULT_LIMIT = 200
"""Faults of fields told at once: more in one document would help no one, and cost us to find."""

_MENDING_STEPS = 6
_DRAFT = "draft"


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule between fields that a document breaks.

    Attributes:
        path: Where the fault is best cured.
        reason: What is wrong, a sentence.
        cure: What to write instead, a sentence.
        rests_on: Other fields the finding was drawn from. It is dropped when one is faulty itself.
    """

    path: Path
    reason: str
    cure: str
    rests_on: tuple[Path, ...] = ()


class Section(BaseModel):
    """A part of a document: frozen, exact in its types, closed to keys it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, serialize_by_alias=True
    )


class Document(Section):
    """A whole document, with rules between its fields."""

    def findings(self) -> Iterator[Finding]:
        """Everything that does not hold between the fields; nothing by default."""
        return iter(())

    def document(self) -> dict[str, Any]:
        """The document as JSON values, every default spelt out."""
        return self.model_dump(mode="json")

    def digest(self) -> str:
        """`sha256:…` over the canonical JSON (RFC 8785) of `document()`."""
        return digest(self.document())

    @model_validator(mode="after")
    def _hold_together(self, info: ValidationInfo) -> Self:
        if not (info.context and info.context.get(_DRAFT)):
            broken = [f"{dotted(f.path)}: {f.reason} {f.cure}" for f in self.findings()]
            if broken:
                raise PydanticCustomError("rules", "{broken}", {"broken": " ".join(broken)})
        return self


AnyDocument = TypeVar("AnyDocument", bound=Document)


def admit(
    kind: type[AnyDocument],
    document: object,
    *,
    source: str,
    error: type[InvalidDocument],
    reading: Reading | None = None,
) -> AnyDocument:
    """`document` as a `kind`, or all its faults.

    Args:
        kind: What the document should be.
        document: JSON values, not yet trusted.
        source: What to call the document in messages.
        error: What to raise.
        reading: How the document was read, for its lines and the faults already met.

    Raises:
        InvalidDocument: As `error`, with every fault at once.
    """
    draft, faults = _draft(kind, document)
    if reading is not None:
        faults = [*reading.faults, *faults]
    findings = [] if draft is None else list(draft.findings())
    issues = _issues([*faults, *_sound(findings, faults)], kind, reading)
    if draft is None or issues:
        raise error(_headline(source, len(issues)), issues=issues)
    return draft


def admit_text(
    kind: type[AnyDocument], text: str, *, source: str, error: type[InvalidDocument]
) -> AnyDocument:
    """The `kind` written in `text` as YAML or JSON.

    Raises:
        InvalidDocument: As `error`; the text is not YAML, or with every fault at once.
    """
    reading = read_yaml(text, source=source, error=error)
    return admit(kind, reading.document, source=source, error=error, reading=reading)


def _draft(kind: type[AnyDocument], document: object) -> tuple[AnyDocument | None, list[Fault]]:
    """The document with its faults mended, and those faults; no draft when it cannot be mended."""
    told: dict[Path, Fault] = {}
    guesses: list[Path] = []
    for step in range(_MENDING_STEPS):
        try:
            return kind.model_validate(document, context={_DRAFT: True}), list(told.values())
        except ValidationError as refusal:
            met = faults_of(refusal, kind.model_json_schema(), most=FAULT_LIMIT)
            if step == 0 and len(met) == FAULT_LIMIT:
                return None, met
        for fault in met:
            # Behind a stand-in, faults may be of our own making; behind a good guess they are not.
            if step == 0 or any(fault.path[: len(part)] == part for part in guesses):
                told.setdefault(fault.path, fault)
            document = _mended(document, fault.path, fault)
        guesses += [fault.path[:-1] for fault in met if fault.guessed]
    return None, list(told.values())


def _mended(value: object, path: Path, fault: Fault) -> object:
    """A copy of `value` with what is at `path` replaced or, where that cannot be, taken out."""
    if not path:
        return {} if fault.stand_in is REMOVE else fault.stand_in
    key, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        copy = dict(value)
        if _can_mend_inside(copy.get(key), rest, fault):
            copy[key] = _mended(copy.get(key), rest, fault)
        else:
            copy.pop(key, None)
        return copy
    entries = list(value) if isinstance(value, list | tuple) else []
    entries[int(key)] = _mended(entries[int(key)], rest, fault)
    return entries


def _can_mend_inside(value: object, path: Path, fault: Fault) -> bool:
    """Whether what is wrong at `path` within `value` can be mended there.

    A stand-in can be put under any key. Something can be taken out of a mapping, but not out of a
    list, where it would move what follows.
    """
    if not path:
        return fault.stand_in is not REMOVE
    if isinstance(value, Mapping):
        return True
    key = path[0]
    if isinstance(value, list | tuple) and isinstance(key, int) and key < len(value):
        return _can_mend_inside(value[key], path[1:], fault)
    return False


def _sound(findings: Sequence[Finding], faults: Sequence[Fault]) -> Iterator[Finding]:
    """The findings that rest on no faulty field."""
    faulty = {fault.path for fault in faults}
    around = {path[:end] for path in faulty for end in range(len(path))}
    for finding in findings:
        bases = (finding.path, *finding.rests_on)
        inside = (path[:end] for path in bases for end in range(len(path) + 1))
        if around.isdisjoint(bases) and faulty.isdisjoint(inside):
            yield finding


def _issues(
    faults: Sequence[Fault | Finding], kind: type[Document], reading: Reading | None
) -> list[Issue]:
    """`faults` by section and, within a list, by entry; those of unknown sections last."""
    sections = [field.alias or name for name, field in kind.model_fields.items()]

    def place(fault: Fault | Finding) -> tuple[int, int]:
        section, entry = (*fault.path, None, None)[:2]
        known = section in sections
        return (
            sections.index(str(section)) if known else len(sections),
            entry if isinstance(entry, int) else -1,
        )

    return [
        Issue(
            dotted(fault.path),
            fault.reason if reading is None else reading.with_line(fault.reason, fault.path),
            fault.cure,
        )
        for fault in sorted(faults, key=place)
    ]


def _headline(source: str, count: int) -> str:
    least = "at least " if count >= FAULT_LIMIT else ""
    return f"{source} has {least}{count} fault{'' if count == 1 else 's'}."
