"""Generate the gRPC code from `site.proto` again: `make proto`. A test compares the two."""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc

_ROOT = Path(__file__).resolve().parent.parent
_GENERATED = "entente_common/protocol/generated"


def main() -> int:
    """Write the generated modules below `common/`; return protoc's exit code."""
    common = _ROOT / "common"
    arguments = [
        "protoc",
        f"-I{_GENERATED}={common / 'entente_common/protocol'}",
        f"--python_out={common}",
        f"--pyi_out={common}",
        f"--grpc_python_out={common}",
        f"{_GENERATED}/site.proto",
    ]
    return int(protoc.main(arguments))


if __name__ == "__main__":
    sys.exit(main())
