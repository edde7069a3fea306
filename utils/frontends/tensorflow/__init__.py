"""TensorFlow's SavedModels and frozen graphs as Keras networks."""
