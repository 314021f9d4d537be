"""The coordinator's REST application."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel

from entente_common import __version__
from entente_server.audit import routes as audit
from entente_server.audit.log import AuditLog
from entente_server.kit import problems
from entente_server.kit.database import Database
from entente_server.kit.limits import BodyLimit
from entente_server.runs import routes as runs
from entente_server.runs.desk import RunDesk
from entente_server.sites import routes as sites
from entente_server.sites.service import SiteService


class Health(BaseModel):
    """Says that the coordinator answers, and with which code."""

    status: str
    version: str
    code_digest: str


def create_app(
    *,
    database: Database,
    site_service: SiteService,
    desk: RunDesk,
    audit_log: AuditLog,
    code_digest: str,
) -> FastAPI:
    """The application over its services."""
    app = FastAPI(title="Entente coordinator", version=__version__, docs_url=None, redoc_url=None)
    app.state.database = database
    app.state.sites = site_service
    app.state.desk = desk
    app.state.audit_log = audit_log
    app.add_middleware(BodyLimit)
    problems.install(app)

    @app.get("/v1/health", operation_id="health_get", tags=["operations"])
    def health() -> Health:
        """Whether the coordinator answers. Needs no token."""
        return Health(status="ok", version=__version__, code_digest=code_digest)

    app.include_router(sites.router)
    app.include_router(runs.router)
    app.include_router(audit.router)
    return app
