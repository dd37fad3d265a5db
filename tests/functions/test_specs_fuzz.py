"""Whatever is given: it is taken, or refused with faults; nothing else happens."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pybridge.functions as dh
from pybridge.errors import BadArgument
from pybridge.functions import keys, specs

_RECURSIVE: list[Any] = []
_RECURSIVE.append(_RECURSIVE)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=4),
    st.sampled_from([math.inf, "a", "1", "\ud800", "\0", _RECURSIVE, object, 1j]),
)
NAMES = st.one_of(
    st.sampled_from(
        [
            *("key", "value", "name", "volume_type", "mountPath", "spec", "cpu", "mem"),
            *("requests", "limits", "node_affinity", "podAffinity", "operator"),
            *("weight", "preference", "effect", "empty_dir", "Exists", "NoExecute"),
        ]
    ),
    SCALARS.filter(lambda one: getattr(type(one), "__hash__", None) is not None),
)
VALUES = st.recursive(
    st.one_of(SCALARS, NAMES),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner),
        st.dictionaries(NAMES, inner, max_size=3),
    ),
    max_leaves=8,
)
FIELDS = sorted({*specs.JobFields.model_fields, *specs.ServeFields.model_fields})
QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


@QUICK
@given(
    action=st.one_of(st.sampled_from(["job", "serve", "build"]), SCALARS),
    fields=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4),
)
def test_run_fields_are_taken_or_refused(action: Any, fields: dict[str, Any]) -> None:
    """§9.1: any arguments of a run."""
    try:
        taken = specs.run_fields(action, fields, lambda _: [])
    except dh.Faults as caught:
        told = caught.faults
    else:
        told = [taken]

    assert told


@QUICK
@given(
    fields=st.dictionaries(
        st.sampled_from(sorted(specs.FunctionFields.model_fields)), VALUES, max_size=5
    )
)
def test_function_fields_are_taken_or_refused(
    project: dh.Project, fields: dict[str, Any]
) -> None:
    """§9.1: any arguments of a function."""
    given = {
        "name": "f",
        "kind": "python",
        "code": "def f(): pass",
        "handler": "f",
        "python_version": "PYTHON3_11",
        **fields,
    }
    try:
        made = project.new_function(**given)
    except BadArgument:
        return
    assert made.to_dict() == project.get_function(made.key).to_dict()


@QUICK
@given(text=st.one_of(st.text(max_size=30), st.from_regex(r"store://[a-z/:+.]{0,20}")))
def test_key_is_read_or_refused(text: str) -> None:
    """§2.2: what is a key is written as it was read."""
    try:
        key = keys.parse(text)
    except BadArgument:
        return
    assert str(key) == text or key.type in keys.NAMELESS
