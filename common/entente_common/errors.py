"""The one error tree. HTTP, CLI and console all render these.

    EntenteError
    ├── InvalidDocument        a job, contract or settings file is wrong (all issues at once)
    │   ├── InvalidJob
    │   ├── InvalidContract
    │   └── InvalidSettings
    ├── DataProblem            a site's data does not fit
    │   ├── DatasetMissing
    │   ├── SchemaMismatch
    │   └── UnusableValues
    ├── AuthenticationFailed
    │   ├── EnrolmentRefused
    │   └── UntrustedCertificate
    ├── PermissionRefused
    ├── NotFound
    ├── WrongMethod
    ├── Conflict
    │   └── AlreadyRunning
    ├── RefusedByPolicy
    │   ├── ForeignApplication
    │   └── ProtectionViolated
    ├── AuditBroken            an audit trail, proof or signature does not verify
    ├── PrivacyBudgetExceeded
    ├── Unreachable
    ├── PortTaken
    ├── DataDirectoryProblem
    ├── MissingDependency
    ├── RunFailed
    └── InternalError

Every error says what happened (`title` and `detail`), why (`detail`, `issues`) and what to do
next (`hint`). `status` is the HTTP status, `exit_code` the process exit code (`ExitCode`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """Process exit codes by class of outcome."""

    OK = 0
    RUN_FAILED = 1
    USAGE = 2
    AUTHENTICATION = 3
    NOT_FOUND = 4
    REFUSED = 5
    BUDGET = 6
    UNREACHABLE = 7
    BUG = 70
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing wrong in a document or a dataset.

    Attributes:
        path: Where, as a dotted path (`training.batch_size`) or a column name.
        reason: What is wrong, without any data value of a person.
        cure: What to write instead.
    """

    path: str
    reason: str
    cure: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason} {self.cure}".rstrip()


class EntenteError(Exception):
    """Root of all errors a person can meet."""

    code = "internal"
    status = 500
    exit_code = ExitCode.BUG
    title = "Something went wrong"
    hint = "Run the command again with --verbose and report the problem."

    def __init__(
        self, detail: str = "", *, hint: str | None = None, issues: Iterable[Issue] = ()
    ) -> None:
        self.detail = detail
        self.issues: Sequence[Issue] = tuple(issues)
        if hint is not None:
            self.hint = hint
        super().__init__(detail or self.title)


class InvalidDocument(EntenteError):
    """A document does not say what it must; `issues` lists every fault at once."""

    code, status, exit_code = "document.invalid", 422, ExitCode.USAGE
    title = "The document is not valid"
    hint = "Correct every line listed and try again."


class InvalidJob(InvalidDocument):
    """A job file does not validate."""

    code = "job.invalid"
    title = "The job is not valid"
    hint = "Correct every line listed; `entente job schema` prints the full schema."


class InvalidContract(InvalidDocument):
    """A dataset contract does not validate."""

    code = "contract.invalid"
    title = "The dataset contract is not valid"


class InvalidSettings(InvalidDocument):
    """A settings file, invitation or command-line setting does not validate."""

    code = "settings.invalid"
    title = "The settings are not valid"


class DataProblem(EntenteError):
    """A site's data does not fit what was asked of it."""

    code, status, exit_code = "data.unfit", 409, ExitCode.REFUSED
    title = "The data does not fit"
    hint = "Correct the data at the site, then register it again with `entente agent data add`."


class DatasetMissing(DataProblem):
    """The site holds no dataset for the contract a job names."""

    code, status, exit_code = "data.missing", 404, ExitCode.NOT_FOUND
    title = "The site has no such dataset"
    hint = "Register one with `entente agent data add`."


class SchemaMismatch(DataProblem):
    """Columns, types or codes differ from the contract."""

    code = "data.schema_mismatch"
    title = "The data does not meet its contract"


class UnusableValues(DataProblem):
    """Values are missing, not numbers, infinite or out of the contract's range."""

    code = "data.unusable_values"
    title = "The data holds values that cannot be used"


class AuthenticationFailed(EntenteError):
    """The caller did not prove who it is."""

    code, status, exit_code = "auth.failed", 401, ExitCode.AUTHENTICATION
    title = "Authentication failed"
    hint = "Check the access token file given with --token-file or ENTENTE_TOKEN_FILE."


class EnrolmentRefused(AuthenticationFailed):
    """The enrolment token is unknown, spent or expired."""

    code = "enrolment.refused"
    title = "The coordinator refused the enrolment"
    hint = "Ask the admin for a new invitation: `entente site invite NAME`."


class UntrustedCertificate(AuthenticationFailed):
    """The other side's certificate does not chain to the expected authority."""

    code = "tls.untrusted"
    title = "The certificate is not trusted"
    hint = "Check that the CA file belongs to this coordinator; ask its admin for a new invitation."


class PermissionRefused(EntenteError):
    """The caller is known but may not do this."""

    code, status, exit_code = "auth.forbidden", 403, ExitCode.AUTHENTICATION
    title = "Not permitted"
    hint = "Ask an admin for a role that permits this."


class NotFound(EntenteError):
    """The thing named does not exist, or not for this caller."""

    code, status, exit_code = "not_found", 404, ExitCode.NOT_FOUND
    title = "Not found"
    hint = "List what exists with the matching `list` command."


class WrongMethod(EntenteError):
    """An address of the API was asked for something it does not do."""

    code, status, exit_code = "http.method", 405, ExitCode.USAGE
    title = "The address does not take this method"
    hint = "The Allow header of the answer lists what it takes; see docs/api.md."


class Conflict(EntenteError):
    """The state of things does not allow it."""

    code, status, exit_code = "conflict", 409, ExitCode.REFUSED
    title = "The present state does not allow this"
    hint = "Look at the present state and try again."


class AlreadyRunning(Conflict):
    """Another process already owns this data directory."""

    code = "process.already_running"
    title = "Another process uses this data directory"
    hint = "Stop the other process first, or choose another --dir."


class RefusedByPolicy(EntenteError):
    """A rule of the site or the federation forbids it."""

    code, status, exit_code = "policy.refused", 403, ExitCode.REFUSED
    title = "Refused by policy"
    hint = "Change the job, or ask the owner of the policy."


class ForeignApplication(RefusedByPolicy):
    """A run carries an application bundle that is not the one installed at the site."""

    code = "application.foreign"
    title = "The run carries a foreign application"
    hint = "Install the same Entente version at the coordinator and at every site."


class ProtectionViolated(RefusedByPolicy):
    """A protected exchange does not have the shape its protocol demands."""

    code = "protection.violated"
    title = "The protected aggregation was refused"
    hint = "Start the run again; if it happens twice, suspect the coordinator or a site."


class AuditBroken(EntenteError):
    """An audit trail, or a proof or signature of one, does not verify."""

    code, status, exit_code = "audit.broken", 409, ExitCode.REFUSED
    title = "The audit trail does not verify"
    hint = (
        "Keep what you checked as evidence, compare with the checkpoints that the sites hold, "
        "and ask the coordinator's operator to explain."
    )


class PrivacyBudgetExceeded(EntenteError):
    """The job would spend more privacy than allowed."""

    code, status, exit_code = "privacy.budget_exceeded", 409, ExitCode.BUDGET
    title = "Not enough privacy budget"
    hint = "Lower the rounds, local steps or batch size, or raise epsilon with the owner's consent."


class Unreachable(EntenteError):
    """The other side does not answer."""

    code, status, exit_code = "network.unreachable", 503, ExitCode.UNREACHABLE
    title = "The coordinator cannot be reached"
    hint = "Check the address, the network, and that `entente server` is running."


class PortTaken(EntenteError):
    """A port to listen on is in use."""

    code, status, exit_code = "network.port_taken", 409, ExitCode.UNREACHABLE
    title = "The port is already in use"
    hint = "Stop what listens there, or choose other ports."


class DataDirectoryProblem(EntenteError):
    """A data directory is missing, foreign, unreadable or not private."""

    code, status, exit_code = "directory.unusable", 409, ExitCode.USAGE
    title = "The data directory cannot be used"
    hint = "Name another directory with --dir."


class MissingDependency(EntenteError):
    """An optional part of Entente is not installed."""

    code, status, exit_code = "install.missing", 501, ExitCode.USAGE
    title = "A needed library is not installed"
    hint = "Install the extra that brings it, for example `pip install 'entente[agent,he]'`."


class RunFailed(EntenteError):
    """A run ended without a result."""

    code, status, exit_code = "run.failed", 409, ExitCode.RUN_FAILED
    title = "The run failed"
    hint = "Read the reason, correct the cause and submit the job again."


class InternalError(EntenteError):
    """A defect of Entente."""

    code, status, exit_code = "internal", 500, ExitCode.BUG


def error_types() -> dict[str, type[EntenteError]]:
    """All error classes by code, so that a problem document can be raised again by a client."""
    found: dict[str, type[EntenteError]] = {}
    pending: list[type[EntenteError]] = [EntenteError]
    while pending:
        kind = pending.pop()
        found[kind.code] = kind
        pending.extend(kind.__subclasses__())
    return found
