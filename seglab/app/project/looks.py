"""Looks: which bands of the scene a person sees, and how. The model's input is another matter and stays as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seglab.core.bands import check_band
from seglab.core.raster import Scene
from seglab.core.stretch import Stretch, percentile_stretch
from seglab.errors import BandError, LookError, StretchError

MODEL_LOOK = "As the model sees it"
"""Title of the look that shows the model's input."""

BY_HAND = "Bands by hand"
"""Title of a look that a person has put together."""

PERCENTILES = (2.0, 98.0)
"""Of the valid values: what is shown as black and white where nobody says otherwise."""

RAMPS = ("gray", "viridis", "cividis", "magma", "ylgn", "blues")
"""Colour ramps for what is one band, by rio-tiler's names; each goes from dark to light or from light to dark."""

_COMPOSITES = {"True colour": ("red", "green", "blue"), "False colour (near infrared)": ("nir", "red", "green")}
_INDEXES = {"NDVI": ("nir", "red", "ylgn"), "NDWI": ("green", "nir", "blues")}
"""Normalised differences (a - b) / (a + b) and their ramp: NDVI of Rouse et al. 1974, NDWI of McFeeters 1996."""


@dataclass(frozen=True)
class Look:
    """How the scene is shown."""

    title: str
    """For a person."""
    bands: tuple[int, ...]
    """1-based: three are red, green and blue, one goes through the ramp, and of two, a and b, their normalised
    difference (a - b) / (a + b) does."""
    ramp: str | None = None
    """One of RAMPS, for one or two bands; None for three."""
    percentiles: tuple[float, float] = PERCENTILES
    """Of what is shown: the ends of the stretch, unless it is given."""
    stretch: Stretch | None = None
    """Values shown as black and white; None: those of `percentiles`, found when it is `fitted`."""

    @property
    def shown(self) -> int:
        """How many bands are shown: three, or one."""
        return 3 if len(self.bands) == 3 else 1


def presets(scene: Scene) -> dict[str, Look]:
    """The looks that a scene's bands allow, by title; the first one is the model's.

    Bands are taken for red, near infrared and so on only where the file says that they are.
    """
    known = scene.colours
    found = [Look(MODEL_LOOK, scene.bands, stretch=scene.stretch)]
    for title, colours in _COMPOSITES.items():
        if all(colour in known for colour in colours):
            found.append(Look(title, tuple(known[colour] for colour in colours)))
    for title, (first, second, ramp) in _INDEXES.items():
        if first in known and second in known:
            found.append(Look(title, (known[first], known[second]), ramp))
    return {look.title: look for look in found}


def checked(scene: Scene, look: Look) -> Look:
    """The look, if the scene can be shown so.

    Raises:
        BandError: the scene has no such band, or not one to three are named.
        LookError: no such ramp.
        StretchError: percentiles out of order, or limits that are out of order or not one pair for each band shown.
    """
    if not 1 <= len(look.bands) <= 3:
        raise BandError(f"a look has one to three bands, not {look.bands!r}; name one, two for an index, or three")
    bands = tuple(check_band(band, scene.data_bands, scene.band_names) for band in look.bands)
    if look.shown == 1 and look.ramp not in RAMPS:
        raise LookError(f"there is no ramp {look.ramp!r}; choose one of {', '.join(RAMPS)}")
    low, high = look.percentiles
    if not 0 <= low < high <= 100:
        raise StretchError(f"percentiles {look.percentiles!r}: give 0 <= low < high <= 100, for example (2, 98)")
    if look.stretch is not None:
        pairs = list(zip(look.stretch.low, look.stretch.high, strict=True))
        if len(pairs) != look.shown or not all(np.isfinite(pair).all() and pair[0] < pair[1] for pair in pairs):
            raise StretchError(f"the limits {pairs!r} are not {look.shown} times low < high; mend them")
    return replace(look, bands=bands, ramp=look.ramp if look.shown == 1 else None)


def fitted(scene: Scene, look: Look) -> Look:
    """The look with its stretch: from a decimated read of the scene, if it has none yet.

    Raises:
        BandError, LookError, StretchError: see `checked`.
        EmptySceneError: no pixel holds data in these bands.
    """
    look = checked(scene, look)
    if look.stretch is not None:
        return look
    values = scene.sample(look.bands)
    if len(look.bands) == 2:
        values = normalised_difference(*values)[None]
    return replace(look, stretch=percentile_stretch(list(values), look.percentiles))


def normalised_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(a - b) / (a + b) of the pairs for which there is one; at least one zero.

    Args:
        first, second: (n,) float32.

    Returns:
        (m,) float32, m at most n.
    """
    total = first + second
    there = total != 0
    return (first[there] - second[there]) / total[there] if there.any() else np.zeros(1, np.float32)
