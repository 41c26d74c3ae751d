"""The project manifest (project.json): its schema version and the migrations from older ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seglab.errors import ProjectDamagedError, ProjectError

MANIFEST_NAME = "project.json"
SCHEMA_VERSION = 2
RESERVED = ("schema", "created")
"""Keys of the manifest that belong to the store; callers own all others."""

Migration = Callable[[dict[str, Any]], dict[str, Any]]

MIGRATIONS: dict[int, Migration] = {
    # Before version 2 there was one family of adapters, and the model saw three bands.
    1: lambda manifest: {"adapter": "atl_a", "extra_bands": []} | manifest,
}
"""From schema version n to n + 1, by n. Each takes a copy of the manifest and returns the next one."""


def read_manifest(
    path: Path, migrations: Mapping[int, Migration] = MIGRATIONS, version: int = SCHEMA_VERSION
) -> dict[str, Any]:
    """Read project.json and bring it to the current schema, in memory only.

    Args:
        path: The manifest.
        migrations: The steps that are known.
        version: The schema version to arrive at.

    Returns:
        The manifest with `schema` == `version`.

    Raises:
        ProjectDamagedError: The file is missing, is no manifest, or was made by a newer seglab.
    """
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ProjectDamagedError(
            f"{str(path)!r} is missing: this is no seglab project, or it lost its manifest. Restore "
            "project.json from a backup, or choose another folder for a new project. Nothing was changed."
        ) from error
    except (OSError, ValueError) as error:
        raise ProjectDamagedError(
            f"{str(path)!r} cannot be read as JSON ({error}): restore it from a backup. Nothing was changed."
        ) from error
    found = manifest.get("schema") if isinstance(manifest, dict) else None
    if not isinstance(found, int) or found < 1:
        raise ProjectDamagedError(
            f"{str(path)!r} names no schema version (found {found!r}): restore it from a backup. Nothing was changed."
        )
    if found > version:
        raise ProjectDamagedError(
            f"{str(path)!r} has schema version {found} and this seglab knows up to {version}: the project "
            "was made by a newer seglab; upgrade seglab to open it. Nothing was changed."
        )
    return _migrate(manifest, path, migrations, version)


def scene_cards(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is known of each scene of a project: that of `scene`, which it began with, then those of `scenes`."""
    return [manifest["scene"], *manifest.get("scenes", ())]


def encode_manifest(manifest: Mapping[str, Any]) -> bytes:
    """The bytes of project.json.

    Raises:
        ProjectError: The manifest cannot be written as JSON.
    """
    try:
        text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8") + b"\n"
    except (TypeError, ValueError) as error:
        raise ProjectError(
            f"the project's settings cannot be saved as JSON ({error}): use plain numbers, strings, lists "
            "and dictionaries, and no NaN"
        ) from error


def _migrate(manifest: dict[str, Any], path: Path, migrations: Mapping[int, Migration], version: int) -> dict[str, Any]:
    for step in range(manifest["schema"], version):
        if step not in migrations:
            raise ProjectDamagedError(
                f"{str(path)!r} has schema version {manifest['schema']}, and no way from {step} to "
                f"{step + 1} is known: open it with the seglab that made it. Nothing was changed."
            )
        manifest = migrations[step](copy.deepcopy(manifest)) | {"schema": step + 1}
    return manifest
