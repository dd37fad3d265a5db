"""Rendering: all objects of a run, in the order in which they are applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional

from pybridge.errors import Unsupported
from pybridge.functions.manifests import (
    config_map,
    cron_job,
    deployment,
    job,
    payload,
    pod,
    profile,
    secret,
    service,
    settings,
    volumes,
)

if TYPE_CHECKING:
    from pybridge.functions.function import Function
    from pybridge.functions.run import Run

__all__ = ["WORKLOADS", "Rendered", "of_function", "render", "rendered"]

WORKLOADS = ("Job", "CronJob", "Deployment")


class Rendered(NamedTuple):
    """The objects of a run, and what they were made with."""

    objects: List[Dict[str, Any]]
    settings: settings.Settings
    image: payload.Image

    @property
    def workload(self) -> Dict[str, Any]:
        """Return the object whose pods the run is."""
        return next(one for one in self.objects if one["kind"] in WORKLOADS)


def render(run: Run) -> List[Dict[str, Any]]:
    """Return the objects of a run; see `rendered`."""
    return rendered(run).objects


def of_function(function: Function, action: str = "job", **given: Any) -> Rendered:
    """Return the objects of a run that is made for them alone, and not kept.

    Raises:
        BadArgument: what was given is wrong, or cannot be in a cluster.

    """
    run = function.new_run(action, **given)
    try:
        return rendered(run)
    finally:
        run.store.delete(run.key)  # whoever applies the objects leads it


def rendered(run: Run, using: Optional[settings.Settings] = None) -> Rendered:
    """Return the objects of a run: the same ones each time.

    Raises:
        BadArgument: something of the run, or of the settings, cannot be in a cluster.
        TooLarge: what goes with the run is too much for a config map.
        Unsupported: it builds, or wants something of this machine.

    """
    own = using or settings.read()
    entity = run.to_dict()
    action = entity["spec"].get("action") or "job"
    if action == "build":
        raise Unsupported(
            f"run '{run.id}' builds, which is done on this machine: it gives an "
            "environment and a Dockerfile; leave engine away, build that with a "
            "builder of images, and name its registry in [functions.kubernetes]"
        )
    entity["spec"] = profile.applied(entity["spec"])
    image = payload.image_of(entity, own, run.store)
    made = pod.Made(
        entity,
        image,
        payload.of_run(entity, image, run.store, own.outputs),
        volumes.of_run(entity, own),
        own,
    )
    objects = [*made.volumes.claims]
    if made.payload.secrets:
        objects.append(secret.of_run(entity, made.payload, own))
    if not image.whole:
        objects.append(config_map.of_runtime(own))
    objects.append(config_map.of_run(entity, made.payload, own))
    if action == "serve":
        objects += [deployment.of_run(made), *service.of_run(made)]
    elif entity["spec"].get("schedule"):
        objects.append(cron_job.of_run(made))
    else:
        objects.append(job.of_run(made))
    return Rendered(objects, own, image)
