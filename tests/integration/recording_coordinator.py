"""A coordinator that writes down every request body its fleet listener received.

Run as `python recording_coordinator.py DIRECTORY CAPTURE MODE`. In the mode `foreign-application`
it behaves as a coordinator that wants the sites to run code of its own: the bundle of its runs
holds a ClientApp that leaves a file behind when it is run.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import signal
import sys
import zipfile
from pathlib import Path
from typing import Any

from entente_common.lifeline import hold_if_asked
from entente_common.log import configure_logging
from entente_server import coordinator
from entente_server.settings import LISTENERS, ServerSettings


class Recorder:
    """Passes requests on to the gate, and keeps their bodies."""

    def __init__(self, gate: Any, capture: Path) -> None:
        self._gate = gate
        self._capture = capture
        self._numbers = itertools.count()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        chunks: list[bytes] = []

        async def listen() -> Any:
            event = await receive()
            chunks.append(event.get("body", b""))
            return event

        await self._gate(scope, listen, send)
        name = f"{next(self._numbers):06d}-{scope.get('path', '').rpartition('/')[2]}"
        (self._capture / name).write_bytes(b"".join(chunks))


def foreign_bundle(mark: Path) -> bytes:
    """A working Flower bundle whose ClientApp touches `mark` when it is imported."""
    files = {
        "pyproject.toml": (
            '[project]\nname = "federated"\nversion = "0.1.0"\nlicense = "Apache-2.0"\n'
            '[tool.flwr.app]\npublisher = "entente"\n[tool.flwr.app.components]\n'
            'serverapp = "app:app"\nclientapp = "app:app"\n'
        ),
        "app.py": (
            f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n"
            "from flwr.clientapp import ClientApp\napp = ClientApp()\n"
        ),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


async def main(directory: Path, capture: Path, mode: str) -> None:
    make_gates = coordinator.gates

    def recorded(app: Any) -> tuple[Any, Any]:
        fleet, runtime = make_gates(app)
        return Recorder(fleet, capture), runtime

    coordinator.gates = recorded  # type: ignore[assignment]
    if mode == "foreign-application":
        coordinator.application_bundle = lambda: foreign_bundle(capture / "foreign-code-ran")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = ServerSettings(
        directory=directory,
        host="127.0.0.1",
        public_host="127.0.0.1",
        ports=dict.fromkeys(LISTENERS, 0),
    )
    await coordinator.serve(settings, stop)


if __name__ == "__main__":
    configure_logging(process="coordinator")
    hold_if_asked()
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
