"""A cluster map: which pixels look alike, and what a person has put together or taken apart of it since."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window as RasterWindow
from shapely.geometry import Polygon

from seglab.core.masks import rasterize
from seglab.core.outlines import find_regions, strips_of
from seglab.core.palette import PALETTE
from seglab.errors import ClusterError
from seglab.store import atomic
from seglab.store.events import Event
from seglab.store.rasters import RasterWriter

NOWHERE = 0
"""Value of a pixel that is in no cluster: no data, or outside the area of interest."""
MOST = 32
"""Clusters of a map, at most: more than a person can tell apart."""
SPECK = 16
"""Pixels of a region, at the model's resolution, below which it is not worth a label of its own."""


@dataclass(frozen=True)
class Cluster:
    """Pixels that look alike."""

    values: tuple[int, ...]
    """What its pixels hold in the raster, from 1 on; several once clusters were merged."""
    colour: str
    """'#rrggbb'."""
    pixels: int
    """Of the scene."""

    @property
    def number(self) -> int:
        """What it is called."""
        return self.values[0]


@dataclass(frozen=True)
class Term:
    """One of the three correspondences, as a histogram: data of the diagnostic plot."""

    name: str
    """"self", "near" or "random"."""
    shift: float
    """A pair of points above it is drawn together, one below it pushed apart."""
    low: float
    high: float
    """Correspondences at the ends of the histogram."""
    shares: tuple[float, ...]
    """Of all pairs, by equal steps from `low` to `high`; they sum to 1."""

    @classmethod
    def of(cls, name: str, shift: float, values: np.ndarray, bins: int = 40) -> Term:
        """Of sampled correspondences."""
        counts, edges = np.histogram(values, bins)
        return cls(name, shift, float(edges[0]), float(edges[-1]), tuple((counts / counts.sum()).tolist()))


@dataclass(frozen=True)
class ClusterMap:
    """The clusters of a scene."""

    path: Path
    """GeoTIFF, uint8: NOWHERE, or one of the values of a cluster."""
    clusters: tuple[Cluster, ...]
    """The largest first, but for those that a person has made since."""
    scale: int
    """Scene pixels per model pixel at which it was made."""
    round: int
    """Of the model whose features were compared."""
    date: str
    """Of the imagery, ISO 8601; "" without a time axis."""
    proposed: str
    """Tells what was proposed at one time from what is at another; what a person does to it changes nothing of it."""
    advice: str
    """What the three correspondences say of the training, for a person."""
    terms: tuple[Term, ...] = field(default=(), repr=False)

    def cluster(self, number: int) -> Cluster:
        """The cluster of a number.

        Raises:
            ClusterError: there is none.
        """
        found = next((c for c in self.clusters if c.number == number), None)
        if found is None:
            raise ClusterError(f"there is no cluster {number}; choose one of {[c.number for c in self.clusters]}")
        return found

    def at(self, col: float, row: float) -> Cluster | None:
        """The cluster at a scene pixel coordinate; None where there is none."""
        with rasterio.open(self.path) as file:
            if not (0 <= col < file.width and 0 <= row < file.height):
                return None
            value = int(file.read(1, window=RasterWindow(int(col), int(row), 1, 1))[0, 0])
        return next((c for c in self.clusters if value in c.values), None)

    def regions(self, cluster: Cluster, least_area: int | None = None) -> list[Polygon]:
        """The outlines of a cluster, the largest first, scene pixels on pixel edges.

        Args:
            cluster: one of these.
            least_area: pixels; smaller ones are left out. SPECK model pixels if None.
        """
        least = SPECK * self.scale**2 if least_area is None else least_area
        with rasterio.open(self.path) as file:
            found = find_regions(_strips(file, cluster.values), 0, least)
        return sorted((region.outline for region in found), key=lambda outline: -outline.area)

    # -- what a person makes of it

    def merged(self, number: int, other: int) -> ClusterMap:
        """Two clusters as one, which keeps the first one's number and colour.

        Raises:
            ClusterError: one is not there, or they are the same.
        """
        first, second = self.cluster(number), self.cluster(other)
        if first == second:
            raise ClusterError(f"cluster {number} cannot be merged with itself; choose another one")
        both = replace(first, values=first.values + second.values, pixels=first.pixels + second.pixels)
        return self._with([both if c == first else c for c in self.clusters if c != second])

    def separated(self, number: int) -> ClusterMap:
        """A merged cluster as those that it was made of.

        Raises:
            ClusterError: it is not there, or was not merged.
        """
        whole = self.cluster(number)
        if len(whole.values) == 1:
            raise ClusterError(f"cluster {number} was not merged from others; split it by a mask")
        sizes = self._sizes()
        used = {c.colour for c in self.clusters}
        parts = []
        for place, value in enumerate(whole.values):
            colour = whole.colour if place == 0 else _unused(used)
            used.add(colour)
            parts.append(Cluster((value,), colour, int(sizes[value])))
        at = self.clusters.index(whole)
        return self._with([*self.clusters[:at], *parts, *self.clusters[at + 1 :]])

    def split(self, number: int, outline: Any, path: Path) -> ClusterMap:
        """A cluster without what a mask holds of it, which becomes a cluster of its own, the last one.

        Args:
            number: of the cluster.
            outline: of the mask, scene pixels.
            path: of the new raster.

        Raises:
            ClusterError: the cluster is not there; the mask holds nothing of it, or all of it; or there are too many.
        """
        whole = self.cluster(number)
        new = max(value for c in self.clusters for value in c.values) + 1
        if len(self.clusters) >= MOST or new > 254:
            raise ClusterError(f"there are {len(self.clusters)} clusters already; merge some first")
        taken = self._move(whole, new, outline, path)
        if not 0 < taken < whole.pixels:
            path.unlink()
            what = "nothing" if taken == 0 else "all"
            raise ClusterError(f"the mask holds {what} of cluster {number}; click what is to be taken out of it")
        rest = replace(whole, pixels=whole.pixels - taken)
        part = Cluster((new,), _unused({c.colour for c in self.clusters}), taken)
        return replace(self, path=path, clusters=(*(rest if c == whole else c for c in self.clusters), part))

    def _move(self, whole: Cluster, new: int, outline: Any, path: Path) -> int:
        """Write the raster again, with another value where a mask lies on a cluster; returns how many pixels."""
        taken = 0
        with rasterio.open(self.path) as file, cluster_writer(path, file) as writer:
            for strip in strips_of(file.shape):
                values = file.read(1, window=RasterWindow(strip.col, strip.row, strip.width, strip.height))
                if outline.intersects(strip.polygon):
                    moved = rasterize(outline, strip) & np.isin(values, whole.values)
                    values[moved] = new
                    taken += int(moved.sum())
                writer.write(values, strip.row, strip.col)
        return taken

    def _sizes(self) -> np.ndarray:
        """(256,) pixels by value."""
        sizes = np.zeros(256, dtype=np.int64)
        with rasterio.open(self.path) as file:
            for values in _values(file):
                sizes += np.bincount(values.ravel(), minlength=256)
        return sizes

    def _with(self, clusters: Sequence[Cluster]) -> ClusterMap:
        return replace(self, clusters=tuple(clusters))

    # -- in the log

    def arrangement(self, what: str) -> dict[str, Any]:
        """The data of a "clusters" event: what a person has made of them so far.

        Args:
            what: was done last, in words.
        """
        clusters = [asdict(cluster) for cluster in self.clusters]
        return {"what": what, "proposed": self.proposed, "raster": self.path.name, "clusters": clusters}

    def arranged(self, events: Iterable[Event]) -> ClusterMap:
        """These as the latest "clusters" event about them left them; as proposed where there is none.

        Args:
            events: in force, in order.
        """
        mine = [e.data for e in events if e.kind == "clusters" and e.data["proposed"] == self.proposed]
        # A cache that was cleared and filled again may lack a raster: what was arranged before it still counts.
        there = [data for data in mine if (self.path.parent / data["raster"]).exists()]
        if not there:
            return self
        clusters = tuple(Cluster(tuple(c["values"]), c["colour"], c["pixels"]) for c in there[-1]["clusters"])
        return replace(self, path=self.path.parent / there[-1]["raster"], clusters=clusters)

    # -- on disk

    def save(self, folder: Path) -> None:
        """Make it the cluster map of a folder.

        Raises:
            WriteError: it cannot be written.
        """
        kept = asdict(self) | {"path": self.path.name}
        atomic.write_bytes(folder / _CARD, json.dumps(kept).encode())

    @classmethod
    def load(cls, folder: Path) -> ClusterMap | None:
        """The cluster map of a folder; None where there is none, or not all of it: it can be made again."""
        try:
            kept = json.loads((folder / _CARD).read_text())
            clusters = tuple(Cluster(tuple(c["values"]), c["colour"], c["pixels"]) for c in kept.pop("clusters"))
            terms = tuple(Term(**term | {"shares": tuple(term["shares"])}) for term in kept.pop("terms"))
            path = folder / kept.pop("path")
            return cls(path, clusters, terms=terms, **kept) if path.exists() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


_CARD = "clusters.json"


def new_path(folder: Path) -> Path:
    """Of a raster that no cluster map of a folder has yet: tiles of an old one may still be asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = [int(p.stem.removeprefix("clusters_")) for p in folder.glob("clusters_*.tif")]
    return folder / f"clusters_{max(numbers, default=0) + 1:03d}.tif"


def cluster_writer(path: Path, like: Any) -> RasterWriter:
    """What writes a cluster map.

    Args:
        path: of the raster.
        like: a raster or grid with its width, height, transform and CRS.
    """
    return RasterWriter(path, like.width, like.height, like.transform, like.crs, "uint8", NOWHERE)


def numbered(sizes: np.ndarray) -> tuple[Cluster, ...]:
    """The clusters of a fresh map, the largest first.

    Args:
        sizes: (256,) pixels by value.
    """
    values = [int(v) for v in np.argsort(-sizes, kind="stable") if sizes[v] and v != NOWHERE]
    used: set[str] = set()
    found = []
    for value in values:
        colour = _unused(used)
        used.add(colour)
        found.append(Cluster((value,), colour, int(sizes[value])))
    return tuple(found)


def _unused(used: set[str]) -> str:
    """A colour that nobody has yet: lighter ones of the palette, whose own are the classes'."""
    for share in (0.4, 0.65, 0.2, 0.8, 0.55):
        for colour in PALETTE:
            rgb = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
            lighter = "#{:02x}{:02x}{:02x}".format(*(round(v + share * (255 - v)) for v in rgb))
            if lighter not in used:
                return lighter
    raise ClusterError(f"there are {len(used)} clusters already; merge some first")


def _values(file: rasterio.DatasetReader) -> Iterator[np.ndarray]:
    for strip in strips_of(file.shape):
        yield file.read(1, window=RasterWindow(strip.col, strip.row, strip.width, strip.height))


def _strips(file: rasterio.DatasetReader, values: Sequence[int]) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, ...]]]:
    for read in _values(file):
        yield np.isin(read, values).astype(np.uint8), ()
