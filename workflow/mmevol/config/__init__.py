"""The configuration of a study: the only definition of its keys and of every default.

A module a section; `resolve` reads a file, `layout` says where things lie, `study` what each of the `commands` may see. Light to
import: the Snakefile parses with it.
"""

from mmevol.config.commands import AskSettings, CurateSettings, EliminateSettings, Run, ScratchSettings
from mmevol.config.endpoints import Batch, Connection, Endpoint, Faults, Identity, ImageTokens, Limits, Prices
from mmevol.config.evaluate import BENCHMARKS, DISPLAY, Benchmark, Evaluate
from mmevol.config.evolve import Blind, Budget, Eliminate, Evolution, Evolve, Judge, Target
from mmevol.config.publish import FIGURES, Figure, Publish
from mmevol.config.section import Fraction, Name, Section
from mmevol.config.seeds import Curate, Seeds

__all__ = [
    "BENCHMARKS",
    "DISPLAY",
    "FIGURES",
    "AskSettings",
    "Batch",
    "Benchmark",
    "Blind",
    "Budget",
    "Connection",
    "Curate",
    "CurateSettings",
    "Eliminate",
    "EliminateSettings",
    "Endpoint",
    "Evaluate",
    "Evolution",
    "Evolve",
    "Faults",
    "Figure",
    "Fraction",
    "Identity",
    "ImageTokens",
    "Judge",
    "Limits",
    "Name",
    "Prices",
    "Publish",
    "Run",
    "ScratchSettings",
    "Section",
    "Seeds",
    "Target",
]
