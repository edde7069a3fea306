"""Float `.tflite` files as Keras networks."""
