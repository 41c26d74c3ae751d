"""The list of rounds."""

from __future__ import annotations

from seglab.app.rounds.rounds import Round
from seglab.ui.panels import ModelPanel


def test_a_student_is_called_so_and_cannot_be_put_in_use() -> None:
    used: list[int] = []
    panel = ModelPanel(on_retrain=lambda: None, on_rollback=used.append)
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
