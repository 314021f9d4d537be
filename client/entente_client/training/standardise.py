"""Federated standardisation: one mean and spread a feature, fitted over all sites.

A site gives the means of `u` and `u²` of each numeric feature, where `u` is the value mapped from
the contract's public range to [-1, 1]. The example-weighted mean of these moments over the sites
equals the moments of the pooled rows, so the scale is what one pooled table would give, and no
site's own moments need be seen: the vector travels under the run's protection. Category columns
are left as they are. No noise is added: under `privacy.unit: record` these sums are outside the
guarantee, and the privacy statement says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from entente_client.training.design import Design, Matrix
from entente_common.errors import ProtectionViolated

_SMALLEST_SPREAD = 2.0**-10
"""Least standard deviation of `u` divided by: fixed-point sums resolve no finer one, and a constant
column stays at zero instead of becoming noise."""

_ROUNDING = 1e-3
"""How far fixed-point rounding may carry a summed moment beyond its range."""


def local_moments(x: Matrix, design: Design) -> npt.NDArray[np.float32]:
    """Means of `u`, then of `u²`, over the site's rows.

    Args:
        x: The encoded training rows, `(n, design.inputs)`, n at least 1.
        design: Tells which columns are numeric, and their public ranges.

    Returns:
        A vector of twice the number of numeric features, each value in [-1, 1]; empty when all
        features are categories.
    """
    low, width = _offset_and_width(design)
    scaled = np.clip(2.0 * (x[:, design.numeric_positions] - low) / width - 1.0, -1.0, 1.0)
    return np.concatenate((scaled.mean(axis=0), np.square(scaled).mean(axis=0))).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Standardiser:
    """`(x - centre) / spread` on every matrix column.

    Attributes:
        column_names: The columns, as the design names them.
        centre: What is subtracted, in the unit of the column; 0 for category columns.
        spread: What is divided by, above 0; 1 for category columns.
    """

    column_names: tuple[str, ...]
    centre: Matrix
    spread: Matrix

    @classmethod
    def from_moments(cls, vector: npt.NDArray[Any], design: Design) -> Standardiser:
        """The standardiser of pooled moments.

        Raises:
            ProtectionViolated: The vector has another length, or is no vector of moments.
        """
        moments = _checked(np.asarray(vector, dtype=np.float64), design)
        mean, square = np.split(moments, 2)
        spread = np.sqrt(np.maximum(square - np.square(mean), _SMALLEST_SPREAD**2))
        low, width = _offset_and_width(design)
        identity = cls.identity(design)
        centre, divisor = identity.centre.copy(), identity.spread.copy()
        centre[design.numeric_positions] = low + (mean + 1.0) / 2.0 * width
        divisor[design.numeric_positions] = spread / 2.0 * width
        return cls(design.column_names, centre, divisor)

    @classmethod
    def identity(cls, design: Design) -> Standardiser:
        """The one that changes nothing, for `scale: none`."""
        return cls(design.column_names, np.zeros(design.inputs), np.ones(design.inputs))

    def apply(self, x: Matrix) -> Matrix:
        """The standardised copy of an encoded matrix."""
        scaled: Matrix = (x - self.centre) / self.spread
        return scaled

    def document(self) -> dict[str, Any]:
        """The scale as JSON: needed to use the released model, and part of what it reveals."""
        return {
            "columns": list(self.column_names),
            "centre": self.centre.tolist(),
            "spread": self.spread.tolist(),
        }


def _offset_and_width(design: Design) -> tuple[Matrix, Matrix]:
    """Lower end and width of each numeric feature's public range; a contract's widths exceed 0."""
    ranges = design.numeric_ranges
    return ranges[:, 0], ranges[:, 1] - ranges[:, 0]


def _checked(moments: Matrix, design: Design) -> Matrix:
    expected = 2 * len(design.numeric_positions)
    if moments.shape != (expected,):
        raise ProtectionViolated(f"Moments have shape {moments.shape}, not ({expected},).")
    if not np.all(np.isfinite(moments)) or np.any(np.abs(moments) > 1.0 + _ROUNDING):
        raise ProtectionViolated("Moments lie outside their public range.")
    return np.clip(moments, -1.0, 1.0)
