from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dcgan.errors import InputError
from dcgan.files import write_atomically
from dcgan.images import save_gif, save_png
from dcgan.presets import load_preset
from dcgan.run import Run, default_path


def test_create_writes_settings_and_data_first(tmp_path: Path) -> None:
    config = load_preset("paper").replace(minutes=3, lr="1e-4")
    run = Run.create(tmp_path / "new" / "run", config, {"key": "k"})
    assert Run.open(run.path).config == config
    assert run.data == {"key": "k"}


def test_create_refuses_what_exists(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        Run.create(tmp_path, load_preset("fast"), {})
    with pytest.raises(InputError, match="not a folder"):
        Run.create(tmp_path / "precious.txt", load_preset("fast"), {})
    assert (tmp_path / "precious.txt").read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_create_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Run.create(tmp_path / "file" / "run", load_preset("fast"), {})


def test_open_names_the_nearest_run(tmp_path: Path) -> None:
    Run.create(tmp_path / "digits-fast", load_preset("fast"), {})
    with pytest.raises(InputError, match="did you mean 'digits-fast'"):
        Run.open(tmp_path / "digit-fast")
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="not a run directory"):
        Run.open(tmp_path / "other")
    with pytest.raises(InputError, match="no such run"):
        Run.open(tmp_path / "no" / "parent")
    (tmp_path / "generator.safetensors").touch()
    with pytest.raises(InputError, match=r"generator\.safetensors: is a file, not a run directory$"):
        Run.open(tmp_path / "generator.safetensors")


def test_data_that_cannot_be_read(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", load_preset("fast"), {})
    (run.path / "data.json").write_text("{")
    with pytest.raises(InputError, match=r"data\.json: not valid JSON"):
        _ = run.data


def test_metrics_survive_a_line_cut_short(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.metrics() == []
    for step in (1, 2, 3):
        run.log({"step": step})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert [record["step"] for record in run.metrics()] == [1, 2, 3]
    run.rewind(2, 10**9)
    assert (tmp_path / "metrics.jsonl").read_text().splitlines() == ['{"step": 1}', '{"step": 2}']


def test_health_is_a_file_of_its_own_that_a_rewind_leaves(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.health() == []
    run.log_health({"step": 7, "symptom": "collapse"})
    run.rewind(2, 10**9)
    assert run.health() == [{"step": 7, "symptom": "collapse"}]


def test_log_refuses_what_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        Run(tmp_path).log({"loss": float("nan")})


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_animation_has_a_frame_a_grid(tmp_path: Path, channels: int) -> None:
    run = Run.create(tmp_path / "run", load_preset("fast"), {})
    assert run.save_animation() is None
    for shown in (0, 50, 1000):
        images = np.full((4, 5, 6, channels), shown % 251, np.uint8)
        run.save_grid(images, 2, shown)
    path = run.save_animation()
    assert path is not None
    with Image.open(path) as animation:
        assert getattr(animation, "n_frames", 1) == 3
        assert animation.info["loop"] == 0


def test_default_path_is_the_first_free(tmp_path: Path) -> None:
    assert default_path("digits", "fast", tmp_path) == tmp_path / "digits-fast"
    (tmp_path / "digits-fast").mkdir()
    (tmp_path / "digits-fast-2").mkdir()
    assert default_path("digits", "fast", tmp_path) == tmp_path / "digits-fast-3"


def test_log_is_one_object_a_line(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.log({"step": 1, "loss_d": 0.5})
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "loss_d": 0.5}


def test_a_run_with_a_link_in_it_is_not_added_to(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", load_preset("fast"), {})
    run.require_no_links()
    (tmp_path / "elsewhere").mkdir()
    for name in ("metrics.jsonl", "samples/0.png", "checkpoints"):
        (run.path / name).symlink_to(tmp_path / "elsewhere")
        with pytest.raises(InputError, match=rf"run/{name}: is a link"):
            run.require_no_links()
        (run.path / name).unlink()
    link = tmp_path / "link"
    link.symlink_to(run.path)
    Run.open(link).require_no_links()  # where a run is, is its owner's business


def test_files_are_not_written_through_links(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    for name, write in {
        "a.png": lambda path: save_png(path, np.zeros((2, 2, 1), np.uint8)),
        "a.gif": lambda path: save_gif(path, [np.zeros((2, 2, 1), np.uint8)]),
        "a.bin": lambda path: write_atomically(path, b"x"),
    }.items():
        (tmp_path / f"{name}.partial").symlink_to(tmp_path / "victim")
        (tmp_path / name).symlink_to(tmp_path / "victim")
        write(tmp_path / name)
        assert (tmp_path / name).is_file()
        assert not (tmp_path / name).is_symlink()
    assert (tmp_path / "victim").read_text() == "mine"


def test_grids_that_are_none_are_left_out_of_the_animation(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", load_preset("fast"), {})
    for shown in (1, 2, 3):
        run.save_grid(np.full((4, 4, 4, 1), shown, np.uint8), 2, shown)
    (run.path / "samples" / "0000000000.png").write_bytes(b"no picture")
    Image.new("L", (3000, 3000)).save(run.path / "samples" / "0000000001.png")
    Image.new("L", (4, 4)).save(run.path / "samples" / "0000000002.png", "GIF")
    assert run.save_animation() is None
    run.save_grid(np.full((4, 4, 4, 1), 2, np.uint8), 2, 2)
    assert run.save_animation() is not None
    with Image.open(run.path / "samples" / "progress.gif") as image:
        assert getattr(image, "n_frames", 1) == 2
