"""The C half without GT.M: values and lists at their edges, under the sanitizers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.programs import ROOT, run

if TYPE_CHECKING:
    from pathlib import Path

CORE = ["error", "memory", "pool", "linux", "value"]
HOST = ["value", "list", "memory"]


def test_values_and_lists_withstand_any_bytes(tmp_path: Path) -> None:
    """Numbers, dates and lists, also of random bytes: no access is wrong, none lost."""
    program = tmp_path / "gtm_values"
    command: list[str | Path] = ["gcc", "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra"]
    command += ["-Werror", "-fsanitize=address,undefined", "-o", program]
    command += ["-fno-sanitize-recover=all", f"-I{ROOT / 'c/include'}"]
    command += [ROOT / "tests/c/gtm_values.c"]
    command += [ROOT / "c/core" / f"{name}.c" for name in CORE]
    command += [ROOT / "c/hosts/gtm" / f"{name}.c" for name in HOST]
    compiled = run(*command, "-lm", "-lpthread")
    assert 0 == compiled.returncode, compiled.stderr

    ended = run(program)

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    assert 9 == ended.stdout.count(": ok\n")
