"""Programs of torch.export draw what the networks draw, and hold no pickle."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch

from dcgan.errors import InputError
from dcgan.export import drawing
from dcgan.export.program import export_program
from dcgan.latents import latents
from tests.export.networks import CASES, generator


@pytest.mark.parametrize("case", CASES)
def test_every_preset_loaded_again_equals_torch(case, tmp_path):
    g = generator(case)
    config = g.info.network
    exported = export_program(g, tmp_path / "model.pt2", source="abc")
    module = torch.export.load(exported.path).module()
    assert exported.difference <= 1e-4
    for n in (1, 5):
        inputs = [latents(n, config.latent_dim, 9, 0, config.latent)]
        inputs += [torch.arange(n) % config.classes] if config.classes else []
        with torch.inference_mode():
            drawn, wanted = module(*inputs), g.alone()(*inputs)
        assert drawn.shape == (n, config.image_channels, *config.size)
        assert (drawn - wanted).abs().max() <= 1e-4


def test_uint8_output_is_what_draw_gives(tmp_path):
    g = generator("fast, classes")
    z, labels = latents(9, 100, 4), torch.arange(9) % 3
    exported = export_program(g, tmp_path / "model.pt2", output="uint8")
    drawn = torch.export.load(exported.path).module()(z, labels).numpy()
    assert drawn.dtype == np.uint8
    assert np.abs(drawn.astype(int) - g.draw(z, labels)).max() <= 1


def test_no_pickle_and_no_path_in_it(tmp_path):
    path = export_program(generator("fast, classes"), tmp_path / "model.pt2", source="abc", licence="MIT").path
    files = {"dcgan.json": ""}
    torch.export.load(path, extra_files=files)
    said = json.loads(files["dcgan.json"])
    assert (said["source"], said["licence"], said["class_names"]) == ("abc", "MIT", ["a", "b", "c"])
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert not zipfile.is_zipfile(io.BytesIO(content))  # as torch.save writes
            if "/data/weights/weight_" in name:
                assert np.isfinite(np.frombuffer(content, np.float32)).all()  # numbers and nothing else
            else:
                assert not content.startswith(b"\x80")
            assert b".py" not in content
            assert b"/home/" not in content


def test_other_images_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("dcgan.export.program.traced", lambda *_: drawing.traced(generator(norm_eps=0.01), "float"))
    with pytest.raises(RuntimeError, match="other images"):
        export_program(generator(), tmp_path / "model.pt2")
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_left_alone(tmp_path):
    (tmp_path / "mine.pt2").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        export_program(generator(), tmp_path / "mine.pt2")
    with pytest.raises(InputError, match="cannot be written"):
        export_program(generator(), tmp_path / "mine.pt2" / "below.pt2")
