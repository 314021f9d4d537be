"""How Entente runs Flower: the settings every Flower process of ours starts with.

Flower reports usage and looks for updates over the network unless told otherwise. Entente's
processes talk to nobody but each other, so both are switched off before Flower is imported.
"""

from __future__ import annotations

import os
from pathlib import Path


def prepare_flower(home: Path) -> None:
    """Set Flower's environment for this process; call before anything imports `flwr`.

    Args:
        home: Where Flower may keep files. It is created if absent, for its owner alone.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.environ["FLWR_HOME"] = str(home)
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
