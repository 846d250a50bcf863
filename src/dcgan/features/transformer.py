"""D's features as a scikit-learn transformer; the one module that scikit-learn is imported by."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from dcgan.config import NetworkConfig
from dcgan.errors import InputError
from dcgan.features.extract import FeatureExtractor, feature_extractor, require_images
from dcgan.features.statistics import needs_statistics
from dcgan.pretrained import Discriminator

try:
    from sklearn.base import BaseEstimator, TransformerMixin

    HAS_SKLEARN = True
except ImportError:  # the name is there all the same, and using it says what is missing
    HAS_SKLEARN = False

    class BaseEstimator:  # type: ignore[no-redef]
        pass

    class TransformerMixin:  # type: ignore[no-redef]
        pass


class DiscriminatorFeatures(TransformerMixin, BaseEstimator):
    """A discriminator's convolutional features for images: uint8 (N, H, W, C) → float32 (N, F).

        make_pipeline(DiscriminatorFeatures("runs/mnist-fast"), LinearSVC(C=1e-3)).fit(images, labels)

    run: a run directory, a discriminator.safetensors, or a Discriminator. recalibrate: have `fit` take the batch
    norms' statistics from its images even if the network has running ones; networks without any (the paper's
    presets) always do. precision: "fp32", "bf16" or "auto". device: where to look.
    Images may also be (N, H, W) if grey, or flat (N, H·W·C). What else is wrong with them is an InputError, which is a
    ValueError. The features: see `extract`.
    """

    def __init__(
        self,
        run: str | Path | Discriminator,
        *,
        recalibrate: bool = False,
        precision: str = "fp32",
        device: str = "auto",
    ) -> None:
        if not HAS_SKLEARN:
            raise InputError("DiscriminatorFeatures is a scikit-learn transformer: pip install 'dcgan[features]'")
        self.run, self.recalibrate, self.precision, self.device = run, recalibrate, precision, device

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803, ARG002
        """Load the discriminator and, if need be, take its norms' statistics from the images."""
        discriminator = self._discriminator()
        images = as_images(X, discriminator.info.network)
        require_images(images, discriminator.info.network)
        self.extractor_ = self._extractor(discriminator, images)
        return self

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Features float32 (N, F); without a `fit` if the network has running statistics and they are wanted."""
        images = as_images(X, self._fitted().config)
        return self._fitted()(images).numpy()

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:  # noqa: ARG002
        """ "conv2_17_0_3": row 0, column 3 of map 17 of the second convolution."""
        return np.array(self._fitted().names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "extractor_")

    def _discriminator(self) -> Discriminator:
        if isinstance(self.run, Discriminator):
            return self.run
        return Discriminator.from_pretrained(self.run, self.device)

    def _extractor(self, discriminator: Discriminator, images: np.ndarray | None) -> FeatureExtractor:
        return feature_extractor(
            discriminator, images, recalibrate=self.recalibrate and images is not None, precision=self.precision
        )

    def _fitted(self) -> FeatureExtractor:
        if not hasattr(self, "extractor_"):
            from sklearn.exceptions import NotFittedError

            discriminator = self._discriminator()
            if self.recalibrate or needs_statistics(discriminator.network):
                raise NotFittedError("call fit first: the batch norms' statistics are to be taken from its images")
            self.extractor_ = self._extractor(discriminator, None)
        return self.extractor_


def as_images(values: Any, config: NetworkConfig) -> np.ndarray:
    """uint8 images (N, H, W, C) from those, from (N, H, W) greys or from flat rows (N, H·W·C)."""
    images = values.numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    shape = (*config.size, config.image_channels)
    if images.ndim == 2 and images.shape[1] == np.prod(shape):
        return images.reshape(-1, *shape)
    return images[..., None] if images.ndim == 3 and config.image_channels == 1 else images
