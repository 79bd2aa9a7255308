"""What people type: the end of every command's ``--help``. Each line is parsed by the tests.

Agents, tools and rules are those that ``tacho demo`` leaves behind, so that a pasted line finds something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

EXAMPLES: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "up": (
        ("", "both, on this machine"),
        ("--no-dashboard", "the collector alone"),
    ),
    "demo": (
        ("--up", "start everything and look at it"),
        ("support payout", "two agents, into the collector that runs"),
        ("--list", ""),
    ),
    "runs": (
        ("--agent ledger-export --outcome stopped --since 24h", ""),
        ("--search 'checkout outage'", "words of inputs and outputs"),
        ("--min-cost 0.002 --order most-expensive --limit 10", ""),
        ("--attribute tacho.tool.name=send_mail --json", ""),
    ),
    "show": (
        ("last", ""),
        ("last --full", "or the beginning of an id, as `tacho runs` prints it"),
    ),
    "agents": (
        ("", "all of them"),
        ("support-refund --since 30d", "one in detail, and what to add next"),
    ),
    "costs": (("", "by agent, of the last week"), ("--by customer --since 30d", "")),
    "record": (
        ("-- python desk.py", ""),
        ("-- pytest tests/test_desk.py", "what it records replays with the same hash seed"),
    ),
    "replay": (
        ("last", "the newest run, with the code of this folder"),
        ("run.tacho --html report.html", ""),
        ("--since 24h --agent billing-run", "what a deploy would change"),
    ),
    "fork": (
        ("last --at 2 --allow-writes", ""),
        ("""last --at 3 --set '2.result={"ok": false}'""", "answer step 2 otherwise"),
        ("last --at 1 --model claude-haiku-4-5 --tools tape -n 5", "another model, five times"),
    ),
    "resume": (("last", "go on where the process was killed"), ("4bf92f --allow-writes", "")),
    "test": (("last", "into tests/"), ("run.tacho -o tests/recorded", "")),
    "check": (
        ("last", "is all of it recorded?"),
        ("last --orders 20 --save race.tacho", "look for races, and keep the first"),
    ),
    "export": (("last", "into a file named after it"), ("last -o run.tacho", "")),
    "import": (("run.tacho", ""),),
    "worker": (("", "until Ctrl-C, with the code of this folder"), ("--code ~/desk --once", "")),
    "approvals": (
        ("", "what waits"),
        ("3f2a", "one, whole"),
        ("link 3f2a --for maria --hours 2", "two links for a mail or a chat message"),
    ),
    "approve": (
        ("3f2a --reason 'checked the photos'", ""),
        ("""3f2a --params '{"order_id": "A-1007", "usd": 500}'""", "with other arguments"),
    ),
    "refuse": (("3f2a --reason 'send a new one instead'", ""),),
    "escalate": (("3f2a --reason 'over my limit'", ""),),
    "pause": (
        ("billing-run --reason 'wrong customer list'", ""),
        ("--run 4bf92f", "one run"),
        ("--all --reason maintenance", ""),
    ),
    "unpause": (("billing-run", ""), ("--all", "")),
    "stop": (("ledger-export --reason 'goes in circles'", ""), ("--run 4bf92f", "one run")),
    "drift": (
        ("", ""),
        ("ack 2baaf3 --learn --note 'new model'", "the change is to stay"),
        ("ack 2baaf3 --dismiss", "not worth it"),
    ),
    "guard": (
        ("", "every new version"),
        ("--agent demo-deployed --baseline 1.4.0 --candidate 1.5.0", "a gate for deployments"),
    ),
    "alert": (
        ("", "the rules"),
        ("target set team https://hooks.example.com/tacho-7f3a", "who is told"),
        ("set 'runs fail' --metric failure_rate --by agent --critical 25% --to team", ""),
        ("snooze 'runs fail' 2h", ""),
    ),
    "alert list": (("--json", ""),),
    "alert firing": (("", ""),),
    "alert metrics": (("", ""),),
    "alert set": (
        ("dear --metric cost_usd --by agent --window 1h --warning 5 --critical 20", ""),
        ("waits --metric approval_wait_s --critical 15m --renotify 1h", "--to TARGET: who is told"),
        ("dear --critical 30 --dry-run", "what would it find now?"),
    ),
    "alert show": (("'a budget stopped an agent'", ""),),
    "alert rm": (("'a budget stopped an agent'", ""),),
    "alert snooze": (
        ("'a budget stopped an agent' 2h --group ledger-export", "one agent of it"),
        ("'a budget stopped an agent' --end", ""),
    ),
    "alert history": (("--limit 10", ""), ("--deliveries", "did they arrive?")),
    "alert ack": (("'a budget stopped an agent' --note 'I look into it'", ""),),
    "alert target": (("set team https://hooks.example.com/tacho-7f3a", ""), ("list", "")),
    "alert target set": (
        ("team https://hooks.example.com/tacho-7f3a", ""),
        ("team -", "the URL from standard input"),
    ),
    "alert target list": (("", ""),),
    "alert target rm": (("team", ""),),
    "alert windows": (("", ""), ("--rm sunday", "")),
    "alert digests": (("", ""), ("--rm morning", "")),
    "alert test": (("team", ""),),
    "alert apply": (("-f alerts.yaml", ""),),
    "budget": (
        ("", "what is left"),
        ("set acme-day --usd 20 --scope customer --target acme --window day", ""),
    ),
    "budget list": (("--json", ""),),
    "budget show": (("acme-day", ""),),
    "budget set": (
        ("acme-day --usd 20 --scope customer --target acme --window day", ""),
        ("hourly --tokens 200000 --scope user --window rolling --rolling-s 3600 --action ask", ""),
    ),
    "budget rm": (("acme-day", ""),),
    "budget apply": (("-f budgets.yaml --prune", ""),),
    "prices": (
        ("", "your list"),
        ("set our-model --input 2 --output 10 --from 2026-01-01", ""),
        ("reprice --since 2026-01-01", ""),
    ),
    "prices list": (("", ""),),
    "prices set": (("our-model --input 2 --output 10 --cache-read 0.2 --from 2026-01-01", ""),),
    "prices rm": (("our-model --from 2026-01-01", ""),),
    "prices import": (("prices.yaml", ""),),
    "prices reprice": (("--since 2026-01-01", ""),),
    "key": (("", "every key"), ("create maria --role operate", "")),
    "key create": (
        ("support-agent", "may send spans"),
        ("maria --role operate --project shop", "may decide and pause"),
    ),
    "key list": (("", ""),),
    "key revoke": (("0123456789ab", ""),),
    "audit": (("--limit 10", ""), ("--verify", "was anything altered?")),
    "dsn": (("", ""),),
    "recover": (("", ""), ("--all", "")),
    "doctor": (("", ""), ("--settings", "")),
}
"""By command: what follows it, and what it is good for, where that is not plain."""

_COMMENT_COLUMN = 46


def examples_of(prog: str) -> str:
    """The end of the help of a command (``tacho alert set``), or nothing."""
    known = EXAMPLES.get(prog.removeprefix("tacho "), ())
    return "\n".join(("", "examples:", *_lines(prog, known), "")) if known else ""


def _lines(prog: str, known: Sequence[tuple[str, str]]) -> list[str]:
    typed = [(f"{prog} {words}".rstrip(), why) for words, why in known]
    column = max((len(line) for line, why in typed if why), default=0)
    column = min(column, _COMMENT_COLUMN)
    return [f"  {line:{column}}  # {why}" if why else f"  {line}" for line, why in typed]
