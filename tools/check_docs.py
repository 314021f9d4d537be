"""Check that README, docs and command line agree: `python tools/check_docs.py [--write]`.

Prints one line a fault, `file:line: what. cure`, and ends with 1 when there is any. `--write`
first writes the parts that are generated.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from docs_check.cli_lines import unusable_lines
from docs_check.cli_reference import REFERENCE, outdated_reference, with_reference
from docs_check.indexes import unlisted_decisions, unlisted_pages
from docs_check.links import broken_links
from docs_check.local_paths import local_paths
from docs_check.makefile import missing_targets
from docs_check.tree import Fault, Tree

ROOT = Path(__file__).resolve().parent.parent


def faults(tree: Tree, cli: click.Command) -> Iterator[Fault]:
    """Everything wrong in the documents of `tree`, whose command line is `cli`."""
    yield from broken_links(tree)
    yield from unlisted_pages(tree)
    yield from unlisted_decisions(tree)
    yield from missing_targets(tree)
    yield from unusable_lines(tree, cli)
    yield from outdated_reference(tree, cli)
    yield from local_paths(tree)


def write(root: Path, cli: click.Command) -> None:
    """Write the generated parts of the documents below `root`; files that differ only."""
    path = root / REFERENCE
    if path.exists():
        text = path.read_text(encoding="utf-8")
        written = with_reference(text, cli)
        if written != text:
            path.write_text(written, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Check this repository; return the exit code."""
    import typer

    from entente_sdk.cli.main import app

    parser = argparse.ArgumentParser(description="Check README, docs and command line.")
    parser.add_argument("--write", action="store_true", help="write the generated parts first")
    cli = typer.main.get_command(app)
    if parser.parse_args(arguments).write:
        write(ROOT, cli)
    found = sorted(faults(Tree.read(ROOT), cli), key=lambda fault: (str(fault.path), fault.line))
    sys.stdout.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
