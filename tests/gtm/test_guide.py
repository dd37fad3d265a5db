"""docs/gtm.md: what it shows at GT.M's prompt is what happens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.programs import ROOT

if TYPE_CHECKING:
    from tests.gtm.conftest import M

GUIDE = (ROOT / "docs/gtm.md").read_text(encoding="utf-8")


def test_guide_shows_what_happens(m: M) -> None:
    """Its statements, run in one process, are answered as they are printed there."""
    blocks = re.findall(r"^```\n(GTM>.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    steps = [step for text in blocks for step in text.split("GTM>")[1:]]
    typed = [step.splitlines()[0] for step in steps]
    expected = ["\n".join(step.splitlines()[1:]).strip("\n") for step in steps]

    printed = m.run("\n".join(f'{line}\nwrite !,"<end>",!' for line in typed))
    answers = [text.strip("\n") for text in printed.split("<end>\n")[:-1]]

    assert 4 <= len(typed)
    assert list(zip(typed, expected, strict=True)) == list(
        zip(typed, answers, strict=True)
    )
