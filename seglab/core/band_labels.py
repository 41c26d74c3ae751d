"""What a band is, whichever scene it is in: so that bands in another order are found again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from seglab.core.layout import Layout
from seglab.core.spectrum import find_colours
from seglab.errors import BandError

_NUMBERED = re.compile(r"^(?:band|layer|channel)?[ _-]?0*(\d+)$")
"""A name that says no more than the band's place, lower case: Band 1, band_1, 1."""


@dataclass(frozen=True)
class BandLabel:
    """A band as one scene has it."""

    index: int
    """1-based, in that scene."""
    name: str = ""
    """As its file gives it; "" if it gives none, or only a number."""
    colour: str = ""
    """"blue", "green", "red", "nir" or "swir", as far as the file tells; else ""."""

    def __str__(self) -> str:
        words = [word for word in (self.name, self.colour) if word]
        return f"{self.index} ({', '.join(dict.fromkeys(words))})" if words else str(self.index)

    @property
    def is_known(self) -> bool:
        """Whether anything but its place is known."""
        return bool(self.name or self.colour)

    def is_same(self, other: BandLabel) -> bool:
        """Whether both are known to be one: by their colours if both have one (B4 is red on one satellite and infrared
        on the next), else by their names."""
        if self.colour and other.colour:
            return self.colour == other.colour
        return bool(self.name) and self.name.casefold() == other.name.casefold()


def labels_of(layout: Layout) -> tuple[BandLabel, ...]:
    """What is known of each data band of a file, in order."""
    numbers = [_NUMBERED.match(name.strip().lower()) for name in layout.names]
    is_numbered = all(
        not name or (match is not None and int(match[1]) == index)
        for name, match, index in zip(layout.names, numbers, layout.indexes, strict=True)
    )
    names = tuple("" for _ in layout.names) if is_numbered else layout.names
    places = find_colours(names, layout.tags, layout.dtype, layout.wavelengths)
    colours = {position: colour for colour, position in places.items()}
    return tuple(
        BandLabel(index, name.strip(), colours.get(position, ""))
        for position, (index, name) in enumerate(zip(layout.indexes, names, strict=True))
    )


def match_bands(wanted: Sequence[BandLabel], there: Sequence[BandLabel]) -> tuple[int, ...]:
    """The bands of a scene that are those of another one.

    By what they are, where both files tell; else by their place, as long as the band in that place is not known to be
    another one.

    Args:
        wanted: of the other scene.
        there: all bands of this scene.

    Returns:
        1-based indexes in this scene, one for each that is wanted.

    Raises:
        BandError: one is missing.
    """
    return tuple(_match(band, there).index for band in wanted)


def by_place(wanted: Sequence[BandLabel], there: Sequence[BandLabel]) -> bool:
    """Whether `match_bands` finds a band by nothing but its place; arguments as there."""
    return not all(any(band.is_same(other) for other in there) for band in wanted)


def rgb_labels(bands: Sequence[int], others: Sequence[int] = ()) -> tuple[BandLabel, ...]:
    """Labels of bands that are shown as red, green and blue, and of others that nothing is known of.

    Args:
        bands: three, 1-based.
        others: 1-based.
    """
    known = (BandLabel(i, "", colour) for i, colour in zip(bands, ("red", "green", "blue"), strict=True))
    return (*known, *map(BandLabel, others))


def labels_to_json(labels: Sequence[BandLabel]) -> list[dict[str, Any]]:
    """Labels as a card keeps them."""
    return [asdict(label) for label in labels]


def labels_from_json(kept: Sequence[Mapping[str, Any]] | None, indexes: Sequence[int]) -> tuple[BandLabel, ...]:
    """The labels of a card; of one that was written before cards had them, places alone.

    Args:
        kept: of the card; None if it has none.
        indexes: 1-based, of its bands.
    """
    if kept is None:
        return tuple(map(BandLabel, indexes))
    return tuple(BandLabel(int(one["index"]), str(one["name"]), str(one["colour"])) for one in kept)


def _match(band: BandLabel, there: Sequence[BandLabel]) -> BandLabel:
    same = [other for other in there if band.is_same(other)]
    if len(same) == 1:
        return same[0]
    in_place = next((other for other in there if other.index == band.index), None)
    if in_place is not None and (in_place in same or not (band.is_known and in_place.is_known)):
        return in_place
    raise BandError(f"there is no band {band} in this scene; its bands are {', '.join(map(str, there)) or 'none'}")
