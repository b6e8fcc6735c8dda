"""The preview: the very questions of the run, and a page on which what records say is text."""

import json
import re
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from builder import MARKUP, Make
from mmevol.config import Run
from mmevol.config.study import Study
from mmevol.endpoint.client import Outage
from mmevol.evolve.ask import ask
from mmevol.evolve.eliminate import eliminate
from mmevol.preview.page import duration, money, number, span
from mmevol.preview.plan import Interval
from mmevol.preview.preview import preview
from mmevol.preview.sample import sample, source_of
from mmevol.records import BadInput
from mmevol.replies import ReplyStore
from mmevol.seeds.audit import audit
from mmevol.seeds.curate import curate
from mmevol.store import bucket_of, rank_of
from scripted import Heard, Reply, Server, candidate, good, verdict


def full_run(study: Study) -> None:
    """What the rules do, shard by shard, in the study's own results."""
    root = Path(study.results)
    facts = Run(connections={name: e.connection() for name, e in study.endpoints.items()})
    images = Path(study.images_root) if study.images_root else None
    audit(study.audit_settings(), records=Path(study.records), images_root=images, out=root / "seeds")
    for shard in study.shards:
        seeds = root / f"seeds/shards/{shard}.parquet"
        usage = root / f"seeds/usage/{shard}.json"
        audited = root / f"seeds/audited/{shard}.parquet"
        curate(study.curate_settings(), facts, shard=shard, records=audited, out=seeds, usage=usage)
        for r in range(3):
            at = {
                kind: Path(study.round_file("full", r, kind, shard))
                for kind in ("candidates", "frontier", "ledger", "usage")
            }
            before = Path(study.round_file("full", r - 1, "frontier", shard)) if r > 1 else None
            usage = at["usage"].with_suffix(".json")
            settings = study.ask_settings("full", r)
            ask(settings, facts, shard=shard, seeds=seeds, frontier=before, out=at["candidates"], usage=usage)
            if r:
                eliminate(
                    study.eliminate_settings("full", r),
                    candidates=at["candidates"],
                    before=before,
                    requests=at["candidates"].with_suffix(".json"),
                    frontier=at["frontier"],
                    outcomes=at["ledger"],
                    ledger=at["ledger"].with_suffix(".json"),
                )


def mixed(n: int, heard: Heard) -> Any:
    """Some replies are no JSON, some candidates do not improve; texts hold markup."""
    odd = heard.headers["X-MMEvol-Request"][0] in "0123"
    if heard.block["task"] == "evolve":
        if odd:
            return Reply("no JSON")
        return {"candidates": [candidate(q["id"], answer=f"lamp {MARKUP} {q['id']}") for q in heard.block["qas"]]}
    said = good(heard.block)
    for item in said.get("verdicts", []):
        item.update(verdict(item["id"], improved=not odd, reason=f"because {MARKUP}"))
    return said


def test_the_full_run_does_not_ask_again(study: Make, server: Server, tmp_path: Path) -> None:
    server.answer = mixed
    of = study()
    preview(of, n=7, evolution=None, out=tmp_path / "page.html")
    first = [h.headers["X-MMEvol-Request"] for h in server.heard]
    assert len(first) == len(set(first)) > 30
    full_run(of)
    keys = [h.headers["X-MMEvol-Request"] for h in server.heard]
    assert len(keys) == len(set(keys)), "no question twice"
    usage = [json.loads(p.read_text()) for p in Path(of.results).rglob("usage/?.json")]
    taken = sum(row["from_store"] for job in usage for row in job["endpoints"])
    assert taken == len(first), "every answer of the preview is used by the run"


class Tags(HTMLParser):
    """The tags of a page and the text that a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_everything_and_runs_nothing(study: Make, server: Server, tmp_path: Path) -> None:
    server.answer = mixed
    out = tmp_path / "page.html"
    of = study(prices={"input": 2, "output": 8, "currency": "EUR"})
    plan = preview(of, n=9, evolution="full", out=out)
    page = out.read_text()
    seen = Tags(page)
    assert not {tag for tag, _ in seen.tags} & {"script", "link", "iframe", "object", "base", "form"}
    assert not [name for _, attrs in seen.tags for name in attrs if name.startswith("on")]
    sources = [attrs["src"] or "" for tag, attrs in seen.tags if tag == "img"]
    assert len(sources) == 9
    assert all(s.startswith("data:image/jpeg;base64,") for s in sources)
    assert "http" not in re.sub(r"Content-Security-Policy|http-equiv", "", page)
    assert seen.text.count(MARKUP) > 20, "what records and models say is there, as text"
    for word in (
        "survived",
        "eliminated: not improved",
        "failed: refusal",
        "EUR",
        "answered blind",
        "because",
        "find the cup",
    ):
        assert word in seen.text
    boxes = [attrs for _, attrs in seen.tags if attrs.get("class") == "box"]
    assert "left: 10.0%; top: 20.0%; width: 20" in (boxes[0]["style"] or "")
    keys = sorted((f"rec-{i}" for i in range(30)), key=lambda key: rank_of(of.seed, key))[:9]
    assert all(key in seen.text for key in keys)
    assert span(plan.requests) in seen.text
    assert span(plan.money, "money") in seen.text


def test_a_record_that_could_not_be_curated_is_shown_as_such(study: Make, server: Server, tmp_path: Path) -> None:
    server.answer = lambda n, heard: {"qas": []} if heard.block["task"] == "curate" else good(heard.block)
    preview(study(), n=9, evolution=None, out=tmp_path / "page.html")
    assert "none could be written about it" in (tmp_path / "page.html").read_text()


def test_an_evolution_that_is_not_there_is_bad_input(study: Make, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="one of: full"):
        preview(study(), n=2, evolution="fill", out=tmp_path / "page.html")


def test_answers_are_timed_for_the_plan(study: Make, server: Server, tmp_path: Path) -> None:
    server.answer = lambda n, heard: Reply(good(heard.block), delay=0.3)
    plan = preview(study(concurrency=64), n=3, evolution=None, out=tmp_path / "page.html")
    assert 0.3 <= plan.hours.value * 3600 * 64 / plan.requests.value < 3


def test_a_dead_endpoint_ends_the_preview_and_leaves_no_page(study: Make, server: Server, tmp_path: Path) -> None:
    server.answer = lambda n, heard: Reply(status=500) if n else good(heard.block)
    with pytest.raises(Outage):
        preview(study(patience=0.3), n=2, evolution=None, out=tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_numbers_are_said_as_people_say_them() -> None:
    assert [number(v) for v in (0, 7.4, 999, 12_345, 166_000, 4_123_456, 2.5e9)] == [
        "0",
        "7",
        "999",
        "12,300",
        "166 k",
        "4.12 M",
        "2.5 G",
    ]
    assert [money(v) for v in (0, 0.00123, 0.5, 12.345, 1234.5)] == ["0.00", "0.0012", "0.50", "12.35", "1,234"]
    assert [duration(s) for s in (0.2, 80, 600, 7200, 864000)] == ["1 s", "80 s", "10 min", "2.0 h", "10.0 days"]
    assert span(Interval(1, 0.5, 2), "hours") == "30 min – 2.0 h"
    assert span(Interval(5, 5, 5)) == "5"


def test_each_of_two_judges_has_its_say(study: Make, server: Server, tmp_path: Path) -> None:
    judge = {"judge": {"second": {"endpoint": "other"}, "blind": None, "seeds": False}}
    of = study(evolve={"evolutions": {"full": {"rounds": 1} | judge}})

    def answer(n: int, heard: Heard) -> Any:
        said, first = good(heard.block), heard.body["model"] == "scripted"
        for item in said.get("verdicts", []):
            item.update(
                verdict(item["id"], improved=first, difficulty=7 if first else 2, reason="up" if first else "down")
            )
        return said

    server.answer = answer
    preview(of, n=6, evolution=None, out=tmp_path / "page.html")
    text = " ".join(Tags((tmp_path / "page.html").read_text()).text.split())
    assert "difficulty 7 by scripted" in text
    assert "difficulty 2 by other" in text
    assert re.search(r"scripted ?improved: yes.*?up.*?other ?improved: no.*?down", text), text[6000:9000]


def test_a_study_in_batch_mode_is_previewed_online(study: Make, server: Server, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    prices = {"input": 2000, "cached_input": 2000, "output": 0, "batch": 0.5}
    of = study(mode="batch", prices=prices)
    plan = preview(of, n=4, evolution=None, out=out)
    assert server.heard
    text = Tags(out.read_text()).text
    assert "asks evolver and judge in batches; a preview asks online, at the full price" in text
    assert f"{len(server.heard) * (100 * 2000) / 1e6:.4g} USD. The answers are kept" in text
    assert "up to " + duration(plan.hours.high * 3600) in text
    assert plan.free == len(server.heard), "the run in batches finds them"
    preview(study(), n=4, evolution=None, out=out)
    assert "in batches" not in out.read_text()


def test_the_page_says_what_a_smoke_study_is_and_that_a_budget_stops_it(study: Make, tmp_path: Path) -> None:
    out, of = tmp_path / "page.html", study(evolve={"budget": {"requests": 60}})
    plan = preview(of.model_copy(update={"smoke": True}), n=1, evolution=None, out=out)
    text = Tags(out.read_text()).text
    assert "smoke-only" in text
    assert "stops the run" in plan.warnings()[0]
    assert plan.warnings()[0] in text
    preview(study(), n=1, evolution=None, out=out)
    assert "smoke-only" not in Tags(out.read_text()).text


def test_only_the_records_parts_of_the_store_are_owned(
    study: Make, tmp_path: Path, replies: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside a study that holds all others a preview goes on; for one that it needs it waits and says so, once."""
    of = study()
    with source_of(of) as source:
        mine = {bucket_of(r.key) for r in sample(of, source, first=2).first}
    with ReplyStore([b for b in range(256) if b not in mine], job="another study") as store:
        store.own()
        preview(of, n=2, evolution=None, out=tmp_path / "page.html")
    assert "waiting" not in capsys.readouterr().err
    held = ReplyStore(sorted(mine), job="another study")
    held.own()
    end = threading.Timer(1.0, held.close)
    end.start()
    preview(
        study(seed=9, evolve={"evolutions": {"full": {"rounds": 1}}}, model="new"),
        n=2,
        evolution=None,
        out=tmp_path / "p.html",
    )
    end.join()
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("waiting: ")]
    assert len(said) == 1
    assert "is held by another study" in said[0]
