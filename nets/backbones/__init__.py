"""Networks: `build(inputs, ...)` -> outputs. No flags, no data sets."""
