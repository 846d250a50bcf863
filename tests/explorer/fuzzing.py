"""Requests that schemathesis makes up from the server's own description, sent to every operation of it.

Left alone they would hardly get beyond the first check: no run has the number 8,127, nothing was forgotten under the id
drawn, and boxes lie outside a small picture. So most of those that follow the description are brought home: to a run
that is there, with its classes and grids, an id of something forgotten, and boxes within its pictures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

BOX = {"number": 0, "top": 4, "left": 4, "height": 6, "width": 8}
SIDE = 16
"""Of the pictures of the runs asked for; theirs may be larger."""


Send = Callable[..., Any]
"""`request` of a client of httpx, or of starlette's TestClient."""


@dataclass
class Found:
    """What came of it."""

    statuses: dict[str, Counter[int]] = field(default_factory=dict)
    """By operation."""
    wrong: list[str] = field(default_factory=list)
    """Answers that no request should get, with what was asked."""

    @property
    def requests(self) -> int:
        return sum(count.total() for count in self.statuses.values())

    def note(self, send: Send, case: Any) -> None:
        """Send a case and note what comes."""
        kwargs = case.as_transport_kwargs(base_url="")
        asked = {name: kwargs[name] for name in ("params", "json", "data", "headers") if kwargs.get(name) is not None}
        if isinstance(asked.get("data"), bytes | str):
            asked["content"] = asked.pop("data")
        answer = send(kwargs["method"], kwargs["url"], **asked)
        self.statuses[case.operation.label][answer.status_code] += 1
        if problem := wrong_with(answer):
            self.wrong.append(f"{problem}: {case.operation.label} {str(asked)[:300]}")


@dataclass(frozen=True)
class Home:
    """A run that is there."""

    run: int
    classes: list[str]
    edit: str
    """The id of something that it has forgotten."""
    grids: list[int]
    """Images shown at each of its grids."""


def fuzz(send: Send, each: int, seed: int = 0) -> Found:
    """Send `each` requests to every operation, half of them valid by the description and half not."""
    from schemathesis import GenerationMode, openapi

    runs, found = send("GET", "/api/runs").json(), Found()
    schema: Any = openapi.from_dict(send("GET", "/openapi.json").json())
    for operation in (result.ok() for result in schema.get_all_operations()):
        homes = [home_in(send, run) for run in runs]  # anew: a server keeps the latest things forgotten only
        found.statuses[operation.label] = Counter()
        valid = operation.as_strategy(GenerationMode.POSITIVE)
        many(valid, each // 2, seed, homes, lambda case, home: found.note(send, moved(case, home) if home else case))
        if any(operation.iter_parameters()):  # else nothing can be wrong in it
            invalid = operation.as_strategy(GenerationMode.NEGATIVE)
            many(invalid, each // 2, seed, homes, lambda case, _: found.note(send, case))
    return found


def home_in(send: Send, run: dict[str, Any]) -> Home:
    path = f"/api/runs/{run['run']}"
    edit = send("POST", f"{path}/forget", json={"boxes": [BOX]}).json()["id"]
    return Home(run["run"], run["class_names"], edit, send("GET", f"{path}/log").json()["grids"])


def many(cases: Any, count: int, seed: int, homes: Sequence[Home], use: Callable[[Any, Home | None], None]) -> None:
    """Call use(case, home) with so many cases, the same ones for the same seed; most of them with a home."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st

    options: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}

    @seeded(seed)
    @settings(max_examples=count, phases=[Phase.generate], **options)
    @given(case=cases, home=st.sampled_from([None, *homes]))
    def each(case: Any, home: Home | None) -> None:
        use(case, home)

    each()


def moved(case: Any, home: Home) -> Any:
    """The case, changed: of a run that is there."""
    if "run" in case.path_parameters:
        case.path_parameters = brought_home(case.path_parameters, home) | {"run": home.run}
    case.query, case.body = brought_home(case.query, home), brought_home(case.body, home)
    return case


def brought_home(value: Any, home: Home) -> Any:
    """Parameters, or a body, that could be of this run."""
    if isinstance(value, list):
        return [brought_home(part, home) for part in value]
    if not isinstance(value, dict):
        return value
    own = {
        "label": lambda label: home.classes[len(label) % len(home.classes)] if label and home.classes else None,
        "edit": lambda _: home.edit,
        "images": lambda images: home.grids[images % len(home.grids)] if home.grids else images,
        "scale": lambda _: 2,
        "maps": lambda maps: maps and 1,
        **dict.fromkeys(("top", "left"), lambda place: place % (SIDE // 2)),
        **dict.fromkeys(("height", "width"), lambda side: side % (SIDE // 2) + 1),
    }
    parts = {name: own[name](part) if name in own else brought_home(part, home) for name, part in value.items()}
    return {name: part for name, part in parts.items() if part is not None}


def wrong_with(answer: Any) -> str:
    """What is wrong with an answer: a mistake of the server, or an error that is not told as all others are."""
    if answer.status_code >= 500:
        return str(answer.status_code)
    if answer.status_code >= 400:
        if answer.headers["content-type"] != "application/problem+json" or not answer.json()["detail"]:
            return f"{answer.status_code} without words"
    elif answer.headers["content-type"] == "image/png" and not answer.content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "no picture"
    return ""
