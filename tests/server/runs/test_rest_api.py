"""The REST API: closed to strangers, plain about faults, exact about runs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
from starlette.testclient import TestClient

from entente_common.contracts.problem import Problem, error_from_problem
from entente_common.contracts.run import Run, RunEvent
from entente_common.contracts.site import Invitation, Preflight
from entente_common.errors import InvalidDocument, InvalidJob, NotFound
from entente_server.kit.limits import MAX_BODY_BYTES
from entente_server.runs import routes
from fakes.api import Api, PlayedRuns, job_document, whole_run
from fakes.runs import DIGEST


def problem(response: Any, *, status: int) -> Problem:
    """The problem document in a response, whose shape is checked."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told = Problem.model_validate(response.json())
    assert told.status == status
    assert told.code
    assert told.hint, "every problem names its cure"
    assert told.trace_id
    return told


def operations(api: Api) -> list[tuple[str, str]]:
    paths = api.app.openapi()["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item]


def events_of(text: str) -> list[RunEvent]:
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    events = []
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        event = RunEvent.model_validate_json(fields["data"])
        assert (fields["id"], fields["event"]) == (str(event.seq), event.kind)
        events.append(event)
    return events


def submit(client: TestClient, **changes: Any) -> Run:
    response = client.post("/v1/runs", json={"job": job_document(**changes)})
    assert response.status_code == 202, response.text
    run = Run.model_validate(response.json())
    assert response.headers["location"] == f"/v1/runs/{run.id}"
    return run


def ended(client: TestClient, run_id: str) -> Run:
    deadline = time.monotonic() + 10
    while True:
        run = Run.model_validate(client.get(f"/v1/runs/{run_id}").json())
        if run.ended:
            return run
        assert time.monotonic() < deadline, "the run did not end"
        time.sleep(0.01)


def test_health_needs_no_token_and_tells_version_and_code(api: Api) -> None:
    with api.client(token="") as client:
        told = client.get("/v1/health").json()
    assert told["status"] == "ok"
    assert told["version"]
    assert told["code_digest"].startswith("sha256:")


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer ent_adm_" + "x" * 43,
        "Basic {token}",
        "{token}",
        "Bearer {token}x",
        "Bearer  ",
    ],
)
def test_every_operation_but_health_refuses_a_caller_without_a_known_token(
    api: Api, authorization: str | None
) -> None:
    found = [(method, path) for method, path in operations(api) if path != "/v1/health"]
    assert len(found) >= 9
    shown = {} if authorization is None else authorization.format(token=api.token)
    headers = {"Authorization": shown} if isinstance(shown, str) else {}
    before = len(api.audit())
    bodies = {"/v1/invitations": {"site": "north"}}
    with api.client(token="") as client:
        for method, path in found:
            body = bodies.get(path, {"job": job_document()})
            response = client.request(
                method, path.replace("{run_id}", "run_1"), json=body, headers=headers
            )
            told = problem(response, status=401)
            assert told.code == "auth.failed", path
            assert api.token not in response.text
    assert len(api.audit()) == before
    assert api.runs.list_runs() == []


def test_a_token_opens_every_operation(api: Api) -> None:
    with api.client() as client:
        for method, path in operations(api):
            response = client.request(method, path.replace("{run_id}", "run_1"), json={})
            assert response.status_code not in {401, 403}, path
            assert response.status_code < 500, path


def test_the_admins_token_is_private_and_made_once(api: Api) -> None:
    assert api.directory.admin_token.stat().st_mode & 0o777 == 0o600
    again = Api(api.root)
    assert again.token == api.token
    again.database.close()


def test_an_invitation_is_a_whole_document_that_lets_a_site_in(api: Api) -> None:
    with api.client() as client:
        response = client.post("/v1/invitations", json={"site": "north", "ttl_s": 600})
    assert response.status_code == 201
    invitation = Invitation.model_validate(response.json())
    assert invitation.site == "north"
    assert invitation.ca_pem.encode() == api.authority.certificate_pem
    with api.client() as client:
        sites = client.get("/v1/sites").json()
    assert [(site["name"], site["status"]) for site in sites["items"]] == [("north", "invited")]
    assert sites["next_cursor"] is None
    assert invitation.token not in json.dumps(sites)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "site"),
        ({"site": 5}, "site"),
        ({"site": "north", "ttl_s": 59}, "ttl_s"),
        ({"site": "north", "ttl_s": 30 * 86400 + 1}, "ttl_s"),
        ({"site": "north", "ttl_s": "soon"}, "ttl_s"),
        ({"site": "north", "colour": "red"}, "colour"),
        ([], ""),
        (None, ""),
    ],
)
def test_a_request_that_does_not_validate_names_what_is_wrong(
    api: Api, body: Any, path: str
) -> None:
    with api.client() as client:
        told = problem(client.post("/v1/invitations", json=body), status=422)
    assert told.errors
    assert any(path in fault.pointer for fault in told.errors)
    assert api.sites.list_sites() == []


def test_a_name_that_cannot_be_a_sites_is_refused(api: Api) -> None:
    with api.client() as client:
        told = problem(client.post("/v1/invitations", json={"site": "../x"}), status=422)
    assert told.code == "settings.invalid"


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff\xfe",
        b"nonsense",
        b'{"job": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"job": {"name": "\\ud800"}}',
        b'{"job": {"seed": 1e999}}',
        b'{"job": {"seed": NaN}}',
        b'{"job": {"seed": ' + b"9" * 5000 + b"}}",
        b'{"job": {"training": {"rounds": 10000000000000000000000}}}',
    ],
    ids=lambda content: content[:12].decode("latin-1"),
)
def test_malformed_bodies_are_refused_as_problems(api: Api, content: bytes) -> None:
    with api.client() as client:
        for path in ("/v1/runs", "/v1/preflight"):
            response = client.post(
                path, content=content, headers={"Content-Type": "application/json"}
            )
            assert 400 <= response.status_code < 500, response.text
            problem(response, status=response.status_code)
    assert api.runs.list_runs() == []


@pytest.mark.parametrize("shown", [True, False], ids=["admin", "stranger"])
def test_an_oversized_body_is_not_read_to_its_end_whoever_sends_it(api: Api, shown: bool) -> None:
    read = 0
    answer: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        nonlocal read
        read += 64 * 1024
        return {"type": "http.request", "body": b" " * 64 * 1024, "more_body": read < 2**26}

    async def send(event: MutableMapping[str, Any]) -> None:
        answer.append(event)

    authorization = [(b"authorization", f"Bearer {api.token}".encode())] if shown else []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/runs",
        "raw_path": b"/v1/runs",
        "root_path": "",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), *authorization],
    }
    asyncio.run(api.app(scope, receive, send))
    told = Problem.model_validate_json(answer[1]["body"])
    assert answer[0]["status"] == told.status == 422
    assert "larger than" in told.detail
    assert read < 2 * MAX_BODY_BYTES


def test_the_largest_body_is_read(api: Api) -> None:
    content = b'{"site": "north"}'.ljust(MAX_BODY_BYTES)
    with api.client() as client:
        headers = {"Content-Type": "application/json"}
        accepted = client.post("/v1/invitations", content=content, headers=headers)
        refused = client.post("/v1/invitations", content=content + b" ", headers=headers)
    assert accepted.status_code == 201
    assert "larger than" in problem(refused, status=422).detail


def test_all_faults_of_a_job_come_at_once_and_can_be_raised_again(api: Api) -> None:
    job = job_document(name="No Name", training={"rounds": 0, "batchsize": 3})
    with api.client() as client:
        told = problem(client.post("/v1/runs", json={"job": job}), status=422)
    assert {fault.pointer for fault in told.errors} >= {
        "/name",
        "/training/rounds",
        "/training/batchsize",
    }
    error = error_from_problem(told)
    assert isinstance(error, InvalidJob)
    assert all(issue.cure for issue in error.issues)


def test_unknown_addresses_and_runs_are_problems_too(api: Api) -> None:
    with api.client() as client:
        problem(client.get("/v1/nothing"), status=404)
        for path in ("", "/events", "/model"):
            told = problem(client.get(f"/v1/runs/run_none{path}"), status=404)
            assert isinstance(error_from_problem(told), NotFound)
        problem(client.post("/v1/runs/run_none/abort"), status=404)
        response = client.put("/v1/runs", json={})
        assert response.status_code == 405
        assert response.headers["content-type"] == "application/problem+json"


def test_a_defect_tells_the_caller_nothing_but_where_to_look(api: Api) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret of the house")

    api.runs.list_runs = broken  # type: ignore[method-assign, assignment]
    with api.client() as client:
        told = problem(client.get("/v1/runs"), status=500)
    assert "secret" not in told.model_dump_json()
    assert "trace id" in told.hint


def test_preflight_tells_who_could_take_part_and_why_the_others_cannot(api: Api) -> None:
    api.admit("north")
    api.sites.invite("south", ttl_s=600, actor="admin")
    with api.client() as client:
        response = client.post("/v1/preflight", json={"job": job_document()})
    told = Preflight.model_validate(response.json())
    assert [(site.site, site.rows) for site in told.eligible] == [("north", 120)]
    assert [site.site for site in told.ineligible] == ["south"]
    assert told.ineligible[0].cure


def test_a_run_without_enough_sites_does_not_begin(api: Api) -> None:
    with api.client() as client:
        told = problem(client.post("/v1/runs", json={"job": job_document()}), status=409)
        assert client.get("/v1/runs").json() == {"items": [], "next_cursor": None}
    assert "0 sites can take part" in told.detail


def test_a_run_goes_from_submission_to_its_model(api: Api) -> None:
    api.admit("north")
    with api.client() as client:
        run = submit(client)
        assert run.status in {"pending", "running"}
        final = ended(client, run.id)
        assert (final.status, final.rounds_done) == ("succeeded", 2)
        problem(client.get(f"/v1/runs/{run.id}/model"), status=404)
        path = api.desk.model_path(run.id)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"model")
        response = client.get(f"/v1/runs/{run.id}/model")
        assert response.content == b"model"
        assert response.headers["content-type"] == "application/octet-stream"
        assert [item["id"] for item in client.get("/v1/runs").json()["items"]] == [run.id]
    ((launched, nodes),) = api.played.launched
    assert launched == run.id
    assert set(nodes) == {"north"}


def test_the_stream_of_an_ended_run_is_whole_and_ends(api: Api) -> None:
    api.admit("north")
    with api.client() as client:
        run = submit(client)
        ended(client, run.id)
        response = client.get(f"/v1/runs/{run.id}/events")
    assert response.headers["content-type"].startswith("text/event-stream")
    events = events_of(response.text)
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]
    assert [event.kind for event in events] == [kind for kind, _ in whole_run()]


@pytest.mark.parametrize(
    ("headers", "query", "expected"),
    [
        ({"Last-Event-ID": "3"}, "", [4, 5]),
        ({"Last-Event-ID": "0"}, "", [1, 2, 3, 4, 5]),
        ({"Last-Event-ID": "5"}, "", []),
        ({"Last-Event-ID": "999999"}, "", []),
        ({}, "?after=4", [5]),
        ({"Last-Event-ID": "2"}, "?after=4", [3, 4, 5]),
        ({"Last-Event-ID": "nonsense"}, "?after=4", [5]),
        ({"Last-Event-ID": "-1"}, "", [1, 2, 3, 4, 5]),
        ({"Last-Event-ID": b"\xb2"}, "", [1, 2, 3, 4, 5]),
        ({"Last-Event-ID": "9" * 40}, "", [1, 2, 3, 4, 5]),
    ],
)
def test_a_stream_resumes_after_the_last_event_seen(
    api: Api, headers: dict[str, Any], query: str, expected: list[int]
) -> None:
    api.admit("north")
    with api.client() as client:
        run = submit(client)
        ended(client, run.id)
        response = client.get(f"/v1/runs/{run.id}/events{query}", headers=headers)
    assert response.status_code == 200
    assert [event.seq for event in events_of(response.text)] == expected


@pytest.mark.parametrize("after", ["-1", "x", "9" * 40])
def test_a_place_in_the_stream_that_cannot_be_is_refused(api: Api, after: str) -> None:
    api.admit("north")
    with api.client() as client:
        run = submit(client)
        told = problem(client.get(f"/v1/runs/{run.id}/events?after={after}"), status=422)
    assert isinstance(error_from_problem(told), InvalidDocument)


def test_a_stream_wakes_for_news_long_before_its_keep_alive(
    make_api: Callable[[PlayedRuns], Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_KEEP_ALIVE_S", 60.0)
    api = make_api(PlayedRuns(events=whole_run()[:2], stays=True))
    api.admit("north")
    with api.client() as client:
        run = submit(client)
        # TestClient hands over a stream when it has ended; the abort below ends it.
        portal = client.portal
        assert portal is not None
        reading = portal.start_task_soon(_read_stream, api, run.id)
        deadline = time.monotonic() + 10
        while len(api.runs.events(run.id, after=0)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        began = time.monotonic()
        client.post(f"/v1/runs/{run.id}/abort")
        text = reading.result(timeout=20)
    assert time.monotonic() - began < 20
    assert [event.kind for event in events_of(text)] == [
        "run.started",
        "run.prepared",
        "run.finished",
    ]


async def _read_stream(api: Api, run_id: str) -> str:
    return "".join([part async for part in routes._stream(api.desk, run_id, after=0)])


def test_a_quiet_stream_says_that_it_is_alive(
    make_api: Callable[[PlayedRuns], Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "_KEEP_ALIVE_S", 0.05)
    api = make_api(PlayedRuns(events=whole_run()[:2], stays=True))
    api.admit("north")
    with api.client() as client:
        run = submit(client)
        portal = client.portal
        assert portal is not None
        reading = portal.start_task_soon(_read_stream, api, run.id)
        time.sleep(0.3)
        client.post(f"/v1/runs/{run.id}/abort")
        text = reading.result(timeout=10)
    assert ": still here\n\n" in text
    assert [event.seq for event in events_of(text)] == [1, 2, 3]


def test_an_aborted_run_says_who_ended_it_and_cannot_be_ended_twice(
    make_api: Callable[[PlayedRuns], Api],
) -> None:
    api = make_api(PlayedRuns(events=whole_run()[:3], stays=True))
    api.admit("north")
    with api.client() as client:
        run = submit(client)
        aborted = Run.model_validate(client.post(f"/v1/runs/{run.id}/abort").json())
        assert (aborted.status, aborted.reason) == ("aborted", "Aborted by admin.")
        told = problem(client.post(f"/v1/runs/{run.id}/abort"), status=409)
        assert "has ended: aborted" in told.detail
        assert ended(client, run.id) == aborted
    assert api.played.cancelled == [run.id]
    told_of = [(row.actor, row.action) for row in api.audit() if row.subject == run.id]
    assert told_of == [
        ("admin", "run.submitted"),
        ("admin", "run.aborted"),
        ("coordinator", "run.finished"),
    ]


def test_every_change_over_http_leaves_an_audit_row_or_does_not_happen(
    make_api: Callable[[PlayedRuns], Api],
) -> None:
    api = make_api(PlayedRuns(stays=True))
    api.admit("north")
    with api.client() as client:
        run = submit(client)
        api.break_audit()
        problem(client.post("/v1/invitations", json={"site": "west"}), status=500)
        problem(client.post("/v1/runs", json={"job": job_document()}), status=500)
        problem(client.post(f"/v1/runs/{run.id}/abort"), status=500)
        assert [site["name"] for site in client.get("/v1/sites").json()["items"]] == ["north"]
        assert [item["id"] for item in client.get("/v1/runs").json()["items"]] == [run.id]
        assert client.get(f"/v1/runs/{run.id}").json()["status"] in {"pending", "running"}


def test_a_run_whose_process_ends_without_a_word_fails_with_a_reason(
    make_api: Callable[[PlayedRuns], Api],
) -> None:
    api = make_api(PlayedRuns(events=whole_run()[:2]))
    api.admit("north")
    with api.client() as client:
        final = ended(client, submit(client).id)
    assert final.status == "failed"
    assert "ended unexpectedly" in (final.reason or "")


@pytest.mark.parametrize(
    "runs",
    [
        PlayedRuns(failure=OSError("no such file")),
        PlayedRuns(events=[("run.started", {}), ("round.completed", {"nonsense": 1})]),
    ],
    ids=["start", "event"],
)
def test_a_run_that_cannot_be_driven_fails_with_a_reason(
    make_api: Callable[[PlayedRuns], Api], runs: PlayedRuns
) -> None:
    api = make_api(runs)
    api.admit("north")
    with api.client() as client:
        final = ended(client, submit(client).id)
        assert final.status == "failed"
        assert "see the coordinator's log" in (final.reason or "")
        assert "no such file" not in (final.reason or "")


def test_a_coordinator_that_stops_ends_its_runs(make_api: Callable[[PlayedRuns], Api]) -> None:
    api = make_api(PlayedRuns(events=whole_run()[:1], stays=True))
    api.admit("north")
    with api.client() as client:
        run = submit(client)
        assert client.portal is not None
        client.portal.call(api.desk.close)
        final = ended(client, run.id)
    assert (final.status, final.reason) == ("failed", "The coordinator was stopped.")
    assert api.played.cancelled == [run.id]


def test_metrics_and_digest_of_the_end_reach_the_run(api: Api) -> None:
    api.admit("north")
    with api.client() as client:
        final = ended(client, submit(client).id)
    assert final.metrics == {"auroc": 0.7}
    assert final.model_digest == DIGEST
