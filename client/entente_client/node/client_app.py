"""The ClientApp of this installation: the only application a site ever runs.

It maps Flower messages to the steps of a `SiteRun`. Whatever goes wrong becomes a `Failure` whose
text holds no value of the site's data.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from entente_client.agent.site_identity import SiteIdentity
from entente_client.lake.catalogue import Catalogue
from entente_client.node.models import ModelShelf
from entente_client.node.site_run import SiteRun
from entente_common.contracts.problem import problem_from_error
from entente_common.errors import EntenteError, InternalError, ProtectionViolated
from entente_common.log import get_logger
from entente_common.protocol import messages as wire
from entente_common.protocol.records import from_record, to_record

_log = get_logger(__name__)

_MAX_RUNS = 8
_Reply = tuple[wire.Header, bytes]


class SiteRuns:
    """The runs this node takes part in, and the steps that answer each message type."""

    def __init__(
        self, *, identity: SiteIdentity, catalogue: Catalogue, shelf: ModelShelf, application: str
    ) -> None:
        self._identity = identity
        self._catalogue = catalogue
        self._shelf = shelf
        self._application = application
        self._runs: OrderedDict[str, SiteRun] = OrderedDict()
        self._steps: dict[str, Callable[[str, bytes], _Reply]] = {
            wire.JOIN: self._join,
            wire.KEY: self._key,
            wire.PREPARE: self._prepare,
            wire.ROUND: self._round,
            wire.FINISH: self._finish,
            wire.RELEASE: self._release,
        }

    def answer(self, message: Message) -> Message:
        """Answer one message; never raises."""
        kind = message.metadata.message_type
        try:
            _, header, payload = from_record(message.content)
            reply, protected = self._steps[kind](header, payload)
        except EntenteError as error:
            _log.warning("refused", step=kind, code=error.code, reason=error.detail)
            reply, protected = _failure(error), b""
        except Exception as error:  # noqa: BLE001 - its text may quote data, so only its class leaves
            _log.exception("failed", step=kind)
            hint = "Read the node log at the site."
            internal = InternalError(f"{type(error).__name__} in {kind} at the site.", hint=hint)
            reply, protected = _failure(internal), b""
        return Message(to_record(reply, protected), reply_to=message)

    def run(self, run: str) -> SiteRun:
        """The run of that id.

        Raises:
            ProtectionViolated: This node does not take part in it, for example after a restart.
        """
        if run not in self._runs:
            raise ProtectionViolated(
                "This site holds no state of the run.",
                hint="The site's node was restarted during the run; submit the job again.",
            )
        return self._runs[run]

    def _join(self, header: str, _payload: bytes) -> _Reply:
        request = wire.parse_header(wire.JoinRequest, header)
        if request.run in self._runs:
            raise ProtectionViolated("The run was already joined.")
        run = SiteRun(
            request,
            identity=self._identity,
            catalogue=self._catalogue,
            application=self._application,
        )
        self._runs[request.run] = run
        while len(self._runs) > _MAX_RUNS:
            self._runs.popitem(last=False)
        _log.info("joined", run=request.run, job=request.job_digest, job_name=run.job.name)
        return run.join(), b""

    def _key(self, header: str, _payload: bytes) -> _Reply:
        request = wire.parse_header(wire.KeyRequest, header)
        return self.run(request.run).make_key(request)

    def _prepare(self, header: str, _payload: bytes) -> _Reply:
        request = wire.parse_header(wire.PrepareRequest, header)
        return self.run(request.run).prepare(request)

    def _round(self, header: str, payload: bytes) -> _Reply:
        request = wire.parse_header(wire.RoundRequest, header)
        return self.run(request.run).round(request, payload)

    def _finish(self, header: str, payload: bytes) -> _Reply:
        request = wire.parse_header(wire.FinishRequest, header)
        run = self.run(request.run)
        reply = run.finish(request, payload)
        self._shelf.put(request.run, run.artefact())
        _log.info("finished", run=request.run, model=reply.model_digest)
        return reply, b""

    def _release(self, header: str, _payload: bytes) -> _Reply:
        request = wire.parse_header(wire.ReleaseRequest, header)
        reply, parameters = self.run(request.run).release()
        _log.info("released", run=request.run, model=reply.model_digest, to="coordinator")
        return reply, parameters


def make_client_app(runs: SiteRuns) -> ClientApp:
    """A Flower ClientApp that answers every message type of a run."""
    app = ClientApp()

    def answer(message: Message, context: Context) -> Message:
        del context  # a run's state lives in `runs`, not in Flower's context
        return runs.answer(message)

    for kind in (wire.JOIN, wire.KEY, wire.PREPARE, wire.FINISH, wire.RELEASE):
        app.query(kind.removeprefix("query."))(answer)
    app.train(wire.ROUND.removeprefix("train."))(answer)
    return app


def make_runs(directory: Path, *, identity: SiteIdentity, application: str) -> SiteRuns:
    """The runs of the site whose agent directory is `directory`."""
    return SiteRuns(
        identity=identity,
        catalogue=Catalogue(directory / "datasets"),
        shelf=ModelShelf(directory / "models"),
        application=application,
    )


def _failure(error: EntenteError) -> wire.Failure:
    problem = problem_from_error(error)
    return wire.Failure(problem=problem.model_dump(mode="json"))
