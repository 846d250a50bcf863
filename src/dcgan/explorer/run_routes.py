"""Requests about the runs themselves: what they are, how they train, what they forget, what they have seen."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from dcgan.errors import InputError, typed
from dcgan.explorer.asked import MOST_NUMBER, Honest, Name, Since, Unwanted
from dcgan.explorer.bench import Bench
from dcgan.explorer.honest import neighbours, nothing, training_images, usual_distance
from dcgan.explorer.latent_routes import Png
from dcgan.explorer.log import read_grid, read_log
from dcgan.explorer.opened import Opened
from dcgan.explorer.told import Forgetful, Log, Neighbours, RunInfo, Saved
from dcgan.features.boxes import Box, Boxes
from dcgan.features.forget import Samples, forget, map_count

Images = Annotated[int, Query(ge=0, lt=MOST_NUMBER)]


def run_routes(bench: Bench) -> APIRouter:
    """Everything about the runs of a bench that is not z."""
    router = APIRouter(prefix="/api/runs")

    @router.get("", summary="The runs")
    async def runs() -> list[RunInfo]:
        return await bench.draw(lambda: [opened.info(number) for number, opened in enumerate(bench.runs)])

    @router.get("/{run}/log", summary="How its training goes, from where the last look ended")
    async def log(run: int, asked: Annotated[Since, Query()]) -> Log:
        opened = bench.run(run)
        return await bench.read(lambda: read_log(opened.path, asked.version, asked.offset))

    @router.get("/{run}/grid.png", summary="The grid of samples at so many images shown", response_class=Png)
    async def grid(run: int, images: Images) -> Response:
        opened = bench.run(run)
        return Png(await bench.read(lambda: read_grid(opened.path, images)))

    @router.post("/{run}/forget", summary="Drop the maps that stand for what boxes hold")
    async def forget_boxes(run: int, asked: Unwanted) -> Forgetful:
        opened = bench.run(run)
        return await bench.draw(lambda: forgotten(opened, asked))

    @router.post("/{run}/forget/{edit}/save", summary="Keep an edited generator in the run directory")
    async def save(run: int, edit: str, asked: Name) -> Saved:
        opened = bench.run(run)
        file = await bench.draw(lambda: opened.save(edit, asked.name))
        return Saved(file=file, given=typed(opened.path / file))

    @router.post("/{run}/neighbours", summary="The training images nearest to samples, by pixels")
    async def nearest(run: int, asked: Honest) -> Neighbours:
        opened = bench.run(run)
        return await bench.draw(lambda: seen(bench, opened, asked))

    return router


def forgotten(opened: Opened, asked: Unwanted) -> Forgetful:
    """Decide what stands for the boxes' content, and keep it; InputError for boxes that reach beyond the image."""
    generator = opened.generator
    height, width = generator.info.network.size
    for box in asked.boxes:
        if box.top + box.height > height or box.left + box.width > width:
            raise InputError(f"a box of sample {box.number} reaches beyond the image of {height}x{width}")
    boxes = Boxes(asked.seed, tuple(Box(b.number, b.top, b.left, b.height, b.width) for b in asked.boxes))
    samples = Samples(boxes.samples, asked.seed, opened.class_index(asked.label), asked.truncation)
    found = forget(generator, samples, boxes.masks, scale=asked.scale, maps=asked.maps)
    return Forgetful(
        id=opened.keep(found),
        maps=list(found.maps),
        of=map_count(generator, asked.scale),
        images=found.images,
        places=found.places,
        accuracy=found.accuracy,
    )


def seen(bench: Bench, opened: Opened, asked: Honest) -> Neighbours:
    """The nearest training images of samples, or why there are none."""
    config = opened.generator.info.network
    drawn = opened.picked(asked.picks)
    try:
        pack = training_images(opened.path, (*config.size, config.image_channels))
    except InputError as error:
        return nothing(str(error))
    if pack.key not in bench.usual:
        bench.usual[pack.key] = usual_distance(pack)
    return neighbours(pack, drawn, asked.k, bench.usual[pack.key])
