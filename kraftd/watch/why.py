"""`kraftd why NODE`: the facts behind a program's state, from what it is down to what happens next. Pure."""

from collections.abc import Iterator
from datetime import datetime

from kraftd.spec.figures import duration, plural
from kraftd.spec.plan import DAEMON
from kraftd.watch.facts import Document, Fact, Records, look, node_named
from kraftd.watch.restarts import Memory, Policy

_EVENTS_SHOWN = 3
_STOPPED = "STOPPED"


def why(document: Document, name: str, records: Records, now_s: float, policy: Policy | None = None) -> Iterator[Fact]:
    """Yield the chain behind a program's state.

    Args:
        document: What was seen.
        name: A program that the document has.
        records: What the state directory tells.
        now_s: Seconds since the Unix epoch.
        policy: How often the daemon restarts.
    """
    node = node_named(document, name)
    if node is None:
        raise LookupError(name)
    yield Fact(0, name, _state(node), look(document))
    yield from _wish(name, records, now_s)
    if node["ready"]:
        yield Fact(1, name, _serving(node), "its own answer")
        yield from _part(document, node)
    else:
        yield from _exit(node, now_s)
        yield from _next(document, node, records, now_s, policy or Policy())
        yield from _consequences(document, node)
    for event in records.events.get(name, ())[-_EVENTS_SHOWN:]:
        yield Fact(1, name, f"{_ago(event.at, now_s)}: {event.kind.replace('_', ' ')}, {event.text}", "events")
    yield Fact(1, name, f"logs to {node['log']}", "plan")


def _state(node: Document) -> str:
    reason = f": {node['reason']}" if node["reason"] else ""
    return f"is {node['service_state']}{reason}"


def _serving(node: Document) -> str:
    since = f" for {duration(node['uptime_s'])}" if node["uptime_s"] is not None else ""
    return f"runs as pid {node['pid']}{since} and answers on {node['listeners'][0]}"


def _wish(name: str, records: Records, now_s: float) -> Iterator[Fact]:
    wish = records.desired.programs.get(name)
    if wish is None:
        yield Fact(1, name, "was never asked to run", "desired.json")
        return
    wanted = "shall run" if wish.running else "shall not run"
    yield Fact(1, name, f"{wanted}: '{wish.by}' said so {_ago(wish.since, now_s)} ({wish.why})", "desired.json")


def _exit(node: Document, now_s: float) -> Iterator[Fact]:
    if node["pid"] is not None:
        text = f"its process runs (pid {node['pid']}, {node['process_state']}) but does not serve: {node['reason']}"
        yield Fact(1, node["name"], text, "its port")
        return
    ended = node["last_exit"]
    if ended is None:
        yield Fact(1, node["name"], f"no process of it runs ({node['process_state']})", "supervisord")
        return
    how = f"signal {ended['signal']}" if ended["signal"] else f"exit status {ended['status']}"
    yield Fact(1, node["name"], f"its last run ended {_ago(ended['at'], now_s)} with {how}", "supervisord.log")
    if ended["cause"]:
        yield Fact(2, node["name"], ended["cause"], "its log")


def _next(document: Document, node: Document, records: Records, now_s: float, policy: Policy) -> Iterator[Fact]:
    name = node["name"]
    if node["pid"] is not None or node["service_state"] == _STOPPED:
        return
    memory = records.memories.get(name, Memory())
    recent = [at_s for at_s in memory.restarted_at_s if 0 <= now_s - at_s < policy.window_s]
    spent = f"{len(recent)} of {policy.most_restarts} restarts within {policy.window_s / 60:g} minutes are used"
    daemon = node_named(document, DAEMON)
    if name == DAEMON:
        yield Fact(1, name, "supervisord starts it again at once, as long as supervisord itself runs", "plan")
    elif memory.given_up is not None:
        yield Fact(1, name, f"is not started again: {memory.given_up}", "restarts.json")
        yield Fact(2, name, "mend that, then 'kraftd start'", "restarts.json")
    elif document["status"] == "unsupervised" or daemon is None or daemon["pid"] is None:
        yield Fact(1, name, "nobody starts it again: the daemon does not run; 'kraftd start' does", look(document))
    else:
        yield Fact(1, name, f"the daemon starts it again at once: {spent}", "restarts.json")


def _part(document: Document, node: Document) -> Iterator[Fact]:
    """Yield what a broker that serves carries."""
    broker = _broker(document, node)
    if broker is not None and broker["leads"] is not None:
        leads = plural(broker["leads"], "partition")
        text = f"leads {leads}; {broker['in_sync']} of {plural(broker['replicas'], 'replica')} in sync"
        yield Fact(1, node["name"], text, look(document))
    if broker is not None and broker["unfenced"] is False:
        yield Fact(1, node["name"], "the cluster does not count it as alive: it is fenced", look(document))


def _consequences(document: Document, node: Document) -> Iterator[Fact]:
    """Yield what a program that does not serve costs."""
    broker = _broker(document, node)
    if broker is not None and broker["leads"] is not None and broker["replicas"] is not None:
        behind = broker["replicas"] - broker["in_sync"]
        leads = plural(broker["leads"], "partition")
        text = f"{behind} of {plural(broker['replicas'], 'replica')} out of sync; leads {leads}"
        yield Fact(1, node["name"], text, look(document))
    quorum = document.get("quorum")
    if quorum is not None and node["node_id"] in {voter["node_id"] for voter in quorum["voters"]}:
        leader = "no leader" if quorum["leader_id"] is None else f"leader {quorum['leader_id']}"
        yield Fact(1, node["name"], f"it is a voter; the quorum has {leader}", look(document))


def _broker(document: Document, node: Document) -> Document | None:
    brokers = document.get("brokers") or ()
    return next((broker for broker in brokers if broker["name"] == node["name"]), None)


def _ago(at: str, now_s: float) -> str:
    return f"{duration(max(0.0, now_s - datetime.fromisoformat(at).timestamp()))} ago"
