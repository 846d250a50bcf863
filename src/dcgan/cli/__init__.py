"""The `dcgan` command: finds the command named first and runs it. Nothing heavy is imported before that."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from dcgan.errors import InputError, TrainingError, nearest, printable

COMMANDS = {
    "train": "train a DCGAN on a folder, zip, tar or IDX files, or a data set by name",
    "sample": "draw images from a trained generator",
    "evaluate": "how near a generator's images are to real ones: FID, KID, precision, recall and more",
    "info": "versions, device, precision, threads and where data is looked for",
}

DONE, FAILURE, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code: 0 done, 1 failure, 2 wrong usage or input, 130 interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return DONE
    if arguments[0] in ("-V", "--version"):
        from dcgan import __version__

        print(f"dcgan {__version__}")
        return DONE
    command = arguments[0]
    if command not in COMMANDS:
        return _complain(f"no command {command!r}{nearest(command, COMMANDS)} (there are: {', '.join(COMMANDS)})")
    try:
        return import_module(f"dcgan.cli.{command}").run(arguments[1:])
    except InputError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except SystemExit as exit:  # the option parser has said what was wrong
        return exit.code if isinstance(exit.code, int) else WRONG_INPUT
    except TrainingError as error:
        _complain(str(error))
        return FAILURE
    except Exception as error:  # a mistake of ours: the traceback is what a report of it needs
        traceback.print_exc()
        _complain(str(error) or type(error).__name__)
        return FAILURE


def _complain(message: str) -> int:
    lines = "\n".join(printable(line) for line in message.splitlines())
    print(f"dcgan: error: {lines}", file=sys.stderr)
    return WRONG_INPUT


def _help() -> str:
    commands = "\n".join(f"  {name:<8} {text}" for name, text in COMMANDS.items())
    return f"""usage: dcgan COMMAND [OPTIONS]

Train, judge and use deep convolutional GANs.

commands:
{commands}

try:
  dcgan train digits --minutes 3                    learn handwritten digits, no network needed
  dcgan train photos/ --minutes 30                  learn from a folder of your own images
  dcgan sample runs/digits-fast --out grid.png      draw new ones
  dcgan evaluate runs/digits-fast                   say how good they are

`dcgan COMMAND --help` lists a command's options."""
