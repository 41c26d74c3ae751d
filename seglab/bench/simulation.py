"""One run of the rounds benchmark: a simulated person labels and retrains, and each round is judged on other images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from seglab.app.rounds.rounds import EXEMPLARS, CurrentModel
from seglab.bench.ground import GroundImage, Thing, open_ground
from seglab.bench.held_out import EMBEDDING_BYTES, Caches, HeldOut
from seglab.bench.labelling import Annotator, Labelled, label_outright, label_with
from seglab.core.masks import rasterize
from seglab.datasets.folder import open_dataset
from seglab.encoding.encoders import Encoders
from seglab.errors import TrainingError
from seglab.jobs import SilentReporter
from seglab.models.adapters.registry import new_adapter
from seglab.models.registry import load_model
from seglab.models.restore import restore_model
from seglab.models.sam import AdaptedSam
from seglab.store.cache import ArrayCache
from seglab.training.job import RoundConfig, RoundOutcome, TrainingChip, TrainingJob
from seglab.training.process import run_round
from seglab.training.samples import build_chips

PREFIX_BYTES = 2 * 2**30
"""Budget of the prefixes on disk: those of the held-out windows and of some rounds."""

Say = Callable[[str], None]
"""Takes lines for a person."""


@dataclass(frozen=True)
class Run:
    """What one run is made of: equal runs give equal figures, up to rounding and the machine's speed."""

    folder: str
    """The dataset's folder."""
    model: str
    weights: str
    """Hash of the model's weights."""
    adapter: str
    place: str
    """Where the adapter begins: see models.adapters.base.first_block."""
    seed: int
    """Of the order of images and objects, and of training."""
    objects: int
    """Labelled before each round."""
    rounds: int
    held_out: int
    """Held-out objects that judge, at most."""
    steps: int | None
    """Of each round; the recipe's own if None."""
    assisted: bool
    """Whether objects are labelled with the model's help; False: true outlines, which depend on no model."""
    checkpoint: str | None = None
    """Weights instead of the model's own."""
    device: str | None = None
    isolate: bool = True
    """Whether rounds are trained in a process of their own, as in a session."""

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return Path(self.folder).name

    def config(self, number: int) -> RoundConfig:
        """The recipe of round `number`, 1 for the first."""
        config = RoundConfig(seed=1000 * self.seed + number - 1)
        return config if self.steps is None else replace(config, steps=self.steps)

    def identity(self) -> dict[str, Any]:
        """All on which the figures depend, as JSON: a run with the same is not done twice."""
        return asdict(self) | {"dataset": self.dataset, "recipe": asdict(self.config(1))}


class Learning:
    """The model of a run, from round to round, as a session without held-out ground of its own would make them."""

    def __init__(self, run: Run, base: AdaptedSam, caches: Caches, cache_folder: Path) -> None:
        self.model = base
        self.number = 0
        self._run = run
        self._base = base
        self._caches = caches
        self._cache_folder = cache_folder
        self._tensors: dict[str, np.ndarray] = {}
        self._trained: dict[int, torch.Tensor] = {}

    def accept(self, image: GroundImage, thing: Thing) -> Labelled:
        """Label an object, with the model's help if the run says so."""
        if not self._run.assisted:
            return label_outright(image, thing, self.model.spec.image_size)
        return label_with(
            CurrentModel(self.number, Encoders.single(self._caches.encoder(image, self.model)), {}), image, thing
        )

    def class_prompts(self, labelled: list[Labelled]) -> dict[int, torch.Tensor]:
        """A prompt by class index: trained, else the mean embedding of the class's first objects."""
        found = dict(self._trained)
        for index in sorted({item.thing.class_index for item in labelled} - set(found)):
            first = [item for item in labelled if item.thing.class_index == index][:EXEMPLARS]
            found[index] = torch.stack([self._exemplar(item) for item in first]).mean(0)
        return dict(sorted(found.items()))

    def _exemplar(self, item: Labelled) -> torch.Tensor:
        embedding = self._caches.encoder(item.image, self.model).embedding(item.window)[0]
        with torch.inference_mode():
            return self.model.exemplar(embedding, torch.from_numpy(rasterize(item.outline, item.window)))

    def judge(self, held_out: HeldOut, labelled: list[Labelled]) -> tuple[dict[str, list[float]], list[list[int]]]:
        """IoU of every held-out object by kind of prompt, and the confusion of the class map, as JSON."""
        figures = held_out.measure(self.model, self.class_prompts(labelled), self._caches)
        iou = {key: [round(float(v), 4) for v in values] for key, values in figures.iou.items()}
        return iou, figures.confusion.tolist()

    def _chips(self, annotator: Annotator, classes: Sequence[str], config: RoundConfig) -> Iterator[TrainingChip]:
        """As many as a round draws, shared among the images by what is labelled in each."""
        wanted = config.steps * config.batch
        for image, labels in annotator.labels(classes):
            share = max(1, round(wanted * len(labels.objects) / len(annotator.labelled)))
            encoder = self._caches.encoder(image, self.model)
            yield from build_chips(SilentReporter(), labels, image.scene, encoder, share, config).chips

    def train(self, annotator: Annotator) -> RoundOutcome:
        """Train the next round on all that is labelled, and use it."""
        config = self._run.config(self.number + 1)
        prompts = self.class_prompts(annotator.labelled)
        classes = tuple(annotator.ground.classes[i] for i in prompts)
        outcome = run_round(
            SilentReporter(),
            TrainingJob(
                origin=self._base.origin,
                weights=self._base.base_hash(),
                adapt_from=self._base.adapt_from,
                adapter=self._run.adapter,
                extra_bands=0,
                parent=self._tensors,
                classes=classes,
                class_prompts=torch.stack(list(prompts.values())).float().cpu().numpy(),
                chips=tuple(self._chips(annotator, classes, config)),
                held_out=(),
                config=config,
                cache_folder=self._cache_folder,
                cache_bytes=PREFIX_BYTES,
                device=str(self._base.device),
            ),
            isolate=self._run.isolate,
        )
        self.number += 1
        self._tensors = outcome.tensors
        self.model = restore_model(self._base, self._run.adapter, outcome.tensors, f"round {self.number}")
        self._trained = dict(zip(prompts, self.model.class_prompts.detach(), strict=True))
        return outcome


def simulate(run: Run, say: Say) -> dict[str, Any]:
    """Label, retrain and judge, round after round.

    The objects of round n + 1 are labelled with the help of round n's model. Round 0 is the model before any training;
    its class map is drawn from the mean embeddings of the first objects.

    Args:
        run: what to do.
        say: takes lines for a person.

    Returns:
        "run" (its identity), "classes" (names), "objects" ((image, number) of each held-out object) and "rounds": for
        each of 0 to `run.rounds` "round", "labelled" (objects so far), "clicks" (mean per object of those labelled for
        this round), "brushed" (share of them that needed the brush), "iou" (per held-out object by "1", "3", "box"),
        "confusion" (see core.metrics.confusion), "seconds" (from the order to retrain to the model in use),
        "step_seconds" (of training), "peak_mb", "notes". JSON values only.

    Raises:
        DatasetError: the dataset is damaged or not in the split.
        TrainingError: there is no object to label.
        AdapterError: no such family, or it does not go there.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="seglab-rounds-")))
        caches = Caches(ArrayCache(EMBEDDING_BYTES), ArrayCache(PREFIX_BYTES, folder))
        base = load_model(run.model, checkpoint=run.checkpoint, device=run.device, adapt_from=_place(run.place))
        new_adapter(run.adapter, base.spec, base.adapt_from)  # says at once when it does not go there
        dataset = open_dataset(run.folder)
        size = base.spec.image_size
        held_out = HeldOut(open_ground(dataset, "val"), size, run.held_out, stack)
        ground = open_ground(dataset, "train")
        annotator = Annotator(ground, run.seed, stack)
        learning = Learning(run, base, caches, folder)
        return {
            "run": run.identity(),
            "classes": list(ground.classes),
            "objects": held_out.objects,
            "rounds": list(_rounds(run, annotator, learning, held_out, say)),
        }


def _rounds(
    run: Run, annotator: Annotator, learning: Learning, held_out: HeldOut, say: Say
) -> Iterator[dict[str, Any]]:
    """Figures of round 0 to the last: see `simulate`."""
    made: dict[str, Any] = {}
    for number in range(run.rounds + 1):
        labelled = len(annotator.labelled)
        fresh = annotator.label(learning.accept, run.objects) if number < run.rounds else []
        if not annotator.labelled:
            raise TrainingError(f"the training images of {run.dataset!r} hold no object; check its masks")
        iou, table = learning.judge(held_out, annotator.labelled)
        figures = {"round": number, "labelled": labelled} | made | {"iou": iou, "confusion": table}
        say(_line(run, figures))
        yield figures
        if number < run.rounds:
            made = _effort(fresh) | _timed(lambda: learning.train(annotator))


def _place(text: str) -> str | int:
    """A place by name, or a block number."""
    return int(text) if text.isdecimal() else text


def _effort(fresh: list[Labelled]) -> dict[str, float | None]:
    if not fresh:
        return {"clicks": None, "brushed": None}
    return {
        "clicks": round(float(np.mean([item.clicks for item in fresh])), 2),
        "brushed": round(float(np.mean([item.brushed for item in fresh])), 3),
    }


def _timed(train: Callable[[], RoundOutcome]) -> dict[str, Any]:
    started = time.monotonic()
    outcome = train()
    return {
        "seconds": round(time.monotonic() - started, 2),
        "step_seconds": round(outcome.seconds / len(outcome.losses), 4),
        "peak_mb": round(outcome.peak_mb),
        "notes": list(outcome.notes),
    }


def _line(run: Run, figures: dict[str, Any]) -> str:
    means = ", ".join(f"{key}: {np.mean(values):.3f}" for key, values in figures["iou"].items())
    seconds = f", {figures['seconds']:.0f} s" if "seconds" in figures else ""
    return (
        f"{run.dataset}, {run.place}, seed {run.seed}, round {figures['round']} "
        f"({figures['labelled']} objects): IoU {means}{seconds}"
    )
