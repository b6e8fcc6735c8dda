"""``mmevol evaluate score`` as a process of its own: golden cases by folder and by single files."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from mmevol.evaluate.scoring import RULES
from mmevol.evaluate.scoring.command import score_command
from mmevol.evaluate.scoring.inputs import FILES, NEEDS
from test_golden import GOLDEN, NAMES, REAL, load, same
from typer.testing import CliRunner

app = typer.Typer()
app.command()(score_command)
MAIN = "import sys; from mmevol.cli import main; main()"


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", MAIN, "evaluate", "score", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def scored(out: Path, *arguments: object) -> dict[str, Any]:
    done = run(*arguments, "--output", out)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def wanted(case: Path, rules: str) -> tuple[Any, Any]:
    """Metrics and rows of a golden case, None where it has none."""
    expected, benchmark = load(case), case.parent.name
    match benchmark:
        case "VQA_v2":
            return expected["official_on_submission"]["accuracy"], expected["official_on_submission"]["rows"]
        case "GQA":
            return expected["scores"], None
        case "MMSInst":
            return expected["accuracy"], None
        case "MIA-Bench":
            key = "apple_official" if rules == "authors" else NAMES[rules]
            return expected[key], expected["apple_rows"] if rules == "authors" else None
    found = expected.get(NAMES[rules], {})
    metrics = found.get("scores")
    if benchmark == "BLINK" and rules == "mmevol":
        metrics = metrics | expected["mmevol_blink_eval"]
    return metrics, found.get("rows")


def check(found: dict[str, Any], case: Path, rules: str) -> None:
    metrics, rows = wanted(case, rules)
    if metrics is not None:
        same(found["metrics"], metrics, f"{case} {rules}")
    if rows is not None:
        same(found["rows"], rows, f"{case} {rules}")
    if rules == "mmevol":
        same(found["reported"], load(case)["reported_number"]["value"])
    assert found["rules"] == rules and found["version"] and found["n"] and found["n_missing"] == 0
    assert found["judge_calls"] >= found["judge_failures"] >= 0 and found["standard_error"] is not None
    assert all(len(digest) == 64 for digest in found["inputs"].values())


@pytest.mark.parametrize("benchmark", sorted(NEEDS))
def test_golden_cases_by_folder_and_by_single_files(tmp_path: Path, benchmark: str) -> None:
    case, out = GOLDEN / benchmark / "case_02", tmp_path / "score.json"
    by_folder = scored(out, benchmark, "--inputs", case, "--rules", "mmevol")
    check(by_folder, case, "mmevol")
    files = [
        word
        for part, name in FILES.items()
        if (case / name).is_file()
        for word in (f"--{part.replace('_', '-')}", case / name)
    ]
    arguments = [benchmark, *map(str, files), "--rules", "mmevol", "--output", str(out)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert json.loads(out.read_text(encoding="utf-8")) == by_folder


@pytest.mark.parametrize("name", ["MMMU_DEV_VAL/real_qwen_vl", "MathVista_MINI/real_chatgpt"])
def test_published_outputs(tmp_path: Path, name: str) -> None:
    case = REAL / name
    if not case.is_dir():
        pytest.skip(f"published outputs of real models are not at {case}")
    found = scored(tmp_path / "score.json", case.parent.name, "--inputs", case, "--rules", "authors")
    same(found["metrics"], load(case)["authors"]["scores"])
    assert found["rows"] == load(case)["authors"]["rows"]
    same(found["reported"], load(case)["reported_number"]["value"])


def test_bad_input_is_said_and_ends_with_2(tmp_path: Path) -> None:
    done = run("MMStar", "--inputs", tmp_path, "--output", tmp_path / "score.json")
    assert done.returncode == 2 and "data.tsv" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "score.json").exists()


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (["--judge", "{"], "--judge"),
        (["--run", '{"status": 1}'], "--run"),
        (["--output", "/dev/null/score.json"], "--output"),
        (["--output", "."], "a folder"),
    ],
)
def test_a_bad_option_is_said_and_ends_with_2(tmp_path: Path, more: list[str], found: str) -> None:
    case = GOLDEN / "POPE" / "case_01"
    done = run("POPE", "--inputs", case, "--output", tmp_path / "score.json", *more)
    assert done.returncode == 2 and found in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "score.json").exists()


if __name__ == "__main__":  # every case under every rule set: python tests/evaluate/scoring/test_command.py
    place = Path(sys.argv[1])
    for each in sorted([*GOLDEN.glob("*/case_*"), *REAL.glob("*/case_*"), *REAL.glob("*/real_*")]):
        for chosen in ("authors",) if each.name.startswith("real_") else RULES:
            got = scored(place / "score.json", each.parent.name, "--inputs", each, "--rules", chosen)
            if not each.name.startswith("real_"):
                check(got, each, chosen)
            print(each.parent.name, each.name, chosen, got["reported"])
