"""The audit trail of a coordinator: provable as it grows, and telling where it was changed."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from entente_common.audit.checkpoint import Checkpoint, open_checkpoint
from entente_common.audit.proofs import verify_consistency, verify_inclusion
from entente_common.audit.report import AuditReport
from entente_common.audit.verification import verify_bundle
from entente_common.errors import AuditBroken, EntenteError, ExitCode
from entente_sdk.cli.audit import app
from entente_server.audit.trail import audit
from fakes.api import Api

SITES = [f"site-{letter}" for letter in "abcdefgh"]


def grow(api: Api, sites: list[str] = SITES) -> None:
    """One entry for each site."""
    for site in sites:
        api.sites.invite(site, ttl_s=600, actor="admin")


def tamper(api: Api, statement: str) -> None:
    """Change the database behind the coordinator's back."""
    with api.database.engine.begin() as connection:
        connection.execute(text(statement))


def verified(api: Api) -> AuditReport:
    return verify_bundle(api.audit_log.bundle(), trusted_log_keys=[api.audit_log.verifier])


def head(api: Api) -> Checkpoint:
    signed = open_checkpoint(api.audit_log.checkpoint(), log_keys=[api.audit_log.verifier])
    return signed.checkpoint


def proof_of(api: Api, path: str) -> tuple[list[bytes], bytes]:
    answer = api.client().get(path).json()
    proof = [base64.b64decode(part) for part in answer["proof"]]
    return proof, base64.b64decode(answer["leaf_hash"] or "")


def test_every_entry_is_provably_in_the_signed_log(api: Api) -> None:
    grow(api)
    now = head(api)
    entries = api.client().get("/v1/audit/entries").json()["items"]
    assert [entry["index"] for entry in entries] == list(range(now.size))
    for entry in api.audit_log.entries(after=-1, limit=100):
        proof, leaf = proof_of(api, f"/v1/audit/inclusion?index={entry.index}&size={now.size}")
        assert leaf == entry.leaf_hash()
        verify_inclusion(leaf, proof, index=entry.index, size=now.size, root=now.root)


def test_every_checkpoint_is_provably_a_beginning_of_every_later_one(api: Api) -> None:
    seen = [head(api)]
    for site in SITES:
        grow(api, [site])
        seen.append(head(api))
    for place, older in enumerate(seen):
        for newer in seen[place:]:
            path = f"/v1/audit/consistency?older={older.size}&newer={newer.size}"
            proof, _ = proof_of(api, path)
            verify_consistency(
                proof,
                older=older.size,
                newer=newer.size,
                older_root=older.root,
                newer_root=newer.root,
            )


def test_an_export_verifies_and_a_log_that_stood_still_is_not_signed_again(api: Api) -> None:
    grow(api)
    assert api.audit_log.checkpoint() == api.audit_log.checkpoint()
    report = verified(api)
    assert report.verified
    assert report.trusted
    assert report.proven == report.entries == head(api).size


def test_a_change_that_fails_leaves_no_entry(api: Api) -> None:
    before = head(api).size
    with pytest.raises(ZeroDivisionError), api.database.transaction() as session:
        audit(session, actor="admin", action="site.invited", subject=str(1 / 0))
    assert head(api).size == before


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("""UPDATE audit SET actor = 'nobody' WHERE "index" = 4""", 4),
        ("""UPDATE audit SET detail = '{}' WHERE "index" = 0""", 0),
        ("""UPDATE audit SET at = 'yesterday' WHERE "index" = 2""", 2),
        ("""DELETE FROM audit WHERE "index" = 3""", 3),
        ("""UPDATE audit SET "index" = 50 + "index" WHERE "index" = 5""", 5),
    ],
    ids=["edited", "detail", "malformed", "deleted", "moved"],
)
def test_the_first_changed_entry_is_named(api: Api, statement: str, index: int) -> None:
    grow(api)
    lines = list(api.audit_log.bundle())
    assert verify_bundle(lines, trusted_log_keys=[api.audit_log.verifier]).verified
    tamper(api, statement)
    report = verified(api)
    assert report.fault is not None
    assert report.fault.index == report.fault.last == index
    assert report.proven <= index


def test_two_entries_that_changed_places_are_found(api: Api) -> None:
    grow(api)
    head(api)
    for step in ('SET "index" = 99 WHERE "index" = 3', 'SET "index" = 3 WHERE "index" = 4',
                 'SET "index" = 4 WHERE "index" = 99'):  # fmt: skip
        tamper(api, f"UPDATE audit {step}")
    fault = verified(api).fault
    assert fault is not None
    assert fault.index == 3


def test_a_truncated_log_is_neither_signed_nor_continued(api: Api) -> None:
    grow(api)
    signed = head(api).size
    tamper(api, f'DELETE FROM audit WHERE "index" >= {signed - 2}')
    with pytest.raises(AuditBroken, match="shrank"):
        api.audit_log.checkpoint()
    fault = verified(api).fault
    assert fault is not None
    assert (fault.finding, fault.index) == ("truncated", signed - 2)
    with pytest.raises(AuditBroken, match=f"from {signed - 2} on"):
        api.sites.invite("site-z", ttl_s=600, actor="admin")


def test_a_log_rewritten_with_its_tree_contradicts_what_was_signed_before(api: Api) -> None:
    grow(api)
    kept = head(api)
    tamper(api, "UPDATE audit SET actor = 'nobody' WHERE \"index\" = 1")
    tamper(api, 'UPDATE audit_node SET hash = zeroblob(32) WHERE level = 0 AND "offset" = 1')
    tamper(api, 'UPDATE audit_node SET hash = zeroblob(32) WHERE level = 1 AND "offset" = 0')
    tamper(api, "UPDATE audit_node SET hash = zeroblob(32) WHERE level >= 2")
    grow(api, ["site-z"])
    with pytest.raises(AuditBroken, match="does not begin with"):
        api.audit_log.checkpoint()
    assert kept.size < api.audit_log.entries(after=-1, limit=100)[-1].index + 1


def test_the_command_line_verifies_offline_and_names_the_first_bad_entry(
    api: Api, tmp_path: Path
) -> None:
    grow(api)
    bundle = tmp_path / "audit.jsonl"
    bundle.write_bytes(b"".join(api.audit_log.bundle()))
    words = ["verify", str(bundle), "--log-key", api.audit_log.verifier.text(), "-o", "json"]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.output
    assert json.loads(outcome.stdout)["verified"] is True
    bundle.write_bytes(bundle.read_bytes().replace(b'"site-c"', b'"site-x"'))
    broken = CliRunner().invoke(app, words)
    assert isinstance(broken.exception, EntenteError)
    assert broken.exception.exit_code == ExitCode.REFUSED
    named = json.loads(broken.stdout)["fault"]["first_bad_index"]
    assert f"First bad entry: {named} (edited)" in broken.exception.detail


def test_a_key_that_is_not_the_logs_verifies_nothing(api: Api) -> None:
    grow(api)
    other = api.audit_log.verifier
    stranger = type(other)(other.name, other.algorithm, bytes(32))
    report = verify_bundle(api.audit_log.bundle(), trusted_log_keys=[stranger])
    assert not report.verified
    assert report.proven == 0
