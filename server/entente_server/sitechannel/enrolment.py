"""Enrolment: a newcomer trades an invitation's token and a signing request for a certificate."""

from __future__ import annotations

from typing import Any

from entente_common.errors import EnrolmentRefused
from entente_common.log import get_logger
from entente_common.protocol.generated.site_pb2 import EnrolReply, EnrolRequest
from entente_server.sitechannel.directory import SiteDirectory
from entente_server.sitechannel.refusal import abort, explain

_LONGEST_TOKEN = 512  # characters
_LONGEST_CSR_BYTES = 16_384
_LONGEST_VERSION = 64  # characters
_log = get_logger(__name__)


class EnrolmentService:
    """The gRPC service `Enrolment` over a directory of sites."""

    def __init__(self, directory: SiteDirectory, *, ca_pem: bytes) -> None:
        self._directory = directory
        self._ca_pem = ca_pem

    async def Enrol(  # noqa: N802 - the name in site.proto
        self,
        request: EnrolRequest,
        context: Any,  # noqa: ANN401 - grpc, untyped
    ) -> EnrolReply:
        """Let a site in, or end the call with the reason."""
        try:
            _check_sizes(request)
            enrolled = await self._directory.enrol(
                token=request.token, csr_pem=request.csr_pem, version=request.version
            )
        except Exception as fault:  # noqa: BLE001 - the edge: every fault becomes an answer
            await abort(context, explain(fault, call="Enrol", peer=context.peer()))
        _log.info("site enrolled", site=enrolled.site, peer=context.peer(), version=request.version)
        return EnrolReply(
            certificate_pem=enrolled.certificate_pem, ca_pem=self._ca_pem, site=enrolled.site
        )


def _check_sizes(request: EnrolRequest) -> None:
    if not request.token or len(request.token) > _LONGEST_TOKEN:
        raise EnrolmentRefused("The request carries no usable token.")
    if not request.csr_pem or len(request.csr_pem) > _LONGEST_CSR_BYTES:
        raise EnrolmentRefused("The request carries no usable signing request.")
    if len(request.version) > _LONGEST_VERSION:
        raise EnrolmentRefused("The request carries an impossible version.")
