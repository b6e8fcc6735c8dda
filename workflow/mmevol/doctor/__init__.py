"""``mmevol doctor``: is this installation whole, and is an endpoint what the study says, before anything is spent?"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Row:
    """One line of a table: what is asked for, what was found, and what to do about it. ``wrong`` ends with exit code 2."""

    subject: str
    expected: str
    found: str
    verdict: Literal["ok", "wrong", "note"] = "ok"
    remedy: str = ""


def show(title: str, rows: list[Row]) -> None:
    """Print rows as a table."""
    from rich.console import Console
    from rich.table import Column, Table

    names = ("expected", "found", "", "remedy")
    table = Table(
        Column("", no_wrap=True), *(Column(n, overflow="fold") for n in names), title=title, title_justify="left"
    )
    styles = {"ok": "green", "note": "yellow", "wrong": "red"}
    for row in rows:
        verdict = f"[{styles[row.verdict]}]{row.verdict}[/]"
        table.add_row(
            row.subject, *(text.replace("[", "\\[") for text in (row.expected, row.found)), verdict, row.remedy
        )
    Console().print(table)
