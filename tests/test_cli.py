"""The command line as a user meets it: what it loads, what it says, with which exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmevol.config import AskSettings, Run
from mmevol.store import write_rows
from scripted import Reply, Server, connection, identity, record

HEAVY = {"torch", "transformers", "pyarrow", "aiohttp", "pandas", "matplotlib", "PIL", "snakemake"}


def mmevol(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mmevol", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


@pytest.mark.parametrize(
    "code",
    [
        "import mmevol",
        "import mmevol.config.resolve as s; s.load('config/test.yaml')",
        "import sys; sys.argv = ['mmevol', '--help']\ntry:\n    from mmevol.cli import main; main()\nexcept SystemExit: pass",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code: str) -> None:
    code += "\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert not HEAVY & set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("room", ["seeds", "evolve", "train", "evaluate", "publish", "teacher"])
def test_each_room_says_what_it_does(room: str) -> None:
    done = mmevol(room, "--help")
    assert done.returncode == 0
    assert "Commands" in done.stdout


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("{", "--settings"),
        ('{"thresholds": {"improvd": true}}', "improvd"),
        ("@/nowhere.json", "/nowhere.json"),
        ("[1]", "EliminateSettings"),
    ],
)
def test_bad_settings_end_with_2_and_a_message(tmp_path: Path, settings: str, said: str) -> None:
    paths = [x for n in ("candidates", "frontier", "outcomes", "ledger") for x in (f"--{n}", tmp_path / n)]
    done = mmevol("evolve", "eliminate", "--settings", settings, *paths)
    assert done.returncode == 2
    assert said in done.stderr
    assert "remedy" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_missing_file_ends_with_2(tmp_path: Path) -> None:
    paths = [x for n in ("candidates", "frontier", "outcomes", "ledger") for x in (f"--{n}", tmp_path / n)]
    done = mmevol("evolve", "eliminate", "--settings", "{}", *paths)
    assert done.returncode == 2
    assert str(tmp_path / "candidates") in done.stderr
    assert not list(tmp_path.iterdir())


def ask(tmp_path: Path, run: Run, **environment: str) -> subprocess.CompletedProcess[str]:
    write_rows(tmp_path / "seeds.parquet", "seed", [record("a")])
    settings = AskSettings(seed=1, round=1, directions={"reasoning": 1}, evolver="e", evolver_identity=identity())
    (tmp_path / "run.json").write_text(run.dump())
    paths = ["--seeds", tmp_path / "seeds.parquet", "--out", tmp_path / "r/c/0.parquet", "--usage", tmp_path / "u.json"]
    options = ["--settings", settings.dump(), "--run", f"@{tmp_path / 'run.json'}", "--shard", 0]
    return mmevol("evolve", "ask", *options, *paths, MMEVOL_REPLIES=str(tmp_path / "replies"), **environment)


def test_a_round_of_one_shard_runs_from_the_command_line(tmp_path: Path, server: Server) -> None:
    done = ask(tmp_path, Run(connections={"e": connection(server)}))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "r/c/0.parquet").exists()


def test_an_outage_ends_with_1_and_can_be_resumed(tmp_path: Path, server: Server) -> None:
    server.answer = lambda n, heard: Reply(status=500)
    done = ask(tmp_path, Run(connections={"e": connection(server, patience=0.2)}))
    assert done.returncode == 1
    assert "stopped: endpoint e: no answer" in done.stderr
    assert "run again to resume" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "r/c/0.parquet").exists()


def test_an_endpoint_that_is_not_there_ends_with_2(tmp_path: Path, server: Server) -> None:
    done = ask(tmp_path, Run(connections={"e": connection(server, base_url="http://127.0.0.1:9/v1")}))
    assert done.returncode == 2
    assert "endpoints.e.base_url" in done.stderr
    assert "http://127.0.0.1:9/v1" in done.stderr
    assert not (tmp_path / "r").exists() or not list((tmp_path / "r").rglob("*.parquet"))


def test_a_run_without_the_endpoint_ends_with_2(tmp_path: Path) -> None:
    done = ask(tmp_path, Run())
    assert done.returncode == 2
    assert "connections.e" in done.stderr
