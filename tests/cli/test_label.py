"""`seglab label`: the notebook that it writes and the server that it starts, which is never really started."""

from __future__ import annotations

import ast
import importlib.util
import json
import signal
from pathlib import Path

import nbformat
import pytest

from seglab.app import launch
from seglab.app.launch import cell_code
from seglab.cli import label, main
from seglab.store.project import Project

NASTY = "it's \"a\" \\ field\n'); import os  # ü"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Commands that would have been run, in an empty working directory."""
    commands: list[list[str]] = []
    monkeypatch.setattr(label, "run_server", lambda command: commands.append(list(command)) or 0)
    monkeypatch.chdir(tmp_path)
    return commands


def call_in(notebook: Path) -> tuple[str, dict[str, object]]:
    """The scene and the keywords of the one call in a notebook's first cell."""
    read = nbformat.read(notebook, as_version=4)
    nbformat.validate(read)
    assert read.metadata.kernelspec.name == "python3"
    return call_of(read.cells[0].source)


def call_of(code: str) -> tuple[str, dict[str, object]]:
    tree = ast.parse(code)
    assert [type(node) for node in tree.body] == [ast.Import, ast.Expr]
    call = tree.body[1].value
    assert ast.unparse(call.func) == "seglab.label"
    return ast.literal_eval(call.args[0]), {k.arg: ast.literal_eval(k.value) for k in call.keywords}


def test_the_notebook_is_valid_and_holds_the_call(started, lakes_path: Path, tmp_path: Path, capsys) -> None:
    assert main(["label", str(lakes_path), "--classes", "field, water", "--port", "8890", "--no-browser"]) == 0
    notebook = tmp_path / "label_lakes.ipynb"
    scene, options = call_in(notebook)
    assert scene == str(lakes_path.resolve())
    assert options == {"classes": ["field", "water"], "project": str(tmp_path / "lakes.seglab")}
    (command,) = started
    assert command[1:3] == ["-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={tmp_path}" in command
    assert "--LabApp.default_url=/lab/tree/label_lakes.ipynb" in command
    assert "--ServerApp.port=8890" in command and "--no-browser" in command
    assert str(notebook) in capsys.readouterr().out


def test_several_scenes_and_a_project_alone(started, lakes_path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.tif"
    other.write_bytes(lakes_path.read_bytes())
    assert main(["label", str(lakes_path), "other.tif", "--project", "p.seglab"]) == 0
    scenes, options = call_in(tmp_path / "label_p.ipynb")
    assert scenes == [str(lakes_path.resolve()), str(other)] and options == {"project": str(tmp_path / "p.seglab")}
    Project.create(tmp_path / "p.seglab", {})
    (tmp_path / "label_p.ipynb").unlink()
    assert main(["label", "p.seglab"]) == 0
    code = nbformat.read(tmp_path / "label_p.ipynb", as_version=4).cells[0].source
    call = ast.parse(code).body[1].value
    assert not call.args and [k.arg for k in call.keywords] == ["project"]


def test_files_of_one_place_by_their_dates(started, lakes_path: Path, tmp_path: Path, capsys) -> None:
    for name in ("lake_20210601.tif", "lake_20200601.tif", "lake_late.tif"):
        (tmp_path / name).write_bytes(lakes_path.read_bytes())
    assert main(["label", "--dates", "lake_20210601.tif", "lake_20200601.tif"]) == 0
    scenes, options = call_in(tmp_path / "label_lake.ipynb")
    assert list(scenes.items()) == [
        ("2020-06-01", str(tmp_path / "lake_20200601.tif")), ("2021-06-01", str(tmp_path / "lake_20210601.tif")),
    ]  # fmt: skip
    assert options == {"project": str(tmp_path / "lake.seglab")}
    assert main(["label", "--dates", "lake_20210601.tif", "lake_late.tif"]) == 1
    assert "does not tell its date" in capsys.readouterr().err and len(started) == 1


@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
def test_only_root_needs_leave_to_run(monkeypatch, user: int, allowed: bool) -> None:
    monkeypatch.setattr(launch.os, "geteuid", lambda: user, raising=False)
    assert ("--allow-root" in launch.lab_command(Path("a b.ipynb"))) is allowed
    assert "--LabApp.default_url=/lab/tree/a%20b.ipynb" in launch.lab_command(Path("a b.ipynb"))


def test_arguments_are_quoted_whatever_they_hold() -> None:
    code = cell_code([NASTY], {"classes": [NASTY], "project": NASTY, "model": None})
    assert call_of(code) == (NASTY, {"classes": [NASTY], "project": NASTY})


def test_a_second_call_opens_the_same_notebook_and_never_replaces_another(started, lakes_path, tmp_path) -> None:
    for classes in ("a", "a", "b"):
        assert main(["label", str(lakes_path), "--classes", classes, "--model", "tiny"]) == 0
    urls = [next(part for part in command if "default_url" in part).rsplit("/", 1)[-1] for command in started]
    assert urls == ["label_lakes.ipynb", "label_lakes.ipynb", "label_lakes_2.ipynb"]
    assert call_in(tmp_path / "label_lakes.ipynb")[1]["classes"] == ["a"]
    assert call_in(tmp_path / "label_lakes_2.ipynb")[1] == {
        "classes": ["b"], "model": "tiny", "project": str(tmp_path / "lakes.seglab"),
    }  # fmt: skip


def test_where_the_folder_refuses_the_notebook_is_a_temporary_file(started, lakes_path, tmp_path, monkeypatch) -> None:
    written = launch.atomic.write_bytes

    def refuse(path: Path, data: bytes) -> None:
        if path.parent == tmp_path:
            raise launch.WriteError("no")
        written(path, data)

    monkeypatch.setattr(launch.atomic, "write_bytes", refuse)
    monkeypatch.setattr(launch.tempfile, "mkdtemp", lambda prefix: str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    assert main(["label", str(lakes_path)]) == 0
    assert call_in(tmp_path / "elsewhere" / "label_lakes.ipynb")[1]["project"] == str(tmp_path / "lakes.seglab")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.tif"], "missing.tif"),
        (["SCENE", "--project", "nowhere/p.seglab"], "make it, or pass --project"),
        (["SCENE", "--project", "taken"], "holds other files"),
        (["SCENE", "--project", "readonly/p.seglab"], "may write to"),
    ],
)
def test_what_cannot_work_is_said_before_jupyter_starts(
    started, lakes_path, tmp_path, capsys, monkeypatch, arguments: list[str], said: str
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("years of work")
    (tmp_path / "readonly").mkdir()
    real = launch.tempfile.TemporaryFile

    def refuse(dir: Path):  # root may write anywhere
        if dir.name == "readonly":
            raise PermissionError("read-only")
        return real(dir=dir)

    monkeypatch.setattr(launch.tempfile, "TemporaryFile", refuse)
    assert main(["label", *(str(lakes_path) if a == "SCENE" else a for a in arguments)]) == 1
    assert said in capsys.readouterr().err
    assert started == []
    assert not list(tmp_path.glob("*.ipynb"))


@pytest.mark.parametrize("classes", ["a,,b", "a,a", ""])
def test_class_names_are_checked(started, classes: str) -> None:
    with pytest.raises(SystemExit):
        main(["label", "scene.tif", "--classes", classes])


def test_voila_if_it_is_there(started, lakes_path, capsys, monkeypatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(launch.importlib.util, "find_spec", lambda n: None if n == "voila" else real(n))
    assert main(["label", str(lakes_path), "--voila"]) == 1
    assert "pip install voila" in capsys.readouterr().err
    assert started == [] and not list(Path.cwd().glob("*.ipynb"))
    monkeypatch.setattr(launch.importlib.util, "find_spec", lambda n: object() if n == "voila" else real(n))
    assert main(["label", str(lakes_path), "--voila", "--port", "8866"]) == 0
    assert started[0][1:3] == ["-m", "voila"] and {"--port=8866", "--Voila.auto_token=True"} < set(started[0])
    assert json.loads(Path(started[0][3]).read_text())["nbformat"] == 4


def test_ctrl_c_is_left_to_the_server() -> None:
    class Server:
        waited = 0

        def wait(self) -> int:
            self.waited += 1
            if self.waited == 1:
                raise KeyboardInterrupt
            return 3

    assert label.run_server(["x"], lambda command: Server()) == 3


def test_the_server_ends_with_the_command() -> None:
    class Server:
        ended = False

        def wait(self) -> int:
            signal.raise_signal(signal.SIGTERM)
            assert self.ended
            return 0

        def terminate(self) -> None:
            self.ended = True

    before = signal.getsignal(signal.SIGTERM)
    assert label.run_server(["x"], lambda command: Server()) == 0
    assert signal.getsignal(signal.SIGTERM) == before
