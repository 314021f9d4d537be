"""No document names a place on the machine of whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from docs_check.tree import Fault, Tree

_LOCAL = re.compile(r"(?<![\w.:/-])/(?:root|work|home|tmp|mnt|Users)(?![\w-])(?:/[\w./-]*\w)?")


def local_paths(tree: Tree) -> Iterator[Fault]:
    """Every absolute path that belongs to somebody's own machine."""
    for page in tree.pages.values():
        for number, line in page.lines:
            for found in _LOCAL.finditer(line):
                what = f"`{found[0]}` is a path of one machine."
                cure = "Write a relative path, or an example below /srv, /etc or /var."
                yield Fault(page.path, number, what, cure)
