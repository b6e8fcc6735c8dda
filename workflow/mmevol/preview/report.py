"""A plan as people read it in a terminal, and as programs do."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from mmevol.preview.forecast import Cell
from mmevol.preview.page import money, number, span, time
from mmevol.preview.plan import Plan

WIDTH = 110
"""Columns that a plan has at least: a row that is cut says nothing."""


def show(plan: Plan) -> None:
    """Print the plan."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        caption="answered: already in the reply store, or shared with another evolution. in, cached, out: tokens to pay for",
        title=f"{plan.study.study}: about {plan.population:,.0f} records",
    )
    total = Cell()
    for cell in plan.cells.values():
        total.add(cell)
    numbers: dict[str, Callable[[Cell], str]] = {
        "requests": lambda c: number(c.requests),
        "answered": lambda c: number(c.free),
        "in": lambda c: number(c.input),
        "cached": lambda c: number(c.cached),
        "out": lambda c: number(c.output),
        plan.currency: lambda c: money(c.money),
    }
    if not total.cached:
        del numbers["cached"]
    for name in ("where", "role"):
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    for where, role, cell in plan.rows:
        table.add_row(where, role, *(text(cell) for text in numbers.values()))
    table.add_section()
    table.add_row("total", "", *(text(total) for text in numbers.values()))
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(table)
    console.print("\n".join(summary(plan)), highlight=False, soft_wrap=True)


def summary(plan: Plan) -> list[str]:
    """The totals still to be spent, with their intervals, and what they rest on."""
    lines = [
        f"to ask    {number(plan.requests.value)} requests ({span(plan.requests)}),"
        f" besides {number(plan.free)} that are answered or shared",
        f"tokens    {number(plan.input.value)} in ({span(plan.input)}), {number(plan.output.value)} out ({span(plan.output)})",
        f"money     {money(plan.money.value)} {plan.currency} ({span(plan.money, 'money')})"
        if plan.priced
        else "money     unknown: the study's endpoints have no prices",
        f"time      {time(plan)} on {plan.machines} machine{'s' * (plan.machines > 1)}, held by {plan.wall.held_by}",
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
        "held_by": plan.wall.held_by,
        "batches": plan.wall.batches,
        "machines": plan.machines,
        "places": rows,
    }
    return json.dumps(value | {"survivors": plan.survivors, "notes": [*plan.warnings(), *plan.assumptions()]}, indent=1)
