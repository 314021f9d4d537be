"""Real parts for integration tests: a coordinator process, and sites as threads of the test.

The coordinator is a process of its own and keeps, beside its data, every request body the sites
sent it: what it received, after TLS. A site runs the product's own classes (enrolment, channel,
catalogue, node) in threads, so that a test may look at what only a site can see.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from entente_client.agent.agent import read_cards
from entente_client.agent.channel import SiteChannel
from entente_client.agent.enrol import enrol
from entente_client.agent.site_identity import SiteIdentity
from entente_client.lake.catalogue import Catalogue
from entente_common.contracts.run import Run, RunEvent
from entente_common.contracts.site import Invitation
from entente_common.errors import EntenteError
from entente_common.protocol.bundle import bundle_hash, code_digest
from entente_sdk.client import Client
from entente_sdk.connection import find_connection

HERE = Path(__file__).parent
FEATURES = [f"x{index}" for index in range(16)]


class Coordinator:
    """A coordinator process of `recording_coordinator.py`."""

    def __init__(self, root: Path, *, mode: str = "honest") -> None:
        self.directory = root / "coordinator"
        self.capture = root / "capture"
        self.capture.mkdir(parents=True, exist_ok=True)
        self.log = root / "coordinator.log"
        self._mode = mode
        self.child = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        address_file = self.directory / "server.json"
        before = address_file.stat().st_mtime_ns if address_file.exists() else None
        script = str(HERE / "recording_coordinator.py")
        command = [sys.executable, script, str(self.directory), str(self.capture), self._mode]
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**os.environ, "ENTENTE_LIFELINE": "1"},
                start_new_session=True,
            )
        wait_for(
            lambda: address_file.exists() and address_file.stat().st_mtime_ns != before,
            what="the coordinator",
            unless=lambda: child.poll() is not None,
        )
        return child

    def restart(self) -> None:
        """Start again on the same directory; the old process must have ended."""
        self.child = self._start()

    def client(self) -> Client:
        return Client.to(find_connection(server_dir=self.directory, environment={}))

    def api(self) -> str:
        """Base address of the REST API."""
        return str(json.loads((self.directory / "server.json").read_text())["api"])

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.child.kill()
        self.child.wait(20)

    def stop(self) -> None:
        self.child.terminate()
        self.child.wait(30)


class Site:
    """One site in threads: its channel and its node."""

    def __init__(self, directory: Path, invitation: Invitation) -> None:
        enrol(directory, invitation)
        self.directory = directory
        self.identity = SiteIdentity.load(directory)
        self.name = self.identity.site
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.runs: Any = None
        self.refusal: EntenteError | None = None

    def add_data(self, contract: Path, source: Path) -> None:
        Catalogue(self.directory / "datasets").add("data", contract=contract, source=source)

    def start(self) -> None:
        from entente_client.node.client_app import make_client_app, make_runs
        from entente_client.node.fleet import connect
        from entente_client.node.loop import NodeLoop

        self._stop = threading.Event()
        application = bundle_hash()
        self.runs = make_runs(self.directory, identity=self.identity, application=application)
        reach = partial(
            connect,
            address=self.identity.coordinator.fleet,
            tls=self.identity.ssl_context(),
            private_key=self.identity.private_key,
            memory=self.directory / "node",
        )
        node = NodeLoop(reach, make_client_app(self.runs), application=application)
        self._threads = [
            threading.Thread(target=node.run, args=(self._stop,), daemon=True),
            threading.Thread(target=self._attend, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def leave(self) -> None:
        """Begin to stop; `stop` waits for the end."""
        self._stop.set()

    def stop(self) -> None:
        self.leave()
        for thread in self._threads:
            thread.join(20)

    def _attend(self) -> None:
        async def attend() -> None:
            stop = asyncio.Event()
            channel = SiteChannel(
                identity=self.identity,
                cards=lambda: read_cards(self.directory),
                code_digest=code_digest(),
                watcher=_Deaf(),
            )
            running = asyncio.create_task(channel.run(stop))
            while not running.done() and not await asyncio.to_thread(self._stop.wait, 0.1):
                pass
            stop.set()
            try:
                await running
            except EntenteError as refusal:
                self.refusal = refusal

        asyncio.run(attend())


class _Deaf:
    """A channel watcher that needs no news."""

    def online(self) -> None:
        return

    def offline(self, reason: EntenteError) -> None:
        return


class Federation:
    """A coordinator and its sites."""

    def __init__(self, root: Path, coordinator: Coordinator) -> None:
        self.root = root
        self.coordinator = coordinator
        self.client = coordinator.client()
        self.sites: dict[str, Site] = {}

    def add_site(self, name: str, *, rows: int, seed: int, start: bool = True) -> Site:
        site = Site(self.root / name, self.client.invite(name, ttl_s=600))
        contract = write_contract(self.root / "contract.yaml")
        site.add_data(contract, write_rows(self.root / f"{name}.csv", rows=rows, seed=seed))
        self.sites[name] = site
        if start:
            site.start()
        return site

    def await_sites(self, expected: int) -> None:
        job = make_job()
        wait_for(
            lambda: len(self.client.preflight(job).eligible) >= expected,
            what=f"{expected} sites",
        )

    def run(self, job: Mapping[str, Any]) -> tuple[Run, list[RunEvent]]:
        """Run `job` to its end; return the run and its events."""
        run = self.client.submit(job)
        events = list(self.client.events(run.id))
        return self.client.run(run.id), events

    def stop(self) -> None:
        for site in self.sites.values():
            site.leave()
        for site in self.sites.values():
            site.stop()
        self.client.close()
        self.coordinator.stop()


@contextmanager
def federation(root: Path, *, sites: int = 3, mode: str = "honest") -> Iterator[Federation]:
    """A running federation of `sites` sites with 60 to 120 synthetic rows each."""
    whole = Federation(root, Coordinator(root, mode=mode))
    try:
        for index in range(sites):
            whole.add_site(f"site-{index}", rows=60 + 30 * index, seed=index)
        whole.await_sites(sites)
        yield whole
    finally:
        whole.stop()


def make_job(**changes: Any) -> dict[str, Any]:
    """A short job over the synthetic data; `changes` replace whole sections."""
    job: dict[str, Any] = {
        "name": "integration",
        "task": "binary-classification",
        "data": {"contract": "synthetic@1"},
        "model": {"kind": "logistic"},
        "training": {"rounds": 3, "local_steps": 5, "batch_size": 16, "optimizer": {"lr": 0.1}},
        "protection": {"aggregation": "plain", "min_sites": 2},
        "seed": 7,
    }
    return job | changes


def write_contract(path: Path) -> Path:
    columns = [{"name": name, "type": "float", "minimum": -8, "maximum": 8} for name in FEATURES]
    label = {"name": "y", "type": "category", "codes": ["no", "yes"]}
    contract = {"name": "synthetic", "version": 1, "label": "y", "columns": [*columns, label]}
    path.write_text(yaml.safe_dump(contract), encoding="utf-8")
    return path


def write_rows(path: Path, *, rows: int, seed: int) -> Path:
    """Rows of two Gaussian clouds, as CSV."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows)
    x = np.clip(random.normal(size=(rows, len(FEATURES))) + 0.8 * labels[:, None], -8, 8)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*FEATURES, "y"])
        for row, label in zip(x, labels, strict=True):
            writer.writerow([*(f"{value:.6f}" for value in row), ("no", "yes")[label]])
    return path


def wait_for(
    ready: Callable[[], bool],
    *,
    what: str,
    timeout_s: float = 60.0,
    unless: Callable[[], bool] = lambda: False,
) -> None:
    """Wait until `ready`; fail when `unless` becomes true or time is up."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        assert not unless(), f"{what} ended"
        assert time.monotonic() < deadline, f"{what} was not ready within {timeout_s} s"
        time.sleep(0.1)
