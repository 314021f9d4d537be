"""The coordinator's tables."""

from entente_server.tables.audit import AuditCheckpointRow, AuditNodeRow, AuditRow
from entente_server.tables.run import RunEventRow, RunRow
from entente_server.tables.site import InvitationRow, SiteRow
from entente_server.tables.token import AccessTokenRow

__all__ = [
    "AccessTokenRow",
    "AuditCheckpointRow",
    "AuditNodeRow",
    "AuditRow",
    "InvitationRow",
    "RunEventRow",
    "RunRow",
    "SiteRow",
]
