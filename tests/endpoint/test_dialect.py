import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmevol.endpoint.dialect import BOX, from_dialect, to_dialect

sizes = st.tuples(st.integers(32, 4000), st.integers(32, 4000))
coordinates = st.floats(0, 1).map(lambda x: round(x, 3))
boxes = st.lists(coordinates, min_size=4, max_size=4)


def numbers(text: str) -> list[float]:
    found = BOX.search(text)
    assert found
    return [float(g) for g in found.groups()]


@given(boxes, sizes, st.sampled_from(["unit", "permille", "pixels"]))
def test_a_box_comes_back_to_where_it_was(box: list[float], size: tuple[int, int], dialect: str) -> None:
    text = f"the cup at [{', '.join(f'{x:g}' for x in box)}] is red"
    there = to_dialect({"objects": [{"bbox": box}], "qas": [{"question": text}]}, dialect, size)
    back = from_dialect(there, dialect, size)
    step = {"unit": 0, "permille": 0.0005, "pixels": 0.5 / min(size)}[dialect] + 0.0006
    assert back["objects"][0]["bbox"] == pytest.approx(box, abs=step)
    assert numbers(back["qas"][0]["question"]) == pytest.approx(box, abs=step)
    if dialect != "unit":
        assert there["objects"][0]["bbox"] == numbers(there["qas"][0]["question"])
        assert all(x == int(x) for x in there["objects"][0]["bbox"])


def test_pixels_go_by_width_and_height() -> None:
    assert to_dialect([0.1, 0.2, 0.5, 1.0], "pixels", (200, 100)) == [20, 20, 100, 100]
    assert to_dialect("at [0.1, 0.2, 0.5, 1]!", "permille", None) == "at [100, 200, 500, 1000]!"
    assert from_dialect("at [100,200, 500 ,1000]!", "permille", None) == "at [0.1, 0.2, 0.5, 1]!"
    with pytest.raises(ValueError, match="width and height"):
        to_dialect([0.1, 0.2, 0.5, 1.0], "pixels", None)


@given(
    st.recursive(st.none() | st.booleans() | st.text(alphabet="abc [],", max_size=9), lambda x: st.lists(x, max_size=3))
)
def test_what_is_no_box_stays(value: object) -> None:
    assert to_dialect(value, "permille", None) == value
    assert from_dialect({"a": value}, "pixels", (10, 10)) == {"a": value}
