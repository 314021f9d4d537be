"""A claimed ServerApp task: the grid it opens, its heartbeats, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flwr.common.constant import SubStatus
from flwr.common.serde import run_from_proto
from flwr.proto.runtime_pb2 import PullTaskInputRequest, PushTaskOutputRequest
from flwr.supercore.heartbeat import HeartbeatSender, make_task_heartbeat_fn_http
from flwr.supercore.task_identity import TaskIdentity

from entente_server.coordination.grid import RunGrid


@contextmanager
def claimed_task(*, address: str, token: str) -> Iterator[RunGrid]:
    """Open the grid of the task that `token` names; tell Flower how the task ended.

    One task a process: Flower keeps the task's identity in a global.
    """
    grid = RunGrid(address, insecure=True, token=token)
    client = grid._runtime_client
    task = client.PullTaskInput(PullTaskInputRequest())
    TaskIdentity.task_id = task.task_id
    TaskIdentity.run_id = task.run.run_id
    TaskIdentity.node_id = task.context.node_id
    grid.set_run(run_from_proto(task.run))
    heart = HeartbeatSender(make_task_heartbeat_fn_http(client))
    heart.start()
    outcome = SubStatus.FAILED
    try:
        yield grid
        outcome = SubStatus.COMPLETED
    finally:
        heart.stop()
        client.PushTaskOutput(PushTaskOutputRequest(sub_status=outcome, details=""))
        grid.close()
