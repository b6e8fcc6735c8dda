"""A Slurm of two nodes on this machine, with a cpu and a gpu partition and four fake GPUs, as root and without systemd.

Each node has a host name of its own (a UTS namespace), so that to this project's code they are two machines. This file, run as a
program, holds the cluster for all processes of a test run. What it installs and starts it takes away again, however they end: with
Slurm's clients installed and no controller running, every start of Snakemake would wait.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from place import wait_until

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
DATABASE = ("slurmdbd", "mariadb-server")
NODES = ("node0", "node1")
CPUS, MEMORY, GPUS = 32, 64000, 2
"""Of a node, as declared: Slurm is told to believe it."""
ETC = Path("/etc/slurm")
"""Where jobs look for slurm.conf: the executor takes ``SLURM_CONF`` out of their environment."""

PREFIX = "mmevol-slurm-"
"""Of the folder that holds all of it."""

CONF = """
ClusterName=mmevol
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory,CR_LLN
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=300
KillWait=3
SlurmctldTimeout=10
{accounting}
NodeName=node0 NodeAddr=127.0.0.1 Port={node0} CPUs={cpus} RealMemory={memory} Gres=gpu:fake:{gpus}
NodeName=node1 NodeAddr=127.0.0.1 Port={node1} CPUs={cpus} RealMemory={memory} Gres=gpu:fake:{gpus}
PartitionName=cpu Nodes=node0,node1 Default=YES MaxTime=2-00:00:00
PartitionName=gpu Nodes=node0,node1 MaxTime=1-00:00:00
"""
ACCOUNTED = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={database}
AccountingStoragePass={folder}/munge.socket
AccountingStoreFlags=job_comment
AccountingStorageTRES=gres/gpu
"""
DATABASE_CONF = """
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
PidFile={folder}/slurmdbd.pid
"""


def unable() -> str | None:
    """Why there can be no Slurm here; None where there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a Slurm for tests needs root on Linux"
    if not shutil.which("apt-get"):
        return "a Slurm for tests is installed by apt-get, which is not here"
    if (ETC / "slurm.conf").exists() and not ours(ETC / "slurm.conf"):
        return f"{ETC}/slurm.conf exists: this machine has a Slurm of its own"
    return None


def ours(path: Path) -> bool:
    """Whether a configuration file is a link of these tests."""
    return path.is_symlink() and PREFIX in str(path.readlink())


def run(*command: str, **more: Any) -> str:
    """Run to the end; what it printed. Raises with that when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


class Uninstallable(Exception):
    """The packages cannot be had."""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def says(*command: str) -> str | None:
    """What a Slurm command prints; None when it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def installed() -> set[str]:
    lines = run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Package}\n").splitlines()
    return {line[3:].strip() for line in lines if line.startswith("ii")}


class Packages:
    """Debian packages for as long as the tests run; what was there before stays."""

    def __init__(self) -> None:
        self.before = installed()

    def add(self, *names: str) -> None:
        missing = [name for name in names if name not in installed()]
        if not missing:
            return
        policy = Path("/usr/sbin/policy-rc.d")  # else their services start
        mine = not policy.exists()
        if mine:
            policy.write_text("#!/bin/sh\nexit 101\n")
            policy.chmod(0o755)
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing]
        try:
            if subprocess.run(
                [*install, "--simulate"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ).returncode:
                run("apt-get", "update", "-qq")
            run(*install, env=environment)
        except RuntimeError as error:
            raise Uninstallable(f"a Slurm for tests cannot be installed: {error}") from error
        finally:
            if mine:
                policy.unlink()

    def remove(self) -> None:
        added = sorted(installed() - self.before)
        if added:
            run("apt-get", "purge", "-qq", "-y", *added, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})


class Daemons:
    """The cluster as it is started and stopped. `folder` is to be root's, and short: it holds sockets."""

    def __init__(self, folder: Path, packages: Packages) -> None:
        self.folder, self.packages = folder, packages
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = {name: free_port() for name in ("controller", "database", *NODES)}

    def start(self) -> None:
        """Bring everything up. Raises where a daemon does not come up."""
        self.packages.add(*PACKAGES)
        for name in ("state", *(f"spool.{node}" for node in NODES)):
            (self.folder / name).mkdir()
        for n in range(GPUS):
            os.mknod(self.folder / f"gpu{n}", 0o020666, os.makedev(1, 3))
        gres = f"NodeName=node[0-1] Name=gpu Type=fake File={self.folder}/gpu[0-{GPUS - 1}]\n"
        (self.folder / "gres.conf").write_text(gres)
        self.configure(accounting=False)
        ETC.mkdir(exist_ok=True)
        for path in filter(ours, ETC.glob("*.conf")):  # of a run that was killed; its daemons died with it
            path.unlink()
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).symlink_to(self.folder / name)
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o600)
        places = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        munge = [f"--{option}={self.folder}/munge.{name}" for option, name in places.items()]
        self.daemon("munged", "munged", "--foreground", "--force", *munge)
        wait_until((self.folder / "munge.socket").exists, 10, "munged")
        self.controller()
        for node in NODES:
            self.node(node)
        self.wait_idle()

    def configure(self, *, accounting: bool) -> None:
        facts = {"host": socket.gethostname(), "folder": self.folder, **self.ports}
        accounted = ACCOUNTED.format(**facts) if accounting else ""
        size = {"cpus": CPUS, "memory": MEMORY, "gpus": GPUS}
        (self.folder / "slurm.conf").write_text(CONF.format(**facts, **size, accounting=accounted))

    def daemon(self, name: str, *command: str) -> None:
        """Start one that ends with this process, however that ends."""
        with open(self.folder / f"{name}.log", "ab") as log:
            bound = ["setpriv", "--pdeathsig", "TERM", *command]
            self.daemons[name] = subprocess.Popen(bound, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def controller(self) -> None:
        self.daemon("slurmctld", "slurmctld", "-D", "-i")

    def node(self, node: str) -> None:
        script = f"hostname {node} && exec slurmd -D -N {node}"
        self.daemon(node, "unshare", "--uts", "sh", "-c", script)

    def end(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(timeout=20)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def account(self) -> None:
        """From now on with an accounting database, and an account `lab` that root may charge."""
        data = self.folder / "mariadb"
        data.mkdir()
        run("mariadb-install-db", f"--datadir={data}", "--user=root", "--auth-root-authentication-method=socket")
        database = ["--no-defaults", f"--datadir={data}", "--user=root", "--skip-networking"]
        where = Path("/run/mysqld")
        where.mkdir(exist_ok=True)
        (where / "mysqld.sock").unlink(missing_ok=True)
        self.daemon("mariadbd", "mariadbd", *database, f"--socket={where}/mysqld.sock")
        conf = DATABASE_CONF.format(host=socket.gethostname(), port=self.ports["database"], folder=self.folder)
        (self.folder / "slurmdbd.conf").write_text(conf)
        (self.folder / "slurmdbd.conf").chmod(0o600)
        (ETC / "slurmdbd.conf").symlink_to(self.folder / "slurmdbd.conf")
        wait_until((where / "mysqld.sock").exists, 30, "mariadbd")
        self.daemon("slurmdbd", "slurmdbd", "-D")
        self.end("slurmctld")
        self.configure(accounting=True)
        wait_until(lambda: says("sacctmgr", "-n", "list", "cluster") is not None, 30, "slurmdbd")
        run("sacctmgr", "-i", "add", "cluster", "mmevol")
        run("sacctmgr", "-i", "add", "account", "lab")
        run("sacctmgr", "-i", "add", "user", "root", "account=lab")
        self.controller()
        self.wait_idle()

    def stop(self) -> None:
        """End all jobs and daemons, and take the links and packages away."""
        if "slurmctld" in self.daemons:
            says("scancel", "--user", "root")
            wait_until(lambda: not says("squeue", "-h"), 20, "the end of all jobs")
        for name in reversed([*self.daemons]):
            self.end(name)
        for path in ETC.glob("*.conf"):
            if path.is_symlink() and path.readlink().is_relative_to(self.folder):
                path.unlink()
        self.packages.remove()

    def wait_idle(self) -> None:
        def idle() -> bool:
            states = (says("sinfo", "-h", "-N", "-o", "%N %t") or "").split("\n")
            return {line.split()[0] for line in states if line.endswith(" idle")} == set(NODES)

        wait_until(idle, 40, "idle nodes")


def deserted(users: Path) -> bool:
    """Whether no process holds its share of a lock."""
    with open(users) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def keep(state: Path) -> None:
    """Hold a cluster until its users are gone.

    Files in `state` say how it stands: ``bare``, ``accounted``, ``gone`` while it has no controller, ``unable`` and ``failed`` with
    the reason. Others tell it what to do: ``account``, and for as long as it is there ``away`` with the controller.
    """
    os.environ["PATH"] += ":/usr/sbin:/sbin"  # where the daemons are; not every root looks there
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    (state / "folder").symlink_to(folder)
    daemons = Daemons(folder, Packages())
    try:
        daemons.start()
        (state / "bare").touch()
        daemons.packages.add(*DATABASE)
        while not deserted(state / "users"):
            if (state / "account").exists() and not (state / "accounted").exists():
                daemons.account()
                (state / "accounted").touch()
            away = (state / "away").exists()
            if away and "slurmctld" in daemons.daemons:
                daemons.end("slurmctld")
                (state / "gone").touch()
            if not away and "slurmctld" not in daemons.daemons:
                daemons.controller()
                (state / "gone").unlink()
            time.sleep(0.1)
    except Uninstallable as error:
        (state / "unable").write_text(str(error))
    except Exception:
        (state / "failed").write_text(traceback.format_exc())
    finally:
        daemons.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
