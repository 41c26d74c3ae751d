"""Opening a scene as a project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from seglab import jobs
from seglab.app.session import LabelSession
from seglab.core.bands import check_band
from seglab.core.raster import Scene
from seglab.errors import BandError, ProjectDamagedError, ProjectError
from seglab.models.adapters.registry import new_adapter
from seglab.models.registry import load_model
from seglab.models.sam import AdaptedSam
from seglab.store.project import Project

DEFAULT_CLASSES = ("object",)
MODEL_SETTINGS = ("bands", "model", "adapt_from", "adapter", "extra_bands")
"""What rounds depend on: with rounds in a project, none of these may change."""


def open_session(
    source: Any,
    classes: Sequence[str] | Mapping[str, str] | None = None,
    project: str | Path | None = None,
    model: str | None = None,
    *,
    bands: Sequence[int] | None = None,
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
        source: a path, a URL, an xarray.DataArray or Dataset, a STAC item, or a NumPy image.
        classes: names, or colours '#rrggbb' by name; those the project lacks are added.
        project: the project's folder; `NAME.seglab` in the working directory if None.
        model: "tiny", "vit_b", "vit_l" or "vit_h"; the project's, else "tiny", if None.
        bands: three 1-based bands that the model sees as red, green, blue; the project's, else chosen, if None.
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
        ProjectError: the project belongs to another scene, or its rounds to another model or bands.
        ProjectDamagedError: the project's folder is damaged; nothing in it was changed.
        ModelNotFoundError, CheckpointError, DownloadError, DeviceError: see load_model.
        AdapterError: no such family of adapters, or it does not go where `adapt_from` says.
    """
    scene = Scene.open(source, bands=bands)
    with ExitStack() as undo:
        undo.callback(lambda: scene.close())
        folder = Path(project) if project is not None else Path.cwd() / f"{scene.name}.seglab"
        known = Project.open(folder).manifest if (folder / "project.json").exists() else {}
        if bands is None and known.get("bands") not in (None, list(scene.bands)):
            scene.close()
            scene = Scene.open(source, bands=known["bands"])
        settings = {
            "scene": _scene_card(scene, source),
            "bands": list(scene.bands),
            "model": model or known.get("model", "tiny"),
            "adapt_from": known.get("adapt_from", "late") if adapt_from is None else adapt_from,
            "adapter": adapter or known.get("adapter") or ("neck" if adapt_from == "neck" else "atl_a"),
            "extra_bands": known.get("extra_bands", []) if extra_bands is None else _checked(scene, extra_bands),
        }
        # The model comes first: a name that does not exist must not become part of a project.
        weights = _load(settings, checkpoint, device)
        opened = Project.open_or_create(folder, settings)
        _check(opened, settings)
        session = LabelSession(scene, opened, weights, author, adapter=settings["adapter"], isolate=isolate)
        _add_classes(session, classes)
        undo.pop_all()
    return session


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


def _checked(scene: Scene, extra_bands: Sequence[int]) -> list[int]:
    """The extra bands, each one a band of the scene and none of them twice."""
    bands = [check_band(band, scene.data_bands, scene.band_names) for band in extra_bands]
    if len(set(bands)) < len(bands):
        raise BandError(f"extra_bands={bands} names a band twice; leave it out once")
    return bands


def _scene_card(scene: Scene, source: Any) -> dict[str, Any]:
    """What identifies a scene: its pixels' place, not the path it happens to have today; without a CRS its name, and
    for an array its content."""
    grid = scene.grid
    return {
        "name": scene.name,
        "width": grid.width,
        "height": grid.height,
        "transform": list(grid.transform)[:6],
        "crs": None if grid.crs is None else grid.crs.to_string(),
        "path": str(scene.path),
        "identity": scene.name if isinstance(source, (str, Path)) else scene.fingerprint,
    }


def _check(project: Project, settings: dict[str, Any]) -> None:
    """Refuse a project of another scene; follow a change of bands or model while no round depends on it."""
    kept, now = project.manifest, settings["scene"]
    keys = ["width", "height", "transform", "crs"] + (["identity"] if now["crs"] is None else [])
    try:
        differing = [key for key in keys if kept["scene"][key] != now[key]]
        changed = [key for key in MODEL_SETTINGS if kept[key] != settings[key]]
    except (KeyError, TypeError) as error:
        raise ProjectDamagedError(
            f"project.json in {str(project.folder)!r} lacks {error}; restore it from a backup. Nothing was changed."
        ) from error
    if differing:
        key = differing[0]
        raise ProjectError(
            f"project {str(project.folder)!r} belongs to scene {kept['scene']['name']!r}, whose {key} is "
            f"{kept['scene'][key]!r} and not {now[key]!r}; pass project= with another folder"
        )
    if changed and project.rounds():
        key = changed[0]
        raise ProjectError(
            f"the rounds of project {str(project.folder)!r} were trained with {key}={kept[key]!r} and not "
            f"{settings[key]!r}; leave {key} out, or pass project= with another folder"
        )
    if changed:
        project.update_manifest(**{key: settings[key] for key in changed})


def _add_classes(session: LabelSession, classes: Sequence[str] | Mapping[str, str] | None) -> None:
    """Add the classes that the project does not have yet; they are where it starts, so undo does not reach them."""
    if classes is None:
        classes = () if session.classes else DEFAULT_CLASSES
    names = [classes] if isinstance(classes, str) else list(classes)
    colours = {name: classes[name] for name in names} if isinstance(classes, Mapping) else {}
    for name in names:
        if session.state.today(name.strip()) is None:
            session.add_class(name, colours.get(name), initial=True)
