"""Figure 3: samples after five passes over the bedrooms; the paper sees repeated textures, a sign of underfitting."""

from __future__ import annotations

from dcgan.reproduce.figure2 import experiment

EXPERIMENT = experiment("figure3", "Figure 3: samples after five epochs", 5)
