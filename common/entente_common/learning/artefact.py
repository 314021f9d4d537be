"""The model artefact: a safetensors file with a model's parameters and how to prepare its input.

A model is named by its digest, which covers layout, parameters and preprocessing, so that two
parties can tell that they hold the same model without showing it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entente_common.aggregation.layout import TensorLayout
from entente_common.canonical import digest, digest_bytes
from entente_common.errors import EntenteError, InvalidDocument

FORMAT = "entente/model/v1"


@dataclass(frozen=True, slots=True)
class ModelArtefact:
    """A trained model.

    Attributes:
        layout: Names and shapes of its tensors.
        parameters: All parameters in the order of the layout, float32.
        preprocessing: What is done to a row before the model sees it, as a JSON object.
        job: The job that made it, as a JSON object.
    """

    layout: TensorLayout
    parameters: NDArray[np.float32]
    preprocessing: Mapping[str, Any]
    job: Mapping[str, Any]

    def digest(self) -> str:
        """Names the model; equal for equal models on every machine."""
        little_endian = self.parameters.astype("<f4").tobytes()
        return digest(
            {
                "layout": self.layout.digest(),
                "parameters": digest_bytes(little_endian),
                "preprocessing": dict(self.preprocessing),
            }
        )

    def to_bytes(self) -> bytes:
        """The artefact as a safetensors file."""
        from safetensors.numpy import save

        metadata = {
            "format": FORMAT,
            "digest": self.digest(),
            "layout": json.dumps(self.layout.document()),
            "preprocessing": json.dumps(self.preprocessing, sort_keys=True),
            "job": json.dumps(self.job, sort_keys=True),
        }
        return bytes(save(self.layout.unflatten(self.parameters), metadata=metadata))

    @classmethod
    def from_bytes(cls, data: bytes) -> ModelArtefact:
        """Read a safetensors file made by `to_bytes`.

        Raises:
            InvalidDocument: It is not such a file, or its digest does not match its content.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            tensors = load(data)
            metadata = _metadata(data)
            layout = TensorLayout.from_document(_object(metadata["layout"]))
            parameters = layout.flatten(tensors)
            artefact = cls(
                layout=layout,
                parameters=parameters,
                preprocessing=_object(metadata["preprocessing"]),
                job=_object(metadata["job"]),
            )
            intact = artefact.digest() == metadata["digest"]
        except (SafetensorError, KeyError, ValueError, RecursionError, EntenteError) as error:
            raise InvalidDocument("The file is not an Entente model artefact.") from error
        if not intact:
            raise InvalidDocument("The model artefact was changed: its digest does not match.")
        return artefact


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")  # noqa: TRY004 - of the file, not of a caller
    return value


def _metadata(data: bytes) -> dict[str, str]:
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    return {str(name): str(text) for name, text in dict(header["__metadata__"]).items()}
