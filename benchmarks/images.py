"""What a cold picture costs: the engine's way to a request's data URL, against decoding, resizing and encoding alone."""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from workload import SHARDS


def measure(rounds: int = 5, pictures: int = 40, at_once: int = 4) -> dict[str, Any]:
    """``cold_image_vs_encode``: CPU of the whole process for pictures that no store has yet, over that of `encode` alone; two
    requests want each picture at the same time, as evolver and judge or two chunks of a record may. They go into the buckets of one
    shard, as its records' pictures do."""
    from mmevol.endpoint.images import encode
    from mmevol.endpoint.pictures import Pictures
    from mmevol.endpoint.prompt import Picture
    from mmevol.records import digest
    from mmevol.replies import ReplyStore
    from mmevol.store import buckets_of
    from PIL import Image

    buckets = list(buckets_of(0, SHARDS))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs = []
        for i in range(pictures):
            path = folder / f"{i}.jpg"
            noise = Image.effect_noise((160, 120), 60 + i).resize((640, 480), Image.Resampling.BICUBIC)
            noise.convert("RGB").save(path, quality=92)
            photographs.append(Picture(str(path), digest(path.name), (640, 480)))

        async def cold(round_: int) -> None:
            with ReplyStore(buckets, job="bench", root=folder / f"replies{round_}") as store:
                store.own()
                _ = [store.image(bucket, b"") for bucket in buckets]
                began.append(time.process_time())
                held = Pictures(store)
                for at in range(0, pictures, at_once):
                    asked = [p for p in photographs[at : at + at_once] for _ in range(2)]
                    await asyncio.gather(
                        *(held.base64(p, 512, buckets[int(p.digest[:8], 16) % len(buckets)]) for p in asked)
                    )
                ended.append(time.process_time())

        bare, began, ended = [], [], []
        for round_ in range(rounds + 1):
            start = time.process_time()
            for picture in photographs:
                encode(Path(picture.path), 512)
            bare.append(time.process_time() - start)
            asyncio.run(cold(round_))
        engine = [end - start for start, end in zip(began, ended, strict=True)]
    encode_s, engine_s = statistics.median(bare[1:]), statistics.median(engine[1:])  # the first round warms up
    return {
        "cold_image_vs_encode": round(engine_s / encode_s, 3),
        "rounds": rounds,
        "encode_ms": round(encode_s / pictures * 1000, 2),
        "cold_image_ms": round(engine_s / pictures * 1000, 2),
    }
