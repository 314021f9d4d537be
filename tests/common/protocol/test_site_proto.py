"""The checked-in gRPC code is what the protocol file says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import entente_common.protocol.generated as generated
from entente_common.protocol.generated import site_pb2

HERE = Path(generated.__file__).parent


def without_versions(text: str) -> str:
    """Leave out what depends on the generator's own version."""
    text = re.sub(r"# Protobuf Python Version: .*", "", text)
    text = re.sub(r"GRPC_GENERATED_VERSION = .*", "", text)
    return re.sub(r"ValidateProtobufRuntimeVersion\(.*?\)", "", text, flags=re.DOTALL)


def test_the_generated_code_is_up_to_date(tmp_path: Path) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc")
    folder = "entente_common/protocol/generated"
    code = protoc.main(
        [
            "protoc",
            f"-I{folder}={HERE.parent}",
            f"--python_out={tmp_path}",
            f"--pyi_out={tmp_path}",
            f"--grpc_python_out={tmp_path}",
            f"{folder}/site.proto",
        ]
    )
    assert code == 0
    for name in ("site_pb2.py", "site_pb2.pyi", "site_pb2_grpc.py"):
        fresh = (tmp_path / folder / name).read_text()
        assert without_versions(fresh) == without_versions((HERE / name).read_text()), name


def test_messages_a_site_sends_cannot_name_a_site() -> None:
    sent = [site_pb2.EnrolRequest, site_pb2.Hello, site_pb2.Heartbeat, site_pb2.Bye]
    for message in sent:
        assert "site" not in message.DESCRIPTOR.fields_by_name
