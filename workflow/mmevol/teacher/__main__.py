"""``python -m mmevol.teacher``: the server alone, without the rest of the command line, so that a job has it in a moment."""

import sys

import typer

from mmevol.records import BadInput
from mmevol.teacher.command import serve

try:
    typer.run(serve)
except BadInput as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
