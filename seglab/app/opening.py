"""Opening a scene as a project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from seglab import jobs
from seglab.app.project.open_project import LAST_SCENE, OpenProject
from seglab.app.project.scene_cards import (
    BAND_KEYS,
    bands_of,
    damaged_manifest,
    dates_of,
    find_card,
    first_difference,
    found_bands,
    scene_card,
    source_of,
)
from seglab.app.session import LabelSession
from seglab.core.band_labels import labels_to_json
from seglab.core.dated_scenes import DatedScenes
from seglab.core.raster import Scene
from seglab.errors import BandError, ProjectError
from seglab.models.adapters.registry import new_adapter
from seglab.models.registry import load_model
from seglab.models.sam import AdaptedSam
from seglab.store.project import Project
from seglab.store.schema import MANIFEST_NAME, scene_cards

DEFAULT_CLASSES = ("object",)
MODEL_SETTINGS = ("bands", "model", "adapt_from", "adapter", "extra_bands")
"""What rounds depend on: with rounds in a project, none of these may change."""


def open_session(
    source: Any = None,
    classes: Sequence[str] | Mapping[str, str] | None = None,
    project: str | Path | None = None,
    model: str | None = None,
    *,
    bands: Sequence[int] | None = None,
    date: Any = None,
    device: str | None = None,
    checkpoint: str | Path | None = None,
    adapt_from: str | int | None = None,
    adapter: str | None = None,
    extra_bands: Sequence[int] | None = None,
    author: str | None = None,
    isolate: bool = True,
) -> LabelSession:
    """Open a scene for labelling; a project that is there already opens as it was left.

    Args:
        source: a path, a URL, an xarray.DataArray or Dataset, a STAC item, or a NumPy image; or several dates of one
            place: an xarray object, a NetCDF file or a Zarr store with an axis of times, or sources by their date
            ({"2020-06-01": "a.tif", ...}, for
            files whose names tell it `seglab.by_date(paths)`). A list of those: several
            scenes of one project, of which the one that was used last is opened. A project's folder, or None with
            `project`: the scene of it that was used last.
        classes: names, or colours '#rrggbb' by name; those the project lacks are added.
        project: the project's folder; `NAME.seglab` in the working directory if None.
        model: "tiny", "vit_b", "vit_l" or "vit_h"; the project's, else "tiny", if None.
        bands: three 1-based bands that the model sees as red, green, blue; the project's, else chosen, if None.
        date: the one that clicks are answered on, where the source has several; the project's, else the latest, if
            None. `session.use_date` changes it.
        device: "cuda", "mps" or "cpu"; chosen if None.
        checkpoint: a weights file instead of the model's own.
        adapt_from: where rounds put their adapters: "all" blocks (TransLandSeg as published), "late" (the last
            quarter), "last", "neck" (after all), or a block number; the project's, else "late", if None. The blocks
            before it stay frozen and cached.
        adapter: what rounds train beside the encoder: "atl_a" (TransLandSeg's branch), "lora", ..., see
            seglab.models.adapters.registry; the project's, else one that goes to `adapt_from` ("atl_a" but for "neck"),
            if None.
        extra_bands: 1-based bands (near infrared, elevation, a second date, ...) that rounds learn to use beside red,
            green and blue; the project's, else none, if None.
        author: who labels; the account's name if None.
        isolate: train in a process of its own: a crash or an out-of-memory kill there costs the round, not the kernel.

    Raises:
        SceneNotFoundError, NotARasterError, EmptySceneError, UnsupportedSceneError, BandError: see Scene.open.
        DateError: a date is missing, not understood or there twice; or its raster does not lie as the others do.
        ProjectError: the project belongs to another scene, or its rounds to another model or bands.
        ProjectDamagedError: the project's folder is damaged; nothing in it was changed.
        ModelNotFoundError, CheckpointError, DownloadError, DeviceError: see load_model.
        AdapterError: no such family of adapters, or it does not go where `adapt_from` says.
    """
    sources, folder = _asked_for(source, project)
    with ExitStack() as undo:
        imagery = DatedScenes.open(sources[0], bands)
        undo.callback(lambda: imagery.close())
        folder = Path.cwd() / f"{imagery.name}.seglab" if folder is None else folder
        there = Project.open(folder) if (folder / MANIFEST_NAME).exists() else None
        known = {} if there is None else there.manifest
        card = scene_card(imagery, sources[0], folder)
        own = {} if there is None else _own_bands(there, imagery, card, len(sources) > 1)
        if bands is None and own and own["bands"] != list(imagery.scene.bands):
            imagery.show_bands(own["bands"])
        scene = imagery.scene
        seen = {
            "bands": list(scene.bands),
            "extra_bands": own.get("extra_bands", []) if extra_bands is None else _checked(scene, extra_bands),
        }
        settings = {
            "scene": scene_card(imagery, sources[0], folder),
            "model": model or known.get("model", "tiny"),
            "adapt_from": known.get("adapt_from", "late") if adapt_from is None else adapt_from,
            "adapter": adapter or known.get("adapter") or ("neck" if adapt_from == "neck" else "atl_a"),
            **{key: known[key] if own.get(key) == indexes else indexes for key, indexes in seen.items()},
            "band_labels": labels_to_json(scene.labels_at([*seen["bands"], *seen["extra_bands"]])),
        }
        # The model comes first: a name that does not exist must not become part of a project.
        weights = _load(settings, checkpoint, device)
        kept = Project.open_or_create(folder, settings)
        name = _find(kept, settings, one_more=len(sources) > 1)
        opened = OpenProject(kept, weights, author, settings["adapter"], isolate)
        if len(sources) > 1:
            names = [opened.add(each) for each in sources]
            wanted = opened.last if opened.last in names else names[0]
            if wanted != name:
                imagery.close()
                imagery, name = opened.imagery(wanted), wanted
        else:
            opened.sources[name] = sources[0]
        _take_date(kept, name, imagery, date)
        session = LabelSession(imagery, opened, name)
        opened.remember(name)
        _add_classes(session, classes)
        undo.pop_all()
    return session


@contextmanager
def open_scene_of(project: Path, name: str | None = None, device: str | None = None) -> Iterator[LabelSession]:
    """A session on a scene of a project, for as long as a command needs it.

    Args:
        project: its folder.
        name: of the scene; the one opened last if None.
        device: see `open_session`.

    Raises:
        SegLabError: as `open_session` and `LabelSession.open_scene` raise.
    """
    with closing(open_session(project=project, device=device)) as session:
        if name is None or name == session.scene_name:
            yield session
        else:
            with closing(session.open_scene(name)) as other:
                yield other


def _take_date(project: Project, name: str, imagery: DatedScenes, date: Any) -> None:
    """Take the date into use that is asked for, else the one that was in use last; the project knows it, and all dates
    that there are now.

    Raises:
        DateError: there is no such date.
    """
    card = next(card for card in scene_cards(project.manifest) if card["name"] == name)
    if date is not None or card.get("date") in imagery.dates:
        imagery.use(imagery.find(card["date"] if date is None else date))
    if imagery.dates:
        now = dates_of(imagery)
        if any(card.get(key) != value for key, value in now.items()):
            project.update_scene(name, **now)


def _asked_for(source: Any, project: str | Path | None) -> tuple[list[Any], Path | None]:
    """The sources of the scenes, at least one, and the folder of their project, if it is named."""
    sources = list(source) if isinstance(source, (list, tuple)) else [source]
    if project is None and len(sources) == 1 and isinstance(source, (str, Path)) and _is_project(Path(source)):
        project, sources = source, []
    folder = None if project is None else Path(project).expanduser()
    if sources and sources[0] is not None:
        return sources, folder
    if folder is None:
        raise ProjectError("there is nothing to open; pass a scene, a list of scenes, or the folder of a project")
    manifest = Project.open(folder).manifest
    cards = {card["name"]: card for card in scene_cards(manifest)}
    last = manifest.get(LAST_SCENE)
    card = cards[last] if last in cards else manifest["scene"]
    return [source_of(card, folder)], folder


def _is_project(path: Path) -> bool:
    return (path.expanduser() / MANIFEST_NAME).exists()


def _load(settings: dict[str, Any], checkpoint: str | Path | None, device: str | None) -> AdaptedSam:
    """The model; a download shows its progress in the terminal or the cell."""
    name = settings["model"]
    job = jobs.start(
        lambda reporter: load_model(
            name,
            checkpoint=checkpoint,
            device=device,
            adapt_from=settings["adapt_from"],
            extra_bands=len(settings["extra_bands"]),
            reporter=reporter,
        ),
        title=f"load {name}",
        unit="MB",
    )
    if not job.wait(1.0):
        jobs.follow(job)
    model = job.result()
    # Refused here, before it becomes part of a project, and not when the first round starts.
    new_adapter(settings["adapter"], model.spec, model.adapt_from)
    return model


def _own_bands(project: Project, imagery: DatedScenes, card: Mapping[str, Any], one_more: bool) -> dict[str, list[int]]:
    """The bands of a scene that the model of a project sees; nothing where the project will not have that scene.

    Args:
        project: that is there.
        imagery: the scene.
        card: its card.
        one_more: whether a scene that it does not have will be added to it.

    Raises:
        BandError: a band is missing.
    """
    name, manifest = find_card(card, project), project.manifest
    try:
        if name is None:
            return found_bands(imagery.scene, manifest) if one_more else {}
        return bands_of(next(known for known in scene_cards(manifest) if known["name"] == name), manifest)
    except KeyError as error:
        raise damaged_manifest(project, error) from error


def _checked(scene: Scene, extra_bands: Sequence[int]) -> list[int]:
    """The extra bands, each one a band of the scene and none of them twice."""
    bands = list(scene.find_bands(extra_bands))
    if len(set(bands)) < len(bands):
        raise BandError(f"extra_bands={bands} names a band twice; leave it out once")
    return bands


def _find(project: Project, settings: dict[str, Any], one_more: bool) -> str:
    """Which scene of the project is opened; a change of bands or model is followed while no round depends on it.

    Args:
        project: that is there, or was just made.
        settings: as it is opened.
        one_more: whether a scene that it does not have will be added to it.

    Raises:
        ProjectError: it does not have that scene, or its rounds are of another model.
    """
    kept, card = project.manifest, settings["scene"]
    name = find_card(card, project)
    if name is None and not one_more:
        key = first_difference(card, kept["scene"])
        raise ProjectError(
            f"project {str(project.folder)!r} belongs to scene {kept['scene']['name']!r}, whose {key} is "
            f"{kept['scene'][key]!r} and not {card[key]!r}; pass project= with another folder, or a list of scenes to "
            "label several in one project"
        )
    try:
        changed = [key for key in MODEL_SETTINGS if kept[key] != settings[key]]
    except KeyError as error:
        raise damaged_manifest(project, error) from error
    if changed and project.rounds():
        key = changed[0]
        raise ProjectError(
            f"the rounds of project {str(project.folder)!r} were trained with {key}={kept[key]!r} and not "
            f"{settings[key]!r}; leave {key} out, or pass project= with another folder"
        )
    is_first = name == kept["scene"]["name"]
    if {*BAND_KEYS} & {*changed} and (not is_first or any({*BAND_KEYS} & {*known} for known in scene_cards(kept))):
        raise ProjectError(
            f"the bands of project {str(project.folder)!r} are those of its scene {kept['scene']['name']!r}, and other "
            "scenes follow them; leave bands out, or pass project= with another folder"
        )
    if changed or (is_first and "band_labels" not in kept):
        project.update_manifest(**{key: settings[key] for key in (*changed, "band_labels")})
    return name or card["name"]


def _add_classes(session: LabelSession, classes: Sequence[str] | Mapping[str, str] | None) -> None:
    """Add the classes that the project does not have yet; they are where it starts, so undo does not reach them."""
    if classes is None:
        classes = () if session.classes else DEFAULT_CLASSES
    names = [classes] if isinstance(classes, str) else list(classes)
    colours = {name: classes[name] for name in names} if isinstance(classes, Mapping) else {}
    for name in names:
        if session.state.today(name.strip()) is None:
            session.add_class(name, colours.get(name), initial=True)
