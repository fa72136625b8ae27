"""The whole way, once, told as it happens: two states' rosters in, a protected table and a verified log out.

Everything here goes through what anybody else could use: the two programs, HTTP, and files. The demo imports
nothing of the service.
"""

from __future__ import annotations

import time
from pathlib import Path

from rich.panel import Panel

from app.demo import further, linking, plan, publishing, setting_up
from app.demo.scenario import ScaleError, generate
from app.demo.stage import DemoError, Stage, Workspace, make_console, prepare, service


def run_demo(data: Path, scale: float = 1.0, seed: int = 2026) -> int:
    """Run the demo and return the exit code: 0, or 1 with the reason on the terminal.

    1. The region: five agencies' files, with names in them.
    2. A neutral service, and an agreement that every data owner signs.
    3. Each agency encodes on its own premises.
    4. Each agency submits over HTTP and holds a signed receipt.
    5. One linkage run over encodings.
    6. How good the links are, measured outside of the service.
    7. The partnership's tables and charts.
    8. The auditor's log, a forgery that fails, and a search for all the names.

    Parameters
    ----------
    data
        Folder; emptied first if it is an older demo's, refused if it holds anything else.
    scale
        1.0 for 85,000 workers; 0.02 for a quick look.
    seed
        Seed of the generated region.
    """
    started = time.monotonic()
    console = make_console()
    try:
        space = prepare(data)
        stage = Stage(space, console)
        console.print(
            Panel(_WELCOME, title="[bold]Cohortlink demo[/bold]", title_align="left", padding=(0, 2))
        )
        scenario = setting_up.region(stage, lambda: generate(space.agencies, scale=scale, seed=seed))
        operator_key = setting_up.bootstrap(stage)
        with service(stage) as url:
            parties = setting_up.agreement(stage, url, operator_key)
            linking.encode(stage, scenario)
            receipts = linking.submit(stage, scenario, parties)
            run = linking.link(stage, parties)
            linking.measure(stage, scenario, parties, receipts, run)
            publishing.publish(stage, scenario, parties)
            further.publish_further(stage, parties)
            publishing.audit_online(stage, parties)
        publishing.audit_offline(stage)
        publishing.search_for_names(stage, scenario)
    except (DemoError, ScaleError) as error:
        console.print()
        console.print("The demo stopped.", style="bold red")
        console.print(str(error), markup=False)
        return 1
    minutes, seconds = divmod(int(time.monotonic() - started), 60)
    console.print()
    console.print(
        Panel(
            _FAREWELL.format(minutes=minutes, seconds=seconds, data=data, keys=_keys(Workspace(data))),
            title="[bold]Done[/bold]",
            title_align="left",
            padding=(0, 2),
        )
    )
    return 0


def _keys(space: Workspace) -> str:
    """Where each kind of user finds the key to sign in with, and what there is to see."""
    places = (
        ("partnership", space.partnership, "figures, gaps, where graduates work"),
        ("agency", space.agencies / plan.AGENCIES[0].slug, "batches, receipts, agreements"),
        ("auditor", space.auditor, "the log and its proofs"),
        ("operator", space.operator, "organizations, runs, health"),
    )
    lines = []
    for role, home, what in places:
        lines += [f"       {role:<12} {what}", f"                    {home / 'api-key'}"]
    return "\n".join(lines)


_WELCOME = """\
What share of the people who earn a credential around Cincinnati have work one year later?

The schools know who graduated, the workforce agencies know who is paid wages, and neither may show the \
other a name. Watch five agencies of two states find out together, without any name, number or address \
leaving any of them. All people are invented; programs, service and mathematics are real."""

_FAREWELL = """\
That was the whole way, in {minutes} min {seconds} s.

Next:  make serve              the same data in a browser, at http://127.0.0.1:8000
                               Sign in there with the key in one of these files:
{keys}
       README.md               what it is, what it guarantees and what it does not
       docs/agency-guide.md    for those who hold names
       docs/partnership-guide.md  and  docs/auditor-guide.md   for those who ask, and those who check

Everything that the demo made lies in {data}; the next demo deletes it."""
