"""A generator of every preset's own architecture, narrow where the preset is wide, with weights that draw something."""

import torch

from dcgan.networks import build_generator
from dcgan.presets import PRESETS, load_preset
from dcgan.pretrained import Generator, ModelInfo

CASES: dict[str, tuple[str, dict[str, object]]] = {
    **{name: (name, {}) for name in PRESETS},
    "fast, classes": ("fast", {"conditional": True, "classes": 3}),
    "fast, classes at every layer": ("fast", {"conditional": True, "classes": 3, "condition": "concat"}),
    "fast, 50x37, RGBA": ("fast", {"image_size": "50x37", "channels": 4}),
    "fast, resize": ("fast", {"upsampling": "resize"}),
    "paper, classes": ("paper", {"conditional": True, "classes": 3}),
    "paper-mnist, running averages": ("paper-mnist", {"norm_stats": "running"}),
}
"""By name: preset and what is changed of it."""

WIDE: dict[str, tuple[str, dict[str, object]]] = {
    f"{name}, as wide as it is": (name, {"width": load_preset(name).network.width}) for name in PRESETS
}
"""The presets with all of their maps; `fast` and others without a size of their own at 32×32."""


def generator(case: str = "fast", **changes) -> Generator:
    """Of a case; random weights and statistics, so large that images are neither grey nor flat."""
    preset, own = (CASES | WIDE)[case]
    config = load_preset(preset)
    small: dict[str, object] = {
        "width": 8,
        "channels": 3 if config.network.channels == "auto" else config.network.channels,
    }
    if config.network.image_size == "auto":
        small["image_size"] = 32
    if preset == "paper-mnist":
        small["classes"] = 10
    network = config.replace(**small | own | changes).network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_generator(network)
    random = torch.Generator().manual_seed(0)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            values = torch.randn(tensor.shape, generator=random)
            tensor.copy_(values.abs() + 0.5 if name.endswith("running_var") else tensor + 0.1 * values)
    names = tuple("abcdefghij"[: network.classes])
    return Generator(
        module.eval(), ModelInfo(network, names, {"preset": preset, "data": "zip /home/me/x.zip: 5 images"})
    )
