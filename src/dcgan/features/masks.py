"""Where in images something is: functions from uint8 images (N, H, W, C) to bool masks (N, H, W)."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np

from dcgan.errors import InputError, nearest

Mask = Callable[[np.ndarray], np.ndarray]
BRIGHT = 128
"""Levels from here on are stroke, those below ground."""
SMALLEST_HOLE = 3
"""Pixels; smaller ones are flaws of a stroke."""
MARGIN = 2
"""Pixels around a hole that belong to its loop: the stroke."""


def region(top: int, left: int, height: int, width: int) -> Mask:
    """The same rectangle in every image, in pixels: for images that are aligned."""

    def mask(images: np.ndarray) -> np.ndarray:
        found = np.zeros(images.shape[:3], bool)
        found[:, top : top + height, left : left + width] = True
        return found

    return mask


def loops(images: np.ndarray) -> np.ndarray:
    """The loops of bright strokes on a dark ground: each hole of three pixels or more, and two pixels around it."""
    masks = np.stack([_large(hole) for hole in holes(images)]) if len(images) else holes(images)
    for _ in range(MARGIN):
        masks = masks | _neighbours(masks)
    return masks


def holes(images: np.ndarray) -> np.ndarray:
    """Dark pixels that are cut off from the edges of the image, by a flood from there: bool (N, H, W).

    The flood goes up, down, left and right; channels are averaged.
    """
    ground = images.mean(3) < BRIGHT
    flooded = np.zeros_like(ground)
    for edge in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
        flooded[edge] = ground[edge]
    while True:
        grown = flooded | (_neighbours(flooded) & ground)
        if np.array_equal(grown, flooded):
            return ground & ~flooded
        flooded = grown


def _neighbours(masks: np.ndarray) -> np.ndarray:
    """Pixels above, below, left or right of one in the mask."""
    found = np.zeros_like(masks)
    found[:, 1:] |= masks[:, :-1]
    found[:, :-1] |= masks[:, 1:]
    found[:, :, 1:] |= masks[:, :, :-1]
    found[:, :, :-1] |= masks[:, :, 1:]
    return found


def _large(hole: np.ndarray) -> np.ndarray:
    """The connected parts of one mask (H, W) that are large enough."""
    left, kept = hole.copy(), np.zeros_like(hole)
    while left.any():
        part = np.zeros_like(hole)
        part[np.unravel_index(left.argmax(), left.shape)] = True
        while True:
            grown = part | (_neighbours(part[None])[0] & left)
            if np.array_equal(grown, part):
                break
            part = grown
        left &= ~part
        if part.sum() >= SMALLEST_HOLE:
            kept |= part
    return kept


BUILT_IN: dict[str, Mask] = {"loops": loops}


def mask_named(name: str) -> Mask:
    """A built-in mask, or a function of an installed module as `module:function`, which is imported and so run.

    Only what the user names is imported; no file of dcgan's ever names one. Raises InputError if there is none.
    """
    if ":" not in name:
        if name not in BUILT_IN:
            known = ", ".join(BUILT_IN)
            raise InputError(f"mask: no {name!r}{nearest(name, BUILT_IN)} (there are: {known}, and module:function)")
        return BUILT_IN[name]
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise InputError(f"mask: {name!r} cannot be imported ({error})") from error
    if not callable(function):
        raise InputError(f"mask: {name!r} is no function")

    def checked(images: np.ndarray) -> np.ndarray:
        masks = function(images)
        if not isinstance(masks, np.ndarray) or masks.dtype != bool or masks.shape != images.shape[:3]:
            got = f"{masks.dtype} {masks.shape}" if isinstance(masks, np.ndarray) else type(masks).__name__
            raise InputError(f"mask: {name!r} gave {got} for images {images.shape}; wants bool {images.shape[:3]}")
        return masks

    return checked


def parse_region(text: str, size: tuple[int, int]) -> Mask:
    """ "40,18,14,28" as top, left, height, width within images of (height, width). Raises InputError otherwise."""
    try:
        top, left, height, width = map(int, text.split(","))
    except ValueError as error:
        raise InputError(f"region: {text!r} is not top,left,height,width in whole pixels") from error
    if min(top, left) < 0 or min(height, width) < 1 or top + height > size[0] or left + width > size[1]:
        raise InputError(f"region: {text!r} is not inside the image, which is {size[0]} high and {size[1]} wide")
    return region(top, left, height, width)
