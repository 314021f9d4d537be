"""Targets that the documents name exist in the Makefile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from docs_check.shell import command_lines
from docs_check.tree import Fault, Page, Tree

README = PurePosixPath("README.md")
PROMISED = ("demo", "test")
_TARGETS = re.compile(r"^([A-Za-z0-9][\w .%-]*):(?!=)", re.MULTILINE)
_INLINE = re.compile(r"`make ([^`]+)`")
_TARGET = re.compile(r"^[A-Za-z0-9][\w-]*$")


def missing_targets(tree: Tree) -> Iterator[Fault]:
    """Every `make` target that pages name and the Makefile lacks, or README should name."""
    makefile = tree.root / "Makefile"
    text = makefile.read_text(encoding="utf-8") if makefile.exists() else ""
    targets = [name for line in _TARGETS.findall(text) for name in line.split()]
    for page in tree.pages.values():
        named = list(_named(page))
        for line, target in named:
            if not any(_matches(target, pattern) for pattern in targets):
                what = f"The Makefile has no target `{target}`."
                yield Fault(page.path, line, what, "Correct the name, or add the target.")
        if page.path == README:
            for target in sorted(set(PROMISED) - {target for _, target in named}):
                what = f"README does not name `make {target}`."
                yield Fault(README, 1, what, "Say what it does and how long it takes.")


def _named(page: Page) -> Iterator[tuple[int, str]]:
    calls = list(command_lines(page, "make"))
    calls += [(line, words.split()) for line, text in page.prose for words in _INLINE.findall(text)]
    for line, words in calls:
        for word in words:
            if _TARGET.match(word):
                yield line, word


def _matches(target: str, pattern: str) -> bool:
    prefix, wild, suffix = pattern.partition("%")
    return target == pattern if not wild else target.startswith(prefix) and target.endswith(suffix)
