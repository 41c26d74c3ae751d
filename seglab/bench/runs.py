"""Many runs: those on file are not done again, the others one after another or in processes that share the cores."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol

import torch

from seglab.bench.simulation import Say, simulate
from seglab.datasets.folder import FolderDataset, open_datasets
from seglab.errors import DatasetError, WriteError
from seglab.models.registry import load_model


def chosen_datasets(folder: str | os.PathLike[str] | None, names: Sequence[str]) -> list[FolderDataset]:
    """Datasets by name.

    Args:
        folder: datasets in the folder layout; None for SEGLAB_DATA.
        names: at least one.

    Raises:
        DatasetError: the folder has none of that name, or no name is given.
    """
    known = open_datasets(folder)
    missing = [name for name in names if name not in known]
    if missing or not names:
        raise DatasetError(f"no dataset is called {missing!r}; choose some of {sorted(known)}")
    return [known[name] for name in names]


def weights_of(model: str, checkpoint: str | os.PathLike[str] | None) -> str:
    """The hash of a model's weights: figures on file count only for the same weights.

    Args:
        model, checkpoint: see models.registry.load_model, with its errors.
    """
    return load_model(model, checkpoint=checkpoint, device="cpu").base_hash()


class Identified(Protocol):
    """One run: it can be sent to another process."""

    def identity(self) -> dict[str, Any]:
        """What tells it from other runs, JSON-serialisable; its record holds the same under "run"."""


Do = Callable[[Any, Say], dict[str, Any]]
"""Does a run, tells a person about it, and gives its record."""


def records_of(
    runs: Sequence[Identified], jobs: int, out: Path | None, say: Say | None, do: Do | None = None
) -> list[dict[str, Any]]:
    """The record of every run, in the order of the runs.

    Args:
        runs: what to do; no two alike.
        jobs: how many at the same time, each in a process of its own.
        out: a JSON-lines file that takes the record of each finished run at once; runs that it holds are not done
            again. It does not know about changes in the code: take a new file after one.
        say: takes lines for a person.
        do: does one of them; `simulate` if None.

    Raises:
        WriteError: `out` cannot be written or holds something else.
    """
    found = {} if out is None else _read(out)
    left = [run for run in runs if _key(run.identity()) not in found]
    if say is not None and len(left) < len(runs):
        say(f"{len(runs) - len(left)} of {len(runs)} runs are in {str(out)!r} already")
    for record in _done(left, jobs, say or _silent, do or simulate):
        found[_key(record["run"])] = record
        if out is not None:
            _append(out, record)
    return [found[_key(run.identity())] for run in runs]


def _silent(line: str) -> None:
    """Takes lines and drops them."""


def _done(runs: Sequence[Identified], jobs: int, say: Say, do: Do) -> Iterator[dict[str, Any]]:
    if jobs <= 1:
        yield from (do(run, say) for run in runs)
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    # A fresh interpreter for each: forking a process that has run torch's threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _set_threads, (threads,)) as pool:
        for future in as_completed([pool.submit(_in_process, do, run) for run in runs]):
            record, lines = future.result()
            for line in lines:
                say(line)
            yield record


def _set_threads(count: int) -> None:
    """Share the cores: in this process, and in those that it starts."""
    os.environ["OMP_NUM_THREADS"] = str(count)
    torch.set_num_threads(count)


def _in_process(do: Do, run: Identified) -> tuple[dict[str, Any], list[str]]:
    lines: list[str] = []
    return do(run, lines.append), lines


def _key(identity: dict[str, Any]) -> str:
    return json.dumps(identity, sort_keys=True)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Finished runs by identity; a last line that a kill cut short does not count."""
    if not path.exists():
        return {}
    found = {}
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            found[_key(record["run"])] = record
        except (ValueError, TypeError, KeyError) as error:
            if number < len(lines):
                raise WriteError(
                    f"line {number} of {str(path)!r} is no record of a run ({error!r}); name another file with --out"
                ) from error
    return found


def _append(path: Path, record: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)  # of a line that a kill cut short
            file.write(json.dumps(record).encode() + b"\n")
    except OSError as error:
        raise WriteError(f"cannot write {str(path)!r} ({error}); name another file with --out") from error
