"""What a session does without labels: it proposes clusters, and a person names them, merges them, takes them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
from shapely.geometry.base import BaseGeometry

from seglab import jobs
from seglab.app.clusters.cluster_making import ClusterSettings, make_clusters
from seglab.app.clusters.cluster_map import MOST, Cluster, ClusterMap, new_path
from seglab.app.clusters.naming import CLUSTER_ORIGIN, free_of_others, named_clusters, regions_data
from seglab.app.history.label_events import PARTS
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.app.labels.importing import outline_in_scene
from seglab.app.labels.labelled import LabelledObject, dated
from seglab.app.maps.map_jobs import MapJobs
from seglab.app.project.open_project import OpenProject
from seglab.app.prompting.proposals import Draft
from seglab.app.rounds.learner import Learner
from seglab.app.rounds.rounds import CurrentModel
from seglab.core.grid import Grid
from seglab.core.masks import polygons_of
from seglab.errors import ClusterError, NoMaskError, ProposalError
from seglab.store.project import Project

CLUSTERS = 6
"""Clusters that are looked for if nobody says how many."""
FOLDER = "clusters"
"""In the cache of a project; a folder of each scene in it."""


class Clustering:
    """The part of a LabelSession that shows what a scene is made of before anything has a name.

    The clusters themselves are in the project's cache; what a person makes of them is in the log, for undo, redo and
    other notebooks.
    """

    _ledger: Ledger
    _learner: Learner
    _map_jobs: MapJobs
    _opened: OpenProject
    _draft: Draft
    project: Project
    state: State
    grid: Grid
    shape: tuple[int, int]
    date: str
    model_size: int
    _clear_draft: Callable[[], None]
    _known: Callable[[str], None]
    _scale_at: Callable[[float], int]
    add_class: Callable[..., None]

    def propose(
        self,
        n_clusters: int = CLUSTERS,
        *,
        resolution: float | None = None,
        seed: int = 0,
        steps: int = ClusterSettings.steps,
        weights: str | Path | None = None,
    ) -> jobs.Job[ClusterMap]:
        """Find what the scene, or its area of interest, is made of, without a single label, in the background (STEGO,
        arXiv 2203.08414, on the features of the model in use).

        The map is kept in the project's cache. What is named already stays, as labels.

        Args:
            n_clusters: how many kinds of ground to tell apart, 2 to 32; rather some more than the classes that are
                wanted: two clusters are merged by one call.
            resolution: ground metres per model pixel; as fine as some minutes allow if None.
            seed: of the training; another one may tell other kinds apart.
            steps: of the training: more move clusters farther from what k-means would give.
            weights: file of a DINO ViT-S/8 or ViT-B/8, or of a DINOv2, as timm or its authors publish it: its features
                are compared in place of those of the model in use.

        Raises:
            ClusterError: a number of clusters that is not allowed.
            CheckpointError: from the job: the weights are missing, or of no network that is known.
            JobRunningError: another job looks through the scene.
            PromptError, MissingCRSError: see `predict`.
        """
        if not 2 <= n_clusters <= MOST:
            raise ClusterError(f"n_clusters={n_clusters}: give 2 to {MOST}")
        scale = None if resolution is None else self._scale_at(resolution)
        dino = None if weights is None else Path(weights)
        settings = ClusterSettings(n_clusters, scale, self.state.area_of_interest, seed, steps, dino)

        def work(reporter: jobs.Reporter, current: CurrentModel) -> ClusterMap:
            path = new_path(self._cluster_folder)
            made = make_clusters(reporter, current, self._opened.prefixes, settings, path)
            made.save(self._cluster_folder)
            self._ledger.tell("clusters")
            return made

        with self._ledger.acting():
            return self._map_jobs.look_through(work, "find clusters")

    @property
    def clusters(self) -> ClusterMap | None:
        """The clusters of the scene as they are now; None before `propose`."""
        found = ClusterMap.load(self._cluster_folder)
        return None if found is None else found.arranged(self._ledger.in_force())

    @property
    def cluster_classes(self) -> Mapping[int, str]:
        """The class that a cluster was accepted as, by its number, as far as that is not undone."""
        found = self.clusters
        return {} if found is None else named_clusters(self._ledger.in_force(), found, self.state)

    def cluster_at(self, x: float, y: float, crs: Any = None) -> Cluster | None:
        """The cluster at a place, or None; see `object_at`."""
        found = self.clusters
        return None if found is None else found.at(*(float(v) for v in self.grid.to_pixel(x, y, crs)))

    def cluster_regions(self, least_area_px: int | None = None) -> gpd.GeoDataFrame:
        """The regions of all clusters as polygons in the scene's CRS (pixels where it has none).

        Args:
            least_area_px: smaller ones are left out; those of less than 16 model pixels if None.

        Raises:
            ClusterError: there are no clusters yet.
        """
        found, names = self._clusters(), self.cluster_classes
        rows = [(c.number, names.get(c.number), o) for c in found.clusters for o in found.regions(c, least_area_px)]
        numbers, classes, outlines = zip(*rows, strict=True) if rows else ((), (), ())
        placed = [self.grid.geometry_from_pixel(o, self.grid.crs) if self.grid.crs else o for o in outlines]
        columns = {"cluster": list(numbers), "class": list(classes)}
        return gpd.GeoDataFrame(columns, geometry=placed, crs=self.grid.crs)

    # -- what a person makes of them

    def name_cluster(self, number: int, class_name: str, least_area_px: int | None = None) -> list[LabelledObject]:
        """Accept the regions of a cluster as objects of a class; one action, which undo takes back.

        What a person made or changed stays as it is: regions take ground only where nothing is accepted but by
        clusters, and nobody has changed it. A cluster that was named before is of the new class then. Rounds learn from
        the objects as from any other.

        Args:
            number: of the cluster.
            class_name: of the project, or a new one.
            least_area_px: smaller regions are left out; those of less than 16 model pixels if None.

        Raises:
            ClusterError: there is no such cluster, or nothing of it is free.
        """
        with self._ledger.acting():
            found = self._clusters()
            cluster = found.cluster(number)
            outlines = free_of_others(found.regions(cluster, least_area_px), self.state, self._ledger.in_force())
            if not outlines:
                raise ClusterError(
                    f"cluster {number} has no region that is large enough and not labelled already; choose another one"
                )
            about = {"proposed": found.proposed, "values": list(cluster.values)}
            return self._accept_regions(
                outlines, class_name, f"{CLUSTER_ORIGIN} {number}", found.round, found.date, about
            )

    def accept_regions(
        self, outlines: Sequence[BaseGeometry], class_name: str, *, origin: str = CLUSTER_ORIGIN, crs: Any = None
    ) -> list[LabelledObject]:
        """Accept outlines as objects of a class; one action, which undo takes back.

        Args:
            outlines: polygons, longitude/latitude or in `crs`; what lies outside the scene is left out.
            class_name: of the project, or a new one.
            origin: where they come from, in words; the objects keep it.
            crs: see `click`.

        Raises:
            ProposalError: none of them lies in the scene.
        """
        inside = [outline_in_scene(outline, self.grid, crs) for outline in outlines]
        there = [outline for outline in inside if outline is not None]
        if not there:
            raise ProposalError("none of the outlines lies in the scene; give some that do")
        with self._ledger.acting():
            return self._accept_regions(there, class_name, origin, self._learner.current.number, self.date, {})

    def merge_clusters(self, number: int, other: int) -> ClusterMap:
        """Make one cluster of two, which keeps the first one's number; undo takes it back.

        Raises:
            ClusterError: one is not there, or they are the same.
        """
        with self._ledger.acting():
            return self._arrange(self._clusters().merged(number, other), f"merge clusters {number} and {other}")

    def separate_cluster(self, number: int) -> ClusterMap:
        """Make a merged cluster those again that it was made of; undo takes it back.

        Raises:
            ClusterError: it is not there, or was not merged.
        """
        with self._ledger.acting():
            return self._arrange(self._clusters().separated(number), f"take cluster {number} apart")

    def split_cluster(self, number: int) -> ClusterMap:
        """Take what the current mask holds out of a cluster: it becomes a cluster of its own, the last one; undo takes
        it back.

        The mask is made as any other, by clicks, a box or the brush; it is gone afterwards.

        Raises:
            NoMaskError: there is no mask.
            ClusterError: there is no such cluster, or the mask holds nothing of it, or all of it.
        """
        with self._ledger.acting():
            proposal, found = self._draft.mask, self._clusters()
            if proposal is None:
                raise NoMaskError("there is no mask; click what is to be taken out of the cluster first")
            outline = polygons_of(proposal.array, proposal.window.col, proposal.window.row)
            made = found.split(number, outline, new_path(self._cluster_folder))
            self._arrange(made, f"split cluster {number}")
            self._clear_draft()
            self._ledger.tell("mask")
            return made

    # -- parts

    @property
    def _cluster_folder(self) -> Path:
        return self.project.cache_folder / FOLDER / (self._ledger.scene or "first")

    def _clusters(self) -> ClusterMap:
        found = self.clusters
        if found is None:
            raise ClusterError("there are no clusters of the scene yet; session.propose() finds them")
        return found

    def _arrange(self, made: ClusterMap, what: str) -> ClusterMap:
        """Show these from now on."""
        self._ledger.record("clusters", made.arrangement(what), "clusters")
        return made

    def _accept_regions(
        self,
        outlines: Sequence[BaseGeometry],
        class_name: str,
        origin: str,
        round_number: int,
        date: str,
        about: dict[str, Any],
    ) -> list[LabelledObject]:
        data = regions_data(outlines, class_name, self.state, self.model_size, self.shape)
        data |= {"origin": origin, "round": round_number} | about | dated(date)
        event = self._ledger.record("accept_regions", data, "labels")
        return [o for o in self.state.objects if o.id % PARTS == event]
