"""Writing a held-out benchmark: the files of its official format, and a manifest last."""

from collections.abc import Callable
from pathlib import Path

from mmevol.config.commands import HeldoutSettings
from mmevol.evaluate.heldout.blink import blink
from mmevol.evaluate.heldout.choice import ai2d, mmmu, mmstar, real_world
from mmevol.evaluate.heldout.mathvista import mathvista
from mmevol.evaluate.heldout.mia import mia
from mmevol.evaluate.heldout.pool import Pool
from mmevol.evaluate.heldout.scene import Scene
from mmevol.evaluate.heldout.self_instruct import self_instruct
from mmevol.evaluate.heldout.table import Files
from mmevol.evaluate.heldout.vqa import gqa, vqa
from mmevol.evaluate.heldout.yes_no import hallusion, mme, pope
from mmevol.records import digest
from mmevol.store import read_rows, replacing, write_json

MAKERS: dict[str, Callable[[Pool], Files]] = {
    "VQA_v2": vqa,
    "GQA": gqa,
    "MME": mme,
    "MMStar": mmstar,
    "HallusionBench": hallusion,
    "MathVista_MINI": mathvista,
    "MMMU_DEV_VAL": mmmu,
    "AI2D_TEST": ai2d,
    "POPE": pope,
    "MIA-Bench": mia,
    "BLINK": blink,
    "RealWorldQA": real_world,
    "MMSInst": self_instruct,
}


def write_heldout(settings: HeldoutSettings, *, heldout: Path, images_root: Path, out: Path) -> None:
    """Write one benchmark into the folder `out`, ``manifest.json`` (name, rows asked for, digest of every file) last.

    `heldout`: the held-out seed records (Parquet). Raises `BadInput` where they cannot give as many rows.
    """
    scenes = [scene for record in read_rows(heldout, "seed") if (scene := Scene.of(record))]
    pool = Pool(settings.seed, settings.benchmark, settings.n, scenes, images_root)
    files = MAKERS[settings.benchmark](pool)
    digests = {}
    for name, content in sorted(files.items()):
        data = content.encode() if isinstance(content, str) else content
        with replacing(out / name) as temporary:
            temporary.write_bytes(data)
        digests[name] = digest(data)
    write_json(out / "manifest.json", {"benchmark": settings.benchmark, "n": settings.n, "files": digests})
