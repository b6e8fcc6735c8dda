"""The thirteen benchmarks, scored as the official code scores them: plain functions from rows to metrics."""

from mmevol.evaluate.scoring.inputs import Inputs, read_inputs
from mmevol.evaluate.scoring.judge import JudgeQuestion, Judges
from mmevol.evaluate.scoring.score import RULES, Rules, Score, paired_standard_error, score

__all__ = [
    "RULES",
    "Inputs",
    "JudgeQuestion",
    "Judges",
    "Rules",
    "Score",
    "paired_standard_error",
    "read_inputs",
    "score",
]
