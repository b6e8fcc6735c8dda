"""The benchmarks' official files: what they are, fetching them, and showing them to the rest under one layout."""
