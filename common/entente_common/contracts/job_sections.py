"""The sections of a job, each with the ranges, units and defaults of its fields.

Every field says in its description what `docs/job.md` tells of it. What must hold between sections
is in `job_rules.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from entente_common.contracts.document import Section
from entente_common.contracts.fields import ColumnName, ContractRef, Distinct

Task = Literal["binary-classification", "multiclass-classification"]
Metric = Literal["accuracy", "auroc", "log-loss"]
Recipient = Literal["sites", "coordinator"]

Features = Annotated[
    tuple[ColumnName, ...], Field(strict=False, min_length=1, max_length=10_000), Distinct
]
_Width = Annotated[int, Field(ge=1, le=4096)]
METRICS_BY_TASK: dict[Task, tuple[Metric, ...]] = {
    "binary-classification": ("accuracy", "auroc", "log-loss"),
    "multiclass-classification": ("accuracy", "log-loss"),
}
"""Every metric that fits a task: what a job asks for when it names none."""


class Preprocess(Section):
    """How features are brought to a common scale before training."""

    scale: Literal["federated-standard", "none"] = Field(
        default="federated-standard",
        description="`federated-standard` subtracts the mean and divides by the standard deviation "
        "over all sites, found under the run's own protection; `none` trains on the values as they "
        "stand. A cnn takes `none`, which is then the default.",
    )


class Data(Section):
    """Which columns of which contract a job reads."""

    contract: ContractRef = Field(description="The dataset contract, by name and version.")
    features: Features | None = Field(
        default=None,
        description="Columns to learn from, in this order; by default every column that is "
        "neither label nor key, in the contract's order.",
    )
    label: ColumnName | None = Field(
        default=None, description="Column to predict; by default the contract's label."
    )
    preprocess: Preprocess = Preprocess()


class LogisticModel(Section):
    """A linear model: one weight a feature and class."""

    kind: Literal["logistic"] = Field(
        default="logistic", description="A linear model: one weight for each feature and class."
    )


class MlpModel(Section):
    """Fully connected layers with ReLU between them."""

    kind: Literal["mlp"] = Field(
        default="mlp", description="Fully connected layers with ReLU between them."
    )
    hidden: Annotated[tuple[_Width, ...], Field(strict=False)] = Field(
        default=(32,),
        min_length=1,
        max_length=8,
        description="Units of each hidden layer, from input to output.",
    )


class CnnModel(Section):
    """Convolutions of 3 × 3, ReLU and 2 × 2 max-pooling, then one hidden layer."""

    kind: Literal["cnn"] = Field(
        default="cnn",
        description="Convolutions of 3 × 3, ReLU and 2 × 2 max-pooling, then one hidden layer.",
    )
    image: Annotated[
        tuple[
            Annotated[int, Field(ge=1, le=16)],
            Annotated[int, Field(ge=4, le=512)],
            Annotated[int, Field(ge=4, le=512)],
        ],
        Field(strict=False),
    ] = Field(
        default=(1, 8, 8),
        json_schema_extra={
            "x-expected": "three whole numbers: channels from 1 to 16, then height and width "
            "from 4 to 512 pixels"
        },
        description="Shape of one image: channels, height, width in pixels. The features fill it "
        "in that order, the last index moving fastest.",
    )
    channels: Annotated[tuple[Annotated[int, Field(ge=1, le=512)], ...], Field(strict=False)] = (
        Field(
            default=(8, 16),
            min_length=1,
            max_length=6,
            description="Output channels of each convolution; each halves height and width.",
        )
    )
    hidden: _Width = Field(default=32, description="Units of the hidden layer behind them.")


Model = Annotated[LogisticModel | MlpModel | CnnModel, Field(discriminator="kind")]


class FedAvg(Section):
    """Example-weighted averaging of the sites' updates (McMahan et al. 2017)."""

    name: Literal["fedavg"] = Field(
        default="fedavg", description="Example-weighted averaging of the updates of the sites."
    )


class FedProx(Section):
    """Averaging with a pull of each site towards the round's start (Li et al. 2020)."""

    name: Literal["fedprox"] = Field(
        default="fedprox",
        description="Averaging, with a pull of each site towards the start of the round.",
    )
    proximal_mu: float = Field(
        default=0.01,
        ge=0,
        le=1000,
        description="Strength of the pull; 0 is plain averaging.",
    )


Strategy = Annotated[FedAvg | FedProx, Field(discriminator="name")]


class Sgd(Section):
    """Stochastic gradient descent with heavy-ball momentum."""

    name: Literal["sgd"] = Field(
        default="sgd", description="Stochastic gradient descent with heavy-ball momentum."
    )
    lr: float = Field(default=0.05, gt=0, le=10, description="Learning rate.")
    momentum: float = Field(
        default=0.0, ge=0, lt=1, description="Share of the last step kept in the next."
    )


class Training(Section):
    """How long and how each site trains between two aggregations."""

    rounds: int = Field(default=10, ge=1, le=10_000, description="Rounds of aggregation.")
    strategy: Strategy = FedAvg()
    local_steps: int = Field(
        default=10, ge=1, le=100_000, description="Gradient steps at each site in each round."
    )
    batch_size: int = Field(
        default=32,
        ge=1,
        le=65_536,
        description="Records in one step; with `privacy.unit: record` the expected number.",
    )
    optimizer: Sgd = Sgd()
    round_timeout_s: int = Field(
        default=600,
        ge=1,
        le=86_400,
        description="Seconds after which a round goes on without the sites that did not answer.",
    )


class NoPrivacy(Section):
    """No differential privacy: what the model reveals of one record is not bounded."""

    unit: Literal["none"] = Field(default="none", description="No differential privacy.")


class RecordPrivacy(Section):
    """Differential privacy for each record, by DP-SGD at its site (Abadi et al. 2016)."""

    unit: Literal["record"] = Field(
        default="record", description="Differential privacy for each record."
    )
    mechanism: Literal["dp-sgd"] = Field(
        default="dp-sgd", description="Clipped gradients with Gaussian noise, at the site."
    )
    epsilon: float = Field(
        gt=0,
        le=100,
        examples=[8.0],
        description="The most a record may lose over the whole run; above 10 protects little.",
    )
    delta: float = Field(
        default=1e-5,
        gt=0,
        lt=0.01,
        description="Probability with which the bound may fail; must stay below one over the "
        "number of records at every site.",
    )
    max_grad_norm: float = Field(
        default=1.0,
        gt=0,
        le=1000,
        description="Euclidean norm to which the gradient of each record is clipped.",
    )


Privacy = Annotated[NoPrivacy | RecordPrivacy, Field(discriminator="unit")]


class Protection(Section):
    """What the coordinator may see of a site's update."""

    aggregation: Literal["encrypted", "plain"] = Field(
        default="encrypted",
        description="`encrypted`: sums of ciphertexts, whose key the sites alone hold; `plain`: "
        "the coordinator sees every update.",
    )
    min_sites: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="Fewest sites whose updates may be summed; with fewer, a round reveals "
        "nothing and fails. At least 2 with `encrypted`.",
    )
    clip: float = Field(
        default=2.0,
        gt=0,
        le=1000,
        description="Public bound on the size of each coordinate of an update, in parameter "
        "units; larger ones are cut to it. A smaller bound gives finer fixed-point steps.",
    )


class Evaluation(Section):
    """What is measured on records held back from training."""

    holdout: float = Field(
        default=0.2, ge=0.05, le=0.5, description="Share of each site's records held back."
    )
    metrics: Annotated[tuple[Metric, ...], Field(strict=False), Distinct] = Field(
        default=METRICS_BY_TASK["binary-classification"],
        min_length=1,
        description="What to report; by default every metric that fits the task. `auroc` is for "
        "binary classification only.",
    )


class Release(Section):
    """Who may keep the final model."""

    to: Annotated[tuple[Recipient, ...], Field(strict=False), Distinct] = Field(
        default=("sites", "coordinator"),
        min_length=1,
        description="Who receives it. The sites always hold it, so `sites` is always named.",
    )
