"""A project: one folder with a manifest, the event log, the labels derived from it, and the rounds."""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np

from seglab.errors import ProjectBusyError, ProjectDamagedError, ProjectError, WriteError
from seglab.store import atomic, geopackage
from seglab.store.events import EVENTS_NAME, Event, EventLog
from seglab.store.geopackage_rows import stamp
from seglab.store.lock import FolderLock
from seglab.store.rounds import ROUNDS_NAME, RoundStore
from seglab.store.schema import (
    MANIFEST_NAME,
    RESERVED,
    SCHEMA_VERSION,
    encode_manifest,
    read_manifest,
    scene_cards,
)

LABELS_NAME = "labels.gpkg"
LABELS_LAYER = "labels"
CACHE_NAME = "cache"
SCENES_NAME = "scenes"
UNSAFE = r'[\x00-\x1f\\/:*?"<>|]+'
"""What some system allows in no file name."""


class Project:
    """A project folder; use `Project.create`, `Project.open` or `Project.open_or_create`.

    Every write is atomic and durable, and safe between threads and processes. What happened is in the event
    log; the project keeps events and does not interpret them.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        """Wrap a folder that is known to be a project; callers use the class methods."""
        self._folder = folder
        self._manifest = manifest
        self._lock = FolderLock(folder)
        self._log = EventLog(folder / EVENTS_NAME, self._lock)
        self._rounds = RoundStore(folder / ROUNDS_NAME)
        self._stamps: dict[str | None, object] = {}  # of each scene's labels.gpkg as this object wrote it last

    @classmethod
    def create(cls, folder: str | Path, manifest: Mapping[str, Any]) -> Project:
        """Make a new project.

        Args:
            folder: `NAME.seglab`; must not hold anything yet. Its parent must exist.
            manifest: JSON-serialisable settings: scene {path, fingerprint, name}, model input {bands,
                stretch}, model name, classes with colours. The keys `schema` and `created` are added here.

        Raises:
            ProjectError: There is a project already, the folder holds other files, or the manifest is not
                JSON.
            WriteError: The folder cannot be written.
        """
        folder = Path(folder)
        _refuse_reserved(manifest)
        full = {"schema": SCHEMA_VERSION, "created": _now(), **copy.deepcopy(dict(manifest))}
        data = encode_manifest(full)
        if not _is_free(folder):
            raise ProjectError(
                f"{str(folder)!r} already holds files: open it with open_or_create if it is a project, or "
                "choose another folder"
            )
        try:
            folder.mkdir(exist_ok=True)
            (folder / ROUNDS_NAME).mkdir(exist_ok=True)
            (folder / EVENTS_NAME).touch()
        except OSError as error:
            raise WriteError(f"cannot make the project folder {str(folder)!r}: {error}; choose another path") from error
        atomic.sync_folder(folder.parent)
        # last: a folder without manifest is not yet a project, so a killed create can simply be repeated
        atomic.write_bytes(folder / MANIFEST_NAME, data)
        return cls(folder, read_manifest(folder / MANIFEST_NAME))

    @classmethod
    def open(cls, folder: str | Path) -> Project:
        """Open a project and check its manifest and its event log.

        Raises:
            ProjectError: There is nothing at that path.
            ProjectDamagedError: It is not a project, or a part is missing or damaged. Nothing was changed.
        """
        folder = Path(folder)
        if not folder.exists():
            raise ProjectError(f"there is no project at {str(folder)!r}: check the path, or create one")
        if not folder.is_dir():
            raise ProjectDamagedError(
                f"{str(folder)!r} is a file, and a project is a folder: choose another path. Nothing was changed."
            )
        project = cls(folder, read_manifest(folder / MANIFEST_NAME))
        project.events()
        project._remove_leftovers()
        return project

    @classmethod
    def open_or_create(cls, folder: str | Path, manifest: Mapping[str, Any]) -> Project:
        """Open the project at `folder`, or make it there if there is none (see `create` and `open`)."""
        return cls.create(folder, manifest) if _is_free(Path(folder)) else cls.open(folder)

    @property
    def folder(self) -> Path:
        """Where the project is."""
        return self._folder

    @property
    def labels_path(self) -> Path:
        """The GeoPackage of the first scene's labels (may not exist yet)."""
        return self._labels_of(None)

    @property
    def scene_names(self) -> list[str]:
        """The scenes, the first one first."""
        return [card["name"] for card in scene_cards(self._manifest)]

    @property
    def scenes(self) -> dict[str, str | None]:
        """What events, folders and files call each scene, by its name: the first one has none."""
        first, *others = self.scene_names
        return {first: None, **{name: name for name in others}}

    def folder_of(self, scene: str | None) -> Path:
        """Where the labels, maps and view of a scene are (may not exist yet).

        Args:
            scene: its name; None for the first one, which has the project's folder.
        """
        return self._folder if scene is None else self._folder / SCENES_NAME / scene

    def add_scene(self, card: Mapping[str, Any]) -> str:
        """Add a scene to the manifest, after those that are there.

        Args:
            card: what is known of it; its `name` is changed where a file may not be called so, or another scene is.

        Returns:
            Its name in the project.

        Raises:
            ProjectError, ProjectDamagedError, WriteError: see `update_manifest`.
        """
        with self._lock.held():
            known = read_manifest(self._folder / MANIFEST_NAME)
            name = _free_name(str(card["name"]), [there["name"] for there in scene_cards(known)])
            _make_folder(self.folder_of(name))
            self.update_manifest(scenes=[*known.get("scenes", ()), {**card, "name": name}])
            return name

    def update_scene(self, name: str, **changes: Any) -> None:
        """Replace entries of a scene's card in the manifest.

        Args:
            name: of a scene that is there.
            changes: entries of its card.

        Raises:
            ProjectError, ProjectDamagedError, WriteError: see `update_manifest`.
        """
        with self._lock.held():
            known = read_manifest(self._folder / MANIFEST_NAME)
            first, *others = (card | (changes if card["name"] == name else {}) for card in scene_cards(known))
            self.update_manifest(scene=first, **({"scenes": others} if others else {}))

    @property
    def cache_folder(self) -> Path:
        """Where caches of this project go (may not exist yet); may be deleted at any time."""
        return self._folder / CACHE_NAME

    @property
    def manifest(self) -> dict[str, Any]:
        """A copy of the manifest as last read or written by this object."""
        return copy.deepcopy(self._manifest)

    def reload_manifest(self) -> None:
        """Read the manifest again: another process may have changed it.

        Raises:
            ProjectDamagedError: the manifest on disk is damaged.
        """
        self._manifest = read_manifest(self._folder / MANIFEST_NAME)

    def update_manifest(self, **changes: Any) -> None:
        """Replace top-level entries of the manifest, atomically; others keep what is on disk now.

        Raises:
            ProjectError: A reserved key, or a value that JSON cannot hold.
            ProjectDamagedError: The manifest on disk is damaged.
            WriteError: It could not be written; the former one stands.
        """
        _refuse_reserved(changes)
        path = self._folder / MANIFEST_NAME
        with self._lock.held():
            manifest = read_manifest(path) | copy.deepcopy(changes)
            atomic.write_bytes(path, encode_manifest(manifest))
            self._manifest = read_manifest(path)

    def events(self) -> list[Event]:
        """All events in order, those of other processes included.

        Raises:
            ProjectDamagedError: The log is missing or a line of it is damaged.
        """
        return self._log.read()

    def append(self, kind: str, data: dict[str, Any], author: str | None = None) -> Event:
        """Append an event; it is on the disk when this returns (see `EventLog.append`)."""
        return self._log.append(kind, data, author)

    def copy_history(self, source: Project) -> None:
        """Take over everything that happened in another project: its events as they are, and its rounds.

        Args:
            source: The other one; only read. Its rounds are checked against their checksums.

        Raises:
            ProjectError: This project has events or rounds of those numbers already.
            ProjectDamagedError: A round of the source is damaged.
            WriteError: The system refused to write.
        """
        with self._lock.held():
            for card in source.rounds():
                self._rounds.copy(card["round"], source._rounds)
        self._log.extend(source.events())

    def write_labels(self, labels: gpd.GeoDataFrame, styles: Mapping[str, str], scene: str | None = None) -> None:
        """Replace a scene's labels.gpkg.

        Args:
            labels: Polygons with a `class` column; CRS of the scene, or none: pixel coordinates (col, row).
            styles: '#rrggbb' per class, for QGIS.
            scene: see `folder_of`.

        Raises:
            WriteError: It could not be written (open in another program); the events are not affected.
        """
        path = self._labels_of(scene)
        with self._lock.held():
            self._stamps.pop(scene, None)
            _make_folder(path.parent)
            geopackage.write(labels, path, LABELS_LAYER, styles)
            self._stamps[scene] = stamp(path)

    def change_labels(self, changed: gpd.GeoDataFrame, gone: Sequence[object], scene: str | None = None) -> bool:
        """Change some rows of a scene's labels.gpkg: as quick with many labels as with few.

        Args:
            changed: labels that are new or take the place of those with the same `id`; as for `write_labels`.
            gone: `id`s of labels to take out.
            scene: see `folder_of`.

        Returns:
            False, with nothing changed, unless the file is as this object wrote it last: use `write_labels` then.

        Raises:
            WriteError: see `write_labels`.
        """
        path = self._labels_of(scene)
        with self._lock.held():
            known = self._stamps.pop(scene, None)
            if known is None or known != stamp(path):
                return False
            if not geopackage.change(changed, gone, path, LABELS_LAYER):
                return False
            self._stamps[scene] = stamp(path)
            return True

    def read_labels(self, scene: str | None = None) -> gpd.GeoDataFrame:
        """The labels as they stand in a scene's labels.gpkg, edits made elsewhere included; empty if not yet written.

        Raises:
            ProjectDamagedError: The file cannot be read.
        """
        return geopackage.read(self._labels_of(scene), LABELS_LAYER)

    def save_round(self, tensors: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> int:
        """Save a round of training under the next number (see `RoundStore.save`).

        Args:
            tensors: The adapter's weights by name.
            card: JSON-serialisable description: parent, data, bands, ground resolution, metrics.

        Returns:
            Its number; the first is 1.
        """
        with self._lock.held():
            return self._rounds.save(tensors, card)

    def rounds(self) -> list[dict[str, Any]]:
        """The cards of all rounds, by number (the key `round`)."""
        return self._rounds.cards()

    def load_round(self, number: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The tensors and the card of a round (see `RoundStore.load`)."""
        return self._rounds.load(number)

    def _labels_of(self, scene: str | None) -> Path:
        return self.folder_of(scene) / LABELS_NAME

    def _remove_leftovers(self) -> None:
        # Busy: another process writes, and its temporary files are alive. Not writable: nothing to clean.
        with contextlib.suppress(ProjectBusyError, WriteError), FolderLock(self._folder, timeout_s=0).held():
            for folder in (self._folder, *(self._folder / SCENES_NAME).glob("*")):
                atomic.remove_leftovers(folder)
            atomic.remove_leftovers(self._folder / ROUNDS_NAME)


def _is_free(folder: Path) -> bool:
    """Whether a new project may go here: there is nothing, or only what a killed `create` left."""
    if not folder.exists():
        return True
    if not folder.is_dir():
        return False
    for path in folder.iterdir():
        hidden = path.name.startswith(".")  # .DS_Store, temporary files, the lock
        empty_log = path.name == EVENTS_NAME and path.stat().st_size == 0
        empty_rounds = path.name == ROUNDS_NAME and path.is_dir() and not any(path.iterdir())
        if not (hidden or empty_log or empty_rounds):
            return False
    return True


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot make {str(folder)!r}: {error}; check permissions") from error


def _free_name(wanted: str, taken: Sequence[str]) -> str:
    """A name that a folder can have on every system and that no scene has, however it is written."""
    base = re.sub(UNSAFE, "_", wanted).strip(" .") or "scene"
    there = {name.casefold() for name in taken}
    name, number = base, 2
    while name.casefold() in there:
        name, number = f"{base}_{number}", number + 1
    return name


def _refuse_reserved(changes: Mapping[str, Any]) -> None:
    taken = [key for key in RESERVED if key in changes]
    if taken:
        raise ProjectError(f"{taken[0]!r} is set by the project itself: leave it out of the manifest")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
