"""Every setting of a run: frozen dataclasses that are the help text, the YAML file and the documentation.

`Config` has three sections. Field names are unique across them, so that the command line and the Python
API take them flat (`--lr 1e-3`, `train(..., lr=1e-3)`) while the YAML file groups them. The defaults
are the `fast` preset; `presets.py` says what the other recipes change.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dcgan.errors import InputError, nearest
from dcgan.values import brief, coerce, describe, is_within, listing, nearest_sizes, parse_size

MIN_SIDE, MAX_SIDE = 16, 256
SIDE_MULTIPLES = {"strided": 1, "blog": 4, "imagenet32": 8, "mnist": 4}
"""The sides of a family's images are multiples of this: what its fixed number of doublings can make."""
LENGTHS = ("images", "n_epochs", "minutes")


def within(default: Any, interval: str) -> Any:
    """A numeric field whose values must lie in `interval`, written as in mathematics: "(0, 1]"."""
    return field(default=default, metadata={"interval": interval})


@dataclass(frozen=True)
class NetworkConfig:
    """What the two networks are."""

    family: Literal["strided", "blog", "imagenet32", "mnist"] = "strided"
    """strided: the paper's networks at any size; blog: the blog post's; imagenet32, mnist: the authors' code."""
    image_size: str = "auto"
    """Side in pixels, or HEIGHTxWIDTH, 16 to 256; auto: the images' own size if all share one up to 128, else 64."""
    channels: Literal["auto", "1", "3", "4"] = "auto"
    """1 grey, 3 RGB, 4 RGBA; auto: 1 if every image is grey, else 3."""
    conditional: bool = False
    """Give both networks the class labels (from folders or IDX files)."""
    condition: Literal["projection", "concat"] = "projection"
    """How strided networks get them: beside z in G and as a projection in D, or at every layer as the authors do."""
    classes: int = within(0, "[0, 100000]")
    """Number of classes of a conditional network; filled in from the data."""
    latent_dim: int = within(100, "[1, 4096]")
    """Dimensions of the latent z."""
    latent: Literal["normal", "uniform"] = "normal"
    """Distribution of z: N(0, 1), or uniform on [-1, 1] as in the paper."""
    width: int = within(24, "[1, 1024]")
    """Feature maps in the layer next to the image; doubles at each halving of the resolution, up to 8 times."""
    kernel_size: Literal[3, 4, 5] = 4
    """Kernel of the stride-2 convolutions; the paper has 5, and 4 divides evenly by the stride. Of imagenet32: of G."""
    conv_bias: bool = False
    """Biases in the convolutions; the authors' code has none."""
    norm_stats: Literal["running", "batch"] = "running"
    """Batch norm when drawing: running averages, or the batch's own statistics as in the authors' code."""
    norm_eps: float = within(1e-5, "(0, 1]")
    """The epsilon of batch norm; 1e-8 in the authors' code."""
    norm_affine: bool = True
    """Gain and bias in batch norm; the authors' MNIST networks do better without."""
    projection_norm: Literal["channel", "unit"] = "channel"
    """Batch norm after the projection of z: per channel, or per unit as in the authors' code."""
    discriminator_norm: Literal["batch", "none", "spectral"] = "batch"
    """Batch norm in D; none suits gradient penalties; spectral: each layer's weights divided by their largest gain."""
    upsampling: Literal["transposed", "resize"] = "transposed"
    """G doubles by transposed convolutions, or by nearest neighbours and a 3×3 convolution (as blog always does)."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels; only once `image_size` is no longer auto."""
        return parse_size(self.image_size)

    @property
    def image_channels(self) -> int:
        """1, 3 or 4; only once `channels` is no longer auto."""
        return int(self.channels)

    @property
    def discriminator_bias(self) -> bool:
        """Whether the discriminator's layers have biases: when asked for, and where no batch norm has one for them."""
        return self.conv_bias or self.discriminator_norm != "batch"


@dataclass(frozen=True)
class DataConfig:
    """What the images are and how they are prepared."""

    data: str = ""
    """A folder, zip, tar, IDX files, or the name of a known data set."""
    data_root: str = ""
    """Where named data sets are looked for and downloaded to; $DCGAN_DATA or a per-user folder if not given."""
    resample: Literal["lanczos", "bicubic", "bilinear", "nearest"] = "lanczos"
    """Filter that resizes the images, with antialiasing."""
    max_skipped: float = within(0.1, "[0, 1]")
    """Share of unreadable images above which the data set is refused."""
    workers: int = within(0, "[0, 256]")
    """Threads that decode images; 0: one a core."""
    flip: bool = False
    """Mirror every second image at random; doubles a small set of photographs, spoils digits."""
    dedup: bool = False
    """Of photographs that are nearly the same, learn from the first only; `dcgan data dedup` shows which they are."""
    stream: bool = False
    """Read tar shards while training, for sets too large to be decoded into a memory map first."""
    shuffle_buffer: int = within(16_384, "[1, 1e9]")
    """How far, in images, a stream is mixed, besides the random order of its shards."""
    partial_batches: bool = False
    """End an epoch with a smaller batch if need be; otherwise batches run on into the next epoch."""


@dataclass(frozen=True)
class TrainingConfig:
    """How the networks are trained, for how long, and what is written meanwhile."""

    images: int | None = within(None, "[1, 1e12]")
    """Length of the training in real images shown."""
    n_epochs: float | None = within(None, "(0, 1e6]")
    """Length in passes over the data."""
    minutes: float | None = within(None, "(0, 1e6]")
    """Length in minutes of training."""
    batch_size: int = within(16, "[2, 65536]")
    """Real images in each step."""
    micro_batch: int = within(0, "[0, 65536]")
    """Images in memory at once: larger batches are played in pieces, with one update for all; 0: the whole batch."""
    lr: float = within(2e-3, "(0, 1]")
    """Adam's learning rate."""
    lr_d: float | None = within(1e-3, "(0, 1]")
    """The discriminator's learning rate; none: the same."""
    beta1: float = within(0.5, "[0, 1)")
    """Adam's decay of the first moment."""
    beta2: float = within(0.99, "[0, 1)")
    """Adam's decay of the second moment."""
    weight_decay: float = within(0.0, "[0, 1]")
    """L2 added to the gradients of every parameter, as in the authors' code."""
    lr_decay: Literal["none", "linear", "cosine"] = "none"
    """How the learning rate falls to 0 at the end of the training."""
    lr_decay_start: float = within(0.0, "[0, 1)")
    """Share of the training after which it starts to fall."""
    loss: Literal["bce", "hinge", "least-squares", "wasserstein", "relativistic"] = "least-squares"
    """bce: non-saturating; wasserstein: with gradient penalty; relativistic: pairs of real and drawn images."""
    d_loss_reduction: Literal["mean", "sum"] = "mean"
    """The discriminator's loss is the mean of its halves, real and drawn, or their sum as in the authors' code."""
    label_smoothing: float = within(0.1, "[0, 0.5]")
    """Real images' target is 1 minus this, in the losses that have one: bce and least-squares."""
    r1: float = within(1.0, "[0, 1e6]")
    """R1: D's squared gradient at real images counts r1/2 (γ is 2 r1 of a mean, r1 of a sum); none for wasserstein."""
    r2: float = within(0.0, "[0, 1e6]")
    """Weight of the same penalty at drawn images, which the relativistic loss wants beside R1."""
    r1_interval: int = within(16, "[1, 1000]")
    """Compute R1 and R2 only at every N-th update of D, with N times the weight; at 16 they cost almost nothing."""
    rotation: float = within(0.0, "[0, 1000]")
    """Weight of telling by how many quarter turns a real image is turned, which D learns besides; 0: it does not."""
    gradient_penalty: float = within(10.0, "[0, 1e6]")
    """Weight of the wasserstein loss's gradient penalty against the sum of D's halves, whatever their reduction."""
    augment: Literal["none", "fixed", "adaptive"] = "adaptive"
    """D sees all images, real and drawn, in other colours, moved, with holes; adaptive: the more, the surer it is."""
    augment_p: float = within(0.8, "(0, 1]")
    """Probability of each augmentation of an image, at most if adaptive; beyond 0.8 drawings may show them."""
    updates: Literal["joint", "alternate"] = "joint"
    """joint: each batch updates G and then D; alternate: each batch updates one of them, as in the authors' code."""
    sync_batchnorm: bool = True
    """Of several processes (torchrun): batch norm has the statistics of the whole batch, else of each one's share."""
    d_steps: int = within(1, "[1, 100]")
    """Updates of D for each update of G."""
    ema: float = within(0.9999, "[0, 1)")
    """Decay per step of the running average of G's weights that draws the samples; 0: off."""
    seed: int = within(0, "[0, 9223372036854775807]")
    """Seed of everything random."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the networks; auto: bf16 where the device has it in hardware."""
    deterministic: bool = False
    """The same numbers every time: on a GPU by slower operations, on a CPU by one thread, however many there are."""
    sample_interval: int = within(400, "[1, 1e9]")
    """Batches between two sample grids of the fixed latents."""
    checkpoint_interval: int = within(2000, "[1, 1e9]")
    """Batches between two checkpoints; one more is written at the end and when interrupted."""
    keep_checkpoints: int = within(3, "[1, 1000]")
    """How many checkpoints to keep, the newest."""
    log_interval: int = within(50, "[1, 1e9]")
    """Batches averaged into one line of metrics.jsonl."""
    health: Literal["warn", "rollback", "stop"] = "rollback"
    """When training fails: say so, go back to a healthy checkpoint (at half the rate, with other noise), or stop."""
    health_limit: int = within(3, "[0, 1000]")
    """How often a training may go back before it stops."""
    metrics: str = ""
    """Measure the averaged G on the way: of fid, kid, prc, dc, isc, joined by commas; the best by the first is kept."""
    metric_interval: int = within(5000, "[1, 1e9]")
    """Batches between two measurements; one more is made at the end."""
    metric_samples: int = within(5000, "[20, 1e7]")
    """Images drawn for each measurement."""
    extractor: Literal["auto", "inception", "dinov2", "classifier"] = "auto"
    """Whose features the metrics compare; see `dcgan evaluate`."""
    batch_names: bool = False
    """Also write the grids as images/<batches>.png, the blog post's way."""
    tensorboard: bool = False
    """Also write the metrics for TensorBoard into the run directory."""


@dataclass(frozen=True)
class Config:
    """Everything that defines a run."""

    preset: str = "fast"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def replace(self, **settings: Any) -> Config:
        """A copy with some settings changed, named flat; values are coerced to their fields' types.

        A length replaces the other lengths. Raises InputError that lists every unknown name and every
        value of the wrong type.
        """
        problems = []
        changes: dict[str, dict[str, Any]] = {"network": {}, "data": {}, "training": {}}
        if any(settings.get(name) is not None for name in LENGTHS):
            settings = dict.fromkeys(LENGTHS) | settings
        for name, value in settings.items():
            if name not in FIELDS:
                problems.append(f"unknown setting {name!r}{nearest(name, FIELDS)}")
                continue
            section, hint = FIELDS[name]
            try:
                changes[section][name] = coerce(value, hint)
            except (TypeError, ValueError, OverflowError):
                problems.append(f"{name}: {brief(value)} is not {describe(hint)}")
        if problems:
            raise InputError(listing(problems))
        sections: dict[str, Any] = {s: dataclasses.replace(getattr(self, s), **c) for s, c in changes.items()}
        return dataclasses.replace(self, **sections)

    def check(self) -> None:
        """Raise InputError that lists everything wrong with the values, each with its valid range."""
        problems = [*_out_of_range(self), *_contradictions(self)]
        if problems:
            raise InputError(listing(problems))

    def flat(self) -> dict[str, Any]:
        """Every setting by its flat name."""
        return {name: getattr(getattr(self, section), name) for name, (section, _) in FIELDS.items()}

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values, as in config.yaml."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], base: Config) -> Config:
        """Lay nested values, as `to_dict` gives them or a part of them, over `base`."""
        flat: dict[str, Any] = {}
        problems = []
        for section, inner in values.items():
            if section == "preset" and isinstance(inner, str):
                base = dataclasses.replace(base, preset=inner)
            elif section == "preset":
                problems.append(f"preset: {brief(inner)} is not text")
            elif section not in _SECTIONS:
                hint = f" (it belongs under {FIELDS[section][0]}:)" if section in FIELDS else ""
                hint = hint or nearest(_key(section), ["preset", *_SECTIONS])
                problems.append(f"unknown key {brief(section)}{hint}")
            elif inner is None:  # a section whose lines are all comments
                continue
            elif not isinstance(inner, Mapping):
                problems.append(f"{section}: wants settings below it, not {brief(inner)}")
            else:
                own = [name for name, (s, _) in FIELDS.items() if s == section]
                unknown = [key for key in inner if key not in own]
                problems += [f"{section}: unknown key {brief(key)}{nearest(_key(key), own)}" for key in unknown]
                flat.update({k: v for k, v in inner.items() if k in own})
        if problems:
            raise InputError(listing(problems))
        return base.replace(**flat)


_SECTIONS: dict[str, type] = {"network": NetworkConfig, "data": DataConfig, "training": TrainingConfig}
FIELDS: dict[str, tuple[str, Any]] = {
    name: (section, hint) for section, cls in _SECTIONS.items() for name, hint in typing.get_type_hints(cls).items()
}
"""Flat name of each setting → its section and type."""


@functools.cache
def documentation() -> dict[str, str]:
    """Flat name of each setting → its docstring in this file, for the help text and the docs."""
    texts = {}
    for cls in _SECTIONS.values():
        (definition,) = ast.parse(inspect.getsource(cls)).body
        assert isinstance(definition, ast.ClassDef)
        for item, following in itertools.pairwise(definition.body):
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                match following:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        texts[item.target.id] = text
    return texts


def _key(key: Any) -> str:
    """A key of a YAML mapping for comparison with names."""
    return key if isinstance(key, str) else ""


def _out_of_range(config: Config) -> list[str]:
    problems = []
    for section in _SECTIONS:
        for item in dataclasses.fields(getattr(config, section)):
            value, interval = getattr(getattr(config, section), item.name), item.metadata.get("interval")
            if interval is None or value is None:
                continue
            if not is_within(value, interval):
                problems.append(f"{item.name}: {brief(value)} is outside {interval}")
    return problems


def _contradictions(config: Config) -> list[str]:
    network, training = config.network, config.training
    problems = []
    if network.image_size != "auto":
        problems += _size_problems(network)
    given = [name for name in LENGTHS if getattr(training, name) is not None]
    if len(given) > 1:
        problems.append(f"length: give one of {', '.join(LENGTHS)}, not {' and '.join(given)}")
    if training.rotation and network.image_size != "auto" and len({*network.size}) > 1:
        problems.append(
            f"rotation: quarter turns want square images, not {network.image_size}; 0: D does not learn them"
        )
    if training.micro_batch == 1:
        problems.append("micro_batch: batch norm compares images, so 2 is the smallest piece; 0: the whole batch")
    if network.family == "mnist" and not network.conditional:
        problems.append("conditional: the mnist family is class-conditional only (--conditional)")
    if network.family in ("blog", "imagenet32") and network.conditional:
        problems.append(f"conditional: the {network.family} family takes no classes; strided and mnist do")
    if network.family == "blog" and network.discriminator_norm != "batch":
        problems.append("discriminator_norm: the blog family has batch norm only; the others have a choice")
    return problems


def check_all_apply(network: NetworkConfig) -> None:
    """Raise InputError for settings that the family would ignore; to be asked before a training begins."""
    ignored = [
        f"{name}: the blog family has its own; the others have a choice"
        for name in _NOT_OF_THE_BLOG
        if network.family == "blog" and getattr(network, name) != getattr(NetworkConfig, name)
    ]
    if ignored:
        raise InputError(listing(ignored))


_NOT_OF_THE_BLOG = ("width", "kernel_size", "conv_bias", "upsampling", "norm_stats", "norm_affine", "projection_norm")
"""What the blog post's networks are without a choice."""


def _size_problems(network: NetworkConfig) -> list[str]:
    """What is wrong with the image size, with the two nearest sizes that can be built."""
    try:
        size = network.size
    except ValueError:
        return [f"image_size: {network.image_size!r} is not auto, a side such as 64, or HEIGHTxWIDTH"]
    multiple = SIDE_MULTIPLES[network.family]
    valid = range(MIN_SIDE, MAX_SIDE + 1, multiple)
    if all(side in valid for side in size):
        return []
    one, other = nearest_sizes(size, valid)
    rule = f"sides from {MIN_SIDE} to {MAX_SIDE}" + (f", multiples of {multiple}" if multiple > 1 else "")
    return [
        f"image_size: the {network.family} family cannot build {network.image_size} ({rule}); "
        f"nearest: {one} and {other}"
    ]
