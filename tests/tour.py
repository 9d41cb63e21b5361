"""From nothing to an alert that names the cause: the agent installed, three of them in a lab, TLS, Prometheus, Alertmanager.

`python -m tests.tour` as root; `make tour` installs what it needs first. It makes an authority and certificates, installs the
agent with the Makefile's own recipe, and starts the demo's lab with an agent on each master that lets in who shows a certificate;
on the clients' machine Prometheus with the project's rules, Alertmanager and a webhook. Then etcd fails. The exit status is 1 if
anything is not as it should be: a target that is not up, a scrape that is let in without a certificate, an alert that does not
come or names a cause that was none, an alert for which there was no reason, a panel of the dashboards without a value.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.dashboards import asking, stack
from tests.demo import Audit, Show, outage, staged
from tests.lab import CLIENT, FOREIGN, MASTERS, OPENSHIFT_ORIGINAL, Lab, address, missing, netns
from tests.lab.agents import PORT, Agent, node_of
from tests.lab.moves import Move, moves
from tests.lab.storm import CLIENTS
from tests.sinks.tls_authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("make", "openssl", "prometheus", "prometheus-alertmanager", "promtool")
SCRAPE = 2
"""Seconds between scrapes."""
WITH, WITHOUT = "vrrp-observer", "no-certificate"
"""The job that shows a certificate, and the one that does not."""
PATIENT = 10
"""Seconds that an agent has to end: TimeoutStopSec of its unit."""
PATIENCE = 150
"""Seconds: a flap closes a minute after its move, and an alert waits for a minute more."""

MAY_BE_EMPTY = {
    "vrrp_flap_connections_refused_total": "HAProxy listens on all machines, so that nobody is refused",
    "vrrp_flap_connections_left_total": "clients talk all the time, so that each finds out that its connection is gone",
    "vrrp_dual_active_seconds_total": "only a contested election has two, for some milliseconds",
    "vrrp_flap_misdirected_seconds_total": "only if the loser of a contested election is the last to announce the address",
    "vrrp_storm_active": "the address may come to rest before three moves make a storm",
}
"""Metrics that are shown where they are above 0, and why they may be 0 in this incident; nothing else may be empty. A panel has
something else beside them."""

UNWARRANTED = "VrrpUnwarrantedFlap"
WANTED = (UNWARRANTED, "VrrpMalformedAdverts")
ALLOWED = (*WANTED, "VrrpStorm")
"""Alerts that this incident gives; how many moves it takes, and so whether it is a storm, is chance."""


def install(folder: Path, show: Show) -> Path:
    """The program as `make install` installs it, but not where this machine's own may be; the command."""
    made = ["make", "-s", "-C", str(ROOT), "program", f"OPT={folder}"]
    done = subprocess.run(made, check=False, timeout=600, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(made)}: exit status {done.returncode}: {done.stderr.strip()}")
    program = folder / "bin" / "vrrp-observer"
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, cwd="/", timeout=60).stdout
    where = [str(folder / "bin" / "python"), "-I", "-c", "import observer; print(observer.__path__[0])"]
    package = Path(subprocess.run(where, capture_output=True, text=True, check=True, cwd="/", timeout=60).stdout.strip())
    if not package.is_relative_to(folder):
        raise RuntimeError(f"{package}: the program runs from there, not from where it was installed")
    show.event(f"installed: {version.strip()}, from {package.relative_to(folder)} of a venv of its own")
    return program


def configured(lab: Lab, node: str, authority: Authority) -> Path:
    """A master's configuration, in the words of docs/deploy-systemd.md; a lab has keepalived's files at places of its own."""
    cert, key = authority.issue(node, address=address(node))
    settings = {
        "tls_cert": cert,
        "tls_key": key,
        "tls_client_ca": authority.cert,
        "keepalived_conf": str(lab.out / f"{node}.keepalived.conf"),
        "logs": [str(lab.out / f"{node}.keepalived.log")],
        "haproxy_socket": str(lab.run / f"{node}.haproxy.sock"),
    }
    path = lab.out / f"{node}.toml"
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()), encoding="utf-8")
    return path


def scrapes(authority: Authority) -> list[dict[str, Any]]:
    """The same targets twice: with a client certificate, and without."""
    cert, key = authority.issue("prometheus")
    agents = [{"targets": [f"{address(node)}:{PORT}"], "labels": {"cluster": "lab", "instance": node}} for node in MASTERS]
    known = {"ca_file": authority.cert, "cert_file": cert, "key_file": key}
    jobs = ((WITH, known), (WITHOUT, {"ca_file": authority.cert}))
    return [{"job_name": name, "scheme": "https", "tls_config": tls, "static_configs": agents} for name, tls in jobs]


def targets(prometheus: stack.Prometheus, show: Show, audit: Audit) -> None:
    """Who is scraped, and who is refused."""

    def active() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = prometheus.api("targets")["activeTargets"]
        return found if len(found) == 2 * len(MASTERS) and all(target["health"] != "unknown" for target in found) else []

    show.headline("What Prometheus says of its targets")
    for target in sorted(stack.wait(active, 30, "every target to be scraped"), key=lambda found: found["scrapePool"]):
        url, job, health, error = (target[key] for key in ("scrapeUrl", "scrapePool", "health", "lastError"))
        wrong = [] if url.startswith("https://") else ["not by TLS"]
        if job == WITH and (health, error) != ("up", ""):
            wrong.append("not let in with a certificate")
        if job == WITHOUT and "403 Forbidden" not in error:
            wrong.append("not refused without a certificate")
        show.say(f"  {job:16}{url:36}{health:6}{error:44}{audit.mark(wrong)}")


def public(lab: Lab, authority: Authority, show: Show, audit: Audit) -> None:
    """What the first agent answers to who shows no certificate: health, as kubelets need it, and nothing else."""
    show.say("  without a certificate:")
    for path, wanted in (("/healthz", "200"), ("/readyz", "200"), ("/metrics", "403"), ("/", "403")):
        words = ["curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", authority.cert]
        said = lab.exec(CLIENT, [*words, f"https://{address(MASTERS[0])}:{PORT}{path}"]).stdout
        show.say(f"  {path:16}{said:86}{audit.mark([] if said == wanted else [f'should be {wanted}'])}")


def incident(lab: Lab, show: Show) -> str:
    """The demo's outage, then what else the dashboards can show; the holder that was stopped in the end."""
    outage(lab, show)
    show.event("a machine that has no part in this sends three adverts with a wrong checksum")
    lab.malformed(FOREIGN)
    holder = lab.wait_active(timeout=30)
    show.event(f"an administrator stops keepalived on {holder}, which has the address")
    lab.keepalived(holder).stop()
    lab.wait_move(holder)
    return holder


def settled(prometheus: stack.Prometheus, posted: list[dict[str, Any]], stopped: str) -> bool:
    """Whether all flaps are closed, with their cost, and the last one's alert has come."""
    # A flap is counted some seconds after its move, and closes a minute after it.
    still = prometheus.query(f'sum(vrrp_flaps_open{{job="{WITH}"}}) == 0 and sum(changes(vrrp_flaps_total[1m])) == 0')
    last = {"alertname": UNWARRANTED, "router": address(stopped), "cause": "stopped"}.items()
    return bool(still) and any(last <= alert["labels"].items() for alert in posted)


def alerts(posted: list[dict[str, Any]], really: set[tuple[str, str]], show: Show, audit: Audit) -> None:
    """What came to the webhook, against what happened: who lost the address, and why."""
    show.headline("What came to the webhook")
    fired = {json.dumps(alert["labels"], sort_keys=True): alert for alert in reversed(posted) if alert["status"] == "firing"}
    for alert in sorted(fired.values(), key=lambda found: str(found["startsAt"])):
        labels, notes = alert["labels"], alert["annotations"]
        name, wrong = labels["alertname"], []
        if name not in ALLOWED:
            wrong.append("there was no reason for it")
        if name == UNWARRANTED:
            if (node_of(labels["router"]), labels["cause"]) not in really:
                wrong.append("that did not happen")
            if f"Cause: {labels['cause']}." not in notes["description"]:
                wrong.append("it does not say the cause")
        show.say(f"  {alert['startsAt'][11:19]}  {name} ({labels['severity']}): {notes['summary']}  {audit.mark(wrong)}")
        show.say(show.style(f"            {notes['description']}", "dim"))
        show.say(show.style(f"            {notes['runbook_url']}", "dim"))
    came = {alert["labels"]["alertname"] for alert in fired.values()}
    moved = [alert["labels"] for alert in fired.values() if alert["labels"]["alertname"] == UNWARRANTED]
    named = {(node_of(labels["router"]), labels["cause"]) for labels in moved}
    lacking = [name for name in WANTED if name not in came]
    lacking += [f"{UNWARRANTED} for {node} with cause {cause}" for node, cause in sorted(really - named)]
    for name in lacking:
        show.say(f"            {name}  {audit.mark(['did not come'])}")


def panels(prometheus: stack.Prometheus, begin: float, end: float, show: Show, audit: Audit) -> None:
    """What every panel and annotation of the dashboards shows, and the choices that their variables offer."""
    show.headline("What the dashboards show: series and values of every panel's expressions")
    questions = list(asking.asked())
    for dashboard in dict.fromkeys(question.dashboard for question in questions):
        show.say(f"{dashboard}.json", "bold")
        for name, values in asking.choices(prometheus, dashboard, begin, end).items():
            show.say(f"  variable {'$' + name:46}{', '.join(values):24}{audit.mark([] if values else ['nothing to choose'])}")
        for question in (question for question in questions if question.dashboard == dashboard):
            found = asking.shown(prometheus, question, begin, end, SCRAPE)
            drawn = list(numbers(found))
            wrong, why = ([], "") if drawn else excused(prometheus, question, begin, end)
            figures = f"= {drawn[0]:.6g}" if question.once and len(drawn) == 1 else f"{len(drawn)} values"
            label = question.where.removeprefix(f"{dashboard}: ")
            show.say(f"  {label:55}{len(found):2} series, {figures:13}{audit.mark(wrong)}{why and f': empty, {why}'}")


def numbers(found: Iterable[dict[str, Any]]) -> Iterable[float]:
    """The values of series that a panel can draw."""
    pairs = (pair for series in found for pair in (series["values"] if "values" in series else [series["value"]]))
    return (number for number in (float(value) for _, value in pairs) if not math.isnan(number))


def excused(prometheus: stack.Prometheus, question: asking.Asked, begin: float, end: float) -> tuple[list[str], str]:
    """What is wrong with an empty answer, and what excuses it: it is filled once what is 0 is shown too."""
    condition = " == 1" if question.expr.endswith(" == 1") else " > 0"
    whole = replace(question, expr=question.expr.removesuffix(condition))
    reason = next((why for metric, why in MAY_BE_EMPTY.items() if metric in question.expr), "")
    if not reason or whole == question:
        return ["empty"], ""
    if not any(True for _ in numbers(asking.shown(prometheus, whole, begin, end, SCRAPE))):
        return ["empty, even where 0 is shown"], ""
    return [], reason


def flaps(prometheus: stack.Prometheus, begin: float, end: float, truth: list[Move], show: Show, audit: Audit) -> None:
    """Flaps and their cost as the rules and the dashboards count them, against the kernels' events and the clients' count."""

    def number(expr: str) -> int:
        return round(sum(numbers(prometheus.query(expr, end))))

    show.headline("Flaps")
    by_agent = prometheus.query("sum by (instance) (vrrp_flaps_total)", end)
    told = ", ".join(f"{entry['metric']['instance']} {entry['value'][1]}" for entry in by_agent)
    once = number("sum(router:vrrp_flaps:increase15m)")
    counted = f"agents counted {told}; each once, by the recording rule: {once}; the address moved {len(truth)} times"
    show.say(f"  {counted}  {audit.mark([] if once == len(truth) else ['not the same'])}")
    reset = number(f"sum(increase(vrrp_flap_connections_reset_total[{round(end - begin)}s]))")
    really = sum(move.resets for move in truth)
    # increase() extrapolates.
    near = abs(reset - really) <= max(3, really // 20)
    show.say(f"  connections reset: {reset}; by the clients' own count {really}  {audit.mark([] if near else ['not the same'])}")
    exemplars = prometheus.api("query_exemplars", query="vrrp_flaps_total", start=begin, end=end)
    ids = {exemplar["labels"]["flap"] for series in exemplars for exemplar in series["exemplars"]}
    example = min(ids, default="none")
    show.say(f"  exemplars with a flap's id: {len(ids)}, such as {example}  {audit.mark([] if ids else ['none'])}")
    if len(truth) < 2:
        show.say(f"  {audit.mark(['the outage moved nothing this time: nothing was shown; try again'])}")


def pages(lab: Lab, words: tuple[str, ...], moved: int, show: Show, audit: Audit) -> None:
    """What the agents' pages for people say at the end: who is Active, who has the address, and every flap."""
    show.headline("The pages for people")
    holder = lab.holder()
    for node in MASTERS:
        url = f"https://{address(node)}:{PORT}/"
        said = lab.exec(CLIENT, ["curl", "-sf", "-m", "5", *words, url]).stdout
        [row] = re.findall(r"<td>51</td>.*?</tr>", said) or [""]
        cells = re.findall(r"<td>(.*?)</td>", row)
        active, held = (cells[2], cells[-1]) if cells else ("nothing", "nothing")
        counted = said.count("<summary")
        wrong = [] if active == address(holder) else [f"{holder} is"]
        wrong += [] if held == ("yes" if node == holder else "no") else ["not so"]
        wrong += [] if counted == moved else [f"{moved} in truth"]
        show.say(f"  {url:28}Active: {active}; held by this node: {held:4}{counted} flaps  {audit.mark(wrong)}")


def ended(agents: list[Agent], show: Show, audit: Audit) -> None:
    """Whether the agents end in order, in the time that the unit gives them (TimeoutStopSec)."""
    show.headline("The agents, told to end")
    for agent in agents:
        begun = time.monotonic()
        try:
            status = agent.stop(PATIENT)
        except subprocess.TimeoutExpired:
            wrong = [f"does not end in {PATIENT} s"]
        else:
            wrong = [f"exit status {status}"] if status else []
        wrong += [said] if (said := agent.errors.read_text(encoding="utf-8").strip()) else []
        show.say(f"  {agent.node}: after {time.monotonic() - begun:.1f} s  {audit.mark(wrong)}")


def play(out: Path, show: Show) -> int:
    """The whole tour; the number of things that are not as they should be."""
    audit = Audit(show)
    show.headline("An authority, certificates, and the agent installed")
    (out / "tls").mkdir(parents=True)
    authority = Authority(out / "tls", "authority").create()
    program = install(out / "opt", show)
    setting = OPENSHIFT_ORIGINAL.with_timings(interval=1, fall=2, rise=3)
    with ExitStack() as running:
        lab = running.enter_context(Lab(setting, out / "lab", capture=None))
        lab.start()
        lab.wait_active()
        mine = authority.issue("administrator")
        words = ("--cacert", authority.cert, "--cert", mine[0], "--key", mine[1])
        agents = []
        for node in MASTERS:
            config = configured(lab, node, authority)
            subprocess.run([program, "check-config", config], check=True, stdout=subprocess.DEVNULL, timeout=60)
            agent = Agent(lab, node, "--config", str(config), program=str(program), host=address(node), tls=words)
            agents.append(agent.start())
        for agent in agents:
            agent.wait_ready(60)
        show.event("three masters, an agent on each, which lets in who shows a certificate of the authority")

        # From here on this is the machine of the clients, and of those who watch.
        running.enter_context(netns.entered(lab.namespace(CLIENT)))
        url, posted = running.enter_context(stack.webhook())
        alertmanager = running.enter_context(stack.Alertmanager(out / "alertmanager", url))
        stack.configure(out / "prometheus", scrapes(authority), interval=f"{SCRAPE}s", alertmanager=alertmanager.port)
        begin = time.time()
        prometheus = running.enter_context(stack.Prometheus(out / "prometheus"))
        lab.start_clients(CLIENTS)
        show.event(f"Prometheus with the project's rules, Alertmanager, a webhook, and {CLIENTS} clients")
        targets(prometheus, show, audit)
        public(lab, authority, show, audit)

        show.headline("An outage of etcd")
        time.sleep(8)
        stopped = incident(lab, show)
        show.event("waiting for the last flap to close and for its alert, two minutes at most")
        stack.wait(lambda: settled(prometheus, posted, stopped), PATIENCE, "the last flap's end and its alert")
        # Bars are a minute wide, and Grafana draws whole ones.
        time.sleep(60 - time.time() % 60 + SCRAPE)
        end = time.time()
        truth = moves(lab.out)
        # Its log says no more than that it ended: the move that we made ourselves is the last.
        really = {(move.former, move.cause) for move in truth[:-1]} | {(stopped, "stopped")}
        alerts(posted, really, show, audit)
        flaps(prometheus, begin, end, truth, show, audit)
        panels(prometheus, begin, end, show, audit)
        pages(lab, words, len(truth), show, audit)
        ended(agents, show, audit)
    return audit.wrong


def main() -> int:
    """Run from the command line; 0 if all is as it should be, 1 if not, 2 if it cannot run here."""
    parser = argparse.ArgumentParser(prog="python -m tests.tour", description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what it makes there: logs, certificates, data")
    keep = parser.parse_args().keep
    absent = [tool for tool in TOOLS if not shutil.which(tool)]
    if lack := missing() or (absent and f"not installed: {', '.join(absent)}"):
        print(f"tour: {lack}; run `make tour` as root", file=sys.stderr)
        return 2
    if keep is not None:
        keep = keep.resolve()
        keep.mkdir(parents=True, exist_ok=True)
        if any(keep.iterdir()):
            print(f"tour: {keep}: not empty; name another directory", file=sys.stderr)
            return 2
    show = Show()
    wrong = staged(play, keep, "tour", show)
    if wrong is None:
        return 130
    said = ("all is as it should be", "green") if not wrong else (f"{wrong} things are not as they should be", "red")
    show.say(show.style(f"\n{said[0]}", said[1]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
