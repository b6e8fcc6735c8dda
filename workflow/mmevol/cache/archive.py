"""A study's answers in one file, and back: with them the study is made again, to the same bytes, after the model is gone.

The archive is a tar with zstd of one segment a bucket, sorted by key, so the same answers give the same bytes; unpacked by hand
it is a reply store.
"""

import asyncio
import re
import shutil
import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import orjson

from mmevol.cache.survey import buckets
from mmevol.cache.walk import Used, scored, walk
from mmevol.config.study import Study
from mmevol.owner import Owner
from mmevol.records import BadInput, canonical
from mmevol.replies import KINDS, Log, ReplyStore
from mmevol.segments import framed, frames
from mmevol.store import buckets_of, replacing

FORMAT = "mmevol-replies/1"


def export(study: Study, root: Path, out: Path, *, images: bool, on_shard: Callable[[int], None]) -> dict[str, int]:
    """Write the answers that a study's data rest on into one archive; returns how many there are of each kind.

    `images`: the encoded pictures too, which a study made again does not need, but somebody who wants to see what the model saw.
    One shard's keys are in memory at a time. Raises `BadInput` where an answer is missing.
    """
    import pyarrow as pa

    buckets(root, "requests")
    counts = dict.fromkeys(KINDS if images else KINDS[:1], 0)
    with (
        replacing(out) as temporary,
        pa.CompressedOutputStream(pa.OSFile(str(temporary), "wb"), "zstd") as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
        ReplyStore([], job="cache export", root=root) as store,
    ):
        benchmarks: Used = {kind: defaultdict(set) for kind in KINDS}
        for bucket, key in scored(study, root):
            benchmarks["requests"][bucket].add(key)
        for shard in study.shards:
            used: Used = {kind: defaultdict(set) for kind in KINDS}
            asyncio.run(walk(study, shard, store, used))
            for bucket in buckets_of(shard, len(study.shards)):
                for kind in counts:
                    keys = used[kind][bucket] | benchmarks[kind][bucket]
                    counts[kind] += _pack(tar, root, f"{kind}/{bucket:02x}", sorted(keys))
            on_shard(shard)
        manifest = canonical({"format": FORMAT, "study": study.study, **counts}).encode()
        with tempfile.TemporaryFile() as file:
            file.write(manifest)
            _add(tar, "manifest.json", file)
    return counts


def _pack(tar: tarfile.TarFile, root: Path, bucket: str, keys: list[bytes]) -> int:
    """Put what is kept under the keys into the archive, as one segment."""
    log = Log(root / bucket)
    with tempfile.TemporaryFile() as file:
        found = [file.write(framed(key, payload)) for key in keys if (payload := log.get(key)) is not None]
        if found:
            _add(tar, f"{bucket}/00000000.log", file)
    return len(found)


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes]) -> None:
    """Add a file with nothing of this machine in its header."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = file.tell(), 0o600
    file.seek(0)
    tar.addfile(info, file)


def replay(archive: Path, root: Path, on_wait: Callable[[str], None] | None = None) -> tuple[int, int]:
    """Put an archive's content into a store; what is there already stays. Returns how many frames were added, and how many were
    there. Raises `BadInput` where the file is no archive or is cut."""
    import pyarrow as pa

    if not archive.is_file():
        raise _no_archive(archive, "no such file")
    counts, manifest = Counter[bool](), dict[str, Any]()
    try:
        with (
            pa.CompressedInputStream(pa.OSFile(str(archive)), "zstd") as stream,
            tarfile.open(fileobj=stream, mode="r|") as tar,
        ):
            for member in tar:
                content = tar.extractfile(member)
                if content and member.name == "manifest.json":
                    manifest = orjson.loads(content.read())
                elif content and re.fullmatch(r"(requests|images)/[0-9a-f]{2}/0{8}\.log", member.name):
                    counts += _unpack(content, root, Path(member.name), on_wait)
    except (OSError, tarfile.TarError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the store's folder, not the archive
        raise _no_archive(archive, str(error)) from error
    if manifest.get("format") != FORMAT:
        raise _no_archive(archive, "no manifest at its end")
    if counts.total() != (told := sum(manifest.get(kind, 0) for kind in KINDS)):
        raise _no_archive(archive, f"{counts.total()} whole answers and pictures of {told}")
    return counts[True], counts[False]


def _no_archive(archive: Path, found: str) -> BadInput:
    return BadInput(
        file=str(archive),
        field="(file)",
        found=found,
        expected=f"a whole archive of `mmevol cache export` ({FORMAT})",
        remedy="export it again; what was read of it so far is in the store and does no harm",
    )


def _unpack(content: IO[bytes], root: Path, name: Path, on_wait: Callable[[str], None] | None) -> Counter[bool]:
    """Append a bucket's frames, as its owner; how many were new and how many not."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    owner, counts = Owner([root / "requests" / name.parent.name], "cache replay", on_wait), Counter[bool]()
    owner.acquire()
    try:
        log = Log(root / name.parent)
        with tempfile.TemporaryDirectory() as folder:
            with open(Path(folder) / "log", "wb") as file:
                shutil.copyfileobj(content, file)
            for key, _, payload in frames(Path(folder) / "log"):
                new = log.get(key) is None
                if new:
                    log.put(key, payload)
                counts[new] += 1
        log.close()
    finally:
        owner.release()
    return counts
