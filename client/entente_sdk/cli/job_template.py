"""A first job file for each kind of model, with a word on what each line decides."""

from __future__ import annotations

from enum import StrEnum


class ModelKind(StrEnum):
    """The kinds of model a job may name."""

    LOGISTIC = "logistic"
    MLP = "mlp"
    CNN = "cnn"


_TEMPLATE = """\
# A job for Entente: what to learn, from which columns, under which protection.
# Fields, ranges and defaults: docs/job.md. Check this file: entente job validate FILE
apiVersion: entente/v1
name: {name}
task: {task}
data:
  contract: {contract}  # the agreed columns, types, ranges and label
  # features: [first, second]  # by default every column but label and key
{model}
training:
  rounds: 10
  strategy: {{name: fedavg}}  # or {{name: fedprox, proximal_mu: 0.01}}
  local_steps: 10  # gradient steps at each site in each round
  batch_size: 32
  optimizer: {{name: sgd, lr: 0.05, momentum: 0.0}}
  round_timeout_s: 600
privacy: {{unit: none}}  # or {{unit: record, mechanism: dp-sgd, epsilon: 8.0, delta: 1.0e-5}}
protection:
  aggregation: encrypted  # or plain: the coordinator then sees every update
  min_sites: 3  # with fewer sites a round reveals nothing and fails
  clip: 2.0  # public bound on each coordinate of an update
evaluation:
  holdout: 0.2  # share of each site's records held back
release:
  to: [sites, coordinator]
seed: 0
"""

_TABLE = {"name": "heart-disease", "task": "binary-classification", "contract": "heart@1"}
_IMAGES = {"name": "digits", "task": "multiclass-classification", "contract": "digits@1"}
_PARTS: dict[ModelKind, dict[str, str]] = {
    ModelKind.LOGISTIC: {**_TABLE, "model": "model: {kind: logistic}"},
    ModelKind.MLP: {**_TABLE, "model": "model: {kind: mlp, hidden: [32]}  # units of each layer"},
    ModelKind.CNN: {
        **_IMAGES,
        "model": "model:\n"
        "  kind: cnn\n"
        "  image: [1, 8, 8]  # channels, height, width: as many values as features\n"
        "  channels: [8, 16]  # of each convolution; each halves height and width\n"
        "  hidden: 32",
    },
}


def job_template(kind: ModelKind) -> str:
    """A valid job file with a model of `kind`, every other value at its default."""
    return _TEMPLATE.format(**_PARTS[kind])
