"""`entente audit`: export the audit trail, and verify an export without any coordinator."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from entente_common.audit.bundle import read_lines
from entente_common.audit.encoding import encode_base64
from entente_common.audit.keys import Algorithm, VerifierKey
from entente_common.audit.report import AuditReport, Fault
from entente_common.audit.verification import verify_bundle
from entente_common.errors import AuditBroken, InvalidSettings, Issue, NotFound
from entente_common.identity.atomic_file import PRIVATE, write_atomically
from entente_sdk.cli.options import connected
from entente_sdk.cli.output import Output, OutputOption, console, write_document, write_table
from entente_sdk.client import Client

app = typer.Typer(
    help="Export the audit trail; verify an export, offline.",
    no_args_is_help=True,
    add_completion=False,
)

_STDIN = Path("-")
_KEY_FILE_LIMIT_BYTES = 64 * 1024

Bundle = Annotated[
    Path, typer.Argument(metavar="BUNDLE", help="The exported bundle; - reads standard input.")
]
LogKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--log-key",
        metavar="KEY|FILE",
        help="Key of the log that you trust, or a file of such keys, one a line; repeatable.",
    ),
]


@app.command()
def verify(
    bundle: Bundle,
    log_key: LogKeys = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Check every entry, root and signature; name the first bad entry, and end with 5, if any."""
    log_keys = _keys(log_key or ())
    with ExitStack() as stack:
        report = verify_bundle(read_lines(_opened(bundle, stack)), trusted_log_keys=log_keys)
    if output is Output.JSON:
        write_document("AuditReport", report.document())
    else:
        write_table(("audit trail", "is"), _summary(report), empty="")
        _say_what_is_not_proven(report)
    if report.fault is not None:
        raise AuditBroken(_told(report.fault))


@app.command()
@connected
def export(
    client: Client,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="New file to write.")] = Path(
        "audit.jsonl"
    ),
) -> None:
    """Write the whole audit trail into one file, with every checkpoint that was signed."""
    if to.exists():
        issue = Issue("--to", f"{to} exists already.", "Name a new file.")
        raise InvalidSettings("The bundle cannot be written.", issues=[issue])
    write_atomically(to, b"".join(client.audit_bundle()), mode=PRIVATE)
    console(stderr=True).print(f"Wrote {to}. Verify it: entente audit verify {to}")


@app.command()
@connected
def checkpoint(client: Client) -> None:
    """Print a signed checkpoint of the log. Keep it where the coordinator cannot reach."""
    sys.stdout.write(client.audit_checkpoint())


@app.command()
@connected
def key(client: Client) -> None:
    """Print the key that the log's checkpoints are verified with."""
    sys.stdout.write(f"{client.audit_key()}\n")


def _opened(bundle: Path, stack: ExitStack) -> BinaryIO:
    if bundle == _STDIN:
        return sys.stdin.buffer
    try:
        return stack.enter_context(bundle.open("rb"))
    except OSError as error:
        raise NotFound(
            f"{bundle} cannot be read: {error.strerror}.", hint="Name the exported bundle."
        ) from None


def _keys(given: Iterable[str]) -> list[VerifierKey]:
    """Keys written out or in files; blank lines and lines that begin with # do not count."""
    keys = [VerifierKey.parse(text) for word in given for text in _key_lines(word)]
    for key in keys:
        if key.algorithm is not Algorithm.ED25519:
            raise InvalidSettings(
                f"The key of {key.name!r} does not sign logs.",
                hint="`entente audit key` prints the key of a coordinator's log.",
            )
    return keys


def _key_lines(word: str) -> list[str]:
    try:
        with Path(word).open("rb") as file:
            text = file.read(_KEY_FILE_LIMIT_BYTES).decode("utf-8")
    except (OSError, ValueError):
        if word.count("+") > 1:
            return [word]
        raise InvalidSettings(
            f"{word!r} is neither a key nor a readable file of keys.",
            hint="Write a key as NAME+ID+BASE64, or name a file that holds such lines.",
        ) from None
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise InvalidSettings(f"{word} holds no key.", hint="Write one key a line into it.")
    return keys


def _summary(report: AuditReport) -> list[tuple[str, str]]:
    rows = [
        ("log", report.origin),
        ("status", "verified" if report.verified else "BROKEN"),
        ("entries", str(report.entries)),
        ("proven", f"the first {report.proven}"),
        ("checkpoints", str(report.checkpoints)),
    ]
    if report.fault is not None:
        fault = report.fault
        which = str(fault.index) if fault.index == fault.last else f"{fault.index} to {fault.last}"
        rows[2:2] = [("first bad entry", which), ("what", fault.finding.value)]
    if report.head is not None and report.log_key is not None:
        vouched = "trusted" if report.trusted else "named by the bundle only"
        rows += [
            ("signed size", str(report.head.size)),
            ("signed root", encode_base64(report.head.root)),
            ("log key", f"{report.log_key.text()} ({vouched})"),
        ]
    return rows


def _told(fault: Fault) -> str:
    if fault.index == fault.last:
        return f"First bad entry: {fault.index} ({fault.finding.value}). {fault.detail}"
    return (
        f"First bad entry: one of {fault.index} to {fault.last} ({fault.finding.value}). "
        f"{fault.detail}"
    )


def _say_what_is_not_proven(report: AuditReport) -> None:
    notes = console(stderr=True)
    if not report.trusted:
        notes.print(
            "note: without --log-key this shows only that the bundle agrees with itself; "
            "get the log's key from its admin, on another way than the bundle."
        )
