"""Sites and invitations over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from entente_common.contracts.site import Invitation, Site
from entente_server.kit.access import Admin
from entente_server.sites.service import SiteService

router = APIRouter(prefix="/v1", tags=["sites"])


class InvitationRequest(BaseModel):
    """Asks for an invitation."""

    model_config = ConfigDict(extra="forbid")

    site: str
    ttl_s: Annotated[int, Field(ge=60, le=30 * 86400)] = 7 * 86400


class SiteList(BaseModel):
    """A page of sites."""

    items: list[Site]
    next_cursor: str | None = None


def _service(request: Request) -> SiteService:
    service: SiteService = request.app.state.sites
    return service


@router.post("/invitations", status_code=201, operation_id="invitations_create")
def create_invitation(request: Request, body: InvitationRequest, actor: Admin) -> Invitation:
    """Invite an institution: the file returned lets one agent enrol under the name given."""
    return _service(request).invite(body.site, ttl_s=body.ttl_s, actor=actor)


@router.get("/sites", operation_id="sites_list")
def list_sites(request: Request, _actor: Admin) -> SiteList:
    """All sites, enrolled and invited."""
    return SiteList(items=_service(request).list_sites())


@router.delete("/sites/{name}", status_code=204, operation_id="sites_remove")
def remove_site(request: Request, name: str, actor: Admin) -> None:
    """Revoke a site: it takes part in nothing more, and needs a new invitation to return."""
    _service(request).remove(name, actor=actor)
