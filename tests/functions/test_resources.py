"""Resources: what Kubernetes knows, taken in all spellings, kept in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pybridge.functions.faults import Faults
from pybridge.functions.resources import quantity
from tests.functions.calls import GIVEN

if TYPE_CHECKING:
    from pybridge.functions.function import Function
    from pybridge.functions.project import Project

CLAIM = {"volume_type": "persistent_volume_claim", "name": "v", "mount_path": "/v"}
EMPTY = {"volume_type": "empty_dir", "name": "v", "mount_path": "/v"}
MAP = {"volume_type": "config_map", "name": "v", "mount_path": "/v"}
SECRET = {"volume_type": "secret", "name": "v", "mount_path": "/v"}
EPHEMERAL = {"volume_type": "ephemeral", "name": "v", "mount_path": "/v"}
SHARED = {"volume_type": "shared_volume", "name": "v", "mount_path": "/v"}

REQUIRED = "required_during_scheduling_ignored_during_execution"
PREFERRED = "preferred_during_scheduling_ignored_during_execution"
K_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
K_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
IN = {"key": "disktype", "operator": "In", "values": ["ssd"]}
TERM = {"match_expressions": [IN]}
K_TERM = {"matchExpressions": [IN]}
POD = {"label_selector": {"match_labels": {"app": "a"}}, "topology_key": "zone"}
K_POD = {"labelSelector": {"matchLabels": {"app": "a"}}, "topologyKey": "zone"}

# id, field, given, kept
TAKEN: list[tuple[str, str, Any, Any]] = [
    (
        "node_selector",
        "node_selector",
        [{"key": "disktype", "value": "ssd"}],
        [{"key": "disktype", "value": "ssd"}],
    ),
    (
        "C-5 one dict",
        "node_selector",
        {"key": "disktype", "value": "ssd"},
        [{"key": "disktype", "value": "ssd"}],
    ),
    (
        "C-5 labels",
        "node_selector",
        {"kubernetes.io/os": "linux", "disktype": "ssd"},
        [
            {"key": "kubernetes.io/os", "value": "linux"},
            {"key": "disktype", "value": "ssd"},
        ],
    ),
    ("claim", "volumes", [CLAIM], [CLAIM]),
    (
        "C-7 claim_name",
        "volumes",
        [{**CLAIM, "spec": {"claim_name": "c"}}],
        [{**CLAIM, "spec": {"claimName": "c"}}],
    ),
    (
        "C-7 claimName",
        "volumes",
        [{**CLAIM, "spec": {"claimName": "c", "read_only": "true"}}],
        [{**CLAIM, "spec": {"claimName": "c", "readOnly": True}}],
    ),
    (
        "C-8 size_limit",
        "volumes",
        [{**EMPTY, "spec": {"size_limit": "64Mi", "medium": "Memory"}}],
        [{**EMPTY, "spec": {"sizeLimit": "64Mi", "medium": "Memory"}}],
    ),
    (
        "C-8 sizeLimit",
        "volumes",
        [{**EMPTY, "spec": {"sizeLimit": "64Mi"}}],
        [{**EMPTY, "spec": {"sizeLimit": "64Mi"}}],
    ),
    (
        "size of 0.15",
        "volumes",
        [{**EMPTY, "spec": {"size": "1Gi"}}],
        [{**EMPTY, "spec": {"sizeLimit": "1Gi"}}],
    ),
    ("C-6 config_map", "volumes", [MAP], [MAP]),
    (
        "C-6 config_map items",
        "volumes",
        [{**MAP, "spec": {"name": "m", "items": [{"key": "a", "path": "b"}]}}],
        [{**MAP, "spec": {"name": "m", "items": [{"key": "a", "path": "b"}]}}],
    ),
    (
        "C-6 secret",
        "volumes",
        [{**SECRET, "spec": {"secret_name": "s", "default_mode": 256}}],
        [{**SECRET, "spec": {"secretName": "s", "defaultMode": 256}}],
    ),
    (
        "C-6 secret name",
        "volumes",
        [{**SECRET, "spec": {"name": "s"}}],
        [{**SECRET, "spec": {"secretName": "s"}}],
    ),
    (
        "C-6 ephemeral",
        "volumes",
        [{**EPHEMERAL, "spec": {"size": 1024}}],
        [{**EPHEMERAL, "spec": {"size": "1024"}}],
    ),
    ("C-6 shared_volume", "volumes", [SHARED], [SHARED]),
    (
        "camelCase",
        "volumes",
        {"volumeType": "emptyDir", "name": "v", "mountPath": "/v", "subPath": "s"},
        [{**EMPTY, "sub_path": "s"}],
    ),
    (
        "C-16 requests and limits",
        "resources",
        {"cpu": {"requests": "1", "limits": "2"}, "mem": {"limits": "64Mi"}},
        {"cpu": {"requests": "1", "limits": "2"}, "mem": {"limits": "64Mi"}},
    ),
    (
        "C-16 flat",
        "resources",
        {"cpu": "500m", "mem": 1024, "gpu": 1, "disk": "1G"},
        {
            "cpu": {"requests": "500m", "limits": "500m"},
            "mem": {"requests": "1024", "limits": "1024"},
            "gpu": {"requests": "1", "limits": "1"},
            "disk": {"requests": "1G", "limits": "1G"},
        },
    ),
    (
        "memory",
        "resources",
        {"memory": {"requests": "1e9"}},
        {"mem": {"requests": "1e9"}},
    ),
    ("no gpu", "resources", {"gpu": None}, {}),
    (
        "node affinity",
        "affinity",
        {
            "node_affinity": {
                REQUIRED: {"node_selector_terms": [TERM]},
                PREFERRED: [{"preference": TERM, "weight": 1}],
            }
        },
        {
            "nodeAffinity": {
                K_REQUIRED: {"nodeSelectorTerms": [K_TERM]},
                K_PREFERRED: [{"preference": K_TERM, "weight": 1}],
            }
        },
    ),
    (
        "node affinity, camelCase",
        "affinity",
        {"nodeAffinity": {K_REQUIRED: {"nodeSelectorTerms": [K_TERM]}}},
        {"nodeAffinity": {K_REQUIRED: {"nodeSelectorTerms": [K_TERM]}}},
    ),
    (
        "preference as the original's model has it",
        "affinity",
        {
            "node_affinity": {
                PREFERRED: [
                    {"preference": {"node_selector_terms": [TERM]}, "weight": 100}
                ]
            }
        },
        {"nodeAffinity": {K_PREFERRED: [{"preference": K_TERM, "weight": 100}]}},
    ),
    (
        "pod affinity",
        "affinity",
        {
            "pod_affinity": {REQUIRED: [POD]},
            "pod_anti_affinity": {PREFERRED: [{"pod_affinity_term": POD, "weight": 5}]},
        },
        {
            "podAffinity": {K_REQUIRED: [K_POD]},
            "podAntiAffinity": {K_PREFERRED: [{"podAffinityTerm": K_POD, "weight": 5}]},
        },
    ),
    (
        "toleration",
        "tolerations",
        [{"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}],
        [{"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}],
    ),
    (
        "toleration_seconds",
        "tolerations",
        [{"key": "k", "effect": "NoExecute", "toleration_seconds": 3}],
        [{"key": "k", "effect": "NoExecute", "tolerationSeconds": 3}],
    ),
    (
        "tolerationSeconds",
        "tolerations",
        {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3},
        [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}],
    ),
    (
        "envs",
        "envs",
        [{"name": "A", "value": "1"}, {"name": "B", "value": ""}],
        [{"name": "A", "value": "1"}, {"name": "B", "value": ""}],
    ),
    (
        "envs of a dict",
        "envs",
        {"A": "1", "B": 2},
        [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    ),
]


@pytest.fixture
def function(project: Project) -> Function:
    """A function to run."""
    return project.new_function("f", **GIVEN)


@pytest.mark.parametrize(
    ("field", "given", "kept"),
    [row[1:] for row in TAKEN],
    ids=[row[0] for row in TAKEN],
)
@pytest.mark.parametrize("action", ["job", "serve", "build"])
def test_parameter_is_taken_and_kept_in_one_form(
    function: Function, action: str, field: str, given: Any, kept: Any
) -> None:
    """S-53: for each action; also the linked examples that the original refused."""
    run = function.new_run(action, **{field: given})

    assert kept == run.refresh().spec[field]


def node(**term: Any) -> dict[str, Any]:
    """Return an affinity with one requirement."""
    expression = {"key": "k", **term}
    terms = [{"match_expressions": [expression]}]
    return {"node_affinity": {REQUIRED: {"node_selector_terms": terms}}}


# id, field, given, told
REFUSED: list[tuple[str, str, Any, str]] = [
    ("selector", "node_selector", "ssd", "node_selector: 'ssd' is not a list"),
    (
        "selector key",
        "node_selector",
        [{"value": "v"}],
        r"node_selector.0.key: missing",
    ),
    ("selector label", "node_selector", {"a b": "v"}, "is not the name of a label"),
    ("selector value", "node_selector", {"a": "v w"}, "is not the value of a label"),
    ("volume", "volumes", ["v"], "volumes.0"),
    (
        "volume type",
        "volumes",
        [{**EMPTY, "volume_type": "empty_dirr"}],
        "volumes.0.volume_type: 'empty_dirr' is unknown; did you mean 'empty_dir'",
    ),
    (
        "no volume type",
        "volumes",
        [{"name": "v", "mount_path": "/v"}],
        "volumes.0.volume_type: missing",
    ),
    (
        "volume path",
        "volumes",
        [{**EMPTY, "mount_path": "v"}],
        "volumes.0.mount_path: 'v' is not a path to mount at",
    ),
    (
        "no volume path",
        "volumes",
        [{"volume_type": "empty_dir", "name": "v"}],
        "volumes.0.mount_path: missing; give a path",
    ),
    (
        "volume spec",
        "volumes",
        [{**CLAIM, "spec": {"claim": "c"}}],
        "volumes.0.spec.claim: unknown; did you mean 'claim_name'",
    ),
    (
        "volume size",
        "volumes",
        [{**EMPTY, "spec": {"size_limit": "64 Mi"}}],
        "size_limit: '64 Mi' is not a quantity",
    ),
    (
        "both spellings",
        "volumes",
        [{**EMPTY, "mountPath": "/w"}],
        "volumes.0.mountPath: unknown",
    ),
    (
        "resource",
        "resources",
        {"cpus": "1"},
        "resources.cpus: unknown; did you mean 'c",
    ),
    ("cpu", "resources", {"cpu": "abc"}, "resources.cpu.*'abc' is not a quantity"),
    ("one for both", "resources", {"mem": "10Q"}, r"\w+: resources\.mem: '10Q' is not"),
    (
        "a half for both",
        "resources",
        {"gpu": 0.5},
        r"\w+: resources\.gpu: 0.5 is not a w",
    ),
    (
        "cpu with blank",
        "resources",
        {"mem": {"limits": "64 Gi"}},
        "'64 Gi' is not a qu",
    ),
    ("cpu letters", "resources", {"cpu": {"limits": "x5y"}}, "'x5y' is not a quantity"),
    ("negative", "resources", {"cpu": {"limits": -1}}, "-1 is"),
    ("half a gpu", "resources", {"gpu": {"limits": "500m"}}, "is not a whole number"),
    (
        "limit",
        "resources",
        {"mem": {"requests": "1Gi", "limits": "1000Mi"}},
        "resources.mem: .*asks for 1Gi, more than its limit 1000Mi",
    ),
    ("affinity", "affinity", {"node": {}}, "affinity.node: unknown; there are node_"),
    ("operator", "affinity", node(operator="Is"), "operator: 'Is' is unknown"),
    ("no values", "affinity", node(operator="In"), "has no values"),
    ("values", "affinity", node(operator="Exists", values=["a"]), "has values"),
    ("number", "affinity", node(operator="Gt", values=["a"]), "one whole number"),
    (
        "weight",
        "affinity",
        {"node_affinity": {PREFERRED: [{"preference": TERM, "weight": 101}]}},
        "weight: 101 is more than 100",
    ),
    (
        "topology_key",
        "affinity",
        {"pod_affinity": {REQUIRED: [{"label_selector": {}}]}},
        "topologyKey: missing",
    ),
    (
        "toleration operator",
        "tolerations",
        [{"key": "k", "operator": "Bogus"}],
        "tolerations.0.operator: 'Bogus' is unknown; there are 'Exists', 'Equal'",
    ),
    (
        "toleration effect",
        "tolerations",
        [{"key": "k", "effect": "No"}],
        "effect: 'No'",
    ),
    ("toleration key", "tolerations", [{"effect": "NoSchedule"}], "has no key"),
    (
        "toleration value",
        "tolerations",
        [{"key": "k", "operator": "Exists", "value": "v"}],
        "has a value",
    ),
    (
        "toleration seconds",
        "tolerations",
        [{"key": "k", "effect": "NoSchedule", "toleration_seconds": 3}],
        "only the effect 'NoExecute' has",
    ),
    ("envs", "envs", "A=1", "envs: 'A=1' is not a list; give a list such as"),
    ("env name", "envs", {"A=B": "1"}, "is not the name of a variable"),
    ("env bool", "envs", {"A": True}, "envs.0.value: True is not a text"),
    ("env none", "envs", {"A": None}, "envs.0.value: None is not a text"),
    ("env zero", "envs", {"A": "a\0"}, "has a zero byte"),
    ("env twice", "envs", [{"name": "A", "value": "1"}] * 2, "has 'A' twice"),
    ("env field", "envs", [{"nam": "A", "value": "1"}], "envs.0.nam: unknown; did you"),
]


@pytest.mark.parametrize(
    ("field", "given", "told"),
    [row[1:] for row in REFUSED],
    ids=[row[0] for row in REFUSED],
)
def test_parameter_is_refused(
    function: Function, field: str, given: Any, told: str
) -> None:
    """S-53: field, value and cure are named, and there is no run."""
    with pytest.raises(Faults, match=told):
        function.run(**{field: given})

    assert [] == function.list_runs()


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", 1),
        ("1.5", 1.5),
        (".5", 0.5),
        ("500m", 0.5),
        ("1k", 1000),
        ("1Ki", 1024),
        ("64Gi", 64 * 1024**3),
        ("1e3", 1000),
        ("1E3", 1000),
        ("2E", 2 * 10**18),
    ],
)
def test_quantity_is_kubernetes(text: str, amount: float) -> None:
    """§6.1: a number with a unit, decimal or binary, or an exponent."""
    assert amount == quantity(text)


@pytest.mark.parametrize("text", ["", "abc", "64 Gi", "x5y", "1GB", "-1", "1K", "1e"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    """§6.1: the original's pattern took some of these, Kubernetes takes none."""
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity(text)
