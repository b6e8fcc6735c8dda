"""``python -m mmevol`` is the command line."""

from mmevol.cli import main

main()
