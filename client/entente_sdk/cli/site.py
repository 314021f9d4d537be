"""`entente site`: who belongs to the federation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from entente_common.contracts.site import Invitation, Site
from entente_common.errors import InvalidSettings, Issue
from entente_common.identity.atomic_file import PRIVATE, write_atomically
from entente_sdk.cli.options import connected
from entente_sdk.cli.output import Output, OutputOption, console, write_list, write_table
from entente_sdk.client import Client

app = typer.Typer(
    help="Invite sites and see who is there.", no_args_is_help=True, add_completion=False
)

_HOUR_S = 3600


@app.command()
@connected
def invite(
    client: Client,
    name: Annotated[str, typer.Argument(help="Name of the site: lower-case letters, digits, -.")],
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="File to write; default NAME.invitation.json."),
    ] = None,
    valid_hours: Annotated[
        int, typer.Option(min=1, max=720, help="Hours in which it can be used, once.")
    ] = 24,
) -> None:
    """Invite a site: write a file to hand to its operator over a channel you trust.

    The file holds a secret that enrols one site, once.
    """
    target = to or Path(f"{name}.invitation.json")
    if target.exists():
        raise _taken(target)
    invitation = client.invite(name, ttl_s=valid_hours * _HOUR_S)
    write_invitation(invitation, target)
    console(stderr=True).print(
        f"Wrote {target}, valid until {invitation.expires_at}.\n"
        f"At the site: entente agent enrol --dir DIR --invitation {target}",
        soft_wrap=True,
    )


@app.command(name="list")
@connected
def list_sites(client: Client, output: OutputOption = Output.TABLE) -> None:
    """List the sites, whether they are there, and what data they offer."""
    sites = client.sites()
    if output is Output.JSON:
        write_list("SiteList", sites)
        return
    write_table(
        ("site", "status", "last seen", "certificate until", "version", "datasets"),
        (_row(site) for site in sites),
        empty="No site yet. Invite one: entente site invite NAME",
    )


@app.command()
@connected
def remove(
    client: Client,
    name: Annotated[str, typer.Argument(help="Name of the site.")],
    confirm: Annotated[
        str | None, typer.Option("--yes", metavar="NAME", help="The name again, to be sure.")
    ] = None,
) -> None:
    """Revoke a site. It is cut off, and needs a new invitation to return."""
    if (confirm or typer.prompt(f"Type {name} to revoke it", err=True)) != name:
        raise InvalidSettings("The name was not repeated; nothing was changed.")
    client.remove_site(name)
    console(stderr=True).print(f"{name} is revoked.")


def write_invitation(invitation: Invitation, target: Path) -> None:
    """Write an invitation to a new file that only its owner can read.

    Raises:
        InvalidSettings: The file exists already.
        DataDirectoryProblem: Its directory cannot be written to.
    """
    content = invitation.model_dump_json(indent=2).encode() + b"\n"
    try:
        write_atomically(target, content, mode=PRIVATE, replace=False)
    except FileExistsError as error:
        raise _taken(target) from error


def _taken(target: Path) -> InvalidSettings:
    issue = Issue("--to", f"{target} exists already.", "Name a new file.")
    return InvalidSettings("The invitation cannot be written.", issues=[issue])


def _row(site: Site) -> tuple[object, ...]:
    datasets = ", ".join(f"{card.contract} ({card.rows} rows)" for card in site.datasets)
    return (
        site.name,
        site.status,
        site.last_seen_at,
        site.certificate_expires_at,
        site.version,
        datasets or None,
    )
