"""What `entente agent status` tells: identity, running processes and datasets of one directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from entente_client.agent.agent import read_cards
from entente_client.agent.lock import is_held
from entente_client.agent.settings import AgentSettings
from entente_client.agent.site_identity import CERTIFICATE_FILE, IDENTITY
from entente_client.agent.state import AgentState
from entente_common.clock import rfc3339, utc_now
from entente_common.errors import DataDirectoryProblem
from entente_common.identity.certificates import expires_at


def agent_status(directory: Path) -> dict[str, Any]:
    """The state of an enrolled directory as a JSON document; needs no key and no connection.

    Raises:
        DataDirectoryProblem: The directory is not enrolled or damaged.
        InvalidSettings: `agent.json` is damaged.
        UntrustedCertificate: The certificate file is damaged.
    """
    settings = AgentSettings.load(directory)
    try:
        end = expires_at((directory / IDENTITY / CERTIFICATE_FILE).read_bytes())
    except OSError as fault:
        raise DataDirectoryProblem(f"{directory} holds no certificate.") from fault
    running = is_held(directory)
    state = AgentState.load(directory) if running else None
    return {
        "site": settings.site,
        "coordinator": settings.coordinator.model_dump(),
        "enrolled_at": settings.enrolled_at,
        "certificate": {"expires_at": rfc3339(end), "expired": utc_now() > end},
        "running": running,
        "channel": state.channel.model_dump() if state else None,
        "node": state.node.model_dump() if state else None,
        "datasets": [card.model_dump(mode="json") for card in read_cards(directory)],
    }
