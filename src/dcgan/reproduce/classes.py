"""Which classes of the labelled images Figures 7 and 8 are about."""

from __future__ import annotations

from dcgan.errors import InputError, nearest, printable
from dcgan.reproduce.job import Job


def require_classes(job: Job) -> None:
    """Raise InputError before anything is trained, if the data has no classes, or not those asked for."""
    source = job.source()
    if len(source.class_names) < 2:
        raise InputError(
            f"data: {printable(source.description)}; {job.experiment.name} wants labelled images of two classes or "
            "more (one folder a class), to pick samples by"
        )
    chosen(job, source.class_names, 3 if job.experiment.name == "figure7" else 2)


def chosen(job: Job, names: tuple[str, ...], number: int) -> tuple[str, ...]:
    """The classes asked for, the first of which results should have; of two classes the last, as against the first.

    number: how many are wanted. Raises InputError for others, and if more than two are there to choose from.
    """
    known = ", ".join(map(printable, names))
    wanted = "A,B,C for A - B + C" if number == 3 else "B,A for the vector from A to B"
    given = tuple(job.options.get("classes", ()))
    if not given:
        if len(names) != 2:
            raise InputError(f"classes: name {wanted} (there are: {known})")
        return (names[1], names[0], names[0])[:number]
    if len(given) != number:
        raise InputError(f"classes: {len(given)} are named; wants {wanted} (there are: {known})")
    if unknown := [name for name in given if name not in names]:
        raise InputError(f"classes: no class {unknown[0]!r}{nearest(unknown[0], names)} (there are: {known})")
    return given
