"""From graphs to networks of other frameworks: Keras, PyTorch, ONNX, SavedModel, frozen graphs.

What each layer computes is written once, in the `ops_*` modules, in steps that PyTorch and ONNX
both have (`target.Target`); `torch_source` and `onnx_model` write those steps down. Keras and
TensorFlow compute a graph as it is. `targets` is the table of them all.
"""
