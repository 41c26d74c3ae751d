"""`seglab bench distill`: who is trained on what, once; the training itself is in test_distill and test_train."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seglab.bench import students
from seglab.bench.distill import DistillOptions
from seglab.bench.students import TEACHER, format_table, run_students
from seglab.bench.train import ROUND_NAME, TrainOptions
from seglab.cli import main
from seglab.datasets.splits import split_ids
from seglab.errors import TrainingError
from tests.bench_units.conftest import NAME


class Asked:
    """What would be trained. After the last epoch a student's mIoU is 0.5, of one without transfer 0.4; a teacher's
    best is 0.9."""

    def __init__(self) -> None:
        self.teachers: list[TrainOptions] = []
        self.students: list[DistillOptions] = []

    def teach(self, reporter: object, options: TrainOptions) -> dict[str, Any]:
        self.teachers.append(options)
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / ROUND_NAME).write_bytes(b"")
        return report(0.6)

    def distill(self, reporter: object, options: DistillOptions) -> dict[str, Any]:
        assert Path(options.teacher).exists()
        self.students.append(options)
        return report(0.4 if options.ablation == "no_transfer" else 0.5 + options.config.seed / 100)


def report(last: float) -> dict[str, Any]:
    history = [{"metrics": {"mIoU": 0.9}}, {"metrics": {"mIoU": last}}]
    return {"history": history, "metrics": history[0]["metrics"], "best_epoch": 1, "seconds": 1.0}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    found = Asked()
    monkeypatch.setattr(students, "run_train", found.teach)
    monkeypatch.setattr(students, "run_distill", found.distill)
    return found


def test_teacher_and_students_learn_from_the_same_labels_and_are_judged_on_the_validation_part(folder, tmp_path, asked):
    result = run_students(folder, [NAME], variants=("none", "no_transfer"), labels=4, seeds=2, epochs=3, device="cpu")
    assert result["datasets"] == {NAME: {TEACHER: [0.9, 0.9], "none": [0.5, 0.51], "no_transfer": [0.4, 0.4]}}
    assert [o.config.seed for o in asked.teachers] == [0, 1]
    train, val = (set(split_ids(NAME, part)) for part in ("train", "val"))
    ids = sorted(train | val)
    for options in asked.students:
        assert {ids[i] for i in options.parts[0]} == train
        assert {ids[i] for i in options.parts[1]} == val
        assert (options.labels, options.config.epochs) == (4, 3)
        teacher = asked.teachers[options.config.seed]
        labelled = students.labelled_part(options.parts[0], 4, options.config.seed)
        assert (list(teacher.parts[0]), list(teacher.parts[1])) == (labelled, list(options.parts[1]))
        assert Path(options.teacher).parent == teacher.out
    assert "| landslide_sichuan | 90.0 (90.0 to 90.0) | 50.5 (50.0 to 51.0) |" in format_table(result)


def test_a_run_is_done_once_and_a_teacher_that_is_missing_again(folder, tmp_path, asked, capsys):
    out = tmp_path / "runs.jsonl"
    typed = ["bench", "distill", str(folder / NAME), "--labels", "2", "--device", "cpu", "--json", "--out", str(out)]
    assert main([*typed, "--variants", "none"]) == 0
    assert json.loads(capsys.readouterr().out)["datasets"][NAME]["none"] == [0.5]
    assert main([*typed, "--variants", "none", "last_level"]) == 0
    assert (len(asked.teachers), [o.ablation for o in asked.students]) == (1, ["none", "last_level"])
    asked.teachers[0].out.joinpath(ROUND_NAME).unlink()
    assert main([*typed, "--variants", "l2_only"]) == 0
    assert len(asked.teachers) == 2


def test_unknown_ablations_are_refused_before_anything_is_trained(folder, asked):
    with pytest.raises(TrainingError, match="no ablation is called 'magic'"):
        run_students(folder, [NAME], variants=("none", "magic"))
    assert asked.teachers == []


def test_guesses_are_learnt_only_where_they_are_compared(folder, asked):
    run_students(folder, [NAME], variants=("no_transfer", "guesses", "guesses_alone"), labels=2, device="cpu")
    assert [(options.ablation, options.sure) for options in asked.students] == [
        ("no_transfer", None),
        ("none", 0.9),
        ("no_transfer", 0.9),
    ]
