from typing import Any

import pytest
import yaml
from mmevol.config import Evolution
from mmevol.config.commands import DatasetSettings
from mmevol.evolve.card import ATTRIBUTIONS, Facts, card
from mmevol.records import SeedRecord


def settings(**changes: Any) -> DatasetSettings:
    values: dict[str, Any] = {
        "study": "demo",
        "evolution": "full",
        "rounds": [1, 2],
        "definition": Evolution(rounds=2, eliminate={"min_difficulty": [2, 3.5]}),
        "evolver": "symbolic-v1",
        "judge": "symbolic-v1",
    }
    return DatasetSettings(**values | changes)


def record(key: str, **changes: Any) -> SeedRecord:
    values: dict[str, Any] = {
        "key": key,
        "id": key,
        "image": f"{key}.png",
        "image_digest": "0",
        "source": "world",
        "licence": "CC0-1.0",
    }
    return SeedRecord(**values | changes)


def row(round_: int, outcome: str, reason: str = "", direction: str = "reasoning") -> dict[str, Any]:
    prompt = "abc123" if round_ else ""
    return {
        "round": round_,
        "outcome": outcome,
        "reason": reason,
        "direction": direction if round_ else "seed",
        "prompt": prompt,
    }


FIRST = (record("a"), [row(0, "seed"), row(1, "survived"), row(2, "eliminated", "not_improved")])
SECOND = (
    record("b", source="flickr|30k", licence="CC-BY-2.0", attribution="A. *Photographer*", curated=True),
    [row(0, "seed"), row(1, "failed", "schema"), row(2, "survived", direction="perceptual")],
)


@pytest.fixture
def facts() -> Facts:
    found = Facts()
    found.add(*FIRST)
    found.add(*SECOND)
    return found


def head(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_the_front_matter_is_the_hubs(facts: Facts) -> None:
    found = head(card(settings(), facts))
    assert found["license"] == ["cc-by-2.0", "cc0-1.0"] and found["language"] == ["en"]
    assert found["size_categories"] == ["n<1K"]
    assert "visual-question-answering" in found["task_categories"]
    assert found["configs"][0]["data_files"] == [{"split": "train", "path": "evolved.parquet"}]


def test_a_licence_that_the_hub_does_not_know_is_other_and_named() -> None:
    found = Facts()
    found.add(record("a", licence="My own terms"), [row(0, "seed")])
    front = head(card(settings(), found))
    assert front["license"] == "other" and front["license_name"] == "my own terms"


@pytest.mark.parametrize(("n", "size"), [(999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10**7, "n>10M")])
def test_sizes_follow_the_hubs_classes(n: int, size: str) -> None:
    found = Facts()
    found.add(record("a"), [row(0, "seed")])
    found.sources["world", "CC0-1.0"]["seeds"] = n
    assert head(card(settings(), found))["size_categories"] == [size]


def test_yield_directions_sources_prompts_and_thresholds_stand_in_it(facts: Facts) -> None:
    text = card(settings(), facts)
    assert "| 1 | 2 | 1 | 0 | 1 | 50 % | schema 1 |" in text
    assert "| 2 | 2 | 1 | 1 | 0 | 50 % | not_improved 1 |" in text
    assert "| perceptual | 1 | 50 % |" in text
    assert "| flickr\\|30k | CC-BY-2.0 | 1 | 1 | 1 | 1 | 1 |" in text
    assert "- reasoning: abc123" in text
    assert "- flickr\\|30k (CC-BY-2.0): A. *Photographer*" in text
    definition = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    assert definition["eliminate"]["min_difficulty"] == [2.0, 3.5] and definition["from"] == "seeds"


def test_the_teacher_is_called_what_it_is(facts: Facts) -> None:
    assert "symbolic program composer" in card(settings(evolver="symbolic-v1+faults.0a1b2c3d"), facts)
    assert "no language model" in card(settings(), facts)
    assert "symbolic" not in card(settings(evolver="gpt-4o-mini", judge="gpt-4o"), facts)


def test_defects_are_those_of_this_evolution(facts: Facts) -> None:
    plain = card(settings(evolver="m", judge="n"), facts)
    assert "Evolver and judge are the same model" not in plain and "Nothing was eliminated" not in plain
    assert "Evolver and judge are the same model (m)" in card(settings(evolver="m", judge="m"), facts)
    unjudged = Evolution(judge=None, eliminate=None, checks=False)
    text = card(settings(judge=None, definition=unjudged), facts)
    assert "Nothing was judged" in text and "Nothing was eliminated" in text and "structural checks were off" in text
    assert "Q&A of 1 records were written by the teacher from a caption" in plain
    bare = Facts()
    bare.add(record("a", image=None, licence="unknown"), [row(0, "seed")])
    assert "There are no pictures" in card(settings(), bare) and "licence of 1 records is unknown" in card(
        settings(), bare
    )


def test_record_text_is_a_value_and_never_a_template() -> None:
    found = Facts()
    found.add(record("a", attribution="{{ 7 * 7 }} {% raise %}\n# A heading"), [row(0, "seed")])
    assert "{{ 7 * 7 }} {% raise %} # A heading" in card(settings(), found)


def test_attributions_are_capped_and_the_rest_counted() -> None:
    found = Facts()
    for i in range(ATTRIBUTIONS + 5):
        found.add(record(str(i), attribution=f"person {i:04d}"), [row(0, "seed")])
    text = card(settings(), found)
    assert text.count(": person ") == ATTRIBUTIONS and "and 5 more, in the rows" in text


def test_the_card_does_not_depend_on_the_order_of_records(facts: Facts) -> None:
    other = Facts()
    other.add(*SECOND)
    other.add(*FIRST)
    assert card(settings(), facts) == card(settings(), other)
