"""From a Keras model to checked `.tflite` files; `config` is free of TensorFlow."""
