"""The HTTPS connection to one coordinator, with every failure turned into an `EntenteError`.

A problem document becomes the error it describes, a certificate that does not chain to the
expected authority becomes `UntrustedCertificate`, silence becomes `Unreachable`, and an answer
that this version cannot read becomes `InternalError`. No httpx exception leaves this module.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from entente_common import __version__
from entente_common.contracts.problem import Problem, error_from_problem
from entente_common.errors import (
    EntenteError,
    InternalError,
    InvalidSettings,
    Issue,
    Unreachable,
    UntrustedCertificate,
)

_Model = TypeVar("_Model", bound=BaseModel)
_DIFFERENT_VERSION = "Install the version of Entente that the coordinator runs."


class Transport:
    """Authenticated requests to one coordinator.

    Args:
        base_url: `https://host:port`.
        token: Bearer token sent with every request.
        ca_file: PEM file of the only authority trusted; `None` trusts those of this machine.
        timeout_s: How long to wait for a connection, and for each piece of an answer.

    Raises:
        InvalidSettings: The CA file cannot be read or holds no certificate, or the address is not
            https: a token must never travel in the clear.
    """

    def __init__(
        self, base_url: str, *, token: str, ca_file: Path | None, timeout_s: float
    ) -> None:
        self._url = _https_url(base_url)
        self._http = httpx.Client(
            base_url=self._url,
            headers={"authorization": f"Bearer {token}", "user-agent": f"entente/{__version__}"},
            timeout=timeout_s,
            verify=_tls_context(ca_file),
            # A proxy cannot reach this machine's own loopback address.
            trust_env=not _is_loopback(self._url.host),
        )

    def close(self) -> None:
        """Release the connections."""
        self._http.close()

    def request(self, method: str, path: str, *, body: Mapping[str, Any] | None = None) -> bytes:
        """The body of a successful answer.

        Raises:
            EntenteError: What the coordinator's problem document says, or why there is no answer.
        """
        with self._talking():
            response = self._http.request(method, path, json=body)
        if not response.is_success:
            raise _refusal(response)
        return response.content

    def model(
        self,
        kind: type[_Model],
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
    ) -> _Model:
        """As `request`, read as a document of `kind`."""
        return parse(kind, self.request(method, path, body=body))

    @contextmanager
    def stream(self, path: str, *, headers: Mapping[str, str]) -> Iterator[Iterator[bytes]]:
        """A long answer, as chunks in the order they arrive.

        Raises:
            Unreachable: Also in the middle of the stream, when the connection breaks.
            EntenteError: What the coordinator's problem document says.
        """
        with self._talking(), self._http.stream("GET", path, headers=dict(headers)) as response:
            if not response.is_success:
                response.read()
                raise _refusal(response)
            yield response.iter_bytes()

    @contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise _no_answer(self._url, error) from error
        except httpx.HTTPError as error:
            raise InternalError(f"{self._url} answered in a way that cannot be read.") from error


def parse(kind: type[_Model], content: bytes | str) -> _Model:
    """Read a wire document.

    Raises:
        InternalError: It is not a document of `kind`.
    """
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise InternalError(
            f"The coordinator's answer is not a {kind.__name__} as this version knows it.",
            hint=_DIFFERENT_VERSION,
        ) from error


def _https_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme == "https" and url.host:
        return url
    issue = Issue("url", f"{text!r} is not an https address.", "Give https://HOST:PORT.")
    raise InvalidSettings("The coordinator's address cannot be used.", issues=[issue])


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        issue = Issue(
            "ca_file",
            f"{ca_file} holds no certificate that can be read.",
            "Name the coordinator's ca.pem.",
        )
        raise InvalidSettings("The CA file cannot be used.", issues=[issue]) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _no_answer(url: httpx.URL, error: httpx.TransportError) -> EntenteError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return UntrustedCertificate(f"{url}: {cause.verify_message}.")
        cause = cause.__cause__ or cause.__context__
    reason = str(error) or type(error).__name__
    return Unreachable(f"{url}: {reason}.")


def _refusal(response: httpx.Response) -> EntenteError:
    try:
        return error_from_problem(Problem.model_validate_json(response.content))
    except ValidationError:
        pass
    # Something in between answered, such as a proxy: the status is all there is to go by.
    detail = f"{response.request.url} answered {response.status_code} {response.reason_phrase}."
    if response.status_code in {502, 503, 504}:
        return Unreachable(detail)
    return InternalError(detail, hint="Check that the address is the coordinator's REST API.")
