"""The thirteen benchmarks, scored as the official code scores them: plain functions from rows to metrics.

`mmevol.evaluate.scoring.inputs.read_inputs` reads the files, `mmevol.evaluate.scoring.score.score` scores them.
"""

from typing import Literal

Rules = Literal["mmevol", "vlmevalkit-head", "authors"]
"""Rule sets: what the reference's own copy of the evaluation code does; VLMEvalKit as of 2026-08; each benchmark's own
published rule where the kit departs from it, the kit's elsewhere."""

RULES: tuple[Rules, ...] = ("mmevol", "vlmevalkit-head", "authors")
