"""Links lead somewhere: relative targets exist, and so do the anchors they name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote

from docs_check.tree import Fault, Page, Tree

_ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)


def broken_links(tree: Tree) -> Iterator[Fault]:
    """Every relative link whose file or anchor is missing."""
    for page in tree.pages.values():
        for line, target in page.links():
            if not _ELSEWHERE.match(target):
                yield from _judge(tree, page, line, target)


def linked_pages(page: Page) -> set[PurePosixPath]:
    """The files that `page` links to, relative to the root."""
    targets = (target for _, target in page.links() if not _ELSEWHERE.match(target))
    return {_resolve(page, target.partition("#")[0]) for target in targets}


def _resolve(page: Page, file: str) -> PurePosixPath:
    if not file:
        return page.path
    return PurePosixPath(posixpath.normpath(page.path.parent / unquote(file)))


def _judge(tree: Tree, page: Page, line: int, target: str) -> Iterator[Fault]:
    file, _, anchor = target.partition("#")
    path = _resolve(page, file)
    if file.startswith("/") or path.parts[:1] == ("..",):
        what = f"The link `{target}` leaves the repository."
        yield Fault(page.path, line, what, "Link relative to this file.")
    elif not (tree.root / path).exists():
        what = f"The link `{target}` leads nowhere: there is no {path}."
        yield Fault(page.path, line, what, "Correct the link, or add the file.")
    elif anchor and path in tree.pages and unquote(anchor) not in tree.pages[path].anchors:
        what = f"The link `{target}` names no heading of {path}."
        yield Fault(page.path, line, what, "Correct the anchor, or the heading.")
