"""Manifests: every parameter in its place, valid for the newest Kubernetes."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest

from pybridge.errors import BadArgument
from pybridge.functions import manifests
from pybridge.functions.library import get_or_create_project
from pybridge.functions.manifests import names
from pybridge.functions.store import Store
from tests.functions.rendered import (
    CODE,
    SECRET,
    container,
    declared,
    objects,
    pod,
)
from tests.functions.schemas import VERSIONS, check
from tests.functions.test_resources import TAKEN

if TYPE_CHECKING:
    from pathlib import Path

    from pybridge.functions.function import Function
    from pybridge.functions.project import Project

CLAIM = {"volume_type": "persistent_volume_claim", "name": "v", "mount_path": "/v"}


@pytest.fixture
def function(project: Project) -> Function:
    """A function, and secrets of its project."""
    return declared(project)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Function:
    """The same, for all that only reads it."""
    store = Store.open(tmp_path_factory.mktemp("shared") / "functions")
    return declared(get_or_create_project("p", store=store))


def settings(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Have settings."""
    path = folder / "pybridge.toml"
    path.write_text(text)
    monkeypatch.setenv("PYBRIDGE_SETTINGS", str(path))


# ---- All that is documented ----------------------------------------------------------


def test_schemas_are_of_the_newest_versions() -> None:
    """Three versions are checked against, and the check finds what is wrong."""
    assert 3 == len(VERSIONS)
    with pytest.raises(kubernetes_validate.ValidationError):
        check({"apiVersion": "v1", "kind": "Service", "metadata": {}, "specs": {}})


@pytest.mark.parametrize(
    ("field", "given"), [(f, g) for _, f, g, _ in TAKEN], ids=[t[0] for t in TAKEN]
)
def test_parameter_is_valid_for_kubernetes(
    shared: Function, field: str, given: Any
) -> None:
    """S-53, C-5…C-16: what is taken in whatever spelling is valid, strictly."""
    action = "serve" if field in {"service_type", "replicas"} else "job"
    found = manifests.render(shared.new_run(action, **{field: given}))

    for one in found:
        if one["kind"] != "ConfigMap":
            check(one)

    assert found


# The examples of the document, and of the page that it links to.
DOCUMENTED: list[tuple[str, dict[str, Any]]] = [
    ("job", {"inputs": {}}),
    ("job", {"parameters": {"x": 2}}),
    ("job", {"node_selector": {"key": "name", "value": "value"}}),
    (
        "job",
        {
            "volumes": [
                {
                    "volume_type": "persistent_volume_claim",
                    "name": "my-pvc",
                    "mount_path": "/data",
                    "spec": {"claim_name": "my-pvc"},
                }
            ]
        },
    ),
    (
        "job",
        {
            "volumes": [
                {
                    "volume_type": "config_map",
                    "name": "my-config-map",
                    "mount_path": "/config",
                }
            ]
        },
    ),
    (
        "job",
        {
            "volumes": [
                {
                    "volume_type": "empty_dir",
                    "name": "dir",
                    "mount_path": "/dir",
                    "spec": {"size_limit": "64Mi", "medium": "Memory"},
                }
            ]
        },
    ),
    (
        "job",
        {
            "resources": {
                "cpu": {"requests": "12", "limits": "16"},
                "mem": {"requests": "64Gi"},
            }
        },
    ),
    ("job", {"secrets": ["PASSWORD"]}),
    ("job", {"envs": [{"name": "env-name", "value": "value"}]}),
    (
        "job",
        {
            "tolerations": [
                {
                    "key": "key1",
                    "operator": "Equal",
                    "value": "value1",
                    "effect": "NoSchedule",
                }
            ]
        },
    ),
    (
        "job",
        {
            "affinity": {
                "node_affinity": {
                    "required_during_scheduling_ignored_during_execution": {
                        "node_selector_terms": [
                            {
                                "match_expressions": [
                                    {"key": "zone", "operator": "In", "values": ["a"]}
                                ]
                            }
                        ]
                    }
                }
            }
        },
    ),
    ("job", {"backoff_limit": 1}),
    ("job", {"runtime_class": "nvidia", "priority_class": "high"}),
    ("job", {"schedule": "0 3 * * *"}),
    ("job", {"schedule": "@daily"}),
    ("serve", {}),
    ("serve", {"replicas": 2}),
    ("serve", {"service_type": "NodePort"}),
    ("serve", {"service_type": "ClusterIP", "service_name": "mine"}),
    ("serve", {"service_type": "LoadBalancer", "port": 9000}),
    ("serve", {"service_type": "ExternalName", "service_name": "alias"}),
    ("serve", {"secrets": ["PASSWORD"], "token": "a+b", "start_timeout": 7.5}),
]


@pytest.mark.parametrize(("action", "given"), DOCUMENTED)
def test_documented_example_is_valid(
    shared: Function, action: str, given: dict[str, Any]
) -> None:
    """S-28, S-53…S-56: every documented example gives objects that are all valid."""
    found = objects(shared, action, **given)

    assert {"ConfigMap"} < set(found)


# ---- Each in its place ---------------------------------------------------------------


def test_job_has_what_it_was_given(function: Function) -> None:
    """S-53, S-54: placement, resources, retries and time limits are in their places."""
    found = objects(
        function,
        node_selector=[{"key": "disktype", "value": "ssd"}],
        resources={"cpu": {"requests": "1", "limits": "2"}, "mem": "64Mi", "gpu": 1},
        tolerations=[{"key": "k", "operator": "Exists", "toleration_seconds": None}],
        runtime_class="nvidia",
        priority_class="high",
        backoff_limit=2,
        timeout=29.5,
    )
    job = found["Job"]["spec"]
    made = job["template"]["spec"]

    assert {"disktype": "ssd"} == made["nodeSelector"]
    assert ("nvidia", "high") == (made["runtimeClassName"], made["priorityClassName"])
    assert [{"key": "k", "operator": "Exists"}] == made["tolerations"]
    assert {
        "requests": {"cpu": "1", "memory": "64Mi", "nvidia.com/gpu": "1"},
        "limits": {"cpu": "2", "memory": "64Mi", "nvidia.com/gpu": "1"},
    } == made["containers"][0]["resources"]
    assert (2, 1, 1) == (job["backoffLimit"], job["parallelism"], job["completions"])
    assert 30 == made["activeDeadlineSeconds"]
    assert 3 * 30 + 10 + 20 == job["activeDeadlineSeconds"]
    assert "Never" == made["restartPolicy"]


def test_job_without_limits_has_those_of_the_original(function: Function) -> None:
    """S-54: no retries, and three days."""
    job = objects(function)["Job"]["spec"]

    assert (0, 259_200) == (job["backoffLimit"], job["activeDeadlineSeconds"])


def test_timeout_without_retries_is_the_deadline(function: Function) -> None:
    """A timeout is the job's active deadline in seconds."""
    assert 60 == objects(function, timeout=60.0)["Job"]["spec"]["activeDeadlineSeconds"]


def test_affinity_is_kubernetes_own(function: Function) -> None:
    """S-53: affinity in snake_case and in camelCase come to the same."""
    term = {"key": "zone", "operator": "In", "values": ["a"]}
    snake = {"node_selector_terms": [{"match_expressions": [term]}]}
    camel = {"nodeSelectorTerms": [{"matchExpressions": [term]}]}
    required = "required_during_scheduling_ignored_during_execution"
    wanted = "requiredDuringSchedulingIgnoredDuringExecution"

    one = pod(function, affinity={"node_affinity": {required: snake}})["affinity"]
    other = pod(function, affinity={"nodeAffinity": {wanted: camel}})["affinity"]

    assert {"nodeAffinity": {wanted: camel}} == one == other


def test_volumes_of_all_kinds_are_mounted(function: Function) -> None:
    """S-53, C-6…C-8: each kind is what Kubernetes has for it, with its mount."""
    given = [
        {**CLAIM, "spec": {"claim_name": "c"}},
        {"volume_type": "empty_dir", "name": "e", "mount_path": "/e"},
        {"volume_type": "config_map", "name": "m", "mount_path": "/m"},
        {
            "volume_type": "secret",
            "name": "s",
            "mount_path": "/s",
            "spec": {"secret_name": "t"},
            "read_only": True,
        },
        {"volume_type": "ephemeral", "name": "p", "mount_path": "/p"},
        {"volume_type": "shared_volume", "name": "h", "mount_path": "/h"},
    ]

    made = pod(function, volumes=given)

    volumes = {one["name"]: one for one in made["volumes"]}
    assert {"claimName": "c"} == volumes["v"]["persistentVolumeClaim"]
    assert {"sizeLimit": "128Mi"} == volumes["e"]["emptyDir"]
    assert {"name": "m"} == volumes["m"]["configMap"]
    assert {"secretName": "t"} == volumes["s"]["secret"]
    claim = volumes["p"]["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert {"requests": {"storage": "1Gi"}} == claim["resources"]
    assert {"claimName": "h"} == volumes["h"]["persistentVolumeClaim"]
    mounts = {one["name"]: one for one in made["containers"][0]["volumeMounts"]}
    assert {"name": "s", "mountPath": "/s", "readOnly": True} == mounts["s"]
    assert set(volumes) == set(mounts)


def test_volume_with_a_size_has_its_claim(function: Function) -> None:
    """S-53: a claim that is described, not named, is an object of its own."""
    given = {**CLAIM, "volume_type": "shared_volume", "spec": {"size": "2Gi"}}

    claim = objects(function, volumes=[given])["PersistentVolumeClaim"]

    assert ["ReadWriteMany"] == claim["spec"]["accessModes"]
    assert "v" == claim["metadata"]["name"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([CLAIM, {**CLAIM, "name": "w"}], "are both mounted at '/v'"),
        ([CLAIM, {**CLAIM, "mount_path": "/w", "spec": {"claim_name": "d"}}], "twice"),
        ([{**CLAIM, "mount_path": "/pybridge/run"}], "where a run has its own"),
        ([{**CLAIM, "name": "A_b"}], "no object of Kubernetes can be called 'A_b'"),
    ],
)
def test_volumes_that_contradict_are_refused(
    function: Function, given: list[dict[str, Any]], told: str
) -> None:
    """What no cluster would take is told before it is sent."""
    with pytest.raises(BadArgument, match=re.escape(told)):
        manifests.render(function.new_run("job", volumes=given))


def test_gpus_have_one_amount(function: Function) -> None:
    """GPUs are not shared: asking for less than the limit is refused."""
    assert (
        "2"
        == pod(function, resources={"gpu": {"requests": "2"}})["containers"][0][
            "resources"
        ]["limits"]["nvidia.com/gpu"]
    )
    given = {"gpu": {"requests": "1", "limits": "2"}}
    with pytest.raises(BadArgument, match="give one amount for both"):
        manifests.render(function.new_run("job", resources=given))


def test_schedule_makes_a_cron_job(function: Function) -> None:
    """S-53: with a schedule the run begins again and again, each time as its own."""
    found = objects(function, schedule="@daily", backoff_limit=1)
    cron = found["CronJob"]

    assert "Job" not in found
    assert ("@daily", "Forbid") == (
        cron["spec"]["schedule"],
        cron["spec"]["concurrencyPolicy"],
    )
    job = cron["spec"]["jobTemplate"]["spec"]
    assert 1 == job["backoffLimit"]
    assert "--new" in job["template"]["spec"]["containers"][0]["command"]
    assert len(cron["metadata"]["name"]) <= 52


def test_service_has_probes_and_replicas(function: Function) -> None:
    """S-28, S-29, S-55, S-56: ready when it answers, replaced without a gap."""
    found = objects(function, "serve", replicas=3, start_timeout=12.0)
    spec, service = found["Deployment"]["spec"], found["Service"]
    made = spec["template"]["spec"]["containers"][0]

    assert 3 == spec["replicas"]
    assert ("/readyz", 3) == (
        made["startupProbe"]["httpGet"]["path"],
        made["startupProbe"]["failureThreshold"],
    )
    assert "/readyz" == made["readinessProbe"]["httpGet"]["path"]
    assert "/livez" == made["livenessProbe"]["httpGet"]["path"]
    assert {"maxUnavailable": 0, "maxSurge": 1} == spec["strategy"]["rollingUpdate"]
    assert ("NodePort", 8080) == (
        service["spec"]["type"],
        service["spec"]["ports"][0]["port"],
    )
    pods = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == service["spec"]["selector"]
    assert service["spec"]["selector"].items() <= pods.items()


def test_external_name_is_an_alias(function: Function) -> None:
    """S-56, C-11: that type is only another name, so there is a service behind it."""
    run = function.new_run("serve", service_type="ExternalName", service_name="alias")

    inner, alias = manifests.render(run)[-2:]

    assert "ClusterIP" == inner["spec"]["type"]
    assert "alias" == alias["metadata"]["name"]
    name = inner["metadata"]["name"]
    assert f"{name}.default.svc.cluster.local" == alias["spec"]["externalName"]


def test_service_name_has_to_be_one(function: Function) -> None:
    """A name that Kubernetes would refuse is refused, with one that it takes."""
    with pytest.raises(BadArgument, match=r"service_name 'My_S' cannot be.*'my-s-"):
        manifests.render(function.new_run("serve", service_name="My_S"))


# ---- Variables and secrets -----------------------------------------------------------


def test_variables_have_the_original_order(function: Function) -> None:
    """S-53: the user's come first and win, then those of the run, then secrets."""
    given = [{"name": "LEVEL", "value": "debug"}, {"name": "RUN_ID", "value": "mine"}]
    made = container(function, envs=given, secrets=["PASSWORD"])["env"]
    names_ = [one["name"] for one in made]

    assert ["LEVEL", "RUN_ID", "PYTHONPATH", "PROJECT_NAME"] == names_[:4]
    assert "mine" == made[1]["value"]
    assert "PASSWORD" == names_[-1]
    assert len(set(names_)) == len(names_)


def test_secrets_are_in_the_secret_only(function: Function) -> None:
    """S-53: values are in the Secret, everywhere else there are references to it."""
    run = function.new_run("serve", secrets=["PASSWORD", "a+b"], token="PASSWORD")
    found = manifests.render(run)

    for one in found:
        check(one)
    secret = next(one for one in found if one["kind"] == "Secret")
    rest = json.dumps([one for one in found if one is not secret])
    encoded = base64.b64encode(SECRET.encode()).decode()
    assert encoded == secret["data"]["PASSWORD"]
    assert SECRET not in rest
    assert encoded[:-4] not in rest
    deployment = next(one for one in found if one["kind"] == "Deployment")
    env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    reference = {"name": secret["metadata"]["name"], "key": "PASSWORD"}
    assert {"name": "PASSWORD", "valueFrom": {"secretKeyRef": reference}} in env
    keys = {e["valueFrom"]["secretKeyRef"]["key"] for e in env if "valueFrom" in e}
    assert set(secret["data"]) == keys
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in keys)


def test_token_is_no_variable_of_the_function(function: Function) -> None:
    """A service's token comes under a name of ours, which is taken away from there."""
    made = container(function, "serve", token="PASSWORD")["env"]

    assert ["PYBRIDGE_TOKEN"] == [one["name"] for one in made if "valueFrom" in one]


def test_secret_that_is_gone_is_told(function: Function, project: Project) -> None:
    """A secret that was deleted after the run was made is an error."""
    run = function.new_run("job", secrets=["PASSWORD"])
    project.delete_secret("PASSWORD")

    with pytest.raises(BadArgument, match="no secret 'PASSWORD'"):
        manifests.render(run)


# ---- Names and labels ----------------------------------------------------------------

LONG = "Long." * 40 + "name"


def test_names_are_valid_whatever_the_run_is_called(project: Project) -> None:
    """§6.2: names are DNS labels of at most 63 characters, and labels are values."""
    function = project.new_function(
        LONG, kind="python", python_version="PYTHON3_9", code=CODE, handler="f"
    )
    for action in ("job", "serve"):
        for one in manifests.render(function.new_run(action, uuid="A" * 60 + action)):
            name = one["metadata"]["name"]
            assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name)
            for value in one["metadata"]["labels"].values():
                assert re.fullmatch(
                    r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", value
                )


def test_names_are_of_one_run_only(project: Project, store: Any) -> None:
    """§6.2: runs of the same id in two projects do not meet in the cluster."""
    found = set()
    for one in (project, get_or_create_project("other", store=store)):
        function = one.new_function(
            "f", kind="python", python_version="PYTHON3_11", code=CODE, handler="f"
        )
        job = manifests.rendered(function.new_run("job", uuid="same")).workload
        found.add(job["metadata"]["name"])

    assert 2 == len(found)


@pytest.mark.parametrize("text", ["Ab", "a_b", "a.b", "-a", "a-", "1a", "é", "a" * 64])
def test_other_texts_become_other_names(text: str) -> None:
    """A text that is no DNS label becomes one that no other text becomes."""
    made = names.dns(text)

    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", made)
    assert made != names.dns(text.lower() + "x")
    assert made == names.dns(text)


# ---- Security ------------------------------------------------------------------------


def test_pods_meet_the_restricted_policy(function: Function) -> None:
    """S-51: no root, no privileges, no capabilities: what strict clusters want."""
    for action in ("job", "serve"):
        made = pod(function, action)

        assert made["securityContext"]["runAsNonRoot"]
        assert 0 != made["securityContext"]["runAsUser"]
        assert {"type": "RuntimeDefault"} == made["securityContext"]["seccompProfile"]
        for one in (*made["containers"], *made["initContainers"]):
            assert {
                "privileged": False,
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            } == one["securityContext"]
        assert not made["automountServiceAccountToken"]


def test_root_is_refused(
    function: Function, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-51: user 0 has to be said twice."""
    settings(tmp_path, monkeypatch, "[functions.kubernetes]\nuser = 0\n")

    with pytest.raises(BadArgument, match="which is root"):
        manifests.render(function.new_run("job"))


# ---- Settings and profiles -----------------------------------------------------------

SETTINGS = """
[functions.kubernetes]
namespace = "team"
pull_policy = "Always"
pull_secrets = ["hub"]
service_account = "runner"
gpu = "amd.com/gpu"
ttl = 3600
store = "runs"
time_zone = "Europe/Rome"
read_only_root = true
install = false
[functions.kubernetes.images]
"3.11" = "mirror/python:3.11"
[functions.kubernetes.labels]
team = "data"

[functions.profiles.gpu]
runtime_class = "nvidia"
priority_class = "low"
backoff_limit = 4
timeout = 100
node_selector = {disktype = "ssd", zone = "a"}
resources = {cpu = {requests = "4", limits = "8"}, gpu = 1}
tolerations = [{key = "gpu", operator = "Exists"}]
envs = {LEVEL = "info", MODE = "fast"}
"""


def test_settings_are_followed(
    function: Function, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a cluster wants of all that comes there is said once, in the settings."""
    settings(tmp_path, monkeypatch, SETTINGS)
    found = objects(function)
    job, made = found["Job"], found["Job"]["spec"]["template"]["spec"]

    assert {"team"} == {one["metadata"]["namespace"] for one in found.values()}
    assert ("mirror/python:3.11", "Always") == (
        made["containers"][0]["image"],
        made["containers"][0]["imagePullPolicy"],
    )
    assert ("runner", [{"name": "hub"}]) == (
        made["serviceAccountName"],
        made["imagePullSecrets"],
    )
    assert (3600, "data") == (
        job["spec"]["ttlSecondsAfterFinished"],
        job["metadata"]["labels"]["team"],
    )
    assert made["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    assert "/pybridge/store" in made["containers"][0]["command"]
    assert "--install" not in made["initContainers"][0]["command"]
    cron = objects(function, schedule="@daily")["CronJob"]
    assert "Europe/Rome" == cron["spec"]["timeZone"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("namespce = 'a'", "namespce is unknown; did you mean 'namespace'"),
        ("user = 'me'", "user is a whole number of at least 0, not 'me'"),
        ("pull_policy = 'No'", "pull_policy is one of Always, IfNotPresent, Never"),
        ("install = 1", "install is true or false, not 1"),
        ("labels = ['a']", "labels is a table of texts"),
        ("pull_secrets = 'a'", "pull_secrets is a list of texts"),
    ],
)
def test_wrong_settings_are_told(
    function: Function,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    told: str,
) -> None:
    """A setting that is unknown or wrong is named."""
    settings(tmp_path, monkeypatch, f"[functions.kubernetes]\n{text}\n")

    with pytest.raises(BadArgument, match=re.escape(told)):
        manifests.render(function.new_run("job"))


def test_profile_is_what_the_user_does_not_say(
    function: Function, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-53: a profile gives defaults; what the run says wins over each of them."""
    settings(tmp_path, monkeypatch, SETTINGS)
    found = objects(
        function,
        profile="gpu",
        priority_class="high",
        node_selector={"zone": "b"},
        resources={"cpu": "1"},
        envs={"LEVEL": "debug"},
    )
    job, made = found["Job"]["spec"], found["Job"]["spec"]["template"]["spec"]

    assert ("nvidia", "high") == (made["runtimeClassName"], made["priorityClassName"])
    assert {"zone": "b", "disktype": "ssd"} == made["nodeSelector"]
    assert {"cpu": "1", "amd.com/gpu": "1"} == (
        made["containers"][0]["resources"]["limits"]
    )
    assert [{"key": "gpu", "operator": "Exists"}] == made["tolerations"]
    assert (4, 100) == (job["backoffLimit"], made["activeDeadlineSeconds"])
    env = {one["name"]: one.get("value") for one in made["containers"][0]["env"]}
    assert ("debug", "fast") == (env["LEVEL"], env["MODE"])


def test_unknown_profile_is_an_error(
    function: Function, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-53: the original ignores it; here the nearest one is named."""
    settings(tmp_path, monkeypatch, SETTINGS)

    with pytest.raises(BadArgument, match="'gpus' is unknown; did you mean 'gpu'"):
        manifests.render(function.new_run("job", profile="gpus"))


def test_wrong_profile_is_told(
    function: Function, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S-53: a profile is checked as what runs are made with is."""
    text = '[functions.profiles.x]\nresources = {cpu = "much"}\n'
    settings(tmp_path, monkeypatch, text)

    with pytest.raises(BadArgument, match=r"resources\.cpu: 'much' is not"):
        manifests.render(function.new_run("job", profile="x"))
