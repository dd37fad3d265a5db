"""Specs: every row of the document's tables, taken and refused."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import pytest

from pybridge.functions.faults import Faults
from tests.functions import calls

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.function import Function
    from pybridge.functions.project import Project

CODE = calls.GIVEN["code"]
GIVEN = {"name": "f", **calls.GIVEN}


@pytest.fixture
def function(project: Project) -> Function:
    """A function to run."""
    return project.new_function(**GIVEN)


# ---- Function parameters -------------------------------------------------------------

FUNCTION_TAKEN = [
    ("S-35", {"name": "a.b_c+d-E"}, lambda f: f.name, "a.b_c+d-E"),
    ("S-36", {"kind": "python"}, lambda f: f.kind, "python"),
    ("S-37", {"uuid": "my-uuid"}, lambda f: f.id, "my-uuid"),
    ("S-38", {"description": "words"}, lambda f: f.metadata.description, "words"),
    ("S-39", {"labels": ["a", "b"]}, lambda f: f.metadata.labels, ["a", "b"]),
    ("S-39 tuple", {"labels": ("a",)}, lambda f: f.metadata.labels, ["a"]),
    ("S-40 default", {}, lambda f: f.metadata.embedded, True),
    ("S-40", {"embedded": False}, lambda f: f.metadata.embedded, False),
    ("S-44", {"handler": "f"}, lambda f: f.spec.source.handler, "f"),
    ("S-45", {"init_function": "f"}, lambda f: f.spec.source.init_function, "f"),
    ("S-47 default", {}, lambda f: f.spec.source.lang, "python"),
    ("S-47", {"lang": "python3"}, lambda f: f.spec.source.lang, "python3"),
    ("S-48", {"image": "i:1"}, lambda f: f.spec.image, "i:1"),
    ("S-49", {"base_image": "b:1"}, lambda f: f.spec.base_image, "b:1"),
    (
        "S-50",
        {"requirements": ["numpy", "pandas>1, <3", "scikit-learn==1.2.0"]},
        lambda f: f.spec.requirements,
        ["numpy", "pandas>1, <3", "scikit-learn==1.2.0"],
    ),
    *(
        (f"S-50 {one}", {"requirements": [one]}, lambda f: f.spec.requirements, [one])
        for one in (
            "a",
            "a.b-c_d",
            "a[x,y]>=1.2,<3 ; python_version < '3.10'",
            "a (>=1)",
            "a==1.*",
            "a~=2.0",
            "a @ git+https://example.com/a.git@v1",
            "git+https://example.com/a.git",
            "./a-1.0-py3-none-any.whl",
            "/srv/a",
            "https://example.com/a-1.0.tar.gz",
        )
    ),
    *(
        (
            f"S-46 {version}",
            {"python_version": version},
            lambda f: f.spec.python_version,
            version,
        )
        for version in (f"PYTHON3_{minor}" for minor in range(9, 15))
    ),
]


@pytest.mark.parametrize(
    ("given", "read", "expected"),
    [row[1:] for row in FUNCTION_TAKEN],
    ids=[row[0] for row in FUNCTION_TAKEN],
)
def test_function_parameter_is_taken(
    project: Project, given: dict[str, Any], read: Any, expected: object
) -> None:
    """S-35 … S-50: what the document's table has is stored and read back."""
    made = project.new_function(**{**GIVEN, **given})

    assert expected == read(made)
    assert expected == read(project.get_function(made.key))


FUNCTION_REFUSED = [
    ("S-34", {"project": "p"}, "project: is the one that the method is called on"),
    ("S-35", {"name": "a b"}, "name: 'a b' is not one; give 1 to 256 letters"),
    ("S-35 long", {"name": "x" * 257}, "1 to 256"),
    ("S-35 newline", {"name": "x\n"}, "1 to 256"),
    ("S-35 type", {"name": 3}, "name: 3 is not a text"),
    ("S-36", {"kind": "pyton"}, "kind: 'pyton' is unknown; give 'python'"),
    ("S-37", {"uuid": "a b"}, "uuid: 'a b' is not one; give a UUID"),
    ("S-38", {"description": 3}, "description: 3 is not a text; give a text"),
    ("S-39", {"labels": "a"}, "labels: 'a' is not a list; give a list of texts"),
    ("S-39 item", {"labels": [1]}, "labels.0: 1 is not a text"),
    ("S-40", {"embedded": "yes"}, "embedded: 'yes' is neither True nor False"),
    ("S-41", {"code": None, "code_src": "missing.py"}, "code_src: .*missing.py"),
    ("S-41 scheme", {"code": None, "code_src": "ftp://h/f.py"}, "code_src: .*ftp"),
    ("S-42", {"code": 3}, "code: "),
    ("S-42 empty", {"code": " "}, "code: .*empty"),
    ("S-43", {"code": None, "base64": "@@@@"}, "base64: .*cannot be decoded"),
    ("no source", {"code": None}, "source: missing; give code, base64 or code_src"),
    ("S-44", {"handler": None}, "handler: missing; .*one of: f"),
    ("S-44 absent", {"handler": "g"}, "handler: .*'g'"),
    ("S-45", {"init_function": "g"}, "init_function: .*'g'"),
    ("S-45 type", {"init_function": 3}, "init_function: 3 is not a text"),
    ("S-46", {"python_version": "PYTHON2_7"}, "python_version: .*'PYTHON3_9'"),
    ("S-46 near", {"python_version": "PYTHON3.9"}, "did you mean 'PYTHON3_9'"),
    ("S-47", {"lang": 3}, "lang: 3 is not a text"),
    ("S-48", {"image": 3}, "image: 3 is not a text; give an image"),
    ("S-49", {"base_image": ["b"]}, "base_image: .*is not a text; give an image"),
    ("S-50", {"requirements": "numpy"}, "requirements: 'numpy' is not a list"),
    ("S-50 item", {"requirements": ["numpy", 3]}, "requirements.1: 3 is not a text"),
    ("S-50 version", {"requirements": ["numpy=1"]}, "'numpy=1' is not a requirement"),
    ("S-50 option", {"requirements": ["--index-url=http://h"]}, "is not a requirement"),
    ("S-50 two", {"requirements": ["numpy pandas"]}, "is not a requirement"),
    ("S-49 blank", {"base_image": "a b"}, "base_image: 'a b' is not one; give an"),
    ("S-48 line", {"image": "a\nUSER root"}, "image: .* is not one; give an image"),
    ("unknown", {"handlr": "f"}, "handlr: unknown; did you mean 'handler'"),
    ("unknown far", {"xyzzy": 1}, "xyzzy: unknown, and nothing has a name like it"),
]


@pytest.mark.parametrize(
    ("given", "told"),
    [row[1:] for row in FUNCTION_REFUSED],
    ids=[row[0] for row in FUNCTION_REFUSED],
)
def test_function_parameter_is_refused(
    project: Project, given: dict[str, Any], told: str
) -> None:
    """S-34 … S-50: at creation, with field, value and cure, and nothing is stored."""
    with pytest.raises(Faults, match=told) as caught:
        project.new_function(**{**GIVEN, **given})

    assert 1 == len(caught.value.faults)
    assert [] == project.list_functions()


@pytest.mark.parametrize("field", ["name", "kind", "python_version"])
def test_function_parameter_that_is_required_is_missed(
    project: Project, field: str
) -> None:
    """S-35, S-36, S-46: what the table calls required is."""
    given = {key: value for key, value in GIVEN.items() if key != field}

    with pytest.raises(Faults, match=f"new_function: {field}: missing; give "):
        project.new_function(**given)


def test_all_faults_are_told_at_once(project: Project) -> None:
    """§9.1: one error has everything that is wrong, also of the source."""
    with pytest.raises(Faults, match="6 faults") as caught:
        project.new_function(
            name="a b", kind="pyton", cod=CODE, handler=3, python_version="2"
        )

    fields = [fault["field"] for fault in caught.value.faults]
    assert ["source", "handler", "name", "kind", "python_version", "cod"] == fields
    assert 3 == caught.value.faults[1]["value"]
    assert 7 == len(str(caught.value).splitlines())


def test_code_comes_before_base64_and_that_before_code_src(
    project: Project, tmp_path: Path
) -> None:
    """S-42: code > base64 > code_src where several are given."""
    file = tmp_path / "main.py"
    file.write_text("def f(): return 'file'\n")
    text = base64.b64encode(b"def f(): return 'base64'\n").decode()

    def used(**given: str) -> bytes:
        fields = {**GIVEN, "code": None, **given}
        made = project.new_function(**fields)
        return base64.b64decode(made.spec.source.base64)

    assert CODE.encode() == used(code=CODE, base64=text, code_src=str(file))
    assert b"'base64'" in used(base64=text, code_src=str(file))
    assert b"'file'" in used(code_src=str(file))


# ---- Task and run parameters ---------------------------------------------------------

RUN_TAKEN = [
    ("S-52 job", "job", {}, "action", "job"),
    ("S-52 serve", "serve", {}, "action", "serve"),
    ("S-52 build", "build", {}, "action", "build"),
    ("S-53 profile", "job", {"profile": "small"}, "profile", "small"),
    ("S-53 runtime_class", "job", {"runtime_class": "c"}, "runtime_class", "c"),
    ("S-53 priority_class", "job", {"priority_class": "c"}, "priority_class", "c"),
    ("S-54", "job", {"backoff_limit": 3}, "backoff_limit", 3),
    ("S-54 none", "job", {"backoff_limit": 0}, "backoff_limit", 0),
    ("S-55", "serve", {"replicas": 2}, "replicas", 2),
    ("S-56 default", "serve", {}, "service_type", "NodePort"),
    *(
        (f"S-56 {kind}", "serve", {"service_type": kind}, "service_type", kind)
        for kind in ("ExternalName", "ClusterIP", "NodePort", "LoadBalancer")
    ),
    (
        "S-57",
        "build",
        {"instructions": ["apt-get install -y git"]},
        "instructions",
        ["apt-get install -y git"],
    ),
    ("schedule", "job", {"schedule": "0 3 * * 1-5"}, "schedule", "0 3 * * 1-5"),
    ("schedule word", "job", {"schedule": "@daily"}, "schedule", "@daily"),
    ("S-58 default", "job", {}, "local_execution", False),
    ("S-58", "job", {"local_execution": True}, "local_execution", True),
    ("S-58 C-13", "job", {"loacal_execution": True}, "local_execution", True),
    (
        "S-58 both",
        "job",
        {"loacal_execution": True, "local_execution": True},
        "local_execution",
        True,
    ),
    ("S-59", "job", {"inputs": {"di": "t:1"}}, "inputs", {"di": "t:1"}),
    ("S-59 none", "job", {"inputs": None}, "inputs", None),
    ("S-60", "job", {"parameters": {"a": [1]}}, "parameters", {"a": [1]}),
    ("S-60 empty", "job", {"parameters": {}}, "parameters", {}),
    (
        "S-61",
        "serve",
        {"init_parameters": {"a": None}},
        "init_parameters",
        {"a": None},
    ),
    ("timeout", "job", {"timeout": 3}, "timeout", 3.0),
    ("start_context", "job", {"start_context": "c"}, "start_context", "c"),
    ("engine", "job", {"engine": "local"}, "engine", "local"),
    ("port", "serve", {"port": 0}, "port", 0),
]


@pytest.mark.parametrize(
    ("action", "given", "field", "expected"),
    [row[1:] for row in RUN_TAKEN],
    ids=[row[0] for row in RUN_TAKEN],
)
def test_run_parameter_is_taken(
    function: Function, action: str, given: dict[str, Any], field: str, expected: object
) -> None:
    """S-52 … S-61: what the document's tables have is in the run's spec."""
    run = function.new_run(action, **given)

    assert expected == run.refresh().spec.get(field)


RUN_REFUSED = [
    ("S-52", "deploy", {}, "action: 'deploy' is unknown; there are 'job', 'serve'"),
    ("S-52 near", "jobs", {}, "action: 'jobs' is unknown; did you mean 'job'"),
    ("S-52 type", 3, {}, "action: 3 is unknown"),
    ("S-53", "job", {"profile": 3}, "profile: 3 is not a text"),
    ("S-54", "job", {"backoff_limit": -1}, "backoff_limit: -1 is less than 0"),
    ("S-54 text", "job", {"backoff_limit": "3"}, "backoff_limit: '3' is not a whole"),
    ("S-54 bool", "job", {"backoff_limit": True}, "backoff_limit: True is not a"),
    (
        "S-54 serve",
        "serve",
        {"backoff_limit": 1},
        "backoff_limit: belongs to the action 'job', and this is 'serve'",
    ),
    ("S-55", "serve", {"replicas": 0}, "replicas: 0 is less than 1; .*stop"),
    (
        "S-55 job",
        "job",
        {"replicas": 2},
        "replicas: belongs to the action 'serve', and this is 'job'",
    ),
    ("S-56", "serve", {"service_type": "Bogus"}, "service_type: 'Bogus' is unknown"),
    (
        "S-56 job",
        "job",
        {"service_type": "NodePort"},
        "service_type: belongs to the action 'serve'",
    ),
    ("S-57", "build", {"instructions": "RUN x"}, "instructions: 'RUN x' is not a list"),
    ("S-57 empty", "build", {"instructions": [""]}, "instructions.0: '' is empty"),
    (
        "S-57 job",
        "job",
        {"instructions": ["x"]},
        "instructions: belongs to the action 'build'",
    ),
    ("schedule", "job", {"schedule": "at noon"}, "schedule: 'at noon' is not a sched"),
    ("schedule hour", "job", {"schedule": "0 24 * * *"}, "has 24 where 0 to 23"),
    ("S-58", "job", {"local_execution": 1}, "local_execution: 1 is neither True nor"),
    (
        "S-58 C-13",
        "job",
        {"loacal_execution": True, "local_execution": False},
        "loacal_execution: says the opposite",
    ),
    ("serve locally", "serve", {"local_execution": True}, "for the action 'job'"),
    ("build locally", "build", {"local_execution": True}, "for the action 'job'"),
    ("S-59", "job", {"inputs": ["a"]}, "inputs: .* is not a dict; give a dict such"),
    (
        "S-59 item",
        "job",
        {"inputs": {"di": 3}},
        "inputs.di: 3 is not a text; give a key",
    ),
    ("S-60", "job", {"parameters": "x"}, "parameters: 'x' is not a dict"),
    (
        "S-60 item",
        "job",
        {"parameters": {"a": object()}},
        r"parameters.a: <object .*> cannot be stored",
    ),
    ("S-61", "job", {"init_parameters": 3}, "init_parameters: 3 is not a dict"),
    ("timeout", "job", {"timeout": 0}, "timeout: 0 is not more than 0"),
    ("timeout inf", "job", {"timeout": float("inf")}, "timeout: inf is not a finite"),
    ("timeout long", "job", {"timeout": 1e300}, r"timeout: 1e\+300 is more than"),
    ("engine", "job", {"engine": "kubernets"}, "did you mean 'kubernetes'"),
    ("port", "serve", {"port": 70000}, "port: 70000 is more than 65535"),
    ("host", "serve", {"host": "::"}, "host: would listen on '::' for everybody"),
    ("secret", "job", {"secrets": ["s"]}, "secrets: 's' has no value in the project"),
    ("token", "serve", {"token": "s"}, "token: 's' has no value in the project"),
    ("S-53 secrets", "job", {"secrets": "s"}, "secrets: 's' is not a list"),
    ("unknown", "job", {"inptus": {}}, "inptus: unknown; did you mean 'inputs'"),
    ("foo", "job", {"foo": 1}, "foo: unknown, and nothing has a name like it"),
    (
        "of a function",
        "job",
        {"python_version": "PYTHON3_9"},
        "python_version: belongs to new_function",
    ),
]


@pytest.mark.parametrize(
    ("action", "given", "told"),
    [row[1:] for row in RUN_REFUSED],
    ids=[row[0] for row in RUN_REFUSED],
)
def test_run_parameter_is_refused(
    function: Function, action: Any, given: dict[str, Any], told: str
) -> None:
    """S-52 … S-61: at creation, with field, value and cure; there is no run then."""
    with pytest.raises(Faults, match=told) as caught:
        function.run(action, **given)

    assert 1 == len(caught.value.faults)
    assert [] == function.list_runs()


def test_all_faults_of_a_run_are_told_at_once(function: Function) -> None:
    """§9.1: of the action, of names, of values, of what is inside them."""
    with pytest.raises(Faults, match="run: 6 faults") as caught:
        function.run(
            "deploy",
            inputs=3,
            volumes=[{"volume_type": "empty_dir", "name": "a b", "mount_path": "x"}],
            backoff_limit=-1,
            foo=1,
        )

    assert [
        "action",
        "inputs",
        "volumes.0.name",
        "volumes.0.mount_path",
        "backoff_limit",
        "foo",
    ] == [fault["field"] for fault in caught.value.faults]


def test_long_values_are_shown_short(function: Function) -> None:
    """A message stays readable whatever was given."""
    with pytest.raises(Faults) as caught:
        function.run(parameters="x" * 10_000)

    assert len(str(caught.value)) < 300
    assert re.search(r"xxx\.\.\. is not a dict", str(caught.value))
