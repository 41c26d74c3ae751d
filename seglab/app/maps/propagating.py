"""What a session finds from examples: objects like accepted ones, elsewhere in the scene or in another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import shapely
import torch
from shapely import STRtree

from seglab import jobs
from seglab.app.history.label_events import PARTS
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State
from seglab.app.labels.labelled import LabelledObject, dated, known_ids
from seglab.app.labels.proposed import MOSTLY, ProposedObject, propose_data
from seglab.app.maps.found_objects import object_proposals
from seglab.app.maps.map_jobs import MapJobs
from seglab.app.maps.mapping import map_scale, mapped_classes
from seglab.app.rounds.learner import Learner
from seglab.app.rounds.rounds import CurrentModel
from seglab.core.masks import rasterize
from seglab.encoding.encoder import WindowEncoder
from seglab.errors import NoLabelsError, ProjectError, ProposalError, UnknownObjectError
from seglab.inference.instances import InstanceSettings, find_instances
from seglab.inference.likeness import Likeness
from seglab.inference.window_masks import Keeping
from seglab.store.project import Project

ALIKE_ORIGIN = "like accepted objects"
"""How the origin of what was found from examples begins."""
COUNT = 50
"""Objects that are proposed, at most, where nobody says how many."""
EXAMPLES = 24
"""Objects that are looked at as examples, at most: the latest."""


@dataclass(frozen=True)
class Place:
    """Where objects are looked for."""

    encoder: WindowEncoder
    ledger: Ledger
    date: str


class Propagating:
    """The part of a LabelSession that finds more of what was accepted."""

    _ledger: Ledger
    _learner: Learner
    _map_jobs: MapJobs
    project: Project
    state: State
    scene_name: str
    model_size: int
    _known: Callable[[str], None]

    def propagate(
        self,
        class_name: str,
        count: int = COUNT,
        scene: str | None = None,
        *,
        like: Sequence[int] = (),
        min_area_px: int = 20,
        least_score: float = Keeping.least_iou,
    ) -> jobs.Job[tuple[ProposedObject, ...]]:
        """Find objects like accepted ones, in the background, and propose them to be reviewed, the likeliest first.

        The model is asked for a mask where the class map has the class, and where the imagery looks more like the
        accepted objects than like the ground around them; the score is the predicted IoU times that likeness. Nothing
        is proposed where something is accepted, reviewed or waiting already, nor what was dismissed. What was found so
        before and nobody has answered is replaced.

        Args:
            class_name: of the objects.
            count: so many are proposed, at most.
            scene: another scene of the project; this one if None.
            like: ids of the objects of this scene that are examples; the latest ones of the class if empty.
            min_area_px: smaller ones are left out, scene pixels.
            least_score: predicted IoU, 0 to 1; less certain ones are left out.

        Raises:
            UnknownClassError: the class is not in `classes`.
            NoLabelsError: no object of it is accepted in this scene.
            UnknownObjectError: an example is no accepted object of the class.
            ProjectError: the project has no such scene.
            JobRunningError: another job looks through the scene.
            From the job: ProposalError: nothing like it is left to propose.
        """
        if scene is not None and scene not in self.project.scenes:
            raise ProjectError(f"the project has no scene {scene!r}; it has {list(self.project.scenes)}")
        with self._ledger.acting():
            self._known(class_name)
            state = self.state
            examples = _examples(state, class_name, like)
            wish = InstanceSettings(
                scale=map_scale(state), least_area=min_area_px, keeping=Keeping(least_iou=least_score)
            )

            def work(reporter: jobs.Reporter, current: CurrentModel) -> tuple[ProposedObject, ...]:
                likeness = Likeness.of(_seen(current, examples, state))
                known = mapped_classes(current, state)
                value = next(c.value for c in known if c.name == class_name)
                with ExitStack() as files:
                    there = self._place(scene, current, files)
                    scale = _same_ground(wish.scale, current.encoder, there.encoder)
                    area = there.ledger.state.area_of_interest
                    settings = replace(wish, scale=scale, area=area)
                    found = find_instances(reporter, there.encoder, known, settings, {value}, likeness)
                    with there.ledger.acting():
                        outdated = _outdated(there.ledger.state, class_name)
                        shape = there.encoder.scene.grid.shape
                        entries = object_proposals(found, known, there.ledger.state, self.model_size, shape)
                        entries = _not_waiting(entries, there.ledger.state, outdated)
                        entries = sorted(entries, key=lambda one: -one["score"])[:count]
                        return _propose(there, entries, current.number, outdated)

            return self._map_jobs.look_through(work, "find more like this")

    def _place(self, scene: str | None, current: CurrentModel, files: ExitStack) -> Place:
        """This scene, or another one, which is open as long as `files` is."""
        if scene is None or scene == self.scene_name:
            return Place(current.encoder, self._ledger, current.date or "")
        imagery = self._learner.opened.imagery(scene)
        files.callback(imagery.close)
        ledger = self._ledger.of(self.project.scenes[scene])
        files.callback(ledger.close)
        encoder = self._learner.encoders(current.encoder.model, imagery).now()
        return Place(encoder, ledger, imagery.date)


def _examples(state: State, class_name: str, like: Sequence[int]) -> list[LabelledObject]:
    there = [o for o in state.objects if o.class_name == class_name]
    if like:

        def refusal(missing: int | None) -> UnknownObjectError:
            return UnknownObjectError(f"object {missing} is no accepted {class_name!r} of this scene; give its ids")

        wanted = known_ids(like, (o.id for o in there), refusal)
        return [o for o in there if o.id in wanted]
    there = [o for o in there if not o.unsure]
    if not there:
        raise NoLabelsError(f"no {class_name!r} is accepted in this scene yet; accept one, then look for more like it")
    return there[-EXAMPLES:]


def _seen(
    current: CurrentModel, examples: Sequence[LabelledObject], state: State
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """What the model sees of the examples, as Likeness.of takes it: other objects of their class are no ground."""
    kin = STRtree([o.geometry for o in state.objects if o.class_name == examples[0].class_name])
    for one in examples:
        near = kin.geometries[kin.query(one.window.polygon)]
        objects = torch.from_numpy(rasterize(one.geometry, one.window))
        ground = ~torch.from_numpy(rasterize(shapely.union_all(near), one.window))
        with torch.inference_mode():
            yield current.on(one.date).encoder.embedding(one.window)[0], objects, ground


def _same_ground(scale: int, here: WindowEncoder, there: WindowEncoder) -> int:
    """The scale at which objects elsewhere are as large to the model as here; the same where nobody knows."""
    one, other = here.scene.grid.pixel_size_m, there.scene.grid.pixel_size_m
    return scale if one is None or other is None else max(1, round(scale * one / other))


def _outdated(state: State, class_name: str) -> list[int]:
    """What was found so before, and nobody has answered."""
    return [p.id for p in state.proposals if p.class_name == class_name and p.origin.startswith(ALIKE_ORIGIN)]


def _not_waiting(entries: list[dict[str, Any]], state: State, outdated: Sequence[int]) -> list[dict[str, Any]]:
    """Without those that lie mostly on what waits for an answer already."""
    tree = STRtree([p.geometry for p in state.proposals if p.id not in set(outdated)])
    kept = []
    for entry in entries:
        outline = shapely.from_wkb(entry["geometry"])
        there = tree.geometries[tree.query(outline, predicate="intersects")]
        if not len(there) or outline.intersection(shapely.union_all(there)).area < MOSTLY * outline.area:
            kept.append(entry)
    return kept


def _propose(
    there: Place, entries: list[dict[str, Any]], round_number: int, outdated: list[int]
) -> tuple[ProposedObject, ...]:
    if not entries:
        raise ProposalError(
            "nothing like it is left to propose: what is like it is accepted, reviewed, dismissed or waiting already, "
            "or the model is not sure enough of it; more examples, or a round, find more"
        )
    origin = f"{ALIKE_ORIGIN}, by round {round_number}"
    data = propose_data(entries, {}, origin, round_number, outdated) | dated(there.date)
    event = there.ledger.record("propose", data, "proposals")
    return tuple(p for p in there.ledger.state.proposals if p.id % PARTS == event)
