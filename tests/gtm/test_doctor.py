"""What the doctor says of GT.M."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybridge.doctor import Examination, _examine_gtm
from pybridge.location import GTM

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.gtm.conftest import M


def states() -> list[tuple[str, str]]:
    """Return what was looked at, and how it is."""
    examination = Examination()
    _examine_gtm(examination)
    return [(finding.what, finding.state) for finding in examination.findings]


def test_doctor_tells_the_version_of_gtm(m: M) -> None:
    """What the program itself says, before where it is."""
    examination = Examination()
    _examine_gtm(examination)

    version, _, place = examination.findings[0].found.partition(", ")
    assert version.startswith("V")
    assert str(m.database.gtm) == place


def test_doctor_looks_at_gtm(
    m: M, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables that are not named are a note; wrong ones, and a wrong GT.M, are wrong."""
    for name in ("gtm_dist", "GTMXC_pybridge", "GTMCI"):
        monkeypatch.delenv(name, raising=False)
    assert [("GT.M", "ok"), ("GTMXC_pybridge", "note"), ("GTMCI", "note")] == states()

    monkeypatch.setenv("GTMXC_pybridge", str(m.database.directory / "pybridge.xc"))
    monkeypatch.setenv("GTMCI", str(GTM / "pybridge.ci"))
    assert [("GT.M", "ok"), ("GTMXC_pybridge", "ok"), ("GTMCI", "ok")] == states()

    monkeypatch.setenv("GTMXC_pybridge", str(GTM / "pybridge.ci"))
    monkeypatch.setenv("GTMCI", str(tmp_path / "none"))
    assert [("GTMXC_pybridge", "wrong"), ("GTMCI", "wrong")] == states()[1:]

    monkeypatch.setenv("gtm_dist", str(tmp_path))
    assert [("GT.M", "wrong")] == states()
