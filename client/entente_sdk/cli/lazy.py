"""Command groups that are imported only when they are called.

`entente --help` and completion know each group by name and sentence alone, so that a researcher's
laptop never loads a coordinator, nor a coordinator torch, merely to print a list.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
import typer
from typer.core import TyperGroup

from entente_common.errors import MissingDependency


@dataclass(frozen=True, slots=True)
class Deferred:
    """Where a command group lives.

    Attributes:
        target: `module:attribute` of its `typer.Typer`.
        help: The sentence `--help` shows for it.
        extra: The extra of the distribution that brings what it needs; "" for the base.
    """

    target: str
    help: str
    extra: str = ""

    def load(self) -> click.Command:
        """Import the group.

        Raises:
            MissingDependency: A library that the group needs is not installed.
        """
        module_name, _, attribute = self.target.partition(":")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if not self.extra or (error.name or "").partition(".")[0].startswith("entente_"):
                raise
            raise MissingDependency(
                f"This command needs {error.name}.",
                hint=f"Install it with `pip install 'entente[{self.extra}]'`.",
            ) from error
        return typer.main.get_command(getattr(module, attribute))


class DeferredCommand(click.Command):
    """Stands for a group until somebody calls it."""

    def __init__(self, name: str, deferred: Deferred) -> None:
        super().__init__(name, help=deferred.help, short_help=deferred.help)
        self._deferred = deferred

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401 - click's signature
    ) -> click.Context:
        """Load the group and let it read the arguments; the context carries the group from here."""
        return self._deferred.load().make_context(info_name, args, parent, **extra)


class LazyGroup(TyperGroup):
    """A root group whose members come from `GROUPS`, besides those registered on it."""

    groups: Mapping[str, Deferred] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order people meet them."""
        return [*self.groups, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or what stands for it."""
        deferred = self.groups.get(cmd_name)
        if deferred is None:
            return super().get_command(ctx, cmd_name)
        return DeferredCommand(cmd_name, deferred)
