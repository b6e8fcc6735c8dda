from pathlib import Path

from mmevol.publish.versions import EVOLVED, SEED, difficulties, lengths, named, objects, singular
from mmevol.store import read_dicts
from small_study import Study


def test_lengths_count_seeds_and_survivors_apart(study: Study) -> None:
    found = lengths(study.dataset, "steps")
    rows = list(read_dicts(study.dataset, ["outcome", "steps"]))
    assert found.counts[SEED].total() == sum(r["outcome"] == "seed" for r in rows) == 180
    survived = [len(r["steps"]) for r in rows if r["outcome"] == "survived"]
    assert found.counts[EVOLVED].total() == len(survived)
    assert found.mean(EVOLVED) == sum(survived) / len(survived)


def test_an_object_counts_where_it_is_listed_or_named() -> None:
    vocabulary = {("wine", "glass"), ("star",), ("bus",)}
    assert named("How many wine glasses? Two stars.", vocabulary, 2) == {"star"}
    assert named("Is the wine glass left of the Star?", vocabulary, 2) == {"wine glass", "star"}
    assert named("A starfish on glass", vocabulary, 2) == set()


def test_plurals_lose_their_s_and_words_in_ss_keep_it() -> None:
    assert [singular(w) for w in ("stars", "glass", "bus", "cups")] == ["star", "glass", "bus", "cup"]


def test_seeds_that_list_no_objects_are_measured_by_their_text(study: Study) -> None:
    found = objects(study.dataset)
    rows = [r for r in read_dicts(study.dataset) if r["outcome"] == "seed"]
    assert not any(r["objects"] for r in rows)
    assert found[SEED]["star"] == sum("star" in r["question"] for r in rows) > 0
    assert found[EVOLVED]["star"] >= sum(
        "star" in r["objects"] for r in read_dicts(study.dataset) if r["outcome"] == "survived"
    )


def test_difficulty_of_version_0_comes_from_the_judged_seeds(study: Study) -> None:
    found = difficulties(study.dataset, study.judged)
    assert sorted(found) == [0, 1, 2, 3] and found[0].total() == 180
    assert sorted(difficulties(study.dataset, [])) == [1, 2, 3]
    means = [sum(v * n for v, n in c.items()) / c.total() for _, c in sorted(found.items())]
    assert means == sorted(means)


def test_failed_and_eliminated_tries_are_in_no_figure(study: Study, tmp_path: Path) -> None:
    in_use = {r["id"] for r in read_dicts(study.dataset) if r["outcome"] in ("seed", "survived")}
    assert lengths(study.dataset, "skills").counts[EVOLVED].total() + 180 == len(in_use)
