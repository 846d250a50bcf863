"""The recorded step, with a stand-in for CUDA's graphs: a recording runs nothing, a replay runs all of it again."""

import contextlib
from collections.abc import Callable

import pytest
import torch

from dcgan.training.capture import WARM_UP, Captured

recording: list["FakeGraph"] = []


class FakeGraph:
    """Holds the call that was made while it recorded, with the very tensors it was made with."""

    registered: torch.Generator | None = None
    calls: Callable[[], None]

    def register_generator_state(self, generator):
        self.registered = generator

    def replay(self):
        self.calls()


@pytest.fixture
def fake_graphs(monkeypatch):
    @contextlib.contextmanager
    def graph(which, **_how):
        recording.append(which)
        yield
        recording.pop()

    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "Stream", lambda _device: object())


def sums(noise, report):
    """A captured function that adds up its inputs by key, and what it has added."""
    totals: dict[str, float] = {}

    def work(key, images, labels):
        def add():
            totals[key] = totals.get(key, 0.0) + images.sum().item() + (0 if labels is None else labels.sum().item())

        if recording:
            recording[-1].calls = add
            assert recording[-1].registered is noise
        else:
            add()

    return Captured(work, noise, report), totals


def test_each_batch_counts_once_warm_recorded_or_replayed(fake_graphs):
    captured, totals = sums(torch.Generator(), pytest.fail)
    expected = {"a": 0.0, "b": 0.0}
    for i in range(4 * WARM_UP):
        for key, labels in (("a", None), ("b", torch.tensor([i, 1]))):
            images = torch.full((2, 3), float(i))
            captured(key, images, labels)
            expected[key] += 6 * i + (0 if labels is None else i + 1)
            images.fill_(1000)  # the caller's tensors are its own again
    assert totals == expected


def test_each_shape_has_a_recording_of_its_own(fake_graphs):
    captured, totals = sums(torch.Generator(), pytest.fail)
    for i in range(20):
        captured("a", torch.ones(3 if i % 5 == 4 else 8), None)
    assert totals == {"a": 16 * 8.0 + 4 * 3.0}


def test_what_is_forgotten_is_recorded_anew(monkeypatch, fake_graphs):
    captured, totals = sums(torch.Generator(), pytest.fail)
    held: list[int] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _device: held.append(len(captured._recorded)))
    for _ in range(2 * WARM_UP):
        captured("a", torch.ones(2), None)
    ((graph, _),) = captured._recorded.values()
    for _ in range(2):
        captured.forget()
    assert held == [1]  # waited for the last replay while there still was a recording of it
    for _ in range(WARM_UP):
        captured("a", torch.ones(2), None)
    assert captured._recorded == {}  # warm first, again
    captured("a", torch.ones(2), None)
    ((again, _),) = captured._recorded.values()
    assert again is not graph
    assert totals == {"a": 2.0 * (3 * WARM_UP + 1)}


def test_what_cannot_be_recorded_goes_on_and_says_so_once(monkeypatch, fake_graphs):
    @contextlib.contextmanager
    def graph(which, **_how):
        raise RuntimeError("operation not permitted when stream is capturing")
        yield

    monkeypatch.setattr(torch.cuda, "graph", graph)
    said: list[str] = []
    captured, totals = sums(torch.Generator(), said.append)
    for _ in range(3 * WARM_UP):
        captured("a", torch.ones(2), None)
    assert totals == {"a": 6.0 * WARM_UP}
    assert len(said) == 1
    assert "not permitted" in said[0]
    assert "slower" in said[0]
