"""The reference in docs/cli.md: written from the commands themselves, between two markers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import PurePosixPath

import click

from docs_check.cli import leaves
from docs_check.cli_lines import PROGRAM
from docs_check.tree import Fault, Tree

REFERENCE = PurePosixPath("docs/cli.md")
BEGIN, END = "<!-- commands -->", "<!-- /commands -->"
# Typer gives these to every deferred group; they mean the whole program.
_COMPLETION = frozenset({"install_completion", "show_completion"})
_CURE = "Run `make docs`."
_HEADER = "| Argument or option | Meaning | Values | Default |\n|---|---|---|---|"


def outdated_reference(tree: Tree, root: click.Command) -> Iterator[Fault]:
    """Whether docs/cli.md says anything else of the commands than they say themselves."""
    page = tree.pages.get(REFERENCE)
    if page is None:
        yield Fault(REFERENCE, 1, "The command line has no page.", "Write one, then `make docs`.")
    elif page.text != with_reference(page.text, root):
        place = next((number for number, line in page.lines if line == BEGIN), 1)
        yield Fault(REFERENCE, place, "The reference is not what the commands say.", _CURE)


def with_reference(text: str, root: click.Command) -> str:
    """`text` with the reference between its markers, which are appended where there are none."""
    before, begin, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not begin:
        before, after = before.rstrip("\n") + "\n\n", "\n"
    return f"{before}{BEGIN}\n\n{reference(root)}\n{END}{after}"


def reference(root: click.Command) -> str:
    """All commands as Markdown; options that many share, in a panel of their own, stand once."""
    panels: dict[str, dict[str, click.Parameter]] = {}
    sections = ["## Commands", "Written by `make docs` from the commands themselves."]
    for names, command in (((), root), *leaves(root)):
        sections += _section([PROGRAM, *names], command, panels)
    for panel, shared in panels.items():
        sections += [f"### {panel} options", _table(list(shared.values()))]
    return "\n\n".join(sections) + "\n"


def _section(
    names: Sequence[str], command: click.Command, panels: dict[str, dict[str, click.Parameter]]
) -> list[str]:
    parts = [f"### {' '.join(names)}", _help(command)]
    own, used = [], dict[str, None]()
    for parameter in command.params:
        if parameter.name in _COMPLETION and len(names) > 1:
            continue
        panel = getattr(parameter, "rich_help_panel", None)
        if panel:
            panels.setdefault(panel, {})[_name(parameter)] = parameter
            used[panel] = None
        else:
            own.append(parameter)
    if own:
        parts.append(_table(own))
    anchors = (f"[{panel} options](#{panel.lower().replace(' ', '-')}-options)" for panel in used)
    return parts + [f"And the {anchor}." for anchor in anchors]


def _help(command: click.Command) -> str:
    paragraphs = (command.help or "").strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _table(parameters: Sequence[click.Parameter]) -> str:
    return "\n".join([_HEADER, *(_row(parameter) for parameter in parameters)])


def _row(parameter: click.Parameter) -> str:
    cells = (_name(parameter), getattr(parameter, "help", "") or "", _values(parameter))
    texts = [cell.replace("|", "\\|") for cell in (*cells, _default(parameter))]
    return "| " + " | ".join(texts) + " |"


def _name(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return f"`{parameter.metavar or (parameter.name or '').upper()}`"
    names = sorted([*parameter.opts, *parameter.secondary_opts], key=lambda name: -len(name))
    return ", ".join(f"`{name}`" for name in names)


def _values(parameter: click.Parameter) -> str:
    kind = parameter.type
    if isinstance(kind, click.Choice):
        *others, last = [f"`{_shown(choice)}`" for choice in kind.choices]
        return f"{', '.join(others)} or {last}" if others else last
    if isinstance(kind, click.IntRange):
        return f"{kind.min} to {kind.max}"
    if isinstance(parameter, click.Argument) or getattr(parameter, "is_flag", False):
        return ""
    return (parameter.metavar or {"directory": "DIR"}.get(kind.name, kind.name)).upper()


def _default(parameter: click.Parameter) -> str:
    if parameter.required:
        return "required"
    if parameter.default in (None, False) or getattr(parameter, "is_flag", False):
        return ""
    return f"`{_shown(parameter.default)}`"


def _shown(value: object) -> str:
    return str(value.value if isinstance(value, Enum) else value)
