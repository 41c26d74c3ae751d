"""Scenes of one place by date: each is a raster of its own, opened when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from seglab.core.cubes import CubeLayer
from seglab.core.dates import dated_sources, iso_date
from seglab.core.grid import Grid
from seglab.core.handles import open_dataset
from seglab.core.layout import layout_of
from seglab.core.raster import Scene
from seglab.core.sources import locate
from seglab.errors import DateError, SceneClosedError

UNDATED = ""
"""The date of a scene whose source has no time axis."""

_SHIFTED = 0.01  # pixels; grids that differ by less are one


class DatedScenes:
    """The scenes of a source's dates, all on one grid and with the same bands, and which of them is in use.

    What is in memory is written to disk date by date, so that no more than a block of one date is held. Any thread may
    ask for scenes.

    Args:
        name: of the place, for a person.
        sources: what `Scene.open` takes, by date, the oldest first; the latest is in use at first.
        bands: see `Scene.open`; those of the first scene that is opened are taken for all.
        workdir: see `Scene.open`.
    """

    def __init__(
        self,
        name: str,
        sources: Mapping[str, Any],
        bands: Sequence[int | str] | None = None,
        workdir: str | Path | None = None,
    ) -> None:
        self.name = name
        self.date = next(reversed(sources))
        """The one in use; UNDATED without a time axis."""
        self._sources = dict(sources)
        self._bands = bands
        self._workdir = workdir
        self._open: dict[str, Scene] = {}
        self._closed = False
        self._lock = threading.RLock()

    @classmethod
    def open(
        cls, source: Any, bands: Sequence[int | str] | None = None, workdir: str | Path | None = None
    ) -> DatedScenes:
        """The scenes of a source.

        Args:
            source: what `Scene.open` takes, or has several of: see `dates.dated_sources`.
            bands, workdir: see `Scene.open`.

        Raises:
            DateError: a date is missing, not understood or there twice, or its file does not fit the others.
            SegLabError: as `Scene.open` raises.
        """
        found = dated_sources(source)
        if found is None:
            return cls.of(Scene.open(source, bands, workdir=workdir), source)
        _check_files(found.sources)
        return cls(found.name, found.sources, bands, workdir)

    @classmethod
    def of(cls, scene: Scene, source: Any = None) -> DatedScenes:
        """One scene, without a date.

        Args:
            scene: open.
            source: what it was opened from, to open it in other bands; its path if None.
        """
        made = cls(scene.name, {UNDATED: scene.path if source is None else source}, scene.bands)
        made._open[UNDATED] = scene
        return made

    @property
    def dates(self) -> tuple[str, ...]:
        """ISO 8601 dates, the oldest first; () where the source has no time axis."""
        return tuple(date for date in self._sources if date)

    @property
    def scene(self) -> Scene:
        """Of the date in use."""
        return self.at(self.date)

    @property
    def files(self) -> dict[str, str]:
        """The path or URL of each date's raster; those in memory have none."""
        paths = {date: one.path if isinstance(one, CubeLayer) else one for date, one in self._sources.items()}
        return {date: path for date, path in paths.items() if isinstance(path, str)}

    def at(self, date: str) -> Scene:
        """The scene of a date: see `known`.

        Raises:
            DateError: it does not fit the other dates.
            SegLabError: as `Scene.open` raises.
        """
        date = self.known(date)
        scene = self._open.get(date)  # without the lock: nobody waits for another date to be written
        if scene is not None:
            return scene
        with self._lock:
            if date not in self._open:
                self._open[date] = self._opened(date)
            return self._open[date]

    def known(self, date: str) -> str:
        """The date, if the source has it; else (an undated object's) that in use."""
        return date if date in self._sources else self.date

    def find(self, date: Any) -> str:
        """The date that is meant: the same, or the only one that begins like it ("2020" for the one of that year).

        Raises:
            DateError: the source has none such, or several.
        """
        wanted = iso_date(date)
        found = [wanted] if wanted in self._sources else [known for known in self.dates if known.startswith(wanted)]
        if len(found) != 1:
            there = ", ".join(self.dates) or "none: the source has no time axis"
            raise DateError(
                f"{wanted} is {'not one' if not found else 'more than one'} of the dates; there are {there}"
            )
        return found[0]

    def use(self, date: str) -> None:
        """Take a date into use; where its scene cannot be opened, the one before stays.

        Raises:
            SegLabError: see `at`.
        """
        self.at(date)
        self.date = date

    def show_bands(self, bands: Sequence[int | str]) -> None:
        """Open the scenes anew, with other bands."""
        with self._lock:
            self._close_scenes()
            self._open, self._bands = {}, bands

    def close(self) -> None:
        """Close all scenes. None is opened any more: see SceneClosedError."""
        with self._lock:
            self._closed = True
            self._close_scenes()

    def _close_scenes(self) -> None:
        with ExitStack() as closing:
            for scene in self._open.values():
                closing.callback(scene.close)

    def _opened(self, date: str) -> Scene:
        if self._closed:
            raise SceneClosedError(f"the scene {self.name!r} is closed; open it again with seglab.open")
        scene = Scene.open(self._sources[date], self._bands, workdir=self._workdir)
        try:
            for other, there in self._open.items():
                _check_alike(date, (scene.grid, scene.band_names), other, (there.grid, there.band_names))
        except DateError:
            scene.close()
            raise
        self._bands = scene.bands
        if date:
            scene.name = f"{self.name} {date}"
        return scene


def _check_files(sources: Mapping[str, Any]) -> None:
    """Compare the headers of files, before anybody labels on one of them."""
    first: tuple[str, tuple[Grid, tuple[str, ...]]] | None = None
    for date, source in sources.items():
        if isinstance(source, str):
            path = locate(source).path
            with open_dataset(path) as dataset:
                layout = layout_of(dataset, path)
            first = first or (date, (layout.grid, layout.names))
            _check_alike(date, (layout.grid, layout.names), *first)


def _check_alike(
    date: str, found: tuple[Grid, tuple[str, ...]], other: str, expected: tuple[Grid, tuple[str, ...]]
) -> None:
    """Refuse a raster that does not lie on the others, or has other bands.

    Args:
        date, found: of the raster, with the names of its bands.
        other, expected: those of one before.
    """
    (grid, names), (first, bands) = found, expected
    remedy = "all dates have to be on one grid with the same bands; bring it there first, for example with gdalwarp"
    if grid.shape != first.shape:
        size, wanted = (f"{g.width} x {g.height} px" for g in (grid, first))
        raise DateError(f"the raster of {date} has {size} and that of {other} has {wanted}: {remedy}")
    if grid.crs != first.crs or not _lie_alike(grid, first):
        raise DateError(f"the raster of {date} lies elsewhere than that of {other}, or in another CRS: {remedy}")
    if len(names) != len(bands):
        raise DateError(f"the raster of {date} has {len(names)} bands and that of {other} has {len(bands)}: {remedy}")
    if names != bands and sorted(names) == sorted(bands):
        raise DateError(f"the raster of {date} has its bands in the order {names!r} and not {bands!r}: {remedy}")


def _lie_alike(one: Grid, other: Grid) -> bool:
    """Whether the corners of two grids of one size fall on each other."""
    corners = np.array([(0, 0, 1), (one.width, 0, 1), (0, one.height, 1)]).T
    there, here = (np.array(grid.transform).reshape(3, 3) for grid in (one, other))
    return bool(np.abs(np.linalg.solve(here, there @ corners) - corners).max() < _SHIFTED)
