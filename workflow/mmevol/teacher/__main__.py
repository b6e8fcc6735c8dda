"""``python -m mmevol.teacher``: the server alone, without the rest of the command line, so that a job has it in a moment."""

import typer

from mmevol.teacher.command import serve

typer.run(serve)
