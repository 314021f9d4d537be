"""Logs are one line an event on stderr, and no secret is in them, however it got there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

ADMIN = "ent_adm_" + "s3cr3t-_" * 5
ENROLMENT = "ent_enr_" + "0penSesame" * 4
START = """
import logging
from entente_common.log import configure_logging, get_logger
configure_logging(process="tester")
log = get_logger("here")
library = logging.getLogger("library")
"""


def written(code: str, *, form: str) -> str:
    """What a process that runs `code` writes to stderr."""
    outcome = subprocess.run(
        [sys.executable, "-c", START + code],
        capture_output=True,
        text=True,
        env={**os.environ, "ENTENTE_LOG_FORMAT": form},
        timeout=60,
        check=True,
    )
    assert outcome.stdout == "", "logs must leave standard output alone"
    return outcome.stderr


def lines(code: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written(code, form="json").splitlines()]


def test_an_event_is_one_line_with_its_values() -> None:
    (event,) = lines("log.warning('run closed', run='run_1', sites=3)")
    assert event["event"] == "run closed"
    assert (event["run"], event["sites"]) == ("run_1", 3)
    assert (event["process"], event["logger"], event["level"]) == ("tester", "here", "warning")
    assert event["timestamp"].endswith("Z")


def test_libraries_log_through_the_same_door() -> None:
    (event,) = lines("library.error('broke: %s', 'badly')")
    assert (event["event"], event["process"]) == ("broke: badly", "tester")


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    "code",
    [
        "log.info('made', token={secret!r})",
        "log.info('made', admin_token={secret!r})",
        "log.info('made', Authorization='Bearer ' + {secret!r})",
        "log.info('made', detail='the token ' + {secret!r} + ' was used')",
        "log.info('made ' + {secret!r})",
        "log.info('made', headers={{'x': ['Bearer ' + {secret!r}]}})",
        "log.info('made', parts=('a', {secret!r}))",
        "library.error('sent %s', {secret!r})",
        "try:\n    raise ValueError({secret!r})\nexcept ValueError: log.exception('failed')",
        "try:\n    raise ValueError({secret!r})\nexcept ValueError: library.exception('failed')",
    ],
)
def test_a_token_never_reaches_the_log(code: str, form: str) -> None:
    text = written(code.format(secret=f"{ADMIN} {ENROLMENT}"), form=form)
    for secret in (ADMIN, ENROLMENT):
        assert secret not in text
        assert secret[8:] not in text
    assert "[redacted]" in text


@pytest.mark.parametrize("name", ["password", "passphrase", "private_key", "client_secret"])
def test_a_value_named_as_a_secret_is_not_written_whatever_it_is(name: str) -> None:
    (event,) = lines(f"log.info('made', {name}=[1, 'open sesame'], inner={{'{name}': 'open'}})")
    assert event[name] == "[redacted]"
    assert event["inner"] == {name: "[redacted]"}


def test_values_that_are_no_secrets_stay_as_they_are() -> None:
    (event,) = lines("log.info('told', privacy='record', counts={'rows': [1, 2]}, none=None)")
    assert (event["privacy"], event["counts"], event["none"]) == ("record", {"rows": [1, 2]}, None)


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_failure_is_logged_with_where_it_happened(form: str) -> None:
    code = "def guilty():\n    1 / 0\ntry:\n    guilty()\nexcept ZeroDivisionError:\n"
    text = written(code + "    log.exception('failed', run='run_1')", form=form)
    assert "ZeroDivisionError" in text
    assert "guilty" in text
    if form == "json":
        assert len(text.splitlines()) == 1


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_failure_does_not_show_the_values_of_variables(form: str) -> None:
    code = (
        "def guilty(age):\n    return age / 0\n"
        "try:\n    guilty(5 * 11)\nexcept ZeroDivisionError:\n    log.exception('failed')"
    )
    text = written(code, form=form)
    assert "guilty" in text
    assert "55" not in text.partition("Traceback")[2]


def test_debug_lines_appear_only_when_asked_for() -> None:
    assert lines("log.debug('detail')") == []
    loud = "configure_logging(process='tester', verbose=True)\nlog.debug('detail')"
    assert [event["event"] for event in lines(loud)] == ["detail"]
