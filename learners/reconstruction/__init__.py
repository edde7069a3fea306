"""Choosing a layer's input channels and refitting its kernel, from Gram matrices."""
