"""The study that the tests of this folder plan and preview."""

from builder import study

__all__ = ["study"]
