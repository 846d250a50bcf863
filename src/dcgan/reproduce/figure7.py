"""Figure 7: vector arithmetic on faces, "smiling woman - neutral woman + neutral man", and how often it smiles."""

from __future__ import annotations

from dcgan.latent.arithmetic import arithmetic
from dcgan.latent.attributes import class_number, labelled_images
from dcgan.latent.concepts import find_concepts
from dcgan.latent.pictures import figure
from dcgan.latent.trials import Claim, trials
from dcgan.pretrained import Generator
from dcgan.reproduce.classes import chosen, require_classes
from dcgan.reproduce.experiment import Experiment, Outcome, Row, percent
from dcgan.reproduce.job import Job
from dcgan.reproduce.photographs import FACES, JUDGE, plans


def measure(job: Job) -> Outcome:
    """One arithmetic to look at, and many to count; the classes are told apart by classifiers of the labelled data."""
    require_classes(job)
    run = job.trained()
    generator = Generator.from_pretrained(run.path, job.device)
    images = labelled_images(run.path, generator, job.data, job.display)
    a, b, c = chosen(job, images.class_names, 3)
    for name in (a, b, c):
        class_number(name, images.class_names)
    texts = {"a": f"class:{a}", "b": f"class:{b}", "c": f"class:{c}"}
    samples = job.number("samples")
    with job.display:
        concepts, _ = find_concepts(
            run.path, generator, texts, job.display, samples=samples, seed=job.seed, data=job.data
        )
        shown = arithmetic(generator, *concepts, seed=job.seed)
        claims = {
            number: trials(
                run.path,
                (a, b, c),
                generator=generator,
                number=job.number("trials"),
                samples=number,
                seed=job.seed,
                data=job.data,
                display=job.display,
            )
            for number in sorted({samples, job.number("more")})
        }
    claim = claims[samples]
    return Outcome(
        rows=(
            *(row for number, found in claims.items() for row in _rows(found, number, number == samples)),
            Row("the judge on held-out images", "", percent(claim.judge.accuracy), claim.judge.accuracy),
        ),
        pictures={f"{a} − {b} + {c} amid its neighbours; below, the means of z and of pixels": figure(shown)},
        notes=(
            *job.notes(run),
            "the paper picked its samples by hand; here a classifier picks them, and another one judges, trained on "
            f"other images: {claim.judge}",
        ),
        protocol=job.protocol(
            run,
            labels=images.source,
            trials=claim.trials,
            samples_a_concept=", ".join(map(str, claims)),
            noise=claim.noise,
            judge=JUDGE,
            interval="95 %, Wilson, of the trials",
        ),
        measured={"claims": {str(number): found.record() for number, found in claims.items()}}
        | {name: list(found.numbers) for name, found in zip("abc", concepts, strict=True)},
    )


def _rows(claim: Claim, samples: int, compared: bool) -> tuple[Row, ...]:
    """What share is judged A, of arithmetics with the means of so many samples; the paper's is beside one of them."""
    (a, b, c), of = claim.classes, f", {samples} samples a concept"
    return tuple(
        Row(what + of, words if compared else "", str(share).strip(), share.value)
        for what, words, share in (
            (f"{a} - {b} + {c}: judged {a}", "one, by eye", claim.centres),
            ("… and its eight neighbours", "eight, by eye", claim.all_nine),
            (f"{c}, the inputs, mean z: judged {a}", "", claim.inputs),
            ("the same with pixels", "noisy overlap, by eye", claim.pixel_results),
            (f"{c}, the inputs, mean pixels", "", claim.pixel_inputs),
        )
    )


EXPERIMENT = Experiment(
    name="figure7",
    title="Figure 7: vector arithmetic",
    data=FACES,
    genuine=(),
    sources=(),
    plans=plans({"samples": 3, "more": 6, "trials": 200}),
    measure=measure,
    options=("classes",),
)
