"""The `dcgan` command: finds the command named first and runs it. Nothing heavy is imported before that."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import TextIO

from dcgan import distributed
from dcgan.errors import InputError, TrainingError, nearest, printable

COMMANDS = {
    "train": "train a DCGAN on a folder, zip, tar or IDX files, or a data set by name",
    "sample": "draw images from a trained generator",
    "evaluate": "how near a generator's images are to real ones: FID, KID, precision, recall and more",
    "explore": "a page on this machine to draw, walk, slide, add, forget, and follow a training in",
    "latent walk": "from sample to sample through the latent space: a grid, a GIF or frames",
    "export": "write a generator as ONNX, as a PyTorch program, or as a web page that draws by itself",
    "import-authors": "make a run directory of the networks that the paper's authors released",
    "latent arithmetic": "A - B + C of concepts, its neighbourhood, and the same on pixels (the paper's Figure 7)",
    "latent turn": "samples along the vector between two groups of samples (the paper's Figure 8)",
    "latent project": "the latent of a picture of your own",
    "reproduce": "the paper's tables and figures: train what is missing, our numbers beside the paper's",
    "features inspect": "what makes D's features respond, by guided back-propagation (the paper's Figure 5)",
    "features forget": "drop what G draws in boxes or a region: the maps that stand for it (the paper's Figure 6)",
    "features extract": "write the features of a discriminator's convolutions, with the images' labels",
    "features probe": "how well a linear classifier does on those features, beside pixels and an untrained network",
    "data pack": "write images as tar shards, for sets larger than a disk",
    "data dedup": "find images of a set that are nearly the same",
    "data faces": "cut the faces out of photographs",
    "report": "a run on one page: curves, grids, metrics, health, and how to do it again",
    "push": "a run's networks and their model card to the Hugging Face hub",
    "completion": "a script with which bash, zsh or fish complete all this",
    "info": "versions, device, precision, threads and where data and weights are looked for",
}

GROUPS = {name.split()[0] for name in COMMANDS if " " in name}
"""First words of the commands that have two."""

TOGETHER = {"train", "sample", "evaluate"}
"""Commands that many processes, started by torchrun, do as one."""

GREETING = """dcgan trains, judges, explores and ships deep convolutional GANs. Try

  dcgan train digits --minutes 3                    learn handwritten digits, no network needed
  dcgan sample runs/digits-fast --out grid.png      draw new ones
  dcgan train photos/ --minutes 30                  learn from a folder of your own images

`dcgan --help` lists all commands, `dcgan COMMAND --help` a command's options with examples."""

DONE, FAILURE, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done, 1 failure, 2 wrong usage or input, 130 interrupted."""
    try:
        code = _main(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read what is printed has left, as `| head` does
        from dcgan.progress import drop

        drop(sys.stdout)
        drop(sys.stderr)
        return INTERRUPTED


def _main(arguments: list[str]) -> int:
    _say_anything()
    if not arguments:
        print(GREETING)
        return DONE
    if arguments[0] == "help":  # `dcgan help latent walk` is `dcgan latent walk --help`
        arguments = [*arguments[1:], "--help"]
    if arguments[0] in ("-h", "--help"):
        print(_help())
        return DONE
    if arguments[0] in ("-V", "--version"):
        from dcgan import __version__

        print(f"dcgan {__version__}")
        return DONE
    words = 2 if arguments[0] in GROUPS else 1
    command = " ".join(arguments[:words])
    if arguments[0] in GROUPS and (len(arguments) == 1 or arguments[1] in ("-h", "--help", "help")):
        print(_group_help(arguments[0]))
        return DONE
    if command not in COMMANDS:
        known = [name for name in COMMANDS if words == 1 or name.startswith(arguments[0] + " ")]
        return _complain(f"no command {command!r}{nearest(command, known)} (there are: {', '.join(known)})")
    if distributed.launched() and command not in TOGETHER:
        return _complain(f"{command}: is work for one process; start it without torchrun")
    _wait_asleep()
    try:
        return import_module(f"dcgan.cli.{module_of(command)}").run(arguments[words:])
    except InputError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as exit:  # the option parser has said what was wrong, or what there is
        if exit.code == DONE:
            _show_examples(command)
        return exit.code if isinstance(exit.code, int) else WRONG_INPUT
    except TrainingError as error:
        _complain(str(error))
        return FAILURE
    except Exception as error:  # a mistake of ours: the traceback is what a report of it needs
        if isinstance(error, BrokenPipeError):
            print(flush=True)  # raises it again if it is standard output that broke: other pipes are ours
        say(traceback.format_exc().rstrip(), sys.stderr)
        _complain(str(error) or type(error).__name__)
        return FAILURE


def _say_anything() -> None:
    """Have a letter that the output's encoding lacks printed as its number: a name must not end what is being done."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _wait_asleep() -> None:
    """Have torch's threads let go of a core while they wait for each other. OpenMP asks once, when torch is loaded.

    Turning idle circles instead they hold up the very thread that they wait for, as soon as another program wants a
    core: `fast` then learns at less than half the rate. Alone that is some 5 to 15 % faster (benchmarks/busy.py).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def module_of(command: str) -> str:
    """The module of `dcgan.cli` that runs a command: `latent walk` is in latent_walk."""
    return command.replace(" ", "_").replace("-", "_")


def _show_examples(command: str) -> None:
    from dcgan.cli.examples import epilog

    print(epilog(command))


def _complain(message: str) -> int:
    who = "dcgan" if distributed.is_main() else f"dcgan (process {distributed.rank()})"
    say(f"{who}: error: {message}", sys.stderr)
    return WRONG_INPUT


def say(text: object, stream: TextIO | None = None) -> None:
    """Print lines with what could drive a terminal escaped: names of files are data."""
    print("\n".join(printable(line) for line in str(text).split("\n")), file=stream)


def _listed(names: Iterable[str]) -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(f"  {name:<{width}} {COMMANDS[name]}" for name in names)


def _group_help(group: str) -> str:
    commands = _listed(name for name in COMMANDS if name.startswith(group + " "))
    return f"usage: dcgan {group} COMMAND [OPTIONS]\n\ncommands:\n{commands}"


def _help() -> str:
    commands = _listed(COMMANDS)
    return f"""usage: dcgan COMMAND [OPTIONS]

Train, judge and use deep convolutional GANs.

commands:
{commands}

try:
  dcgan train digits --minutes 3                    learn handwritten digits, no network needed
  dcgan train photos/ --minutes 30                  learn from a folder of your own images
  dcgan sample runs/digits-fast --out grid.png      draw new ones
  dcgan evaluate runs/digits-fast                   say how good they are

environment:
  DCGAN_DATA         where named data sets are looked for and downloaded to
  DCGAN_CACHE        where prepared images are kept
  DCGAN_WEIGHTS      where the weights of Inception and DINOv2 are
  DCGAN_SHARD_CACHE  how many GB of fetched shards are kept (16)

exit codes: 0 done, 1 failed, 2 wrong usage or input, 130 interrupted (and saved)

`dcgan COMMAND --help` lists a command's options with examples; RUN is a run directory, a generator.safetensors,
or a model of the Hugging Face hub (user/name)."""
