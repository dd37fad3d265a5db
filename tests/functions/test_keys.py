"""Keys: what has the shape of one, and what it says."""

from __future__ import annotations

import re
import uuid

import pytest

from pybridge.errors import BadArgument
from pybridge.functions import keys
from pybridge.functions.keys import Key

FORMS = [
    (Key("p"), "store://p"),
    (Key("p", "function", "python", "f", "a1"), "store://p/function/python/f:a1"),
    (Key("p", "artifact", "artifact", "f", "a1"), "store://p/artifact/artifact/f:a1"),
    (Key("p", "dataitem", "table", "f", "a1"), "store://p/dataitem/table/f:a1"),
    (Key("p", "model", "sklearn", "f", "a1"), "store://p/model/sklearn/f:a1"),
    (Key("p", "secret", "secret", "f", "a1"), "store://p/secret/secret/f:a1"),
    (Key("p", "task", "python+job", "", "a1"), "store://p/task/python+job/a1"),
    (Key("p", "run", "python+run", "", "a1"), "store://p/run/python+run/a1"),
    (Key("p", "run", "python+job:run", "", "a"), "store://p/run/python+job:run/a"),
    (Key("p", "dataitem", "table", "f"), "store://p/dataitem/table/f"),
]


@pytest.mark.parametrize(("key", "text"), FORMS, ids=[text for _, text in FORMS])
def test_key_and_its_text_are_the_same(key: Key, text: str) -> None:
    """§2.2: each type has its form of key, and the text says all of it."""
    assert key == keys.parse(text)
    assert text == str(key) == f"{key}" == keys.format(key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p/function/python/f:a",
        "http://p/function/python/f:a",
        "store://",
        "store://p/",
        "store://p q",
        "store://p/function",
        "store://p/function/python",
        "store://p/function/python/",
        "store://p/function/python/f:",
        "store://p/function/python/f:a/b",
        "store://p/function/python/f g:a",
        "store://p/function//f:a",
        "store://p/workflow/kfp/f:a",
        "store://p/project/project/f:a",
        "store://p/run/python+run/",
        "store://../run/python+run/a/b",
        "store://p/function/python/f:a\n",
        None,
        3,
    ],
)
def test_what_is_no_key_is_refused_with_the_form_of_one(text: object) -> None:
    """§7.4: a bad key is an error that names the wanted shape, not one of splitting."""
    with pytest.raises(BadArgument, match="is not a key"):
        keys.parse(text)


def test_run_of_a_relationship_is_read_without_its_second_id() -> None:
    """§2.1: the original writes `<run key>:<run id>`; readers strip it."""
    assert Key("p", "run", "python+run", "", "a") == keys.parse(
        "store://p/run/python+run/a:a"
    )


def test_executable_names_function_and_version() -> None:
    """§2.2: `python://<project>/<function>:<id>`, and back."""
    text = keys.executable("p", "f", "a1")

    assert "python://p/f:a1" == text
    assert Key("p", "function", "python", "f", "a1") == keys.parse_executable(text)


def test_task_string_names_the_task() -> None:
    """§2.2: `python+job://<project>/<task id>`."""
    assert Key("p", "task", "python+job", "", "a1") == keys.parse_executable(
        "python+job://p/a1"
    )


@pytest.mark.parametrize("text", ["f", "python://p", "python:/p/f", None])
def test_what_names_no_function_is_refused(text: object) -> None:
    """The form is told."""
    with pytest.raises(BadArgument, match="does not name a function"):
        keys.parse_executable(text)


@pytest.mark.parametrize("name", ["f", "a.b_c+d-e", "0", "x" * 256])
def test_name_is_taken(name: str) -> None:
    """S-35: letters, digits, '.', '_', '+' and '-', up to 256."""
    assert name == keys.check_name(name)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a:b", "ä", "x" * 257, "a\n", None])
def test_name_is_refused(name: object) -> None:
    """S-35: the rule is told."""
    with pytest.raises(BadArgument, match="1 to 256 letters"):
        keys.check_name(name)


@pytest.mark.parametrize("given", ["abc", "my-uuid", str(uuid.UUID(int=7)), "A_b-1"])
def test_id_is_taken(given: str) -> None:
    """S-37: a UUID, or any slug."""
    assert given == keys.check_id(given)


@pytest.mark.parametrize("given", ["", "a b", "../x", "-a", "a-", "a/b", "ä", 3])
def test_id_is_refused(given: object) -> None:
    """S-37: what is no slug is not an id."""
    with pytest.raises(BadArgument, match="is not an id"):
        keys.check_id(given)


def test_new_id_is_a_uuid_of_version_4() -> None:
    """S-37: 32 hexadecimal digits, without dashes."""
    made = keys.new_id()

    assert re.fullmatch("[0-9a-f]{32}", made)
    assert 4 == uuid.UUID(made).version
    assert uuid.RFC_4122 == uuid.UUID(made).variant
    assert made != keys.new_id()
