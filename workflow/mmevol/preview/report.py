"""A plan as people read it in a terminal, and as programs do."""

import json
from dataclasses import asdict
from typing import Any

from mmevol.preview.forecast import Cell
from mmevol.preview.page import money, number, span
from mmevol.preview.plan import Plan

COLUMNS = ("where", "role", "requests", "answered", "in", "cached", "out")


def _cells(cell: Cell) -> list[str]:
    return [number(v) for v in (cell.requests, cell.free, cell.input, cell.cached, cell.output)] + [money(cell.money)]


def show(plan: Plan) -> None:
    """Print the plan."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        caption="answered: already in the reply store. in, cached, out: tokens to pay for",
        title=f"{plan.study.study}: about {plan.population:,.0f} records",
    )
    for i, name in enumerate([*COLUMNS, plan.currency]):
        table.add_column(name, justify="right" if i > 1 else "left", no_wrap=True)
    total = Cell()
    for place, cell in plan.cells.items():
        table.add_row(place.where, place.role, *_cells(cell))
        total.add(cell)
    table.add_section()
    table.add_row("total", "", *_cells(total))
    console = Console()
    console.print(table)
    console.print("\n".join(summary(plan)), highlight=False, soft_wrap=True)


def summary(plan: Plan) -> list[str]:
    """The totals still to be spent, with their intervals, and what they rest on."""
    lines = [
        f"to ask    {number(plan.requests.value)} requests ({span(plan.requests)}), besides {number(plan.free)} that are answered",
        f"tokens    {number(plan.input.value)} in ({span(plan.input)}), {number(plan.output.value)} out ({span(plan.output)})",
        f"money     {money(plan.money.value)} {plan.currency} ({span(plan.money, 'money')})"
        if plan.priced
        else "money     unknown: the study's endpoints have no prices",
        f"time      {span(plan.hours, 'hours')} on {plan.machines} machine{'s' * (plan.machines > 1)}, held by {plan.held_by}",
        f"disk      {plan.bytes / 1e9:.2g} GB of answers and pictures in the reply store, less than as much again in results",
    ]
    for name, rounds in plan.survivors.items():
        if rounds:
            each = " + ".join(number(r) for r in rounds)
            lines.append(f"survivors {name}, {number(plan.taken[name])} records: {each} Q&A, round by round")
    return [*lines, *(f"note      {line}" for line in [*plan.warnings(), *plan.assumptions()])]


def figures(plan: Plan) -> str:
    """The plan as JSON."""
    names = ("requests", "input", "output", "money", "hours")
    value: dict[str, Any] = {name: asdict(getattr(plan, name)) for name in names}
    rows = [{**asdict(place), **asdict(cell)} for place, cell in plan.cells.items()]
    value |= {"study": plan.study.study, "records": plan.population, "sampled": plan.sampled, "currency": plan.currency}
    value |= {
        "answered": plan.free,
        "bytes": plan.bytes,
        "held_by": plan.held_by,
        "machines": plan.machines,
        "places": rows,
    }
    return json.dumps(value | {"survivors": plan.survivors, "notes": [*plan.warnings(), *plan.assumptions()]}, indent=1)
