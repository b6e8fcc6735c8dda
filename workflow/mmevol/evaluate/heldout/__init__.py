"""Held-out benchmarks: one a column of the paper, in the official file formats, made from scenes that training never saw."""
