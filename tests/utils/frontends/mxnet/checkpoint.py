"""MXNet files written without MXNet, for the tests of what reads them."""

import json
import struct

import numpy as np

KINDS = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6}


def params_bytes(arrays, version=2):
    """A `.params` file of any version of the format: 0 is the oldest."""
    magics = {1: 0xF993FAC8, 2: 0xF993FAC9, 3: 0xF993FACA}
    data = struct.pack("<QQQ", 0x112, 0, len(arrays))
    for array in arrays.values():
        if version:
            data += struct.pack("<I", magics[version])
        if version >= 2:
            data += struct.pack("<i", 0)
        data += struct.pack("<I", array.ndim)
        data += struct.pack(f"<{array.ndim}{'q' if version else 'I'}", *array.shape)
        data += struct.pack("<iii", 1, 0, KINDS[str(array.dtype)]) + array.tobytes()
    data += struct.pack("<Q", len(arrays))
    for name in arrays:
        data += struct.pack("<Q", len(name)) + name.encode()
    return data


def save(folder, nodes, arrays, outputs=None, name="net"):
    """Write a checkpoint; a node is (op, name, inputs, attrs), an input a name."""
    variables = list(arrays)
    read = [item for _, _, inputs, _ in nodes for item in inputs]
    made = {node[1] for node in nodes}
    data = [item for item in read if isinstance(item, str)]
    data = list(dict.fromkeys(i for i in data if i not in made and i not in arrays))
    order = [*data, *variables, *(node[1] for node in nodes)]
    entries = [{"op": "null", "name": item, "inputs": []} for item in (*data, *variables)]
    for op, node_name, inputs, attrs in nodes:
        pairs = [item if isinstance(item, tuple) else (item, 0) for item in inputs]
        entries.append({
            "op": op, "name": node_name, "attrs": {key: str(value) for key, value in attrs.items()},
            "inputs": [[order.index(source), output, 0] for source, output in pairs],
        })  # fmt: skip
    heads = [[order.index(item), 0, 0] for item in outputs or [nodes[-1][1]]]
    (folder / f"{name}-symbol.json").write_text(json.dumps({"nodes": entries, "heads": heads}))
    arrays = {f"arg:{key}": np.asarray(value) for key, value in arrays.items()}
    (folder / f"{name}-0003.params").write_bytes(params_bytes(arrays))
    return str(folder / name)
