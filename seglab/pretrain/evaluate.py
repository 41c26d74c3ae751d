"""Figures taken while a model is made: IoU by clicks and for a box, on fixed windows, many objects at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from seglab.pretrain.bank import Bank
from seglab.pretrain.ground import PROCEDURAL
from seglab.pretrain.step import Dialogue, Network
from seglab.pretrain.windows import SMALLEST, View, Windows, look, plain_windows

CLICKS = (1, 3, 5)
"""After how many clicks IoU is taken."""
AT_ONCE = 64
"""Windows that are encoded together."""


@dataclass(frozen=True)
class Figures:
    """Mean IoU per dataset."""

    by_source: dict[str, dict[str, float]]
    """Dataset to {"1": IoU at one click, ..., "box": IoU for a box}."""

    @property
    def overall(self) -> dict[str, float]:
        """Mean over the real datasets (all that are not procedural), each counting the same."""
        real = [v for k, v in self.by_source.items() if k != PROCEDURAL] or list(self.by_source.values())
        return {key: float(np.mean([v[key] for v in real if key in v])) for key in real[0]}


class Tally:
    """Collects IoUs per dataset."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, list[float]]] = {}

    def add(self, dataset: str, key: str, value: float) -> None:
        """A value of one dataset under one key."""
        self.found.setdefault(dataset, {}).setdefault(key, []).append(value)

    def figures(self) -> Figures:
        """Their means."""
        return Figures({n: {k: float(np.mean(v)) for k, v in vs.items()} for n, vs in self.found.items()})


def fixed_windows(bank: Bank, size: int, per_source: int, seed: int = 0) -> Windows:
    """Windows around parts of every dataset, as the click bench lays them: the same for the same bank.

    Args:
        bank: of ground.
        size: side of a window in model pixels.
        per_source: most parts per dataset, spread evenly over its images.
        seed: of the choice of parts.
    """
    rng = np.random.default_rng(seed)
    area, source = bank.area[: bank.filled].cpu().numpy(), bank.source[: bank.filled].cpu().numpy()
    images, parts = [], []
    for number in range(len(bank.sources)):
        own = [i for i in np.flatnonzero(source == number) if (area[i] >= SMALLEST).any()]
        left = {i: list(rng.permutation(np.flatnonzero(area[i] >= SMALLEST))) for i in own}
        taken = 0
        while taken < per_source and any(left.values()):
            for image in own:
                if left[image] and taken < per_source:
                    images.append(int(image))
                    parts.append(int(left[image].pop()))
                    taken += 1
    image, part = (torch.tensor(found, dtype=torch.int64, device=bank.device) for found in (images, parts))
    return plain_windows(bank, image, part, size)


@torch.no_grad()
def answers(
    network: Network, bank: Bank, windows: Windows, clicks: int, half: bool = False, ranked: bool = True
) -> Iterator[tuple[Windows, str, Tensor, Tensor]]:
    """What a model makes of exact prompts.

    Args:
        network: in eval mode.
        bank: of ground.
        windows: around the parts that are asked for.
        clicks: how many clicks are given, one after the other.
        half: decode in bfloat16.
        ranked: give candidates in the order in which they are shown, not in the decoder's.

    Yields:
        Windows, the prompt ("1", "2", ... clicks, or "box"), true and predicted IoU (N, 3) of the candidates.
    """
    generator = torch.Generator(bank.device).manual_seed(0)
    size = network.model.spec.image_size
    for start in range(0, len(windows.image), AT_ONCE):
        some = Windows(*(value[start : start + AT_ONCE] for value in vars(windows).values()))
        view: View = look(bank, some, size)
        truth = view.parts == some.part[:, None, None]
        embedding = network.encode(view.rgb, half)
        for boxes, rounds in ((0.0, clicks), (1.0, 1)):
            dialogue = Dialogue(network, embedding, truth, boxes, generator, half, exact=True)
            for number in range(1, rounds + 1):
                logits, quality = dialogue.ask()
                true = _true_iou(logits, truth)
                if ranked:
                    true, quality = (values.gather(1, dialogue.ranked) for values in (true, quality))
                yield some, "box" if boxes else str(number), true, quality


def evaluate(
    network: Network, bank: Bank, windows: Windows, clicks: tuple[int, ...] = CLICKS, half: bool = False
) -> Figures:
    """Mean IoU of the shown candidate after some numbers of clicks, and for one box; arguments as `answers`."""
    tally = Tally()
    wanted = {str(count) for count in clicks} | {"box"}
    for some, prompt, true, _ in answers(network, bank, windows, max(clicks), half):
        if prompt in wanted:
            sources = bank.source[some.image].tolist()
            for source, value in zip(sources, true[:, 0].tolist(), strict=True):
                tally.add(bank.sources[source], prompt, value)
    return tally.figures()


def _true_iou(logits: Tensor, truth: Tensor) -> Tensor:
    """(N, 3) IoU of candidates at the window's resolution, as they are shown."""
    size = truth.shape[-1]
    masks = functional.interpolate(logits.float(), (size, size), mode="bilinear", align_corners=False) > 0
    truth = truth[:, None]
    union = (masks | truth).sum((2, 3)).clamp(min=1)
    return (masks & truth).sum((2, 3)) / union
