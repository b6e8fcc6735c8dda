"""The gallery: a study's figures as small PNGs that a README can show."""

from pathlib import Path

from PIL import Image

from mmevol.config import FIGURES
from mmevol.records import BadInput
from mmevol.store import replacing

WIDTH = 800
COLORS = 128


def gallery(*, figures: Path, out: Path) -> list[Path]:
    """`mmevol publish gallery`: every figure of the study in `figures` as a PNG of at most 800 px width and 128 colours in `out`.

    Raises `BadInput` where there is none.
    """
    found = [path for name in FIGURES if (path := figures / f"{name}.png").exists()]
    if not found:
        raise BadInput(
            file=str(figures),
            field="(folder)",
            found="no figure",
            expected=f"PNGs of {', '.join(FIGURES)}",
            remedy="run `snakemake paper_figures` first",
        )
    written = []
    for path in found:
        with Image.open(path) as image:
            small = image.convert("RGB")
        if small.width > WIDTH:
            small = small.resize((WIDTH, round(small.height * WIDTH / small.width)), Image.Resampling.LANCZOS)
        small = small.quantize(COLORS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        with replacing(out / path.name) as temporary:
            small.save(temporary, format="PNG", optimize=True)
        written.append(out / path.name)
    return written
