"""The tables ``benchmarks.tsv`` and ``files.tsv``: the benchmarks, their official files, and where each checksum is from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmevol.records import BadInput

HERE = Path(__file__).parent


@dataclass(frozen=True)
class OfficialFile:
    """One file, or one folder of pictures.

    ``part``: what it is to the benchmark (``data``, ``questions``, ``annotations``, ``submitted``, ``images``). ``path``: its
    place below the folder of all official files. ``url``, then ``mirror``: where it is; '' of pictures whose addresses stand in
    the questions. ``inside``: if that is an archive, the name in it, or with ``/`` at the end the folder. Checksums and
    ``bytes`` are of what lies at ``url``, '' and 0 where not known; ``md5_before``: of an older edition that is taken too.
    """

    benchmark: str
    split: str
    part: str
    path: str
    url: str
    mirror: str
    inside: str
    md5: str
    md5_before: str
    sha256: str
    bytes: int

    @property
    def sources(self) -> list[str]:
        """The addresses, the official one first."""
        return [address for address in (self.url, self.mirror) if address]

    @property
    def named(self) -> bool:
        """Whether it is a folder of pictures that a file of questions names. MMSInst's questions lie among its pictures."""
        return self.part == "images" and self.benchmark != "MMSInst"

    @property
    def archive(self) -> str:
        """The name of the archive that it is in."""
        return self.url.rsplit("/", 1)[-1] if self.inside else ""


def read(name: str) -> list[dict[str, str]]:
    """A table of this folder, by column."""
    head, *lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [dict(zip(head.split("\t"), line.split("\t"), strict=True)) for line in lines]


def splits(benchmark: str) -> list[str]:
    """The splits of a benchmark, the one that the paper reports first."""
    return [row["split"] for row in read("benchmarks.tsv") if row["benchmark"] == benchmark]


def official(benchmark: str, split: str | None = None) -> list[OfficialFile]:
    """The files of a benchmark, in the order in which they are fetched. Raises `BadInput` for a name that is not known."""
    known = splits(benchmark)
    if not known or split not in (None, *known):
        raise BadInput(
            file="benchmarks.tsv",
            field="split" if known else "benchmark",
            found=str(split) if known else benchmark,
            expected=", ".join(known or dict.fromkeys(row["benchmark"] for row in read("benchmarks.tsv"))),
            remedy="spell it as listed",
        )
    return [
        _file(row) for row in read("files.tsv") if row["benchmark"] == benchmark and row["split"] == (split or known[0])
    ]


def _file(row: dict[str, str]) -> OfficialFile:
    fields: dict[str, Any] = {name: row[name] for name in OfficialFile.__dataclass_fields__}
    return OfficialFile(**fields | {"bytes": int(row["bytes"] or 0)})
