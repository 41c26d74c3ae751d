"""The list of rounds, and who maps."""

from __future__ import annotations

from seglab.app.rounds.rounds import Round
from seglab.ui.panels import MapPanel, ModelPanel


def test_a_student_is_called_so_and_cannot_be_put_in_use() -> None:
    used: list[int] = []
    panel = ModelPanel(on_retrain=lambda: None, on_rollback=used.append, on_distill=lambda: None)
    rounds = [Round(1, 0, {"objects": 2}), Round(2, 1, {"objects": 2, "kind": "student", "verdict": "a student"})]
    panel.show(rounds, current=0, has_labels=True, is_training=False, previewing=False)
    assert [text for text, _ in panel.rounds.options] == [
        "✓ As delivered",
        "Round 1: 2 objects",
        "Student 2: 2 objects",
    ]
    panel.rounds.value = 2
    assert panel.back.disabled and "a student" in panel.note.value
    panel.rounds.value = 1
    assert not panel.back.disabled


def test_students_map_when_they_are_chosen() -> None:
    asked: list[int | None] = []
    panel = MapPanel(on_predict=asked.append)
    panel.show_students([])
    assert "seglab-hidden" in panel.choice._dom_classes
    panel.show_students([3])  # made just now
    panel.map()
    panel.show(3, current=1, knows_classes=True, is_mapping=False)
    assert "Made by student 3." in panel.note.value
    panel.mapper.value = None
    panel.map()
    panel.show_students([3])
    assert (asked, panel.mapper.value) == ([3, None], None)


def test_students_of_yesterday_are_offered_and_not_chosen() -> None:
    panel = MapPanel(on_predict=lambda _: None)
    panel.show_students([2, 4])
    assert [text for text, _ in panel.mapper.options] == [
        "by the model in use",
        "by student 2, fast",
        "by student 4, fast",
    ]
    assert panel.mapper.value is None
