"""Files of torch.save read without unpickling: the same tensors as torch.load gives, and nothing else."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dcgan.errors import InputError
from dcgan.evaluation.torchfile import read_torch_file


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    big = torch.randn(6, 5)
    return {
        "weight": torch.randn(3, 4),
        "channels_last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "transposed": big.t(),
        "part": big[2:4, 1:3],
        "scalar": torch.tensor(2.5),
        "count": torch.tensor(7),
        "empty": torch.empty(0, 3),
        "half": torch.randn(3).half(),
        "bf16": torch.randn(3).bfloat16(),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "double": torch.randn(2).double(),
    }


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_the_tensors_of_a_file_are_those_of_torch_load(tmp_path: Path, zipped: bool, kind: Any) -> None:
    path = tmp_path / "w.pth"
    torch.save(kind(tensors()), path, _use_new_zipfile_serialization=zipped)
    expected, found = torch.load(path, weights_only=True), read_torch_file(path)
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_and_parameters(tmp_path: Path, zipped: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    torch.save(network.state_dict(), tmp_path / "a", _use_new_zipfile_serialization=zipped)
    torch.save(dict(network.named_parameters()), tmp_path / "b", _use_new_zipfile_serialization=zipped)
    for name, tensor in read_torch_file(tmp_path / "a").items():
        assert torch.equal(tensor, network.state_dict()[name])
    for name, tensor in read_torch_file(tmp_path / "b").items():
        assert torch.equal(tensor, network.state_dict()[name])


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_programs_are_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    for value in (Trap(tmp_path / "trapped"), {"w": Trap(tmp_path / "trapped")}, nn.Linear(2, 2), {"a": 1}, [1]):
        torch.save(value, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
        with pytest.raises(InputError):
            read_torch_file(tmp_path / "w.pth")
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Trap(tmp_path / "trapped")))
    with pytest.raises(InputError):
        read_torch_file(tmp_path / "w.pth")
    assert not (tmp_path / "trapped").exists()


def changed(path: Path, name: str, content: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    """A copy of a zip with another content of the member whose name ends so."""
    out = path.with_suffix(".changed")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.infolist():
            if member.filename.endswith(name):
                new.writestr(member.filename, content, method)
            else:
                new.writestr(member.filename, old.read(member))
    return out


def test_a_tensor_larger_than_its_storage(tmp_path: Path) -> None:
    torch.save({"w": torch.arange(4.0)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="larger than what it is made of"):
        read_torch_file(changed(tmp_path / "w.pth", "data/0", bytes(8)))
    torch.save({"w": torch.zeros(1).expand(2**40)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="larger than what it is made of"):
        read_torch_file(tmp_path / "w.pth")


def test_compressed_storages_are_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2**20)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="is compressed or too large"):
        read_torch_file(changed(tmp_path / "w.pth", "data/0", bytes(2**22), zipfile.ZIP_DEFLATED))


def test_many_tensors_of_one_storage_are_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dcgan.evaluation.torchfile.LARGEST", 2**16)
    one = torch.zeros(2**12)
    torch.save({str(i): one for i in range(5)}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="too large together"):
        read_torch_file(tmp_path / "w.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_files(tmp_path: Path, zipped: bool) -> None:
    buffer = io.BytesIO()
    torch.save({"w": torch.arange(8.0)}, buffer, _use_new_zipfile_serialization=zipped)
    content = buffer.getvalue()
    for length in range(0, len(content) - 1, 7):
        (tmp_path / "w.pth").write_bytes(content[:length])
        with pytest.raises(InputError):
            read_torch_file(tmp_path / "w.pth")
