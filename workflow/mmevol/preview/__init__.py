"""Before a study runs: what it will ask, take and cost (`plan`), and what it will make of a few records (`preview`)."""
