"""The documents of a repository: its Markdown pages, their fenced blocks, links and anchors.

Markdown is read line by line, as far as the checks need it: fences, headings with `#`, inline and
reference links, HTML attributes. Anchors are those GitHub makes of headings.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

_FENCE = re.compile(r"^\s*(?P<mark>`{3,}|~{3,})\s*(?P<language>[\w+-]*)[^`]*$")
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+(?P<text>.*?)\s*#*\s*$")
_CODE_SPAN = re.compile(r"(`+).+?\1")
_LINK = re.compile(
    r"\]\(\s*<?(?P<inline>[^)\s>]+)"
    r"|^ {0,3}\[[^\]]+\]:\s*<?(?P<reference>[^\s>]+)"
    r"|(?:href|src)=\"(?P<attribute>[^\"]+)\""
)
_NAMED = re.compile(r"<[^>]*\b(?:id|name)=\"([^\"]+)\"")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a document, and what to do about it.

    Attributes:
        path: The file, relative to the root of the repository.
        line: Line in it, from 1.
        what: What is wrong, a sentence.
        cure: What to do, a sentence.
    """

    path: PurePosixPath
    line: int
    what: str
    cure: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what} {self.cure}"


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block: its language ("" for none) and its lines with their numbers."""

    language: str
    lines: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Page:
    """A Markdown file.

    Attributes:
        path: Where it is, relative to the root of the repository.
        text: What it says.
    """

    path: PurePosixPath
    text: str

    @cached_property
    def lines(self) -> list[tuple[int, str]]:
        """All lines with their numbers, from 1."""
        return list(enumerate(self.text.splitlines(), start=1))

    @cached_property
    def fences(self) -> list[Fence]:
        """The fenced blocks; one that is never closed reaches to the end of the page."""
        return self._parts[1]

    @cached_property
    def prose(self) -> list[tuple[int, str]]:
        """The lines outside fenced blocks."""
        return self._parts[0]

    @cached_property
    def _parts(self) -> tuple[list[tuple[int, str]], list[Fence]]:
        prose: list[tuple[int, str]] = []
        fences: list[Fence] = []
        mark, language, inside = "", "", list[tuple[int, str]]()
        for number, line in self.lines:
            found = _FENCE.match(line)
            if not mark and found:
                mark, language, inside = found["mark"], found["language"], []
            elif mark and line.strip().startswith(mark) and not line.strip().strip(mark[0]):
                fences.append(Fence(language, tuple(inside)))
                mark = ""
            else:
                (inside if mark else prose).append((number, line))
        if mark:
            fences.append(Fence(language, tuple(inside)))
        return prose, fences

    def links(self) -> Iterator[tuple[int, str]]:
        """Every link's line and target, wherever it leads."""
        for number, line in self.prose:
            for found in _LINK.finditer(_CODE_SPAN.sub("``", line)):
                yield number, str(found[found.lastgroup or 0])

    @cached_property
    def anchors(self) -> frozenset[str]:
        """What a link to this page may name behind `#`."""
        seen: Counter[str] = Counter()
        anchors = set()
        for _, line in self.prose:
            anchors.update(_NAMED.findall(line))
            heading = _HEADING.match(line)
            if heading:
                slug = _slug(heading["text"])
                anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
                seen[slug] += 1
        return frozenset(anchors)


@dataclass(frozen=True, slots=True)
class Tree:
    """A repository's root directory and its pages."""

    root: Path
    pages: dict[PurePosixPath, Page]

    @classmethod
    def read(cls, root: Path) -> Tree:
        """Read all Markdown files below `root`, but for hidden directories and environments."""
        pages = {}
        for directory, below, files in os.walk(root):
            here = Path(directory)
            below[:] = sorted(
                name
                for name in below
                if not name.startswith(".") and not (here / name / "pyvenv.cfg").exists()
            )
            for name in sorted(files):
                if name.endswith(".md"):
                    path = PurePosixPath((here / name).relative_to(root).as_posix())
                    pages[path] = Page(path, (here / name).read_text(encoding="utf-8"))
        return cls(root, pages)


def _slug(heading: str) -> str:
    """A heading as GitHub's anchor: lower case, words joined by hyphens, punctuation dropped."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"<[^>]+>", "", text)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
