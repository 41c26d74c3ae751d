"""What a session does with proposed objects, what lies at a place, and what a click there would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shapely.geometry.base import BaseGeometry

from seglab import jobs
from seglab.app.history.label_events import PARTS
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.app.labels.importing import new_classes, outline_in_scene
from seglab.app.labels.labelled import LabelledObject, known_ids
from seglab.app.labels.proposed import MAP_ORIGIN, ProposedObject, mostly_within, propose_data, scored_entry
from seglab.app.maps.map_regions import map_proposals
from seglab.app.prompting.drawing import window_around
from seglab.app.prompting.proposals import Draft, Proposal
from seglab.app.rounds.learner import Learner
from seglab.core.grid import Grid
from seglab.core.prompts import Point
from seglab.errors import NoPredictionError, ProposalError, UnknownProposalError
from seglab.inference.sweep import Prediction


class Reviewing:
    """The part of a LabelSession that proposes objects and takes a person's answers; every answer can be undone."""

    _ledger: Ledger
    _learner: Learner
    _draft: Draft
    grid: Grid
    shape: tuple[int, int]
    state: State
    date: str
    model_size: int
    prediction: Prediction | None
    scale: int

    # -- proposed objects

    @property
    def proposals(self) -> tuple[ProposedObject, ...]:
        """Proposed objects that wait for an answer, in the order in which they were proposed."""
        return self.state.proposals

    def proposals_within(self, polygon: BaseGeometry, crs: Any = None) -> tuple[ProposedObject, ...]:
        """Those of `proposals` of which at least half lies in a polygon.

        Args:
            polygon: longitude/latitude, or in `crs`.
            crs: see `click`.
        """
        return tuple(mostly_within(self.proposals, self.grid.geometry_to_pixel(polygon, crs)))

    def propose_objects(
        self,
        outlines: Sequence[BaseGeometry],
        class_names: Sequence[str],
        scores: Sequence[float] | None = None,
        *,
        origin: str,
        instead_of: Sequence[int] = (),
        crs: Any = None,
        reporter: jobs.Reporter | None = None,
    ) -> tuple[ProposedObject, ...]:
        """Propose objects for a person to confirm or to dismiss; one action, which undo takes back.

        Classes that the project does not have are added. Outlines are put on pixel edges; those outside the scene or
        smaller than a pixel are left out.

        Args:
            outlines: polygons, longitude/latitude or in `crs`.
            class_names: of each.
            scores: how likely each is right, 0 to 1; 1 if None.
            origin: who proposes, in words; confirmed objects keep it.
            instead_of: ids of waiting proposed objects that these make obsolete.
            crs: see `click`.
            reporter: for calls inside a job; a cancelled one proposes nothing.

        Returns:
            What was proposed, in order.

        Raises:
            ProposalError: there is nothing left to propose, or the sequences are not of one length.
        """
        scores = [1.0] * len(outlines) if scores is None else scores
        if not len(outlines) == len(class_names) == len(scores):
            raise ProposalError("give as many class names, and scores, as outlines")
        if not all(0 <= score <= 1 for score in scores):
            raise ProposalError("scores lie between 0 and 1")
        found, reporter = [], reporter or jobs.SilentReporter()
        for number, (outline, name, score) in enumerate(zip(outlines, class_names, scores, strict=True)):
            reporter.update(number, len(outlines))
            inside = outline_in_scene(outline, self.grid, crs)
            if inside is not None:
                found.append(scored_entry(name, inside, window_around(inside, self.model_size, 1, self.shape), score))
        with self._ledger.acting():
            return self._propose(found, origin, self._learner.current.number, self.date, instead_of)

    def propose_from_map(
        self, min_area_px: int = 20, least_confidence: float = 0.5, reporter: jobs.Reporter | None = None
    ) -> tuple[ProposedObject, ...]:
        """Propose the regions of the latest class map where nothing is accepted or reviewed yet.

        The score is the region's mean confidence. What an earlier map proposed and nobody has answered is replaced;
        what was dismissed is not proposed again.

        Args:
            min_area_px: smaller regions are left out, scene pixels.
            least_confidence: regions of a lower mean confidence are left out, 0 to 1.
            reporter: for calls inside a job.

        Returns:
            What was proposed, the most confident first.

        Raises:
            NoPredictionError: the scene has not been mapped yet.
            ProposalError: no region is left.
        """
        prediction, state = self.prediction, self.state
        if prediction is None:
            raise NoPredictionError("the scene has not been mapped yet; map it, then propose its regions")
        silent = jobs.SilentReporter()
        found = map_proposals(reporter or silent, prediction, state, self.model_size, min_area_px, least_confidence)
        with self._ledger.acting():
            before = [p.id for p in self.proposals if p.origin.startswith(MAP_ORIGIN)]
            date = (state.prediction or {}).get("date", "")  # that the map is of
            return self._propose(found, f"{MAP_ORIGIN} of round {prediction.round}", prediction.round, date, before)

    def confirm(self, *proposal_ids: int, class_name: str | None = None) -> list[LabelledObject]:
        """Make accepted objects of proposed ones; they take ground from those before them, as all accepted ones do.

        Args:
            proposal_ids: see `ProposedObject.id`; the objects keep them.
            class_name: another class than the proposed ones.

        Returns:
            The objects, without those that another of them has covered.

        Raises:
            UnknownProposalError: one is not proposed, or answered already.
            UnknownClassError: the class is not in `classes`.
        """
        with self._ledger.acting():
            ids = self._waiting(proposal_ids)
            data: dict[str, Any] = {"objects": ids}
            if class_name is not None:
                self._known(class_name)
                data["class"] = class_name
            self._ledger.record("confirm", data, "labels")
            confirmed = set(ids)
            return [o for o in self.state.objects if o.id in confirmed]

    def dismiss(self, *proposal_ids: int) -> None:
        """Say no to proposed objects.

        Raises:
            UnknownProposalError: one is not proposed, or answered already.
        """
        with self._ledger.acting():
            self._ledger.record("dismiss", {"objects": self._waiting(proposal_ids)}, "proposals")

    # -- what lies at a place

    def object_at(self, x: float, y: float, crs: Any = None) -> LabelledObject | None:
        """The accepted object at a place, or None.

        Args:
            x, y: longitude and latitude, or coordinates in `crs`.
            crs: see `click`.
        """
        return self._ledger.object_at(*self._pixel(x, y, crs))

    def proposal_at(self, x: float, y: float, crs: Any = None) -> ProposedObject | None:
        """The proposed object at a place, or None; see `object_at`."""
        return self._ledger.proposal_at(*self._pixel(x, y, crs))

    def peek(self, x: float, y: float, positive: bool = True, crs: Any = None) -> Proposal | None:
        """The mask that a click would give, without clicking; only where the window is encoded already.

        Args:
            x, y, positive, crs: see `click`.

        Returns:
            The mask; None where the window is not encoded, outside the scene, and while something else is being done.
        """
        col, row = self._pixel(x, y, crs)
        if not self.grid.contains(col, row) or not self._ledger.lock.acquire(blocking=False):
            return None
        try:
            prompts = self._draft.prompts.with_point(Point(col, row, positive))
            return self._draft.peek(self._learner.current, prompts, self.scale)
        finally:
            self._ledger.lock.release()

    # -- parts

    def _pixel(self, x: float, y: float, crs: Any) -> tuple[float, float]:
        col, row = self.grid.to_pixel(x, y, crs)
        return float(col), float(row)

    def _propose(
        self, found: list[dict[str, Any]], origin: str, round_number: int, date: str, instead_of: Sequence[int]
    ) -> tuple[ProposedObject, ...]:
        if not found:
            raise ProposalError(
                "there is nothing to propose: no outline is left that is large and certain enough and not accepted, "
                "reviewed or dismissed already"
            )
        classes = new_classes(found, self.state)
        data = propose_data(found, classes, origin, round_number, instead_of, date)
        event = self._ledger.record("propose", data, "classes" if classes else "proposals")
        return tuple(p for p in self.proposals if p.id % PARTS == event)

    def _waiting(self, proposal_ids: Sequence[int]) -> list[int]:
        """Ids without repetition, each of a proposed object that waits."""

        def refusal(missing: int | None) -> UnknownProposalError:
            nothing = "no proposed object is named"
            what = nothing if missing is None else f"no proposed object {missing} waits for an answer"
            return UnknownProposalError(f"{what}; session.proposals lists those that do, with their ids")

        return known_ids(proposal_ids, (p.id for p in self.proposals), refusal)
