"""The guides: what they show is what happens; docs/sqlite.md names every function."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sqlite.hosts import TESTED

if TYPE_CHECKING:
    from tests.sqlite.hosts import Host

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "sqlite.md").read_text(encoding="utf-8")

NUMBER = re.compile(r"<pybridge:\d+>")  # counts what was compiled before


def steps(guide: str) -> list[tuple[str, str]]:
    """Return what is typed at each prompt of a guide, and what is answered."""
    blocks = re.findall(r"^```\n(sqlite> .*?)^```$", guide, re.DOTALL | re.MULTILINE)
    typed = []
    for step in re.split(r"^sqlite> ", "".join(blocks), flags=re.MULTILINE)[1:]:
        first, *rest = step.splitlines()
        asked = [first]
        while rest and rest[0].startswith("   ...>"):
            asked.append(rest.pop(0)[8:])
        answer = NUMBER.sub("<code>", "\n".join(rest))
        typed.append(("\n".join(asked), answer.strip("\n")))
    return typed


@pytest.mark.parametrize(
    ("page", "least"), [("sqlite.md", 30), ("contexts.md", 5), ("objects.md", 15)]
)
def test_guide_shows_what_happens(page: str, least: int) -> None:
    """Its blocks, typed into one shell, are answered as they are printed there."""
    typed = steps((ROOT / "docs" / page).read_text(encoding="utf-8"))
    given = "".join(f"{statement}\n.print <end>\n" for statement, _ in typed)

    shell = subprocess.run(
        ["sqlite3", "-batch", "-init", "/dev/null"],
        cwd=ROOT,
        input=given.replace("pybridge/libpybridge", str(TESTED.with_suffix(""))),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    # The shell that reads a script adds the line's number to an error.
    printed = re.sub(r" near line \d+:", ":", NUMBER.sub("<code>", shell.stdout))
    answers = [text.strip("\n") for text in printed.split("<end>\n")[:-1]]

    assert least < len(typed)
    assert typed == list(zip([s for s, _ in typed], answers, strict=True))


def test_guide_names_every_function(host: Host) -> None:
    """Each function that is registered stands in the guide."""
    names = {
        name
        for (name,) in host.rows(
            "select name from pragma_function_list where name glob 'py_*' "
            "union select name from pragma_module_list where name glob 'py_*'"
        )
    }

    assert set() == {name for name in names if f"`{name}" not in GUIDE}


def test_guide_names_every_option(host: Host) -> None:
    """Each option stands in its table with the value that it has at first."""
    table = re.findall(r"^\| `(\w+)` \| .* \| `?(\w+)`? \|$", GUIDE, re.MULTILINE)
    listed = host.error("select py_option('none')").partition("known: ")[2]

    names = listed.split(", ")
    first = {
        name: host.value(f"select coalesce(py_option('{name}'), 'NULL')")
        for name in names
    }

    assert set(first.items()) <= {
        (name, int(value) if value.isdigit() else value) for name, value in table
    }
