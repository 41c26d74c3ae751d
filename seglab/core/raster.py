"""Scenes: georeferenced rasters and plain images, read window by window."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, Resampling
from rasterio.windows import Window as RasterWindow

from seglab.core.band_labels import BandLabel, labels_of, match_bands
from seglab.core.bands import check_band, choose_bands, resolve_bands
from seglab.core.grid import Grid
from seglab.core.handles import ThreadHandles
from seglab.core.layout import Layout, check_supported, layout_of
from seglab.core.sampling import SAMPLE_SIZE, sample_plans, whole_window
from seglab.core.sources import Located, expand_palette, locate
from seglab.core.spectrum import find_colours
from seglab.core.stretch import Stretch, is_display_ready, percentile_stretch
from seglab.core.windows import Window, pieces_inside
from seglab.errors import EmptySceneError, StretchError

_FLOAT32 = np.finfo(np.float32)

EXTRA_PERCENTILES = (2.0, 98.0)
"""Of a band's valid values: what becomes -1 and 1 in `Scene.extra`."""

EXTRA_LIMIT = 3.0
"""Values of `Scene.extra` are clipped to -3..3: a glint or a wrong elevation must not drown the rest."""


class Scene:
    """A raster that is looked at and labelled. Made by `Scene.open`; any thread may read it.

    A pixel is valid unless the file's alpha band or mask says otherwise, it is not finite in a band read, or
    it is nodata: in any band read for floating point numbers; in all bands read and viewed for integers,
    where a single band may hold the nodata value by chance (0 in dark water).
    """

    def __init__(
        self,
        located: Located,
        handles: ThreadHandles,
        layout: Layout,
        bands: tuple[int, int, int],
    ) -> None:
        self.path = located.path
        """A local file or a URL that GDAL opens."""
        self.name = located.name
        """For a person."""
        self.fingerprint = located.fingerprint
        """Changes when the pixels may have changed; part of every cache key."""
        self.grid: Grid = layout.grid
        """Size and place."""
        self.data_bands = layout.indexes
        """1-based indexes of the bands that hold data (not alpha)."""
        self.band_names = layout.names
        """Names of `data_bands`, "" where the file gives none."""
        self.dtype = layout.dtype
        """NumPy name of the data type in the file."""
        self.nodata = layout.nodata[0]
        """Value that marks a pixel without data in the first band, or None."""
        self.bands = bands
        """The three 1-based indexes of the view and of the model's input."""
        self.stretch = Stretch.identity()
        """From the values of `bands` to 0..255."""
        self.colours = {
            colour: layout.indexes[position]
            for colour, position in find_colours(layout.names, layout.tags, layout.dtype, layout.wavelengths).items()
        }
        """1-based bands by "blue", "green", "red", "nir" and "swir", as far as the file tells."""
        self.band_labels = labels_of(layout)
        """What is known of each of `data_bands`."""
        self._layout = layout
        self._spans: dict[int, tuple[float, float]] = {}
        self._handles = handles
        self._resources = ExitStack()

    @classmethod
    def open(
        cls,
        source: Any,
        bands: Sequence[int | str] | Sequence[BandLabel] | None = None,
        percentiles: tuple[float, float] = (2.0, 98.0),
        workdir: str | Path | None = None,
        *,
        fingerprint: str | None = None,
        stretch: Stretch | None = None,
    ) -> Scene:
        """Open a scene.

        Args:
            source: a path, a URL, a STAC item (pystac or dict), an xarray.DataArray or Dataset, or an image
                as an array (H, W), (H, W, C) or (C, H, W).
            bands: one to three 1-based indexes or names for red, green and blue, or bands of another scene; None
                chooses.
            percentiles: of the valid values of each band, shown as 0 and 255. Photos are shown as they are.
            workdir: folder for sources in memory, which are written to disk once; None takes a temporary one,
                which goes when the scene is closed.
            fingerprint: the caller's own id of the pixels, instead of the one made from path, size and time.
            stretch: take this one instead of computing it.

        Raises:
            SceneNotFoundError, NotARasterError, DamagedSceneError: it is not there or cannot be read.
            UnsupportedSceneError: complex pixels, no bands, georeferenced by control points only.
            EmptySceneError: no pixel is valid.
            BandError: a band that it does not have.
            StretchError: percentiles that are not 0 <= low < high <= 100.
        """
        low, high = percentiles
        if not 0 <= low < high <= 100:
            raise StretchError(f"percentiles={percentiles!r}: give 0 <= low < high <= 100, for example (2, 98)")
        with ExitStack() as undo:  # no handle or folder is left behind by a scene that nobody got
            located = _kept(locate(source, workdir), undo)
            handles = ThreadHandles(located.path)
            undo.callback(handles.close)
            with handles.dataset() as dataset:
                check_supported(dataset, located.path)
                is_palette = dataset.count == 1 and dataset.colorinterp[0] == ColorInterp.palette
                if is_palette:
                    located = _kept(expand_palette(dataset, located, workdir), undo)
            if is_palette:
                handles.close()
                handles = ThreadHandles(located.path)
                undo.callback(handles.close)
            with handles.dataset() as dataset:
                layout = layout_of(dataset, located.path)
            scene = cls(located, handles, layout, _view(layout, bands))
            scene.fingerprint = fingerprint or located.fingerprint
            scene.stretch = stretch or scene._compute_stretch(percentiles)
            scene._resources = undo.pop_all()
        return scene

    @property
    def count(self) -> int:
        """Number of data bands."""
        return len(self.data_bands)

    def __repr__(self) -> str:
        place = self.grid.crs.to_string() if self.grid.crs is not None else "no CRS"
        return (
            f"<Scene {self.name!r} {self.grid.width}x{self.grid.height} px, {self.count} x {self.dtype}, "
            f"{place[:40]}, bands {self.bands}>"
        )

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; temporary ones are removed. Reading afterwards raises SceneClosedError."""
        self._resources.close()

    def find_bands(self, bands: Sequence[int | str] | Sequence[BandLabel]) -> tuple[int, ...]:
        """The 1-based indexes of bands that are given by index or name, or as another scene has them.

        Raises:
            BandError: the scene has no such band.
        """
        return _find_bands(self._layout, bands)

    def labels_at(self, indexes: Sequence[int]) -> tuple[BandLabel, ...]:
        """What is known of bands, by their 1-based indexes."""
        return tuple(self.band_labels[self.data_bands.index(index)] for index in indexes)

    # -- reading

    def state(self) -> str | None:
        """While this stays the same, so do the pixels; None while that cannot be known: see ThreadHandles.state."""
        return self._handles.state()

    def stamp(self) -> str:
        """When this changes, the scene's files were written to; "" for a remote one: see ThreadHandles.stamp."""
        return self._handles.stamp()

    def read(self, window: Window, bands: Sequence[int | str] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The values of a window.

        Args:
            window: scene pixels; it may stick out of the scene. With scale s, an output pixel is the mean of
                the valid pixels among its s x s.
            bands: 1-based indexes or names; None means `self.bands`.

        Returns:
            values: (B, h, w) float32, 0 where nothing is valid; h = window.height // window.scale.
            valid: (h, w) bool; False outside the scene. With a scale, True if any of the pixels is valid.

        Raises:
            BandError: the scene has no such band.
            DamagedSceneError: the pixels cannot be read.
            SceneClosedError: the scene is closed.
        """
        wanted = [check_band(b, self.data_bands, self.band_names) for b in (self.bands if bands is None else bands)]
        judged = self._judged_bands(wanted)
        values, valid = self._read_bands(window, judged)
        values[:, ~valid] = 0
        if wanted != judged:
            values = values[[judged.index(band) for band in wanted]]
        return values, valid

    def rgb(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The stretched view of a window: what the model sees.

        Returns:
            image: (h, w, 3) uint8, black where not valid; valid: (h, w) bool.
        """
        values, valid = self.read(window)
        return np.ascontiguousarray(np.moveaxis(self.stretch.apply(values, valid), 0, -1)), valid

    def extra(self, window: Window, bands: Sequence[int | str]) -> np.ndarray:
        """Bands beyond the view's three as a network takes them, each on a scale of its own.

        Args:
            window: scene pixels; it may stick out of the scene.
            bands: 1-based indexes or names, at least one.

        Returns:
            (B, h, w) float32: -1 and 1 are the 2 and 98 % of the band's valid values in the whole scene; beyond
            them it goes on to -3 and 3. 0 where the band has no data.

        Raises:
            BandError, DamagedSceneError, SceneClosedError: see `read`.
            EmptySceneError: a band has no valid pixel in the whole scene.
        """
        wanted = [check_band(band, self.data_bands, self.band_names) for band in bands]
        spans = np.array([self._span(band) for band in wanted], dtype=np.float32).reshape(-1, 2)
        low, high = spans.T[:, :, None, None]
        values, valid = self._read_bands(window, wanted)
        known = np.isfinite(values) & self._holds_data(values, wanted)
        if self._layout.has_mask:
            known &= valid  # else band by band: a hole in the elevation is none in the infrared
        scaled = np.where(known, (values - low) * (2 / (high - low)) - 1, np.float32(0))
        return np.clip(scaled, -EXTRA_LIMIT, EXTRA_LIMIT)

    def preview(self, max_size: int = SAMPLE_SIZE) -> tuple[np.ndarray, np.ndarray, int]:
        """The whole scene, small.

        Args:
            max_size: pixels along the longer side, at most.

        Returns:
            image: (h, w, 3) uint8; valid: (h, w) bool; factor: scene pixels per preview pixel.
        """
        window = whole_window(self.grid.shape, max_size)
        image, valid = self.rgb(window)
        return image, valid, window.scale

    def sample(self, bands: Sequence[int | str]) -> np.ndarray:
        """Values of bands at pixels spread over the scene, from a decimated read or from a lattice of blocks.

        Args:
            bands: 1-based indexes or names.

        Returns:
            (B, n) float32: of pixels that hold data in all of these bands.

        Raises:
            BandError, DamagedSceneError, SceneClosedError: see `read`.
            EmptySceneError: there is no such pixel.
        """
        wanted = [check_band(band, self.data_bands, self.band_names) for band in bands]
        for plan in sample_plans(self.grid.shape, self._layout.has_overviews):
            parts = []
            for window in plan:
                values, valid = self.read(window, wanted)
                parts.append(values[:, valid & self._holds_data(values, wanted).all(axis=0)])
            found = np.concatenate(parts, axis=1)
            if found.shape[1]:
                return found
        raise self._empty()

    # -- inside

    def _span(self, band: int) -> tuple[float, float]:
        """The values that `extra` maps to -1 and 1."""
        if band not in self._spans:
            stretch = percentile_stretch(self._valid_values((band,)), EXTRA_PERCENTILES)
            self._spans[band] = stretch.low[0], stretch.high[0]
        return self._spans[band]

    def _read_bands(self, window: Window, bands: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """(B, h, w) float32 as they are in the file, NaN outside the scene, and (h, w) bool: where all is valid."""
        height, width = window.model_shape
        values = np.full((len(bands), height, width), np.nan, dtype=np.float32)
        valid = np.zeros((height, width), dtype=bool)
        with self._handles.dataset() as dataset:
            for rows, top, bottom in pieces_inside(window.row, window.scale, height, self.grid.height):
                for cols, left, right in pieces_inside(window.col, window.scale, width, self.grid.width):
                    area = RasterWindow(left, top, right - left, bottom - top)
                    shape = (rows.stop - rows.start, cols.stop - cols.start)
                    values[:, rows, cols], valid[rows, cols] = self._read_inside(dataset, bands, area, shape)
        return values, valid

    def _judged_bands(self, wanted: list[int]) -> list[int]:
        """The bands to read: those wanted, and those that tell whether an integer pixel is valid."""
        bands = list(dict.fromkeys(wanted))
        if self._is_integer and self._uses_nodata:
            bands = list(dict.fromkeys([*bands, *self.bands]))
        return bands

    @property
    def _is_integer(self) -> bool:
        return np.dtype(self.dtype).kind in "iu"

    @property
    def _uses_nodata(self) -> bool:
        return not self._layout.has_mask and any(value is not None for value in self._layout.nodata)

    def _read_inside(
        self, dataset: rasterio.DatasetReader, bands: list[int], area: RasterWindow, shape: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values and validity of an area inside the scene, decimated to a shape."""
        values = dataset.read(
            bands,
            window=area,
            out_shape=(len(bands), *shape),
            resampling=Resampling.average,
            out_dtype="float32",
        )
        if self._layout.has_mask:
            mask = dataset.read_masks(self.data_bands[0], window=area, out_shape=shape, resampling=Resampling.average)
            valid = mask > 0
        elif self._uses_nodata:
            holds = self._holds_data(values, bands)
            valid = holds.any(axis=0) if self._is_integer else holds.all(axis=0)
        else:
            valid = np.ones(shape, dtype=bool)
        if not self._is_integer:
            valid &= np.isfinite(values).all(axis=0)
        return values, valid

    def _holds_data(self, values: np.ndarray, bands: Sequence[int]) -> np.ndarray:
        """(B, h, w) bool: the value is not that band's nodata (NaN is left to isfinite)."""
        nodata = [self._layout.nodata[self.data_bands.index(band)] for band in bands]
        marks = np.array([np.nan if v is None else np.clip(v, _FLOAT32.min, _FLOAT32.max) for v in nodata])
        return values != marks.astype(np.float32)[:, None, None]

    def _compute_stretch(self, percentiles: tuple[float, float]) -> Stretch:
        with rasterio.Env(GDAL_ERROR_ON_LIBJPEG_WARNING="YES"):  # half a photo is otherwise read as grey
            samples = self._valid_values(self.bands)
        tags = [self._layout.tags[self.data_bands.index(band)] for band in self.bands]
        if is_display_ready(samples, self.dtype, tags, self._layout.is_photo):
            return Stretch.identity()
        return percentile_stretch(samples, percentiles)

    def _valid_values(self, bands: Sequence[int]) -> list[np.ndarray]:
        """Valid values of each band, from a decimated read or from a lattice of blocks.

        Raises:
            EmptySceneError: there are none.
        """
        for plan in sample_plans(self.grid.shape, self._layout.has_overviews):
            found: list[list[np.ndarray]] = [[] for _ in bands]
            for window in plan:
                values, valid = self.read(window, bands)
                keep = valid & self._holds_data(values, bands)
                for parts, band, kept in zip(found, values, keep, strict=True):
                    parts.append(band[kept])
            samples = [np.concatenate(parts) for parts in found]
            if any(sample.size for sample in samples):
                return [sample if sample.size else np.zeros(1, np.float32) for sample in samples]
        raise self._empty()

    def _empty(self) -> EmptySceneError:
        return EmptySceneError(
            f"the scene {self.name!r} has no valid pixel (nodata={self.nodata!r}); check its nodata value, "
            "or choose other bands"
        )


def _view(layout: Layout, asked: Sequence[int | str] | Sequence[BandLabel] | None) -> tuple[int, int, int]:
    if asked is not None:
        return resolve_bands(_find_bands(layout, asked), layout.indexes, layout.names)
    red, green, blue = choose_bands(layout.names, layout.tags, layout.dtype)
    return layout.indexes[red], layout.indexes[green], layout.indexes[blue]


def _find_bands(layout: Layout, asked: Sequence[int | str] | Sequence[BandLabel]) -> tuple[int, ...]:
    there = labels_of(layout)
    return tuple(
        match_bands([band], there)[0] if isinstance(band, BandLabel) else check_band(band, layout.indexes, layout.names)
        for band in asked
    )


def _kept(located: Located, undo: ExitStack) -> Located:
    """The same; its temporary folder is removed with the others."""
    if located.folder is not None:
        undo.callback(located.folder.cleanup)
    return located
