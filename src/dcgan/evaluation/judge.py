"""`evaluate`: everything that can be measured of a trained generator, each score with its protocol, written down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dcgan import distributed
from dcgan.errors import InputError, printable
from dcgan.evaluation.choice import check_precision
from dcgan.evaluation.extractors import Extractor
from dcgan.evaluation.job import Job, check_needs, feature_scores, memorisation_scores, neighbour_scores
from dcgan.evaluation.metrics import DEFAULT_METRICS, FEWEST, OF_FEATURES, check_metrics, check_number
from dcgan.evaluation.originals import originals
from dcgan.evaluation.scores import Score, append, require_appendable
from dcgan.latents import check_seed, check_truncation
from dcgan.pretrained import Generator
from dcgan.progress import Display
from dcgan.run import Run


def evaluate(
    model: str | Path,
    data: str | Path | None = None,
    *,
    test: str | Path | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    extractor: str = "auto",
    weights: str | Path | None = None,
    samples: int = 10_000,
    reference_samples: int | None = None,
    seed: int = 0,
    truncation: float | None = None,
    device: str = "auto",
    precision: str = "fp32",
    json: str | Path | None = None,
    quiet: bool = False,
) -> list[Score]:
    """How near a generator's images are to real ones; each score with its interval, floor and protocol.

    model: a run directory, whose scores are also added to its evaluation.jsonl, or a generator.safetensors.
    data: the real images; by default those that the run was trained on. test: held-out ones, by default the test
    split if there is one. metrics: of fid, kid, prc (precision, recall), dc (density, coverage), isc, 1nn (the paper's
    Table 3, at 1,000, 10,000, … up to `samples` drawings) and memorisation (also a picture, memorisation.png, in a run
    directory; where `auto` has no extractor, in pixels alone, and it says so). extractor: auto, inception, dinov2 or
    classifier; weights: its file. reference_samples: real images to compare with, by default all. precision: of the
    extractor, and of the drawings of 1nn. json: a file to add the scores to, a line each. In both files features'
    scores, each of 1nn's and memorisation's are as soon as they are there. Raises InputError for wrong input. Processes
    started by torchrun share the drawing and looking of the metrics of features; the rest is done by the main one,
    which alone has the scores.
    """
    check_metrics(metrics)
    check_number("samples", samples, 1 if set(metrics) == {"1nn"} else FEWEST)
    check_number("reference", FEWEST if reference_samples is None else reference_samples)
    check_seed(seed)
    check_truncation(truncation)
    check_precision(precision)
    path = Path(model)
    with distributed.joined(device), Display(quiet=quiet or not distributed.is_main()) as display:
        generator = Generator.from_pretrained(path, device)
        run = Run.open(path) if (path / "config.yaml").is_file() else None
        if run:
            run.require_no_links()
        files = [*([run.path / "evaluation.jsonl"] if run else []), *([Path(json)] if json else [])]
        for file in files:
            require_appendable(file)
        source = originals(path, data)
        with distributed.in_turn():
            real = source.splits(generator.info.network, test, display)
        job = Job(
            generator=generator,
            real=real,
            name=printable(path),
            settings=source.settings,
            extractor=extractor,
            weights=Path(weights) if weights else None,
            samples=samples,
            reference_samples=reference_samples,
            seed=seed,
            truncation=truncation,
            device=device,
            precision=precision,
            display=display,
        )
        return _kept(job, metrics, run, files)


def _kept(job: Job, metrics: Sequence[str], run: Run | None, files: Sequence[Path]) -> list[Score]:
    """All scores, each group in the files as soon as it is there: what is done is kept, whatever comes after it."""
    check_needs(job, metrics)
    scores: list[Score] = []
    try:
        for group in _groups(job, metrics, run):
            for file in files:
                append(group, file)
            scores += group
    except BaseException:
        if scores:
            job.display.say("done before that: " + " · ".join(f"{score.metric} {score.value:.4g}" for score in scores))
        raise
    return scores


def _groups(job: Job, metrics: Sequence[str], run: Run | None) -> Iterator[list[Score]]:
    """Those of features, of each row of Table 3 and of memorisation, as each is ready; in the main process alone."""
    chosen: Extractor | None = None
    if by_features := [name for name in metrics if name in OF_FEATURES]:
        with distributed.in_turn():
            measure = job.measure(by_features)
        found = feature_scores(job, measure)
        if distributed.is_main():
            yield found
        chosen = measure.extractor
    if not distributed.is_main():
        return
    if "memorisation" in metrics and not chosen:  # now: it can be refused
        try:
            chosen = job.choose()
        except InputError as error:
            if job.extractor != "auto" or job.weights:
                raise
            job.display.warn(f"memorisation is looked for in pixels alone: {error}")
    if "1nn" in metrics:
        yield from neighbour_scores(job)
    if "memorisation" in metrics:
        yield memorisation_scores(job, chosen, run)
