"""The dataset card: what an evolved dataset holds, where it came from, how it was made and what is wrong with it.

It is written from the data alone and holds nothing about the run. The front matter is Hugging Face's.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import yaml

from mmevol.config.commands import DatasetSettings, sft_name
from mmevol.records import SeedRecord

HUB_LICENCES = {
    "apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc-by-nc-2.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "odc-by", "pddl", "unknown",
}  # fmt: skip
"""Licences that have an identifier of their own in the front matter; others are ``other``."""

SIZES = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M")]
ATTRIBUTIONS = 200
"""Attributions listed a source at most; every row of the data carries its own."""


@dataclass
class Facts:
    """What is counted while the dataset is written, record by record.

    ``sources``: by (source, licence): records, pictures, curated, seeds, survived. ``ends``: by round, how many Q&A ended with
    (outcome, reason). ``directions``: survivors by direction. ``prompts``: prompt digests by direction.
    """

    sources: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    attributions: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    ends: dict[int, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    directions: Counter[str] = field(default_factory=Counter)
    prompts: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, record: SeedRecord, rows: list[dict[str, Any]]) -> None:
        """Count a record and the rows of its lineage."""
        place = (record.source or "unnamed", record.licence)
        outcomes = Counter(row["outcome"] for row in rows)
        self.sources[place].update(
            records=1,
            pictures=int(record.image is not None),
            curated=int(record.curated),
            seeds=outcomes["seed"],
            survived=outcomes["survived"],
        )
        if record.attribution:
            self.attributions[place].add(record.attribution)
        for row in rows:
            if row["outcome"] == "seed":
                continue
            self.ends[row["round"]][row["outcome"], row["reason"]] += 1
            self.directions[row["direction"]] += row["outcome"] == "survived"
            if row["prompt"]:
                self.prompts[row["direction"]].add(row["prompt"])

    def total(self, name: str) -> int:
        """A count of ``sources`` over all of them."""
        return sum(counts[name] for counts in self.sources.values())


def front_matter(settings: DatasetSettings, facts: Facts) -> str:
    """The card's YAML head."""
    licences = sorted({licence.lower() for _, licence in facts.sources})
    ids = sorted({licence if licence in HUB_LICENCES else "other" for licence in licences}) or ["unknown"]
    size = facts.total("seeds") + facts.total("survived")
    head: dict[str, Any] = {
        "pretty_name": f"{settings.study}: {settings.evolution}",
        "license": ids[0] if len(ids) == 1 else ids,
        "language": ["en"],
        "size_categories": [next((name for limit, name in SIZES if size < limit), "n>10M")],
        "task_categories": ["visual-question-answering", "image-text-to-text"],
        "annotations_creators": ["machine-generated"],
        "tags": ["multimodal", "instruction-tuning", "synthetic", "mmevol"] + ["smoke-only"] * settings.smoke,
        "configs": [
            {"config_name": "lineage", "default": True, "data_files": [{"split": "train", "path": "evolved.parquet"}]},
            {"config_name": "sft", "data_files": [{"split": "train", "path": sft_name(settings.smoke)}]},
        ],
    }
    if "other" in ids:
        head["license_name"] = ", ".join(licence for licence in licences if licence not in HUB_LICENCES)
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=120)


def yields(facts: Facts) -> Iterator[dict[str, Any]]:
    """A row a round: sent, survived, eliminated, failed, yield, and the reasons by number."""
    for number, ends in sorted(facts.ends.items()):
        by = Counter[str]()
        for (outcome, _), n in ends.items():
            by[outcome] += n
        reasons = sorted(
            ((n, reason) for (_, reason), n in ends.items() if reason), key=lambda item: (-item[0], item[1])
        )
        yield {
            "round": number,
            "sent": ends.total(),
            **{name: by[name] for name in ("survived", "eliminated", "failed")},
            "yield": f"{100 * by['survived'] / ends.total():.0f} %",
            "reasons": ", ".join(f"{reason} {n}" for n, reason in reasons) or "none",
        }


def defects(settings: DatasetSettings, facts: Facts) -> Iterator[str]:
    """What a user of the data must know to be wrong or unsure about it."""
    definition, symbolic = settings.definition, settings.evolver.startswith("symbolic")
    if symbolic:
        yield "The language is that of a grammar: few words, few sentence forms, no world knowledge. Train on it only to test."
    if not facts.total("pictures"):
        yield "There are no pictures: the teacher had captions and boxes alone, and nothing was checked against an image."
    if settings.judge is None:
        yield "Nothing was judged: what survived passed the structural checks alone."
    elif settings.judge == settings.evolver:
        yield f"Evolver and judge are the same model ({settings.evolver}), which may share blind spots with itself."
    if definition.judge and not definition.judge.sees_image:
        yield "The judge did not see the pictures."
    if definition.judge and definition.judge.blind is None:
        yield "No blind check was made: some questions may be answered without the picture."
    if definition.eliminate is None:
        yield "Nothing was eliminated: rows carry verdicts that speak against them."
    if not definition.checks:
        yield "The structural checks were off: boxes and options may be wrong."
    if curated := facts.total("curated"):
        yield f"The Q&A of {curated:,} records were written by the teacher from a caption, and not checked by a person."
    if unknown := sum(c["records"] for (_, licence), c in facts.sources.items() if licence.lower() == "unknown"):
        yield f"The licence of {unknown:,} records is unknown."
    yield "No person has looked at the evolved Q&A. Near-duplicates are found by words, so a paraphrase may pass."


def card(settings: DatasetSettings, facts: Facts) -> str:
    """The text of the dataset's README.md."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = lambda text: " ".join(str(text).replace("|", "\\|").split())
    survivors = facts.directions.total()
    return environment.get_template("card.md.jinja").render(
        front=front_matter(settings, facts),
        settings=settings,
        facts=facts,
        symbolic=settings.evolver.startswith("symbolic"),
        sft=sft_name(settings.smoke),
        definition=yaml.safe_dump(
            settings.definition.model_dump(mode="json", by_alias=True), sort_keys=False, width=120
        ),
        yields=list(yields(facts)),
        directions=[(name, n, f"{100 * n / survivors:.0f} %") for name, n in sorted(facts.directions.items())]
        if survivors
        else [],
        prompts=[(name, sorted(found)) for name, found in sorted(facts.prompts.items())],
        sources=sorted(facts.sources.items(), key=lambda item: (-item[1]["records"], item[0])),
        attributions=[
            (place, sorted(names)[:ATTRIBUTIONS], max(0, len(names) - ATTRIBUTIONS))
            for place, names in sorted(facts.attributions.items())
        ],
        defects=list(defects(settings, facts)),
    )
