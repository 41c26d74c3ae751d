"""What a session keeps beside the labels: caches, and what was looked at last."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from seglab.app.project.kept_view import KeptView, ViewFile
from seglab.app.rounds.learner import Learner


class ProjectKeeping:
    """The part of a LabelSession that keeps what no label depends on."""

    _learner: Learner
    _view_file: ViewFile

    @property
    def cache_size(self) -> Mapping[str, int]:
        """Bytes in the caches by kind: "embeddings" of windows in memory, and on the disk, in the project's folder,
        the "prefixes" that they are made from."""
        return {kind: sum(cache.nbytes for cache in caches) for kind, caches in self._learner.caches.items()}

    def clear_cache(self) -> int:
        """Empty the caches, on the disk and in memory; at any time. The next click in a window encodes it again.

        Returns:
            Bytes that are free now.
        """
        before = sum(self.cache_size.values())
        for cache in chain(*self._learner.caches.values()):
            cache.clear()
        return before - sum(self.cache_size.values())

    @property
    def kept_view(self) -> KeptView | None:
        """What the labeler showed when the project was left; None if nothing was kept."""
        return self._view_file.read()

    def keep_view(self, view: KeptView) -> None:
        """Keep what the labeler shows, for the next time the project is opened; costs nothing to call often."""
        self._view_file.keep(view)

    @property
    def view_problem(self) -> str | None:
        """Why the view could not be read or kept, if so."""
        return self._view_file.problem
