"""ONNX files draw what the networks draw, for every preset."""

import json

import numpy as np
import pytest
import torch

from dcgan.cli import main
from dcgan.errors import InputError
from dcgan.export import drawing
from dcgan.export.onnx import OPSET, export_onnx, session
from dcgan.export.program import export_program
from dcgan.latents import latents
from tests.export.networks import CASES, WIDE, generator

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


def run(path, z, labels=None):
    feed = {"latent": z.numpy()} | ({} if labels is None else {"label": labels.numpy()})
    (images,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(["images"], feed)
    return images


@pytest.mark.parametrize("case", [*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in WIDE)])
def test_every_preset_in_onnxruntime_equals_torch(case, float_model):
    """Against the whole network, norms and all, on a batch of a size that nothing was made for."""
    g, exported = float_model(case)
    config = g.info.network
    z = latents(5, config.latent_dim, 9, 0, config.latent)
    labels = torch.arange(5) % config.classes if config.classes else None
    with torch.inference_mode():
        wanted = g.alone()(z, labels).numpy()
    assert wanted.std() > 0.1  # something is drawn
    drawn = run(exported.path, z, labels)
    print(f"{case}: {exported.size / 1e6:.1f} MB, largest difference {np.abs(drawn - wanted).max():.1e}")
    assert drawn.dtype == np.float32
    assert drawn.shape == (5, config.image_channels, *config.size)
    assert np.abs(drawn - wanted).max() <= 1e-4
    assert exported.difference <= 1e-4
    assert exported.size == exported.path.stat().st_size
    one = run(exported.path, z[3:4], None if labels is None else labels[3:4])
    np.testing.assert_allclose(one[0], drawn[3], atol=1e-5)  # alone or in company
    kinds = {node.op_type for node in onnx.load(exported.path).graph.node}
    assert not kinds & {"BatchNormalization", "InstanceNormalization"}


@pytest.mark.parametrize("case", ["fast", "fast, classes", "blog", "paper-mnist"])
def test_uint8_output_is_what_draw_gives(case, tmp_path):
    g = generator(case)
    exported = export_onnx(g, tmp_path / "model.onnx", output="uint8")
    z = latents(9, g.info.network.latent_dim, 4, 0, g.info.network.latent)
    labels = torch.arange(9) % g.info.network.classes if g.info.network.classes else None
    drawn, wanted = run(exported.path, z, labels), g.draw(z, labels)
    assert drawn.dtype == np.uint8
    assert drawn.shape == wanted.shape
    off = np.abs(drawn.astype(int) - wanted)
    assert off.max() <= 1  # where a value is half-way between two levels
    assert (off > 0).mean() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("case", WIDE)
def test_half_is_within_its_own_limit_for_every_preset(case, tmp_path):
    half = export_onnx(generator(case), tmp_path / "half.onnx", half=True)
    print(f"{case}: half: {half.size / 1e6:.1f} MB, largest difference {half.difference:.1e}")
    assert 1e-4 < half.difference <= drawing.HALF_LIMIT


def test_half_is_half_the_size_and_nearly_the_same(tmp_path):
    g = generator(width=32)
    whole = export_onnx(g, tmp_path / "whole.onnx")
    half = export_onnx(g, tmp_path / "half.onnx", half=True)
    assert half.size < 0.52 * whole.size
    assert whole.difference < 1e-4 < half.difference < 0.05
    weights = onnx.load(half.path).graph.initializer
    assert sum(w.data_type == onnx.TensorProto.FLOAT16 for w in weights) >= 4


def test_what_a_file_says_of_itself(tmp_path):
    g = generator("fast, classes")
    path = export_onnx(g, tmp_path / "new" / "model.onnx", source="runs-abc", licence="CC-BY-4.0").path
    model = onnx.load(path)
    said = {item.key: item.value for item in model.metadata_props}
    assert said["source"] == "runs-abc"
    assert said["licence"] == "CC-BY-4.0"
    assert json.loads(said["class_names"]) == ["a", "b", "c"]
    assert said["latent"] == "normal"
    assert (said["latent_dim"], said["classes"], said["output"]) == ("100", "3", "float")
    assert json.loads(said["trained"])["data"] == "zip x.zip: 5 images"
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    for secret in (b"/home/", b".py", str(tmp_path).encode()):
        assert secret not in path.read_bytes()
    names = [(i.name, i.type.tensor_type.elem_type) for i in model.graph.input]
    assert names == [("latent", onnx.TensorProto.FLOAT), ("label", onnx.TensorProto.INT64)]


@pytest.mark.parametrize("output", ["float", "uint8"])
def test_other_images_are_refused(output, monkeypatch, tmp_path):
    g = generator()
    monkeypatch.setattr("dcgan.export.onnx.traced", lambda *_: drawing.traced(generator(norm_eps=0.01), output))
    with pytest.raises(RuntimeError, match=r"draws other images than the network: the largest difference is 0\."):
        export_onnx(g, tmp_path / "model.onnx", output=output)
    with torch.no_grad():
        next(g.network.parameters()).fill_(float("nan"))
    monkeypatch.undo()
    with pytest.raises(InputError, match="draws values that are NaN"):
        export_onnx(g, tmp_path / "model.onnx")
    with pytest.raises(InputError, match="draws values that are NaN"):
        export_program(g, tmp_path / "model.pt2")
    with pytest.raises(RuntimeError, match="is nan"):
        drawing.compare(generator(), lambda *inputs: np.full((len(inputs[0]), 3, 32, 32), np.nan, np.float32), "float")
    assert list(tmp_path.iterdir()) == []


def test_a_level_off_is_within_rounding_and_two_are_not():
    g = generator()

    def off_by(levels):
        def draw(*inputs):
            with torch.inference_mode():
                exact = (g(*inputs).permute(0, 2, 3, 1) + 1) * 127.5
            return (exact.round() + levels).byte().numpy()

        return draw

    assert drawing.compare(g, off_by(0), "uint8") == (pytest.approx(0, abs=1e-6), sum(drawing.BATCHES))
    with pytest.raises(RuntimeError, match="other images"):
        drawing.compare(g, off_by(1), "uint8")
    with pytest.raises(RuntimeError, match=r"shape \(1, 2\)"):
        drawing.compare(g, lambda *_: np.zeros((1, 2), np.float32), "float")


def test_bad_input(tmp_path, monkeypatch):
    g = generator()
    (tmp_path / "mine.onnx").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        export_onnx(g, tmp_path / "mine.onnx")
    with pytest.raises(InputError, match="cannot be written"):
        export_onnx(g, tmp_path / "mine.onnx" / "below.onnx")
    assert (tmp_path / "mine.onnx").read_text() == "mine"
    monkeypatch.setattr(drawing, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match="one ONNX file holds 2"):
        export_onnx(g, tmp_path / "large.onnx")
    monkeypatch.undo()
    with torch.no_grad():
        next(g.network.parameters())[0, 0] = 1e6
    with pytest.raises(InputError, match="beyond float16"):
        export_onnx(g, tmp_path / "half.onnx", half=True)
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"dcgan\[onnx\]"):
        export_onnx(g, tmp_path / "none.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.onnx"]


def test_session_is_the_file(float_model):
    path = float_model("fast, classes")[1].path
    z, labels = latents(3, 100, 0), torch.tensor([2, 0, 1])
    assert np.array_equal(session(path.read_bytes())(z, labels), run(path, z, labels))


def test_a_run_that_exploded_is_said_so(tmp_path, capsys):
    """Weights that are finite, and images that are not."""
    g = generator()
    with torch.no_grad():
        for parameter in g.network.parameters():
            parameter.mul_(1e30)
    g.save_pretrained(tmp_path / "run")
    for kind in ("--onnx", "--pt2"):
        assert main(["export", str(tmp_path / "run"), kind, str(tmp_path / "model")]) == 2
        said = capsys.readouterr().err
        assert "NaN or infinite" in said
        assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_command(tmp_path, capsys):
    generator("fast, classes").save_pretrained(tmp_path / "run")
    out = tmp_path / "model.onnx"
    assert main(["export", str(tmp_path / "run"), "--onnx", str(out), "--pt2", str(tmp_path / "model.pt2")]) == 0
    said = capsys.readouterr().out
    assert said.count("largest difference from the network") == 2
    assert "(74 images)" in said
    assert out.stat().st_size > 1000
    assert main(["export", str(tmp_path / "run"), "--onnx", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "run")]) == 2
    assert "--onnx, --pt2 or --web" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "run"), "--pt2", str(tmp_path / "x"), "--half"]) == 2
    assert "weights in float32" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "run"), "--pt2", str(tmp_path / "x"), "--title", "X"]) == 2
    assert "are of --web" in capsys.readouterr().err
    for option in ("--licence", "--title"):
        assert main(["export", str(tmp_path / "run"), "--web", str(tmp_path / "x"), option, "\udce9"]) == 2
        assert f"{option}: \\udce9 is not text in UTF-8" in capsys.readouterr().err
    same = str(tmp_path / "same")
    assert main(["export", str(tmp_path / "run"), "--onnx", same, "--pt2", same]) == 2
    assert "is named twice" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "no"), "--onnx", same]) == 2
    assert "no such run" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model.pt2", "run"]
