"""The command line: what it prints where, and how it ends."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
import typer

from entente_common.errors import ExitCode
from entente_sdk.cli import main as cli
from entente_sdk.cli.lazy import Deferred
from entente_sdk.cli.main import Entente, main
from entente_sdk.cli.output import plain
from fakes.rest_api import Reply, RestApi
from fakes.runs import DIGEST, JOB, MOMENT, RUN_ID, event_documents, run_document, site_document

STARTED = (
    "started with 2 sites (north, south), aggregation encrypted, differential privacy by record"
)
RUN_PATH = f"/v1/runs/{RUN_ID}"
HEAVY = ("torch", "flwr", "sqlmodel", "fastapi", "tenseal", "polars", "opacus", "sklearn", "grpc")

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize("words", [["--help"], ["version"], ["site", "--help"], ["run", "--help"]])
def test_help_loads_no_heavy_library(words: list[str]) -> None:
    script = (
        "import json, sys\n"
        "from entente_sdk.cli.main import main\n"
        f"code = main({words!r})\n"
        "sys.stderr.write(json.dumps([code, sorted(sys.modules)]))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    code, modules = json.loads(ended.stderr)
    assert code == 0
    assert ended.stdout
    assert set(modules) & set(HEAVY) == set()


def test_help_names_every_group_without_importing_any() -> None:
    script = (
        "import json, sys\n"
        "from entente_sdk.cli.main import main\n"
        "main(['--help'])\n"
        "sys.stderr.write(json.dumps(sorted(sys.modules)))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    targets = {deferred.target.partition(":")[0] for deferred in Entente.groups.values()}
    assert targets & set(json.loads(ended.stderr)) == set()
    assert all(name in ended.stdout for name in Entente.groups)


@pytest.mark.parametrize("name", list(Entente.groups))
def test_every_group_can_be_loaded_and_says_what_it_is_for(name: str, capsys: Captured) -> None:
    assert main([name, "--help"]) == 0

    assert "Usage: entente" in capsys.readouterr().out


def test_a_group_whose_library_is_missing_names_the_extra(capsys: Captured) -> None:
    deferred = Deferred("no_such_library_at_all:app", "Does nothing.", extra="server")

    with pytest.raises(cli.EntenteError) as caught:
        deferred.load()

    assert "entente[server]" in caught.value.hint


@pytest.mark.parametrize("words", [["nonsense"], ["run", "show"], ["run", "list", "--nonsense"]])
def test_a_mistake_on_the_command_line_is_a_usage_error(words: list[str], capsys: Captured) -> None:
    assert main(words) == ExitCode.USAGE

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_an_error_says_what_why_and_what_next(connected: RestApi, capsys: Captured) -> None:
    assert main(["run", "show", "run_none"]) == ExitCode.NOT_FOUND

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error: Not found (not_found)" in captured.err
    assert "why:" in captured.err
    assert "next:" in captured.err


def test_every_fault_of_a_connection_is_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    for name in ("ENTENTE_URL", "ENTENTE_TOKEN_FILE", "ENTENTE_CA_FILE", "ENTENTE_SERVER_DIR"):
        monkeypatch.delenv(name, raising=False)

    assert main(["site", "list"]) == ExitCode.USAGE

    captured = capsys.readouterr()
    assert "--url" in captured.err
    assert "--token-file" in captured.err


@pytest.mark.parametrize("place", ["before", "after", "absent"])
def test_a_defect_ends_with_seventy_and_shows_its_traceback_only_when_asked(
    place: str, connected: RestApi, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_client: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("entente_sdk.client.Client.sites", fail)
    words = {
        "before": ["--verbose", "site", "list"],
        "after": ["site", "list", "--verbose"],
        "absent": ["site", "list"],
    }[place]

    assert main(words) == ExitCode.BUG

    captured = capsys.readouterr()
    assert "ZeroDivisionError: a defect" in captured.err
    assert ("Traceback" in captured.err) == (place != "absent")


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, click.Abort])
def test_an_interrupt_ends_with_one_hundred_and_thirty(
    interrupt: type[BaseException], connected: RestApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_client: object) -> None:
        raise interrupt

    monkeypatch.setattr("entente_sdk.client.Client.sites", stop)

    assert main(["site", "list"]) == ExitCode.INTERRUPTED


def test_the_exit_code_a_command_chooses_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave() -> None:
        raise typer.Exit(5)

    monkeypatch.setattr("entente_sdk.cli.main.version", lambda _name: leave())

    assert main(["version"]) == ExitCode.REFUSED


def test_sites_are_listed_for_people(connected: RestApi, capsys: Captured) -> None:
    connected.replies["GET", "/v1/sites"] = Reply.of({"items": [site_document()]})

    assert main(["site", "list"]) == 0

    out = capsys.readouterr().out
    assert "north" in out
    assert "heart@1 (120 rows)" in out


def test_sites_are_one_json_document_for_programs(connected: RestApi, capsys: Captured) -> None:
    connected.replies["GET", "/v1/sites"] = Reply.of({"items": [site_document()]})

    assert main(["site", "list", "-o", "json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert (document["apiVersion"], document["kind"]) == ("entente/v1", "SiteList")
    assert document["items"][0]["name"] == "north"


@pytest.mark.parametrize("group", ["site", "run"])
def test_an_empty_list_names_the_next_command(
    group: str, connected: RestApi, capsys: Captured
) -> None:
    connected.replies["GET", f"/v1/{group}s"] = Reply.of({"items": []})

    assert main([group, "list"]) == 0

    assert f"entente {group}" in capsys.readouterr().out


def test_control_codes_from_the_network_do_not_reach_the_terminal(
    connected: RestApi, capsys: Captured
) -> None:
    hostile = run_document(status="failed", reason="\x1b[2Jgone \x07 [bold]x[/bold]")
    connected.replies["GET", "/v1/runs"] = Reply.of({"items": [hostile]})

    assert main(["run", "list"]) == 0

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "[bold]x[/bold]" in out
    assert plain("two\nlines") == "two\nlines"


def test_an_invitation_is_a_new_file_for_its_owner_alone(
    connected: RestApi, tmp_path: Path, capsys: Captured
) -> None:
    target = tmp_path / "north.json"
    connected.replies["POST", "/v1/invitations"] = Reply.of(_invitation(), status=201)

    assert main(["site", "invite", "north", "--to", str(target), "--valid-hours", "2"]) == 0

    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert json.loads(target.read_text()) == _invitation()
    assert connected.asked[-1].body == {"site": "north", "ttl_s": 7200}
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "t" * 32 not in captured.err


def test_an_invitation_never_replaces_a_file(connected: RestApi, tmp_path: Path) -> None:
    target = tmp_path / "north.json"
    target.write_text("mine")

    assert main(["site", "invite", "north", "--to", str(target)]) == ExitCode.USAGE

    assert target.read_text() == "mine"
    assert connected.asked == []


def test_a_job_is_submitted_fully_resolved(
    connected: RestApi, tmp_path: Path, capsys: Captured
) -> None:
    connected.replies["POST", "/v1/runs"] = Reply.of(run_document(status="pending"), status=202)

    assert main(["run", "submit", str(_job_file(tmp_path))]) == 0

    job = connected.asked[-1].body["job"]
    assert job["training"]["rounds"] == 10
    assert job["protection"]["aggregation"] == "encrypted"
    assert RUN_ID in capsys.readouterr().out


def test_a_wrong_job_is_refused_before_anything_is_sent(
    connected: RestApi, tmp_path: Path, capsys: Captured
) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(JOB + "training: {rounds: 0, batchsize: 3}\n")

    assert main(["run", "submit", str(path)]) == ExitCode.USAGE

    err = capsys.readouterr().err
    assert "training.rounds" in err
    assert "batch_size" in err
    assert connected.asked == []


def test_a_dry_run_shows_who_could_take_part_and_starts_nothing(
    connected: RestApi, tmp_path: Path, capsys: Captured
) -> None:
    connected.replies["POST", "/v1/preflight"] = Reply.of(
        {
            "job_digest": DIGEST,
            "eligible": [{"site": "north", "rows": 10}],
            "ineligible": [{"site": "south", "reason": "It is offline.", "cure": "Start it."}],
        }
    )

    assert main(["run", "submit", str(_job_file(tmp_path)), "--dry-run"]) == 0

    out = capsys.readouterr().out
    assert "10 rows" in out
    assert "Start it." in out
    assert [ask.path for ask in connected.asked] == ["/v1/preflight"]


def test_a_run_is_shown_with_its_privacy(connected: RestApi, capsys: Captured) -> None:
    statement = {
        "site": "north",
        "unit": "record",
        "mechanism": "dp-sgd",
        "epsilon": 3.25,
        "delta": 1e-5,
        "accountant": "rdp",
        "noise_multiplier": 1.1,
        "sample_rate": 0.2,
        "steps": 50,
    }
    connected.replies["GET", RUN_PATH] = Reply.of(run_document(privacy=[statement]))

    assert main(["run", "show", RUN_ID]) == 0

    out = capsys.readouterr().out
    assert "epsilon 3.250" in out
    assert "rdp" in out


def test_a_run_is_watched_round_by_round(connected: RestApi, capsys: Captured) -> None:
    connected.events = event_documents()
    connected.replies["GET", RUN_PATH] = Reply.of(run_document())

    assert main(["run", "watch", RUN_ID]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        STARTED,
        "prepared, 31 parameters",
        "round 1 of 2",
        "south left: no answer",
        "round 2 of 2",
        "succeeded",
    ]
    assert "epsilon 2.000" in lines[4]


def test_watching_for_programs_is_one_event_a_line(connected: RestApi, capsys: Captured) -> None:
    connected.events = event_documents()
    connected.replies["GET", RUN_PATH] = Reply.of(run_document())

    assert main(["run", "watch", RUN_ID, "-o", "json"]) == 0

    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [document["seq"] for document in documents] == [1, 2, 3, 4, 5, 6]
    assert {document["kind"] for document in documents} == {
        "run.started", "run.prepared", "round.completed", "site.dropped", "run.finished",
    }  # fmt: skip


@pytest.mark.parametrize("status", ["failed", "aborted"])
def test_watching_a_run_that_does_not_succeed_ends_with_one(
    status: str, connected: RestApi, capsys: Captured
) -> None:
    connected.events = event_documents(status=status)
    connected.replies["GET", RUN_PATH] = Reply.of(run_document(status=status, reason="no sites"))

    assert main(["run", "watch", RUN_ID]) == ExitCode.RUN_FAILED

    assert "no sites" in capsys.readouterr().err


def test_a_model_is_written_where_asked(connected: RestApi, tmp_path: Path) -> None:
    content = bytes(range(256))
    connected.replies["GET", f"{RUN_PATH}/model"] = Reply(200, content, "application/octet-stream")

    assert main(["run", "model", RUN_ID, "--to", str(tmp_path / "m.safetensors")]) == 0

    assert (tmp_path / "m.safetensors").read_bytes() == content


def test_a_run_is_aborted(connected: RestApi) -> None:
    connected.replies["POST", f"{RUN_PATH}/abort"] = Reply.of(run_document(status="aborted"))

    assert main(["run", "abort", RUN_ID]) == 0

    assert connected.asked[-1].path == f"{RUN_PATH}/abort"


def _job_file(directory: Path) -> Path:
    path = directory / "job.yaml"
    path.write_text(JOB)
    return path


def _invitation() -> dict[str, object]:
    pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    address = {"enrolment": "127.0.0.1:1", "channel": "127.0.0.1:2", "fleet": "127.0.0.1:3"}
    return {
        "apiVersion": "entente/v1",
        "kind": "Invitation",
        "site": "north",
        "coordinator": address,
        "ca_pem": pem,
        "token": "t" * 32,
        "expires_at": MOMENT,
    }
