import io
from pathlib import Path

import pytest
from mmevol.endpoint.images import encode
from PIL import Image


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize(
    ("size", "sent"), [((1000, 500), (512, 256)), ((100, 50), (100, 50)), ((300, 1200), (128, 512))]
)
def test_a_picture_is_made_no_larger_and_keeps_its_shape(
    tmp_path: Path, size: tuple[int, int], sent: tuple[int, int]
) -> None:
    for mode, name in {"RGB": "a.jpg", "P": "a.png", "RGBA": "b.png", "L": "c.png"}.items():
        Image.new(mode, size).save(tmp_path / name)
        picture = decoded(encode(tmp_path / name, 512))
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", sent)


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    Image.new("RGB", (200, 100)).save(tmp_path / "a.jpg", exif=exif)
    assert decoded(encode(tmp_path / "a.jpg", 512)).size == (100, 200)


def test_the_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    Image.effect_noise((700, 300), 40).save(tmp_path / "a.png")
    assert encode(tmp_path / "a.png", 256) == encode(tmp_path / "a.png", 256)


@pytest.mark.parametrize("content", [None, b"", b"no picture", b"\xff\xd8\xff\xe0 cut"])
def test_what_is_no_picture_is_an_os_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(OSError, match=r"a\.jpg"):
        encode(tmp_path / "a.jpg", 512)
