"""Predictions on held-out benchmarks, scored by the official rules."""
