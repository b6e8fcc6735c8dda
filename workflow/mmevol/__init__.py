"""MMEvol: evolve image instruction data, train on it, measure the gain."""
