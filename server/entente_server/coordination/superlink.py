"""The embedded Flower SuperLink, and everything of ours that touches its internals.

Flower's Control, Fleet and Runtime APIs are one ASGI application. It is never served whole:

- the Control API is not served at all: the coordinator starts runs on the link state directly;
- the Fleet API is served to sites through `gates.FleetGate`, on a mutual-TLS listener;
- the Runtime API is served to our own ServerApp processes through `gates.RuntimeGate`, on the
  loopback interface, and only the calls a ServerApp makes with the token of its own run.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entente_common.errors import InternalError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from flwr.server.superlink.linkstate import LinkState

_SUPPORTED_FLOWER = "1.41."


@dataclass(frozen=True, slots=True)
class FlowerRun:
    """A Flower run whose ServerApp task is claimed.

    Attributes:
        run_id: Flower's number of the run.
        task_id: Flower's number of its ServerApp task.
        token: What the ServerApp shows to the Runtime API. Secret; it opens this run only.
    """

    run_id: int
    task_id: int
    token: str


class SuperLink:
    """Flower's SuperLink with SuperNode authentication and a persistent database."""

    def __init__(self, *, database: Path) -> None:
        self._app = _create_app(database)
        self._state: LinkState = self._app.state.linkstate_factory.state()
        # No node is connected to a SuperLink that has just begun, whatever an earlier one noted.
        for node in self._state.get_node_info(statuses=["online"]):
            self._state.deactivate_node(node.node_id)

    @property
    def app(self) -> FastAPI:
        """The whole ASGI application. Serve it only through the gates."""
        return self._app

    def register_node(self, public_key: bytes, *, site: str) -> int:
        """Make `public_key` (PEM) the SuperNode key of `site`; return its node id."""
        known = self._state.get_node_id_by_public_key(public_key)
        if known is not None:
            return known
        return self._state.create_node(
            owner_aid=_account_id(), owner_name=site, public_key=public_key, heartbeat_interval=0
        )

    def forget_node(self, node_id: int) -> None:
        """Remove a SuperNode key. A node that is gone already is no fault."""
        # Flower keeps a row of what it has deleted, and refuses to delete it again.
        nodes = self._state.get_node_info(node_ids=[node_id])
        if nodes and nodes[0].status != "unregistered":
            self._state.delete_node(_account_id(), node_id)

    def is_active(self, node_id: int) -> bool:
        """Whether the node is connected: activated, and its heartbeats not overdue."""
        nodes = self._state.get_node_info(node_ids=[node_id])
        return bool(nodes) and nodes[0].status == "online"

    def create_run(self, *, bundle: bytes, bundle_id: str, version: str) -> FlowerRun:
        """Create a run of the application in `bundle` and claim its ServerApp task.

        Raises:
            InternalError: Flower refused the run.
        """
        from flwr.supercore.constant import NOOP_FEDERATION_ID, TaskType
        from flwr.supercore.fab import Fab

        fab_hash = self._state.store_fab(Fab(_sha256(bundle), bundle, {}))
        run_id = self._state.create_run(
            bundle_id, version, fab_hash, {}, NOOP_FEDERATION_ID, None, _account_id(),
            TaskType.SERVER_APP,
        )  # fmt: skip
        tasks = self._state.get_tasks(run_ids=[run_id]) if run_id else []
        token = self._state.claim_task(tasks[0].task_id) if tasks else None
        if token is None:
            raise InternalError("Flower did not accept the run.")
        return FlowerRun(run_id=run_id, task_id=tasks[0].task_id, token=token)

    def end_run(self, run: FlowerRun, *, reason: str) -> None:
        """End `run` if it still goes on, and drop its messages and objects."""
        from flwr.common.constant import SubStatus

        self._state.finish_task(run.task_id, sub_status=SubStatus.STOPPED, details=reason)
        self._state.cleanup_run(run.run_id)


def _account_id() -> str:
    from flwr.common.constant import NOOP_FLWR_AID

    return NOOP_FLWR_AID


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _create_app(database: Path) -> FastAPI:
    import flwr

    if not flwr.__version__.startswith(_SUPPORTED_FLOWER):
        raise InternalError(
            f"Entente drives Flower {_SUPPORTED_FLOWER}x from inside and found {flwr.__version__}.",
            hint="Install the Flower release named in Entente's requirements.",
        )
    from flwr.common.constant import ISOLATION_MODE_PROCESS
    from flwr.superlink.auth_plugin import NoOpControlAuthnPlugin
    from flwr.superlink.cli.flower_superlink import SuperLinkLifespan
    from flwr.superlink.config_loader import SuperLinkLifespanConfig
    from flwr.superlink.main import create_app

    # flwr brings a level and handlers of its own when it is imported; ours serve both.
    flower_log = logging.getLogger("flwr")
    flower_log.setLevel(logging.WARNING)
    flower_log.handlers.clear()
    settings: dict[str, Any] = {
        "control_address": "",
        "health_server_address": None,
        "host": "",
        "port": 0,
        "insecure": False,
        "certificates": None,
        "superexec_auth_secret": None,
        "authn_plugin": NoOpControlAuthnPlugin(),
        "event_log_plugin": None,
        "fleet_event_log_plugin": None,
        "enable_event_log": False,
        "artifact_provider": None,
        "enable_supernode_auth": True,
        "fleet_api_type": "rest",
        "fleet_api_address": None,
        "simulation": False,
        "ssl_ca_certfile": None,
        "ssl_certfile": None,
        "ssl_keyfile": None,
        "database": str(database),
        "isolation": ISOLATION_MODE_PROCESS,
        "runtime_dependency_install": False,
    }
    return create_app(SuperLinkLifespanConfig(**settings), SuperLinkLifespan)
