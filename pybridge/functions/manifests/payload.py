"""Payload: what goes with a run into its pod, and is not in the image."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, NamedTuple, Optional

from pybridge.errors import BadArgument, Unsupported
from pybridge.functions import container, environments, keys, sources
from pybridge.functions.manifests import names

if TYPE_CHECKING:
    from pybridge.functions.manifests.settings import Settings
    from pybridge.functions.store import Store

__all__ = ["TOKEN", "Image", "Payload", "image_of", "of_run"]

TOKEN = "PYBRIDGE_TOKEN"  # noqa: S105 - the name of a variable
_ABOUT = ("name", "key", "project", "id", "kind")


class Image(NamedTuple):
    """What a pod runs, and what has to be installed in it when it starts."""

    name: str
    whole: bool  # it was built from our context: it has all
    lock: Optional[str] = None  # of a build; None: what the requirements say


class Payload(NamedTuple):
    """The files of a run's config map, and the values of its secrets."""

    texts: Dict[str, str]
    binaries: Dict[str, bytes]
    secrets: Dict[str, str]  # variable -> value
    variables: Dict[str, str]  # secret -> variable


def image_of(run: Mapping[str, Any], settings: Settings, store: Store) -> Image:
    """Return the image of a run.

    One that was built here is its registry's, where the settings name one; otherwise
    the official image of its Python, and the pod installs what the build has locked.
    """
    from pybridge.functions import pythons

    spec = run["spec"]
    version = pythons.version_of(spec.get("python_version"))
    official = settings.images.get(version, f"python:{version}-slim")
    given = spec.get("image")
    built = environments.of_image(given, store=store)
    if built is None:
        return Image(given or spec.get("base_image") or official, whole=False)
    context = _context_of(run, built.digest, store)
    if settings.registry and context:
        function = keys.parse_executable(spec["function"])
        path = f"{names.dns(run['project'])}/{names.dns(function.name)}"
        tag = context[:16]
        return Image(f"{settings.registry.rstrip('/')}/{path}:{tag}", whole=True)
    base = spec.get("base_image") or official
    return Image(base, whole=False, lock=built.lock)


def _context_of(run: Mapping[str, Any], digest: str, store: Store) -> str:
    """Return the context of the function's last build of an environment, or ""."""
    builds = store.find(
        run["project"], "run", function=run["spec"]["function"], states=["COMPLETED"]
    )
    for one in reversed(builds):
        build = one["status"].get("build") or {}
        if build.get("digest") == digest:
            return str(build.get("context_digest") or "")
    return ""


def of_run(
    run: Mapping[str, Any],
    image: Image,
    store: Store,
    outputs: Optional[str] = None,
) -> Payload:
    """Return what goes with a run; `outputs` is where its large ones are to be put.

    Raises:
        BadArgument: a secret has no value, or an input cannot be had.
        Unsupported: something of the run is of this machine only.

    """
    spec = run["spec"]
    if spec.get("start_context"):
        raise Unsupported(
            f"the saved context '{spec['start_context']}' is of this machine; run the "
            "function without start_context in a cluster"
        )
    secrets, variables = _secrets(run, store)
    entities, files = _inputs(run, store)
    pack = Path(str(spec["source"]["path"])).name if spec["source"].get("path") else ""
    bundle = {
        "entities": [*_around(run, store), *entities],
        "run": _carried(run),
        "files": files,
        "secrets": variables,
        "pack": pack or None,
        "outputs": outputs,
    }
    texts = {"run.json": json.dumps(bundle, indent=1, sort_keys=True)}
    binaries: Dict[str, bytes] = {}
    if pack and not image.whole:
        path = store.root / "sources" / pack
        if not path.is_file():
            raise BadArgument(
                f"the archive of '{spec['source'].get('source')}' is not in this "
                f"store: there is no '{path}'; create the function again"
            )
        binaries[pack] = path.read_bytes()
    if not image.whole:
        texts.update(_requirements(spec, image, outputs))
    return Payload(texts, binaries, secrets, variables)


def _carried(run: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the run as it begins in its pod: it is executed where it is."""
    left_out = ("engine", "schedule", "profile", "backoff_limit")
    spec = {k: v for k, v in run["spec"].items() if k not in left_out and v is not None}
    job = (spec.get("action") or "job") == "job"
    carried = {**spec, "local_execution": True} if job else spec
    return {**{k: v for k, v in run.items() if k != "status"}, "spec": carried}


def _around(run: Mapping[str, Any], store: Store) -> List[Dict[str, Any]]:
    """Return what a run is part of: its project and function."""
    function = str(keys.parse_executable(run["spec"]["function"]))
    found = [store.get(str(keys.Key(run["project"]))), store.get(function)]
    return [
        {**one, "status": {"state": one["status"].get("state")}} for one in found if one
    ]


def _secrets(
    run: Mapping[str, Any], store: Store
) -> tuple[Dict[str, str], Dict[str, str]]:
    """Return values by variable, and variables by name."""
    spec = run["spec"]
    wanted = {name: name for name in spec.get("secrets") or ()}
    token = spec.get("token")
    if token and token not in wanted:
        wanted[token] = TOKEN
    values = {}
    for name, variable in wanted.items():
        value = store.secret(run["project"], name)
        if value is None:
            raise BadArgument(
                f"project '{run['project']}' has no secret '{name}'; make it with "
                "project.new_secret(name, secret_value=...)"
            )
        values[variable] = value
    return values, wanted


def _requirements(
    spec: Mapping[str, Any], image: Image, outputs: Optional[str]
) -> Dict[str, str]:
    """Return the file that says what a pod installs."""
    if image.lock is not None:
        return {"requirements.lock": image.lock}
    served = environments.SERVICE if spec.get("action") == "serve" else ()
    lines = [
        *(spec.get("requirements") or ()),
        *served,
        *sources.needs(spec["source"], here=False),
        *(["s3fs"] if (outputs or "").startswith("s3") else []),
        *environments.BASE,
    ]
    return {"requirements.txt": "".join(f"{line}\n" for line in lines)}


# ---- Inputs --------------------------------------------------------------------------


def _inputs(
    run: Mapping[str, Any], store: Store
) -> tuple[List[Dict[str, Any]], Dict[str, str]]:
    """Return the entities that the inputs of a run mean, and their files in base64."""
    from pybridge.functions import arguments, files

    given = run["spec"].get("inputs")
    found = arguments.resolve(given, store=store, project=run["project"])
    entities: Dict[str, Dict[str, Any]] = {}
    contents: Dict[str, str] = {}
    for name, one in found.items():
        path = str(one.path)
        entity = store.get(one.key)
        if files.is_url(path) and not path.startswith("sqlite:"):
            if entity is not None:
                entities[one.key] = entity
            continue
        if entity is None or path.startswith("sqlite:"):
            raise Unsupported(
                f"input '{name}' is '{path}' of this machine; log it with "
                "project.log_dataitem and give its key, or give a URL"
            )
        entities[one.key] = container.portable(entity, store, contents)
    return list(entities.values()), contents


def encoded(content: bytes) -> str:
    """Return bytes as Kubernetes has them in JSON."""
    return base64.b64encode(content).decode()
