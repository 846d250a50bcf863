"""`dcgan latent arithmetic`: A - B + C of concepts, and how often that is what A has and C has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from dcgan.cli import DONE, say
from dcgan.errors import InputError, printable
from dcgan.files import require_new, write_json, writing

if TYPE_CHECKING:
    from dcgan.latent.trials import Claim
    from dcgan.pretrained import Generator
    from dcgan.progress import Display

WHAT = "sample numbers (3,17,42), a class (smiling), or a .json of dcgan latent project."


@dataclass(frozen=True)
class ArithmeticOptions:
    """Draw A - B + C of the mean latents of three concepts, amid its neighbours, beside the same done with pixels.

    A class is picked by a classifier of the labelled images the run was trained on, or of --data.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory or weights file.")]
    a: Annotated[str, tyro.conf.arg(metavar="A", help=f"What to start from: {WHAT}")]
    b: Annotated[str, tyro.conf.arg(metavar="B", help="What to take away, likewise.")]
    c: Annotated[str, tyro.conf.arg(metavar="C", help="What to add it to, likewise.")]
    out: Annotated[Path, tyro.conf.arg(metavar="FILE", help="The picture to write, a .png.")]
    samples_per_concept: Annotated[int, tyro.conf.arg(metavar="K", help="Samples of a class that are averaged.")] = 3
    noise: Annotated[float, tyro.conf.arg(metavar="X", help="Uniform noise of the neighbours, within ±X.")] = 0.25
    seed: Annotated[int, tyro.conf.arg(metavar="N", help="Whose samples the numbers are.")] = 0
    confidence: Annotated[
        float, tyro.conf.arg(metavar="P", help="How sure of a class the classifier has to be, 0 to 1.")
    ] = 0.99
    trials: Annotated[
        int, tyro.conf.arg(metavar="N", help="Also measure how often the result is of A's class, in so many trials.")
    ] = 0
    data: Annotated[
        str | None, tyro.conf.arg(metavar="DATA", help="Labelled images; if not given, those of the training.")
    ] = None
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help="Write latents, picks and shares here.")] = None
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help="Where to draw.")] = "auto"


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(ArithmeticOptions, prog="dcgan latent arithmetic", args=arguments)
    if options.out.suffix.lower() != ".png":
        raise InputError(f"{options.out}: wants a name that ends in .png")
    if options.trials < 0:
        raise InputError(f"trials: {options.trials} is outside [0, ∞)")
    from dcgan.images import save_png
    from dcgan.latent.arithmetic import arithmetic, check_noise
    from dcgan.latent.concepts import find_concepts, parse_picking
    from dcgan.latent.pictures import figure
    from dcgan.latent.saved import generator_digest
    from dcgan.pretrained import Generator
    from dcgan.progress import Display

    require_new(options.out, options.json)
    check_noise(options.noise)
    texts = {"a": options.a, "b": options.b, "c": options.c}
    if options.trials and not all(isinstance(parse_picking(text), str) for text in texts.values()):
        raise InputError("trials: want a class for each of --a, --b and --c, to pick new samples of")
    generator = Generator.from_pretrained(options.run, options.device)
    with Display() as display:
        concepts, labelled = find_concepts(
            options.run,
            generator,
            texts,
            display,
            samples=options.samples_per_concept,
            seed=options.seed,
            confidence=options.confidence,
            data=options.data,
        )
        a, b, c = concepts
        found = arithmetic(generator, a, b, c, noise=options.noise, seed=options.seed)
        with writing(options.out):
            save_png(options.out, figure(found))
        for option, concept in zip(texts, concepts, strict=True):
            numbers = f" ({', '.join(map(str, concept.numbers))})" if concept.confidences else ""
            display.say(f"{option}: {printable(concept.name)}{numbers}")
        if labelled:
            display.say(f"the classifier that picked: {labelled.reliability}")
        claim = _claim(options, generator, [concept.name for concept in concepts], display) if options.trials else None
    if options.json:
        record = {
            "format": "dcgan-arithmetic-1",
            "generator": generator_digest(generator),
            "seed": options.seed,
            "noise": options.noise,
            **{option: concept.record() for option, concept in zip(texts, concepts, strict=True)},
            "z": found.z.tolist(),
            "label": found.label,
            "trials": claim.record() if claim else None,
        }
        write_json(options.json, record)
    say(f"{options.out}: samples of A, B and C, their means, and the result amid its neighbours; below, with pixels")
    return DONE


def _claim(options: ArithmeticOptions, generator: Generator, classes: list[str], display: Display) -> Claim:
    """The measurement, said."""
    from dcgan.latent.trials import trials

    claim = trials(
        options.run,
        classes,
        generator=generator,
        number=options.trials,
        samples=options.samples_per_concept,
        noise=options.noise,
        seed=options.seed,
        confidence=options.confidence,
        data=options.data,
        display=display,
    )
    for line in claim.lines():
        display.say(line)
    return claim
