"""The cluster profile as it is shipped, with the site block of the tests' cluster."""

import re
from typing import Any

from place import REPO, Place

PROFILE = REPO / "slurm" / "config.yaml"
SITE = {"accounting": "false"}
QUICK = ("--profile", "slurm", "--slurm-init-seconds-before-status-checks", "12", "--latency-wait", "10")
"""How the tests call Snakemake: by the profile, looking sooner at what are short jobs."""
FAST: dict[str, Any] = {"concurrency": 16, "limits": {}}
SLOW: dict[str, Any] = {"concurrency": 2, "limits": {"requests_per_minute": 200}}
"""Of an endpoint: how much it is asked changes no data."""


def with_site(**facts: Any) -> str:
    """The profile with values of its site block replaced, and nothing else."""
    text = PROFILE.read_text()
    for name, value in (SITE | facts).items():
        text, n = re.subn(rf"^(  {name}: )[^ #]+(?= #)", rf"\g<1>{value}", text, flags=re.MULTILINE)
        assert n == 1, f"no {name} in the site block"
    return text


def at_site(place: Place, **facts: Any) -> Place:
    """The profile of this site beside a place's study."""
    (place.folder / "slurm").mkdir(exist_ok=True)
    (place.folder / "slurm" / "config.yaml").write_text(with_site(**facts))
    return place
