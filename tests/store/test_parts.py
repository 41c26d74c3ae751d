"""Parts are there whole or not at all, are believed only for their plan, and have one maker at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seglab.errors import ProjectBusyError, WriteError
from seglab.store.parts import PartStore

PLAN = {"of": "a map", "size": 3}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "map.tif.parts"


def test_parts_come_back_and_last_until_finished(folder: Path) -> None:
    ones = np.ones((3, 4), np.float32)
    with PartStore.making(folder, PLAN) as store:
        store.put("block_0_1", classes=ones, more=np.arange(3))
        assert store.holds("block_0_1") and not store.holds("block_0_2")
    with PartStore.making(folder, PLAN) as store:
        assert store.names("block") == {"block_0_1"} and store.plan == PLAN
        found = store.get("block_0_1")
        np.testing.assert_array_equal(found["classes"], ones)
        np.testing.assert_array_equal(found["more"], np.arange(3))
        store.finish()
    assert not folder.exists()


def test_another_plan_starts_anew(folder: Path) -> None:
    with PartStore.making(folder, PLAN) as store:
        store.put("block_0_0", a=np.ones(3))
        before = store.identity
    with PartStore.making(folder, PLAN | {"size": 4}) as store:
        assert store.names("block") == set() and store.get("block_0_0") is None
        assert store.identity != before


@pytest.mark.parametrize("place", [0.02, 0.3, 0.5, 0.7, 0.98])
def test_a_damaged_part_is_missing(folder: Path, place: float) -> None:
    with PartStore.making(folder, PLAN) as store:
        store.put("block_0_0", a=np.random.default_rng(0).random(1000))
        path = folder / "block_0_0.npz"
        data = bytearray(path.read_bytes())
        data[int(place * len(data))] ^= 0xFF
        path.write_bytes(data)
        assert store.get("block_0_0") is None and not store.holds("block_0_0")


def test_a_part_cut_short_is_missing(folder: Path) -> None:
    with PartStore.making(folder, PLAN) as store:
        store.put("block_0_0", a=np.ones(1000))
        path = folder / "block_0_0.npz"
        for length in (0, 1, len(path.read_bytes()) - 1):
            store.put("block_0_0", a=np.ones(1000))
            path.write_bytes(path.read_bytes()[:length])
            assert store.get("block_0_0") is None


def test_one_maker_at_a_time(folder: Path) -> None:
    with PartStore.making(folder, PLAN) as store:
        store.put("block_0_0", a=np.ones(3))
        with pytest.raises(ProjectBusyError, match=r"map\.tif"), PartStore.making(folder, {"other": 1}):
            pass
        assert store.holds("block_0_0") and store.plan == PLAN
        assert PartStore(folder).get("block_0_0") is not None  # a worker only puts and gets


def test_no_folder_and_no_store(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="does not exist"), PartStore.making(tmp_path / "no" / "map.parts", PLAN):
        pass
    with pytest.raises(WriteError, match="start again"):
        _ = PartStore(tmp_path / "nothing").plan
