"""What a session does to check a map: a sample is drawn, a person answers, accuracy and areas follow."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from seglab import jobs
from seglab.app.history.ledger import Ledger
from seglab.app.history.state import State, reduce
from seglab.app.maps.map_check import BACKGROUND_NAME, MapCheck, check_of, require_check
from seglab.app.maps.mapping import mapped_names, path_in_project, prediction_of
from seglab.core.area_estimate import AreaEstimate
from seglab.core.class_map import ClassMap
from seglab.core.grid import Grid
from seglab.core.map_sample import MapStratum, draw_sample, map_strata
from seglab.core.sample_size import EXPECTED_ACCURACY, TARGET_SE, allocate, sample_size
from seglab.errors import MapCheckError, NoPredictionError, ProjectError, UnknownClassError
from seglab.inference.sweep import Prediction
from seglab.store.project import Project


class MapChecking:
    """The part of a LabelSession that checks a map.

    The reference is what a person sees in the imagery, and must not be swayed by the map: nothing here tells what the
    map says of a place before the estimate.
    """

    _ledger: Ledger
    project: Project
    grid: Grid
    state: State
    classes: Mapping[str, str]
    prediction: Prediction | None

    @property
    def check(self) -> MapCheck | None:
        """The check of a map that was started last, with its answers."""
        return self.state.check

    def start_check(
        self,
        size: int | None = None,
        path: str | Path | None = None,
        *,
        target_se: float = TARGET_SE,
        expected: float | Mapping[str, float] = EXPECTED_ACCURACY,
        least: int | None = None,
        seed: int | None = None,
        reporter: jobs.Reporter | None = None,
    ) -> MapCheck:
        """Draw a stratified random sample of a map's pixels, for a person to say what is there; an action, which undo
        takes back.

        The strata are the classes of the map, background among them; of rare ones more is drawn than their share. Any
        earlier check of this scene gives way; undo brings it back.

        Args:
            size: how many places; what `target_se` asks for if None.
            path: a class map on the scene's grid; the latest map of the scene if None.
            target_se: standard error of the overall accuracy that is aimed at; the 95 % interval is ± 1.96 times that.
            expected: user's accuracy that one expects, for all classes or by name.
            least: places of each class, at least; see sample_size.allocate.
            seed: the same one draws the same sample of the same map; another one every time if None.
            reporter: for calls inside a job; told megapixels.

        Raises:
            NoPredictionError: there is no map.
            MapCheckError: the map is of another grid, or `size` is too small for its classes.
            UnknownClassError: the map has a class that the project has not.
        """
        reporter = reporter or jobs.SilentReporter()
        seed = secrets.randbits(32) if seed is None else seed
        with self._opened_map(path) as (class_map, about, names):
            megapixels = self.grid.width * self.grid.height / 1e6  # gone through twice
            strata = map_strata(class_map, lambda share: reporter.update(megapixels * share, 2 * megapixels))
            classes = [self._class_of(stratum, names) for stratum in strata]
            sizes = _sizes(size, strata, classes, target_se, expected, least)
            sample = draw_sample(
                class_map, strata, sizes, seed, lambda share: reporter.update(megapixels * (1 + share), 2 * megapixels)
            )
        about |= map_identity(self.project.folder / about["path"])
        return self._start({"map": about | {"seed": seed}, "classes": classes, **sample.to_json()})

    def import_check(self, data: Mapping[str, Any]) -> MapCheck:
        """Start a check with a sample that was drawn before, without its answers: see MapCheck.to_json.

        Raises:
            MapCheckError: `data` is something else, or of another scene.
        """
        try:
            units = check_of(0, data).sample.units
        except (KeyError, TypeError, ValueError) as error:
            raise MapCheckError(f"this is no check of a map ({error!r}); give what MapCheck.to_json gave") from error
        if not all(self.grid.contains(unit.col, unit.row) for unit in units):
            raise MapCheckError("the sample lies outside the scene; import it into the scene that its map is of")
        return self._start(dict(data))

    def answer_check(self, class_name: str | None, place: int | None = None) -> int | None:
        """Say what is at a place of the sample, as the imagery shows it; an action, which undo takes back.

        Args:
            class_name: a class, "background", or None: nobody can tell. Such places are left out, and counted.
            place: its number, from 0; the next one without an answer if None. A later answer replaces an earlier one.

        Returns:
            The number of the next place without an answer; None when all are answered.

        Raises:
            MapCheckError: no check was started, all is answered, or there is no such place.
            UnknownClassError: the class is not in `classes`.
        """
        with self._ledger.acting():
            check = require_check(self.check)
            number = check.next if place is None else place
            if number is None:
                raise MapCheckError("every place of the sample is answered; name one to answer it anew")
            if not 0 <= number < check.size:
                raise MapCheckError(f"the sample has no place {number}; they go from 0 to {check.size - 1}")
            if class_name is not None and class_name not in (BACKGROUND_NAME, *self.classes):
                known = ", ".join(map(repr, (*self.classes, BACKGROUND_NAME)))
                raise UnknownClassError(f"{class_name!r} is no class of this project; answer one of {known}, or None")
            self._ledger.record("check_answer", {"check": check.id, "unit": number, "class": class_name}, "check")
            return require_check(self.check).next_after(number)

    def area_estimate(self) -> AreaEstimate:
        """Accuracy of the checked map and area of each class, with 95 % intervals: see core.area_estimate.

        Raises:
            MapCheckError: no check was started, or too few places are answered where the map says one of its classes.
        """
        return require_check(self.check).estimate(self.check_remarks)

    @property
    def check_remarks(self) -> tuple[str, ...]:
        """What is to be known of the map that is checked, in sentences: it was changed, is gone, or there is a later
        one."""
        return remarks_on(self.state, self.project)

    def map_areas(self, path: str | Path | None = None, reporter: jobs.Reporter | None = None) -> pd.DataFrame:
        """How much of each class a map has: its pixels counted, with the errors of the map in them; see area_estimate.

        Args:
            path: a class map on the scene's grid; the latest map of the scene if None.
            reporter: for calls inside a job.

        Returns:
            One row per class: pixels, and hectares on the ellipsoid (NaN without a CRS).

        Raises:
            NoPredictionError, MapCheckError, UnknownClassError: see start_check.
        """
        reporter = reporter or jobs.SilentReporter()
        with self._opened_map(path) as (class_map, _, names):
            strata = map_strata(class_map, lambda share: reporter.update(share, 1))
            return _areas_table(class_map, strata, [self._class_of(stratum, names) for stratum in strata])

    # -- parts

    @contextmanager
    def _opened_map(self, path: str | Path | None) -> Iterator[tuple[ClassMap, dict[str, Any], Mapping[int, str]]]:
        """A map with what is known of it, and its classes by value, by today's names."""
        about, names = self._map_to_check(path)
        with ClassMap(self.project.folder / about["path"]) as class_map:
            grid, name = class_map.grid, str(class_map.path)
            if grid.shape != self.grid.shape or (path is not None and not _same_ground(grid, self.grid)):
                raise MapCheckError(f"{name!r} does not lie on the scene's pixels; warp it to the scene's grid")
            yield class_map, about, names or {v: self.state.today(name) or name for v, name in class_map.names.items()}

    def _start(self, data: dict[str, Any]) -> MapCheck:
        with self._ledger.acting():
            self._ledger.record("check", {key: value for key, value in data.items() if key != "scene"}, "check")
            return require_check(self.check)

    def _map_to_check(self, path: str | Path | None) -> tuple[dict[str, Any], dict[int, str]]:
        """What is known of a map, and its classes by value; none where only its file tells."""
        if path is not None:
            return {"path": path_in_project(self.project, Path(path))}, {}
        prediction, data = self.prediction, self.state.prediction
        if prediction is None or data is None:
            raise NoPredictionError("the scene has not been mapped yet; map it, then check the map")
        about = {key: data[key] for key in ("path", "round", "date") if key in data}
        return about, mapped_names(self.state, data["classes"])

    def _class_of(self, stratum: MapStratum, names: Mapping[int, str]) -> str:
        name = names.get(stratum.value, BACKGROUND_NAME if stratum.value == 0 else None)
        if name is None:
            raise UnknownClassError(
                f"nobody knows what value {stratum.value} of the map stands for; its file must name it in a band tag "
                f"class_{stratum.value}, or map the scene again"
            )
        if name != BACKGROUND_NAME and name not in self.classes:
            raise UnknownClassError(f"the map has a class {name!r} that the project has not; add it with add_class")
        return name


def estimate_of(folder: Path, scene: str | None = None) -> AreaEstimate:
    """What the check of a project's map says, without opening its scene; nothing is written.

    Args:
        folder: of the project.
        scene: its name; the project's first one if None.

    Raises:
        ProjectError: there is no project, or no such scene in it.
        MapCheckError: see MapChecking.area_estimate.
    """
    project = Project.open(folder)
    if scene is not None and scene not in project.scenes:
        raise ProjectError(f"the project has no scene {scene!r}; it has {list(project.scenes)}")
    state = reduce(project.events(), None if scene is None else project.scenes[scene])
    return require_check(state.check).estimate(remarks_on(state, project))


def areas_of_map(reporter: jobs.Reporter, path: Path) -> pd.DataFrame:
    """The same of any class map, by the names that its file gives: see MapChecking.map_areas.

    Args:
        reporter: told the share that was gone through.
        path: the map.

    Raises:
        SegLabError: as ClassMap and map_strata raise.
    """
    with ClassMap(path) as class_map:
        strata = map_strata(class_map, lambda share: reporter.update(share, 1))
        names = {0: BACKGROUND_NAME} | dict(class_map.names)
        return _areas_table(class_map, strata, [names.get(stratum.value, str(stratum.value)) for stratum in strata])


def _areas_table(class_map: ClassMap, strata: list[MapStratum], classes: list[str]) -> pd.DataFrame:
    rows = [(s.pixels, s.area if class_map.grid.is_georeferenced else float("nan")) for s in strata]
    return pd.DataFrame(rows, index=pd.Index(classes, name="class"), columns=["pixels", "hectares"])


def remarks_on(state: State, project: Project) -> tuple[str, ...]:
    """See MapChecking.check_remarks."""
    check = state.check
    if check is None:
        return ()
    path = project.folder / check.map["path"]
    if not path.exists():
        return (f"The map {path.name} is gone; the figures are of that map.",)
    if not _is_same_file(path, check.map):
        return (f"The map {path.name} was changed after its sample was drawn; the figures are of the map before.",)
    latest = prediction_of(project, state.prediction)
    if latest is not None and not latest.path.samefile(path):
        return (f"The figures are of {path.name}; {latest.path.name} is a later map of the scene.",)
    return ()


def map_identity(path: Path) -> dict[str, Any]:
    """What tells a file from another one of its name: its bytes, and when it was written, which spares reading them."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    status = path.stat()
    return {"bytes": status.st_size, "written": status.st_mtime_ns, "sha256": digest}


def _is_same_file(path: Path, known: Mapping[str, Any]) -> bool:
    status = path.stat()
    if status.st_size != known.get("bytes"):
        return False
    return status.st_mtime_ns == known.get("written") or map_identity(path)["sha256"] == known.get("sha256")


def _sizes(
    size: int | None,
    strata: list[MapStratum],
    classes: list[str],
    target_se: float,
    expected: float | Mapping[str, float],
    least: int | None,
) -> list[int]:
    """How many places of each stratum."""
    pixels = [stratum.pixels for stratum in strata]
    if size is None:
        of = expected.get if isinstance(expected, Mapping) else (lambda name, default: expected)
        wanted = [float(of(name, EXPECTED_ACCURACY)) for name in classes]
        total = sum(stratum.area for stratum in strata)
        size = sample_size(target_se, [stratum.area / total for stratum in strata], wanted, sum(pixels))
        size = min(max(size, 2 * len(strata)), sum(pixels))
    return allocate(size, pixels, least)


def _same_ground(one: Grid, other: Grid) -> bool:
    same_crs = one.crs == other.crs or (one.crs is not None and one.crs.equals(other.crs, ignore_axis_order=True))
    return one.shape == other.shape and same_crs and one.transform.almost_equals(other.transform, precision=1e-6)
