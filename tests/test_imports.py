"""The import rule of the architecture, walked over the source; and what importing alone may cost."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dcgan

ROOT = Path(dcgan.__file__).parent

# From the bottom up: a module may import from its own folder and from levels below, never sideways or upwards.
LEVELS: list[set[str]] = [
    {"errors", "values"},
    {"reading", "locks"},
    {"files", "shared_memory"},
    {"distributed"},
    {"config", "images", "device", "latents", "notebook"},
    {"presets", "networks", "losses", "data", "progress"},
    {"hub"},
    {"pretrained", "run"},
    {"evaluation", "curation", "report"},
    {"training"},
    {"latent", "features", "export"},
    {"reproduce"},
    {"explorer"},
    {"cli"},
]
ONLY_TORCH_AND_CONFIG = {"networks", "losses"}


def place(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path) -> set[str]:
    """The places under dcgan that a file imports, those inside functions and under TYPE_CHECKING included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "dcgan":
            found |= {place(node.module)} if "." in node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {place(alias.name) for alias in node.names if alias.name.split(".")[0] == "dcgan"}
    return found - {"", "__version__"}


def sources() -> list[Path]:
    return [
        path for path in sorted(ROOT.rglob("*.py")) if path.parent != ROOT or path.stem not in ("__init__", "__main__")
    ]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_never_go_upwards(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    level = next(i for i, places in enumerate(LEVELS) if own in places)
    allowed = set().union({own}, *LEVELS[:level])
    if own == "presets":
        allowed.add("config")
    assert imports_of(path) <= allowed
    if own in ONLY_TORCH_AND_CONFIG:
        assert imports_of(path) <= {"config", "errors", own}


def loaded_by(statement: str) -> set[str]:
    program = f"import sys; {statement}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_importing_dcgan_loads_nothing_heavy() -> None:
    assert not loaded_by("import dcgan") & {"torch", "numpy", "PIL", "yaml", "tyro", "rich"}


def test_help_loads_nothing_heavy() -> None:
    assert not loaded_by("from dcgan.cli import main; main(['--help'])") & {"torch", "numpy", "PIL", "tyro", "rich"}


def test_options_are_understood_before_torch_is_imported() -> None:
    assert "torch" not in loaded_by("from dcgan.cli import main; main(['train', '--no-such-option'])")


def test_public_names_are_there_and_no_others() -> None:
    assert dir(dcgan) == sorted(dcgan.__all__)
    for name in dcgan.__all__:
        assert getattr(dcgan, name)
    with pytest.raises(AttributeError, match="no attribute 'Generatr'"):
        _ = dcgan.Generatr
