"""Two annotators of one scene: how far they agree, and one's labels taken over into the other's project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import shapely
from shapely import STRtree
from shapely.geometry.base import BaseGeometry

from seglab import jobs
from seglab.app.annotators.authors import authors, labels_of
from seglab.app.history.state import State, concerns, history, reduce
from seglab.app.labels.importing import imported, new_classes
from seglab.app.labels.labelled import LabelledObject, dated, entry
from seglab.app.project.scene_cards import grid_card, grid_of
from seglab.app.prompting.drawing import window_around
from seglab.core.agreement import Agreement, Annotated, Annotation, Disagreement, agreement
from seglab.core.grid import Grid
from seglab.core.masks import as_multipolygon
from seglab.core.prompts import Prompts
from seglab.core.windows import Window
from seglab.datasets.labels_file import read_labels
from seglab.errors import AgreementError, ProjectError
from seglab.store.events import Event
from seglab.store.project import Project
from seglab.store.schema import MANIFEST_NAME, scene_cards

KEEP = ("both", "agreed", "theirs")
"""What `merge_from` can do; see there."""
ENOUGH = 0.5
"""An object of theirs is added beside ours if at least this share of it lies on ground that ours leave."""


@dataclass(frozen=True)
class Annotator:
    """Whose labels, and what they are."""

    name: str
    objects: tuple[LabelledObject, ...]
    reviewed: tuple[BaseGeometry, ...] = ()
    """Extents in which everything is labelled, scene pixels."""
    here: bool = False
    """Whether the objects have the numbers that they have in the project that is open."""

    @cached_property
    def by_number(self) -> dict[int, LabelledObject]:
        """The objects by their numbers."""
        return {o.id: o for o in self.objects}


@dataclass(frozen=True)
class Merged:
    """What `merge_from` did."""

    agreement: Agreement
    """Before."""
    added: int
    """Objects of theirs that are labels here now."""
    marked: int
    """Objects of ours that are unsure now."""
    removed: int
    """Objects of ours that theirs replaced."""


def annotator_of(state: State, name: str = "") -> Annotator:
    """Who labelled a project; the authors of its objects tell the name."""
    authors = ", ".join(dict.fromkeys(o.author for o in state.objects))
    return Annotator(authors or name, state.objects, state.reviewed)


def author_of(done: Sequence[Event], name: str) -> Annotator:
    """One of several authors of a project; see `authors.labels_of`.

    Args:
        done: events of a scene that are in force.
        name: the author's.

    Raises:
        AgreementError: nobody of that name has made an object.
    """
    known = authors(done)
    if name not in known:
        raise AgreementError(f"{name!r} has labelled nothing in this scene; its authors are {', '.join(known) or '-'}")
    return Annotator(name, *labels_of(done, name), here=True)


def read_annotator(path: str | Path, grid: Grid, size: int, reporter: jobs.Reporter | None = None) -> Annotator:
    """The labels of a project that has the same scene, by its log; or those of a file.

    Args:
        path: a project's folder, or a file that `datasets.labels_file.read_labels` reads.
        grid: of the scene.
        size: side of the model's input, model pixels.
        reporter: for calls inside a job.

    Raises:
        ProjectDamagedError: the project is damaged.
        LabelsFileError: the file cannot be used, or none of its labels lies in the scene.
    """
    path = Path(path).expanduser()
    if (path / MANIFEST_NAME).exists():
        project = Project.open(path)
        for place, card in enumerate(scene_cards(project.manifest)):
            if grid_card(grid_of(card)) == grid_card(grid):
                return annotator_of(reduce(project.events(), card["name"] if place else None), path.stem)
    return Annotator(path.stem, tuple(_made(imported(read_labels(path), grid, size, reporter), path.stem)))


def _made(found: list[dict[str, Any]], author: str) -> list[LabelledObject]:
    """The objects of an import, numbered from 1."""
    return [
        LabelledObject(
            number,
            one["class"],
            shapely.from_wkb(one["geometry"]),
            Prompts(),
            Window(*one["window"]),
            1.0,
            0,
            author,
            "",
        )
        for number, one in enumerate(found, start=1)
    ]


def compare(
    mine: Annotator, theirs: Annotator, shape: tuple[int, int], reporter: jobs.Reporter | None = None
) -> Agreement:
    """How far two annotators agree; see core.agreement.

    Args:
        mine, theirs: of one scene.
        shape: (rows, cols) of the scene.
        reporter: for calls inside a job; told megapixels.
    """
    reporter = reporter or jobs.SilentReporter()
    both = (Annotation([_plain(o) for o in one.objects], one.reviewed) for one in (mine, theirs))
    return agreement(*both, shape, tell=lambda done, total: reporter.update(done / 1e6, total / 1e6))


def _plain(o: LabelledObject) -> Annotated:
    return Annotated(o.id, o.class_name, o.geometry)


def compare_projects(first: str | Path, second: str | Path, scene: str | None = None) -> Agreement:
    """How far two annotators agree who worked in projects of their own.

    Args:
        first: a project's folder.
        second: another project's, or a file of labels.
        scene: which of the first project's; its first one if None.

    Raises:
        ProjectError, ProjectDamagedError: the first is no project or lacks that scene, or one of them is damaged.
        LabelsFileError: the second's labels cannot be read, or none lies in the scene.
    """
    project = Project.open(first)
    name, grid = _scene(project, scene)
    mine = annotator_of(reduce(project.events(), project.scenes[name]))
    return compare(mine, read_annotator(second, grid, max(grid.shape)), grid.shape)


def compare_authors(folder: str | Path, scene: str | None = None) -> dict[tuple[str, str], Agreement]:
    """How far those agree who worked in one project, each with each.

    Args:
        folder: of the project.
        scene: see `compare_projects`.

    Raises:
        AgreementError: there is but one author.
        ProjectError, ProjectDamagedError: see `compare_projects`.
    """
    project = Project.open(folder)
    name, grid = _scene(project, scene)
    done = [event for event in history(project.events())[0] if concerns(event, project.scenes[name])]
    found = [author_of(done, author) for author in authors(done)]
    if len(found) < 2:
        raise AgreementError(
            f"the labels of scene {name!r} have one author only, {', '.join(one.name for one in found) or 'nobody'}; "
            "name another project or a file of labels to compare them with"
        )
    return {(a.name, b.name): compare(a, b, grid.shape) for a, b in combinations(found, 2)}


def _scene(project: Project, scene: str | None) -> tuple[str, Grid]:
    """Name and grid of one of a project's scenes, the first one if None."""
    cards = {card["name"]: card for card in scene_cards(project.manifest)}
    name = project.scene_names[0] if scene is None else scene
    if name not in cards:
        raise ProjectError(f"{str(project.folder)!r} has no scene {name!r}; it has {list(cards)}")
    return name, grid_of(cards[name])


def today(theirs: Annotator, state: State) -> Annotator:
    """Their labels with the names that the classes have in a project now."""
    return replace(
        theirs, objects=tuple(replace(o, class_name=state.today(o.class_name) or o.class_name) for o in theirs.objects)
    )


@dataclass(frozen=True)
class Merging:
    """How two annotators' labels become one.

    Args:
        mine, theirs: the annotators.
        found: how far they agree.
        keep: one of KEEP.

    Raises:
        AgreementError: `keep` is none of KEEP.
    """

    mine: Annotator
    theirs: Annotator
    found: Agreement
    keep: str

    def __post_init__(self) -> None:
        if self.keep not in KEEP:
            raise AgreementError(f"keep={self.keep!r} is not known; give one of {', '.join(map(repr, KEEP))}")

    def data(self, state: State, shape: tuple[int, int], size: int) -> dict[str, Any]:
        """The data of a "merge_from" event.

        Args:
            state: of the project.
            shape: (rows, cols) of the scene.
            size: side of the model's input, model pixels.

        Returns:
            found: objects of theirs to be added; marked: objects of mine that become unsure, with their notes; gone:
            numbers of mine that are replaced; classes: new ones, colour by name; source: theirs; keep.
        """
        entries = [object_entry(o, shape, size) for o in self._taken()]
        return {
            "found": entries,
            "marked": [{"object": number, "note": note} for number, note in self._marked().items()],
            "gone": sorted(self._gone()),
            "classes": new_classes(entries, state),
            "source": self.theirs.name,
            "keep": self.keep,
        }

    def _gone(self) -> set[int]:
        if self.keep != "theirs":
            return set()
        return {d.first for d in self.found.disagreements if d.kind != "alone" and self._is_mine_to_answer(d)}

    def _marked(self) -> dict[int, str]:
        """Notes by my objects' numbers, of those that were sure or said something else until now."""
        notes: dict[int, str] = {}
        for one in self.found.disagreements if self.keep != "theirs" else ():
            if self._is_mine_to_answer(one) and (self.keep == "agreed" or one.kind != "alone"):
                own = self.mine.by_number[one.first]
                # the closest of their objects comes first
                notes.setdefault(own.id, noted(own.note, say(one, self.theirs, one.second)))
        return {i: n for i, n in notes.items() if not self.mine.by_number[i].unsure or self.mine.by_number[i].note != n}

    def _is_mine_to_answer(self, one: Disagreement) -> bool:
        """Whether an object of mine is in question: one that they have as I do is not, whatever lies there besides."""
        return one.first is not None and one.first not in self._agreed

    @cached_property
    def _agreed(self) -> set[int]:
        return {pair.first for pair in self.found.agreed}

    def _taken(self) -> list[LabelledObject]:
        """Objects of theirs that become labels."""
        taken: dict[int, LabelledObject] = {}
        mine = STRtree([o.geometry for o in self.mine.objects])
        for one in self.found.disagreements if self.keep != "agreed" else ():
            if one.second is None or (self.keep == "both" and one.kind == "class"):
                continue
            own = self.theirs.by_number[one.second]
            if self.keep == "both":
                near = [self.mine.objects[i].geometry for i in mine.query(own.geometry, predicate="intersects")]
                ground = as_multipolygon(own.geometry.difference(shapely.union_all(near)))
                if ground.area < ENOUGH * own.geometry.area:
                    continue  # the same thing as mine, drawn otherwise
                words = "" if one.kind == "alone" else say(one, self.mine, one.first)
                own = replace(own, geometry=ground, note=noted(own.note, words), unsure=own.unsure or bool(words))
            taken[one.second] = own
        return list(taken.values())


def say(one: Disagreement, other: Annotator, number: int | None) -> str:
    """What the other annotator has to say about an object."""
    if number is None:
        return f"{other.name} {'sees nothing here' if one.kind == 'denied' else 'has not labelled it'}"
    seen = other.by_number[number]
    what = f"calls it {seen.class_name!r}" if one.kind == "class" else f"draws it otherwise (IoU {one.iou:.2f})"
    return f"{seen.author} {what}"


def noted(*notes: str) -> str:
    """Notes one after the other, each once."""
    return "; ".join(dict.fromkeys(part for note in notes for part in note.split("; ") if part))


def object_entry(o: LabelledObject, shape: tuple[int, int], size: int) -> dict[str, Any]:
    made = entry(o.class_name, o.geometry, window_around(o.geometry, size, 1, shape))
    return made | {"author": o.author, "unsure": o.unsure, "note": o.note} | dated(o.date)
