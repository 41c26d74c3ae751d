"""A round taken out of its project: it maps scenes that the project has never seen."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seglab.app.history.chronicle import Chronicle
from seglab.app.maps.found_objects import find_objects, least_area, write_objects
from seglab.app.rounds.rounds import identity_of, restore, trained_prompts
from seglab.core.band_labels import BandLabel, by_place, labels_from_json
from seglab.core.palette import PALETTE
from seglab.core.raster import Scene
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import BandError, RoundMismatchError, UnknownRoundError
from seglab.export.vector import writer_for
from seglab.inference.instances import InstanceSettings
from seglab.inference.networks import MapNetwork, map_encoder
from seglab.inference.plan import MappedClass, MapSettings
from seglab.inference.sweep import Prediction, Workers, finished_map, predict_scene
from seglab.jobs import Reporter, SilentReporter
from seglab.models.device import choose_device
from seglab.models.registry import load_model
from seglab.models.sam import AdaptedSam
from seglab.models.student.restore import KIND, restore_student
from seglab.store.cache import ArrayCache
from seglab.store.project import Project
from seglab.store.round_files import read_round_file
from seglab.store.rounds import ROUNDS_NAME
from seglab.store.schema import MANIFEST_NAME

BY_PLACE = (
    "the round or the scene does not say which band is which: bands are taken by their places. Where that is wrong, "
    "say which they are (--bands, or model.seeing)"
)


@dataclass(frozen=True)
class RoundModel:
    """What a round knows, ready to map any scene that has its bands. Made by `load_round`."""

    number: int
    """Of the round in its project."""
    model: MapNetwork
    classes: tuple[MappedClass, ...]
    """What it maps; values and colours are those that the project has today."""
    bands: tuple[int, ...]
    """1-based bands that it sees as red, green and blue."""
    extra_bands: tuple[int, ...]
    """1-based bands that it takes beside them."""
    resolution: float | None
    """Ground metres per model pixel at which most of its objects were accepted; None where nobody knows."""
    band_labels: tuple[BandLabel, ...]
    """What is known of `bands` and `extra_bands`, in order: other scenes may have them in another order."""
    sizes: Mapping[str, float] = field(default_factory=dict)
    """The median accepted object of each class, model pixels, by class name; {} where nobody knows."""
    asked_bands: tuple[int | str, ...] | None = None
    """What a scene's bands are taken for these instead, by 1-based index or name: see `seeing`."""

    def seeing(self, bands: Sequence[int | str]) -> RoundModel:
        """The same round, for scenes whose files do not tell which band is which.

        Args:
            bands: 1-based indexes or names in those scenes: what the round sees as red, green and blue, then the bands
                that it takes beside them.

        Raises:
            RoundMismatchError: the round sees more of them, or fewer.
        """
        if len(bands) != len(self.band_labels):
            raise RoundMismatchError(
                f"round {self.number} sees {len(self.band_labels)} bands ({self._seen}) and not {len(bands)}; name as "
                "many"
            )
        return replace(self, asked_bands=tuple(bands))

    def open(self, source: Any) -> Scene:
        """Open a scene in the bands of the round: by what they are, where both the round and the scene know that; else
        by their places, which a warning says.

        Args:
            source: see `Scene.open`.

        Raises:
            RoundMismatchError: the scene lacks bands that the round sees.
            SegLabError: as `Scene.open` raises.
        """
        wanted = self.band_labels if self.asked_bands is None else self.asked_bands
        try:
            scene = Scene.open(source, wanted[: len(self.bands)])
        except BandError as error:
            raise self._lacking(source, error) from error
        try:
            scene.find_bands(wanted)
        except BandError as error:
            scene.close()
            raise self._lacking(source, error) from error
        if self.asked_bands is None and by_place(self.band_labels, scene.band_labels):
            warnings.warn(BY_PLACE, stacklevel=2)
        return scene

    def scale(self, scene: Scene, resolution: float | None = None) -> int:
        """Scene pixels per model pixel that come closest to a resolution on the ground.

        Args:
            scene: that is mapped.
            resolution: ground metres per model pixel; the round's own if None.
        """
        wanted, size = self.resolution if resolution is None else resolution, scene.grid.pixel_size_m
        return 1 if wanted is None or size is None else max(1, round(wanted / size))

    def predict(
        self,
        scene: Scene,
        path: Path,
        settings: MapSettings,
        *,
        reporter: Reporter | None = None,
        workers: Workers | None = None,
    ) -> Prediction:
        """Map a scene, if the map is not there already: see `seglab.inference.sweep.predict_scene`.

        Args:
            scene: from `open`.
            path: the class map; its confidence goes beside it.
            settings: how; `scale` gives the scale at which the round was trained.
            reporter: told megapixels done.
            workers: who does the work; this thread if None.

        Raises:
            SegLabError: as `predict_scene` raises.
        """
        encoder = map_encoder(scene, self.model, self._extra_of(scene))
        there = finished_map(encoder, self.classes, path, settings, self.number)
        return there or predict_scene(
            reporter or SilentReporter(),
            encoder,
            self.classes,
            path,
            settings,
            round_number=self.number,
            workers=workers,
        )

    def least_area(self, classes: Collection[str] | None, scale: int) -> int:
        """The smallest object that is looked for, scene pixels: see found_objects.least_area."""
        return least_area(self.sizes, classes, scale)

    def find_objects(
        self,
        scene: Scene,
        path: Path,
        settings: InstanceSettings,
        classes: Collection[str] | None = None,
        *,
        reporter: Reporter | None = None,
    ) -> Path:
        """Find the objects of a scene, and write them: see `seglab.inference.instances`.

        Args:
            scene: from `open`.
            path: .gpkg, .parquet, .fgb or .geojson; the columns are those of `objects_table`.
            settings: how; `scale` gives the scale at which the round was trained.
            classes: whose objects are wanted; all that the round knows if None.
            reporter: told megapixels done.

        Raises:
            UnknownClassError: the round does not know a class.
            NoLabelsError: nothing was found.
            RoundMismatchError: it is a student, which answers no clicks.
            SegLabError: as `find_instances` and the writers of `seglab.export.vector` raise.
        """
        writer_for(path)  # says at once when there is none
        if not isinstance(self.model, AdaptedSam):
            raise RoundMismatchError("a student maps and answers no clicks; find objects by the round that taught it")
        encoder = WindowEncoder(scene, self.model, ArrayCache(0), extra_bands=self._extra_of(scene))
        found = find_objects(reporter or SilentReporter(), encoder, self.classes, classes, settings)
        return write_objects(found, self.classes, scene.grid, self.number, path)

    def _extra_of(self, scene: Scene) -> tuple[int, ...]:
        """The bands of a scene that enter beside its three."""
        wanted = self.band_labels if self.asked_bands is None else self.asked_bands
        return scene.find_bands(wanted)[len(self.bands) :]

    @property
    def _seen(self) -> str:
        return ", ".join(map(str, self.band_labels))

    def _lacking(self, source: Any, why: object) -> RoundMismatchError:
        return RoundMismatchError(
            f"{source!s} does not fit round {self.number}, which was trained on bands {self._seen}: {why}. Map a scene "
            "with the same bands, or say which of its bands they are (--bands, or model.seeing)"
        )


def load_round(
    source: str | Path,
    number: int | None = None,
    *,
    device: str | None = None,
    checkpoint: str | Path | None = None,
) -> RoundModel:
    """Load a trained round, to map scenes with it.

    Args:
        source: a project's folder, the folder of one of its rounds (PROJECT/rounds/003), or a file that `export_round`
            wrote, or `seglab distill`: a student.
        number: which round of a project; the one in use if None.
        device: "cuda", "mps" or "cpu"; chosen if None.
        checkpoint: a weights file for the base model, instead of the model's own.

    Raises:
        UnknownRoundError: there is no such round, or none yet.
        ProjectError, RoundFileError: there is no project, or no round, in that place.
        ProjectDamagedError: the round's files are damaged.
        RoundMismatchError: the base weights are not those that the round was trained on.
        ModelNotFoundError, CheckpointError, DownloadError, DeviceError: see load_model.
    """
    place = Path(source).expanduser()
    if place.is_file():
        tensors, card = read_round_file(place)
        return _ready(tensors, card, _by_order(card["classes"]), device, checkpoint)
    if place.parent.name == ROUNDS_NAME and place.name.isdecimal() and (place.parents[1] / MANIFEST_NAME).exists():
        place, number = place.parents[1], int(place.name)
    project = Project.open(place)
    chronicle = Chronicle(project)
    chronicle.follow()
    state = chronicle.history.state()
    wanted = state.round if number is None else number
    if wanted == 0:
        raise UnknownRoundError(
            f"no round is in use in project {str(place)!r}; train one there, or name one: it has "
            f"{[card['round'] for card in project.rounds()]}"
        )
    tensors, card = project.load_round(wanted)
    places = {name: (value, colour) for value, (name, colour) in enumerate(state.classes.items(), start=1)}
    today = {name: state.today(name) for name in card["classes"]}
    meant = {name: (now, *places[now]) for name, now in today.items() if now is not None}
    return _ready(tensors, card, meant, device, checkpoint)


def _by_order(classes: list[str]) -> dict[str, tuple[str, int, str]]:
    return {name: (name, value, PALETTE[(value - 1) % len(PALETTE)]) for value, name in enumerate(classes, start=1)}


def _ready(
    tensors: Mapping[str, np.ndarray],
    card: Mapping[str, Any],
    meant: Mapping[str, tuple[str, int, str]],
    device: str | None,
    checkpoint: str | Path | None,
) -> RoundModel:
    """A round on its base model.

    Args:
        tensors, card: as saved.
        meant: today's name, value and colour of each class that the round knows and somebody still wants.
        device, checkpoint: see `load_round`.
    """
    model, prompts = _network(tensors, card, device, checkpoint)
    seen = [*card["bands"], *card["extra_bands"]]
    classes = {}
    for name in sorted(meant, key=lambda name: meant[name][0] != name):  # a class's own prompt comes before merged ones
        now, value, colour = meant[name]
        classes.setdefault(now, MappedClass(value, now, colour, prompts[name]))
    return RoundModel(
        number=int(card.get("round", 0)),
        model=model,
        classes=tuple(sorted(classes.values(), key=lambda one: one.value)),
        bands=tuple(card["bands"]),
        extra_bands=tuple(card["extra_bands"]),
        resolution=card.get("resolution"),
        sizes=card.get("sizes", {}),
        band_labels=labels_from_json(card.get("band_labels"), seen)[: len(seen)],
    )


def _network(
    tensors: Mapping[str, np.ndarray], card: Mapping[str, Any], device: str | None, checkpoint: str | Path | None
) -> tuple[MapNetwork, dict[str, torch.Tensor]]:
    """The network of a round, and the prompt of each class by name; arguments as of `_ready`."""
    if card.get("kind") == KIND:
        student = restore_student(tensors, card, choose_device(device))
        return student, dict(zip(card["classes"], student.class_rows, strict=True))
    if "weights" not in card:
        raise RoundMismatchError("the round does not say which weights it was trained on; open its project instead")
    base = load_model(
        card["model"],
        checkpoint=checkpoint,
        device=device,
        adapt_from=card["adapt_from"],
        extra_bands=len(card["extra_bands"]),
    )
    model = restore(base, tensors, card, identity_of(base, card["adapter"], card["bands"], card["extra_bands"]))
    return model, trained_prompts(model, card)
