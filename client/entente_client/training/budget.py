"""The privacy plan of a job at one site, and the meter that enforces it.

The plan is made once, before any row is read: the noise is calibrated so that all of the job's
steps together stay within its epsilon. The meter charges every step before it is taken, one
accountant over all rounds, and refuses a round that would pass the plan's epsilon. A round that
broke off stays charged.

Accounting is Rényi differential privacy of the Poisson-subsampled Gaussian mechanism, neighbouring
by adding or removing one record (Mironov, Talwar & Zhang 2019, §3.3), as Opacus computes it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from entente_common.contracts.job import Job
from entente_common.errors import PrivacyBudgetExceeded
from entente_common.privacy.statement import PrivacyStatement

ACCOUNTANT: Final = "rdp"
ORDERS: Final[tuple[float, ...]] = (
    *(1 + tenth / 10 for tenth in range(1, 100)),
    *range(12, 64),
    *(80, 96, 128, 192, 256, 512, 1024),
)
"""Rényi orders searched: those of Opacus, and larger ones, without which no epsilon below about
0.1 can be proved whatever the noise."""

ASSUMPTIONS: Final = (
    "Neighbouring datasets differ by adding or removing one training record of this site.",
    "Every step draws each record independently with the stated sample rate (Poisson sampling).",
    "The number of training records, which sets the sample rate, is treated as public.",
    "Noise and sampling come from AES-256-CTR under a secret key, never from the job's seed.",
    "Gaussian noise in floating point is hardened against its rounding, not proved exact.",
)
EXCLUDED: Final = (
    "The sums for federated standardisation, which carry no noise.",
    "Loss and metrics on held-back records, and those records themselves.",
    "The numbers of training and held-back records, and how long training took.",
)


@dataclass(frozen=True, slots=True)
class PrivacyPlan:
    """What a site will do to keep a job's privacy promise.

    Attributes:
        sample_rate: Chance of each record to be in a step's batch, in (0, 1].
        expected_batch: Mean batch size in records, the divisor of every gradient sum.
        noise_multiplier: Standard deviation of the noise over `max_grad_norm`, above 0.
        max_grad_norm: L2 bound on each record's gradient, above 0.
        steps: Noisy steps over the whole job.
        epsilon: Upper bound promised by the job for all steps.
        delta: Probability with which the bound may fail, below one over the number of records.
    """

    sample_rate: float
    expected_batch: float
    noise_multiplier: float
    max_grad_norm: float
    steps: int
    epsilon: float
    delta: float


def plan_privacy(job: Job, *, rows: int) -> PrivacyPlan | None:
    """Calibrate the noise for `job` at a site with `rows` training records.

    Returns:
        The plan, or None when the job asks for no record privacy.

    Raises:
        PrivacyBudgetExceeded: No noise level reaches the job's epsilon, or its delta is so large
            that releasing one record in the clear would satisfy it.
    """
    privacy = job.privacy
    if privacy.unit == "none":
        return None
    if privacy.delta * rows >= 1:
        raise PrivacyBudgetExceeded(
            f"delta {privacy.delta:g} is no protection for {rows} training records: it must stay "
            f"below 1/{rows}.",
            hint="Lower privacy.delta in the job, well below one over the smallest site's records.",
        )
    sample_rate = min(1.0, job.training.batch_size / rows)
    steps = job.training.rounds * job.training.local_steps
    noise = _calibrate(
        epsilon=privacy.epsilon, delta=privacy.delta, sample_rate=sample_rate, steps=steps
    )
    return PrivacyPlan(
        sample_rate=sample_rate,
        expected_batch=sample_rate * rows,
        noise_multiplier=noise,
        max_grad_norm=privacy.max_grad_norm,
        steps=steps,
        epsilon=privacy.epsilon,
        delta=privacy.delta,
    )


class PrivacyMeter:
    """Counts the noisy steps of a plan and knows the epsilon spent.

    Invariant: epsilon never passes the plan's, and never goes down.
    """

    __slots__ = ("_plan", "_steps")

    def __init__(self, plan: PrivacyPlan) -> None:
        self._plan = plan
        self._steps = 0

    @property
    def epsilon(self) -> float:
        """Epsilon of the steps charged so far, at the plan's delta."""
        return self._epsilon_of(self._steps)

    def require(self, *, steps: int) -> None:
        """Make sure that `steps` more steps fit.

        Raises:
            PrivacyBudgetExceeded: They would pass the epsilon of the job.
        """
        after = self._epsilon_of(self._steps + steps)
        if after > self._plan.epsilon:
            raise PrivacyBudgetExceeded(
                f"{steps} more steps would spend epsilon {after:.3f}; the job allows "
                f"{self._plan.epsilon:g}, calibrated for {self._plan.steps} steps in all.",
                hint="Submit a new job; rounds cannot be repeated within a privacy budget.",
            )

    def charge(self) -> None:
        """Count one step, before it is taken."""
        self._steps += 1

    def statement(self, *, site: str) -> PrivacyStatement:
        """The guarantee of the steps charged so far."""
        return PrivacyStatement(
            site=site,
            unit="record",
            mechanism="dp-sgd",
            epsilon=self.epsilon,
            delta=self._plan.delta,
            accountant=ACCOUNTANT,
            noise_multiplier=self._plan.noise_multiplier,
            sample_rate=self._plan.sample_rate,
            steps=self._steps,
            assumptions=ASSUMPTIONS,
            excluded=EXCLUDED,
        )

    def _epsilon_of(self, steps: int) -> float:
        plan = self._plan
        return _epsilon(
            noise_multiplier=plan.noise_multiplier,
            sample_rate=plan.sample_rate,
            steps=steps,
            delta=plan.delta,
        )


@lru_cache(maxsize=256)
def _epsilon(*, noise_multiplier: float, sample_rate: float, steps: int, delta: float) -> float:
    """Epsilon of `steps` equal steps at `delta`, 0 for none."""
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(noise_multiplier, sample_rate, steps)] if steps else []
    with _orders_are_ours():
        return float(accountant.get_epsilon(delta=delta, alphas=list(ORDERS)))


@lru_cache(maxsize=32)
def _calibrate(*, epsilon: float, delta: float, sample_rate: float, steps: int) -> float:
    """The least noise multiplier, within a thousandth of epsilon, that keeps the promise."""
    from opacus.accountants.utils import get_noise_multiplier

    try:
        with _orders_are_ours():
            found = get_noise_multiplier(
                target_epsilon=epsilon,
                target_delta=delta,
                sample_rate=sample_rate,
                steps=steps,
                accountant=ACCOUNTANT,
                epsilon_tolerance=epsilon / 1000,
                alphas=list(ORDERS),
            )
    except ValueError as unreachable:
        raise PrivacyBudgetExceeded(
            f"No noise level keeps {steps} steps within epsilon {epsilon:g} at delta {delta:g}."
        ) from unreachable
    noise = float(found)
    spent = _epsilon(noise_multiplier=noise, sample_rate=sample_rate, steps=steps, delta=delta)
    if spent > epsilon:
        raise PrivacyBudgetExceeded(
            f"{steps} steps would spend epsilon {spent:.3f}, more than {epsilon:g}."
        )
    return noise


@contextmanager
def _orders_are_ours() -> Iterator[None]:
    """Without Opacus's advice to search more orders: fewer orders only loosen the bound."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the")
        yield
