"""The photo study: seven photographs that two packages ship, captioned and boxed by hand for this project.

The pictures are copied as they lie in the installed packages; nothing is downloaded. Captions, boxes and Q&A are this project's
own (CC0-1.0); the pictures keep their licences, which travel with the records.
"""

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmevol.records import BadInput, canonical
from mmevol.store import replacing, write_text

Corners = tuple[int, int, int, int]
"""x1, y1, x2, y2 in px."""


@dataclass(frozen=True)
class Photo:
    """A photograph. ``file``: its place in ``package``; ``things``: label, colour ('' unsaid) and box."""

    package: str
    file: str
    size: tuple[int, int]
    licence: str
    attribution: str
    caption: str
    things: tuple[tuple[str, str, Corners], ...]
    qas: tuple[tuple[str, str], ...] = field(default=())


PHOTOS = (
    Photo(
        package="skimage",
        file="data/coffee.png",
        size=(600, 400),
        licence="CC0-1.0",
        attribution="Rachel Michetti, courtesy of Pikolo Espresso Bar",
        caption=(
            "A red cup, white inside and half full of coffee, stands on a red saucer on a wooden table. "
            "A spoon lies on the saucer."
        ),
        things=(
            ("cup", "red", (172, 18, 409, 309)),
            ("saucer", "red", (77, 68, 480, 388)),
            ("coffee", "brown", (204, 95, 370, 193)),
            ("spoon", "silver", (326, 66, 425, 327)),
            ("dining table", "brown", (0, 0, 600, 400)),
        ),
        qas=(("What color is the saucer?", "red"), ("What lies beside the cup?", "A spoon lies on the saucer.")),
    ),
    Photo(
        package="skimage",
        file="data/chelsea.png",
        size=(451, 300),
        licence="CC0-1.0",
        attribution="Stefan van der Walt",
        caption="The face of a tabby cat with green eyes, seen from near. It looks to the right of the camera.",
        things=(
            ("cat", "brown", (0, 0, 401, 300)),
            ("eye", "green", (134, 84, 208, 149)),
            ("eye", "green", (294, 109, 343, 165)),
            ("nose", "pink", (237, 226, 293, 267)),
        ),
        qas=(("How many eyes are there?", "2"),),
    ),
    Photo(
        package="skimage",
        file="data/camera.png",
        size=(512, 512),
        licence="CC0-1.0",
        attribution="Lav Varshney",
        caption=(
            "A man in a black coat bends down to a camera on a tripod on a lawn. "
            "A tower and a dome stand far behind. The photograph is grey."
        ),
        things=(
            ("man", "", (0, 63, 332, 512)),
            ("coat", "black", (0, 105, 293, 512)),
            ("camera", "gray", (252, 138, 326, 191)),
            ("tripod", "gray", (229, 176, 408, 512)),
            ("tower", "white", (410, 116, 434, 194)),
        ),
        qas=(
            ("Is there a tripod in the image?", "Yes"),
            ("What is the man looking through?", "He looks through a camera."),
        ),
    ),
    Photo(
        package="skimage",
        file="data/astronaut.png",
        size=(512, 512),
        licence="Public domain",
        attribution="NASA (the astronaut Eileen Collins)",
        caption=(
            "A smiling woman in an orange space suit holds a black helmet. A flag hangs on the left, "
            "and a model of a space shuttle stands behind her on the right."
        ),
        things=(
            ("woman", "", (20, 14, 365, 512)),
            ("suit", "orange", (20, 205, 365, 512)),
            ("helmet", "black", (276, 343, 512, 512)),
            ("flag", "", (0, 0, 96, 512)),
            ("space shuttle", "white", (354, 0, 472, 291)),
            ("patch", "blue", (133, 347, 209, 423)),
            ("name tag", "blue", (278, 339, 329, 378)),
        ),
        qas=(("What color is the suit?", "orange"), ("Is there a helmet in the image?", "Yes")),
    ),
    Photo(
        package="skimage",
        file="data/rocket.jpg",
        size=(640, 427),
        licence="Public domain",
        attribution="SpaceX (Falcon 9 with DSCOVR)",
        caption=(
            "A white rocket stands upright on its launch pad at dusk, between four lattice towers. "
            "Seven lights shine at the ground."
        ),
        things=(
            ("rocket", "white", (307, 126, 337, 407)),
            *(
                ("tower", "", box)
                for box in ((0, 0, 89, 427), (167, 122, 206, 392), (438, 122, 481, 427), (559, 0, 640, 427))
            ),
            *(
                ("light", color, (x - 10, y - 10, x + 10, min(y + 10, 427)))
                for color, x, y in (
                    ("yellow", 83, 350),
                    ("yellow", 151, 377),
                    ("yellow", 193, 396),
                    ("yellow", 364, 398),
                    ("yellow", 433, 394),
                    ("white", 110, 417),
                    ("white", 450, 418),
                )
            ),
        ),
        qas=(("How many towers are there?", "4"), ("What color is the rocket?", "white")),
    ),
    Photo(
        package="sklearn",
        file="datasets/images/china.jpg",
        size=(640, 427),
        licence="CC-BY-2.0",
        attribution="danielbuechele, https://www.flickr.com/photos/danielbuechele/6061409035/",
        caption="A red pagoda with orange and green roofs rises above trees. A lake with an island lies behind it.",
        things=(
            ("pagoda", "red", (63, 29, 380, 412)),
            ("pine tree", "green", (546, 136, 640, 427)),
            ("lake", "blue", (0, 219, 562, 331)),
            ("island", "green", (424, 226, 502, 242)),
        ),
        qas=(("Is there a pagoda in the image?", "Yes"),),
    ),
    Photo(
        package="sklearn",
        file="datasets/images/flower.jpg",
        size=(640, 427),
        licence="CC-BY-2.0",
        attribution="vultilion, https://www.flickr.com/photos/vultilion/6056698931/",
        caption=(
            "A round orange flower in full bloom before dark green leaves. "
            "Below it the top of a second flower and a small bud are seen."
        ),
        things=(
            ("flower", "orange", (168, 85, 447, 361)),
            ("flower", "orange", (286, 374, 470, 427)),
            ("bud", "green", (579, 392, 622, 427)),
            ("leaf", "green", (0, 62, 144, 336)),
        ),
    ),
)
"""The last has only a caption, so that the curation step has something to do.

scikit-learn's own note names one author for both of its pictures; the address it gives for the flower is vultilion's.
"""


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise BadInput(
            file="(installed packages)",
            field="seeds.source",
            found=f"photos, but {package} is not installed",
            expected="scikit-image and scikit-learn, which carry the pictures",
            remedy="pip install 'mmevol[workflow]'",
        )
    return Path(spec.origin).parent


def record(photo: Photo) -> dict[str, Any]:
    """A photograph as a record of the reference format, with attributes in ``det``."""
    width, height = photo.size
    name = Path(photo.file).name
    return {
        "id": Path(name).stem,
        "image": name,
        "width": width,
        "height": height,
        "caption": [
            {"from": "human", "value": "<image>\nDescribe the image."},
            {"from": "gpt", "value": photo.caption},
        ],
        "det": [
            {
                "label": label,
                "bbox": [round(c / side, 3) for c, side in zip(box, photo.size * 2, strict=True)],
                "attributes": {"color": color} if color else {},
            }
            for label, color, box in photo.things
        ],
        "topic_name": ["photographs"],
        "conversations_v0": [{"question": question, "answer": answer} for question, answer in photo.qas],
        "source": {"skimage": "scikit-image", "sklearn": "scikit-learn"}[photo.package],
        "licence": photo.licence,
        "attribution": photo.attribution,
    }


def export(*, records: Path, images: Path) -> None:
    """Copy the photographs into `images`, then write their records as JSONL into `records`.

    Raises `BadInput` where a package that carries them is not installed.
    """
    for photo in PHOTOS:
        data = (_folder(photo.package) / photo.file).read_bytes()
        with replacing(images / Path(photo.file).name) as temporary:
            temporary.write_bytes(data)
    write_text(records, "".join(canonical(record(photo)) + "\n" for photo in PHOTOS))
