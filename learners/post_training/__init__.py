"""Post-training quantization: from a trained network and a few samples to integers, untrained."""
