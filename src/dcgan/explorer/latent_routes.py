"""Requests that draw: samples, walks, directions, arithmetic. Pictures are sprites; see `pictures`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from fastapi import APIRouter, Query, Response

from dcgan.errors import InputError
from dcgan.explorer.asked import Drawn, Group, Move, Path, Pick, Samples, Slid, Sum
from dcgan.explorer.bench import Bench
from dcgan.explorer.opened import Opened
from dcgan.explorer.pictures import gif, sprite, zipped
from dcgan.explorer.told import Principal
from dcgan.latent.arithmetic import arithmetic
from dcgan.latent.concepts import Concept
from dcgan.latent.walk import interpolate


class Png(Response):
    """A picture."""

    media_type = "image/png"


class Gif(Response):
    """A moving one."""

    media_type = "image/gif"


class Zip(Response):
    """Many of them."""

    media_type = "application/zip"


def latent_routes(bench: Bench) -> APIRouter:
    """Everything about z of the runs of a bench."""
    router = APIRouter(prefix="/api/runs/{run}")

    @router.get("/samples.png", summary="Samples of a seed, by number", response_class=Png)
    async def samples(run: int, asked: Annotated[Samples, Query()]) -> Response:
        opened, a = bench.run(run), asked
        return Png(
            await bench.draw(lambda: sprite(opened.samples(a.start, a.count, a.seed, a.label, a.truncation, a.edit)))
        )

    @router.post("/picked.png", summary="Samples of any seeds", response_class=Png)
    async def picked(run: int, asked: Drawn) -> Response:
        opened = bench.run(run)
        return Png(await bench.draw(lambda: sprite(opened.picked(asked.picks, asked.edit))))

    @router.post("/picked.zip", summary="Samples of any seeds, a PNG each in a zip", response_class=Zip)
    async def picked_zip(run: int, asked: Drawn) -> Response:
        opened = bench.run(run)
        names = file_names(asked.picks)
        content = await bench.draw(lambda: zipped(zip(names, opened.picked(asked.picks, asked.edit), strict=True)))
        return Zip(content)

    @router.post("/walk.png", summary="Frames of a walk through samples", response_class=Png)
    async def walk(run: int, asked: Path) -> Response:
        opened = bench.run(run)
        return Png(await bench.draw(lambda: sprite(frames(opened, asked))))

    @router.post("/walk.gif", summary="A walk through samples as a GIF", response_class=Gif)
    async def walk_gif(run: int, asked: Path) -> Response:
        opened = bench.run(run)
        content = await bench.draw(lambda: gif(frames(opened, asked)[: -1 if asked.loop else None]))
        return Gif(content)

    @router.get("/directions", summary="The principal directions of G's first activations")
    async def directions(run: int) -> list[Principal]:
        opened = bench.run(run)
        shares = (await bench.draw(opened.directions)).shares
        return [Principal(number=number, share=share) for number, share in enumerate(shares)]

    @router.post(
        "/slide.png", summary="Samples moved along directions: a row a sample, a column a move", response_class=Png
    )
    async def slide(run: int, asked: Slid) -> Response:
        opened = bench.run(run)
        return Png(await bench.draw(lambda: sprite(moved(opened, asked), len(asked.moves))))

    @router.post(
        "/arithmetic.png",
        summary="A - B + C: the result amid neighbours, the means, the pixels' control",
        response_class=Png,
    )
    async def calculate(run: int, asked: Sum) -> Response:
        opened = bench.run(run)
        return Png(await bench.draw(lambda: sprite(calculated(opened, asked), 4)))

    return router


def file_name(pick: Pick) -> str:
    """A name that says which sample it is."""
    words = [f"{pick.seed}-{pick.number}"]
    words += [] if pick.label is None else ["class-" + "".join(c if c.isalnum() else "_" for c in pick.label)]
    words += [] if pick.truncation is None else [f"truncation-{pick.truncation:g}"]
    return "-".join(words) + ".png"


def file_names(picks: Sequence[Pick]) -> list[str]:
    """Names of all, no two the same: a sample that is there twice has its place in the second one's name."""
    names = list[str]()
    for place, name in enumerate(map(file_name, picks), 1):
        names.append(name if name not in names else name.replace(".png", f"-no-{place}.png"))
    return names


def frames(opened: Opened, asked: Path) -> np.ndarray:
    """The frames of a walk, uint8 (N, H, W, C), each sample once; a class changes half-way."""
    picks = [*asked.through, *asked.through[: 1 if asked.loop else 0]]
    opened.require((len(picks) - 1) * (asked.steps - 1) + 1)
    paths = [leg(opened, asked, pair) for pair in itertools.pairwise(picks)]
    z = torch.cat([paths[0][:1], *(path[1:] for path in paths)])
    _, labels = opened.latents(picks)
    if labels is None:
        return opened.draw(z, None)
    halves = torch.arange(len(z)).float().div(asked.steps - 1).round().long()
    return opened.draw(z, labels[halves])


def leg(opened: Opened, asked: Path, pair: tuple[Pick, Pick]) -> torch.Tensor:
    """Latents (steps, latent_dim) from one sample to the next, truncated afterwards, as those of `walk` are.

    Samples of two truncations have none in common: the path is then between what they are with their own.
    """
    common = pair[0].truncation if pair[0].truncation == pair[1].truncation else None
    ends = pair if common is None else [pick.model_copy(update={"truncation": None}) for pick in pair]
    (a, b), _ = opened.latents(ends)
    return interpolate(a, b, asked.steps, asked.interpolation, opened.generator.info.network.latent, common)


def moved(opened: Opened, asked: Slid) -> np.ndarray:
    """uint8 (samples · moves, H, W, C): each sample with each move added to its z; sums are drawn as they are."""
    opened.require(len(asked.picks) * len(asked.moves))
    z, labels = opened.latents(asked.picks)
    moves = torch.stack([vector(opened, move) for move in asked.moves])
    return opened.draw(
        (z[:, None] + moves).flatten(0, 1), None if labels is None else labels.repeat_interleave(len(moves))
    )


def vector(opened: Opened, move: Move) -> torch.Tensor:
    """What a move adds to z: (latent_dim,)."""
    directions = opened.directions()
    total = torch.zeros(opened.generator.info.network.latent_dim)
    for name, amount in move.principal.items():
        if int(name) >= len(directions.vectors):
            raise InputError(f"no principal direction {int(name)}; there are {len(directions.vectors)}")
        total = total + amount * directions.vectors[int(name)]
    for own in move.own:
        total = total + own.amount * (concept(opened, own.end).mean - concept(opened, own.start).mean)
    return total


def calculated(opened: Opened, asked: Sum) -> np.ndarray:
    """uint8 (16, H, W, C): the result (4) amid its neighbours, what the mean z draw, those of pixels, their sum."""
    opened.require(16)
    concepts = [concept(opened, group) for group in (asked.a, asked.b, asked.c)]
    found = arithmetic(opened.generator, *concepts, noise=asked.noise, seed=asked.seed)
    return np.concatenate([found.images, found.means, found.pixel_means, found.pixels[None]])


def concept(opened: Opened, group: Group) -> Concept:
    """Samples that have something in common."""
    z, labels = opened.latents(group)
    return Concept("samples", z, labels, tuple(pick.number for pick in group))
