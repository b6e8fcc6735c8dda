"""Evolution: rewrite the frontier round after round, judge every candidate, eliminate what did not improve."""
