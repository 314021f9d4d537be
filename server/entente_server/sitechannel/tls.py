"""What the coordinator shows and demands in TLS on the site channel's two ports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import grpc


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The server's certificate and key, and the authority of the sites' certificates.

    Attributes:
        certificate_pem: Certificate of the coordinator's host names.
        key_pem: Its private key, in clear, in memory only.
        ca_pem: The authority whose site certificates are accepted.
    """

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    ca_pem: bytes

    def enrolment_credentials(self) -> Any:  # noqa: ANN401 - grpc ships no types
        """TLS in which only the server shows a certificate: newcomers have none."""
        return grpc.ssl_server_credentials([(self.key_pem, self.certificate_pem)])

    def channel_credentials(self) -> Any:  # noqa: ANN401 - grpc ships no types
        """TLS in which the site must show a certificate of the authority."""
        return grpc.ssl_server_credentials(
            [(self.key_pem, self.certificate_pem)],
            root_certificates=self.ca_pem,
            require_client_auth=True,
        )
