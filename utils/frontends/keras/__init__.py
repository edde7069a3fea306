"""Keras' own files as a front end: `.keras` and `.h5`, of Keras 2 too."""
