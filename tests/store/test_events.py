"""The event log: durable, append-only, and never silently shorter than what was reported as saved."""

from __future__ import annotations

import json
import os
import random
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seglab.errors import ProjectBusyError, ProjectDamagedError, ProjectError, WriteError
from seglab.store.lock import FolderLock
from seglab.store.project import Project

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)

APPEND_FOREVER = """
import sys
from seglab.store.project import Project
project = Project.open(sys.argv[1])
number = 0
while True:
    event = project.append("tick", {"number": number, "blob": "x" * (number % 5000)})
    sys.stdout.write(f"{event.id} {number}\\n")
    sys.stdout.flush()
    number += 1
"""

APPEND_SOME = """
import sys
from seglab.store.project import Project
project = Project.open(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    print(project.append("tick", {"who": sys.argv[2], "number": number}).id, flush=True)
"""

HOLD_THE_LOCK = """
import sys
from pathlib import Path
from seglab.store.lock import FolderLock
with FolderLock(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.readline()
"""

FILL_THE_DISK = """
import resource, signal, sys
from seglab.errors import WriteError
from seglab.store.project import Project
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
project = Project.open(sys.argv[1])
size = (project.folder / "events.jsonl").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
try:
    project.append("big", {"blob": "x" * 1000})
except WriteError as error:
    print("refused:", error)
print(len(project.events()))
project.append("small", {})
print(len(project.events()))
"""


def log_of(project):
    return project.folder / "events.jsonl"


def torn_copies(project):
    return list(project.folder.glob("events.torn-*"))


def test_an_event_reads_back_as_it_was_returned(project):
    first = project.append("accept", {"class": "water", "points": ((1, 2), (3, 4.5))}, author="ada")
    second = project.append("reject", {})
    assert (first.id, first.author, first.data["points"]) == (1, "ada", [[1, 2], [3, 4.5]])
    assert second.id == 2 and second.author
    assert Project.open(project.folder).events() == project.events() == [first, second]


def test_times_are_utc_and_iso(project):
    from datetime import UTC, datetime, timedelta

    before = datetime.now(UTC) - timedelta(milliseconds=1)
    time = datetime.fromisoformat(project.append("x", {}).time)
    assert time.utcoffset() == timedelta(0)
    assert before <= time <= datetime.now(UTC)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.dictionaries(st.text(st.characters()), JSON_VALUES, max_size=4))
def test_any_json_survives(project, data):
    event = project.append("any", data)
    assert event.data == data
    assert Project.open(project.folder).events()[-1] == event


@pytest.mark.parametrize("data", [{"iou": float("nan")}, {"array": object()}, {"set": {1}}])
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(project, data):
    project.append("fine", {})
    before = log_of(project).read_bytes()
    with pytest.raises(ProjectError, match="cannot be saved as JSON"):
        project.append("bad", data)
    assert log_of(project).read_bytes() == before


def test_a_cut_at_any_byte_of_the_last_line_keeps_all_before_it(project):
    kept = [project.append("accept", {"name": name}) for name in ("lake", "pond")]
    start = log_of(project).stat().st_size
    project.append("accept", {"name": "Fjörður \u2028 \n"})
    whole = log_of(project).read_bytes()
    for cut in range(start, len(whole)):
        log_of(project).write_bytes(whole[:cut])
        assert Project.open(project.folder).events() == kept
    log_of(project).write_bytes(whole)
    assert len(Project.open(project.folder).events()) == 3


@pytest.mark.parametrize("missing", [1, 2, 20])
def test_the_next_append_sets_torn_bytes_aside(project, missing):
    kept = project.append("accept", {"name": "lake"})
    start = log_of(project).stat().st_size
    project.append("accept", {"name": "a name of some length"})
    torn = log_of(project).read_bytes()[start:-missing]
    log_of(project).write_bytes(log_of(project).read_bytes()[:-missing])
    reopened = Project.open(project.folder)
    event = reopened.append("accept", {"name": "pond"})
    assert event.id == 2
    assert Project.open(project.folder).events() == [kept, event]
    assert [copy.read_bytes() for copy in torn_copies(project)] == [torn]
    assert log_of(project).read_bytes().count(b"\n") == 2 and log_of(project).read_bytes().endswith(b"}\n")


def test_opening_a_torn_log_changes_nothing(project):
    project.append("accept", {})
    with log_of(project).open("ab") as file:
        file.write(b'{"id": 2, "ti')
    before = log_of(project).read_bytes()
    Project.open(project.folder).events()
    assert log_of(project).read_bytes() == before
    assert torn_copies(project) == []


def event_line(**changes):
    event = {"id": 2, "time": "t", "author": "a", "kind": "k", "data": {}} | changes
    return json.dumps(event).encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"id": 2, "time": \n', "not valid JSON"),
        (b"\x00\x00\x00\n", "not valid JSON"),
        (b"\xff\xfe\n", "not valid JSON"),
        (b"\n", "not valid JSON"),
        (b"[1, 2]\n", "not a JSON object"),
        (event_line(id="2"), "no usable 'id'"),
        (event_line(data=None), "no usable 'data'"),
        (event_line(id=1), "id 1 after id 1"),
        (event_line(id=0), "id 0 after id 1"),
    ],
)
def test_a_damaged_line_is_named_and_nothing_is_changed(project, line, reason):
    project.append("accept", {})
    good_end = log_of(project).read_bytes()
    log_of(project).write_bytes(good_end + line + event_line(id=9))
    before = log_of(project).read_bytes()
    with pytest.raises(ProjectDamagedError, match=reason) as raised:
        Project.open(project.folder)
    assert "line 2" in str(raised.value) and "events.jsonl" in str(raised.value)
    with pytest.raises(ProjectDamagedError):
        project.append("more", {})
    assert log_of(project).read_bytes() == before


def test_a_missing_log_is_damage(project):
    log_of(project).unlink()
    with pytest.raises(ProjectDamagedError, match=r"events\.jsonl"):
        Project.open(project.folder)
    with pytest.raises(ProjectDamagedError, match=r"events\.jsonl"):
        project.append("accept", {})
    assert not log_of(project).exists()


def test_a_log_restored_from_an_older_copy_is_read_anew(project):
    first = project.append("accept", {})
    older = log_of(project).read_bytes()
    project.append("accept", {"n": 2})
    log_of(project).write_bytes(older)
    assert project.events() == [first]
    assert project.append("accept", {}).id == 2


def test_two_openers_never_give_an_id_twice(project):
    other = Project.open(project.folder)
    ids = [opener.append("x", {"n": n}).id for n in range(5) for opener in (project, other, other)]
    assert ids == list(range(1, 16))
    assert project.events() == other.events() == Project.open(project.folder).events()


def test_threads_never_give_an_id_twice(project):
    other = Project.open(project.folder)
    ids: list[int] = []

    def append(opener):
        for n in range(10):
            ids.append(opener.append("x", {"n": n}).id)

    threads = [threading.Thread(target=append, args=(opener,)) for opener in (project, project, other, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids) == list(range(1, 41))
    assert [event.id for event in project.events()] == list(range(1, 41))


def test_processes_never_give_an_id_twice(project, spawn):
    children = [spawn(APPEND_SOME, project.folder, name, 25) for name in ("a", "b")]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    mine = [project.append("tick", {"who": "me", "number": n}).id for n in range(25)]
    theirs = [int(line) for child in children for line in child.communicate()[0].split()]
    assert sorted(mine + theirs) == list(range(1, 76))
    events = project.events()
    assert [event.id for event in events] == list(range(1, 76))
    for who in ("a", "b", "me"):
        assert [e.data["number"] for e in events if e.data["who"] == who] == list(range(25))


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_at_any_moment_loses_nothing_that_was_reported(project, spawn, seed):
    child = spawn(APPEND_FOREVER, project.folder)
    reported = [child.stdout.readline() for _ in range(random.Random(seed).randint(1, 300))]
    child.kill()
    reported += [line for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    saved = {event.id: event.data["number"] for event in Project.open(project.folder).events()}
    for line in reported:
        number, count = map(int, line.split())
        assert saved[number] == count
    assert len(saved) - len(reported) in (0, 1)  # the one that was saved and not yet reported
    assert project.append("after", {}).id == len(saved) + 1


def test_a_killed_holder_of_the_lock_blocks_nobody(project, spawn):
    child = spawn(HOLD_THE_LOCK, project.folder)
    assert child.stdout.readline() == "held\n"
    child.kill()
    child.wait()
    assert project.append("accept", {}).id == 1


def test_a_living_holder_is_waited_for_and_then_reported(project, spawn):
    child = spawn(HOLD_THE_LOCK, project.folder)
    assert child.stdout.readline() == "held\n"
    with pytest.raises(ProjectBusyError, match="another process"), FolderLock(project.folder, 0.1).held():
        pytest.fail("the lock was taken twice")
    assert Project.open(project.folder).events() == []  # reading needs no lock
    child.communicate("done\n")
    assert project.append("accept", {}).id == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a process's files")
def test_a_full_disk_costs_only_the_action_that_was_refused(project, spawn):
    project.append("accept", {})
    lines = spawn(FILL_THE_DISK, project.folder).communicate()[0].splitlines()
    assert lines[0].startswith("refused:") and "events.jsonl" in lines[0]
    assert lines[1:] == ["1", "2"]
    assert [event.kind for event in project.events()] == ["accept", "small"]
    assert torn_copies(project) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_project_opens_and_refuses_to_append(project):
    project.append("accept", {})
    for path in [*project.folder.iterdir(), project.folder]:
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        reopened = Project.open(project.folder)
        assert len(reopened.events()) == 1
        with pytest.raises(WriteError):
            reopened.append("accept", {})
    finally:
        project.folder.chmod(0o755)


def test_events_of_another_log_are_taken_over_as_they_are(tmp_path, manifest):
    source = Project.create(tmp_path / "one.seglab", manifest)
    for number in range(3):
        source.append("tick", {"number": number}, "ada")
    target = Project.create(tmp_path / "other.seglab", manifest)
    target.copy_history(source)
    assert target.events() == source.events() == Project.open(target.folder).events()
    assert target.append("tock", {}).id == 4
    with pytest.raises(ProjectError, match="cannot follow"):
        target.copy_history(source)
    assert len(target.events()) == 4
