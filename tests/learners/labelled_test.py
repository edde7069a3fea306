import pytest

from learners.labelled import labelled_batches
from tests.learners.recipes import ToyHelper, toy_helper
from utils.errors import InputError


class Unlabelled(ToyHelper):
    def build_dataset_calibration(self, nb_smpls):
        return super().build_dataset_calibration(nb_smpls).map(lambda images, labels: images)


def test_images_with_labels():
    ((images, labels),) = labelled_batches(toy_helper(), 20)
    assert images.shape == (20, 6) and labels.shape == (20,)


def test_images_without_labels_are_refused():
    helper = toy_helper()
    helper.__class__ = Unlabelled
    message = r"Unlabelled.build_dataset_calibration must give \(images, labels\)"
    with pytest.raises(InputError, match=message):
        labelled_batches(helper, 20)
