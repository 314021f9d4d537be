"""`entente job` writes and checks job files without any coordinator."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from entente_common.contracts.job import job_schema, parse_job
from entente_common.errors import InvalidJob
from entente_sdk.cli.job import app

runner = CliRunner()


def said(*arguments: str, stdin: str | None = None) -> str:
    result = runner.invoke(app, list(arguments), input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("model", ["logistic", "mlp", "cnn"])
def test_a_first_job_file_is_valid_and_says_the_defaults(model: str) -> None:
    first = parse_job(said("init", "--model", model), source="init")
    assert first.model.kind == model
    shortest = parse_job(
        json.dumps(
            {
                "name": first.name,
                "task": first.task,
                "data": {"contract": first.data.contract},
                "model": {"kind": model},
            }
        ),
        source="shortest",
    )
    assert first == shortest


def test_a_model_that_does_not_exist_is_a_usage_error() -> None:
    assert runner.invoke(app, ["init", "--model", "rnn"]).exit_code == 2


def test_a_valid_file_is_summed_up(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(said("init"), encoding="utf-8")
    summary = said("validate", str(path))
    assert "heart-disease" in summary
    assert said("digest", str(path)).strip() in summary


def test_in_json_mode_stdout_is_one_document_with_the_job_resolved() -> None:
    text = said("init")
    report = json.loads(said("validate", "-", "-o", "json", stdin=text))
    job = parse_job(text, source="init")
    assert report["digest"] == job.digest()
    assert report["job"] == job.document()


def test_faults_reach_whoever_called_with_all_their_paths(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("name: X\nmodel: {kind: mpl}\n", encoding="utf-8")
    with pytest.raises(InvalidJob) as caught:
        runner.invoke(app, ["validate", str(path)], catch_exceptions=False)
    assert [issue.path for issue in caught.value.issues] == ["name", "task", "data", "model.kind"]


def test_standard_input_above_the_limit_is_refused() -> None:
    with pytest.raises(InvalidJob, match="standard input is larger than 1024 KiB"):
        runner.invoke(app, ["digest", "-"], input="#" * (1024 * 1024 + 1), catch_exceptions=False)


def test_the_schema_is_printed_as_json() -> None:
    assert json.loads(said("schema")) == job_schema()
