"""The command line as a tree of click commands, deferred groups loaded, and what it accepts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

# `main` takes it anywhere on the line, also where a command does not name it itself.
_ANYWHERE = "--verbose"
_HELP = "--help"


def members(group: click.Group) -> dict[str, click.Command]:
    """The visible commands of `group` by name; those that are deferred are imported."""
    context = click.Context(group)
    deferred = getattr(group, "groups", {})
    found = {}
    for name in group.list_commands(context):
        command = deferred[name].load() if name in deferred else group.get_command(context, name)
        if command is not None and not command.hidden:
            found[name] = command
    return found


def leaves(command: click.Command, *names: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands that do something, with the words that call them."""
    below = members(command) if isinstance(command, click.Group) else {}
    if not below:
        yield names, command
    for name, member in below.items():
        yield from leaves(member, *names, name)


def objection(command: click.Command, words: Sequence[str]) -> str | None:
    """Why the command line would not accept `words`, or `None` when it would.

    Nothing is run: groups are followed by name, and the last command reads the rest.
    """
    asks_for_help = _HELP in words
    rest = [word for word in words if word not in {_ANYWHERE, _HELP}]
    try:
        while isinstance(command, click.Group) and (below := members(command)):
            _, rest, _ = command.make_parser(click.Context(command)).parse_args(list(rest))
            if not rest:
                return None if asks_for_help else "It names a group, not a command."
            if rest[0] not in below:
                return f"There is no command `{rest[0]}`; there are {', '.join(below)}."
            command, rest = below[rest[0]], rest[1:]
        command.make_context(command.name, list(rest), resilient_parsing=asks_for_help)
    except click.UsageError as error:
        return error.format_message()
    return None
