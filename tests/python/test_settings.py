"""Settings: which file is read, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pybridge import settings
from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty folder, with an empty home."""
    monkeypatch.delenv(settings.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def write(path: Path, text: str) -> Path:
    """Write a settings file that only its owner may change."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
    return path


def test_settings_without_a_file_are_empty(folder: Path) -> None:
    """No file, no settings."""
    assert settings.find() is None
    assert {} == settings.section("connections")
    assert folder.is_dir()


def test_settings_come_from_the_nearest_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The named file comes before the one in the folder, and that before home."""
    write(folder.parent / "config" / "pybridge" / "pybridge.toml", "[a]\nx = 1\n")
    assert {"x": 1} == settings.section("a")

    write(folder / "pybridge.toml", "[a]\nx = 2\n")
    assert {"x": 2} == settings.section("a")

    named = write(folder.parent / "other.toml", "[a]\nx = 3\n")
    monkeypatch.setenv(settings.VARIABLE, str(named))
    assert {"x": 3} == settings.section("a")


def test_settings_of_a_folder_that_others_may_write_are_not_read(folder: Path) -> None:
    """A file that others may change could make us run their code."""
    write(folder / "pybridge.toml", "[a]\nx = 2\n").chmod(0o666)

    assert {} == settings.section("a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "is not TOML"),
        ("a = 1\n", "is not a table but 1; write \\[a\\]"),
    ],
)
def test_settings_that_cannot_be_read_say_why(
    folder: Path, text: str, message: str
) -> None:
    """A file that is wrong is an error that names it."""
    write(folder / "pybridge.toml", text)

    with pytest.raises(BadArgument, match=message):
        settings.section("a")


def test_settings_named_and_missing_are_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that names no file is not passed over in silence."""
    monkeypatch.setenv(settings.VARIABLE, str(folder / "none.toml"))

    with pytest.raises(BadArgument, match=r"none\.toml', which is not a file"):
        settings.find()


def test_settings_that_another_process_has_read_are_those(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A Python that cannot read the file is told what is in it."""
    (tmp_path / "s.toml").write_text("[functions]\nparallel = 1\n")
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(tmp_path / "s.toml"))
    monkeypatch.setenv("PYBRIDGE_SETTINGS_READ", '{"functions": {"parallel": 2}}')

    assert {"parallel": 2} == settings.section("functions")
    assert {} == settings.section("zpy")
