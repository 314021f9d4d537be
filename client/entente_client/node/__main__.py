"""Run the node of an enrolled site: `python -m entente_client.node --dir DIR`.

The agent starts and supervises this process. It loads torch once and stays.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from functools import partial
from pathlib import Path

from entente_common.errors import EntenteError, ExitCode
from entente_common.lifeline import hold_if_asked
from entente_common.log import configure_logging, get_logger
from entente_common.protocol.flower import prepare_flower


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    parser = argparse.ArgumentParser(prog="entente-node", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="the agent's directory")
    directory: Path = parser.parse_args().dir
    configure_logging(process="node")
    hold_if_asked()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        _serve(directory)
    except EntenteError as error:
        get_logger(__name__).error(
            error.title, code=error.code, reason=error.detail, cure=error.hint
        )
        return int(error.exit_code)
    return 0


def _leave(number: int, _frame: object) -> None:
    # Raised, not noted: the loop spends its time inside a pull that the coordinator holds.
    raise SystemExit(0 if number == signal.SIGTERM else ExitCode.INTERRUPTED)


def _serve(directory: Path) -> None:
    prepare_flower(directory / "flower")
    from entente_client.agent.site_identity import SiteIdentity
    from entente_client.node.client_app import make_client_app, make_runs
    from entente_client.node.fleet import connect
    from entente_client.node.loop import NodeLoop
    from entente_common.protocol.bundle import bundle_hash

    identity = SiteIdentity.load(directory)
    application = bundle_hash()
    runs = make_runs(directory, identity=identity, application=application)
    reach = partial(
        connect,
        address=identity.coordinator.fleet,
        tls=identity.ssl_context(),
        private_key=identity.private_key,
        memory=directory / "flower" / "node",
    )
    NodeLoop(reach, make_client_app(runs), application=application).run(threading.Event())


if __name__ == "__main__":
    sys.exit(main())
