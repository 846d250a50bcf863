"""`dcgan latent turn`: samples along the vector between two groups of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from dcgan.cli import DONE, say
from dcgan.errors import InputError, printable
from dcgan.files import require_new, writing

if TYPE_CHECKING:
    from dcgan.latent.concepts import Labelled
    from dcgan.latent.saved import Direction
    from dcgan.pretrained import Generator
    from dcgan.progress import Display


@dataclass(frozen=True)
class TurnOptions:
    """Draw samples along the vector from the mean of one group to that of another, a row each.

    A class is picked by a classifier of the labelled images the run was trained on, or of --data; another one judges.
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN", help="Run directory or weights file.")]
    out: Annotated[Path, tyro.conf.arg(metavar="FILE", help="turn.png: a row a sample; turn.gif: there and back.")]
    start: Annotated[
        str | None,
        tyro.conf.arg(name="from", metavar="A", help="One end: sample numbers (3,17,42,51), a class, or a .json."),
    ] = None
    end: Annotated[str | None, tyro.conf.arg(name="to", metavar="B", help="The other end, likewise.")] = None
    direction: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help="A saved direction, instead of --from and --to.")
    ] = None
    save_direction: Annotated[
        Path | None, tyro.conf.arg(metavar="FILE", help="Keep the vector, as a .safetensors.")
    ] = None
    samples_per_group: Annotated[int, tyro.conf.arg(metavar="K", help="Samples of a class that are averaged.")] = 4
    n: Annotated[int, tyro.conf.arg(aliases=["-n"], metavar="N", help="How many samples to turn.")] = 8
    steps: Annotated[int, tyro.conf.arg(metavar="N", help="Images of each.")] = 9
    reach: Annotated[float, tyro.conf.arg(metavar="X", help="How far to either side, in lengths of the vector.")] = 1.0
    seed: Annotated[int, tyro.conf.arg(metavar="N", help="Whose samples.")] = 0
    confidence: Annotated[
        float, tyro.conf.arg(metavar="P", help="How sure of a class the classifier has to be, 0 to 1.")
    ] = 0.99
    data: Annotated[
        str | None, tyro.conf.arg(metavar="DATA", help="Labelled images; if not given, those of the training.")
    ] = None
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], tyro.conf.arg(help="Where to draw.")] = "auto"


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(TurnOptions, prog="dcgan latent turn", args=arguments)
    _check(options)
    from dcgan.images import save_gif, save_png
    from dcgan.latent.saved import write_direction
    from dcgan.latent.turn import arrivals, check, turn
    from dcgan.pretrained import Generator
    from dcgan.progress import Display

    require_new(options.out, options.save_direction)
    check(options.n, options.steps, options.seed, options.reach)
    generator = Generator.from_pretrained(options.run, options.device)
    with Display() as display:
        found, used, labelled = _direction(options, generator, display)
        turned = turn(
            generator,
            found.vector,
            rows=options.n,
            steps=options.steps,
            reach=options.reach,
            seed=options.seed,
            without=used,
        )
        with writing(options.out):
            if options.out.suffix.lower() == ".gif":
                save_gif(options.out, turned.frames(), hold=0)
            else:
                save_png(options.out, turned.picture())
        display.say(f"from {printable(found.start)} to {printable(found.end)}")
        if labelled and found.end in labelled.images.class_names:
            shares, judge = arrivals(turned, found.end, labelled.images, generator, display)
            display.say(f"the judge sees {printable(found.end)} in " + ", ".join(f"{share:.0%}" for share in shares))
            display.say(f"the judge, trained on other images than the classifier that picked: {judge}")
    if options.save_direction:
        write_direction(options.save_direction, found)
        say(f"{options.save_direction}: the direction")
    say(f"{options.out}: samples {', '.join(map(str, turned.numbers))}, {options.steps} steps each")
    return DONE


def _check(options: TurnOptions) -> None:
    if options.out.suffix.lower() not in (".png", ".gif"):
        raise InputError(f"{options.out}: wants a name that ends in .png or .gif")
    if options.save_direction and options.save_direction.suffix != ".safetensors":
        raise InputError(f"{options.save_direction}: wants a name that ends in .safetensors")
    ends = (options.start, options.end)
    if (options.direction and any(ends)) or (not options.direction and not all(ends)):
        raise InputError("name both ends of the vector, --from and --to, or a --direction that was saved")


def _direction(
    options: TurnOptions, generator: Generator, display: Display
) -> tuple[Direction, set[int], Labelled | None]:
    """The vector, the numbers of the samples that it was made of, and the classifier that picked them."""
    from dcgan.latent.concepts import find_concepts
    from dcgan.latent.saved import generator_digest, read_direction
    from dcgan.latent.turn import direction

    if options.direction:
        found = read_direction(options.direction, generator)
        if found.generator != generator_digest(generator):
            display.warn(f"{printable(options.direction)}: this direction was made with other weights")
        return found, set(), None
    (start, end), labelled = find_concepts(
        options.run,
        generator,
        {"from": options.start or "", "to": options.end or ""},
        display,
        samples=options.samples_per_group,
        seed=options.seed,
        confidence=options.confidence,
        data=options.data,
    )
    return direction(generator, start, end), {*start.numbers, *end.numbers}, labelled
