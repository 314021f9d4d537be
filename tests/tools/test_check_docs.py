"""The documents check finds each kind of fault, in small trees that are sound but for it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated

import check_docs
import click
import pytest
import typer
from docs_check.cli import leaves, objection
from docs_check.cli_reference import BEGIN, END, with_reference
from docs_check.shell import command_lines
from docs_check.tree import Page, Tree

SOUND = {
    "Makefile": "READY := done\ndemo docs test: ## All\n\ttrue\nbench-%:\n\ttrue\n",
    "README.md": "# Name\n\nType `make demo`, or `make test`.\n\n```sh\nmake bench-sums\n```\n"
    "See [the index](docs/index.md) and [errors](docs/errors.md#not-found-1).\n",
    "docs/index.md": "# Index\n\n- [Errors](errors.md)\n- [Commands](cli.md)\n"
    "- [Decisions](decisions/README.md)\n",
    "docs/errors.md": "# Errors\n\n## Not found\n\n## Not found\n\n[index](index.md), [web](https://x.org)\n",
    "docs/cli.md": "# Commands\n\n```\nentente run submit job.yaml --watch\n```\n",
    "docs/decisions/README.md": "# Decisions\n\n| | |\n|---|---|\n| [0001](0001-one.md) | One |\n",
    "docs/decisions/0001-one.md": "# One\n\nIts directory is /srv/entente.\n",
}


class Form(StrEnum):
    """The values of an option."""

    TABLE = "table"
    JSON = "json"


def make_cli() -> click.Command:
    app, run = typer.Typer(), typer.Typer()

    @app.command()
    def version() -> None:
        """Print the version."""

    @run.command()
    def submit(
        job: str,
        watch: Annotated[bool, typer.Option("--watch", help="Follow it | to the end.")] = False,
        hours: Annotated[int, typer.Option(min=1, max=720)] = 24,
        form: Annotated[Form, typer.Option("--output", "-o")] = Form.TABLE,
        url: Annotated[str | None, typer.Option(rich_help_panel="Shared")] = None,
    ) -> None:
        """Start a run.

        It takes
        time.
        """

    app.add_typer(run, name="run")
    return typer.main.get_command(app)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a sound tree with some files replaced, or left out where they are `None`."""

    def make(changes: dict[str, str | None] | None = None) -> Path:
        for name, text in (SOUND | (changes or {})).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                path.write_text(text, encoding="utf-8")
        check_docs.write(tmp_path, make_cli())
        return tmp_path

    return make


def found_in(root: Path) -> list[str]:
    return [str(fault) for fault in check_docs.faults(Tree.read(root), make_cli())]


def test_a_sound_tree_has_no_fault(write: Write) -> None:
    assert found_in(write()) == []


def appended(name: str, text: str) -> dict[str, str | None]:
    return {name: SOUND[name] + text}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (appended("README.md", "[x](docs/none.md)\n"), "README.md:9: The link `docs/none.md`"),
        (appended("README.md", "[x](docs/errors.md#gone)\n"), "README.md:9: The link `docs/err"),
        (appended("README.md", "[x](#gone)\n"), "README.md:9: The link `#gone` names no heading"),
        (appended("README.md", "[x](../other.md)\n"), "README.md:9: The link `../other.md` leaves"),
        (appended("README.md", "[x]: none.md\n"), "README.md:9: The link `none.md` leads nowhere"),
        (appended("README.md", '<img src="a.png">\n'), "README.md:9: The link `a.png` leads no"),
        (appended("README.md", "[`x`](docs/a.md)\n"), "README.md:9: The link `docs/a.md` leads"),
        ({"docs/more.md": "# More\n"}, "docs/more.md:1: docs/index.md does not link"),
        ({"docs/decisions/0002-two.md": "# Two\n"}, "docs/decisions/0002-two.md:1: The table"),
        (appended("docs/decisions/README.md", "\nNot [a row](0002-two.md)\n")
         | {"docs/decisions/0002-two.md": "# Two\n"}, "docs/decisions/0002-two.md:1: The table"),
        (appended("README.md", "`make tea`\n"), "README.md:9: The Makefile has no target `tea`."),
        (appended("README.md", "```\nmake tea\n```\n"), "README.md:10: The Makefile has no target"),
        ({"README.md": "`make demo`\n"}, "README.md:1: README does not name `make test`."),
        (appended("README.md", "Look in /home/ada/x.\n"), "README.md:9: `/home/ada/x` is a path"),
        (appended("README.md", "```\nls /tmp\n```\n"), "README.md:10: `/tmp` is a path of one"),
        (appended("README.md", "```\nentente rum\n```\n"), "README.md:10: `entente rum` is not"),
        ({"docs/cli.md": None, "docs/index.md": "# I\n\n[e](errors.md) [d](decisions/README.md)\n"},
         "docs/cli.md:1: The command line has no page."),
    ],
)  # fmt: skip
def test_each_fault_is_found_where_it_is_and_alone(
    changes: dict[str, str | None], expected: str, write: Write
) -> None:
    (fault,) = found_in(write(changes))

    assert fault.startswith(expected)


def test_what_only_looks_like_a_link_or_a_path_is_left_alone(write: Write) -> None:
    text = (
        "`[x](none.md)` and https://x.org/home/ and a/tmp and /var/lib/x\n"
        "```python\nentente = rum\n[x](none.md)\n```\n"
        "~~~\n```\n[x](none.md)\n~~~\n"
    )

    assert found_in(write(appended("README.md", text))) == []


def test_hidden_directories_and_virtual_environments_are_not_read(write: Write) -> None:
    root = write({".venv/x.md": "[x](none.md)", "env/pyvenv.cfg": "", "env/y.md": "[x](none.md)"})

    assert found_in(root) == []


def test_anchors_are_those_of_github() -> None:
    text = '# The `job` file: what?\n## A\n## A\n# [B](x.md) & c\n```\n# no\n```\n<a id="z">\n'
    page = Page(PurePosixPath("x.md"), text)

    assert page.anchors == {"the-job-file-what", "a", "a-1", "b--c", "z"}


@pytest.mark.parametrize(
    ("block", "calls"),
    [
        ("entente a b", [["a", "b"]]),
        ("x | entente a && .venv/bin/entente b; echo entente", [["a"], ["b"]]),
        ("entente a > out.txt --late  # entente no", [["a", "--late"]]),
        ("entente a \\\n  --flag\nentente b", [["a", "--flag"], ["b"]]),
        ("$ entente a\nentente is what it prints\n$ ls", [["a"]]),
        ("A=1 B=2 entente a", [["a"]]),
        ("sudo -u entente entente a\nsudo entente b", [["a"], ["b"]]),
        ('firefox "$(entente a)"', [["a"]]),
        ("At the site: entente a", []),
        ("entente doesn't parse", []),
    ],
)
def test_command_lines_are_read_as_a_shell_would(block: str, calls: list[list[str]]) -> None:
    page = Page(PurePosixPath("x.md"), f"```sh\n{block}\n```\n")

    assert [words for _, words in command_lines(page, "entente")] == calls


def test_a_unit_file_is_read_for_what_it_starts() -> None:
    text = "```ini\nExecStart=/srv/venv/bin/entente run submit x\n```"

    assert list(command_lines(Page(PurePosixPath("x.md"), text), "entente")) == [
        (2, ["run", "submit", "x"])
    ]


@pytest.mark.parametrize(
    "line",
    [
        "version",
        "--help",
        "run --help",
        "run submit --help",
        "run submit x -o json",
        "run submit x --verbose",
        "run submit --hours=3 x",
    ],
)
def test_what_the_command_line_accepts_is_accepted(line: str) -> None:
    assert objection(make_cli(), line.split()) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "There is no command `nonsense`; there are version, run."),
        ("run", "It names a group, not a command."),
        ("run submit", "Missing argument"),
        ("run submit x y", "unexpected extra argument"),
        ("run submit x --watsh", "No such option"),
        ("run submit x -o yaml", "'yaml' is not one of"),
        ("run submit x --hours 0", "0 is not in the range"),
        ("--nonsense version", "No such option"),
    ],
)
def test_what_the_command_line_refuses_is_refused_with_its_reason(line: str, reason: str) -> None:
    assert reason.lower() in str(objection(make_cli(), line.split())).lower()


def test_the_reference_names_every_command_with_all_its_options() -> None:
    text = with_reference("# Commands\n", make_cli())

    assert text.startswith(f"# Commands\n\n{BEGIN}\n\n## Commands\n")
    assert "### entente version\n\nPrint the version.\n" in text
    assert "### entente run submit\n\nStart a run.\n\nIt takes time.\n" in text
    assert "| `JOB` |  |  | required |" in text
    assert "| `--watch` | Follow it \\| to the end. |  |  |" in text
    assert "| `--hours` |  | 1 to 720 | `24` |" in text
    assert "| `--output`, `-o` |  | `table` or `json` | `table` |" in text
    assert "And the [Shared options](#shared-options)." in text
    assert text.count("`--url`") == 1


def test_writing_keeps_what_stands_around_the_reference_and_can_be_repeated() -> None:
    old = f"before\n{BEGIN}\nold\n{END}\nafter\n"

    once = with_reference(old, make_cli())

    assert once.startswith(f"before\n{BEGIN}\n")
    assert once.endswith(f"{END}\nafter\n")
    assert "old" not in once
    assert with_reference(once, make_cli()) == once


def test_a_reference_that_is_not_what_the_commands_say_is_found(write: Write) -> None:
    path = write() / "docs/cli.md"
    path.write_text(path.read_text(encoding="utf-8").replace("`24`", "`48`"), encoding="utf-8")

    (fault,) = found_in(path.parents[1])

    assert fault.startswith("docs/cli.md:7: The reference is not what the commands say.")


def test_groups_that_are_loaded_late_are_part_of_the_tree() -> None:
    from entente_sdk.cli.main import app

    calls = {names for names, _ in leaves(typer.main.get_command(app))}

    assert {("server", "run"), ("agent", "data", "add"), ("demo",), ("version",)} <= calls


def test_the_script_prints_a_line_a_fault_and_ends_with_one(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_docs, "ROOT", write(appended("README.md", "[x](none.md)\n")))

    assert check_docs.main([]) == 1

    link, reference = capsys.readouterr().out.splitlines()
    assert link.startswith("README.md:9: The link `none.md` leads nowhere")
    assert reference.startswith("docs/cli.md:7: The reference is not")


def test_the_script_writes_what_is_generated_and_is_content(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_docs, "ROOT", write())

    assert check_docs.main(["--write"]) == 0
    assert check_docs.main([]) == 0
    assert capsys.readouterr().out == ""
