"""Everything can be found: each page from the index, each decision from its table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from docs_check.links import linked_pages
from docs_check.tree import Fault, Page, Tree

INDEX = PurePosixPath("docs/index.md")
DECISIONS = PurePosixPath("docs/decisions/README.md")


def unlisted_pages(tree: Tree) -> Iterator[Fault]:
    """Pages below `docs/` that the index does not link to."""
    listed = _listed(tree.pages.get(INDEX), tables_only=False)
    for path in tree.pages:
        if INDEX.parent not in path.parents or _is_decision(path) or path in {INDEX, *listed}:
            continue
        yield Fault(path, 1, f"{INDEX} does not link to this page.", f"Add it to {INDEX}.")


def unlisted_decisions(tree: Tree) -> Iterator[Fault]:
    """Decisions without a row in the table of decisions."""
    listed = _listed(tree.pages.get(DECISIONS), tables_only=True)
    for path in tree.pages:
        if _is_decision(path) and path not in listed:
            what = f"The table of {DECISIONS} has no row for this decision."
            yield Fault(path, 1, what, "Add a row that links to it.")


def _is_decision(path: PurePosixPath) -> bool:
    return path.parent == DECISIONS.parent and path != DECISIONS


def _listed(page: Page | None, *, tables_only: bool) -> set[PurePosixPath]:
    if page is None:
        return set()
    if tables_only:
        rows = "\n".join(line for _, line in page.prose if line.lstrip().startswith("|"))
        page = Page(page.path, rows)
    return linked_pages(page)
