"""The model card: README.md of a model on the hub, written from what its run says."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dcgan.config import Config
from dcgan.errors import InputError, printable, without_folders
from dcgan.files import to_yaml
from dcgan.presets import again, imported

LONGEST = 300
COLOURS = {"1": "grey", "3": "RGB", "4": "RGBA"}


@dataclass(frozen=True)
class Facts:
    """What a card is written from; a lone weights file has no settings, data or scores."""

    repo_id: str
    network: Mapping[str, Any]
    class_names: Sequence[str]
    trained: Mapping[str, Any]
    licence: str = "unknown"
    config: Config | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    scores: Sequence[Mapping[str, Any]] = ()
    """Lines of evaluation.jsonl, the oldest first."""

    @property
    def source(self) -> str:
        """The description of its data."""
        return str(self.data.get("source") or self.trained.get("data", "not said"))


def require_licence(text: str) -> None:
    """Raises InputError unless it can be one of the hub's identifiers."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{0,60}", text):
        raise InputError(f"licence: {printable(text)!r} is no identifier such as mit, cc-by-4.0 or openrail")


def card(facts: Facts) -> str:
    """The whole README.md. Paths are without their folders; no text from outside is markup."""
    require_licence(facts.licence)
    if facts.licence == "unknown" and imported(facts.source):
        facts = replace(facts, licence="mit")  # that of the authors' repository, where their weights are
    head = to_yaml(
        {
            "license": facts.licence,
            "library_name": "dcgan",
            "pipeline_tag": "unconditional-image-generation",
            "tags": ["dcgan", "gan", "image-generation"],
        }
    )
    sections = [_what(facts), _use(facts), _training(facts), _evaluation(facts.scores), _limits(facts)]
    return f"---\n{head}---\n\n" + "\n\n".join(sections) + "\n"


def plain(value: object) -> str:
    """Text from outside as Markdown that shows it and does nothing."""
    shown = printable(str(value))
    shown = shown[:LONGEST] + ("…" if len(shown) > LONGEST else "")
    shown = shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("://", "&#58;//")
    return re.sub(r"([\\`*_\[\]|~$@])", r"\\\1", shown)


def _what(facts: Facts) -> str:
    network, name = facts.network, facts.repo_id.split("/")[1]
    classes = f" of {len(facts.class_names)} classes" if network.get("conditional") else ""
    return (
        f"# {plain(name)}\n\n![images drawn by this model](samples.png)\n\n"
        f"A deep convolutional GAN ([Radford, Metz, Chintala 2015](https://arxiv.org/abs/1511.06434)) that draws images"
        f"{classes}, {plain(network.get('image_size'))} pixels, {COLOURS.get(str(network.get('channels')), '')}. "
        "The picture shows the first 32 of seed 0; none was picked."
    )


def _use(facts: Facts) -> str:
    label = f", label={facts.class_names[0]!r}" if facts.network.get("conditional") and facts.class_names else ""
    label = label if len(label) < 60 and re.fullmatch(r"[\w, ='.-]*", label) else ""
    return f"""## Use

```python
import dcgan  # with its extra hub

generator = dcgan.Generator.from_pretrained("{facts.repo_id}")
images = generator.sample(25, seed=0{label})  # uint8, (25, H, W, C)
```

```
dcgan sample {facts.repo_id} -n 25 --out grid.png
```

The weights are safetensors; nothing in this repository is a program or a pickle."""


def _training(facts: Facts) -> str:
    trained, data = facts.trained, facts.data
    lines = [f"- Data: {plain(without_folders(facts.source))}"]
    if data.get("key"):
        lines.append(f"- Digest of the prepared images: {plain(data['key'])}")
    if facts.class_names:
        lines.append(f"- Classes: {plain(', '.join(map(str, facts.class_names)))}")
    if isinstance(trained.get("images"), int):
        minutes = (
            f" in {trained['seconds'] / 60:,.1f} minutes" if isinstance(trained.get("seconds"), int | float) else ""
        )
        lines.append(f"- Real images shown, with repetitions: {trained['images']:,}{minutes}")
    lines.append(
        f"- Recipe: {plain(trained.get('preset', 'not said'))}, dcgan {plain(trained.get('dcgan', 'not said'))}"
    )
    command = ""
    if facts.config:
        words = again(facts.config, facts.source)
        command = f"\n\n```\n{printable(shlex.join(words)).replace('`', chr(39))}\n```"
    return "## Training\n\n" + "\n".join(lines) + command


def _evaluation(scores: Sequence[Mapping[str, Any]]) -> str:
    """The newest of each score, in a table for each way to measure."""
    newest = {(str(score.get("metric")), str(score.get("samples")), *_measured(score)): score for score in scores}
    if not newest:
        return "## Evaluation\n\nNot measured."
    tables = dict[str, list[str]]()
    for score in newest.values():
        tables.setdefault(_protocol(score), []).append(_row(score))
    head = "| metric | features | value | 95 % interval | floor | drawn | real |\n|---|---|---:|---|---:|---:|---:|"
    return "\n\n".join(
        [
            "## Evaluation",
            "The floor is the same score of real images that are not the reference.",
            *("\n".join([f"{protocol}:\n", head, *rows]) for protocol, rows in tables.items()),
        ]
    )


def _measured(score: Mapping[str, Any]) -> tuple[str, ...]:
    """What makes a score another one, not a newer one: features, images, truncation."""
    names = ("extractor", "precision", "split", "truncation")
    return (without_folders(score.get("reference", "")), *(str(score.get(name)) for name in names))


def _row(score: Mapping[str, Any]) -> str:
    interval, floor = score.get("interval"), score.get("floor")
    between = f"{_number(interval.get('low'))} to {_number(interval.get('high'))}" if isinstance(interval, dict) else ""
    lowest = _number(floor.get("value")) if isinstance(floor, dict) else ""
    counts = [_number(score.get(name)) for name in ("samples", "reference_samples")]
    names = plain(score.get("metric")), plain(score.get("extractor"))
    return _cells(*names, _number(score.get("value")), between, lowest, *counts)


def _protocol(score: Mapping[str, Any]) -> str:
    """What scores that were measured alike are of."""
    said = [
        f"{score.get('extractor')} {str(score.get('digest', ''))[:8]} {score.get('precision')}",
        without_folders(score.get("reference", "")) + (f" ({score['split']})" if score.get("split") else ""),
        f"{score.get('images')}, seed {score.get('seed')}",
    ]
    if score.get("truncation") is not None:
        said.append(f"truncation {score['truncation']}")
    return plain("; ".join(said))


def _limits(facts: Facts) -> str:
    tested = any(str(score.get("metric", "")).startswith(("copied", "nearest_training")) for score in facts.scores)
    memory = "is in the table above" if tested else "was not tested"
    licence = "not said by who shares it" if facts.licence == "unknown" else plain(facts.licence)
    return f"""## Limits

It draws what its training images were like, with their gaps and biases, and nothing else. Whether it repeats
training images {memory} (`dcgan evaluate RUN --metrics memorisation`).

## Licence

Of these weights: {licence}. That of the images they were trained on may bind as well."""


def _cells(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: object) -> str:
    """As `dcgan evaluate` prints it; counts whole."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.5f}" if abs(value) < 0.1 else f"{value:.4g}"
