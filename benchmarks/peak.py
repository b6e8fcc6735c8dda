"""How much memory this process has held at most."""

from pathlib import Path


def peak_mb() -> float:
    """MB resident. `ru_maxrss` would begin with what the parent held when it forked."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
