"""What the operators of several frameworks are built of: one topic per module.

Every function takes the `Building`, the node that names the layers, and the values it reads, and
returns a `Value`. Kernels arrive channels first, as PyTorch, ONNX and MXNet keep them.
"""
