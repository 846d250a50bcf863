"""Vector arithmetic on concepts: A - B + C, its neighbourhood, and the same arithmetic on pixels as the control.

[paper, section 6.3.2 and Figure 7]: the z of three samples a concept are averaged, because single ones are not
stable; the result is drawn in the centre, and around it eight more with uniform noise of ±0.25 added. Uniform means
and results are used as they are, as in the paper. Normal ones are brought to the length of a z before they are drawn:
with three samples a concept the result has it already, and with more it would be too short.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dcgan.errors import InputError
from dcgan.latent.concepts import Concept
from dcgan.latent.likely import typical
from dcgan.latents import check_seed
from dcgan.pretrained import Generator

NOISE, MOST_NOISE = 0.25, 1000
AROUND = 9
CENTRE = 4
_STREAM = 0xA817
"""The noise's own random numbers: with the seed alone they would be those of sample 0."""


@dataclass(frozen=True, eq=False)
class Arithmetic:
    """A - B + C with everything that Figure 7 shows; images are uint8 (…, H, W, C)."""

    concepts: tuple[Concept, Concept, Concept]
    z: torch.Tensor
    """(9, latent_dim): the result is number 4, its neighbours around it row by row."""
    label: int | None
    """The class that it is drawn as: C's."""
    images: np.ndarray
    """(9, H, W, C)."""
    sources: tuple[np.ndarray, np.ndarray, np.ndarray]
    """Each concept's samples."""
    means: np.ndarray
    """(3, H, W, C): what each concept's mean z draws."""
    pixel_means: np.ndarray
    """(3, H, W, C): the mean of each concept's images."""
    pixels: np.ndarray
    """(H, W, C): A - B + C of those."""


def arithmetic(
    generator: Generator, a: Concept, b: Concept, c: Concept, *, noise: float = NOISE, seed: int = 0
) -> Arithmetic:
    """A - B + C of the concepts' mean z, drawn as C's class by a conditional generator.

    noise: the neighbours are within ±noise, in [0, 1000]. Raises InputError for another, and a seed outside [0, 2^63).
    """
    check_noise(noise)
    distribution = generator.info.network.latent
    z = around(result(a, b, c, distribution), noise, noise_of(seed))
    sources = draw_samples(generator, a), draw_samples(generator, b), draw_samples(generator, c)
    means = torch.stack([mean_as_drawn(concept, distribution) for concept in (a, b, c)])
    labels = None if c.label is None else torch.tensor([a.label, b.label, c.label])
    pixel_means = np.stack([np.rint(images.mean(0)).astype(np.uint8) for images in sources])
    return Arithmetic(
        (a, b, c),
        z,
        c.label,
        generator.draw(z, None if c.label is None else torch.full((len(z),), c.label)),
        sources,
        generator.draw(means, labels),
        pixel_means,
        pixel_arithmetic(*sources),
    )


def result(a: Concept, b: Concept, c: Concept, distribution: str) -> torch.Tensor:
    """A - B + C of the means, (latent_dim,), as it is drawn."""
    return typical((a.mean - b.mean + c.mean)[None], distribution)[0]


def mean_as_drawn(concept: Concept, distribution: str) -> torch.Tensor:
    """A concept's mean z, (latent_dim,); of one sample it is the sample."""
    return concept.mean if len(concept.z) == 1 else typical(concept.mean[None], distribution)[0]


def check_noise(noise: float) -> None:
    """Raises InputError unless it is in [0, MOST_NOISE]."""
    if not 0 <= noise <= MOST_NOISE:
        raise InputError(f"noise: {noise:g} is outside [0, {MOST_NOISE}]")


def noise_of(seed: int) -> np.random.Generator:
    """Random numbers of a seed that no latent has; InputError for a seed outside [0, 2^63)."""
    check_seed(seed)
    return np.random.Generator(np.random.Philox(key=np.array([seed, _STREAM], np.uint64)))


def around(z: torch.Tensor, noise: float, rng: np.random.Generator) -> torch.Tensor:
    """z (latent_dim,) → (9, latent_dim): itself at 4, the others with uniform noise within ±noise added."""
    added = torch.from_numpy(rng.uniform(-noise, noise, (AROUND, len(z))).astype(np.float32))
    added[CENTRE] = 0
    return z + added


def pixel_arithmetic(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Mean of images a less that of b plus that of c, uint8 (k, H, W, C) → (H, W, C), clipped to [0, 255]."""
    result = a.mean(0) - b.mean(0) + c.mean(0)
    return np.rint(result.clip(0, 255)).astype(np.uint8)


def draw_samples(generator: Generator, concept: Concept) -> np.ndarray:
    """A concept's samples, uint8 (k, H, W, C)."""
    return generator.draw(concept.z, concept.labels)
