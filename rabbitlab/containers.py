"""The cluster's containers through the Docker engine's API: those of this compose project, and no others."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache

from rabbitlab import cluster, engine
from rabbitlab.errors import Mendable
from rabbitlab.nodes import NODES

PROJECT = f"com.docker.compose.project={cluster.PROJECT}"
SERVICE = "com.docker.compose.service"
NETWORK = "com.docker.compose.network"
# The networks of each service, as docker-compose.yml has them; a test keeps the two equal.
NETWORKS = {**{node.name: ("cluster",) for node in NODES}, "haproxy": ("cluster", "clients")}


def all_of_them() -> dict[str, object]:
    """Every container of the project by its compose service, stopped ones included. Containers of ``docker compose run`` are left out.

    Returns:
        Service to ``docker.models.containers.Container``.

    Raises:
        Mendable: when the engine does not answer.
    """
    with speaking_plainly():
        found = _client(os.getpid()).containers.list(all=True, filters={"label": PROJECT}, sparse=True)
    labelled = ((one.attrs["Labels"], one) for one in found)  # sparse: one request for all of them, instead of one more for each
    return {labels[SERVICE]: one for labels, one in labelled if labels.get("com.docker.compose.oneoff") != "True"}


def of(service: str):
    """The container of one service.

    Raises:
        Mendable: there is none.
    """
    found = all_of_them().get(service)
    if found is None:
        raise Mendable(f"{service} has no container. Make it again, and put right what else is wrong, with: ./lab heal")
    return found


def known(nodes: Iterable[str]) -> tuple[str, ...]:
    """The names, each once, after a look that there are such nodes.

    Raises:
        Mendable: one is no node of the cluster, or none is given.
    """
    names = tuple(dict.fromkeys(nodes))
    there = ", ".join(node.name for node in NODES)
    if not names:
        raise Mendable(f"Which node? Nodes are: {there}.")
    for name in names:
        if name not in {node.name for node in NODES}:
            raise Mendable(f"There is no node {name!r}. Nodes are: {there}.")
    return names


def state(service: str) -> str:
    """Docker's word for how a service is: ``running``, ``paused``, ``exited``; ``missing`` where there is no container."""
    found = all_of_them().get(service)
    return found.status if found else "missing"


def seconds_up(service: str) -> float:
    """For how long a service has been running; 0 where it does not."""
    found = all_of_them().get(service)
    if found is None or found.status != "running":
        return 0
    found.reload()
    began = datetime.fromisoformat(found.attrs["State"]["StartedAt"][:19] + "+00:00")  # what follows is nanoseconds
    return (datetime.now(UTC) - began).total_seconds()


def networks_of(container) -> list:
    """The networks of the project that a container is on."""
    with speaking_plainly():
        container.reload()
        ids = {joined["NetworkID"] for joined in container.attrs["NetworkSettings"]["Networks"].values()}
        return [network for network in _networks() if network.id in ids]


def reconnect(service: str) -> list[str]:
    """Connect a service to those of its networks that it is not on, by the names under which the others know it.

    Returns:
        The networks that were missing: ``["cluster"]``.

    Raises:
        Mendable: the service has no container.
    """
    container = of(service)
    joined = {network.id for network in networks_of(container)}
    absent = [network for network in _networks() if network.attrs["Labels"][NETWORK] in NETWORKS[service] and network.id not in joined]
    with speaking_plainly():
        for network in absent:
            network.connect(container, aliases=[service, container.name])
    return [network.attrs["Labels"][NETWORK] for network in absent]


def _networks() -> list:
    return _client(os.getpid()).networks.list(filters={"label": PROJECT})


def run(service: str, *command: str) -> str:
    """Run a command in a container, and return what it printed.

    Raises:
        Mendable: it failed, with what it said.
    """
    with speaking_plainly():
        done = of(service).exec_run(list(command))
    said = done.output.decode(errors="replace").strip()
    if done.exit_code != 0:
        raise Mendable(
            f"{' '.join(command[:2])} on {service} says: {said}\nTo see what is wrong: ./lab doctor; to put it right: ./lab heal"
        )
    return said


def each(act: Callable[[str], object], services: Iterable[str]) -> None:
    """Do something to several services at once; raises what the first of them raised, when all are done."""
    services = list(services)
    with ThreadPoolExecutor(max(1, len(services))) as pool:
        for done in [pool.submit(act, service) for service in services]:
            done.result()


@contextmanager
def speaking_plainly() -> Iterator[None]:
    """Turn what the engine refuses, or does not answer, into a sentence with the command that mends it."""
    import docker.errors
    import requests

    try:
        yield
    except docker.errors.NotFound as error:
        raise Mendable(f"Docker: {error.explanation or error}. To put the cluster right: ./lab heal") from error
    except docker.errors.APIError as error:
        raise Mendable(f"Docker refused: {error.explanation or error}. To put the cluster right: ./lab heal") from error
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise Mendable(f"The Docker engine does not answer ({type(error).__name__}). Start it, and the cluster, with: ./lab up") from error


@cache
def _client(_pid: int):
    """One client for each process: a fork does not write into its parent's connections."""
    with speaking_plainly():
        return engine.client()
