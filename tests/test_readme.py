"""README.md: what it shows is what happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pybridge.functions.manager import client
from pybridge.functions.store import Store
from tests.programs import ROOT, build, flags, run

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[str]:
    """Return the README's blocks in one language."""
    return [text for name, text in BLOCKS if name == language]


def test_every_block_is_of_a_kind_that_is_run() -> None:
    """No block is there that these tests do not know."""
    assert {"console", "sh", "c", "m", "python"} == {name for name, _ in BLOCKS}


@pytest.mark.parametrize("transcript", blocks("console"))
def test_sql_transcript_is_what_the_shell_prints(transcript: str) -> None:
    """Each statement, typed into the sqlite3 shell, is answered as shown."""
    steps = re.split(r"^sqlite> ", transcript, flags=re.MULTILINE)[1:]
    asked, expected = [], []
    for step in steps:
        lines = step.splitlines()
        more = next(
            (
                i
                for i, line in enumerate(lines[1:], 1)
                if not line.startswith("   ...>")
            ),
            len(lines),
        )
        asked.append("\n".join([lines[0], *(line[8:] for line in lines[1:more])]))
        expected.append("\n".join(lines[more:]).strip("\n"))

    shell = subprocess.run(
        ["sqlite3", "-batch"],
        cwd=ROOT,
        input="".join(f"{statement}\n.print <end>\n" for statement in asked),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    answers = [text.strip("\n") for text in shell.stdout.split("<end>\n")[:-1]]

    # The shell that reads a script adds the line's number to an error.
    answers = [re.sub(r" near line \d+:", ":", text) for text in answers]
    assert list(zip(asked, expected, strict=True)) == list(
        zip(asked, answers, strict=True)
    )


@pytest.mark.parametrize("program", blocks("c"))
def test_c_program_prints_its_answer(program: str, tmp_path: Path) -> None:
    """The C program builds without a warning and prints 42."""
    source = tmp_path / "readme.c"
    source.write_text(program, encoding="utf-8")

    ended = run(build(source, tmp_path, flags()), cwd=tmp_path)

    assert "42\n" == ended.stdout


@pytest.mark.parametrize("line", "".join(blocks("sh")).splitlines())
def test_command_names_what_exists(line: str, tmp_path: Path) -> None:
    """`make` is given targets that exist; `python -m pybridge` commands run."""
    if line.startswith("make "):
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert f"\n{line.split()[1]}: ##" in makefile
        return
    if "pip install ." in line:
        assert (ROOT / "pyproject.toml").exists()
        return
    if line.startswith("pybridge function "):
        runs_a_function(line, tmp_path)
        return
    (tmp_path / "program.c").write_text(blocks("c")[0], encoding="utf-8")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"

    ended = run("sh", "-c", line, cwd=tmp_path, env={"PATH": path}, given="")

    assert 0 == ended.returncode, ended.stdout + ended.stderr


def runs_a_function(line: str, folder: Path) -> None:
    """Run a command on the file of the README, in a store of its own."""
    program = blocks("python")[0]
    name = program.partition("\n")[0].removeprefix("# ")
    (folder / name).write_text(program, encoding="utf-8")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    env = {"PATH": path, "PYBRIDGE_FUNCTIONS": str(folder / "store")}

    ended = run("sh", "-c", line, cwd=folder, env=env, given="")
    run("pybridge", "function", "stop", "--all", cwd=folder, env=env)
    client.of(Store.open(folder / "store")).end()

    assert 0 == ended.returncode, ended.stdout + ended.stderr
