"""The search of Table 3 with lower bounds and without: the same drawings, piece by piece in turn, the same neighbours.

    python benchmarks/nearest.py RUN --test DATA [--samples 400000] [--threads 1] [--seed 0]

RUN has a generator that knows classes; the test split of DATA is classified. For every 50,000 drawings it prints the
CPU time of both searches, for the more have been seen, the less is left to bounds to look at, and their ratio. It ends
with an error unless both found the same neighbours. Products of 8 bits are not used, fast as they may be here.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from unittest import mock

import numpy as np
import torch

from dcgan.data.pack import pack
from dcgan.data.sources import find_source
from dcgan.evaluation import nearest
from dcgan.evaluation.neighbours import labelled_blocks
from dcgan.pretrained import Generator

EVERY = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--test", required=True, metavar="DATA")
    parser.add_argument("--samples", type=int, default=400_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    generator = Generator.from_pretrained(options.run, "cpu")
    network = generator.info.network
    queries = np.asarray(pack(find_source(options.test, split="test"), network.size, network.image_channels).images)

    with mock.patch.object(nearest, "_int8_pays", return_value=False):
        bounded = nearest.Nearest(queries)
        with mock.patch.object(nearest, "FEWEST_QUERIES", len(queries) + 1):
            whole = nearest.Nearest(queries)
    print(f"{len(queries):,} queries of {queries[0].size} pixels, {options.threads} threads, seconds of CPU time")
    print("drawings seen     whole   bounded   ratio")
    drawings = labelled_blocks(generator, options.samples, options.seed)
    for seen in range(EVERY, options.samples + 1, EVERY):
        blocks = list(islice(drawings, EVERY // 64 + 1))
        images, labels = (np.concatenate(part) for part in zip(*blocks, strict=True))
        spent = {whole: 0.0, bounded: 0.0}
        for start in range(0, len(images), 4096):
            for search in spent:
                began = time.process_time()
                search.add(images[start : start + 4096], labels[start : start + 4096])
                spent[search] += time.process_time() - began
        print(f"{seen:13,} {spent[whole]:9.1f} {spent[bounded]:9.1f} {spent[whole] / spent[bounded]:7.1f}", flush=True)
    if not (np.array_equal(whole.squared, bounded.squared) and np.array_equal(whole.tags, bounded.tags)):
        raise SystemExit("the two found other neighbours")


if __name__ == "__main__":
    main()
