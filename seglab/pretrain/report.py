"""The figures of a model card: a model beside flood fill and GrabCut on validation ground."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from seglab.core.metrics import iou
from seglab.datasets.folder import FolderDataset, objects_of, open_datasets
from seglab.datasets.splits import Part, split_ids
from seglab.evaluation.baselines import best_tolerance, floodfill, grabcut
from seglab.evaluation.cases import Case, resize_mask, resize_rgb, window_cases
from seglab.evaluation.clicks import enlarge, model_method
from seglab.models.sam import AdaptedSam
from seglab.pretrain.evaluate import Figures, Tally, evaluate


@dataclass(frozen=True)
class Report:
    """Figures of a model and of what it is compared with."""

    model: Figures
    floodfill: Figures
    grabcut: Figures
    tolerance: int
    """The flood fill's, chosen on training ground."""
    exemplar: Figures
    """IoU of class prompts: the mean embedding of one object asks for its class in the same window."""

    def table(self) -> str:
        """A Markdown table, one row per dataset."""
        columns = [(self.model, key) for key in ("1", "3", "5", "box")]
        columns += [(other, key) for other in (self.floodfill, self.grabcut) for key in ("1", "3", "5")]
        columns.append((self.exemplar, "class"))
        head = "| dataset | 1 | 3 | 5 | box | ff 1 | ff 3 | ff 5 | gc 1 | gc 3 | gc 5 | class prompt |"
        lines = [head, "|---|" + "---:|" * len(columns)]
        for name in (*self.model.by_source, "overall"):
            values = [f.overall.get(k) if name == "overall" else f.by_source.get(name, {}).get(k) for f, k in columns]
            cells = ["–" if v is None else f"{v:.2f}" for v in values]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines)


def report(model: AdaptedSam, per_image: int = 4, root: str | None = None) -> Report:
    """Measure everything on validation ground.

    Args:
        model: in eval mode.
        per_image: most objects per image.
        root: folder of labelled data; None finds it.
    """
    datasets = list(open_datasets(root).values())
    size = model.spec.image_size
    cases = list(_windows(datasets, "val", size, per_image))
    tolerance = best_tolerance(_windows(datasets, "train", size, 1))
    return Report(
        evaluate(model_method(model), cases),
        evaluate(floodfill(tolerance), cases),
        evaluate(grabcut, cases),
        tolerance,
        class_figures(model, datasets, size),
    )


def class_figures(model: AdaptedSam, datasets: list[FolderDataset], size: int) -> Figures:
    """IoU of class prompts on windows of validation ground, for every dataset whose class maps are complete."""
    tally = Tally()
    with torch.inference_mode():
        for dataset in datasets:
            for rgb, thing, whole in _class_cases(dataset, size):
                embedding = model.encode(model.preprocess(torch.from_numpy(rgb)[None]))
                prompt = model.exemplar(embedding[0], torch.from_numpy(thing))
                logits, _ = model.decode_tokens(embedding, prompt[None, None])
                tally.add(dataset.name, "class", iou(enlarge(logits[:, 0], size)[0], whole))
    return tally.figures()


def _windows(datasets: list[FolderDataset], part: Part, size: int, per_image: int) -> Iterator[Case]:
    for dataset in datasets:
        yield from window_cases(dataset, split_ids(dataset.name, part), size, per_image)


def _class_cases(dataset: FolderDataset, size: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    for image_id in split_ids(dataset.name, "val"):
        image = dataset.read(image_id)
        side = min(*image.mask.shape)
        rgb = resize_rgb(image.rgb[:side, :side], size)
        for thing in objects_of(image, dataset.targets, limit=2):
            small = resize_mask(thing.mask[:side, :side], size)
            whole = resize_mask(image.mask[:side, :side] == thing.label, size)
            if np.count_nonzero(small) >= 30 and whole.mean() < 0.95:
                yield rgb, small, whole
