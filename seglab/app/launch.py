"""From a shell to the labeller: a notebook of one cell, and the command that opens it."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from seglab.core.dated_scenes import DatedScenes
from seglab.core.dates import by_date
from seglab.core.handles import is_remote
from seglab.core.raster import Scene
from seglab.errors import MissingPackageError, ProjectError, WriteError
from seglab.store import atomic
from seglab.store.project import Project
from seglab.store.schema import MANIFEST_NAME

COMMENT = "# Run this cell: click it, then Shift+Enter."
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""Without it JupyterLab asks for a kernel, in a dialog over the page."""
MOST_NAMES = 100
"""Names that are tried for a notebook before it goes to a temporary folder."""


@dataclass(frozen=True)
class Launch:
    """What opens the labeller."""

    notebook: Path
    project: Path
    """The project's folder, made by the first run of the cell where it is new."""


def prepare(
    scenes: Sequence[str], options: Mapping[str, Any], project: Path | None = None, dated: bool = False
) -> Launch:
    """Check the scenes and the project, and write the notebook that labels them.

    Args:
        scenes: paths or URLs; or a project's folder, alone.
        options: of `seglab.open`, beside the project; those that are None are left out.
        project: its folder; `NAME.seglab` in the working directory if None.
        dated: the scenes are one place at several dates, which their names tell: see `by_date`.

    Raises:
        DateError: a file tells no date, two tell the same, or one does not lie on the others.
        SceneNotFoundError, NotARasterError, EmptySceneError, UnsupportedSceneError, DamagedSceneError: see Scene.open.
        ProjectError: the folder of the project is missing, or something else stands in its place.
        WriteError: the project's folder cannot be written.
    """
    sources: list[str] | dict[str, str] = []
    name = ""
    if project is None and len(scenes) == 1 and (Path(scenes[0]).expanduser() / MANIFEST_NAME).exists():
        project = Path(scenes[0])
    elif dated:
        name, sources = _dates(scenes)
    else:
        name, sources = _places(scenes)
    folder = (Path.cwd() / f"{name}.seglab" if project is None else project.expanduser()).absolute()
    _check_project(folder)
    code = cell_code(sources, {**options, "project": str(folder)})
    return Launch(_place(folder, code), folder)


def _places(scenes: Sequence[str]) -> tuple[str, list[str]]:
    """The first scene's name, and where each is; every one has been opened."""
    names, paths = [], []
    for scene in scenes:
        opened = Scene.open(scene)
        opened.close()
        names.append(opened.name)
        paths.append(opened.path if is_remote(opened.path) else str(Path(opened.path).absolute()))
    return names[0], paths


def _dates(scenes: Sequence[str]) -> tuple[str, dict[str, str]]:
    """What the names of the files have in common, and where the file of each date is; their headers are alike."""
    opened = DatedScenes.open(by_date(scenes))
    opened.close()
    return opened.name, opened.files


def cell_code(scenes: Sequence[str] | Mapping[str, str], options: Mapping[str, Any]) -> str:
    """The cell: `seglab.label` with its arguments as Python literals, whatever they hold.

    Args:
        scenes: paths or URLs, or those of one place by date; none for those of the project.
        options: of `seglab.open`.
    """
    if isinstance(scenes, Mapping):
        source: Any = dict(scenes)
    else:
        source = scenes[0] if len(scenes) == 1 else list(scenes)
    first = f"    {source!r},\n" if scenes else ""
    given = "".join(f"    {name}={value!r},\n" for name, value in options.items() if value is not None)
    return f"{COMMENT}\nimport seglab\n\nseglab.label(\n{first}{given})"


def notebook_bytes(code: str) -> bytes:
    """A notebook (nbformat 4.5) with one cell of code."""
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "label",
        "metadata": {},
        "outputs": [],
        "source": code,
    }
    notebook = {"cells": [cell], "metadata": KERNEL, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1).encode() + b"\n"


def lab_command(notebook: Path, port: int | None = None, browser: bool = True) -> list[str]:
    """The command that starts JupyterLab on a notebook, with its folder as root.

    Args:
        notebook: in a folder of its own or the user's.
        port: of the server; Jupyter's choice if None.
        browser: open one.
    """
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={notebook.parent}",
        f"--LabApp.default_url=/lab/tree/{quote(notebook.name)}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # as root it refuses to run unless told that this is meant
        command.append("--allow-root")
    if port is not None:
        command.append(f"--ServerApp.port={port}")
    return command if browser else [*command, "--no-browser"]


def voila_command(notebook: Path, port: int | None = None, browser: bool = True) -> list[str]:
    """The command that serves a notebook as a dashboard, without code: see `lab_command`."""
    # without a token whoever else is on this machine could change the labels
    command = [sys.executable, "-m", "voila", str(notebook), "--Voila.auto_token=True"]
    if port is not None:
        command.append(f"--port={port}")
    return command if browser else [*command, "--no-browser"]


def require_voila() -> None:
    """Check that voila is there.

    Raises:
        MissingPackageError: it is not.
    """
    if importlib.util.find_spec("voila") is None:
        raise MissingPackageError("the dashboard needs voila: pip install voila; or leave --voila out for JupyterLab")


def _check_project(folder: Path) -> None:
    """Refuse now what would otherwise fail in the notebook."""
    if (folder / MANIFEST_NAME).exists():
        Project.open(folder)
        target = folder
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ProjectError(
            f"{str(folder)!r} is a file or holds other files, and is no project; pass --project with another folder"
        )
    elif not folder.parent.is_dir():
        raise ProjectError(f"{str(folder.parent)!r} is no folder; make it, or pass --project with another path")
    else:
        target = folder if folder.is_dir() else folder.parent
    try:
        with tempfile.TemporaryFile(dir=target):
            pass
    except OSError as error:
        raise WriteError(
            f"cannot write in {str(target)!r} ({error}); pass --project with a folder that you may write to"
        ) from error


def _place(project: Path, code: str) -> Path:
    """Write the notebook beside the project, else into a temporary folder; another one there is never replaced."""
    data = notebook_bytes(code)
    for number in range(1, MOST_NAMES):
        path = project.with_name(f"label_{project.stem}{'' if number == 1 else f'_{number}'}.ipynb")
        if not path.exists():
            try:
                atomic.write_bytes(path, data)
            except WriteError:  # the project is writable, the folder around it is not
                break
            return path
        if _begins_with(path, code):
            return path
    path = Path(tempfile.mkdtemp(prefix="seglab-label-")) / f"label_{project.stem}.ipynb"
    atomic.write_bytes(path, data)
    return path


def _begins_with(path: Path, code: str) -> bool:
    """Whether a notebook is one that was written for the same call; a person may have added cells."""
    try:
        source = json.loads(path.read_bytes())["cells"][0]["source"]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return ("".join(source) if isinstance(source, list) else source) == code
