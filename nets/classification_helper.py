"""Helper of image classifiers on a built-in data set: only `forward` is left to write."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from datasets.dataset_module import DatasetModule
from datasets.pipeline import BatchPlan
from nets.abstract_model_helper import AbstractModelHelper
from utils.digests import arrays_digest
from utils.export.data_facts import DataFacts

if TYPE_CHECKING:
    import tensorflow as tf


_KEPT = 6  # data sets: training, its two parts, test, calibration; each holds its images
_SMALL = 64 << 20  # bytes of training images; larger ones are built anew, which takes as little


class ClassificationHelper(AbstractModelHelper):
    """A network on one of the data sets in `datasets`.

    Attributes:
        dataset: the module of the data set: `load_dataset(name)`, or one of your own.
    """

    dataset: DatasetModule

    def build_dataset_train(
        self, enbl_trn_val_split: bool = False, *, first_step: int = 0
    ) -> tf.data.Dataset | tuple[tf.data.Dataset, tf.data.Dataset]:
        """Build training batches, augmented and shuffled; see the base class."""
        held_out = self.config.data.val_fraction if enbl_trn_val_split else 0.0
        training = self._built(
            "train",
            BatchPlan(
                batch_size=self.config.batch_size,
                seed=self.seed,
                first_step=first_step,
                worker=self.worker,
                val_fraction=held_out,
            ),
        )
        if not enbl_trn_val_split:
            return training
        return training, self._built("val", self._eval_plan(val_fraction=held_out))

    def build_dataset_eval(self) -> tf.data.Dataset:
        """Build the batches of the test split."""
        return self._built("test", self._eval_plan())

    def build_dataset_calibration(self, nb_smpls: int) -> tf.data.Dataset:
        """Build batches of `nb_smpls` training images, not augmented, in a seeded order.

        Images that a validation split would hold out are not among them.
        """
        plan = self._eval_plan(val_fraction=self.config.data.val_fraction, num_samples=nb_smpls)
        return self._built("calibration", plan)

    def check_files(self) -> None:
        """Read and check the data files; they stay in memory for the builders."""
        self.dataset.load(self.config.data)

    def data_digest(self) -> str | None:
        """Digest the images and labels of both splits."""
        return self._data_digest

    @functools.cached_property
    def _data_digest(self) -> str:
        return arrays_digest(self.dataset.load(self.config.data))

    @functools.cached_property
    def _built(self) -> Callable[[str, BatchPlan], tf.data.Dataset]:
        """Build a split; a run asks for few of them, each again and again."""

        def built(split: str, plan: BatchPlan) -> tf.data.Dataset:
            return self.dataset.build(split, self.config.data, plan)

        images = self.dataset.load(self.config.data).train_images
        return functools.lru_cache(maxsize=_KEPT)(built) if images.nbytes <= _SMALL else built

    def _eval_plan(self, *, val_fraction: float = 0.0, num_samples: int = 0) -> BatchPlan:
        return BatchPlan(
            batch_size=self.config.batch_size_eval,
            seed=self.seed,
            val_fraction=val_fraction,
            num_samples=num_samples,
        )

    @property
    def data_facts(self) -> DataFacts:
        """The names of the classes, and mean and deviation of raw pixels."""
        info = self.dataset.INFO
        return DataFacts(
            labels=info.class_names,
            mean=tuple(info.max_value * value for value in info.mean),
            std=tuple(info.max_value * value for value in info.std),
            is_image=info.is_image,
        )

    @property
    def dataset_name(self) -> str:
        """The data set's name."""
        return self.dataset.INFO.name

    @functools.cached_property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of one image."""
        return self.dataset.INFO.image_shape

    @functools.cached_property
    def nb_smpls_train(self) -> int:
        """Images of the training split."""
        return len(self.dataset.load(self.config.data).train_labels)
