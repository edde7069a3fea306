"""Networks and weights in the files of Keras 2 (`.h5`, `.keras`), read by their descriptions.

No code of the file's runs, and no size that it declares is believed before its arrays are looked
at: the network is built without memory first and compared with them.
"""

from utils.legacy_keras.archive import is_keras_2_archive, load_archive
from utils.legacy_keras.reader import (
    check_network,
    holds_network,
    is_legacy_weights,
    load_network,
    load_weights,
)

__all__ = [
    "check_network",
    "holds_network",
    "is_keras_2_archive",
    "is_legacy_weights",
    "load_archive",
    "load_network",
    "load_weights",
]
