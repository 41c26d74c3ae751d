"""Maps made by many machines: any Dask cluster whose workers see the scene and the map's folder.

A task carries the path of a store, the hash of its plan (scene, model, settings) and the number of a block. The worker
loads scene and model once, reads, infers, blends and puts the block into the store itself; neither pixels nor weights
pass the scheduler.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from seglab import errors
from seglab.core.handles import keep_few_blocks
from seglab.errors import MissingPackageError, SegLabError, WorkerError
from seglab.inference.lattice import Block
from seglab.inference.mapper import BlockMapper, block_part
from seglab.inference.plan import MapPlan, open_plan, scene_path
from seglab.store.parts import PartStore

POLL = 0.2
"""Seconds between two looks at whether the job was cancelled."""
CONNECT_S = 20.0
"""Seconds that a scheduler may take to answer."""
_KEPT = 2
"""Plans that a worker keeps open: the one in work, and the one before."""

_open: OrderedDict[tuple[str, str, str], BlockMapper] = OrderedDict()
_lock = threading.Lock()


@contextmanager
def connect(scheduler: str | None, workers: int = 0) -> Iterator[Any]:
    """A client of a cluster, or of one that is started on this machine for as long as it is needed.

    Args:
        scheduler: its address, or the path of its scheduler file; None starts a cluster here.
        workers: processes of that one, each with one thread.

    Raises:
        MissingPackageError: Dask's distributed scheduler is not installed.
        WorkerError: nobody answers at the address.
    """
    distributed = _distributed()
    with ExitStack() as stack:
        if scheduler is None:
            options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
            place = {"address": stack.enter_context(distributed.LocalCluster(**options))}
        else:
            place = {"scheduler_file" if Path(scheduler).exists() else "address": scheduler}
        try:
            client = stack.enter_context(distributed.Client(**place, timeout=CONNECT_S))
        except (OSError, ValueError) as error:
            raise WorkerError(f"no Dask scheduler answers at {scheduler!r} ({error}); check that it runs") from error
        yield client


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingPackageError(
            "mapping on a cluster needs Dask: pip install 'seglab[cluster]', on this machine and on the workers"
        ) from error
    return distributed


class DaskWorkers:
    """Maps blocks on a Dask cluster.

    Args:
        client: a `dask.distributed.Client`, of whatever cluster.

    Raises:
        MissingPackageError: Dask's distributed scheduler is not installed.
    """

    def __init__(self, client: Any) -> None:
        _distributed()  # said here, not after the scene was opened
        self._client = client

    def map_blocks(
        self, plan: MapPlan, store: PartStore, blocks: Sequence[Block], done: Callable[[float], None]
    ) -> None:
        """See seglab.inference.sweep.Workers.

        Raises:
            WorkerError: the workers died, or cannot see the store.
            SegLabError: what a worker met: a block that cannot be read, for example.
        """
        folder, identity = str(store.folder.absolute()), store.identity
        names = {
            self._client.submit(map_block, folder, identity, block.row, block.col, priority=-place, pure=False): block
            for place, block in enumerate(blocks)
        }
        try:
            self._follow(names, store, done)
        finally:
            self._client.cancel(list(names))

    def _follow(self, names: dict[Any, Block], store: PartStore, done: Callable[[float], None]) -> None:
        from distributed import wait

        left = set(names)
        while left:
            finished = {future for future in left if future.done()}
            for future in finished:
                self._check(future, names[future], store)
            left -= finished
            done(len(names) - len(left))
            if left and not finished:
                try:
                    wait(left, timeout=POLL, return_when="FIRST_COMPLETED")
                except TimeoutError:
                    continue

    @staticmethod
    def _check(future: Any, block: Block, store: PartStore) -> None:
        """Raise what a task met; a finished one must have left its block where this process finds it."""
        if future.status != "finished":
            error = future.exception() if future.status == "error" else None
            raise WorkerError(
                f"{block.name} was not mapped: {error or 'its task was cancelled'}. Finished blocks are kept: look at "
                "the workers' logs (memory?), then map again"
            ) from error
        if (met := future.result()) is not None:
            name, message = met
            raise getattr(errors, name, WorkerError)(message)
        if not store.holds(block_part(block)):
            raise WorkerError(
                f"{block.name} was mapped, and {str(store.folder)!r} does not show it here: write the map to a folder "
                "that this machine and all workers share"
            )


def map_block(folder: str, identity: str, row: int, col: int) -> tuple[str, str] | None:
    """What a worker does: map one block into the store.

    Args:
        folder: of the store, on the worker.
        identity: of its plan, scene and model, see PartStore.identity.
        row, col: of the block.

    Returns:
        None, or the name and the message of the SegLabError that it met: what is raised here would lose its type on the
        way, for its causes hold what cannot be sent.
    """
    try:
        with _lock:  # one block at a time, with all the threads that the worker has
            mapper = _mapper(folder, identity)
            block = mapper.lattice.block(row, col)
            if not mapper.store.holds(block_part(block)):  # a worker may have died after its last line
                mapper.map(block)
    except SegLabError as error:
        return type(error).__name__, str(error)
    return None


def _mapper(folder: str, identity: str) -> BlockMapper:
    """The plan of a store, opened when it is first asked for."""
    store = PartStore(Path(folder))
    key = (folder, identity, scene_path(store))
    if key not in _open:
        if store.identity != identity:
            raise WorkerError(f"the worker sees another map in {folder!r}: share one file system among all workers")
        keep_few_blocks()
        torch.set_num_threads(_threads())
        _open[key] = BlockMapper(open_plan(store), store)
        while len(_open) > _KEPT:
            _open.popitem(last=False)[1].plan.encoder.scene.close()
    _open.move_to_end(key)
    return _open[key]


def _threads() -> int:
    """The threads that this worker was given."""
    from distributed import get_worker

    try:
        return max(1, get_worker().state.nthreads)
    except (ValueError, AttributeError):  # not on a worker
        return torch.get_num_threads()
