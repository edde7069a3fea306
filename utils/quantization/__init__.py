"""Quantizers as pure functions: calibrate, scale, quantize, dequantize; codebooks."""
