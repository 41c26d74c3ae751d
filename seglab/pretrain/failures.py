"""Pictures of what a model gets wrong, for its card: the worst object of each kind on scenes that it never saw.

    python -m seglab.pretrain.failures OUT.webp [--model tiny] [--checkpoint FILE]

Only procedural scenes are drawn, so that the picture may be given away with the weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from seglab.evaluation.clicks import Answers, follow_clicks, model_method
from seglab.models.registry import load_model
from seglab.models.sam import AdaptedSam
from seglab.models.spec import PAD, POSITIVE
from seglab.pretrain.bank import Bank
from seglab.pretrain.ground import procedural_ground
from seglab.pretrain.scenes import CLASSES, UNKNOWN
from seglab.pretrain.targets import MAX_SHARE
from seglab.pretrain.windows import look, plain_windows

SEED = 98_000_000
"""Of the first scene: far from those of training and of validation."""
CLICKS = 3
"""Clicks that each object gets: one click is often ambiguous, three should be enough."""
SMALLEST = 150
"""Objects of fewer pixels are left out: there are always bad ones among them, which show little."""
COLUMNS, TILES = 4, 8
CAPTION = 18
"""Height of a tile's caption, pixels."""
TRUE, FOUND, PLUS, MINUS = (60, 220, 60), (255, 40, 200), (255, 255, 255), (255, 60, 40)
"""Colours, RGB: the object's border, the mask, a + click, a - click."""


@dataclass(frozen=True)
class Failure:
    """One object and what the model made of it."""

    kind: str
    iou: float
    rgb: np.ndarray
    """(S, S, 3) uint8."""
    mask: np.ndarray
    """(S, S) bool, the object."""
    found: np.ndarray
    """(S, S) bool, after the last click."""
    clicks: tuple[tuple[float, float, bool], ...]
    """(col, row, positive)."""


class _Kept:
    """Answers as another does and keeps the last question and answer."""

    def __init__(self, inner: Answers) -> None:
        self.inner = inner

    def to_clicks(self, coords: np.ndarray, labels: np.ndarray) -> np.ndarray:
        self.coords, self.labels = coords, labels
        self.masks = self.inner.to_clicks(coords, labels)
        return self.masks

    def to_boxes(self, boxes: np.ndarray) -> np.ndarray:
        return self.inner.to_boxes(boxes)


def worst_cases(model: AdaptedSam, scenes: int = 40, count: int = TILES) -> list[Failure]:
    """The worst object of each kind, the worst kinds first.

    Args:
        model: in eval mode.
        scenes: how many to look at.
        count: how many kinds, at most.
    """
    worst: dict[str, Failure] = {}
    for seed in range(SEED, SEED + scenes):
        for failure in _scene(model, seed):
            if failure.kind not in worst or failure.iou < worst[failure.kind].iou:
                worst[failure.kind] = failure
    return sorted(worst.values(), key=lambda failure: failure.iou)[:count]


def draw(failures: Sequence[Failure], columns: int = COLUMNS) -> np.ndarray:
    """A sheet of tiles: the object's border green, the mask magenta, + clicks white, - clicks red; (H, W, 3) uint8."""
    tiles = [_tile(failure) for failure in failures]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    return np.vstack([np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)])


def _scene(model: AdaptedSam, seed: int) -> Iterator[Failure]:
    rgb, objects, kind_of = _window(seed, model.spec.image_size)
    found = [(kind_of[number], objects == number) for number in np.unique(objects[objects > 0])]
    found = [(CLASSES[kind], mask) for kind, mask in found if kind != UNKNOWN and _is_plain(mask)]
    if not found:
        return
    kinds, masks = [kind for kind, _ in found], np.stack([mask for _, mask in found])
    with torch.inference_mode():
        answers = _Kept(model_method(model)(rgb))
        *_, ious = follow_clicks(answers, masks, CLICKS)
    for i, kind in enumerate(kinds):
        points = zip(answers.coords[i], answers.labels[i], strict=True)
        clicks = tuple((float(c), float(r), bool(k == POSITIVE)) for (c, r), k in points if k != PAD)
        yield Failure(kind, ious[i], rgb, masks[i], answers.masks[i], clicks)


def _window(seed: int, size: int) -> tuple[np.ndarray, np.ndarray, dict[int, int]]:
    """A window around some part of a scene, as a session opens it.

    Returns:
        (size, size, 3) uint8, (size, size) object numbers with 0 for none, and the class of each object.
    """
    ground = procedural_ground(seed, max(384, 2 * size))
    table, bank = ground.table, Bank([ground])
    large = np.flatnonzero(table.area >= SMALLEST)
    # A scene without anything large gives its corner.
    part = int(np.random.default_rng(seed).choice(large)) if len(large) else 0
    view = look(bank, plain_windows(bank, torch.tensor([0]), torch.tensor([part]), size), size)
    kind_of = dict(zip(table.object_of.tolist(), table.class_of.tolist(), strict=True))
    return view.rgb[0].round().byte().numpy(), table.object_of[view.parts[0].numpy()], kind_of


def _is_plain(mask: np.ndarray) -> bool:
    """Large enough, and in one piece: what is left of an object under others is not what anyone means."""
    in_one_piece = cv2.connectedComponents(mask.astype(np.uint8))[0] == 2
    return in_one_piece and SMALLEST <= np.count_nonzero(mask) <= MAX_SHARE * mask.size


def _tile(failure: Failure) -> np.ndarray:
    picture = failure.rgb.astype(np.float32)
    picture[failure.found] = 0.6 * picture[failure.found] + 0.4 * np.array(FOUND, np.float32)
    picture = np.ascontiguousarray(picture.astype(np.uint8))
    outlines, _ = cv2.findContours(failure.mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, TRUE, 1)
    for col, row, positive in failure.clicks:
        cv2.circle(picture, (int(col), int(row)), 3, PLUS if positive else MINUS, -1)
        cv2.circle(picture, (int(col), int(row)), 3, (0, 0, 0), 1)
    caption = np.zeros((CAPTION, picture.shape[1], 3), np.uint8)
    text = f"{failure.kind}: IoU {failure.iou:.2f}"
    cv2.putText(caption, text, (4, CAPTION - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([caption, picture])


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the picture; see the module's docstring."""
    parser = argparse.ArgumentParser(description="draw what a model gets wrong")
    parser.add_argument("out", type=Path, help="a .webp or .png file")
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--checkpoint", type=Path)
    options = parser.parse_args(arguments)
    sheet = draw(worst_cases(load_model(options.model, checkpoint=options.checkpoint)))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(options.out), sheet[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 80])


if __name__ == "__main__":
    main()
