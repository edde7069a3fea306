import numpy as np
import pytest

from learners.discrimination_aware_pruning.samples import labelled_samples
from tests.learners.recipes import ToyHelper, toy_helper
from utils.errors import InputError


def test_images_and_labels_belong_together_at_every_pass():
    samples = labelled_samples(toy_helper(), 20)
    assert samples.num_images == 20
    assert [len(labels) for labels in samples.labels] == [8, 8, 4]  # batches of training
    passes = [np.concatenate([batch.numpy() for batch in samples.images]) for _ in range(2)]
    np.testing.assert_array_equal(*passes)
    labels = np.concatenate([batch.numpy() for batch in samples.labels])
    noise = passes[0] - labels[:, None]  # the images are noise around their labels
    assert abs(noise.mean()) < 0.3


def test_images_without_labels_are_refused():
    class Unlabelled(ToyHelper):
        def build_dataset_calibration(self, nb_smpls):
            return super().build_dataset_calibration(nb_smpls).map(lambda images, labels: images)

    helper = toy_helper()
    helper.__class__ = Unlabelled
    message = r"Unlabelled.build_dataset_calibration must give \(images, labels\)"
    with pytest.raises(InputError, match=message):
        labelled_samples(helper, 20)
