"""The order of training: which samples an optimizer step sees, fixed before the run from lengths and seeds alone.

Samples are grouped by modality and length, as the reference does, so that little padding is computed: text alone and pictures
in batches of their own, and in each batch samples of about one length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmevol.records import fraction

GROUP = 16
"""Batches within which samples are sorted by length."""


@dataclass(frozen=True)
class Plan:
    """Step i trains on the samples ``steps[i]`` and brings the tokens seen to ``tokens[i]``; ``epochs`` likewise."""

    steps: list[list[int]]
    tokens: list[int]
    epochs: list[float]


def plan(
    lengths: Sequence[int], pictured: Sequence[bool], *, batch: int, tokens: int, key: Sequence[str | int]
) -> Plan:
    """Steps of `batch` samples until `tokens` non-padding tokens are seen; every epoch shows every sample once.

    What does not fill a batch at the end of an epoch begins the next. Raises `ValueError` where there is nothing to train on.
    """
    if not lengths:
        raise ValueError("the mixture holds no sample to train on")
    steps: list[list[int]] = []
    seen, epochs = [], []
    carried: list[int] = []
    total, shown, epoch = 0, 0, 0
    while total < tokens:
        batches, carried = _epoch(lengths, pictured, batch, carried, (*key, epoch))
        epoch += 1
        for chosen in batches:
            total += sum(lengths[i] for i in chosen)
            shown += batch
            steps.append(chosen)
            seen.append(total)
            epochs.append(round(shown / len(lengths), 4))
            if total >= tokens:
                break
    return Plan(steps, seen, epochs)


def _epoch(
    lengths: Sequence[int], pictured: Sequence[bool], batch: int, carried: list[int], key: Sequence[str | int]
) -> tuple[list[list[int]], list[int]]:
    """The full batches of one epoch in the order of training, and the samples left over."""
    order = carried + sorted(range(len(lengths)), key=lambda i: fraction(*key, i))
    batches: list[list[int]] = []
    rest: list[int] = []
    for modality in (True, False):
        of_kind = [i for i in order if pictured[i] is modality]
        full = len(of_kind) // batch * batch
        rest += of_kind[full:]
        for at in range(0, full, batch * GROUP):
            group = sorted(of_kind[at : min(at + batch * GROUP, full)], key=lambda i: lengths[i])
            batches += [group[k : k + batch] for k in range(0, len(group), batch)]
    while len(rest) >= batch:
        batches.append(rest[:batch])
        rest = rest[batch:]
    numbered = sorted(range(len(batches)), key=lambda k: fraction(*key, "batch", k))
    return [batches[k] for k in numbered], rest


class Order:
    """The sampler that hands the Trainer a plan's samples, one by one."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def __iter__(self) -> Iterator[int]:
        return (index for step in self._plan.steps for index in step)

    def __len__(self) -> int:
        return sum(map(len, self._plan.steps))
