"""Peak memory of `evolve ask` by records in a shard: a server that answers at once, small requests without pictures.

Each point is a process of its own: one round with a judge, one Q&A a record, 64 requests in flight.
"""

import tempfile
from pathlib import Path
from typing import Any

from bench import client, rate, serving
from workload import Work


def measure(counts: tuple[int, ...] = (5_000, 50_000, 200_000), in_flight: int = 64) -> dict[str, Any]:
    """``peak_rss_mb`` by records, and its growth per 100,000 records between the ends of the curve."""
    peaks: dict[str, float] = {}
    rates = []
    with serving(latency=0.0) as url:
        for count in counts:
            with tempfile.TemporaryDirectory() as folder:
                work = Work(
                    base_url=url, folder=Path(folder), requests=2 * count, in_flight=in_flight, image=False, long=False
                )
                client("prepare", work)
                row = client("stage", work)
                peaks[str(count)] = round(row["peak_mb"], 1)
                rates.append(round(rate(row), 1))
    growth = (peaks[str(counts[-1])] - peaks[str(counts[0])]) / max(1, counts[-1] - counts[0]) * 100_000
    return {
        "peak_rss_mb": peaks,
        "peak_rss_growth_mb_per_100k": round(growth, 2),
        "requests_per_s": rates,
        "rounds": 1,
        "in_flight": in_flight,
    }
