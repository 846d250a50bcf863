"""`dcgan completion`: a script with which a shell completes commands, options, choices and paths.

The script holds all words, so that completing starts no Python.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from dcgan.cli import COMMANDS, DONE, GROUPS
from dcgan.cli.words import Word, all_words

Words = Mapping[str, Sequence[Word]]

HELP = Word(("-h", "--help"), "", "Say what can be typed here", (), flag=True)


@dataclass(frozen=True)
class CompletionOptions:
    """Print a completion script for a shell.

    bash and zsh: eval "$(dcgan completion bash)" in ~/.bashrc or, with zsh and after compinit, in ~/.zshrc.
    fish: dcgan completion fish > ~/.config/fish/completions/dcgan.fish
    """

    shell: Annotated[
        tyro.conf.Positional[Literal["bash", "zsh", "fish"]], tyro.conf.arg(metavar="SHELL", help="bash, zsh or fish.")
    ]


def run(arguments: Sequence[str]) -> int:
    options = tyro.cli(CompletionOptions, prog="dcgan completion", args=arguments)
    print({"bash": bash, "zsh": zsh, "fish": fish}[options.shell](all_words()))
    return DONE


def bash(words: Words) -> str:
    """For bash 3.2 and later."""
    groups = "|".join(sorted(GROUPS))
    values = [
        f"        {shlex.quote(f'{command} {name}')}) {_offer(word.choices, word.place)}; return ;;"
        for command, options in words.items()
        for word in options
        if word.names and not word.flag
        for name in word.names
    ]
    starts = [
        f"        {shlex.quote(command)}) options={shlex.quote(' '.join(_names(options)))}; "
        f"[[ $word == -* ]] || {{ {_offer(choices, place)}; }} ;;"
        for command, options in words.items()
        for choices, place in [_positional(options)]
    ]
    seconds = [f"        {group}) _dcgan_offer {shlex.quote(' '.join(_seconds(group)))} ;;" for group in sorted(GROUPS)]
    return f"""# Completion of dcgan for bash: eval "$(dcgan completion bash)"
_dcgan_offer() {{ COMPREPLY+=($(compgen -W "$1" -- "$word")); }}
_dcgan_paths() {{
    local IFS=$'\\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY+=($(compgen -f -- "$word"))
}}
_dcgan() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}} options=
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _dcgan_offer {shlex.quote(" ".join(_firsts()))}
        return
    fi
    case $command in {groups})
        if ((COMP_CWORD == 2)); then
            case $command in
{_lines(seconds, 8)}
            esac
            return
        fi
        command+=" ${{COMP_WORDS[2]}}" ;;
    esac
    case "$command $before" in
{_lines(values)}
    esac
    case $command in
{_lines(starts)}
    esac
    [[ $word == -* ]] && _dcgan_offer "$options"
}}
complete -F _dcgan dcgan"""


def zsh(words: Words) -> str:
    """For zsh 5, either evaluated or as a file _dcgan in $fpath."""
    firsts = [_zsh_pair(name, COMMANDS.get(name, "commands for this")) for name in _firsts()]
    seconds = []
    for group in sorted(GROUPS):
        pairs = " ".join(_zsh_pair(name, COMMANDS[f"{group} {name}"]) for name in _seconds(group))
        seconds.append(f"            {group}) all=({pairs}) ;;")
    cases = [
        "        " + shlex.quote(command) + ") _arguments -s -S " + " ".join(_zsh_specs((HELP, *options))) + " ;;"
        for command, options in words.items()
    ]
    return f"""#compdef dcgan
# Completion of dcgan for zsh: eval "$(dcgan completion zsh)", after compinit
_dcgan() {{
    local command=$words[2]
    local -a all
    if (( CURRENT == 2 )); then
        all=({" ".join(firsts)})
        _describe command all
        return
    fi
    case $command in ({"|".join(sorted(GROUPS))})
        if (( CURRENT == 3 )); then
            case $command in
{_lines(seconds)}
            esac
            _describe command all
            return
        fi
        command+=" $words[3]"
        shift words
        (( CURRENT-- )) ;;
    esac
    shift words
    (( CURRENT-- ))
    case $command in
{_lines(cases)}
    esac
}}
if [[ $funcstack[1] == _dcgan ]]; then _dcgan "$@"; else compdef _dcgan dcgan; fi"""


def fish(words: Words) -> str:
    """For fish 3."""
    lines = [
        "# Completion of dcgan for fish: dcgan completion fish > ~/.config/fish/completions/dcgan.fish",
        "function __dcgan_at",
        "    set -l typed (commandline -opc)",
        "    set -e typed[1]",
        "    set -l n (count $argv)",
        '    test (count $typed) -ge $n; and test "$typed[1..$n]" = "$argv"',
        "end",
        "function __dcgan_only",
        "    set -l typed (commandline -opc)",
        "    test (count $typed) -eq (math (count $argv) + 1); and __dcgan_at $argv",
        "end",
        "complete -c dcgan -f",
        *(
            f"complete -c dcgan -n 'test (count (commandline -opc)) -eq 1' -a {name} -d {_fish(COMMANDS.get(name, ''))}"
            for name in _firsts()
        ),
        *(
            f"complete -c dcgan -n '__dcgan_only {group}' -a {name} -d {_fish(COMMANDS[f'{group} {name}'])}"
            for group in sorted(GROUPS)
            for name in _seconds(group)
        ),
    ]
    for command, options in words.items():
        at = f"complete -c dcgan -n '__dcgan_at {command}'"
        for word in (HELP, *options):
            choices = f" -a {_fish(' '.join(word.choices))}" if word.choices else ""
            if not word.names:
                lines.append(f"{at}{' -F' if word.place else ''}{choices}")
                continue
            names = " ".join(f"-l {n[2:]}" if n.startswith("--") else f"-s {n[1:]}" for n in word.names)
            value = "" if word.flag else " -r -F" if word.place else " -x"
            lines.append(f"{at} {names}{value}{choices} -d {_fish(_brief(word.help))}")
    return "\n".join(lines)


def _firsts() -> list[str]:
    return list(dict.fromkeys([*(name.split()[0] for name in COMMANDS), "help"]))


def _seconds(group: str) -> list[str]:
    return [name.split()[1] for name in COMMANDS if name.startswith(group + " ")]


def _names(words: Sequence[Word]) -> list[str]:
    return [name for word in (HELP, *words) for name in word.names]


def _positional(words: Sequence[Word]) -> tuple[tuple[str, ...], bool]:
    """What may be typed without an option before it, and whether paths may."""
    own = [word for word in words if not word.names]
    return tuple(choice for word in own for choice in word.choices), any(word.place for word in own)


def _offer(choices: Sequence[str], place: bool) -> str:
    """bash: these words, and paths."""
    parts = [f"_dcgan_offer {shlex.quote(' '.join(choices))}"] if choices else []
    return "; ".join([*parts, *(["_dcgan_paths"] if place else [])]) or ":"


def _brief(text: str) -> str:
    """The beginning of a help text, in one short line."""
    first = " ".join(text.split()).split(". ")[0].rstrip(".")
    return first if len(first) <= 70 else first[:69].rsplit(" ", 1)[0] + " …"


def _lines(lines: Sequence[str], deeper: int = 0) -> str:
    return "\n".join(" " * deeper + line for line in lines)


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _zsh_pair(name: str, told: str) -> str:
    return shlex.quote(f"{name}:{told}")


def _zsh_specs(words: Sequence[Word]) -> list[str]:
    """The arguments of _arguments; those without an option by their place, '1:RUN:_files'."""
    places = [word for word in words if not word.names]
    return [_zsh_spec(word, 0 if word.names else 1 + places.index(word)) for word in words]


def _zsh_spec(word: Word, place: int) -> str:
    """One argument of _arguments: '(-n --n)'{-n,--n}'[help]:N:( … )'; place: from 1, of one without an option."""
    action = "_files" if word.place else ""
    if word.choices:
        action = f"({' '.join(word.choices)})"
        if word.place:
            action = f"{{_alternative 'names\\:name\\:({' '.join(word.choices)})' 'files\\:file\\:_files'}}"
    metavar = word.what.replace(":", " ") or "value"
    if not word.names:
        return shlex.quote(f"{'*' if word.many else place}:{metavar}:{action or ' '}")
    told = _brief(word.help).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")
    rest = f"[{told}]" + ("" if word.flag else f":{metavar}:{action or ' '}")
    others = f"({' '.join(word.names)})" if len(word.names) > 1 else ""
    return " ".join(shlex.quote(f"{others}{name}{rest}") for name in word.names)
