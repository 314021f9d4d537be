"""Command lines in fenced blocks, as the words a shell would make of them.

In a block with prompts (`$ `) only the lines behind a prompt are commands. Lines joined by a
backslash are one line; `|`, `&&`, `;` and `$(…)` divide it into commands. Before the command's own
name, variables, `sudo` and the `ExecStart=` of a systemd unit are passed over.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from docs_check.tree import Fence, Page

_LANGUAGES = frozenset({"", "sh", "bash", "shell", "console", "ini"})
_PROMPT = "$ "
_SUBSTITUTION = re.compile(r"\$\(([^()]*)\)")
_ASSIGNMENT = re.compile(r"^[A-Za-z_]\w*=")
_OPERATOR = re.compile(r"^[();<>|&]+$")


def command_lines(page: Page, program: str) -> Iterator[tuple[int, list[str]]]:
    """Line and arguments of every call of `program` in the fenced blocks of `page`."""
    for fence in page.fences:
        if fence.language not in _LANGUAGES:
            continue
        for number, line in _logical_lines(fence):
            for words in _commands(line, program):
                yield number, words


def _logical_lines(fence: Fence) -> Iterator[tuple[int, str]]:
    prompted = any(line.lstrip().startswith(_PROMPT) for _, line in fence.lines)
    first, joined, wanted = 0, "", False
    for number, line in fence.lines:
        text = line.strip()
        if not joined:
            first, wanted = number, not prompted or text.startswith(_PROMPT)
            text = text.removeprefix(_PROMPT)
        joined += text.removesuffix("\\")
        if text.endswith("\\"):
            joined += " "
            continue
        if wanted:
            yield first, joined
        joined = ""
    if joined and wanted:
        yield first, joined


def _commands(line: str, program: str) -> Iterator[list[str]]:
    if program not in line:
        return
    for part in [_SUBSTITUTION.sub("SUBSTITUTED", line), *_SUBSTITUTION.findall(line)]:
        for words in _simple_commands(part.removeprefix("ExecStart=")):
            called = _without_prelude(words)
            if called and PurePosixPath(called[0]).name == program:
                yield called[1:]


def _simple_commands(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    redirected = False
    try:
        for word in lexer:
            if not _OPERATOR.match(word):
                words += [] if redirected else [word]
                redirected = False
            elif set(word) & set("<>"):
                redirected = True
            else:
                yield words
                words = []
    except ValueError:
        return  # a quotation mark without its partner: prose or output, not a command
    yield words


def _without_prelude(words: list[str]) -> list[str]:
    while words and _ASSIGNMENT.match(words[0]):
        words = words[1:]
    if words[:1] != ["sudo"]:
        return words
    return _without_prelude(words[3:] if words[1:2] == ["-u"] else words[1:])
