"""How far two judges agree about the same candidates, by round and verdict."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmevol.config.publish import AgreementSettings
from mmevol.publish.provenance import record
from mmevol.publish.table import Cell, Table, write_table
from mmevol.store import read_dicts

VERDICTS = ("improved", "faithful", "image_needed", "difficulty")

Pairs = Counter[tuple[float, float]]
"""How often the first judge said the one and the second the other."""

COLUMNS = ("evolution", "round", "verdict", "n", "agreement", "kappa", "difference")

NOTES = (
    "n: candidates of which both judges gave that verdict, survivors and eliminated alike. Agreement: the share where it is equal. "
    "Kappa: Cohen's, agreement beyond what the two judges' own frequencies would give by chance: low where "
    "nearly all verdicts are alike, however well the judges agree; – where all are.",
    "Difference: mean absolute difference of the difficulties, 0 to 10. The first judge's verdicts are those of all other tables.",
)


def agreement(pairs: Pairs) -> float | None:
    """The share of equal verdicts; None of none."""
    return sum(n for (a, b), n in pairs.items() if a == b) / pairs.total() if pairs else None


def kappa(pairs: Pairs) -> float | None:
    """Cohen's kappa, (observed - chance) / (1 - chance); None where the judges always say the one same thing.

    Source: J. Cohen, A coefficient of agreement for nominal scales, 1960.
    """
    total, first, second = pairs.total(), Counter[float](), Counter[float]()
    for (a, b), n in pairs.items():
        first[a] += n
        second[b] += n
    chance = sum(first[value] * second[value] for value in first)
    same = sum(n for (a, b), n in pairs.items() if a == b)
    return (same * total - chance) / (total**2 - chance) if chance < total**2 else None


def difference(pairs: Pairs) -> float | None:
    """Mean absolute difference; None of nothing."""
    return sum(abs(a - b) * n for (a, b), n in pairs.items()) / pairs.total() if pairs else None


def paired(rows: Iterable[dict[str, Any]], judges: tuple[str, str]) -> dict[str, Pairs]:
    """By verdict, what two judges said of the same candidates; what only one of them judged is left out."""
    found = {name: Pairs() for name in VERDICTS}
    for row in rows:
        said = {(v["judge"], v["name"]): v["value"] for v in row["verdicts"]}
        for name, pairs in found.items():
            first, second = (said.get((judge, name)) for judge in judges)
            if first is not None and second is not None:
                pairs[first, second] += 1
    return found


def agreement_table(rounds: dict[tuple[str, int], dict[str, Pairs]]) -> Table:
    """`rounds`: by evolution and round, what `paired` found; each evolution ends with all its rounds together."""

    def rows() -> Iterator[list[Cell]]:
        for evolution in dict.fromkeys(name for name, _ in rounds):
            mine: dict[int | str, dict[str, Pairs]] = {n: pairs for (e, n), pairs in rounds.items() if e == evolution}
            mine["all"] = {name: sum((pairs[name] for pairs in mine.values()), Pairs()) for name in VERDICTS}
            for number, by_name in mine.items():
                for name in VERDICTS:
                    yield [evolution, number, name, *_cells(name, by_name[name])]

    return Table("How far the two judges agree", COLUMNS, list(rows()), NOTES)


def _cells(name: str, pairs: Pairs) -> list[Cell]:
    if name == "difficulty":
        return [pairs.total(), None, None, difference(pairs)]
    return [pairs.total(), agreement(pairs), kappa(pairs), None]


def agreements(settings: AgreementSettings, *, evolve: Path, out: Path) -> None:
    """`mmevol publish agreement`: write the table `out` (path without suffix) over the evolutions below `evolve` that have a second
    judge. Streams the candidates."""
    rounds, files = {}, []
    for name, of in settings.evolutions.items():
        for number in range(1, of.rounds + 1):
            some = [evolve / name / f"round_{number}" / "candidates" / f"{i}.parquet" for i in range(settings.shards)]
            rows = (row for path in some for row in read_dicts(path, ["verdicts"]))
            rounds[name, number] = paired(rows, of.judges)
            files += some
    record(out, outputs=write_table(out, agreement_table(rounds)), inputs=files, settings=settings)
