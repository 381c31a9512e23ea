"""The command line. Every command is one call into one module, imported when it is called: together they cost 0.8 s."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="./lab",
    help="RabbitMQ by doing: a course on a live three-node cluster. Start with ./lab start; grade an answer with ./lab check 1/ex_01.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
lessons_app = typer.Typer(help="The author's pipeline: page to notebook to recorded outputs.", no_args_is_help=True)
app.add_typer(lessons_app, name="lessons", rich_help_panel="Write the course")

Key = Annotated[str, typer.Argument(metavar="KEY", help="A unit: 1/ex_01, 1/project, 1/04; a bare number is a module.")]
Keys = Annotated[list[str] | None, typer.Argument(metavar="[KEY ...]", help="Units or modules; all when none is given.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; install what is missing.")]
LEARN, CLUSTER, WRITE = "Learn", "The cluster", "Write the course"


@app.command(rich_help_panel=LEARN)
def start(yes: Yes = False, no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the addresses.")] = False):
    """Start everything: cluster, site and JupyterLab. Run twice, it prints the addresses."""
    from rabbitlab import servers

    servers.start(yes=yes, browser=not no_browser)


@app.command(rich_help_panel=LEARN)
def stop():
    """Stop the site and JupyterLab; the cluster stays."""
    from rabbitlab import servers

    servers.stop()


@app.command(rich_help_panel=LEARN)
def check(key: Key):
    """Grade my answer."""
    from rabbitlab.grading import loop

    sys.exit(loop.check(key))


@app.command(rich_help_panel=LEARN)
def watch(poll: Annotated[bool, typer.Option("--poll", help="Look at the files every second, where file events do not arrive.")] = False):
    """Grade each answer when I save it."""
    from rabbitlab.grading import loop

    loop.watch(poll=poll)


@app.command(rich_help_panel=LEARN)
def hint(key: Key):
    """Show the next of three hints."""
    from rabbitlab.grading import loop

    loop.hint(key)


@app.command(rich_help_panel=LEARN)
def reset(key: Key, yes: Yes = False):
    """Put the stub back; my file is kept as a backup."""
    from rabbitlab.grading import loop

    loop.reset(key, yes=yes)


@app.command(rich_help_panel=LEARN)
def progress():
    """What I have done so far."""
    from rabbitlab.grading import loop

    loop.progress()


@app.command(rich_help_panel=CLUSTER)
def up(
    yes: Yes = False,
    tls: Annotated[bool, typer.Option("--tls", help="Also the node that speaks TLS only (lesson 4.5).")] = False,
    monitoring: Annotated[bool, typer.Option("--monitoring", help="Also Prometheus, Alertmanager and Grafana (lesson 4.4).")] = False,
):
    """Start the cluster alone, and wait until it can serve."""
    from rabbitlab import cluster

    wanted = {"monitoring": monitoring, "tls": tls}
    cluster.up(yes=yes, profiles=tuple(profile for profile, asked in wanted.items() if asked))


@app.command(rich_help_panel=CLUSTER)
def certs(renew: Annotated[bool, typer.Option("--renew", help="Make new ones in any case.")] = False):
    """Make the certificates of the node that speaks TLS; those that are valid are kept."""
    from rabbitlab import certificates

    certificates.show(renew=renew)


@app.command(rich_help_panel=CLUSTER)
def down(volumes: Annotated[bool, typer.Option("--volumes", help="Also delete what the queues hold.")] = False, yes: Yes = False):
    """Stop site and JupyterLab, and remove the cluster; what is on disk stays in its volumes."""
    from rabbitlab import servers

    servers.down(volumes=volumes, yes=yes)


@app.command(rich_help_panel=CLUSTER)
def status():
    """Nodes, versions, ports and users."""
    from rabbitlab import cluster

    sys.exit(cluster.status())


@app.command(rich_help_panel=CLUSTER)
def logs(
    node: Annotated[
        str | None,
        typer.Argument(metavar="[NODE]", help="rabbit1, rabbit2, rabbit3, haproxy, prometheus, rabbit-tls ...; the three nodes if none."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines arrive.")] = False,
    search: Annotated[str, typer.Option("--search", metavar="TEXT", help="Only lines that contain this.")] = "",
    level: Annotated[str | None, typer.Option("--level", help="Only lines as grave as this: warning, error ...")] = None,
):
    """The logs of the three nodes, merged by time; or the log of one."""
    from rabbitlab import cluster

    sys.exit(cluster.logs(node, follow=follow, search=search, level=level))


@app.command(rich_help_panel=CLUSTER)
def topology(vhost: Annotated[str, typer.Argument(metavar="[VHOST]", help="The virtual host to draw.")] = "/"):
    """Draw exchanges, bindings and queues as they are now."""
    from rabbitlab import topology

    topology.show(vhost)


@app.command(rich_help_panel=CLUSTER)
def heal():
    """Put the cluster right, whatever broke it: killed, paused or parted nodes, alarms, missing users."""
    from rabbitlab.healing import screen

    screen.show()


@app.command(rich_help_panel=CLUSTER)
def doctor():
    """Name each thing that is wrong, and the command that mends it."""
    from rabbitlab import doctor

    sys.exit(doctor.run())


@app.command(rich_help_panel=CLUSTER)
def audit(
    url: Annotated[str | None, typer.Option("--url", metavar="URL", help="Management API of another cluster than the lab's.")] = None,
    user: Annotated[str | None, typer.Option("--user", metavar="NAME", help="Who reads; the tag monitoring sees most of it.")] = None,
    password_env: Annotated[str | None, typer.Option("--password-env", metavar="VARIABLE", help="Where the password is.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for the password.")] = False,
    ca: Annotated[str | None, typer.Option("--ca", metavar="FILE", help="Certificate of the authority to trust, for https.")] = None,
    cert: Annotated[str | None, typer.Option("--cert", metavar="FILE", help="Certificate to show, where one is demanded.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="FILE", help="Its private key.")] = None,
    config: Annotated[str | None, typer.Option("--config", metavar="FILE", help="Its rabbitmq.conf, for what the API hides.")] = None,
    prometheus: Annotated[str | None, typer.Option("--prometheus", metavar="URL", help="The Prometheus that watches it.")] = None,
    metrics: Annotated[list[str] | None, typer.Option("--metrics", metavar="URL", help="Metrics of a node; once for each.")] = None,
    vhost: Annotated[list[str] | None, typer.Option("--vhost", metavar="NAME", help="Only this virtual host; may be repeated.")] = None,
    important: Annotated[str | None, typer.Option("--important", metavar="REGEX", help="Which queues must be safe; else all.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    html: Annotated[str | None, typer.Option("--html", metavar="FILE", help="Also write a page.")] = None,
):
    """Read a cluster, change nothing, and say how it stands with the production checklists."""
    from rabbitlab import audit

    source = audit.Source(url, user, password_env, password, ca, cert, key, config, prometheus, tuple(metrics or ()))
    sys.exit(audit.run(source, vhosts=vhost or (), important=important, as_json=json, html=html))


@app.command(rich_help_panel=WRITE)
def verify(
    keys: Keys = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write the results there too.")] = None,
):
    """Prove lessons, solutions, stubs and wrong answers on the cluster."""
    from rabbitlab import verify

    sys.exit(verify.run(keys or [], json_file=json))


@app.command(rich_help_panel=WRITE)
def faults(
    rows: Annotated[list[str] | None, typer.Argument(metavar="[ROW ...]", help="Faults by name; all when none is given.")] = None,
    runs: Annotated[int | None, typer.Option("--runs", metavar="N", help="Until the results hold N runs of each; else one more.")] = None,
    results: Annotated[Path | None, typer.Option("--results", metavar="FILE", help="Add each run to this file (JSON lines).")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Of what is left to chance.")] = None,
    programs: Annotated[str, typer.Option("--programs", help="Who plays: patterns, plain or careless.")] = "patterns",
    markdown: Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="Write the table there, as Markdown.")] = None,
):
    """Break the cluster while messages flow through the production patterns, and show what was lost."""
    from rabbitlab import matrix

    sys.exit(matrix.run(rows or [], runs=runs, file=results or matrix.RESULTS, seed=seed, programs=programs, markdown=markdown))


@app.command(rich_help_panel=WRITE)
def bench(
    rounds: Annotated[int, typer.Option("--rounds", help="How often each contender runs.")] = 5,
    seconds: Annotated[float, typer.Option("--seconds", help="For how long each publishes.")] = 2.0,
    everything: Annotated[bool, typer.Option("--all", help="Also every notebook, and the start of the cluster: it is stopped.")] = False,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures there too.")] = None,
    chart: Annotated[Path | None, typer.Option("--chart", metavar="FILE", help="Draw them there, as SVG.")] = None,
):
    """Measure the production patterns against the limit and against other clients, on the live cluster."""
    from rabbitlab import bench

    sys.exit(bench.run(rounds=rounds, seconds=seconds, everything=everything, json_file=json, chart=chart))


@app.command(rich_help_panel=WRITE)
def test(yes: Yes = False):  # noqa: PT028 - a command, no test
    """Everything: lint, tests, site, verify, notebooks, browser."""
    from rabbitlab import everything

    sys.exit(everything.run(yes=yes))


@lessons_app.command("build")
def lessons_build(keys: Keys = None):
    """Make the notebooks from the pages; outputs of unchanged cells stay."""
    from rabbitlab import lessons

    sys.exit(lessons.build(keys or []))


@lessons_app.command("record")
def lessons_record(
    keys: Keys = None, measured: Annotated[bool, typer.Option("--measured", help="Record cells that measure, too.")] = False
):
    """Run every cell on the cluster and store the outputs."""
    from rabbitlab import lessons

    sys.exit(lessons.record(keys or [], measured=measured))


@lessons_app.command("check")
def lessons_check(keys: Keys = None):
    """Fail where page and notebook differ, or a cell was never run."""
    from rabbitlab import lessons

    sys.exit(lessons.check(keys or []))


def main():
    """Run a command; an error that the user can mend is one line, without a traceback."""
    from rabbitlab.errors import Mendable
    from rabbitlab.units import UnknownUnit

    try:
        app(prog_name="./lab")
    except (Mendable, UnknownUnit) as error:
        from rich.console import Console

        # No markup: an error may quote a log, and a log has [brackets].
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
