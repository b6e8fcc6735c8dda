"""Scoring stays far below what the kit takes, reading included: CPU seconds, against budgets with room to spare."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mmevol.evaluate.scoring import RULES
from mmevol.evaluate.scoring.inputs import read_inputs
from mmevol.evaluate.scoring.score import score
from mmevol.records import fraction

REPLIES = (
    "A",
    "(B)",
    "The answer is C.",
    "I think that it shows a red umbrella",
    "Yes, there is one.",
    "no, there isn't.",
)


def write(folder: Path, header: str, rows: int, line: Callable[[int], str]) -> Path:
    table = [header, *(f"{at}\t{line(at)}" for at in range(rows))]
    (folder / "data.tsv").write_text("\n".join(table) + "\n", encoding="utf-8")
    said = (REPLIES[int(fraction("reply", at) * len(REPLIES))] for at in range(rows))
    lines = (json.dumps({"index": at, "prediction": f"{reply} {at % 97}"}) for at, reply in enumerate(said))
    (folder / "predictions.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(("benchmark", "rows", "budget"), [("MMStar", 3000, 1.0), ("POPE", 9000, 1.4)])
def test_cpu_seconds(tmp_path: Path, benchmark: str, rows: int, budget: float, rules: str) -> None:
    if benchmark == "MMStar":
        line = "What is it?\tred umbrella\tblue car\tcat {0}\tdog\tA\tmath".format
        write(tmp_path, "index\tquestion\tA\tB\tC\tD\tanswer\tcategory", rows, line)
    else:
        write(tmp_path, "index\tquestion\tanswer\tcategory", rows, "Is there a dog?\tYes\trandom,popular".format)
    started = time.process_time()
    result = score(benchmark, rules, read_inputs(benchmark, tmp_path))  # type: ignore[arg-type]
    assert time.process_time() - started < budget and result.n == rows
