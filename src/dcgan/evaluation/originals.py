"""The real images that belong to a model: those its run was trained on, prepared as the run did it, or others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dcgan.config import DataConfig, NetworkConfig
from dcgan.data.pack import Pack, pack
from dcgan.data.shards.source import ShardSource
from dcgan.data.source import Source, Split
from dcgan.data.sources import find_source_of_run
from dcgan.data.subset import without
from dcgan.errors import InputError, printable
from dcgan.progress import Display
from dcgan.reading import at_home
from dcgan.run import Run


@dataclass(frozen=True, eq=False)
class RealImages:
    """The training split, and if there is one the test split, as packs of one shape."""

    train: Pack
    test: Pack | None


@dataclass(frozen=True)
class Originals:
    """Where real images are, and how they are prepared."""

    settings: DataConfig
    run: Run | None = None
    """Whose training images they have to be; None for others, which were named."""
    left_out: tuple[int, ...] = ()
    """Rows of the training split that the run did not learn from."""

    def source(self, split: Split = "train") -> Source:
        """Find them; InputError if they are not there."""
        return find_source_of_run(self.settings.data, self.settings.data_root, split)

    def packed(self, network: NetworkConfig, display: Display) -> Pack:
        """The training split, at the network's size and channels.

        Raises InputError for data that cannot be used, and for a run's own that are no longer what they were.
        """
        return self._training(self.source(), network, display)

    def prepared(self, source: Source, network: NetworkConfig, display: Display) -> Pack:
        """Another source, prepared in the same way; InputError for data that cannot be used."""
        if self.settings.stream and isinstance(source, ShardSource):
            source = source.sample()  # what the run itself took where it needed a whole set
        return pack(
            source,
            network.size,
            network.image_channels,
            resample=self.settings.resample,
            workers=self.settings.workers or None,
            max_skipped=self.settings.max_skipped,
            progress=display.counter("packing"),
        )

    def splits(self, network: NetworkConfig, test: str | Path | None, display: Display) -> RealImages:
        """Training and test split.

        test: held-out images of the same kind; by default the test split that names and IDX folders have.
        Raises InputError for data that cannot be used.
        """
        source = self.source()
        train = self._training(source, network, display)
        if test is not None:
            held_out = self.prepared(find_source_of_run(test, self.settings.data_root, "test"), network, display)
            if held_out.holds(train.key, train.digest):
                raise InputError(f"test: {printable(test)} holds the very images of {printable(train.source)}")
            return RealImages(train, held_out)
        try:
            own = self.source("test")
        except InputError as error:
            display.say(f"no test split: {error}")
            return RealImages(train, None)
        if own.fingerprint() == source.fingerprint():  # folders and archives are what they are, whatever split is asked
            return RealImages(train, None)
        return RealImages(train, self.prepared(own, network, display))

    def _training(self, source: Source, network: NetworkConfig, display: Display) -> Pack:
        found = without(self.prepared(source, network, display), self.left_out)
        if self.run and "key" in self.run.data:  # imported networks have none
            require_own(found, self.run, self.settings.data, "name with --data which to take")
        return found


def require_own(found: Pack, run: Run, data: str, advice: str) -> None:
    """Raise InputError, with advice, if these are not the images that a run was trained on.

    They are if their source is as it was, or else, of runs that know it, if what was packed is.
    """
    before = run.data.get("digest")
    if found.holds(run.data.get("key"), before):
        return
    doubt = " (told by names, sizes and times alone: a copy has to keep them, as with cp -p or rsync -t)"
    raise InputError(
        f"{printable(run)}: the images of {printable(data)} are not those it was trained on; {advice}"
        + ("" if found.digest and before else doubt)
    )


def originals(model: Path, data: str | Path | None) -> Originals:
    """The images that a run directory was trained on, or `data` in their place, prepared in the same way.

    Raises InputError if the model is a weights file, which does not know, and there is no `data`.
    """
    run = Run.open(model) if (model / "config.yaml").is_file() else None
    settings = run.config.data if run else DataConfig()
    if data is not None:
        # A Path is never the name of a set.
        where = str(at_home(data).resolve()) if isinstance(data, Path) else data
        return Originals(replace(settings, data=where))
    if run is None:
        raise InputError(
            f"data: the weights file {printable(model)} does not say what it was trained on; "
            "name the real images with --data"
        )
    return Originals(settings, run, tuple(run.data.get("left_out", ())))
