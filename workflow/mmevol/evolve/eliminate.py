"""Elimination: which candidates stay, by thresholds on their verdicts and by likeness to earlier versions. No endpoint.

Each parent that was sent ends in exactly one outcome. What is eliminated or failed leaves the parent in the frontier.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from mmevol.config import Eliminate, EliminateSettings
from mmevol.evolve.blind import words
from mmevol.records import QA, Candidate, Frontier, Outcome, Reason
from mmevol.store import read_rows, write_json, writing


def shingles(text: str, n: int = 3) -> set[tuple[str, ...]]:
    """The word n-grams of a text; a shorter text is one gram."""
    w = words(text)
    return {tuple(w[i : i + n]) for i in range(max(1, len(w) - n + 1))}


def likeness(a: str, b: str) -> float:
    """Jaccard similarity of word 3-grams, 0..1."""
    x, y = shingles(a), shingles(b)
    return len(x & y) / len(x | y)


def text_of(qa: QA) -> str:
    """What near-duplicates are compared by."""
    return " ".join([qa.question, *qa.options, qa.answer])


def elimination(candidate: Candidate, history: list[str], t: Eliminate, judges: Sequence[str] = ()) -> Reason | None:
    """Why a valid candidate goes, or None if it stays.

    `history`: texts of the line's earlier versions, the parent's included. `judges`: models of the first and the second judge,
    where there are two; of the reasons that they give, the first one's stands.
    """
    assert candidate.version
    names: Sequence[str | None] = judges or [None]
    each = [turned_down(said(candidate, name), t) for name in names]
    match t.combine:
        case "first":
            why = each[0]
        case "both":
            why = next(filter(None, each), None)
        case "either":
            why = each[0] if all(each) else None
    if why:
        return why
    text = text_of(candidate.version.qa)
    if t.near_duplicate is not None and any(likeness(text, old) >= t.near_duplicate for old in history):  # type: ignore[operator]
        return Reason.NEAR_DUPLICATE
    return None


def said(candidate: Candidate, judge: str | None) -> dict[str, float]:
    """The verdicts of one judge, or of all, by name; the one blind check counts with each."""
    return {v.name: v.value for v in candidate.verdicts if judge in (None, v.judge) or v.name == "answered_blind"}


def turned_down(said: dict[str, float], t: Eliminate) -> Reason | None:
    """What a judge's verdicts have against a candidate."""
    if not said.keys() - {"answered_blind"} and (t.improved or t.faithful or t.image_needed or t.min_difficulty):
        return Reason.UNJUDGED
    if t.faithful and said.get("faithful") == 0:
        return Reason.UNFAITHFUL
    if t.image_needed and said.get("image_needed") == 0:
        return Reason.IMAGE_NOT_NEEDED
    if t.answered_blind and said.get("answered_blind") == 1:
        return Reason.ANSWERED_BLIND
    if t.improved and said.get("improved") == 0:
        return Reason.NOT_IMPROVED
    if said.get("difficulty", 10) < t.min_difficulty:  # type: ignore[operator]
        return Reason.TOO_EASY
    return None


def judged(candidates: Path, before: Path | None) -> Iterator[tuple[Candidate, list[str]]]:
    """Each candidate with the texts of its line's earlier versions, the parent's included. Both files go by record key."""
    rows: Iterator[Frontier] = read_rows(before, "frontier") if before else iter(())
    groups = groupby(rows, key=lambda row: row.version.record)
    for record, some in groupby(read_rows(candidates, "candidate"), key=lambda c: c.parent.record):
        old: dict[str, list[str]] = {}
        if before:
            name, group = next(groups)
            assert name == record, f"{before} and {candidates} differ at record {name} / {record}"
            old = {row.version.id: row.history for row in group}
        for candidate in some:
            yield candidate, [*(old.pop(candidate.parent.id) if before else []), text_of(candidate.parent.qa)]
        assert not old, f"{candidates} has no row for {', '.join(old)} of {before}"
    rest = next(groups, None)
    assert rest is None, f"{candidates} has no row for the records of {before} from {rest and rest[0]} on"


def eliminate(
    settings: EliminateSettings,
    *,
    candidates: Path,
    before: Path | None,
    requests: Path,
    frontier: Path,
    outcomes: Path,
    ledger: Path,
) -> None:
    """`mmevol evolve eliminate`: read candidates and the frontier `before` (None in round 1), write the new frontier, one
    outcome a parent, and the ledger that adds them up.

    Raises `AssertionError` where the ledger does not close: sent = survived + eliminated + failed.
    """
    counts: Counter[tuple[str, str]] = Counter()
    sent: set[str] = set()
    with writing(frontier, "frontier") as keep, writing(outcomes, "outcome") as tell:
        for c, history in judged(candidates, before):
            outcome = outcome_of(c, history, settings)
            survived = outcome.outcome == "survived"
            assert c.parent.id not in sent, f"parent {c.parent.id} was sent twice"
            sent.add(c.parent.id)
            counts[outcome.outcome, outcome.reason] += 1
            tell(outcome)
            keep(
                Frontier(
                    version=c.version if survived and c.version else c.parent,
                    history=history if survived else history[:-1],
                )
            )
    write_json(ledger, closed(counts, len(sent)) | json.loads(requests.read_text()))


def outcome_of(c: Candidate, history: list[str], settings: EliminateSettings) -> Outcome:
    """What became of a parent in this round."""
    t = settings.thresholds
    why = c.failed or (elimination(c, history, t, settings.judges) if t else None)
    return Outcome(
        record=c.parent.record,
        line=c.parent.line,
        parent=c.parent.id,
        round=c.round,
        direction=c.direction,
        outcome="failed" if c.failed else "eliminated" if why else "survived",
        reason=str(why or ""),
        candidate=c.version.id if c.version else "",
    )


def closed(counts: Counter[tuple[str, str]], sent: int) -> dict[str, object]:
    """The ledger of a round, asserted to close."""
    by = {
        kind: {reason: n for (k, reason), n in sorted(counts.items()) if k == kind}
        for kind in ("survived", "eliminated", "failed")
    }
    survived, eliminated, failed = (sum(reasons.values()) for reasons in by.values())
    assert sent == survived + eliminated + failed, "the ledger does not close"
    return {"sent": sent, "survived": survived, "eliminated": by["eliminated"], "failed": by["failed"]}
