"""Dockerfiles: their order, and that nothing given breaks out of its line."""

from __future__ import annotations

from typing import Any

import pytest

from pybridge.functions import dockerfile
from pybridge.functions.dockerfile import Plan


def plan(**given: Any) -> Plan:
    """Return a plan."""
    made: dict[str, Any] = {
        "name": "p/f",
        "python": "3.11",
        "source": "d" * 64,
        "lock": "six==1.17.0 --hash=sha256:00\n",
        "requirements": ("six",),
        "instructions": ("apt-get install -y git",),
        "envs": ({"name": "LEVEL", "value": "debug"},),
        **given,
    }
    return Plan(**made)


def lines(**given: Any) -> list[str]:
    """Return the lines of its Dockerfile."""
    return dockerfile.render(plan(**given)).splitlines()


def test_dockerfile_has_the_original_order() -> None:
    """S-49, S-57: the base, runtime, source, instructions, then the packages."""
    words = [line.split()[0] for line in lines() if not line.startswith("#")]

    assert [
        *("FROM", "USER", "COPY", "COPY", "COPY", "RUN", "ENV", "WORKDIR", "ENV"),
        *("RUN", "RUN", "USER", "ENV", "EXPOSE", "ENTRYPOINT"),
    ] == words
    runs = [line for line in lines() if line.startswith("RUN")]
    assert "RUN apt-get update && apt-get install -y git" == runs[1]
    assert runs[2].endswith("--require-hashes -r /opt/pybridge/requirements.lock")


def test_dockerfile_begins_with_the_base_image() -> None:
    """S-49: FROM is the base image, or the official one of the function's Python."""
    assert "FROM python:3.9-slim" == lines(python="3.9")[1]
    assert "FROM debian:12" == lines(base_image="debian:12")[1]


def test_dockerfile_ends_as_a_user() -> None:
    """S-51: whatever the base image is, the last USER is not root."""
    users = [line for line in lines(base_image="debian") if line.startswith("USER")]

    assert ["USER root", "USER 10001:10001"] == users


@pytest.mark.parametrize(
    ("instruction", "line"),
    [
        ("make", "RUN make"),
        ("RUN make", "RUN make"),
        ("a\nFROM b", 'RUN ["/bin/sh", "-c", "a\\nFROM b"]'),
        ('["x"]', 'RUN ["/bin/sh", "-c", "[\\"x\\"]"]'),
        ("--mount=type=bind x", 'RUN ["/bin/sh", "-c", "--mount=type=bind x"]'),
        ("echo \\", 'RUN ["/bin/sh", "-c", "echo \\\\"]'),
        ("cat <<FROM >f", 'RUN ["/bin/sh", "-c", "cat <<FROM >f"]'),
        ("apt-get -y install a", "RUN apt-get update && apt-get -y install a"),
    ],
)
def test_instruction_is_one_line(instruction: str, line: str) -> None:
    """S-57: each instruction is a RUN line of its own, whatever it has in it."""
    assert line in lines(instructions=(instruction,))


def test_update_is_not_done_twice() -> None:
    """Where the instructions fetch the list of packages, it is not fetched again."""
    found = lines(instructions=("apt-get update", "apt-get install -y git"))

    assert "RUN apt-get install -y git" in found


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("debug", 'ENV LEVEL="debug"'),
        ('a "b" $HOME \\', 'ENV LEVEL="a \\"b\\" \\$HOME \\\\"'),
    ],
)
def test_variable_is_quoted(value: str, line: str) -> None:
    """A value is taken as it is: nothing in it is a variable, or ends it."""
    assert line in lines(envs=({"name": "LEVEL", "value": value},))


def test_variable_of_several_lines_is_left_to_the_run() -> None:
    """ENV cannot have such a value; each run has it anyway."""
    assert not [
        li for li in lines(envs=({"name": "A", "value": "b\nc"},)) if "A=" in li
    ]


@pytest.mark.parametrize(
    ("image", "may_be"),
    [
        ("debian:12", True),
        ("python:3.11", True),
        ("gcr.io/distroless/python3:nonroot", False),
        ("cgr.dev/chainguard/python", False),
        (None, False),
    ],
)
def test_root_images_are_guessed(image: str | None, may_be: bool) -> None:
    """S-51: an image is taken for a root image unless its name says otherwise."""
    assert may_be is dockerfile.may_be_root(image)


def test_digest_is_of_all_that_goes_in() -> None:
    """Contexts are found by what they are made from; the same plan gives the same."""
    assert dockerfile.digest(plan()) == dockerfile.digest(plan())
    others = [
        plan(source="e" * 64),
        plan(lock="six==1.16.0\n"),
        plan(instructions=("make",)),
        plan(base_image="debian:12"),
        plan(envs=()),
    ]
    digests = {dockerfile.digest(one) for one in (plan(), *others)}
    assert len(others) + 1 == len(digests)
