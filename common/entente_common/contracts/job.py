"""The job: a declaration of what to learn, from which columns, under which protection.

A job holds no code and no default that depends on where it is read: `Job.document()` spells out
every value, and `Job.digest()` over that is what sites take part in. Sections and their rules are
told in `docs/job.md`; what must hold between sections is in `job_rules.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from entente_common.contracts import job_rules as rules
from entente_common.contracts.document import Document, Finding, admit, admit_text
from entente_common.contracts.fields import ApiVersion, Slug
from entente_common.contracts.job_sections import (
    METRICS_BY_TASK,
    CnnModel,
    Data,
    Evaluation,
    FedAvg,
    FedProx,
    LogisticModel,
    Metric,
    MlpModel,
    Model,
    NoPrivacy,
    Preprocess,
    Privacy,
    Protection,
    Recipient,
    RecordPrivacy,
    Release,
    Sgd,
    Strategy,
    Task,
    Training,
)
from entente_common.contracts.reader import read_text
from entente_common.errors import InvalidJob

__all__ = [
    "CnnModel",
    "Data",
    "Evaluation",
    "FedAvg",
    "FedProx",
    "Job",
    "LogisticModel",
    "Metric",
    "MlpModel",
    "Model",
    "NoPrivacy",
    "Preprocess",
    "Privacy",
    "Protection",
    "Recipient",
    "RecordPrivacy",
    "Release",
    "Sgd",
    "Strategy",
    "Task",
    "Training",
    "job_from_document",
    "job_schema",
    "load_job",
    "parse_job",
]


class Job(Document):
    """One job. Its fields, ranges, units and defaults are listed in `docs/job.md`.

    Raises:
        pydantic.ValidationError: A field or a rule between fields is broken. Read documents
            through `parse_job`, `load_job` or `job_from_document`, which name every fault.
    """

    api_version: ApiVersion = Field(default="entente/v1", alias="apiVersion")
    name: Slug = Field(description="The job's name; runs carry it.")
    task: Task = Field(
        examples=["binary-classification"],
        description="What is learned; the label has two classes, or at least two.",
    )
    data: Data
    model: Model
    training: Training = Training()
    privacy: Privacy = NoPrivacy()
    protection: Protection = Protection()
    evaluation: Evaluation = Evaluation()
    release: Release = Release()
    seed: int = Field(
        default=0,
        ge=0,
        le=2**32 - 1,
        description="Fixes the first model and, without differential privacy, every batch.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, document: object) -> object:
        """Add the defaults that depend on the task and on the model's kind."""
        if not isinstance(document, Mapping):
            return document
        filled: dict[Any, Any] = dict(document)
        for task, metrics in METRICS_BY_TASK.items():
            if filled.get("task") == task:
                _default(filled, "evaluation", "metrics", value=metrics)
        model = filled.get("model")
        kind = model.get("kind") if isinstance(model, Mapping) else getattr(model, "kind", None)
        if kind == "cnn":
            _default(filled, "data", "preprocess", "scale", value="none")
        return filled

    def findings(self) -> Iterator[Finding]:
        """Everything that does not hold between this job's fields."""
        yield from rules.label_is_no_feature(self.data)
        yield from rules.metrics_fit_task(self.evaluation, task=self.task)
        yield from rules.image_fits(self.model, self.data)
        yield from rules.pull_is_stable(self.training)
        yield from rules.sum_hides_sites(self.protection)
        yield from rules.sites_hold_model(self.release)


def _default(document: dict[Any, Any], *path: str, value: object) -> None:
    """Set `path` to `value` where the document leaves it open, without changing its parts."""
    key, *rest = path
    if not rest:
        document.setdefault(key, value)
        return
    inner = document.get(key, {})
    if isinstance(inner, Mapping):
        document[key] = dict(inner)
        _default(document[key], *rest, value=value)


def parse_job(text: str, *, source: str) -> Job:
    """The job written in `text` (YAML or JSON, at most 1 MiB).

    Args:
        text: The job file's content.
        source: What to call the text in messages, usually the file's path.

    Raises:
        InvalidJob: With every fault at once: path, line, reason and cure of each.
    """
    return admit_text(Job, text, source=source, error=InvalidJob)


def load_job(path: Path) -> Job:
    """The job in the file at `path` (YAML or JSON, UTF-8, at most 1 MiB).

    Raises:
        InvalidJob: The file cannot be read, or with every fault at once.
    """
    return parse_job(read_text(path, error=InvalidJob), source=str(path))


def job_from_document(document: Mapping[str, Any]) -> Job:
    """The job in a JSON document that is already parsed, for example a request body.

    Raises:
        InvalidJob: With every fault at once: path, reason and cure of each.
    """
    return admit(Job, document, source="The job", error=InvalidJob)


def job_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a job document. It cannot say the rules between fields."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Job.model_json_schema(),
    }
