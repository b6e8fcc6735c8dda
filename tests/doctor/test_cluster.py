"""The doctor's look at a cluster, on what Slurm 22.05 printed and on what larger sites print."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from mmevol.doctor import Row
from mmevol.doctor import cluster as module
from mmevol.doctor.cluster import accounts, cluster, judged, minutes, partitions, settings
from mmevol.records import BadInput

# Two nodes with two GPUs each in both partitions: the cluster of the tests.
OURS = """cpu*|up|2-00:00:00|2|8|16000|gpu:fake:2
gpu|up|1-00:00:00|2|8|16000|gpu:fake:2
"""
# A site with several kinds of nodes a partition: a line a kind, + where nodes differ, sockets behind the GPUs.
LARGE = """standard*|up|1-12:00:00|1180|48|191000|(null)
standard*|up|1-12:00:00|20|48+|384000+|(null)
short|up|4:00:00|40|64|250000|(null)
h100|up|2-00:00:00|12|96|1000000|gpu:h100:4(S:0-1)
a100|up|3-00:00:00|30|64|500000|gpu:a100:8(S:0-3)
a100|up|3-00:00:00|4|64|500000|gpu:a100_80:8(S:0-3),shard:16
old|down|infinite|9|16|64000|gpu:2
"""
CONFIG = """Configuration data as of 2026-11-24T13:48:55
AccountingStorageType   = {type}
AccountingStoreFlags    = (null)
MinJobAge               = {age} sec
SLURM_VERSION           = 22.05.8

Slurmctld(primary) at vm is UP
"""
MINE = """lab|high,normal
other|normal
"""
SITE = yaml.safe_load(Path(module.__file__).parents[3].joinpath("slurm/config.yaml").read_text())["__variables__"]
NONE, DATABASE = "accounting_storage/none", "accounting_storage/slurmdbd"


def rows(nodes: str, accounting: str = DATABASE, age: int = 300, **site: Any) -> dict[str, Row]:
    config = settings(CONFIG.format(type=accounting, age=age))
    mine = accounts(MINE) if accounting == DATABASE else {}
    return {row.subject: row for row in judged(SITE | site, partitions(nodes), config, mine)}


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("infinite", float("inf")), ("2-00:00:00", 2880), ("1-12:00:00", 2160), ("4:00:00", 240), ("30:00", 30)],
)
def test_time_limits_are_read(limit: str, expected: float) -> None:
    assert minutes(limit) == expected


def test_partitions_of_several_kinds_of_nodes_are_read() -> None:
    found = partitions(LARGE)
    standard, a100, old = found["standard"], found["a100"], found["old"]
    assert (standard.default, standard.nodes, standard.cores, standard.memory) == (True, 1200, 48, 384000)
    assert (a100.gpus, a100.nodes, a100.minutes) == ({"a100": 8, "a100_80": 8}, 34, 4320)
    assert (old.up, old.gpus, old.minutes) == (False, {"": 2}, float("inf"))


def test_values_are_proposed_where_the_block_does_not_fit() -> None:
    found = rows(LARGE, account="nobody", qos="urgent")
    assert (found["cpu_partition"].verdict, found["cpu_partition"].remedy) == ("wrong", "cpu_partition: standard")
    assert (found["gpu_partition"].verdict, found["gpu_partition"].remedy) == ("wrong", "gpu_partition: a100")
    assert (found["account"].verdict, found["account"].remedy) == ("wrong", "account: lab")
    assert (found["qos"].verdict, found["qos"].remedy) == ("wrong", "qos: one of high, normal, or null")


def test_what_is_proposed_fits() -> None:
    found = rows(LARGE, cpu_partition="standard", gpu_partition="a100", gpu_model="a100", account="lab", qos="high")
    assert {row.verdict for row in found.values()} == {"ok"}


def test_gpus_are_counted_and_their_type_known() -> None:
    site = {"cpu_partition": "standard", "gpu_partition": "h100"}
    assert rows(LARGE, **site)["gpus_per_node"].remedy == "gpus_per_node: 4"
    assert rows(LARGE, **site, gpus_per_node=2)["gpus_per_node"].verdict == "note"
    assert rows(LARGE, **site, gpu_model="a100")["gpu_model"].remedy == "gpu_model: h100"


def test_partitions_that_do_not_serve_are_named() -> None:
    assert rows(LARGE, cpu_partition="h100")["cpu_partition"].verdict == "note"
    assert rows(LARGE, cpu_partition="short")["cpu_partition"].remedy.endswith("ask for less")
    assert rows(LARGE, gpu_partition="standard")["gpu_partition"].verdict == "wrong"
    assert rows(LARGE, gpu_partition="old")["gpu_partition"].verdict == "wrong"


def test_without_accounting_jobs_must_be_remembered() -> None:
    assert rows(OURS, NONE)["accounting"].remedy == "accounting: false"
    assert rows(OURS, NONE, accounting_=None, age=300)["MinJobAge"].verdict == "ok"
    assert rows(OURS, NONE, age=2)["MinJobAge"].verdict == "wrong"
    assert "MinJobAge" not in rows(OURS)


def test_several_accounts_and_none_named_is_worth_a_word() -> None:
    assert rows(OURS)["account"].verdict == "note"


def test_a_machine_without_slurm_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    with pytest.raises(BadInput, match="login node"):
        cluster()
