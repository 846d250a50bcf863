"""The explorer as a server: how soon 25 images come, 50 clients at once for a minute, and 5,000 requests of nonsense.

    python benchmarks/explorer.py latency|clients|fuzz [RUN] [--seconds 60] [--requests 5000] [--json FILE]

Without a RUN a generator of `fast` at 64×64 in RGB with random weights is drawn from: that takes the same time; `fuzz`
trains a small run first. `latency` asks for new seeds each time, over HTTP, and takes turns with what drawing alone
takes. `clients` ask again as soon as they are answered, each for what the page asks for; memory is the server's
resident size. `fuzz` is what schemathesis makes up from the server's own description, half of it valid by it.
Each needs what `pip install 'dcgan[explore,dev]'` brings.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

import dcgan
from dcgan.latents import latents
from dcgan.networks import build_generator
from dcgan.presets import load_preset
from dcgan.pretrained import Generator, ModelInfo

CLIENTS = 50
OPERATIONS = 14


def random_run(folder: Path) -> Path:
    config = load_preset("fast").replace(image_size=64, channels=3)
    Generator(build_generator(config.network), ModelInfo(config.network)).save_pretrained(folder)
    return folder


def small_run(folder: Path) -> Path:
    settings: dict[str, Any] = {"image_size": 16, "width": 4, "latent_dim": 8, "batch_size": 8, "device": "cpu"}
    intervals: dict[str, Any] = {"log_interval": 5, "sample_interval": 8, "checkpoint_interval": 6}
    return dcgan.train("digits", out=folder / "small", images=160, quiet=True, **settings, **intervals).path


@contextlib.contextmanager
def server(run: Path) -> Iterator[tuple[str, int]]:
    """Its address and its process's number."""
    command = [sys.executable, "-m", "dcgan", "explore", str(run), "--port", "0", "--no-browser", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split(" at ")[1].split()[0], process.pid
        finally:
            process.terminate()


def resident(pid: int) -> float:
    """MiB; nan where the system does not say."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) / 1024 if found else float("nan")
    return float("nan")


def latency(address: str, run: Path) -> dict[str, Any]:
    """Milliseconds for 25 images by HTTP, of a seed that is new, and of one that is not; and of drawing them alone."""
    generator = Generator.from_pretrained(run, "cpu")
    dim, distribution = generator.info.network.latent_dim, generator.info.network.latent
    new, kept, alone = list[float](), list[float](), list[float]()

    def timed(into: list[float], call: Any) -> None:
        began = time.perf_counter()
        call()
        into.append(1000 * (time.perf_counter() - began))

    with httpx.Client(base_url=address) as client:
        for seed in range(43):
            path = f"/api/runs/0/samples.png?count=25&seed={seed}"
            timed(new, lambda path=path: client.get(path).raise_for_status())
            timed(kept, lambda path=path: client.get(path).raise_for_status())
            timed(alone, lambda seed=seed: generator.draw(latents(25, dim, seed, distribution=distribution)))
    return {
        name: {"median": statistics.median(values[3:]), "least": min(values[3:]), "most": max(values[3:]), "n": 40}
        for name, values in (("new seed", new), ("seen before", kept), ("drawing alone", alone))
    }


async def one_client(address: str, number: int, until: float, seen: Counter[int], waits: list[float]) -> None:
    picks = [{"seed": number, "number": i} for i in range(9)]
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        turn = 0
        while time.monotonic() < until:
            turn += 1
            seed = 1000 * number + turn
            asked: list[tuple[str, str, Any]] = [
                ("GET", f"samples.png?count=25&seed={seed}", None),
                ("POST", "walk.png", {"through": picks[:3], "steps": 8}),
                ("POST", "slide.png", {"picks": picks[:4], "moves": [{"principal": {"0": turn % 4}}]}),
                ("POST", "arithmetic.png", {"a": picks[:3], "b": picks[3:6], "c": picks[6:], "seed": seed}),
                ("GET", "log", None),
            ]
            method, path, body = asked[turn % len(asked)]
            began = time.perf_counter()
            answer = await client.request(method, f"/api/runs/0/{path}", json=body)
            waits.append(time.perf_counter() - began)
            seen[answer.status_code] += 1
            if answer.status_code == 429:  # as the page does
                await asyncio.sleep(int(answer.headers["retry-after"]))


async def clients(address: str, pid: int, seconds: float) -> dict[str, Any]:
    """What 50 clients got, and the server's memory every tenth of the time."""
    seen, waits, memory = Counter[int](), list[float](), list[float]()
    until = time.monotonic() + seconds

    async def watch() -> None:
        for _ in range(10):
            await asyncio.sleep(seconds / 10)
            memory.append(round(resident(pid), 1))

    await asyncio.gather(watch(), *(one_client(address, n, until, seen, waits) for n in range(CLIENTS)))
    return {
        "statuses": dict(seen),
        "requests_per_second": sum(seen.values()) / seconds,
        "median_wait_s": statistics.median(waits),
        "longest_wait_s": max(waits),
        "memory_mib": memory,
    }


def fuzz(address: str, requests: int) -> dict[str, Any]:
    """What `requests` requests that schemathesis makes up came to, by operation; see tests/explorer/fuzzing.py."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.explorer.fuzzing import fuzz as made_up

    with httpx.Client(base_url=address, timeout=60) as client:
        found = made_up(client.request, -(-requests // OPERATIONS), seed=1)
    return {
        "requests": found.requests,
        "wrong": found.wrong,
        **{operation: dict(sorted(count.items())) for operation, count in found.statuses.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("latency", "clients", "fuzz"))
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = options.run or (small_run if options.what == "fuzz" else random_run)(Path(folder))
        with server(run) as (address, pid):
            if options.what == "latency":
                found = latency(address, run)
            elif options.what == "clients":
                found = asyncio.run(clients(address, pid, options.seconds))
            else:
                found = fuzz(address, options.requests)
    for name, value in found.items():
        print(f"{name}: {value}")
    if options.json:
        options.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
