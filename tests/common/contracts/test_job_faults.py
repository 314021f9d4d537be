"""Every fault of a job is told at once, where it is and with its cure."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entente_common.contracts.job import Job, job_from_document, parse_job
from entente_common.errors import ExitCode, InvalidJob, Issue

MINIMAL: dict[str, Any] = {
    "name": "heart",
    "task": "binary-classification",
    "data": {"contract": "heart@1"},
    "model": {"kind": "mlp"},
}


def faults(**changes: Any) -> dict[str, Issue]:
    """The faults of the smallest job with `changes`, by path."""
    document = {**copy.deepcopy(MINIMAL), **changes}
    with pytest.raises(InvalidJob) as caught:
        job_from_document(document)
    told = {issue.path: issue for issue in caught.value.issues}
    assert len(told) == len(caught.value.issues)
    return told


def only(**changes: Any) -> Issue:
    (issue,) = faults(**changes).values()
    return issue


def test_fields_unknown_keys_and_rules_between_fields_are_told_in_one_go() -> None:
    told = faults(
        name="Heart Disease",
        task="multiclass-classification",
        model={"kind": "cnn", "channels": [1, 2, 3, 4]},
        training={"rounds": 0, "batchSize": 8, "strategy": {"name": "fedavg", "proximal_mu": 1}},
        privacy={"unit": "record", "delta": 0.5},
        protection={"min_sites": 1},
        evaluation={"holdout": 0.9, "metrics": ["auroc"]},
        release={"to": ["coordinator"]},
        sed=1,
    )
    assert list(told) == [
        "name",
        "model.channels",
        "training.rounds",
        "training.strategy.proximal_mu",
        "training.batchSize",
        "privacy.epsilon",
        "privacy.delta",
        "protection.min_sites",
        "evaluation.holdout",
        "evaluation.metrics",
        "release.to",
        "sed",
    ]
    assert all(issue.reason.endswith(".") and issue.cure for issue in told.values())


def test_an_invalid_job_is_a_usage_error_and_an_unprocessable_request() -> None:
    with pytest.raises(InvalidJob, match="The job has 4 faults") as caught:
        job_from_document({})
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("changes", "path", "cure"),
    [
        ({"trainning": {}}, "trainning", "Did you mean `training`?"),
        ({"training": {"batchSize": 3}}, "training.batchSize", "Did you mean `batch_size`?"),
        ({"training": {"local-steps": 3}}, "training.local-steps", "Did you mean `local_steps`?"),
        ({"rounds": 3}, "rounds", "Write it as `training.rounds`."),
        ({"training": {"lr": 0.1}}, "training.lr", "Write it as `training.optimizer.lr`."),
        (
            {"model": {"kind": "logistic", "hidden": [3]}},
            "model.hidden",
            "Write `kind: cnn` or `kind: mlp`, with which it goes, or remove it.",
        ),
        (
            {"privacy": {"unit": "none", "epsilon": 3.0}},
            "privacy.epsilon",
            "Write `unit: record`, with which it goes, or remove it.",
        ),
        (
            {"protection": {"xyz": 3}},
            "protection.xyz",
            "The keys here are `aggregation`, `min_sites` and `clip`.",
        ),
    ],
)
def test_an_unknown_key_is_answered_with_the_key_that_was_meant(
    changes: dict[str, Any], path: str, cure: str
) -> None:
    issue = only(**changes)
    assert issue == Issue(path, "is not a known key.", cure)


@pytest.mark.parametrize(
    ("changes", "path", "reason", "cure"),
    [
        (
            {"model": {"kind": "mpl"}},
            "model.kind",
            'is "mpl", which is not known.',
            "Did you mean `mlp`? Write `cnn`, `logistic` or `mlp`.",
        ),
        (
            {"model": {"kind": "transformer"}},
            "model.kind",
            'is "transformer", which is not known.',
            "Write `cnn`, `logistic` or `mlp`.",
        ),
        ({"model": {}}, "model.kind", "is missing.", "Add `kind`: `cnn`, `logistic` or `mlp`."),
        (
            {"model": "mlp"},
            "model",
            'is "mlp", not a mapping.',
            "Write a mapping with `kind` as `cnn`, `logistic` or `mlp`.",
        ),
        (
            {"training": {"strategy": {"name": "fed-prox"}}},
            "training.strategy.name",
            'is "fed-prox", which is not known.',
            "Did you mean `fedprox`? Write `fedavg` or `fedprox`.",
        ),
        (
            {"privacy": {"unit": "site"}},
            "privacy.unit",
            'is "site", which is not known.',
            "Write `none` or `record`.",
        ),
        (
            {"privacy": {"epsilon": 3.0}},
            "privacy.unit",
            "is missing.",
            "Add `unit`: `record`.",
        ),
        (
            {"protection": {"aggregation": "double-blind"}},
            "protection.aggregation",
            'is "double-blind", which is not allowed.',
            "Write `encrypted` or `plain`.",
        ),
        (
            {"model": {"kind": ["mlp"]}},
            "model.kind",
            "is a list, which is not known.",
            "Did you mean `mlp`? Write `cnn`, `logistic` or `mlp`.",
        ),
    ],
)
def test_a_choice_that_does_not_exist_is_answered_with_those_that_do(
    changes: dict[str, Any], path: str, reason: str, cure: str
) -> None:
    assert only(**changes) == Issue(path, reason, cure)


@pytest.mark.parametrize(
    ("section", "field", "values", "expected"),
    [
        ("training", "rounds", [0, 10_001], "a whole number from 1 to 10000"),
        ("training", "local_steps", [0, 100_001], "a whole number from 1 to 100000"),
        ("training", "batch_size", [0, 65_537], "a whole number from 1 to 65536"),
        ("training", "round_timeout_s", [0, 86_401], "a whole number from 1 to 86400"),
        ("protection", "min_sites", [0, 1001], "a whole number from 1 to 1000"),
        ("protection", "clip", [0, -1.5, 1001], "a number greater than 0 and at most 1000"),
        ("evaluation", "holdout", [0.04, 0.51], "a number from 0.05 to 0.5"),
    ],
)
def test_a_number_out_of_range_is_answered_with_the_whole_range(
    section: str, field: str, values: list[float], expected: str
) -> None:
    for value in values:
        issue = only(**{section: {field: value}})
        assert issue.path == f"{section}.{field}"
        assert issue.reason.startswith(f"is {value}, which is too ")
        assert issue.cure == f"Write {expected}."


@pytest.mark.parametrize("epsilon", [0, -1, 100.5, float("nan"), float("inf"), "8", True, None])
def test_epsilon_is_a_finite_number_in_range(epsilon: object) -> None:
    issue = only(privacy={"unit": "record", "epsilon": epsilon})
    assert issue.path == "privacy.epsilon"
    assert issue.cure == "Write a number greater than 0 and at most 100."


@pytest.mark.parametrize("delta", [0, 0.01, 1])
def test_delta_lies_strictly_between_its_bounds(delta: float) -> None:
    issue = only(privacy={"unit": "record", "epsilon": 1.0, "delta": delta})
    assert issue.cure == "Write a number greater than 0 and less than 0.01."


@pytest.mark.parametrize(
    ("value", "shown"), [("10", '"10"'), (True, "true"), (10.0, "10.0"), ([1], "a list")]
)
def test_a_whole_number_is_neither_text_nor_truth_nor_decimal(value: object, shown: str) -> None:
    assert only(training={"rounds": value}).reason == f"is {shown}, not a whole number."


@pytest.mark.parametrize("name", ["", "Heart", "1st", "a_b", "-a", "a-", "a" * 64, "a\n", "ä"])
def test_a_name_is_safe_in_urls_files_and_certificates(name: str) -> None:
    assert only(name=name).path == "name"


@pytest.mark.parametrize("ref", ["heart", "heart@", "heart@0", "heart@1.2", "@1", "heart@01"])
def test_a_contract_is_named_with_its_version(ref: str) -> None:
    assert "such as `heart@1`" in only(data={"contract": ref}).cure


def test_an_image_has_three_sides() -> None:
    issue = only(model={"kind": "cnn", "image": [1, 8]})
    assert issue.path == "model.image"
    assert issue.reason == "has 2 entries."
    assert "channels from 1 to 16" in issue.cure


def test_each_faulty_entry_of_a_list_is_told_on_its_own() -> None:
    told = faults(model={"kind": "mlp", "hidden": [0, 8, "x"]})
    assert list(told) == ["model.hidden.0", "model.hidden.2"]


def test_what_is_listed_twice_is_named() -> None:
    issue = only(data={"contract": "heart@1", "features": ["age", "sex", "age"]})
    assert issue == Issue("data.features", "names `age` more than once.", "Name each once.")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"data": {"contract": "a@1", "label": "x", "features": ["x", "y"]}}, "data.features"),
        (
            {"task": "multiclass-classification", "evaluation": {"metrics": ["auroc"]}},
            "evaluation.metrics",
        ),
        ({"model": {"kind": "cnn", "image": [1, 8, 7], "channels": [1, 2, 3]}}, "model.channels"),
        (
            {
                "model": {"kind": "cnn", "image": [1, 8, 8]},
                "data": {"contract": "a@1", "features": ["x"]},
            },
            "data.features",
        ),
        (
            {
                "model": {"kind": "cnn"},
                "data": {"contract": "a@1", "preprocess": {"scale": "federated-standard"}},
            },
            "data.preprocess.scale",
        ),
        (
            {"training": {"strategy": {"name": "fedprox", "proximal_mu": 40.0}}},
            "training.strategy.proximal_mu",
        ),
        ({"protection": {"min_sites": 1}}, "protection.min_sites"),
        ({"release": {"to": ["coordinator"]}}, "release.to"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], path: str) -> None:
    assert only(**changes).path == path


def test_a_rule_keeps_silent_while_a_field_it_rests_on_is_faulty() -> None:
    told = faults(protection={"min_sites": 1, "aggregation": "plan"})
    assert list(told) == ["protection.aggregation"]


def test_fields_behind_a_misspelt_kind_are_checked_as_the_kind_that_was_meant() -> None:
    told = faults(model={"kind": "mpl", "hidden": [0]})
    assert list(told) == ["model.kind", "model.hidden.0"]


def test_a_file_tells_the_line_of_each_fault() -> None:
    text = (
        "name: heart\n"
        "task: binary-classification\n"
        "data:\n"
        "  contract: heart@1\n"
        "model: {kind: mlp}\n"
        "training:\n"
        "  rounds: 0\n"
        "  rounds: 5\n"
        "release:\n"
        "  to: [coordinator]\n"
    )
    with pytest.raises(InvalidJob, match=r"job\.yaml has 3 faults") as caught:
        parse_job(text, source="job.yaml")
    assert list(caught.value.issues) == [
        Issue(
            "training.rounds",
            "is written twice (line 7).",
            "Keep one of the two; the second is on line 8.",
        ),
        Issue(
            "training.rounds",
            "is 0, which is too small (line 7).",
            "Write a whole number from 1 to 10000.",
        ),
        Issue(
            "release.to",
            "leaves out the sites, which always hold the model they train (line 10).",
            "Add `sites`.",
        ),
    ]


@pytest.mark.parametrize("document", [None, [], "job", 3])
def test_a_document_that_is_no_mapping_is_told_what_it_should_be(document: Any) -> None:
    with pytest.raises(InvalidJob) as caught:
        job_from_document(document)
    (issue,) = caught.value.issues
    assert issue.path == "document"
    assert "`name`, `task`, `data`, `model`" in issue.cure


def test_long_values_are_not_quoted_in_full() -> None:
    assert len(only(name="x" * 10_000).reason) < 100


def test_messages_are_valid_unicode_whatever_the_document_holds() -> None:
    told = faults(name="\ud800", **{"\ud800": 1})
    for issue in told.values():
        str(issue).encode("utf-8")


def test_a_hopeless_document_is_not_told_without_end() -> None:
    with pytest.raises(InvalidJob, match="at least 200 faults") as caught:
        job_from_document({**MINIMAL, **{f"x{number}": 1 for number in range(10_000)}})
    assert len(caught.value.issues) == 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
sections = st.sampled_from([*Job.model_fields, "apiVersion", "unknown"])


@settings(max_examples=150, deadline=None)
@given(changes=st.dictionaries(sections, json_values, max_size=6))
def test_no_document_leads_to_anything_but_a_job_or_its_faults(changes: dict[str, Any]) -> None:
    try:
        job = job_from_document({**MINIMAL, **changes})
    except InvalidJob as refusal:
        issues = refusal.issues
    else:
        assert job_from_document(job.document()) == job
        return
    assert issues
    for issue in issues:
        assert issue.path
        assert issue.cure
        assert "Input should" not in issue.reason


names_of_leaves = st.sampled_from(
    [
        ("data", "features"),
        ("data", "preprocess"),
        ("model", "kind"),
        ("model", "hidden"),
        ("training", "rounds"),
        ("training", "strategy"),
        ("training", "optimizer"),
        ("privacy", "unit"),
        ("privacy", "epsilon"),
        ("protection", "min_sites"),
        ("evaluation", "metrics"),
        ("release", "to"),
    ]
)


@settings(max_examples=150, deadline=None)
@given(changes=st.dictionaries(names_of_leaves, json_values, max_size=5))
def test_faults_name_places_in_the_document(changes: dict[tuple[str, str], Any]) -> None:
    document = copy.deepcopy(MINIMAL)
    for (section, field), value in changes.items():
        document.setdefault(section, {})[field] = value
    try:
        job_from_document(document)
    except InvalidJob as refusal:
        for issue in refusal.issues:
            section = issue.path.split(".")[0]
            assert section in Job.model_fields
            # What a union's branch is called is no part of the document.
            assert not issue.path.startswith(("model.mlp", "privacy.record", "privacy.none"))
