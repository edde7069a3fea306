"""Gated recurrent units over a spectrogram, for spotting spoken keywords.

References: Cho et al., 2014, arXiv:1406.1078 (the unit); Zhang, Suda, Lai & Chandra, "Hello Edge:
Keyword Spotting on Microcontrollers", 2017, arXiv:1711.07128, section 3.3 (in this use).
"""

from collections.abc import Sequence

import keras
from keras import layers


def build(
    inputs: keras.KerasTensor, num_classes: int, *, widths: Sequence[int] = (96, 96)
) -> keras.KerasTensor:
    """Build GRU layers, one over the other, and a dense layer on the last step.

    Args:
        inputs: [batch, steps, bands, 1].
        num_classes: size of the output.
        widths: units of each GRU layer.

    Returns:
        Logits [batch, num_classes].
    """
    _, steps, bands, channels = inputs.shape
    x = layers.Reshape((steps, bands * channels), name="sequence")(inputs)
    for number, width in enumerate(widths, start=1):
        is_last = number == len(widths)
        x = layers.GRU(width, return_sequences=not is_last, name=f"gru{number}")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    return layers.Dense(num_classes, name="fc")(x)
