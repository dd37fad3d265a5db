"""Config maps: the run with its source, and what it is run by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping

from pybridge.errors import TooLarge
from pybridge.functions import runtime
from pybridge.functions.manifests import labels, names
from pybridge.functions.manifests.payload import encoded

if TYPE_CHECKING:
    from pybridge.functions.manifests.payload import Payload
    from pybridge.functions.manifests.settings import Settings

__all__ = ["LIMIT", "PREPARE", "name_of", "of_run", "of_runtime", "runtime_name"]

LIMIT = 1 << 20  # bytes that Kubernetes takes
RUNTIME = "runtime.zip"
PREPARE = "prepare.py"
# What a pod does before it runs: with the Python of its image alone.
_PREPARE = '''\
"""Unpack what the run is run by, and install what it requires."""
import os, subprocess, sys, zipfile

config, place = sys.argv[1:3]
with zipfile.ZipFile(os.path.join(config, "runtime.zip")) as archive:
    archive.extractall(os.path.join(place, "runtime"))
if "--install" in sys.argv:
    venv = os.path.join(place, "venv")
    subprocess.check_call(
        [sys.executable, "-m", "venv", "--system-site-packages", venv]
    )
    python = os.path.join(venv, "bin", "python")
    install = [python, "-m", "pip", "install", "--no-cache-dir", "--progress-bar=off"]
    lock = os.path.join(config, "requirements.lock")
    if os.path.exists(lock):
        install += ["--require-hashes", "-r", lock]
    else:
        install += ["-r", os.path.join(config, "requirements.txt")]
    sys.exit(subprocess.call(install))
'''


def name_of(run: Mapping[str, Any]) -> str:
    """Return the name of the config map of a run, and of its secret."""
    return names.of_run(run, "c")


def of_run(
    run: Mapping[str, Any], payload: Payload, settings: Settings
) -> Dict[str, Any]:
    """Return the config map of a run.

    Raises:
        TooLarge: it is more than Kubernetes takes.

    """
    sizes = {name: len(text.encode()) for name, text in payload.texts.items()}
    sizes.update({name: len(content) for name, content in payload.binaries.items()})
    whole = sum(sizes.values())
    if whole > LIMIT:
        largest = max(sizes, key=lambda name: sizes[name])
        raise TooLarge(
            f"run '{run['id']}' does not fit into a config map: {whole:,} bytes, and "
            f"{LIMIT:,} are allowed; '{largest}' has {sizes[largest]:,}. Build the "
            "function and push its context as an image (registry in "
            "[functions.kubernetes]), put the source where pods can fetch it "
            "(code_src='zip+s3://...' or 'git+https://...'), and log large inputs to "
            "a URL"
        )
    made: Dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": labels.metadata(run, settings, name_of(run)),
        "data": dict(payload.texts),
    }
    if payload.binaries:
        made["binaryData"] = {
            name: encoded(content) for name, content in payload.binaries.items()
        }
    return made


def runtime_name() -> str:
    """Return the name of the config map that all runs of this version share."""
    return f"pybridge-runtime-{runtime.digest()}"


def of_runtime(settings: Settings) -> Dict[str, Any]:
    """Return the config map with what runs are run by, in images that have it not."""
    managed = {"app.kubernetes.io/managed-by": "pybridge"}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": runtime_name(),
            "namespace": settings.namespace,
            "labels": managed,
        },
        "data": {PREPARE: _PREPARE},
        "binaryData": {RUNTIME: encoded(runtime.packed())},
    }
