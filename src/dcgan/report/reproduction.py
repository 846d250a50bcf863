"""How to do a run again: the command, the data's digest, versions and hardware."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Any

from dcgan.errors import last_name
from dcgan.presets import again, imported
from dcgan.report.html import records, text
from dcgan.run import Run


def reproduction(run: Run) -> str:
    """The section of the page. Paths are without their folders."""
    config, data = run.config, run.data
    words = again(config, data.get("source"))
    digest = (
        f"<p>Prepared images: digest <code>{text(data['key'])}</code> of what they are and how they were resized.</p>"
        if data.get("key")
        else ""
    )
    sessions = records(run.sessions())
    facts = "".join(_session(session) for session in sessions[-20:])
    if imported(data.get("source")):
        return f"<h2>Do it again</h2><pre>{text(shlex.join(words))}</pre>"
    none = "<p class=dim>It was made before versions and hardware were recorded.</p>"
    return (
        f"<h2>Do it again</h2><pre>{text(shlex.join(words))}</pre>{digest}"
        "<p class=dim>On a CPU, in the same precision and with the same versions and processor, the same weights come "
        "out, bit for bit, of as many images; a training of so many minutes shows what the machine can in them.</p>"
        f"{facts or none}"
    )


def _session(facts: dict[str, Any]) -> str:
    """One line of sessions.jsonl."""
    begun = "Begun" if facts.get("step") == 0 else f"Gone on from step {facts.get('step')}"
    words = facts.get("command")
    given = f"<pre>{text(_line(words))}</pre>" if isinstance(words, list) else "<p class=dim>Called from Python.</p>"
    packages = facts.get("packages")
    versions = {"dcgan": facts.get("dcgan"), "git": facts.get("git"), "Python": facts.get("python")}
    versions |= packages if isinstance(packages, dict) else {}
    said = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    where = (
        f"{facts.get('device_name')} ({facts.get('device')}, {facts.get('precision')}, {facts.get('threads')} threads"
    )
    where += f" of {facts.get('cores')} cores), {facts.get('platform')}"
    return f"<h3>{text(begun)}, {text(facts.get('when', ''))}</h3>{given}<p>{text(where)}<br>{text(said)}</p>"


def _line(words: Sequence[Any]) -> str:
    """The command as it was given, without folders."""
    parts = (re.fullmatch(r"(--[\w-]+=)?(.*)", str(word), re.DOTALL) for word in words)
    return shlex.join(["dcgan", *((part[1] or "") + last_name(part[2]) for part in parts if part)])
