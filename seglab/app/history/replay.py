"""A project's log run again, without a screen, into another folder: do the same labels come out?

Events are copied and reduced, whatever their kind, so that a new kind needs nothing here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import shapely

from seglab.app.history.as_code import accepted_objects
from seglab.app.history.ledger import Ledger
from seglab.app.history.redraw import redraw_all
from seglab.app.history.state import State, history, reduce, scene_of
from seglab.app.labels.labels_table import labels_table
from seglab.app.project.open_project import OpenProject
from seglab.app.project.scene_cards import grid_of, source_of
from seglab.app.rounds.learner import Learner
from seglab.core.grid import Grid
from seglab.errors import ProjectError
from seglab.jobs import Reporter
from seglab.models.registry import load_model
from seglab.models.sam import AdaptedSam
from seglab.store.project import Project
from seglab.store.schema import RESERVED, scene_cards

TOLERANCE = 1e-6
"""Outlines may differ by this share of a pixel: another PROJ or GEOS rounds otherwise."""
NAMED = 5
"""Differing rows that are named, at most."""


@dataclass(frozen=True)
class RedrawnMask:
    """What the recorded round's model draws for an object's prompts today."""

    id: int
    round: int
    iou: float | None
    """With the recorded geometry; None: see `problem`."""
    problem: str


@dataclass(frozen=True)
class Replay:
    """What came out."""

    folder: Path
    """The new project; gone already if nobody asked for one."""
    events: int
    objects: int
    classes: int
    rounds: int
    differences: tuple[str, ...]
    """Empty: the labels are equal."""
    masks: tuple[RedrawnMask, ...] | None
    """One per accepted object, if they were asked for."""

    @property
    def equal(self) -> bool:
        """Whether the same labels came out."""
        return not self.differences

    def to_json(self) -> dict[str, Any]:
        """A value for JSON."""
        return asdict(self) | {"folder": str(self.folder), "equal": self.equal}


@dataclass(frozen=True)
class Drawing:
    """How masks are drawn again, where the project alone does not say."""

    scene: str | None = None
    """Path or URL of the scene; where it was when the project was made if None."""
    checkpoint: Path | None = None
    """The weights file that the project was opened with."""
    device: str | None = None
    """"cuda", "mps" or "cpu"; chosen if None."""


def replay(reporter: Reporter, source: Path, out: Path | None = None, drawing: Drawing | None = None) -> Replay:
    """Run a project's log again and compare the labels with those that stand beside it.

    Args:
        reporter: told how many masks are drawn.
        source: the project's folder; only read.
        out: folder of the new project, which must be free; a temporary one if None.
        drawing: draw the masks again as well, by the recorded round's model.

    Raises:
        ProjectError: there is no project at `source`, `out` is taken, or the scene is another one.
        ProjectDamagedError: the project is damaged.
        WriteError: `out` cannot be written.
    """
    old = Project.open(source)
    with _folder(out) as folder:
        new = Project.create(folder, {k: v for k, v in old.manifest.items() if k not in RESERVED})
        new.copy_history(old)
        states = {scene: reduce(new.events(), scene) for scene in new.scenes.values()}
        rounds = [card["round"] for card in new.rounds()]
        differences = _write(old, new, states)
        state, objects = states[None], sum(len(state.objects) for state in states.values())
        if state.round not in (0, *rounds):
            differences.append(
                f"round {state.round} is in use and not in the project; bring its folder in rounds/ back from a backup"
            )
        masks = None if drawing is None else _masks(reporter, new, source, drawing)
        counts = (len(new.events()), objects, len(state.classes), len(rounds))
        return Replay(new.folder, *counts, tuple(differences), masks)


def _write(old: Project, new: Project, states: Mapping[str | None, State]) -> list[str]:
    """Write what the log says of each scene.

    Returns:
        What differs from what stands beside the log.
    """
    found: list[str] = []
    for card, (scene, state) in zip(scene_cards(new.manifest), states.items(), strict=True):
        grid = grid_of(card)
        new.write_labels(labels_table(state.objects, grid), state.classes, scene)
        differing = compare_labels(old.read_labels(scene), new.read_labels(scene), TOLERANCE * _pixel(grid))
        found += differing if len(states) == 1 else [f"scene {card['name']!r}: {words}" for words in differing]
    return found


def compare_labels(old: gpd.GeoDataFrame, new: gpd.GeoDataFrame, tolerance: float) -> list[str]:
    """What differs between two tables of labels, in words.

    Args:
        old, new: as labels.gpkg holds them.
        tolerance: of outlines, units of the CRS.
    """
    if old.empty and new.empty:
        return []
    if len(old) != len(new):
        return [f"labels.gpkg holds {len(old)} objects, and the log leads to {len(new)}"]
    if old.crs != new.crs:
        return [f"labels.gpkg is in {_name(old.crs)}, and the log's labels are in {_name(new.crs)}"]
    single = sorted({*old.columns} ^ {*new.columns})
    # a column that came with a later seglab is nothing as long as nothing is in it
    found = [f"column {c!r} is in only one of them" for c in single if c in old or not _unset(new[c])]
    for name in [c for c in new.columns if c in old.columns]:
        if name == new.geometry.name:
            same = shapely.equals_exact(
                shapely.normalize(old.geometry.values), shapely.normalize(new.geometry.values), tolerance
            )
        else:
            same = ((old[name] == new[name]) | (old[name].isna() & new[name].isna())).to_numpy()
        differing = new["id"][~same].tolist()
        if differing:
            more = "" if len(differing) <= NAMED else f" and {len(differing) - NAMED} more"
            found.append(f"{name} differs for object {', '.join(map(str, differing[:NAMED]))}{more}")
    return found


def _unset(column: pd.Series) -> bool:
    """Whether nobody has put anything in a column."""
    return bool((column.isna() | column.isin([False, ""])).all())


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="seglab-replay-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "replay.seglab"


def _masks(reporter: Reporter, project: Project, source: Path, drawing: Drawing) -> tuple[RedrawnMask, ...]:
    """The masks of all scenes.

    Args:
        reporter: told how many are drawn.
        project: the new one.
        source: folder of the old one, beside which the scenes may lie.
        drawing: by what.
    """
    done, _ = history(project.events())
    accepted, base = accepted_objects(done), _base(project, drawing)
    masks: list[RedrawnMask] = []
    for name, key in project.scenes.items():
        objects = [made for event, made in accepted if scene_of(event) == key]
        if not objects:
            continue
        opened = OpenProject(project, base, None, project.manifest["adapter"], isolate=False)
        opened.sources[name] = _where(project, name, source, drawing)
        imagery = opened.imagery(name)
        learner = Learner(imagery, name, opened, Ledger(opened.chronicle, key, None))
        try:
            found = redraw_all(objects, learner.load, reporter)
        finally:
            imagery.close()
        masks += [RedrawnMask(o.id, o.round, found[o.id].iou, found[o.id].problem) for o in objects]
    return tuple(masks)


def _where(project: Project, name: str, source: Path, drawing: Drawing) -> Any:
    """What a scene is opened from now."""
    cards = scene_cards(project.manifest)
    if drawing.scene is None:
        return source_of(next(card for card in cards if card["name"] == name), source)
    if len(cards) > 1:
        raise ProjectError(
            f"the project has {len(cards)} scenes: leave --scene out; if they have moved, open the project once with "
            "seglab.open([...]) and their present paths"
        )
    if "dates" in cards[0]:
        raise ProjectError(
            f"the scene has {len(cards[0]['dates'])} dates: leave --scene out; if they have moved, open the project "
            "once with seglab.open({date: path, ...}) and their present paths"
        )
    return drawing.scene


def _base(project: Project, drawing: Drawing) -> AdaptedSam:
    manifest = project.manifest
    return load_model(
        manifest["model"],
        checkpoint=drawing.checkpoint,
        device=drawing.device,
        adapt_from=manifest["adapt_from"],
        extra_bands=len(manifest["extra_bands"]),
    )


def _pixel(grid: Grid) -> float:
    """Side of a pixel, units of the CRS."""
    return abs(grid.transform.determinant) ** 0.5


def _name(crs: Any) -> str:
    return "pixels" if crs is None else crs.to_string()
