"""Rounds of training in a project: rounds/NNN/ with the adapter's tensors and a card that describes them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from seglab.errors import ProjectDamagedError, ProjectError, UnknownRoundError, WriteError
from seglab.store import atomic

ROUNDS_NAME = "rounds"
ADAPTER_NAME = "adapter.safetensors"
CARD_NAME = "card.json"


class RoundStore:
    """Numbered rounds in a folder; a round appears whole or not at all, and is never changed."""

    def __init__(self, folder: Path) -> None:
        """Open the folder of rounds (it may not exist yet)."""
        self._folder = folder

    def save(self, tensors: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> int:
        """Save a round under the next number; the caller holds the project's lock.

        Args:
            tensors: Weights by name; any shape, dtypes that safetensors knows.
            card: JSON-serialisable; `round` (its number) and `sha256` (of the tensors' file) are added.

        Returns:
            The number, one more than the highest so far.

        Raises:
            ProjectError: The card cannot be written as JSON.
            WriteError: The system refused; no round was added.
        """
        number = max(self._numbers(), default=0) + 1
        # safetensors writes the buffer as it lies: a transposed view would come back scrambled
        data = safetensors.numpy.save({name: np.array(tensor, order="C") for name, tensor in tensors.items()})
        full = {**card, "round": number, "sha256": hashlib.sha256(data).hexdigest()}
        try:
            text = json.dumps(full, indent=2, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ProjectError(
                f"the card of round {number} cannot be saved as JSON ({error}): use plain numbers, strings, "
                "lists and dictionaries, and no NaN"
            ) from error
        try:
            self._folder.mkdir(exist_ok=True)
        except OSError as error:
            raise WriteError(f"cannot make {str(self._folder)!r}: {error}; check permissions") from error
        with atomic.replacing(self._folder / f"{number:03d}") as temp:
            temp.mkdir()
            (temp / ADAPTER_NAME).write_bytes(data)
            (temp / CARD_NAME).write_text(text + "\n", encoding="utf-8")
        return number

    def copy(self, number: int, source: RoundStore) -> None:
        """Take over a round of another store under its own number.

        Raises:
            ProjectError: There is a round of that number.
            UnknownRoundError, ProjectDamagedError: The source does not have it, or its files are damaged.
            WriteError: The system refused; no round was added.
        """
        source.load(number)  # its tensors are those that were saved
        target = self._folder / f"{number:03d}"
        if target.exists():
            raise ProjectError(f"there is a round {number} in {str(self._folder)!r}; copy rounds into a new project")
        with atomic.replacing(target) as temp:
            shutil.copytree(source._folder / target.name, temp)

    def cards(self) -> list[dict[str, Any]]:
        """The cards of all rounds, by number.

        Raises:
            ProjectDamagedError: A card is missing or cannot be read.
        """
        return [self._card(number) for number in self._numbers()]

    def load(self, number: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The tensors and the card of a round.

        Raises:
            UnknownRoundError: There is no round of that number.
            ProjectDamagedError: Its files are missing, or are not the ones that were saved.
        """
        known = self._numbers()
        if number not in known:
            raise UnknownRoundError(f"there is no round {number!r}: choose one of {known}")
        card = self._card(number)
        path = self._folder / f"{number:03d}" / ADAPTER_NAME
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _damaged(path, str(error)) from error
        if hashlib.sha256(data).hexdigest() != card.get("sha256"):
            raise _damaged(path, "it is not the file that was saved (its SHA-256 differs from the card's)")
        try:
            return safetensors.numpy.load(data), card
        except safetensors.SafetensorError as error:
            raise _damaged(path, str(error)) from error

    def _numbers(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        return sorted(int(path.name) for path in self._folder.iterdir() if path.name.isdecimal() and path.is_dir())

    def _card(self, number: int) -> dict[str, Any]:
        path = self._folder / f"{number:03d}" / CARD_NAME
        try:
            card = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise _damaged(path, str(error)) from error
        if not isinstance(card, dict) or card.get("round") != number:
            raise _damaged(path, f"it does not describe round {number}")
        return card


def _damaged(path: Path, what: str) -> ProjectDamagedError:
    return ProjectDamagedError(
        f"cannot use {str(path)!r}: {what}. Restore it from a backup, or move the folder "
        f"{str(path.parent)!r} out of the project to go on without this round. Nothing was changed or "
        "deleted."
    )
