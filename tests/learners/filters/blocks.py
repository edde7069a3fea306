"""Networks of inverted-residual and squeeze-and-excite blocks, with random weights."""

import keras
from keras import layers

from tests.learners.networks import IMAGE_SHAPE, conv, randomised


def inverted(x, wide, out, name, *, squeeze=False):
    """1x1 to `wide`, depthwise, (squeeze and excite,) 1x1 to `out`, and the shortcut."""
    y = conv(x, wide, f"{name}_expand", size=1)
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depth")(y)
    y = layers.ReLU(name=f"{name}_depth_relu")(layers.BatchNormalization(name=f"{name}_dbn")(y))
    if squeeze:
        y = squeezed(y, wide, name)
    y = conv(y, out, f"{name}_project", size=1, act=False)
    return layers.Add(name=f"{name}_sum")([x, y]) if x.shape[-1] == out else y


def squeezed(y, wide, name, *, dense=False):
    """Pool, two layers, multiply."""
    if dense:
        z = layers.GlobalAveragePooling2D(name=f"{name}_pool")(y)
        z = layers.Dense(4, activation="relu", name=f"{name}_squeeze")(z)
        z = layers.Dense(wide, activation="sigmoid", name=f"{name}_excite")(z)
        z = layers.Reshape((1, 1, wide), name=f"{name}_shape")(z)
    else:
        z = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_pool")(y)
        z = layers.Conv2D(4, 1, activation="relu", name=f"{name}_squeeze")(z)
        z = layers.Conv2D(wide, 1, activation="sigmoid", name=f"{name}_excite")(z)
    return layers.Multiply(name=f"{name}_scale")([y, z])


def mobile(*, squeeze=False, shape=IMAGE_SHAPE, classes=5):
    """A stem and two inverted-residual blocks; the second has squeeze and excite if asked for."""
    inputs = keras.Input(shape)
    x = conv(inputs, 6, "stem")
    x = inverted(x, 18, 6, "one")
    x = inverted(x, 24, 8, "two", squeeze=squeeze)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return randomised(keras.Model(inputs, layers.Dense(classes, name="head")(x), name="mobile"))


def excited():
    """A plain convolution with squeeze and excite of dense layers behind it."""
    inputs = keras.Input(IMAGE_SHAPE)
    x = conv(conv(inputs, 8, "first"), 8, "second")
    x = squeezed(x, 8, "se", dense=True)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return randomised(keras.Model(inputs, layers.Dense(5, name="head")(x), name="excited"))
