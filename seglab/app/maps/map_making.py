"""What a session maps: the whole scene, and what of it can be encoded beforehand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from seglab import jobs
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.app.maps.map_jobs import MapJobs
from seglab.core.grid import Grid
from seglab.errors import MissingCRSError, PromptError
from seglab.inference.sweep import Prediction, Workers


class MapMaking:
    """The part of a LabelSession that looks at the whole scene."""

    _ledger: Ledger
    _map_jobs: MapJobs
    state: State
    grid: Grid
    _new_file: Callable[[str | Path], Path]

    def predict(
        self,
        path: str | Path | None = None,
        *,
        resolution: float | None = None,
        flips: bool = False,
        client: Any = None,
        model: str | int | None = None,
    ) -> jobs.Job[Prediction]:
        """Map the whole scene, or its area of interest, in the background: a COG of classes, beside it one of
        confidence, and where the scene has a CRS a STAC item.

        A run that was cancelled or killed goes on where it was when the same map is asked for at the same path.

        Args:
            path: the class map; a new file in the project's folder if None.
            resolution: ground metres per model pixel; the scale of most objects if None. The map has the scene's pixels
                all the same.
            flips: look at each window mirrored, too: a little better, four times the work.
            client: a `dask.distributed.Client`, whose workers map the blocks: they must see the scene and the map's
                folder under the same paths. None: this process does.
            model: "student": the project's latest student maps, many times faster (see `distill`); or the number of a
                student. None: the model in use does.

        Raises:
            NoLabelsError: no class has an object yet.
            UnknownRoundError: there is no such student.
            RoundMismatchError: it knows none of the project's classes.
            JobRunningError: the scene is being mapped.
            PromptError: a resolution that is not above 0.
            MissingCRSError: a resolution for a scene without CRS.
            MissingPackageError: a client is given and Dask is not installed here.
        """
        scale = None if resolution is None else self._scale_at(resolution)
        workers = None if client is None else _cluster(client)
        with self._ledger.acting():
            target = None if path is None else self._new_file(path)
            return self._map_jobs.predict(self.state, target, scale, flips, workers, model)

    def encode(self) -> jobs.Job[int]:
        """Encode the whole scene, or its area of interest, in the background, as far as no round changes it: maps made
        after each round then take only the rest of the time. The prefixes are kept on disk, within the cache's budget.

        Returns:
            A job whose result is how many windows are encoded.

        Raises:
            JobRunningError: another job looks through the scene.
        """
        with self._ledger.acting():
            return self._map_jobs.encode(self.state)

    def _scale_at(self, resolution: float) -> int:
        """Scene pixels per model pixel that come closest to a resolution in ground metres."""
        size = self.grid.pixel_size_m
        if size is None:
            raise MissingCRSError("without a CRS nobody knows how large the pixels are; leave resolution out")
        if not resolution > 0:
            raise PromptError(f"resolution={resolution!r}: give metres per pixel above 0")
        return max(1, round(resolution / size))


def _cluster(client: Any) -> Workers:
    from seglab.inference.cluster import DaskWorkers

    return DaskWorkers(client)
