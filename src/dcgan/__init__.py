"""dcgan: train, judge, explore and ship deep convolutional GANs (Radford, Metz, Chintala 2015).

    import dcgan

    run = dcgan.train("photos/", minutes=10)
    generator = dcgan.Generator.from_pretrained(run.path)
    images = generator.sample(25, seed=0)  # uint8 (25, H, W, C)

Names are imported when first used: `import dcgan` alone does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan.config import Config
    from dcgan.errors import InputError
    from dcgan.evaluation import evaluate
    from dcgan.features.transformer import DiscriminatorFeatures
    from dcgan.pretrained import Discriminator, Generator
    from dcgan.run import Run
    from dcgan.training import train

__version__ = "0.1.0"
__all__ = [
    "Config",
    "Discriminator",
    "DiscriminatorFeatures",
    "Generator",
    "InputError",
    "Run",
    "__version__",
    "evaluate",
    "train",
]

_HOMES = {
    "Config": "dcgan.config",
    "Discriminator": "dcgan.pretrained",
    "DiscriminatorFeatures": "dcgan.features.transformer",
    "Generator": "dcgan.pretrained",
    "InputError": "dcgan.errors",
    "Run": "dcgan.run",
    "evaluate": "dcgan.evaluation",
    "train": "dcgan.training",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dcgan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
