"""Images: pulled, however slowly; built from Debian packages where no registry answers; named in .env."""

import subprocess

import pytest

from rabbitlab import debian, images
from rabbitlab.errors import Mendable

OFFICIAL = images.official()


class Clock:
    """A clock that moves by a step each time it is read."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """What the engine has, what a registry gives, what was built."""

    class Machine:
        wanted = tuple(OFFICIAL.values())
        present: frozenset[str] | set[str] = frozenset()
        registry: str | None = None  # why it gives nothing
        builds = 0
        up_to_date = False

        def pull(self, image):
            if self.registry:
                raise images.Unpullable(self.registry)
            self.present = {*self.present, image}

        def build(self, yes=False):
            self.builds += 1
            self.present = {*self.present, *images.HOME_MADE.values()}

    machine = Machine()
    monkeypatch.setattr(images, "ENV", tmp_path / ".env")
    monkeypatch.setattr(images, "wanted", lambda profiles=(): list(machine.wanted))
    monkeypatch.setattr(images, "present", lambda image: image in machine.present)
    monkeypatch.setattr(images, "up_to_date", lambda image: machine.up_to_date)
    monkeypatch.setattr(images, "pull", machine.pull)
    monkeypatch.setattr(images, "build", machine.build)
    return machine


def test_images_that_are_there_are_neither_pulled_nor_built(machine):
    machine.present = set(machine.wanted)
    machine.registry = "asked although nothing was missing"
    images.ensure()
    assert machine.builds == 0
    assert not images.ENV.exists()


def test_missing_images_are_pulled(machine):
    images.ensure()
    assert machine.present == set(OFFICIAL.values())
    assert machine.builds == 0


def test_where_no_registry_answers_home_made_images_take_their_place(machine, capsys):
    machine.registry = "no such host"
    images.ENV.write_text("MINE=1\nRABBITMQ_IMAGE=old\n")
    images.ensure(yes=True)
    assert machine.builds == 1
    named = "".join(f"{variable}={image}\n" for variable, image in images.HOME_MADE.items())
    assert images.ENV.read_text() == "MINE=1\n" + named + "GRAFANA_PROFILE=unavailable\n"
    assert "no such host" in capsys.readouterr().out


def test_what_monitoring_will_want_is_named_together_with_what_is_missing_now(machine, monkeypatch):
    """One recipe makes all images: a second failure to pull would only cost time."""
    machine.registry = "no such host"
    cluster_alone = [OFFICIAL["RABBITMQ_IMAGE"], OFFICIAL["HAPROXY_IMAGE"]]
    monkeypatch.setattr(images, "wanted", lambda profiles=(): list(machine.wanted) if profiles else cluster_alone)
    images.ensure(yes=True)
    assert machine.builds == 1
    assert "PROMETHEUS_IMAGE=" in images.ENV.read_text()


def test_grafana_alone_is_left_out_and_said_to_be(machine, capsys):
    """Nothing can be built in its place, and nothing else need be."""
    machine.present = {image for variable, image in OFFICIAL.items() if variable != "GRAFANA_IMAGE"}
    machine.registry = "manifest unknown"
    images.ensure(profiles=["monitoring"])
    assert machine.builds == 0
    assert images.ENV.read_text() == "GRAFANA_PROFILE=unavailable\n"
    machine.wanted = tuple(machine.present)  # as compose then reads its file
    capsys.readouterr()
    images.ensure(profiles=["monitoring"])
    assert "delete GRAFANA_PROFILE from .env" in capsys.readouterr().out
    images.ensure()
    assert "Grafana" not in capsys.readouterr().out


def test_home_made_images_that_are_as_their_recipe_says_are_not_built_again(machine):
    machine.registry = "no such host"
    machine.up_to_date = True
    images.ensure()
    assert machine.builds == 0
    assert images.ENV.exists()


def test_home_made_images_that_env_names_and_that_are_gone_are_built_again(machine):
    machine.wanted = tuple(images.HOME_MADE.values())
    machine.registry = "asked although .env names other images"
    images.ensure()
    assert machine.builds == 1


def test_an_image_that_somebody_chose_is_not_replaced(machine):
    machine.wanted = ("mirror.example/rabbitmq:4.3.6", OFFICIAL["HAPROXY_IMAGE"])
    machine.registry = "refused"
    with pytest.raises(Mendable, match=r"mirror\.example/rabbitmq:4\.3\.6 cannot be pulled \(refused\)"):
        images.ensure()
    assert machine.builds == 0


def test_a_slow_pull_is_waited_for():
    events = [{"id": "a", "status": "Downloading", "progressDetail": {"current": size}} for size in range(100)]
    seen = []
    images._follow([*events, {"id": "a", "status": "Pull complete"}], seen.append, clock=Clock(images.STALLED / 3))
    assert seen[-1].startswith("1 of 1 layers")


def test_a_pull_that_only_retries_is_given_up():
    retries = [{"id": "a", "status": f"Retrying in {seconds} seconds"} for seconds in range(100, 0, -1)]
    with pytest.raises(images.Unpullable, match="nothing moved"):
        images._follow(retries, lambda seen: None, clock=Clock(1))


def test_an_error_among_the_events_ends_a_pull():
    with pytest.raises(images.Unpullable, match="toomanyrequests"):
        images._follow([{"status": "Pulling from library/rabbitmq"}, {"error": "toomanyrequests"}], lambda seen: None)


def test_a_registry_that_takes_connections_and_says_nothing_is_given_up(monkeypatch):
    import docker
    import requests

    class Engine:
        api = None

        def pull(self, *arguments, **options):
            raise requests.ConnectionError("UnixHTTPConnectionPool: Read timed out.")

    Engine.api = Engine()
    monkeypatch.setattr(images.engine, "client", lambda timeout: Engine)
    with pytest.raises(images.Unpullable, match="nothing came for"):
        images.pull("rabbitmq:4.3.6-management")
    monkeypatch.setattr(Engine, "pull", lambda *a, **k: (_ for _ in ()).throw(docker.errors.APIError("x", explanation="no such host")))
    with pytest.raises(images.Unpullable, match=": no such host"):
        images.pull("rabbitmq:4.3.6-management")


def test_the_recipes_checksum_is_the_one_that_its_script_computes():
    script = 'cd "$0" && cat ./* | sha256sum | cut -c 1-16'
    computed = subprocess.run(["sh", "-c", script, images.RECIPE], capture_output=True, text=True).stdout.strip()
    assert images.recipe() == computed
    assert f"{images.RECIPE_LABEL}=" in (images.RECIPE / "build.sh").read_text()
    assert f"{images.VERSION_LABEL}=" in (images.RECIPE / "build.sh").read_text()


def test_the_compose_file_names_official_images_at_an_exact_version():
    assert OFFICIAL.keys() == images.HOME_MADE.keys() | images.LEFT_OUT.keys()
    assert images.course_version().count(".") == 2


def test_building_elsewhere_than_on_debian_says_what_helps(monkeypatch, tmp_path):
    monkeypatch.setattr(debian, "OS_RELEASE", tmp_path / "none")
    with pytest.raises(Mendable, match="docker login"):
        images.build(yes=True)


def test_a_build_that_fails_shows_the_end_of_its_log(monkeypatch, tmp_path):
    recipe = tmp_path / "debian"
    recipe.mkdir()
    (recipe / "build.sh").write_text("#!/bin/sh\necho E: mirror unreachable\nexit 1\n")
    (recipe / "build.sh").chmod(0o755)
    monkeypatch.setattr(images, "RECIPE", recipe)
    monkeypatch.setattr(images, "LOG", tmp_path / "images.log")
    monkeypatch.setattr(debian, "here", lambda: True)
    monkeypatch.setattr(debian, "as_root", lambda *command: list(command))
    monkeypatch.setattr(debian, "allow_sudo", lambda command: None)
    monkeypatch.setattr(images, "_installed", lambda package: True)
    with pytest.raises(Mendable, match="mirror unreachable"):
        images.build(yes=True)
