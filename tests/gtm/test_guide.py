"""docs/gtm.md and the README: what they show at GT.M's prompt is what happens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.programs import ROOT

if TYPE_CHECKING:
    from tests.gtm.conftest import M


@pytest.mark.parametrize("page", ["docs/gtm.md", "README.md"])
def test_page_shows_what_happens(m: M, page: str) -> None:
    """Its statements, run in one process, are answered as they are printed there."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```m?\n(GTM>.*?)^```$", text, re.DOTALL | re.MULTILINE)
    steps = [step for block in blocks for step in block.split("GTM>")[1:]]
    typed = [step.splitlines()[0] for step in steps]
    expected = ["\n".join(step.splitlines()[1:]).strip("\n") for step in steps]

    printed = m.run("\n".join(f'{line}\nwrite !,"<end>",!' for line in typed))
    answers = [answer.strip("\n") for answer in printed.split("<end>\n")[:-1]]

    assert 4 <= len(typed)
    assert list(zip(typed, expected, strict=True)) == list(
        zip(typed, answers, strict=True)
    )
