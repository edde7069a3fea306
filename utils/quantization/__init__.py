"""Quantization: calibrate -> scale -> quantize -> dequantize, on arrays; see the modules."""
