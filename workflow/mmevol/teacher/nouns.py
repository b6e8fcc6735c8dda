"""Nouns and the vocabularies that the teacher draws distractors and absent things from."""

from collections.abc import Iterable
from functools import lru_cache

COLORS = ("red", "blue", "green", "yellow", "purple", "black", "orange", "pink", "brown", "cyan", "gray", "white")
SIZES = ("small", "large")
SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross", "heart", "hexagon", "pentagon", "ring")
NUMBER_WORDS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)

THINGS = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant"),
    *("bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard"),
    *("sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle"),
    *("wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli"),
    *("carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet"),
    *("tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink"),
    *("refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush"),
)
"""The 80 object categories of COCO."""

VOCABULARY = frozenset((*SHAPES, *THINGS))

SYNONYMS = {
    **dict.fromkeys(("man", "woman", "boy", "girl", "child", "lady", "guy", "kid", "player", "people"), "person"),
    **{"doughnut": "donut", "bike": "bicycle", "motorbike": "motorcycle", "phone": "cell phone", "sofa": "couch"},
    **{
        "plane": "airplane",
        "table": "dining table",
        "plant": "potted plant",
        "television": "tv",
        "glass": "wine glass",
    },
}
"""What people call objects of those categories."""

_IRREGULAR = {
    **{"person": "people", "man": "men", "woman": "women", "child": "children", "mouse": "mice", "knife": "knives"},
    **{"foot": "feet", "tooth": "teeth", "goose": "geese", "leaf": "leaves", "shelf": "shelves", "loaf": "loaves"},
    **{
        "sheep": "sheep",
        "fish": "fish",
        "deer": "deer",
        "skis": "skis",
        "scissors": "scissors",
        "broccoli": "broccoli",
    },
    **{"tomato": "tomatoes", "potato": "potatoes", "wolf": "wolves"},
}


@lru_cache(maxsize=4096)
def plural(noun: str) -> str:
    """The plural of a noun of one or several words; the last word is the one that changes."""
    head, space, word = noun.rpartition(" ")
    if word in _IRREGULAR:
        many = _IRREGULAR[word]
    elif word.endswith(("s", "x", "z", "ch", "sh")):
        many = word + "es"
    elif word.endswith("y") and word[-2:-1] not in ("", *"aeiou"):
        many = word[:-1] + "ies"
    else:
        many = word + "s"
    return head + space + many


_SINGULAR = {plural(noun): noun for noun in (*THINGS, *SHAPES, *SYNONYMS, *_IRREGULAR)}


def singulars(labels: Iterable[str]) -> dict[str, str]:
    """Plural to singular for the labels of a picture; `singular` looks there first."""
    return {plural(label): label for label in labels}


def singular(noun: str, known: dict[str, str]) -> str:
    """The noun whose plural this is: of the picture's own labels, of the known vocabulary, or else by the spelling rules."""
    if noun in known:
        return known[noun]
    if noun in _SINGULAR:
        return _SINGULAR[noun]
    head, space, word = noun.rpartition(" ")
    if word in _SINGULAR:
        return head + space + _SINGULAR[word]
    for ending, replacement in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("sses", "ss"), ("s", "")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return head + space + word[: -len(ending)] + replacement
    return noun


def article(noun: str) -> str:
    """``a`` or ``an``."""
    return "an" if noun[:1] in "aeiou" else "a"
