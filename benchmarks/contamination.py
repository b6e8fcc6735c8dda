"""What looking for benchmarks in a mixture costs: beside what must be done at least, and by the number of records.

Records and a benchmark of its own kind are made; each point is a process of its own. The floor decodes each picture as the check
does and splits each text into words, and compares nothing.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

from bench import python
from peak import peak_mb

WORDS = [
    f"{a}{b}" for a in ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki") for b in ("na", "re", "si", "to", "lu", "me")
]
QUESTIONS = 20_000
"""Of the benchmark, each of 20 words."""
QAS, LENGTH = 4, 60
"""Q&A of a record, and words of each."""


def sentence(rng: Random, words: int) -> str:
    """So many words."""
    return " ".join(rng.choices(WORDS, k=words))


def study(folder: Path, records: int, pictures: bool) -> None:
    """Seeds with their pictures, one mixture of all of them, and a benchmark."""
    from mmevol.records import QA, SeedRecord, qa_id
    from mmevol.store import file_digest, order_of, write_rows
    from PIL import Image

    rng = Random(0)
    (folder / "images").mkdir()
    made, ids = [], []
    for n in sorted(range(records), key=lambda n: order_of(str(n))):
        name = f"{n}.jpg" if pictures else None
        if name:
            noise = Image.effect_noise((160, 120), 60 + n % 40).resize((640, 480), Image.Resampling.BICUBIC)
            noise.convert("RGB").save(folder / "images" / name, quality=90)
        qas = [QA(question=sentence(rng, LENGTH // 2), answer=sentence(rng, LENGTH // 2)) for _ in range(QAS)]
        digest = file_digest(folder / "images" / name) if name else None
        made.append(SeedRecord(key=str(n), id=str(n), image=name, image_digest=digest, qas=qas))
        ids += [{"record": str(n), "qa": qa_id(str(n), "", 0, "seed", q), "source": "seeds", "round": 0} for q in qas]
    write_rows(folder / "seeds.parquet", "seed", made)
    write_rows(folder / "all" / "ids.parquet", "mixture", ids)
    (folder / "MMStar").mkdir()
    with open(folder / "MMStar" / "data.tsv", "w", encoding="utf-8") as file:
        file.write("index\tquestion\tA\tB\tanswer\tcategory\n")
        file.writelines(f"{n}\t{sentence(rng, 20)}\ta\tb\tA\tx\n" for n in range(QUESTIONS))


def check(folder: Path) -> None:
    """The check itself."""
    from mmevol.config import Run
    from mmevol.config.commands import ContaminationSettings
    from mmevol.evaluate.contamination import contamination

    contamination(
        ContaminationSettings(benchmarks=["MMStar"]),
        run=Run(),
        shards=[folder / "seeds.parquet"],
        evolved={},
        mixtures={"all": folder / "all" / "ids.parquet"},
        images=folder / "images",
        data=folder,
        out=folder / "overlaps.json",
    )


def floor(folder: Path) -> None:
    """Decode each picture, read and split each text; and read the benchmark."""
    from mmevol.evaluate.benchmarks import rows
    from mmevol.evaluate.overlap import words
    from mmevol.store import read_rows
    from PIL import Image

    for row in rows("MMStar", folder / "MMStar"):
        words(row.question)
    for record in read_rows(folder / "seeds.parquet", "seed"):
        if record.image:
            with Image.open(folder / "images" / record.image) as picture:
                picture.draft("L", (128, 128))
                picture.load()
        for qa in record.qas:
            words(qa.question), words(qa.answer)


def run(part: str, folder: Path) -> dict[str, float]:
    """CPU seconds and peak MB of one process."""
    done = subprocess.run(python("contamination.py", part, str(folder)), stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(rounds: int = 3, counts: tuple[int, ...] = (5_000, 20_000), pictures: int = 600) -> dict[str, Any]:
    """``contamination_cpu_vs_floor`` with pictures; by records without them ``contamination_records_per_s``, how CPU grows with
    them (1: in step), and ``contamination_peak_growth_mb_per_100k``."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count, shown in [(pictures, True), *((count, False) for count in counts)]:
            (folder / str(count)).mkdir()
            study(folder / str(count), count, shown)
        ratios = [
            run("check", folder / str(pictures))["cpu"] / run("floor", folder / str(pictures))["cpu"]
            for _ in range(rounds)
        ]
        points = {n: [run("check", folder / str(n)) for _ in range(rounds)] for n in counts}
    cpu = {n: statistics.median(row["cpu"] for row in rows) for n, rows in points.items()}
    peak = {n: statistics.median(row["peak_mb"] for row in rows) for n, rows in points.items()}
    few, many = counts[0], counts[-1]
    return {
        "contamination_cpu_vs_floor": round(statistics.median(ratios), 2),
        "contamination_records_per_s": round((many - few) / (cpu[many] - cpu[few])),
        "contamination_peak_growth_mb_per_100k": round((peak[many] - peak[few]) / (many - few) * 100_000, 1),
        "contamination_cpu_s": {str(n): round(value, 2) for n, value in cpu.items()},
        "contamination_peak_mb": {str(n): round(value, 1) for n, value in peak.items()},
        "rounds": rounds,
    }


if __name__ == "__main__":
    began = time.process_time()
    {"check": check, "floor": floor}[sys.argv[1]](Path(sys.argv[2]))
    used = time.process_time() - began
    print(json.dumps({"cpu": used, "peak_mb": peak_mb()}))
