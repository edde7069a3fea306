"""PyTorch networks, by way of ONNX."""
