"""Every `entente …` line that the documents show is one the command line accepts."""

from __future__ import annotations

from collections.abc import Iterator

import click

from docs_check.cli import objection
from docs_check.shell import command_lines
from docs_check.tree import Fault, Tree

PROGRAM = "entente"
_LEFT_OUT = frozenset({"…", "..."})


def unusable_lines(tree: Tree, root: click.Command) -> Iterator[Fault]:
    """Every shown command line with an unknown command, option or value."""
    for page in tree.pages.values():
        for line, words in command_lines(page, PROGRAM):
            if _LEFT_OUT & set(words):
                continue
            reason = objection(root, words)
            if reason is not None:
                shown = " ".join([PROGRAM, *words])
                cure = "See docs/cli.md, and write what it accepts."
                yield Fault(page.path, line, f"`{shown}` is not accepted: {reason}", cure)
