"""The page of a preview: one HTML file, nothing fetched, no script. All that records and models say is text, never markup."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2

from mmevol.config.study import Study
from mmevol.endpoint.images import encode
from mmevol.preview.plan import Interval, Plan
from mmevol.preview.trial import Row, Tried
from mmevol.records import LETTERS, SeedRecord

SIDE = 640
"""Longest side in px of a picture on the page."""
COLORS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2", "#65a30d", "#dc2626")


@dataclass(frozen=True)
class Box:
    """An object's box as the page draws it: per cent of the picture."""

    label: str
    color: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Said:
    """What one judge said of a version: name, value and whether it speaks for it. ``judge`` is '' where there is only one."""

    judge: str
    difficulty: str
    verdicts: list[tuple[str, str, bool]]
    reasons: list[str]


@dataclass(frozen=True)
class Card:
    """A version or a failed try on the page."""

    row: Row
    said: list[Said]

    @property
    def outcome(self) -> str:
        """``seed``, ``survived``, ``eliminated`` or ``failed``."""
        return str(self.row["outcome"])

    @property
    def options(self) -> list[tuple[str, str, bool]]:
        """Letter, text, and whether it is the answer."""
        pairs = zip(LETTERS, self.row["options"], strict=False)
        return [(letter, text, text == self.row["answer"]) for letter, text in pairs]


def page(
    study: Study,
    evolution: str,
    tried: list[Tried],
    plan: Plan,
    usage: list[dict[str, Any]],
    seconds: float,
    images: Path | None,
) -> str:
    """The page's HTML. `usage`: what the jobs of the preview asked; `seconds`: how long they took."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"number": number, "span": span, "duration": duration, "money": money}
    rows = [row for t in tried for row in t.rows]
    return environment.get_template("page.html.jinja").render(
        study=study,
        evolution=evolution,
        records=[_record(t, images) for t in tried],
        rounds=_rounds(rows),
        plan=plan,
        spent=_spent(usage),
        seconds=seconds,
        time=time(plan),
        batched=sorted(
            {r["endpoint"] for job in usage for r in job["endpoints"] if study.endpoints[r["endpoint"]].mode == "batch"}
        ),
    )


def number(value: float) -> str:
    """A count as people read it: 420; 12,300; 166 k; 4.1 M."""
    for least, unit, name in ((9.995e8, 1e9, "G"), (9.995e5, 1e6, "M"), (9.995e4, 1e3, "k")):
        if value >= least:
            return f"{value / unit:.3g} {name}"
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 1000 else f"{value:.0f}"


def money(value: float) -> str:
    """An amount with as many digits as say something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 0.1 or value == 0 else f"{value:.2g}"


def span(interval: Interval, of: str = "number") -> str:
    """The ends of an interval, ``low – high``."""
    text: Callable[[float], str] = {"number": number, "money": money, "hours": lambda hours: duration(hours * 3600)}[of]
    low, high = text(interval.low), text(interval.high)
    return low if low == high else f"{low} – {high}"


def duration(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


def time(plan: Plan) -> str:
    """How long the run takes; in batch mode only a bound is known."""
    return f"up to {duration(plan.hours.high * 3600)}" if plan.wall.batches else span(plan.hours, "hours")


def _rounds(rows: list[Row]) -> list[tuple[int, int, int, list[tuple[str, int]]]]:
    """Round, sent, survived, and how many went for which reason."""
    found = []
    tries = sorted((r for r in rows if r["outcome"] != "seed"), key=lambda r: r["round"])
    for round_, some in groupby(tries, key=lambda r: r["round"]):
        sent = list(some)
        reasons = sorted(r["reason"] for r in sent if r["outcome"] != "survived")
        gone = [(reason.replace("_", " "), len(list(same))) for reason, same in groupby(reasons)]
        found.append((round_, len(sent), sum(r["outcome"] == "survived" for r in sent), gone))
    return found


def _spent(usage: list[dict[str, Any]]) -> dict[str, float]:
    """What the preview itself asked, took from the store and cost."""
    rows = [row for job in usage for row in job["endpoints"]]
    names = ("asked", "from_store", "input_tokens", "cached_tokens", "output_tokens", "money")
    return {name: sum(row[name] for row in rows) for name in names}


def _record(t: Tried, images: Path | None) -> dict[str, Any]:
    """A record as the template wants it: picture, boxes, and the lines with their versions."""
    lines = []
    for seed in (row for row in t.rows if row["outcome"] == "seed"):
        said = [v.model_dump() for v in t.seeds.get(seed["id"], [])]
        versions = [_card({**seed, "verdicts": said}, seed=True)]
        versions += [_card(row) for row in t.rows if row["line"] == seed["line"] and row["outcome"] != "seed"]
        lines.append(versions)
    return {"record": t.record, "picture": _picture(t.record, images), "boxes": _boxes(t.record), "lines": lines}


def _card(row: Row, *, seed: bool = False) -> Card:
    judges = list(dict.fromkeys(v["judge"] for v in row["verdicts"]))
    by_judge = [[v for v in row["verdicts"] if v["judge"] == judge] for judge in judges]
    names = judges if len(judges) > 1 else [""]
    return Card(row, [_said(name, some, seed) for name, some in zip(names, by_judge, strict=False)])


def _said(judge: str, some: list[dict[str, Any]], seed: bool) -> Said:
    values = {v["name"]: v["value"] for v in some}
    difficulty = f"{values['difficulty']:g}" if "difficulty" in values else ""
    good = {"improved": 1, "faithful": 1, "image_needed": 1, "answered_blind": 0}
    verdicts = [
        (name.replace("_", " "), "yes" if values[name] else "no", values[name] == right)
        for name, right in good.items()
        if name in values and not (seed and name == "improved")
    ]
    reasons = [("asked blind, " * (v["name"] == "answered_blind")) + v["reason"] for v in some if v["reason"]]
    return Said(judge, difficulty, verdicts, [] if seed else list(dict.fromkeys(reasons)))


def _boxes(record: SeedRecord) -> list[Box]:
    return [
        Box(o.label, COLORS[i % len(COLORS)], *(100 * c for c in (x1, y1, x2 - x1, y2 - y1)))
        for i, o in enumerate(record.objects)
        for x1, y1, x2, y2 in [o.bbox]
    ]


def _picture(record: SeedRecord, images: Path | None) -> str:
    """The picture as a data URL, small enough for a page; '' where there is none."""
    if record.image is None or images is None:
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(encode(images / record.image, SIDE)).decode()
