"""Secret: its name is everybody's, its value is shown by nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import pybridge.functions as dh
from pybridge.errors import BadArgument

if TYPE_CHECKING:
    from pathlib import Path

VALUE = "hush-hush-0815"


def test_secret_has_the_value_it_was_made_with(project: dh.Project) -> None:
    """§2.3: new_secret with a value, read and set again."""
    secret = project.new_secret("TOKEN", secret_value=VALUE)

    assert VALUE == secret.read_secret_value()
    secret.set_secret_value("other")
    assert "other" == dh.get_secret("TOKEN", project="p").read_secret_value()
    assert ("secret://TOKEN", "pybridge") == (secret.spec.path, secret.spec.provider)


def test_secret_made_again_is_the_same_with_a_new_value(project: dh.Project) -> None:
    """A name is one secret: runs name it without an id."""
    first = project.new_secret("TOKEN", secret_value=VALUE)
    second = dh.new_secret(project="p", name="TOKEN", secret_value="other")

    assert first == second
    assert "other" == first.read_secret_value()
    assert [first] == project.list_secrets(all_versions=True)


def test_value_is_in_nothing_that_is_shown(project: dh.Project, tmp_path: Path) -> None:
    """§9.14: not in repr, dict, YAML or export, of the secret or its project."""
    secret = project.new_secret("TOKEN", secret_value=VALUE)
    files = [secret.export(tmp_path / "s.yaml"), project.export(tmp_path / "p.yaml")]

    shown = [repr(secret), str(secret.to_dict()), secret.to_yaml(), str(vars(secret))]
    shown += [(tmp_path / file).read_text() for file in files]

    assert all("TOKEN" in text for text in shown)
    assert all(VALUE not in text for text in shown)


def test_secret_without_a_value_says_so(project: dh.Project) -> None:
    """It can be made first, and given its value later."""
    secret = project.new_secret("TOKEN")

    with pytest.raises(BadArgument, match=r"'TOKEN' has no value yet; .*set_secret_va"):
        secret.read_secret_value()


@pytest.mark.parametrize("value", ["", 3, b"bytes", "a\0b", "a\ud800", ["a"]])
def test_value_that_no_variable_can_have_is_refused(
    project: dh.Project, value: Any
) -> None:
    """The error does not show it, and nothing is made."""
    with pytest.raises(BadArgument, match="the value of secret 'TOKEN'") as caught:
        project.new_secret("TOKEN", secret_value=value)

    assert repr(value) not in str(caught.value) or value == ""
    assert [] == project.list_secrets()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": "a b"}, "name: 'a b' is not one"),
        ({"name": "a", "kind": "table"}, "kind: 'table' is unknown; give 'secret'"),
        ({"name": "a", "valu": "x"}, "valu: unknown"),
        ({}, "name: missing"),
    ],
)
def test_secret_is_checked(
    project: dh.Project, given: dict[str, Any], told: str
) -> None:
    """§9.1: faults are told when it is made."""
    with pytest.raises(dh.Faults, match=told):
        project.new_secret(**given)


def test_value_goes_with_the_last_version(project: dh.Project) -> None:
    """What is deleted has no value any more."""
    project.new_secret("TOKEN", secret_value=VALUE)

    project.delete_secret("TOKEN")

    assert project.store.secret("p", "TOKEN") is None
    with pytest.raises(BadArgument, match="no secret 'TOKEN'"):
        project.get_secret("TOKEN")
