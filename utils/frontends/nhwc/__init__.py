"""What the operators of TensorFlow and TFLite share, on top of `utils.frontends.parts`.

The readers of both give operators their settings under the same names: `strides`, `dilations` and
`size` are pairs, `padding` is "same", "valid" or a pair of (before, behind) per spatial axis,
`axis` is a source axis, `channel_axis` that of an image's channels, `activation` what is applied to
the result. Parts want channels in front: `views.first` says so, and nothing moves.
"""
