"""A small world's held-out scenes and the thirteen benchmarks made from them."""

from pathlib import Path

import pytest
from mmevol.config.commands import AuditSettings, DrawSettings, HeldoutSettings
from mmevol.evaluate.heldout.write import MAKERS, write_heldout
from mmevol.seeds.audit import audit
from mmevol.seeds.world import draw

ROWS = {"MME": 84, "BLINK": 84, "HallusionBench": 80, "POPE": 60, "MMSInst": 64}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's seeds: ``heldout.parquet`` and ``images``."""
    root = tmp_path_factory.mktemp("world")
    draw(DrawSettings(seed=11, images=90), records=root / "records.jsonl", images=root / "images")
    audit(
        AuditSettings(seed=11, shards=1, heldout=0.6),
        records=root / "records.jsonl",
        images_root=root / "images",
        out=root,
    )
    return root


@pytest.fixture(scope="session")
def benchmarks(world: Path) -> Path:
    """The benchmarks' folder."""
    for name in MAKERS:
        settings = HeldoutSettings(seed=11, benchmark=name, n=ROWS.get(name, 60))
        write_heldout(
            settings, heldout=world / "heldout.parquet", images_root=world / "images", out=world / "data" / name
        )
    return world / "data"
