"""What the coordinator received in an encrypted run, and what it can make of it.

Two runs of the same job and seed, one plain and one encrypted, have the same updates bit for bit.
The plain run gives the test the truth; the bytes that reached the coordinator in the encrypted run
must not. The sites run inside this process, so the test also holds the group key, and shows that
the very same bytes do open with it: the comparison could have failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tenseal as ts
from flwr.app import ConfigRecord
from flwr.proto.message_pb2 import PushObjectRequest
from numpy.typing import NDArray

from entente_common.aggregation.he import GroupKey
from entente_common.aggregation.plain import plain_ints
from entente_common.contracts.run import Run
from entente_common.protocol import messages as wire
from integration.harness import Federation, federation, make_job

MODEL = {"kind": "mlp", "hidden": [256]}
SITES = ("site-0", "site-1", "site-2")


@dataclass(frozen=True)
class Upload:
    """One message body of a site, as the coordinator received it."""

    kind: str
    header: str
    payload: bytes


@dataclass(frozen=True)
class Evidence:
    """All that the coordinator got, in both runs, and the key it did not get."""

    whole: Federation
    plain: list[Upload]
    encrypted: list[Upload]
    encrypted_bytes: bytes
    key: GroupKey


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evidence]:
    with federation(Path(tmp_path_factory.mktemp("confidentiality"))) as whole:
        recorded = {}
        for mode in ("plain", "encrypted"):
            before = set(whole.coordinator.capture.iterdir())
            job = make_job(model=MODEL, protection={"aggregation": mode, "min_sites": 3})
            run, _ = whole.run(job)
            assert run.status == "succeeded", run.reason
            recorded[mode] = (run, sorted(set(whole.coordinator.capture.iterdir()) - before))
        run, files = recorded["encrypted"]
        yield Evidence(
            whole=whole,
            plain=uploads(recorded["plain"][1]),
            encrypted=uploads(files),
            encrypted_bytes=b"".join(file.read_bytes() for file in files),
            key=group_key(whole, run),
        )


def uploads(files: list[Path]) -> list[Upload]:
    found = []
    for file in files:
        if not file.name.endswith("push-object"):
            continue
        content = PushObjectRequest.FromString(file.read_bytes()).object_content
        if content.startswith(b"ConfigRecord"):
            record = ConfigRecord.inflate(content)
            found.append(Upload(str(record["kind"]), str(record["header"]), record["payload"]))
    return found


def group_key(whole: Federation, run: Run) -> GroupKey:
    protection = whole.sites["site-0"].runs.run(run.id)._protection
    return protection.key


def rounds(found: list[Upload]) -> dict[tuple[str, str], Upload]:
    """Round uploads by (site, stage)."""
    named = {}
    for upload in found:
        if upload.kind == "RoundReply":
            reply = wire.RoundReply.model_validate_json(upload.header)
            named[reply.report.site, reply.contribution.stage] = upload
    return named


def truth(evidence: Evidence, site: str, stage: str) -> NDArray[np.int64]:
    reply = rounds(evidence.plain)[site, stage]
    length = wire.RoundReply.model_validate_json(reply.header).contribution.length
    return plain_ints(reply.payload, length=length)


CASES = [(site, wire.stage_of_round(number)) for site in SITES for number in (1, 2, 3)]


def test_every_update_of_both_runs_was_captured(evidence: Evidence) -> None:
    assert set(rounds(evidence.plain)) == set(CASES)
    assert set(rounds(evidence.encrypted)) == set(CASES)


@pytest.mark.parametrize(("site", "stage"), CASES)
def test_the_captured_bytes_hold_the_update_for_those_with_the_key_alone(
    evidence: Evidence, site: str, stage: str
) -> None:
    update = truth(evidence, site, stage)
    captured = rounds(evidence.encrypted)[site, stage].payload
    assert np.array_equal(evidence.key.decrypt(captured, length=len(update), sites=1), update)
    other = GroupKey.generate()
    with pytest.raises(Exception, match="key"):
        other.decrypt(captured, length=len(update), sites=1)


@pytest.mark.parametrize(("site", "stage"), CASES)
def test_captured_ciphertexts_do_not_correlate_with_the_update(
    evidence: Evidence, site: str, stage: str
) -> None:
    update = truth(evidence, site, stage).astype(np.float64)
    captured = np.frombuffer(rounds(evidence.encrypted)[site, stage].payload, dtype=np.uint8)
    plain = np.frombuffer(rounds(evidence.plain)[site, stage].payload, dtype=np.uint8)
    assert strongest_correlation(plain, update) > 0.5, (
        "the measure must find an update that is there"
    )
    assert strongest_correlation(captured, update) < 6 / np.sqrt(len(update))


def strongest_correlation(data: NDArray[np.uint8], update: NDArray[np.float64]) -> float:
    """The largest correlation of the update with any alignment of 1, 2, 4 or 8-byte words."""
    best = 0.0
    for width in (1, 2, 4, 8):
        for offset in range(min(64, len(data) - width * len(update) + 1)):
            words = data[offset : offset + width * len(update)].copy().view(f"<i{width}")
            if np.ptp(words) > 0:
                value = np.corrcoef(words.astype(np.float64), update)[0, 1]
                best = max(best, abs(float(value)))
    return best


def test_nothing_the_coordinator_received_opens_a_ciphertext(evidence: Evidence) -> None:
    contexts = [upload.payload for upload in evidence.encrypted if upload.kind == "KeyReply"]
    assert len(contexts) == 1
    public = contexts[0][contexts[0].index(b"\n") :] if b"\n" in contexts[0] else contexts[0]
    for start in range(len(public)):
        try:
            context = ts.context_from(public[start:])
        except (ValueError, RuntimeError):
            continue
        assert not context.has_secret_key()
    assert not holds_secret(evidence.encrypted_bytes, evidence.key)


def test_no_file_of_the_coordinator_holds_the_group_key(evidence: Evidence) -> None:
    files = [f for f in evidence.whole.coordinator.directory.rglob("*") if f.is_file()]
    assert any(file.name == "superlink.db" for file in files)
    for file in files:
        assert not holds_secret(file.read_bytes(), evidence.key), file.name
    assert not holds_secret(evidence.whole.coordinator.log.read_bytes(), evidence.key)
    assert holds_secret(b"x" * 100 + evidence.key.secret_bytes(), evidence.key), "the search works"


def holds_secret(data: bytes, key: GroupKey) -> bool:
    """Whether any of 32 windows of the secret stands in `data`."""
    secret = key.secret_bytes()
    step = max(1, (len(secret) - 48) // 32)
    windows = [secret[start : start + 48] for start in range(0, len(secret) - 48, step)]
    # Windows of the parameters are public; those that the public context shares do not count.
    public = key.public_context()
    return any(window in data for window in windows if window not in public)


def test_no_update_stands_in_clear_in_the_coordinators_files(evidence: Evidence) -> None:
    files = [f for f in evidence.whole.coordinator.directory.rglob("*") if f.is_file()]
    for site, stage in CASES:
        clear = truth(evidence, site, stage).astype("<i4").tobytes()
        window = clear[len(clear) // 2 : len(clear) // 2 + 32]
        assert window not in evidence.encrypted_bytes
        for file in files:
            if not file.name.startswith("superlink.db"):  # it also carried the plain run
                assert window not in file.read_bytes(), file.name
