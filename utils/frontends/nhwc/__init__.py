"""What the operators of TensorFlow and TFLite share, in Keras layers.

The readers of both give operators their settings under the same names: `strides`, `dilations` and
`size` are pairs, `padding` is "same", "valid" or a pair of (before, behind) per spatial axis, `axis`
is a source axis, `channel_axis` that of an image, `activation` what is applied to the result.
Kernels come in TensorFlow's layouts.
"""
