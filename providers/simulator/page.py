"""The front page: accounts, scripts and counts for a person, refreshed every two seconds."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem;
       color: #1c2024; background: #fff }
h1 { font-size: 1.3rem } h2 { font-size: 1rem; margin-top: 2rem }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: .75rem }
dl div { border: 1px solid #d8dce0; border-radius: .4rem; padding: .5rem .75rem }
dt { color: #5a6169; font-size: .8rem } dd { margin: 0; font-size: 1.25rem }
div.bad { border-color: #b3261e; background: #fdecea }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem;
         border-bottom: 1px solid #eee }
td.n { text-align: right } pre { margin: 0; white-space: pre-wrap; font-size: .8rem }
@media (prefers-color-scheme: dark) {
  body { color: #e6e8ea; background: #16181b } dt { color: #a0a7ae }
  dl div, th, td { border-color: #33383d } div.bad { background: #4a1713 } }
"""
_SECRETS: Final = frozenset({"secret", "password"})


def render(accounts: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> str:
    """Return the page."""
    webhooks = summary["webhooks"]
    figures = (
        ("posts", summary["posts"], False),
        ("accepted", summary["accepted"], False),
        ("segments", summary["segments"], False),
        ("accepted twice (reference)", summary["accepted_twice"], True),
        ("accepted twice (number)", summary["numbers_twice"], False),
        ("STOPs answered", f"{summary['stops_answered']} of {summary['stops']}", False),
        ("accepted after STOP", len(summary["accepted_after_stop"]), True),
        ("resent after doubt", len(summary["resent_after_doubt"]), True),
        ("webhooks answered", f"{webhooks['answered']} of {webhooks['events']}", False),
        ("webhooks given up", webhooks["given_up"], True),
    )
    rows = "".join(_account(each, summary["accounts"]) for each in accounts)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta http-equiv=refresh content=2><meta name=viewport content='width=device-width'>"
        f"<title>Provider simulator</title><style>{_STYLE}</style>"
        "<h1>Provider simulator</h1>"
        f"<dl>{''.join(_figure(*figure) for figure in figures)}</dl>"
        "<h2>Accounts</h2><table><tr><th>Account<th>Dialect<th>Posts<th>Accepted<th>Refused, faults"
        f"<th>Script</tr>{rows or '<tr><td colspan=6>Nobody has posted yet.'}</table>"
        "<h2>Ask it</h2><p><a href=/_control/ledger>ledger</a> · "
        "<a href=/_control/ledger/messages>messages</a> · "
        "<a href=/_control/ledger/stops>stops</a> · "
        "<a href=/_control/rates>rates</a> · <a href=/_control/accounts>accounts</a></p></html>"
    )


def _figure(name: str, value: object, is_bad: bool) -> str:  # noqa: FBT001 - a column of a table
    mark = " class=bad" if is_bad and value else ""
    return f"<div{mark}><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>"


def _account(described: Mapping[str, Any], counts: Mapping[str, Any]) -> str:
    counted = counts.get(described["account"], {"posts": 0, "accepted": 0})
    troubles = {**counted.get("refused", {}), **counted.get("faults", {})}
    trouble = ", ".join(f"{name} {count}" for name, count in troubles.items())
    shown = {name: "***" if name in _SECRETS else value for name, value in described["script"].items()}
    script = json.dumps(shown, indent=1) if shown else "does no wrong"
    return (
        f"<tr><td>{escape(described['account'])}<td>{escape(described['dialect'])}"
        f"<td class=n>{counted['posts']}<td class=n>{counted['accepted']}"
        f"<td>{escape(trouble)}<td><pre>{escape(script)}</pre></tr>"
    )
