import numpy as np
import pytest
import tensorflow as tf

from datasets.spectrogram import as_pictures, band_power, mel_filters


def test_filters_are_tensorflows():
    ours = mel_filters(40, 129, 8000, 20.0, 4000.0)
    theirs = tf.signal.linear_to_mel_weight_matrix(40, 129, 8000, 20.0, 4000.0, tf.float64)
    np.testing.assert_allclose(ours[1:], theirs[1:], atol=1e-6)  # theirs leaves out 0 Hz


@pytest.mark.parametrize(("lowest", "highest"), [(-1, 4000), (4000, 20), (20, 4001)])
def test_frequencies_out_of_order(lowest, highest):
    with pytest.raises(ValueError, match=rf"in order.* lowest={lowest}, highest={highest}"):
        mel_filters(40, 129, 8000, lowest, highest)


def test_too_many_bands():
    with pytest.raises(ValueError, match=r"band \d+ of 200 contains no bin: take fewer bands"):
        mel_filters(200, 129, 8000, 20, 4000)


def test_power_is_that_of_tensorflows_transform():
    sound = np.random.default_rng(0).integers(-3000, 3000, (3, 1000)).astype(np.int16)
    filters = mel_filters(20, 65, 8000, 20, 4000)
    padded = np.pad(sound, ((0, 0), (64, 64))).astype(np.float32)
    spectra = tf.signal.stft(padded, 128, 80, window_fn=tf.signal.hann_window)
    expected = np.abs(spectra.numpy()) ** 2 @ filters
    found = band_power(sound, 128, 80, filters)
    assert found.shape == (3, 13, 20) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_tone_is_loudest_in_its_band():
    times = np.arange(4000) / 8000
    tones = np.stack([np.sin(2 * np.pi * frequency * times) for frequency in (300, 1000, 3000)])
    filters = mel_filters(40, 129, 8000, 20, 4000)
    bands = band_power(tones * 1000, 256, 160, filters)[:, 10].argmax(axis=1)
    centres = np.linspace(0, 4000, 129)[filters.argmax(axis=0)]
    np.testing.assert_allclose(centres[bands], [300, 1000, 3000], rtol=0.1)


def test_pictures_are_decibels_below_the_loudest():
    power = np.array([[[1e8, 1e4], [1e0, 1e-3]], [[0.0, 0.0], [0.0, 0.0]]])
    pictures = as_pictures(power, 80.0)
    assert pictures.dtype == np.uint8 and pictures.shape == (2, 2, 2, 1)
    assert pictures[0, ..., 0].tolist() == [[255, 128], [0, 0]]  # 0, -40, -80, -110 dB
    assert not pictures[1].any()
