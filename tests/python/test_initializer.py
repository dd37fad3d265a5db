"""The initializer: what is run when a context is made, and what is told of it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pybridge import context as contexts
from pybridge import main
from pybridge.errors import BadArgument, Interrupted
from pybridge.initializer import Initializer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pybridge.context import Context


def make_initializer(**wrong: Any) -> Initializer:
    """Make one of what the types do not allow."""
    return Initializer(**wrong)


def test_steps_run_in_their_order(context: Context, tmp_path: Path) -> None:
    """Modules, then code, then the file, then functions: each sees what came before."""
    file = tmp_path / "init.py"
    file.write_text("doubled = np.int64(2) * x\n\ndef finish(): seen.append(doubled)\n")

    report = Initializer(
        modules=["math", {"name": "numpy", "alias": "np"}, ("os.path", "p")],
        code="x = int(math.sqrt(9)); seen = []",
        file=file,
        functions=["finish"],
    ).run(context)

    assert report.ok
    assert ["module"] * 3 + ["code", "file", "function"] == [
        s.kind for s in report.steps
    ]
    assert [6] == context.namespace["seen"]
    assert {"math", "np", "p", "x", "seen", "doubled", "finish"} == {
        name for name in context.namespace if not name.startswith("__")
    }


def test_every_step_has_a_status_of_its_own(context: Context) -> None:
    """A step that fails is told with the user's line, and the others run."""
    report = Initializer(
        modules=["no_such_module", "math"],
        code="a = 1\nb = a / 0\n",
        functions=["math:floor", "os:nothing", "sys:exit", "math:pi", "os:getpid"],
    ).run(context)

    assert [False, True, False, False, False, False, False, True] == [
        step.ok for step in report.steps
    ]
    wrong = [step.error["type"] for step in report.steps if step.error]
    assert [
        "ModuleNotFoundError", "ZeroDivisionError", "TypeError", "AttributeError",
        "SystemExit", "pybridge.BadArgument",
    ] == wrong  # fmt: skip
    code = report.steps[2]
    assert code.error is not None
    assert 2 == code.error["line"]
    assert "    b = a / 0\n" in code.error["traceback"]
    assert 1 == context.namespace["a"]


def test_report_is_text_and_plain_data(context: Context) -> None:
    """A line for each step, with its time; the same as JSON-ready values."""
    report = Initializer(["math", "no_such_module"]).run(context)

    lines = report.text().splitlines()
    found = report.json()

    assert (
        lines[0].split(" ", 2)[2].startswith("module 'math': completed with success (")
    )
    assert lines[1].endswith(
        "module 'no_such_module': ModuleNotFoundError: No module named 'no_such_module'"
    )
    assert (False, "test", 2) == (found["ok"], found["context"], len(found["steps"]))
    assert {"kind", "what", "when", "seconds", "ok", "error"} == set(found["steps"][0])


def test_second_run_does_nothing(context: Context) -> None:
    """The same initializer runs once in a context, and another one runs too."""
    code = "n = globals().get('n', 0) + 1"

    first = Initializer(code=code).run(context)
    again = Initializer(code=code).run("test")
    Initializer(code=code + "0").run(context)

    assert first is again
    assert 11 == context.namespace["n"]


def test_function_that_wants_it_gets_the_namespace(context: Context) -> None:
    """A function of a module can put names into the context."""
    report = Initializer(
        code="def fill(names, also=1): names['y'] = also", functions=["fill"]
    ).run(context)

    assert report.ok
    assert 1 == context.namespace["y"]


def test_interrupt_ends_the_run_and_goes_on(context: Context) -> None:
    """What was asked to stop stops; the report tells what was not run."""
    initializer = Initializer(
        code="import pybridge; raise pybridge.Interrupted", functions=["os:getpid"]
    )

    with pytest.raises(Interrupted):
        initializer.run(context)
    report = initializer.run(context)

    assert ["pybridge.Interrupted", None] == [
        step.error and step.error["type"] for step in report.steps
    ]
    assert report.text().endswith("function 'os:getpid': not run")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Initializer("math"), "modules is a list of names and of"),
        (lambda: Initializer([{"nam": "x"}]), "modules is .*not {'nam': 'x'}"),
        (lambda: make_initializer(modules=[1]), "modules is .*not 1"),
        (lambda: Initializer([("a", "b", "c")]), "modules is"),
        (lambda: make_initializer(code=1), "code is text, not 1"),
        (
            lambda: make_initializer(file=1),
            "file is the path of a Python file, not 1",
        ),
        (lambda: Initializer(functions="f"), "functions is a list such as"),
        (lambda: Initializer.from_settings("/nowhere.toml"), "which is not a file"),
    ],
)
def test_what_is_not_understood_is_an_error(
    make: Callable[[], object], message: str
) -> None:
    """Nothing is run where the wish itself is wrong."""
    with pytest.raises(BadArgument, match=message):
        make()


# ---- By the settings ----------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty folder, with an empty home, and no contexts."""
    for name in ("PYBRIDGE_SETTINGS", "PYBRIDGE_INITIALIZER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    contexts.reset()
    return tmp_path


def write(path: Path, text: str) -> None:
    """Write a file that only its owner may change."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def test_new_context_is_initialized(folder: Path, context: Context) -> None:
    """Each context that is made is initialized, also after a reset."""
    write(folder / "init.py", "x = name = 'from the file'\n")
    write(
        folder / "pybridge.toml", '[initializer]\nmodules = ["math"]\nfile = "init.py"'
    )

    assert "from the file" == main.evaluate("x", context="new")
    assert 3 == main.evaluate("math.floor(math.pi)")
    main.set_variable("x", 1)
    contexts.reset()
    assert "from the file" == main.evaluate("x")
    assert "x" not in context.namespace
    report = main.initialize()
    assert report is not None
    assert report["ok"]
    assert str(folder / "pybridge.toml") == report["source"]


def test_contexts_may_be_chosen(folder: Path, context: Context) -> None:
    """With a list of names only those are initialized."""
    write(
        folder / "pybridge.toml",
        '[initializer]\ncode = "x = 1"\ncontexts = ["main", "job*"]\n',
    )

    assert [True, True, False] == [
        main.get_variable_defined("x", context=name)
        for name in ("main", "job7", "other")
    ]
    assert "x" not in context.namespace


def test_failed_step_is_said_and_kept(
    folder: Path, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """The context is there; stderr and the status tell what is missing in it."""
    write(folder / "pybridge.toml", '[initializer]\nmodules = ["no_such_module"]\n')

    assert 2 == main.evaluate("1 + 1", context="new")
    status = main.get_status(context="new")

    assert "pybridge: initializer: module 'no_such_module': ModuleNotFoundError" in (
        capsys.readouterr().err
    )
    assert status is not None
    assert "ModuleNotFoundError" == status["type"]
    assert "test" == context.name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[initializer]\nmodule = []\n", "has no 'module'; there are modules, code"),
        ("initializer = 1\n", "is not a table"),
        ("[initializer\n", "is not TOML"),
    ],
)
def test_wrong_settings_keep_no_context_from_being(
    text: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake in the file is said; calls work."""
    write(folder / "pybridge.toml", text)

    assert 2 == main.evaluate("1 + 1")

    assert message in capsys.readouterr().err
    contexts.reset()


def test_variable_turns_it_off_or_names_a_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PYBRIDGE_INITIALIZER is "off", or a file instead of the settings'."""
    write(folder / "pybridge.toml", '[initializer]\ncode = "x = 1"\n')
    write(folder / "own.py", "x = 2\n")
    write(folder / "own.toml", '[initializer]\ncode = "x = 3"\n')
    found = []

    for value in ("off", "own.py", "own.toml"):
        monkeypatch.setenv("PYBRIDGE_INITIALIZER", value)
        contexts.reset()
        found.append(main.get_variable_defined("x") and main.evaluate("x"))

    assert [False, 2, 3] == found
    contexts.reset()


def test_file_that_others_may_write_is_not_run(folder: Path) -> None:
    """A host that starts in somebody else's folder does not run their code."""
    write(folder / "pybridge.toml", '[initializer]\ncode = "x = 1"\n')
    (folder / "pybridge.toml").chmod(0o666)

    assert not main.get_variable_defined("x")
    if os.geteuid() == 0:
        (folder / "pybridge.toml").chmod(0o644)
        os.chown(folder / "pybridge.toml", 65534, 65534)
        contexts.reset()
        assert not main.get_variable_defined("x")
    contexts.reset()


def test_no_settings_cost_two_stats_and_no_import(folder: Path) -> None:
    """Where there is no file, a context is made without looking further."""
    code = (
        "import sys, os, pybridge.main as m; real = os.stat; asked = []\n"
        "os.stat = lambda path: (asked.append(path), real(path))[1]\n"
        "before = set(sys.modules); m.evaluate('1 + 1'); os.stat = real\n"
        "print(len(asked), *sorted(set(sys.modules) - before))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )

    assert "2 pybridge_main\n" == done.stdout
