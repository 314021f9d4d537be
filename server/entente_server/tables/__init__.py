"""The coordinator's tables."""

from entente_server.tables.audit import AuditRow
from entente_server.tables.run import RunEventRow, RunRow
from entente_server.tables.site import InvitationRow, SiteRow
from entente_server.tables.token import AccessTokenRow

__all__ = ["AccessTokenRow", "AuditRow", "InvitationRow", "RunEventRow", "RunRow", "SiteRow"]
