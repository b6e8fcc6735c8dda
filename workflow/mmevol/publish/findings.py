"""The study in three lines: the main difference as measured, the yield, and how well the gates work."""

from collections.abc import Sequence
from pathlib import Path

from mmevol.config.publish import FindingsSettings
from mmevol.publish.provenance import record
from mmevol.publish.results import AVERAGE, signed
from mmevol.publish.table import read_table
from mmevol.store import write_text

Rows = Sequence[dict[str, str]]


def percent(share: float | str) -> str:
    """A share as whole percent, with a decimal where rounding would make all or none of it."""
    whole = f"{100 * float(share):.0f} %"
    return f"{100 * float(share):.1f} %" if whole in ("0 %", "100 %") and float(share) not in (0, 1) else whole


def gain(settings: FindingsSettings, benchmarks: Rows) -> str:
    """Line 1: the arm against the baseline on the average, and what may be said of it."""
    arm, baseline = settings.arm, settings.baseline
    row = next((r for r in benchmarks if r["arm"] == arm and r["benchmark"] == AVERAGE), None)
    if row is None or row["against"] != baseline or not row["delta"]:
        return f"Gain: not measured ({arm} against {baseline} has no average score in this study)."
    delta = float(row["delta"])
    count = len({r["benchmark"] for r in benchmarks} - {AVERAGE})
    head = f"Gain: {arm} − {baseline}, average of {count} benchmarks (n = {int(row['n']):,}): {signed(delta)} points"
    if not row["delta_low"]:
        return f"{head}; too few rows for an interval."
    low, high = float(row["delta_low"]), float(row["delta_high"])
    interval = f"95 % interval [{signed(low)}, {signed(high)}]"
    if low > 0:
        return f"{head}, {interval}: {arm} beats {baseline}."
    if high < 0:
        return f"{head}, {interval}: {arm} does not beat {baseline}; it is worse."
    smallest = (
        f"the smallest difference that this many rows could have shown is {float(row['smallest_detectable']):.1f}"
    )
    return f"{head}, {interval}: {arm} does not beat {baseline} beyond chance; {smallest}."


def yields(evolution: str, rounds: Rows) -> str:
    """Line 2: what became of what was sent, over all rounds and by round, and the commonest reasons."""
    mine = [r for r in rounds if r["evolution"] == evolution and r["sent"]]
    sent = sum(int(r["sent"]) for r in mine)
    if not sent:
        return f"Yield: {evolution} sent nothing."
    parts = []
    for name in ("eliminated", "failed"):
        reasons = {
            c.partition(": ")[2]: sum(int(r[c] or 0) for r in mine) for c in mine[0] if c.startswith(f"{name}: ")
        }
        top = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:2]
        listed = ", ".join(f"{reason} {n:,}" for reason, n in top if n)
        share = sum(int(r[name]) for r in mine) / sent
        parts.append(f"{percent(share)} {name}" + (f" (most: {listed})" if listed else ""))
    survived = sum(int(r["survived"]) for r in mine) / sent
    each = ", ".join(percent(r["yield"]) if r["yield"] else "–" for r in mine)
    return f"Yield: {evolution} sent {sent:,} Q&A: {percent(survived)} survived (by round {each}), {', '.join(parts)}."


def gates(elimination: Rows) -> str:
    """Line 3: recall and precision of the gates against planted faults."""
    found = {(r["of"], r["name"]): r for r in elimination}
    recall, alarms = found.get(("recall", "all faults")), found.get(("false alarms", "no fault"))
    if not recall:
        return "Gates: not measured (no faults were planted)."
    worst = min(
        (r for (of, name), r in found.items() if of == "recall" and name != "all faults"),
        key=lambda r: (float(r["share"]), r["name"]),
    )
    precision = found.get(("precision", "all stopped"))
    return (
        f"Gates: of {int(recall['n']):,} planted faults {percent(recall['share'])} were stopped "
        f"(least: {worst['name']}, {percent(worst['share'])} of {int(worst['n']):,})"
        + (f"; of all stopped {percent(precision['share'])} carried one" if precision else "")
        + (f"; {percent(alarms['share'])} of faultless replies were stopped" if alarms and alarms["share"] else "")
        + "."
    )


def findings(settings: FindingsSettings, *, tables: Path, out: Path) -> None:
    """`mmevol publish findings`: three lines from ``benchmarks.csv``, ``rounds.csv`` and ``elimination.csv`` in `tables`.

    A study that does not measure one of them has no such file; its line says so.
    """
    files = {
        name: path for name in ("benchmarks", "rounds", "elimination") if (path := tables / f"{name}.csv").exists()
    }
    rows: dict[str, Rows] = {name: read_table(path) for name, path in files.items()}
    evolved = (
        yields(settings.evolution, rows.get("rounds", ())) if settings.evolution else "Yield: nothing was evolved."
    )
    lines = [gain(settings, rows.get("benchmarks", ())), evolved, gates(rows.get("elimination", ()))]
    write_text(out, "\n".join(lines) + "\n")
    record(out.with_suffix(""), outputs=[out], inputs=files.values(), settings=settings)
