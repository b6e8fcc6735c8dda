"""What two sets of pictures and texts share: found where it is, and only there."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.config.evaluate import Contamination
from mmevol.evaluate.benchmarks import Row
from mmevol.evaluate.overlap import Index, picture_hash, runs, words
from mmevol.records import BadInput
from PIL import Image, ImageDraw


def drawing(seed: int, size: int = 240) -> Image.Image:
    """A picture of its own for every seed: some large shapes."""
    picture = Image.new("RGB", (size, size), (245, 245, 245))
    pen = ImageDraw.Draw(picture)
    for n in range(9):
        left, top = (seed * 37 + n * 61) % 180 * size // 240, (seed * 53 + n * n * 29) % 180 * size // 240
        side = (20 + (seed + n) % 5 * 8) * size // 240
        pen.rectangle(
            (left, top, left + side, top + side), fill=((seed * 90 + n * 50) % 255, n * 25 % 255, seed * 40 % 255)
        )
    return picture


def saved(picture: Image.Image, **how: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, **how)  # type: ignore[arg-type]
    return buffer.getvalue()


def apart(left: bytes, right: bytes) -> int:
    return (picture_hash(left, "") ^ picture_hash(right, "")).bit_count()


@pytest.mark.parametrize("seed", range(8))
def test_another_format_quality_or_size_is_nearly_the_picture(seed: int) -> None:
    own = saved(drawing(seed), format="PNG")
    default = Contamination().distance
    assert apart(own, saved(drawing(seed), format="JPEG", quality=60)) <= default
    assert apart(own, saved(drawing(seed).resize((400, 400)), format="JPEG", quality=90)) <= default
    assert all(apart(own, saved(drawing(other), format="PNG")) > default for other in range(8) if other != seed)


@given(st.lists(st.text(alphabet="abc", min_size=1, max_size=3), max_size=12), st.integers(2, 5))
def test_runs(of: list[str], length: int) -> None:
    assert list(runs(of, length)) == [" ".join(of[at : at + length]) for at in range(len(of) - length + 1)]


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert words("What's the RED cup's size?\n(in cm)") == [
        *["what", "s", "the", "red", "cup", "s", "size", "in", "cm"]
    ]


def row(key: str, question: str, *pictures: Path) -> Row:
    return Row(key, pictures, question, question, {"index": key}, "prediction")


def index(rows: list[Row], **settings: int) -> Index:
    made = Index(Contamination(**settings))
    made.add("MMStar", rows)
    return made


def test_pictures_by_file_and_by_sight(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(saved(drawing(n), format="PNG"))
    rows = [row("a", "Q?", tmp_path / "0.png"), row("b", "R?", tmp_path / "1.png", tmp_path / "2.png"), row("c", "S?")]
    finder = index(rows).ready()
    again = saved(drawing(2), format="JPEG", quality=70)
    assert finder.near([picture_hash(again, ""), picture_hash(saved(drawing(5), format="PNG"), "")]) == [{1}, set()]
    from mmevol.store import file_digest

    assert finder.same(file_digest(tmp_path / "0.png")) == {0}
    assert finder.same("0" * 64) == set()
    assert index([row("c", "S?")]).ready().near([0]) == [set()]


def test_runs_of_words_and_a_benchmarks_own_phrase() -> None:
    phrase = "please answer with the letter of the one right option"
    rows = [row(str(n), f"{phrase} what is number {n} called") for n in range(4)]
    text = f"He said: {phrase}!"
    assert index(rows, words=6, common=3).ready().told(text) == set()
    assert index(rows, words=6, common=4).ready().told(text) == {0, 1, 2, 3}
    finder = index(rows, words=6, common=3).ready()
    assert finder.told("... right option what is number 2 called, do you know?") == {2}
    assert finder.asked(rows[1].question.upper() + "?") == [1]


def test_the_same_question_many_times_is_no_phrase() -> None:
    rows = [row(str(n), "how many of the small red cups stand on the long table") for n in range(9)]
    assert len(index(rows, words=8, common=2).ready().told(rows[0].question)) == 9


def test_what_is_no_picture(tmp_path: Path) -> None:
    whole = saved(drawing(1), format="PNG")
    for data in (b"no picture", whole[: len(whole) // 2]):
        (tmp_path / "0.png").write_bytes(data)
        with pytest.raises(BadInput, match="MMStar:a"):
            index([row("a", "Q?", tmp_path / "0.png")])
