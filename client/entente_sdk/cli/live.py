"""A run on the screen: a table that grows on a terminal, one line a round elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from entente_common.contracts.run import RoundReport, RunEvent, SiteRound
from entente_sdk.cli.output import plain
from entente_sdk.progress import RunProgress
from entente_sdk.quantities import bytes_text, seconds_text

_LINES_AROUND_TABLE = 8
_STATUS_STYLE = {"succeeded": "green", "failed": "red", "aborted": "yellow"}


def follow(
    events: Iterable[RunEvent], progress: RunProgress, *, console: Console
) -> tuple[RunProgress, tuple[RunEvent, ...]]:
    """Show `events` as they come.

    Returns:
        The progress after the last event, and the events.
    """
    if console.is_terminal:
        return _follow_live(events, progress, console=console)
    seen: list[RunEvent] = []
    for event in events:
        before, progress = progress, progress.after(event)
        seen.append(event)
        for line in news(before, progress):
            console.print(line, soft_wrap=True)
    return progress, tuple(seen)


def _follow_live(
    events: Iterable[RunEvent], progress: RunProgress, *, console: Console
) -> tuple[RunProgress, tuple[RunEvent, ...]]:
    seen: list[RunEvent] = []
    rows = max(console.height - _LINES_AROUND_TABLE, 3)
    with Live(picture(progress, rows=rows), console=console, auto_refresh=False) as live:
        for event in events:
            progress = progress.after(event)
            seen.append(event)
            live.update(picture(progress, rows=rows), refresh=True)
    return progress, tuple(seen)


def news(before: RunProgress, after: RunProgress) -> list[str]:
    """What `after` says that `before` did not, one line each."""
    lines = []
    if after.status == "running" and before.status == "pending":
        lines.append(
            f"started with {len(after.sites)} sites ({', '.join(after.sites)}), "
            f"aggregation {after.protection}, differential privacy {_privacy(after)}"
        )
    if after.parameters is not None and before.parameters is None:
        lines.append(f"prepared, {after.parameters:,} parameters")
    new_rounds = after.rounds[len(before.rounds) :]
    lines.extend(_round_line(report, total=after.rounds_total) for report in new_rounds)
    new_dropouts = after.dropouts[len(before.dropouts) :]
    lines.extend(f"{dropout.site} left: {dropout.reason}" for dropout in new_dropouts)
    if after.status in _STATUS_STYLE and before.status not in _STATUS_STYLE:
        lines.append(_ending(after))
    return [plain(line) for line in lines]


def picture(progress: RunProgress, *, rows: int) -> RenderableType:
    """The run as a table of its last `rows` rounds, under a heading and above its state."""
    heading = Text.assemble(
        (progress.name, "bold"),
        f"  {progress.protection or '…'} aggregation, "
        f"differential privacy {_privacy(progress)}, round {len(progress.rounds)} "
        f"of {progress.rounds_total}",
    )
    footing = Text(plain(_ending(progress)), style=_STATUS_STYLE.get(progress.status, "dim"))
    return Group(heading, _table(progress, rows=rows), footing)


def _table(progress: RunProgress, *, rows: int) -> Table:
    metrics = list(_metrics(progress.rounds[-1])) if progress.rounds else []
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("round", justify="right")
    for name in metrics:
        table.add_column(name, justify="right", style="bold")
    for site in progress.sites:
        table.add_column(f"loss {site}", justify="right")
    for name in ("epsilon", "sent", "received", "time"):
        table.add_column(name, justify="right")
    for report in progress.rounds[-rows:]:
        losses = {site.site: site.holdout_loss for site in report.sites}
        table.add_row(
            str(report.round),
            *(_number(report.metrics.get(name)) for name in metrics),
            *(_number(losses.get(site)) for site in progress.sites),
            _number(_largest_epsilon(report.sites)),
            bytes_text(report.bytes_up),
            bytes_text(report.bytes_down),
            seconds_text(report.seconds),
        )
    return table


def _round_line(report: RoundReport, *, total: int) -> str:
    parts = [f"round {report.round} of {total}"]
    parts.extend(f"{name} {value:.4f}" for name, value in _metrics(report).items())
    parts.extend(f"{site.site} loss {_number(site.holdout_loss)}" for site in report.sites)
    epsilon = _largest_epsilon(report.sites)
    if epsilon is not None:
        parts.append(f"epsilon {epsilon:.3f}")
    parts.append(f"sent {bytes_text(report.bytes_up)}")
    parts.append(f"received {bytes_text(report.bytes_down)}")
    parts.append(seconds_text(report.seconds))
    return "  ".join(parts)


def _metrics(report: RoundReport) -> dict[str, float]:
    """The round's metrics; the loss is left out where log-loss says the same."""
    said_twice = {"loss"} if "log-loss" in report.metrics else set()
    return {name: value for name, value in report.metrics.items() if name not in said_twice}


def _ending(progress: RunProgress) -> str:
    return progress.status + (f": {progress.reason}" if progress.reason else "")


def _privacy(progress: RunProgress) -> str:
    if progress.privacy_unit in {None, "none"}:
        return "off"
    return f"by {progress.privacy_unit}"


def _largest_epsilon(sites: Iterable[SiteRound]) -> float | None:
    return max((site.epsilon for site in sites if site.epsilon is not None), default=None)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
