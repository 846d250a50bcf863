"""Products with a few columns, one for each class: quick if they are 16, and so zeros are put beside them.

With 2 to 11 columns the CPU's BLAS is slower than with 16, 2 to 4 times so in the products with a transposed matrix;
of one column it is as fast as memory (`benchmarks/RESULTS.md`).
"""

from __future__ import annotations

import torch

COLUMNS = 16


def wide(columns: torch.Tensor) -> torch.Tensor:
    """Columns (n, K), and as many of zeros beside them as are wanting to a multiple of 16; one alone stays so."""
    number = columns.shape[1]
    return columns if number == 1 else torch.nn.functional.pad(columns, (0, -number % COLUMNS))


def times(matrix: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """matrix @ columns, of (m, n) and (n, K)."""
    return (matrix @ wide(columns))[:, : columns.shape[1]]
