"""Spectrograms as keyword spotting takes them: short Fourier transforms, mel bands, decibels."""

from __future__ import annotations

import numpy as np


def mel_filters(
    num_bands: int, num_bins: int, sample_rate: float, lowest: float, highest: float
) -> np.ndarray:
    """Compute triangular filters that are equally wide and far apart on the mel scale.

        mel(f) = 1127 ln(1 + f / 700)

    Args:
        num_bands: number of filters.
        num_bins: bins of the transform, from 0 to half the sample rate.
        sample_rate: in Hz.
        lowest: where the first triangle begins, in Hz.
        highest: where the last one ends, in Hz, at most half the sample rate.

    Returns:
        float64 [num_bins, num_bands]; a triangle is 1 at its centre.

    Raises:
        ValueError: if the frequencies are out of order or a filter contains no bin.

    Example:
        >>> mel_filters(2, 5, 8000, 0, 4000).round(2)
        array([[0.  , 0.  ],
               [0.6 , 0.4 ],
               [0.  , 0.87],
               [0.  , 0.38],
               [0.  , 0.  ]])
    """
    if not 0 <= lowest < highest <= sample_rate / 2:
        raise ValueError(
            f"frequencies must be in order, 0 <= lowest < highest <= {sample_rate / 2}. Received: "
            f"lowest={lowest}, highest={highest}."
        )
    edges = np.linspace(_mel(lowest), _mel(highest), num_bands + 2)
    bins = _mel(np.linspace(0, sample_rate / 2, num_bins))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling))
    empty = np.flatnonzero(filters.sum(axis=0) == 0)
    if empty.size:
        raise ValueError(f"band {empty[0]} of {num_bands} contains no bin: take fewer bands.")
    return filters


def _mel(frequency: float | np.ndarray) -> np.ndarray:
    return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)


def band_power(sound: np.ndarray, window: int, hop: int, filters: np.ndarray) -> np.ndarray:
    """Compute the power in each band over time.

    Args:
        sound: float [n, samples]; half a window of silence is added at both ends, so that step t is
            centred at sample `t * hop`.
        window: samples of a transform, an even number; they are weighted with a Hann window.
        hop: samples from one transform to the next.
        filters: float [window / 2 + 1, bands].

    Returns:
        float32 [n, 1 + samples // hop, bands].
    """
    padded = np.pad(sound.astype(np.float32), ((0, 0), (window // 2, window // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window, axis=1)[:, ::hop]
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)
    spectra = np.fft.rfft(frames * hann, axis=-1)
    return (np.square(np.abs(spectra)) @ filters).astype(np.float32)


def as_pictures(power: np.ndarray, decibels: float) -> np.ndarray:
    """Turn powers into bytes: 255 is the loudest entry of a sample, 0 is `decibels` below it.

    Args:
        power: float [n, steps, bands], >= 0.
        decibels: the range that is kept; what is below it, and a silent sample, is 0.

    Returns:
        uint8 [n, steps, bands, 1].
    """
    loudest = power.max(axis=(1, 2), keepdims=True)
    quietest = 10.0 ** (-decibels / 10.0)
    shares = np.maximum(power / np.where(loudest > 0, loudest, 1.0), quietest)
    pictures = 255.0 * (1.0 + 10.0 * np.log10(shares) / decibels)
    return np.rint(pictures).astype(np.uint8)[..., None]
