"""What a rule asks of a scheduler, as functions of config and attempt; nothing here is of a site."""

from collections.abc import Callable
from typing import Any

from mmevol.config.endpoints import Serve
from mmevol.config.train import Machines


def of_machines(of: Callable[[Any], Machines]) -> dict[str, Callable[..., int | str | None]]:
    """A training rule's resources, from the machines that `of` gives for a job's wildcards. None leaves a resource unset.

    ``gpu`` counts those of all nodes, ``mem_mb`` is each node's. On several nodes the job starts its own tasks, a launcher on
    each, by the command named in ``mpi``; then no tasks may be derived from GPUs.
    """

    def many(value: Callable[[Machines], int | str]) -> Callable[[Any], int | str | None]:
        return lambda w: value(of(w)) if of(w).nodes > 1 else None

    return {
        "nodes": lambda w: of(w).nodes,
        "processes": lambda w: of(w).processes,
        "gpu": lambda w: of(w).nodes * of(w).gpus or None,
        "mpi": many(lambda m: "srun"),
        "tasks": many(lambda m: m.nodes),
        "tasks_per_gpu": many(lambda m: 0),
        "mem_mb": lambda w, attempt: of(w).mem_mb(attempt),
        "runtime": lambda w, attempt: of(w).runtime(attempt),
    }


Servers = Callable[[Any], list[Serve]] | None
"""The servers that a job starts, by its wildcards; None where the study has no such endpoint, so that planning asks for none."""


def of_servers(of: Servers, *, mem_mb: int, runtime: int) -> dict[str, Callable[..., int | None]]:
    """Resources of a rule that asks endpoints: its own `mem_mb` and minutes, times the attempt, and the servers that it starts."""
    times: dict[str, Callable[..., int | None]] = {"runtime": lambda w, attempt: runtime * attempt}
    if of is None:
        return times | {"mem_mb": lambda w, attempt: mem_mb * attempt}
    return times | {
        "gpu": lambda w: sum(server.gpus for server in of(w)) or None,
        "mem_mb": lambda w, attempt: mem_mb * attempt + round(1000 * sum(server.mem_gb for server in of(w))),
    }


def cores(of: Servers) -> Callable[[Any], int] | int:
    """Threads of such a rule: one, and those of the servers that it starts."""
    return 1 if of is None else lambda w: 1 + sum(server.cpus for server in of(w))
