"""A class map as it lies on disk: its strips, and what its file says of its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterWindow

from seglab.core.gdal_errors import told
from seglab.core.handles import file_state, open_dataset
from seglab.core.layout import layout_of
from seglab.core.outlines import strips_of
from seglab.core.palette import PALETTE
from seglab.core.windows import Window
from seglab.errors import DamagedSceneError, SceneChangedError, UnsupportedSceneError

BACKGROUND = 0
"""Value of what is no class."""
PERCENT = 100
"""What a confidence raster holds for certain."""


class ClassMap:
    """An open raster of class numbers, ours or any other of one integer band; a context manager.

    Args:
        path: the raster.
        confidence: of the same shape, 0 to 100 percent; NAME_confidence beside the map if None.

    Raises:
        SceneNotFoundError, NotARasterError, DamagedSceneError: it is not there, no raster, or cut short.
        UnsupportedSceneError: it has several bands, or other numbers than whole ones.
    """

    def __init__(self, path: str | Path, confidence: Path | None = None) -> None:
        self.path = Path(path)
        with ExitStack() as stack:
            self._raster = stack.enter_context(open_dataset(str(self.path)))
            if self._raster.count != 1 or np.dtype(self._raster.dtypes[0]).kind not in "iu":
                raise UnsupportedSceneError(
                    f"{str(self.path)!r} has {self._raster.count} bands of {self._raster.dtypes[0]}; give a class map: "
                    "one band of whole numbers"
                )
            self.grid = layout_of(self._raster, str(self.path)).grid
            beside = confidence or confidence_path(self.path)
            self._confidence = stack.enter_context(open_dataset(str(beside))) if beside.exists() else None
            if self._confidence is not None and self._confidence.shape != self.grid.shape:
                self._confidence = None  # of another map
            self._open = stack.pop_all()
        self._state = file_state(str(self.path))

    def __enter__(self) -> ClassMap:
        """The map itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files."""
        self._open.close()

    @property
    def has_confidence(self) -> bool:
        """Whether its confidence lies beside it."""
        return self._confidence is not None

    @property
    def nodata(self) -> int | None:
        """Value of pixels that hold none."""
        value = self._raster.nodata
        return None if value is None or value != int(value) else int(value)

    @property
    def round(self) -> int | None:
        """The round that made it, if its tags tell."""
        text = self._raster.tags().get("seglab_round", "")
        return int(text) if text.isdecimal() else None

    @property
    def names(self) -> Mapping[int, str]:
        """Class name by value, as far as the file tells."""
        tags = self._raster.tags(1)
        return {int(key[6:]): name for key, name in tags.items() if key.startswith("class_") and key[6:].isdecimal()}

    def colour(self, value: int) -> str:
        """'#rrggbb' of a value: the file's, or one of the palette."""
        try:
            red, green, blue, _ = self._raster.colormap(1)[value]
        except (ValueError, KeyError):
            return PALETTE[value % len(PALETTE)]
        return f"#{red:02x}{green:02x}{blue:02x}"

    def strips(self) -> Iterator[tuple[Window, np.ndarray, np.ndarray | None]]:
        """From top to bottom: a window of whole rows, its values, and its confidence in percent if there is one.

        Raises:
            DamagedSceneError: a strip cannot be read.
            SceneChangedError: the file was changed meanwhile.
        """
        for strip in strips_of(self.grid.shape):
            place = RasterWindow(strip.col, strip.row, strip.width, strip.height)
            try:
                values = self._raster.read(1, window=place)
                confidence = None if self._confidence is None else self._confidence.read(1, window=place)
            except RasterioError as error:
                raise DamagedSceneError(
                    f"rows {strip.row} to {strip.row + strip.height} of {str(self.path)!r} cannot be read "
                    f"({told(error)}); make the map again"
                ) from error
            if file_state(str(self.path)) != self._state:
                raise SceneChangedError(f"{str(self.path)!r} was changed while it was read; start again")
            yield strip, values, confidence


def confidence_path(path: Path) -> Path:
    """Where the confidence of a class map lies: beside it."""
    return path.with_name(f"{path.stem}_confidence{path.suffix}")
