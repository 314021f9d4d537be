"""The agent's present state, for `entente agent status`: written by the agent, read by anyone.

The file `state.json` tells what was last true; whether it still is, the directory's lock tells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from entente_common.clock import rfc3339, utc_now
from entente_common.errors import EntenteError
from entente_common.identity.atomic_file import write_atomically

STATE_FILE: Final = "state.json"


class ChannelState(BaseModel):
    """The site channel: since when it is as it is, and why."""

    model_config = ConfigDict(frozen=True)

    state: Literal["connecting", "online", "stopped"] = "connecting"
    since: str
    reason: str | None = None


class NodeState(BaseModel):
    """The node's process."""

    model_config = ConfigDict(frozen=True)

    state: Literal["waiting", "running", "restarting", "stopped"] = "waiting"
    pid: int | None = None
    starts: int = 0
    last_returncode: int | None = None


class AgentState(BaseModel):
    """Channel and node of a running agent."""

    model_config = ConfigDict(frozen=True)

    channel: ChannelState
    node: NodeState

    @classmethod
    def load(cls, directory: Path) -> AgentState | None:
        """The last state written in `directory`; None when there is none that can be read."""
        try:
            return cls.model_validate_json((directory / STATE_FILE).read_bytes())
        except (OSError, ValidationError):
            return None


class StateKeeper:
    """Hears of channel and node and keeps `state.json` up to date."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._state = AgentState(channel=ChannelState(since=_now()), node=NodeState())
        self._write()

    def online(self) -> None:
        """The coordinator has welcomed the site."""
        self._change(channel=ChannelState(state="online", since=_now()))

    def offline(self, reason: EntenteError) -> None:
        """The connection is gone; another attempt follows."""
        text = reason.detail or reason.title
        self._change(channel=ChannelState(state="connecting", since=_now(), reason=text))

    def started(self, *, pid: int) -> None:
        """The node's process is there."""
        node = self._state.node
        update = {"state": "running", "pid": pid, "starts": node.starts + 1}
        self._change(node=node.model_copy(update=update))

    def ended(self, *, returncode: int) -> None:
        """The node's process is gone."""
        update = {"state": "restarting", "pid": None, "last_returncode": returncode}
        self._change(node=self._state.node.model_copy(update=update))

    def stopped(self, reason: EntenteError | None) -> None:
        """The agent ends."""
        text = None if reason is None else reason.detail or reason.title
        node = self._state.node.model_copy(update={"state": "stopped", "pid": None})
        self._change(channel=ChannelState(state="stopped", since=_now(), reason=text), node=node)

    def _change(self, **update: ChannelState | NodeState) -> None:
        self._state = self._state.model_copy(update=update)
        self._write()

    def _write(self) -> None:
        content = self._state.model_dump_json(indent=2).encode() + b"\n"
        write_atomically(self._directory / STATE_FILE, content)


def _now() -> str:
    return rfc3339(utc_now())
