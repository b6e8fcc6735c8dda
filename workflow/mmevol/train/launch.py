"""The processes of a training run: one, or several that a rendezvous brings together, on one machine or on many.

By hand, two processes on this machine, and the same on two machines from inside a Slurm allocation (``srun`` finds them)::

    mmevol train finetune --processes 2 --settings …
    mmevol train finetune --nodes 2 --processes 8 --cores 64 --settings …
"""

import atexit
import os
import shutil
import socket
import sys
import tempfile

from mmevol.records import BadInput

LAUNCHED = "TORCHELASTIC_RUN_ID"
"""Set in every process that PyTorch's launcher starts."""


def spread(nodes: int, processes: int, cores: int) -> None:
    """Put the launcher of a run on `nodes` machines with `processes` on each in this process's place: it runs the same command.

    Returns where there is nothing to spread: a single process, or one that a launcher has started. `cores`: of each machine.
    Raises `BadInput` for several machines where there is no Slurm.
    """
    if nodes * processes == 1 or LAUNCHED in os.environ:
        return
    if nodes > 1 and not shutil.which("srun"):
        raise BadInput(
            file="--nodes",
            field="nodes",
            found=f"{nodes}, and no `srun` on {socket.gethostname()}",
            expected="a job of Slurm, which starts a launcher on each of its machines",
            remedy="run with --profile slurm, or set the backbone's machines to one node",
        )
    # Behind "--" torchrun takes no option of ours for an abbreviation of its own.
    command = [*launcher(nodes, processes, cores), "-m", "--", "mmevol", *sys.argv[1:]]
    os.execvp(command[0], command)


def launcher(nodes: int, processes: int, cores: int) -> list[str]:
    """The command line of PyTorch's launcher. No restarts: a run that fails ends, and goes on from its checkpoint when asked again.

    On many machines this one, the first of the allocation, holds the rendezvous.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={nodes}", f"--nproc-per-node={processes}"]
    torchrun += ["--max-restarts=0"]
    if nodes == 1:
        return [*torchrun, "--standalone", "--local-addr=127.0.0.1"]
    srun = ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={cores}"]
    meet = ["--rdzv-backend=c10d", f"--rdzv-endpoint={socket.gethostname()}:{free_port()}"]
    return [*srun, "--kill-on-bad-exit=1", *torchrun, *meet, f"--rdzv-id={os.environ.get('SLURM_JOB_ID', 'mmevol')}"]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])


def world() -> int:
    """How many processes the run has."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main() -> bool:
    """Whether this process writes for all: the first of a distributed run, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def join() -> None:
    """Make this process ready for DeepSpeed: alone on a free port unless a launcher has set ranks; no compiled kernels on CPUs.

    To be called before anything imports DeepSpeed. A build that was killed leaves a lock in the shared cache of extensions,
    on which the next run hangs, hence a cache of our own; the shared-memory kernel would need a compiler. DeepSpeed
    decorates an optimizer that is not used here for compilation, which alone takes seconds.
    """
    import torch

    if "TORCH_EXTENSIONS_DIR" not in os.environ:
        os.environ["TORCH_EXTENSIONS_DIR"] = extensions = tempfile.mkdtemp(prefix="mmevol-extensions-")
        atexit.register(shutil.rmtree, extensions, ignore_errors=True)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if "RANK" not in os.environ:
        # Port 0: the store takes a free one itself; a port that was looked up before could be another job's by then.
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
        os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
        import deepspeed
        from deepspeed.runtime import compiler

        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        compiler.compile = lambda: compiler.dummy_decorator
