"""Headers and payloads as the content of Flower messages.

Flower stores and moves every record and array as an object of its own, each with its round trips.
A small payload therefore travels inside the header's record. A large one is a uint8 array, because
large bytes inside a `ConfigRecord` are slow. flwr is imported only where it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from entente_common.errors import ProtectionViolated
from entente_common.protocol.messages import Header

if TYPE_CHECKING:
    from flwr.app import RecordDict

_HEADER = "header"
_KIND = "kind"
_PAYLOAD = "payload"
_INLINE_BYTES = 256 * 1024
_MAX_HEADER_CHARS = 16 * 1024 * 1024


def to_record(header: Header, payload: bytes = b"") -> RecordDict:
    """Wrap a header and its payload for a Flower message."""
    from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

    config = ConfigRecord({_KIND: type(header).__name__, _HEADER: header.text()})
    record = RecordDict({_HEADER: config})
    if len(payload) <= _INLINE_BYTES:
        config[_PAYLOAD] = payload
    else:
        array = Array(np.frombuffer(payload, dtype=np.uint8))
        record[_PAYLOAD] = ArrayRecord({_PAYLOAD: array})
    return record


def from_record(record: RecordDict) -> tuple[str, str, bytes]:
    """Unwrap a message's content into (kind of header, header text, payload).

    Raises:
        ProtectionViolated: The content is not what Entente sends.
    """
    try:
        config = record.config_records[_HEADER]
        kind, header = config[_KIND], config[_HEADER]
        payload = config.get(_PAYLOAD)
        if payload is None:
            payload = _payload_of(record.array_records[_PAYLOAD][_PAYLOAD].data)
    except (KeyError, ValueError, TypeError) as error:
        raise ProtectionViolated("A message does not hold a header and one payload.") from error
    if not (isinstance(kind, str) and isinstance(header, str) and isinstance(payload, bytes)):
        raise ProtectionViolated("A message does not hold text and bytes where it must.")
    if len(header) > _MAX_HEADER_CHARS:
        raise ProtectionViolated("A message header is longer than any header can be.")
    return kind, header, payload


def _payload_of(npy: bytes) -> bytes:
    # Flower frames arrays as .npy. Pickles and archives, which `np.load` also reads, are refused.
    from io import BytesIO

    try:
        array = np.lib.format.read_array(BytesIO(npy), allow_pickle=False)
    except Exception as error:
        raise ProtectionViolated("A message payload is not an array.") from error
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ProtectionViolated("A message payload is not a flat block of bytes.")
    return bytes(array.tobytes())
