"""Caches never lie: a hit is what was put last, damage is a miss, and the budget holds."""

from __future__ import annotations

import dataclasses
import itertools
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from seglab.store.array_files import SUFFIX
from seglab.store.cache import ArrayCache, cache_key

KEYS = st.sampled_from(["a", "b", "c", "../d", "ключ", "\ud800"])

FILL_FOREVER = """
import sys
import numpy as np
from seglab.store.cache import ArrayCache
cache = ArrayCache(int(sys.argv[2]), sys.argv[1])
number = 0
while True:
    cache.put(str(number % 20), np.full(1000, number))
    print(number, flush=True)
    number += 1
"""


@pytest.fixture(params=["memory", "folder"])
def make(request, tmp_path):
    """Makes caches, all over the same folder if they have one."""
    return lambda budget: ArrayCache(budget, None if request.param == "memory" else tmp_path / "cache")


def same(first, second):
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return list(first) == list(second) and all(same(first[name], second[name]) for name in first)
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    # bytes: NaN and NaT are what they are
    return (first.dtype, first.shape, first.tobytes()) == (second.dtype, second.shape, second.tobytes())


def files_of(folder):
    return sorted(folder.glob(f"*{SUFFIX}"))


def test_it_tells_what_it_holds_without_counting_that_as_use(make):
    cache = make(10**6)
    for key in ("a", "ключ"):
        cache.put(key, np.zeros(3))
    assert sorted(cache.keys()) == ["a", "ключ"]
    assert "a" in cache and "b" not in cache
    cache.clear()
    assert cache.keys() == [] and "a" not in cache


def test_asking_is_no_use():
    cache = ArrayCache(3 * 800)
    for number in range(3):
        cache.put(str(number), np.zeros(100))
    assert "0" in cache
    cache.put("3", np.zeros(100))
    assert sorted(cache.keys()) == ["1", "2", "3"]


def test_a_damaged_file_has_no_key(tmp_path):
    cache = ArrayCache(10**6, tmp_path)
    cache.put("a", np.zeros(3))
    (file,) = files_of(tmp_path)
    file.write_bytes(file.read_bytes()[:20])
    assert cache.keys() == []


DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(),
    hnp.floating_dtypes(),
    hnp.complex_number_dtypes(),
    hnp.datetime64_dtypes(),
)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
VALUES = ARRAYS | st.lists(ARRAYS, max_size=3).map(tuple) | st.dictionaries(st.text(), ARRAYS, max_size=3)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=VALUES)
def test_any_value_comes_back(make, value):
    cache = make(10**6)
    cache.put("key", value)
    assert same(cache.get("key"), value)


@pytest.mark.parametrize("array", [np.arange(12).reshape(3, 4).T, np.arange(20)[::-3], np.broadcast_to(1.5, (2, 3))])
def test_views_come_back_as_what_they_show(make, array):
    cache = make(10**6)
    cache.put("key", (array,))
    assert same(cache.get("key"), (np.array(array),))


def test_later_changes_of_the_caller_do_not_reach_the_cache(make):
    cache = make(10**6)
    array, names = np.arange(5.0), {"x": np.ones(2)}
    cache.put("array", array)
    cache.put("dict", names)
    array[:] = -1
    names["y"] = np.zeros(1)
    cache.get("dict").pop("x")
    assert same(cache.get("array"), np.arange(5.0))
    assert same(cache.get("dict"), {"x": np.ones(2)})
    with pytest.raises(ValueError, match="read-only"):
        cache.get("array")[0] = 7


def test_a_caller_may_write_to_its_own_and_the_cache_stays_as_it_is(make):
    cache = make(10**6)
    for value in (np.arange(5.0), (np.arange(5.0),), {"x": np.arange(5.0)}):
        cache.put("key", value)
        own = cache.get("key", own=True)
        (array,) = own.values() if isinstance(own, dict) else own if isinstance(own, tuple) else (own,)
        array[:] = -1
        assert same(cache.get("key"), value) and same(cache.get("key", own=True), value)


def test_the_least_recently_used_goes_first(make):
    room = 3 * 10_300
    cache = make(room)
    for key in "abc":
        cache.put(key, np.zeros(10_000, np.uint8))
    assert cache.get("a") is not None
    cache.put("d", np.zeros(10_000, np.uint8))
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]
    assert len(cache) == 3 and 30_000 <= cache.nbytes <= room


def test_what_is_larger_than_the_budget_is_not_kept_and_its_former_value_is_gone(make):
    cache = make(5000)
    cache.put("key", np.zeros(10))
    cache.put("other", np.ones(10))
    cache.put("key", np.zeros(5001, np.uint8))
    assert cache.get("key") is None
    assert same(cache.get("other"), np.ones(10))


def test_a_budget_of_nothing_keeps_nothing(make):
    cache = make(0)
    cache.put("key", np.zeros(1))
    assert (cache.get("key"), len(cache), cache.nbytes) == (None, 0, 0)


def test_putting_a_key_again_takes_no_more_room(make):
    cache = make(25_000)
    cache.put("other", np.zeros(10_000, np.uint8))
    sizes = set()
    for number in range(5):
        cache.put("key", np.full(10_000, number, np.uint8))
        sizes.add(cache.nbytes)
    assert len(sizes) == 1 and len(cache) == 2
    assert cache.get("other") is not None


def test_clear(make):
    cache = make(10**6)
    cache.put("a", np.zeros(3))
    cache.clear()
    assert (cache.get("a"), len(cache), cache.nbytes) == (None, 0, 0)
    cache.put("a", np.ones(3))
    assert same(cache.get("a"), np.ones(3))


@pytest.mark.parametrize(
    "value",
    [
        None,
        [np.zeros(2)],
        1.5,
        "x",
        (np.zeros(2), 1),
        {1: np.zeros(2)},
        pytest.param(np.array([object()]), id="objects"),
        np.zeros(2, "i4,f4"),
    ],
    ids=repr,
)
def test_other_values_are_refused(make, value):
    with pytest.raises(TypeError, match="NumPy arrays of plain dtypes"):
        make(10**6).put("key", value)


def test_threads_share_a_cache(make):
    cache = make(40_000)
    wrong = []

    def work(seed):
        random = np.random.default_rng(seed)
        for _ in range(150):
            number = int(random.integers(12))
            found = cache.get(str(number))
            if found is None:
                cache.put(str(number), np.full(700, number))
            elif not (found == number).all():
                wrong.append((number, found))
            if cache.nbytes > 40_000:
                wrong.append(cache.nbytes)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(cache) > 0


# -- with a folder


def test_values_survive_reopening_and_are_mapped(tmp_path):
    ArrayCache(10**6, tmp_path / "deep" / "cache").put("key", {"x": np.arange(100, dtype=np.float16)})
    found = ArrayCache(10**6, tmp_path / "deep" / "cache").get("key")
    assert same(found, {"x": np.arange(100, dtype=np.float16)})
    base = found["x"]
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert isinstance(base, np.memmap)


def test_reopening_keeps_the_order_of_use_and_obeys_a_smaller_budget(tmp_path):
    cache = ArrayCache(10**6, tmp_path)
    for key in "abc":
        cache.put(key, np.zeros(10_000, np.uint8))
    cache.get("a")
    cache = ArrayCache(21_000, tmp_path)
    assert [key for key in "abc" if cache.get(key) is not None] == ["a", "c"]
    assert sum(path.stat().st_size for path in files_of(tmp_path)) == cache.nbytes <= 21_000


def test_every_single_damaged_byte_is_a_miss(tmp_path):
    cache = ArrayCache(10**6, tmp_path)
    value = (np.arange(7, dtype=np.int16), np.array(2.5))
    cache.put("key", value)
    (path,) = files_of(tmp_path)
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x40]) + whole[position + 1 :])
        assert cache.get("key") is None, position
    path.write_bytes(whole)
    assert same(cache.get("key"), value)


def test_every_cut_is_a_miss(tmp_path):
    cache = ArrayCache(10**6, tmp_path)
    cache.put("key", np.arange(50))
    (path,) = files_of(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert cache.get("key") is None, length
    path.write_bytes(whole + b"more")
    assert cache.get("key") is None


def test_the_file_of_another_key_is_a_miss(tmp_path):
    cache = ArrayCache(10**6, tmp_path)
    cache.put("a", np.zeros(3))
    (path_a,) = files_of(tmp_path)
    cache.put("b", np.ones(3))
    (path_b,) = set(files_of(tmp_path)) - {path_a}
    path_b.write_bytes(path_a.read_bytes())
    assert cache.get("b") is None


def test_a_folder_in_the_way_or_gone_is_a_miss_and_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    cache = ArrayCache(10**6, tmp_path / "file")
    cache.put("key", np.zeros(3))
    assert (cache.get("key"), len(cache)) == (None, 0)
    assert "was not written" in caplog.text


def test_a_deleted_folder_is_made_again(tmp_path):
    import shutil

    cache = ArrayCache(10**6, tmp_path / "cache")
    cache.put("key", np.zeros(3))
    shutil.rmtree(tmp_path / "cache")
    assert (cache.get("key"), len(cache), cache.nbytes) == (None, 0, 0)
    cache.put("key", np.ones(3))
    assert same(cache.get("key"), np.ones(3))


def test_what_a_killed_writer_leaves_is_cleaned_and_no_lie(tmp_path, spawn):
    budget = 60_000
    child = spawn(FILL_FOREVER, tmp_path, budget)
    reported = [int(child.stdout.readline()) for _ in range(50)]
    child.kill()
    reported += [int(line) for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    cache = ArrayCache(budget, tmp_path)
    assert [path.name for path in tmp_path.iterdir() if "seglab-tmp" in path.name] == []
    last = {str(number % 20): number for number in reported}
    hits = {key: cache.get(key) for key in last if cache.get(key) is not None}
    assert len(hits) >= 4
    for key, found in hits.items():
        # the writer may have put once more than it could report
        assert (found == last[key]).all() or (found == reported[-1] + 1).all()
    assert cache.nbytes <= budget


def test_two_processes_share_the_budget(tmp_path, spawn):
    budget = 60_000
    cache = ArrayCache(budget, tmp_path)
    child = spawn(FILL_FOREVER, tmp_path, budget)
    for number in range(40):
        assert child.stdout.readline()
        cache.put(f"mine{number}", np.full(1000, number))
        assert cache.nbytes <= budget
        found = cache.get(f"mine{number}")
        assert found is None or (found == number).all()


def arrays_of_size(size, seed):
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


SIZED = st.builds(arrays_of_size, st.sampled_from([0, 1, 200, 900, 1500, 3000, 4500]), st.integers(0, 99))
SIZED_VALUES = st.one_of(
    SIZED, SIZED.map(lambda a: (a, a[::2])), SIZED.map(lambda a: {"half": a.astype(np.float16)}), st.just(())
)


class CacheMachine(RuleBasedStateMachine):
    """Any sequence of puts, gets, reopenings and damage, against what was put last."""

    budget = 4000
    new_folder = None  # set by the test below; None: in memory

    def __init__(self):
        super().__init__()
        self.folder = type(self).new_folder() if type(self).new_folder else None
        self.cache = ArrayCache(self.budget, self.folder)
        self.last: dict[str, object] = {}

    def hits(self):
        """The keys that hit; each hit is checked."""
        found = {key: self.cache.get(key) for key in self.last}
        hit = {key for key, value in found.items() if value is not None}
        for key in hit:
            assert same(found[key], self.last[key])
        return hit

    @rule(key=KEYS, value=SIZED_VALUES)
    def put(self, key, value):
        before = self.cache.nbytes
        self.cache.put(key, value)
        self.last[key] = value
        arrays = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else [value]
        if before + sum(array.nbytes for array in arrays) + 500 <= self.budget:  # 500: more than a header
            assert key in self.hits(), "there was room"

    @rule(key=KEYS)
    def get(self, key):
        found = self.cache.get(key)
        assert found is None or same(found, self.last[key])

    @rule()
    def clear(self):
        self.cache.clear()
        assert self.hits() == set() and len(self.cache) == 0

    @precondition(lambda self: self.folder is not None)
    @rule()
    def reopen(self):
        before = self.hits()
        self.cache = ArrayCache(self.budget, self.folder)
        assert self.hits() == before

    @precondition(lambda self: self.folder is not None and files_of(self.folder))
    @rule(
        which=st.integers(0, 5),
        how=st.sampled_from(["cut", "flip", "empty", "remove"]),
        position=st.integers(0, 5000),
    )
    def damage(self, which, how, position):
        before, files = self.hits(), files_of(self.folder)
        path = files[which % len(files)]
        content = path.read_bytes()
        position %= max(len(content), 1)
        path.unlink()
        if how == "cut":
            path.write_bytes(content[:position])
        elif how == "flip":
            path.write_bytes(
                content[:position] + bytes(b ^ 1 for b in content[position:][:1]) + content[position + 1 :]
            )
        elif how == "empty":
            path.write_bytes(b"")
        now = self.hits()  # a byte flipped twice is well again
        assert len(before - now) <= 1 and len(now) <= len(files)

    @invariant()
    def within_budget(self):
        assert 0 <= self.cache.nbytes <= self.budget
        if self.folder is not None:
            assert sum(path.stat().st_size for path in files_of(self.folder)) == self.cache.nbytes


@pytest.mark.parametrize("place", ["memory", "folder"])
def test_any_sequence_of_uses_and_damage(place, tmp_path):
    numbers = itertools.count()

    class Machine(CacheMachine):
        new_folder = (lambda: tmp_path / str(next(numbers))) if place == "folder" else None

    case = Machine.TestCase()
    case.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
    case.runTest()


# -- keys


@dataclasses.dataclass(frozen=True)
class Patch:
    col: int
    row: int


PARTS = {
    "source": "scene.tif:1234:99",
    "bands": (3, 2, 1),
    "scaling": ((0.0, 255.0),) * 3,
    "window": Patch(0, 512),
    "level": 1,
    "weights": "ab12",
    "k": 9,
    "adapter": None,
}

CHANGED = {
    "source": "scene.tif:1234:98",
    "bands": (2, 3, 1),
    "scaling": ((0.0, 255.0), (0.0, 255.0), (0.0, 254.99999999999997)),
    "window": Patch(512, 0),
    "level": True,
    "weights": "ab13",
    "k": 9.0,
    "adapter": "None",
}


def test_a_key_does_not_depend_on_order_or_on_the_type_of_a_sequence_or_scalar():
    plain = {**PARTS, "bands": [np.int64(3), 2, 1], "level": np.uint8(1)}
    assert cache_key(**dict(reversed(plain.items()))) == cache_key(**PARTS)
    assert len(cache_key(**PARTS)) == 64


def test_a_key_is_the_same_in_every_process(spawn):
    script = "from seglab.store.cache import cache_key; print(cache_key(source='é', nodata=float('nan'), bands=(1, 2)))"
    assert spawn(script).communicate()[0].strip() == cache_key(source="é", nodata=float("nan"), bands=(1, 2))


@pytest.mark.parametrize("part", PARTS)
def test_every_part_makes_a_difference(part):
    assert cache_key(**{**PARTS, part: CHANGED[part]}) != cache_key(**PARTS)
    assert cache_key(**{name: value for name, value in PARTS.items() if name != part}) != cache_key(**PARTS)


@pytest.mark.parametrize("part", [object(), {1: 2}, {1}, b"x", np.zeros(2), Patch], ids=lambda p: type(p).__name__)
def test_a_part_without_a_canonical_form_is_refused(part):
    with pytest.raises(TypeError, match="cache key"):
        cache_key(part=part)


CANONICAL = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def exactly(value):
    """The value with its types, so that 1, 1.0 and True differ."""
    if isinstance(value, list):
        return ("list", *map(exactly, value))
    if isinstance(value, dict):
        return ("dict", *sorted((name, exactly(item)) for name, item in value.items()))
    return (type(value).__name__, repr(value))


@settings(max_examples=200, deadline=None)
@given(first=CANONICAL, second=CANONICAL)
def test_keys_are_equal_exactly_when_the_parts_are(first, second):
    assert (cache_key(part=first) == cache_key(part=second)) == (exactly(first) == exactly(second))
