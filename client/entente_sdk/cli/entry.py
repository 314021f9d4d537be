"""Where the `entente` command begins, before anything heavy is imported.

Ctrl-C while the libraries load is as ordinary as later: it ends the command without a traceback.
"""

from __future__ import annotations

import sys

_INTERRUPTED = 130  # `ExitCode.INTERRUPTED`, which is not imported yet


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        from entente_sdk.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted\n")
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
