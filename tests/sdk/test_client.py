"""The client over real HTTPS: documents in and out, problems as errors, streams taken up again."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from entente_common.errors import (
    AuthenticationFailed,
    InternalError,
    InvalidJob,
    InvalidSettings,
    NotFound,
    Unreachable,
    UntrustedCertificate,
)
from entente_sdk.client import Client
from fakes.rest_api import TOKEN, Reply, RestApi, write_authority_and_server
from fakes.runs import DIGEST, RUN_ID, event_documents, run_document, site_document

RUN_PATH = f"/v1/runs/{RUN_ID}"


def test_a_submitted_job_comes_back_as_a_run(client: Client, api: RestApi) -> None:
    api.replies["POST", "/v1/runs"] = Reply.of(run_document(status="pending"), status=202)

    run = client.submit({"name": "first"})

    assert (run.id, run.ended) == (RUN_ID, False)
    assert api.asked[-1].body == {"job": {"name": "first"}}
    assert api.asked[-1].headers["authorization"] == f"Bearer {TOKEN}"


def test_lists_are_unwrapped(client: Client, api: RestApi) -> None:
    api.replies["GET", "/v1/sites"] = Reply.of({"items": [site_document()], "next_cursor": None})
    api.replies["GET", "/v1/runs"] = Reply.of({"items": [run_document()], "next_cursor": None})

    assert [site.datasets[0].rows for site in client.sites()] == [120]
    assert [run.id for run in client.runs()] == [RUN_ID]


def test_a_preflight_tells_who_could_take_part(client: Client, api: RestApi) -> None:
    api.replies["POST", "/v1/preflight"] = Reply.of(
        {
            "job_digest": DIGEST,
            "eligible": [{"site": "north", "rows": 10}],
            "ineligible": [{"site": "south", "reason": "offline", "cure": "Start it."}],
        }
    )

    preflight = client.preflight({})

    assert [site.site for site in preflight.eligible] == ["north"]
    assert [site.cure for site in preflight.ineligible] == ["Start it."]


def test_a_model_arrives_unchanged(client: Client, api: RestApi) -> None:
    content = bytes(range(256)) * 40
    api.replies["GET", f"{RUN_PATH}/model"] = Reply(200, content, "application/octet-stream")

    assert client.model(RUN_ID) == content


def test_a_run_name_cannot_reach_another_address(client: Client, api: RestApi) -> None:
    with pytest.raises(NotFound):
        client.run("../sites?x=1")

    assert api.asked[-1].path == "/v1/runs/..%2Fsites%3Fx%3D1"


def test_a_problem_is_raised_as_the_error_it_was(client: Client, api: RestApi) -> None:
    api.replies["POST", "/v1/runs"] = Reply.problem(
        {
            "title": "The job is not valid",
            "status": 422,
            "code": "job.invalid",
            "detail": "1 fault.",
            "hint": "Correct it.",
            "errors": [{"pointer": "/training/rounds", "detail": "is 0.", "cure": "Write 1."}],
        }
    )

    with pytest.raises(InvalidJob) as caught:
        client.submit({})

    assert caught.value.hint == "Correct it."
    assert [issue.path for issue in caught.value.issues] == ["training.rounds"]


def test_a_wrong_token_is_an_authentication_failure(api: RestApi) -> None:
    with (
        Client(api.url, token="wrong", ca_file=api.ca_file) as client,
        pytest.raises(AuthenticationFailed),
    ):
        client.sites()


def test_another_authority_is_not_trusted(api: RestApi, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    write_authority_and_server(elsewhere)

    with (
        Client(api.url, token=TOKEN, ca_file=elsewhere / "ca.pem") as client,
        pytest.raises(UntrustedCertificate),
    ):
        client.sites()

    assert api.asked == []


def test_without_an_authority_of_its_own_the_certificate_is_not_trusted(api: RestApi) -> None:
    with Client(api.url, token=TOKEN) as client, pytest.raises(UntrustedCertificate):
        client.sites()


def test_silence_is_unreachable(api: RestApi) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{taken.getsockname()[1]}"
        with Client(url, token=TOKEN, ca_file=api.ca_file) as client, pytest.raises(Unreachable):
            client.sites()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ftp://x", "https://", "127.0.0.1"])
def test_a_token_is_never_sent_in_the_clear(url: str) -> None:
    with pytest.raises(InvalidSettings):
        Client(url, token=TOKEN)


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_an_authority_that_cannot_be_read_is_told(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InvalidSettings):
        Client("https://127.0.0.1:1", token=TOKEN, ca_file=path)


def test_a_stranger_in_between_is_not_mistaken_for_the_coordinator(
    client: Client, api: RestApi
) -> None:
    api.replies["GET", "/v1/sites"] = Reply(502, b"<h1>Bad gateway</h1>", "text/html")
    api.replies["GET", "/v1/runs"] = Reply(418, b"teapot", "text/plain")

    with pytest.raises(Unreachable):
        client.sites()
    with pytest.raises(InternalError):
        client.runs()


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"items": [{"id": 1}]}'])
def test_an_answer_of_another_shape_is_refused(body: bytes, client: Client, api: RestApi) -> None:
    api.replies["GET", "/v1/sites"] = Reply(200, body)

    with pytest.raises(InternalError):
        client.sites()


def test_events_come_once_each_in_order_and_end_with_the_run(client: Client, api: RestApi) -> None:
    api.events = event_documents()

    assert [event.seq for event in client.events(RUN_ID)] == [1, 2, 3, 4, 5, 6]
    assert api.resumed_from() == ["0"]


def test_a_broken_stream_is_taken_up_after_the_last_event(client: Client, api: RestApi) -> None:
    api.events = event_documents()
    api.cut_after = [2, 3]
    api.replies["GET", RUN_PATH] = Reply.of(run_document(status="running"))

    assert [event.seq for event in client.events(RUN_ID)] == [1, 2, 3, 4, 5, 6]
    assert api.resumed_from() == ["0", "2", "3"]


def test_what_is_known_already_is_not_told_again(client: Client, api: RestApi) -> None:
    api.events = event_documents()

    assert [event.seq for event in client.events(RUN_ID, after=4)] == [5, 6]


def test_events_of_a_run_that_has_ended_and_is_known_are_none(client: Client, api: RestApi) -> None:
    api.events = event_documents()
    api.replies["GET", RUN_PATH] = Reply.of(run_document())

    assert list(client.events(RUN_ID, after=6)) == []


def test_a_stream_is_given_up_when_the_coordinator_stays_away(api: RestApi) -> None:
    waits: list[float] = []
    api.replies["GET", f"{RUN_PATH}/events"] = Reply(503, b"away", "text/plain")
    with (
        Client(api.url, token=TOKEN, ca_file=api.ca_file, sleep=waits.append) as client,
        pytest.raises(Unreachable),
    ):
        list(client.events(RUN_ID))

    assert waits == sorted(waits)
    assert 30 < sum(waits) < 60


def test_a_stream_of_a_run_that_does_not_exist_fails_at_once(client: Client, api: RestApi) -> None:
    missing = {"title": "Not found", "status": 404, "code": "not_found", "detail": "No such run."}
    api.replies["GET", "/v1/runs/none/events"] = Reply.problem(missing)

    with pytest.raises(NotFound):
        list(client.events("none"))

    assert len(api.asked) == 1


def test_waiting_gives_the_run_as_it_ended(client: Client, api: RestApi) -> None:
    api.events = event_documents(status="failed")
    api.replies["GET", RUN_PATH] = Reply.of(run_document(status="failed", reason="too few sites"))

    run = client.wait(RUN_ID)

    assert (run.status, run.reason) == ("failed", "too few sites")
