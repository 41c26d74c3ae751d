"""What a map is made of, written down: so that a killed run goes on and a worker elsewhere does the same work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import shapely
import torch
from shapely.geometry.base import BaseGeometry

from seglab.core.raster import Scene
from seglab.core.stretch import Stretch
from seglab.errors import CheckpointError, SceneChangedError, SceneNotFoundError
from seglab.inference.lattice import Lattice
from seglab.inference.networks import MapEncoder, describe, map_encoder, network_identity, open_network, sent_tensors
from seglab.store.parts import PartStore, plan_identity

VERSION = 1
"""Of the way maps are computed: parts of another version are not believed."""
WEIGHTS = "model"
"""The part of a store that holds what a round trained."""
_SCENE = "scene"
_PROMPTS = "map.prompts"


@dataclass(frozen=True)
class MappedClass:
    """One class of a map."""

    value: int
    """What its pixels hold, 1 to 254."""
    name: str
    colour: str
    """'#rrggbb'."""
    prompt: torch.Tensor
    """(prompt_dim,) its class prompt; of a student, see Student.class_rows."""


@dataclass(frozen=True)
class MapSettings:
    """How a scene is mapped."""

    scale: int = 1
    """Scene pixels per model pixel."""
    overlap: float = 0.125
    """Share of a window that its neighbour sees too, at least."""
    flips: bool = False
    """Whether each window is also looked at mirrored left to right, top to bottom and both, and the four scores are
    averaged: four times the work."""
    block_size: int = 1536
    """Side of a block, scene pixels, at least: what a run that is killed loses of its work, and what one task of a
    cluster does."""
    area: BaseGeometry | None = None
    """Scene pixels; what lies outside is not mapped. None: everything is."""


@dataclass(frozen=True)
class MapPlan:
    """A scene, a model, and how the one is mapped by the other."""

    encoder: MapEncoder
    """The scene and the model."""
    prompts: torch.Tensor
    """(C, prompt_dim), one per class."""
    values: tuple[int, ...]
    """What the pixels of each class hold, 1 to 254."""
    settings: MapSettings

    @property
    def lattice(self) -> Lattice:
        """Where its windows and blocks lie."""
        return lattice_of(self.encoder, self.settings)

    def to_json(self) -> dict[str, Any]:
        """All that the map depends on: two plans that say the same make the same map. Where the scene lies does not
        count: one that is in memory lies somewhere else each time."""
        scene, model, settings = self.encoder.scene, self.encoder.model, asdict(replace(self.settings, area=None))
        area = self.settings.area
        return {
            "version": VERSION,
            "scene": {
                "fingerprint": scene.fingerprint,
                "shape": list(scene.grid.shape),
                "bands": list(scene.bands),
                "stretch": [list(scene.stretch.low), list(scene.stretch.high)],
                "extra_bands": list(self.encoder.extra_bands),
            },
            "model": describe(model, self.prompts),
            "values": list(self.values),
            "settings": settings | {"area": None if area is None else shapely.to_wkb(area, hex=True)},
        }

    @property
    def identity(self) -> str:
        """Differs for plans that make different maps: SHA-256, in hexadecimal."""
        return plan_identity(self.to_json())

    def weights(self) -> dict[str, np.ndarray]:
        """What a process elsewhere needs beside the plan's JSON: the round's tensors and the class prompts."""
        return sent_tensors(self.encoder.model) | {_PROMPTS: self.prompts.detach().cpu().numpy()}


def lattice_of(encoder: MapEncoder, settings: MapSettings) -> Lattice:
    """Where the windows and blocks of a map lie."""
    shape, size = encoder.scene.grid.shape, encoder.model.spec.image_size
    return Lattice(shape, size, settings.scale, settings.overlap, settings.block_size)


def plan_of(encoder: MapEncoder, classes: Sequence[MappedClass], settings: MapSettings) -> MapPlan:
    """The plan of a map.

    Args:
        encoder: the scene and the model.
        classes: what is mapped, at least one.
        settings: how.
    """
    prompts = torch.stack([c.prompt for c in classes])
    return MapPlan(encoder, prompts, tuple(c.value for c in classes), settings)


def open_plan(store: PartStore, device: str | None = None) -> MapPlan:
    """The plan of a store, opened on this machine: the scene and the model are loaded anew.

    Args:
        store: with the plan and its weights.
        device: see `choose_device`.

    Raises:
        SceneNotFoundError: the scene is not at the same path here.
        SceneChangedError: it is another raster here.
        CheckpointError, RoundMismatchError: the base weights here are others.
    """
    kept, tensors = store.plan, store.get(WEIGHTS)
    if tensors is None:
        raise CheckpointError(f"the weights in {str(store.folder)!r} are damaged; delete that folder and start again")
    prompts = torch.from_numpy(tensors.pop(_PROMPTS))
    extra_bands = kept["scene"]["extra_bands"]
    model = open_network(kept["model"], tensors, len(extra_bands), device)
    encoder = map_encoder(_open_scene(scene_path(store), kept["scene"]), model, extra_bands)
    area = kept["settings"]["area"]
    settings = MapSettings(**kept["settings"] | {"area": None if area is None else shapely.from_wkb(area)})
    plan = MapPlan(encoder, prompts, tuple(kept["values"]), settings)
    if network_identity(model, prompts) != kept["model"]["network"]:
        raise CheckpointError(
            f"the weights of {kept['model']['name']!r} on this machine are not those that the map was begun with; "
            "copy the same checkpoint here"
        )
    return plan


def keep_scene_path(store: PartStore, scene: Scene) -> None:
    """Tell other processes where the scene is."""
    store.put(_SCENE, path=np.array(str(scene.path)))


def scene_path(store: PartStore) -> str:
    """Where the scene of a store is.

    Raises:
        SceneNotFoundError: the store does not say.
    """
    kept = store.get(_SCENE)
    if kept is None:
        raise SceneNotFoundError(f"{str(store.folder)!r} does not say where its scene is; start the map again")
    return str(kept["path"])


def _open_scene(path: str, kept: dict[str, Any]) -> Scene:
    low, high = kept["stretch"]
    scene = Scene.open(path, bands=kept["bands"], stretch=Stretch(tuple(low), tuple(high)))
    if list(scene.grid.shape) != kept["shape"]:
        scene.close()
        raise SceneChangedError(
            f"{path!r} has {scene.grid.shape} rows and columns here and had {kept['shape']} where the map was "
            "begun; put the same file in the same place on every machine"
        )
    scene.fingerprint = kept["fingerprint"]
    return scene
