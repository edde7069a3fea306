import numpy as np

from learners.discrimination_aware_pruning.samples import labelled_samples
from tests.learners.recipes import toy_helper


def test_images_and_labels_belong_together_at_every_pass():
    samples = labelled_samples(toy_helper(), 20)
    assert samples.num_images == 20
    assert [len(labels) for labels in samples.labels] == [8, 8, 4]  # batches of training
    passes = [np.concatenate([batch.numpy() for batch in samples.images]) for _ in range(2)]
    np.testing.assert_array_equal(*passes)
    labels = np.concatenate([batch.numpy() for batch in samples.labels])
    noise = passes[0] - labels[:, None]  # the images are noise around their labels
    assert abs(noise.mean()) < 0.3
