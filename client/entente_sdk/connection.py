"""Where the coordinator is, who asks, and which authority vouches for it.

Each of the three settings is looked for in this order, and the first one found wins: the option,
the server directory named by option, the environment variable, the server directory named by the
environment. Whatever is missing or wrong is reported at once, each with its cure.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from entente_common.errors import InvalidSettings, Issue

URL_VARIABLE = "ENTENTE_URL"
TOKEN_FILE_VARIABLE = "ENTENTE_TOKEN_FILE"  # noqa: S105 - the name of a variable
CA_FILE_VARIABLE = "ENTENTE_CA_FILE"
SERVER_DIR_VARIABLE = "ENTENTE_SERVER_DIR"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Connection:
    """All that is needed to talk to one coordinator as one caller.

    Attributes:
        url: Base address of the REST API, `https://host:port`.
        token: The caller's bearer token; never shown.
        ca_file: Authority that must have signed the coordinator's certificate; `None` trusts the
            authorities of this machine.
    """

    url: str
    token: str = field(repr=False)
    ca_file: Path | None


@dataclass(frozen=True, slots=True)
class _Source:
    """One place where settings were looked for."""

    url: str | None = None
    token_file: Path | None = None
    ca_file: Path | None = None


def find_connection(
    *,
    url: str | None = None,
    token_file: Path | None = None,
    ca_file: Path | None = None,
    server_dir: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Connection:
    """Collect the connection from options, a server directory and the environment.

    Args:
        url: Base address of the coordinator's API.
        token_file: File that holds the access token and nothing else.
        ca_file: PEM file of the coordinator's authority.
        server_dir: Data directory of a coordinator on this machine; supplies all three.
        environment: Variables to read; the process's own when absent.

    Raises:
        InvalidSettings: Address or token are missing, or a file cannot be read.
    """
    variables = os.environ if environment is None else environment
    sources = [
        _Source(url, token_file, ca_file),
        _from_directory(server_dir),
        _from_environment(variables),
        _from_directory(_path(variables, SERVER_DIR_VARIABLE)),
    ]
    found_url = _first(source.url for source in sources)
    found_token_file = _first(source.token_file for source in sources)
    issues = [*_url_issues(found_url), *_token_issues(found_token_file)]
    if issues or found_url is None or found_token_file is None:
        raise InvalidSettings("The connection to the coordinator is incomplete.", issues=issues)
    return Connection(
        url=found_url.rstrip("/"),
        token=_read(found_token_file),
        ca_file=_first(source.ca_file for source in sources),
    )


def _first(candidates: Iterable[_T | None]) -> _T | None:
    return next((candidate for candidate in candidates if candidate is not None), None)


def _path(variables: Mapping[str, str], name: str) -> Path | None:
    value = variables.get(name)
    return Path(value) if value else None


def _from_environment(variables: Mapping[str, str]) -> _Source:
    return _Source(
        variables.get(URL_VARIABLE) or None,
        _path(variables, TOKEN_FILE_VARIABLE),
        _path(variables, CA_FILE_VARIABLE),
    )


def _from_directory(server_dir: Path | None) -> _Source:
    """Settings of the coordinator that runs in `server_dir` on this machine."""
    if server_dir is None:
        return _Source()
    description = server_dir / "server.json"
    try:
        url = str(json.loads(description.read_text(encoding="utf-8"))["api"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidSettings(
            f"{server_dir} does not describe a running coordinator.",
            issues=[
                Issue(
                    "--server-dir",
                    f"{description} cannot be read ({type(error).__name__}).",
                    "Start it with `entente server run --dir DIR`, or give --url and --token-file.",
                )
            ],
        ) from error
    return _Source(url, server_dir / "admin.token", server_dir / "ca.pem")


def _url_issues(url: str | None) -> list[Issue]:
    cure = f"Give --url https://HOST:PORT, or set {URL_VARIABLE}."
    if url is None:
        return [Issue("--url", "The coordinator's address is not known.", cure)]
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if usable:
        return []
    # A token must never travel in the clear, so plain http is refused even on this machine.
    return [Issue("--url", f"{url!r} is not an https address.", cure)]


def _token_issues(token_file: Path | None) -> list[Issue]:
    cure = f"Give --token-file FILE, or set {TOKEN_FILE_VARIABLE}."
    if token_file is None:
        return [Issue("--token-file", "No access token is given.", cure)]
    try:
        token = _read(token_file)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        return [Issue("--token-file", f"{token_file} cannot be read: {reason}.", cure)]
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        return [Issue("--token-file", f"{token_file} does not hold one access token.", cure)]
    return []


def _read(token_file: Path) -> str:
    return token_file.read_text(encoding="utf-8").strip()
