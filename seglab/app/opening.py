"""Opening a scene as a project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from seglab import jobs
from seglab.app.session import LabelSession
from seglab.app.state import next_colour
from seglab.core.raster import Scene
from seglab.errors import ProjectError
from seglab.models.registry import load_model
from seglab.store.project import Project

DEFAULT_CLASSES = ("object",)


def open_session(
    source: Any,
    classes: Sequence[str] | Mapping[str, str] | None = None,
    project: str | Path | None = None,
    model: str | None = None,
    *,
    bands: Sequence[int] | None = None,
    device: str | None = None,
    checkpoint: str | Path | None = None,
    author: str | None = None,
) -> LabelSession:
    """Open a scene for labelling; a project that is there already opens as it was left.

    Args:
        source: a path, a URL, an xarray.DataArray or Dataset, a STAC item, or a NumPy image.
        classes: names, or colours '#rrggbb' by name; those the project lacks are added.
        project: the project's folder; `NAME.seglab` in the working directory if None.
        model: "tiny", "vit_b", "vit_l" or "vit_h"; the project's, else "tiny", if None.
        bands: three 1-based bands that the model sees as red, green, blue; the project's, else chosen, if None.
        device: "cuda", "mps" or "cpu"; chosen if None.
        checkpoint: a weights file instead of the model's own.
        author: who labels; the account's name if None.

    Raises:
        SceneNotFoundError, NotARasterError, EmptySceneError, UnsupportedSceneError, BandError: see Scene.open.
        ProjectError: the project belongs to another scene, or its rounds to another model or bands.
        ProjectDamagedError: the project's folder is damaged; nothing in it was changed.
        ModelNotFoundError, CheckpointError, DownloadError, DeviceError: see load_model.
    """
    folder = Path(project) if project is not None else None
    known = Project.open(folder).manifest if folder is not None and folder.exists() else None
    scene = Scene.open(source, bands=bands or (known or {}).get("bands"))
    with ExitStack() as undo:
        undo.callback(scene.close)
        folder = folder or Path.cwd() / f"{scene.name}.seglab"
        name = model or (known or {}).get("model") or "tiny"
        weights = _load(name, checkpoint, device)
        settings = {"scene": _scene_card(scene), "bands": list(scene.bands), "model": name}
        opened = Project.open_or_create(folder, settings)
        _check(opened, settings)
        session = LabelSession(scene, opened, weights, author)
        _add_classes(session, classes)
        undo.pop_all()
    return session


def _load(name: str, checkpoint: str | Path | None, device: str | None) -> Any:
    """The model; a download shows its progress in the terminal or the cell."""
    job = jobs.start(
        lambda reporter: load_model(name, checkpoint=checkpoint, device=device, reporter=reporter),
        title=f"load {name}",
        unit="B",
    )
    if not job.wait(1.0):
        jobs.follow(job)
    return job.result()


def _scene_card(scene: Scene) -> dict[str, Any]:
    """What identifies a scene: its pixels' place, not the path it happens to have today."""
    grid = scene.grid
    return {
        "name": scene.name,
        "width": grid.width,
        "height": grid.height,
        "transform": list(grid.transform)[:6],
        "crs": None if grid.crs is None else grid.crs.to_string(),
        "path": str(scene.path),
    }


def _check(project: Project, settings: dict[str, Any]) -> None:
    """Refuse a project of another scene; follow a change of bands or model while no round depends on it."""
    kept = project.manifest
    for key in ("width", "height", "transform", "crs"):
        if kept["scene"][key] != settings["scene"][key]:
            raise ProjectError(
                f"project {str(project.folder)!r} belongs to scene {kept['scene']['name']!r}, whose {key} is "
                f"{kept['scene'][key]!r} and not {settings['scene'][key]!r}; pass project= with another folder"
            )
    for key in ("bands", "model"):
        if kept[key] != settings[key]:
            if project.rounds():
                raise ProjectError(
                    f"the rounds of project {str(project.folder)!r} were trained with {key}={kept[key]!r} and not "
                    f"{settings[key]!r}; leave {key} out, or pass project= with another folder"
                )
            project.update_manifest(**{key: settings[key]})


def _add_classes(session: LabelSession, classes: Sequence[str] | Mapping[str, str] | None) -> None:
    """Add the classes that the project does not have yet; they are where it starts, so undo does not reach them."""
    if classes is None:
        classes = () if session.classes else DEFAULT_CLASSES
    colours = dict(classes) if isinstance(classes, Mapping) else {}
    for name in classes:
        if name not in session.classes:
            session.add_class(name, colours.get(name) or next_colour(session.classes), initial=True)
