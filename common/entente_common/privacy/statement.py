"""The privacy statement: what one site's records were guaranteed in one run.

A statement is a claim about the mechanism that ran, with everything needed to recompute epsilon:
mechanism, noise multiplier, sampling rate, steps and delta. What the proof assumes and what it does
not cover are part of the claim, never a footnote elsewhere.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PrivacyStatement(BaseModel):
    """The (epsilon, delta) guarantee one site gave in one run.

    Attributes:
        site: The site that gave it.
        unit: Whose presence is hidden: one `record`, or the whole `site`.
        mechanism: How, for example `dp-sgd`.
        epsilon: Upper bound on the privacy loss, 0 or more, finite, no unit.
        delta: Probability with which the bound may fail, in (0, 1).
        accountant: The accountant that computed epsilon, for example `rdp`.
        noise_multiplier: Standard deviation of the noise over the clipping norm, 0 or more.
        sample_rate: Chance of each record to be drawn into a step, in (0, 1].
        steps: Noisy steps taken so far, 0 or more.
        assumptions: What the proof rests on, one sentence each.
        excluded: What left the site outside this guarantee, one sentence each.

    Raises:
        pydantic.ValidationError: A value is out of its range or not finite.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    site: str = Field(min_length=1, max_length=63)
    unit: Literal["record", "site"]
    mechanism: str
    epsilon: float = Field(ge=0)
    delta: float = Field(gt=0, lt=1)
    accountant: str
    noise_multiplier: float = Field(ge=0)
    sample_rate: float = Field(gt=0, le=1)
    steps: int = Field(ge=0)
    assumptions: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
