"""A joint choice: channels of each group, zeros and bits of each layer; and as a setting file.

Entries of the file's `values` (and `network`, where their sizes stand):

| entry | meaning | size |
|:--|:--|:--|
| `<group>/channels` | channels that stay | channels of the group |
| `<layer>/percent` | percent of the layer's weights that stay | 100 |
| `<layer>/of_four` | of every four neighbouring input channels so many weights stay; 4 = no such rule | 4 |
| `<layer>/bits` | bits of each weight; 8 is what int8 files have anyway | 8 |

`percent` counts the weights that are left once channels are gone. All are whole numbers and may be
edited; `--setting` makes what they say.
"""  # noqa: E501  a table

import dataclasses
from collections.abc import Mapping, Sequence

from learners.auto.offers import ELEMENT, OF, Option
from learners.kernels.layers import KernelLayer
from learners.setting import Setting
from utils.errors import InputError
from utils.graph import ChannelGroup

QUANTITY = "joint"
_SIZES = {"percent": 100, "of_four": OF, "bits": 8}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Joint:
    """What every part of a network is given.

    Attributes:
        widths: group name -> channels that stay.
        options: layer name -> zeros and bits.
    """

    widths: Mapping[str, int]
    options: Mapping[str, Option]

    def values(self) -> dict[str, int]:
        """Give the entries of a setting file."""
        found = {f"{name}/channels": width for name, width in self.widths.items()}
        for name, option in self.options.items():
            grain = option.grain
            is_pattern = grain is not None and grain.is_pattern
            found[f"{name}/percent"] = 100 if is_pattern else option.percent
            found[f"{name}/of_four"] = grain.stay if is_pattern and grain is not None else OF
            found[f"{name}/bits"] = option.bits
        return found


def sizes(groups: Sequence[ChannelGroup], layers: Sequence[KernelLayer]) -> dict[str, int]:
    """Give the size of every entry."""
    found = {f"{group.name}/channels": group.size for group in groups}
    for layer in layers:
        found |= {f"{layer.name}/{entry}": size for entry, size in _SIZES.items()}
    return found


def to_setting(
    joint: Joint, groups: Sequence[ChannelGroup], layers: Sequence[KernelLayer]
) -> Setting:
    """Write a choice as a setting, without facts."""
    return Setting(quantity=QUANTITY, network=sizes(groups, layers), values=joint.values())


def from_setting(
    setting: Setting, groups: Sequence[ChannelGroup], layers: Sequence[KernelLayer]
) -> Joint:
    """Read a choice from a setting.

    Raises:
        InputError: if it is for another network, or a layer cannot have what it says.
    """
    values = setting.values_for(sizes(groups, layers))
    widths = {group.name: values[f"{group.name}/channels"] for group in groups}
    options = {}
    for layer in layers:
        percent, of_four, bits = (values[f"{layer.name}/{entry}"] for entry in _SIZES)
        option = Option(bits=bits)
        if of_four < _SIZES["of_four"]:
            option = Option(
                bits=bits, percent=round(100 * of_four / _SIZES["of_four"]), pattern=f"{of_four}:4"
            )
            why_not = option.grain.why_not(layer) if option.grain is not None else ""
            if why_not:
                raise InputError(
                    f"--setting={setting.path}: {layer.name!r} cannot have {of_four} of four: "
                    f"{why_not}. Leave it at 4."
                )
            if percent < _SIZES["percent"]:
                raise InputError(
                    f"--setting={setting.path}: {layer.name!r} is given {of_four} of four and "
                    f"{percent} percent. Leave one at its size (4, 100)."
                )
        elif percent < _SIZES["percent"]:
            option = Option(bits=bits, percent=percent, pattern=ELEMENT)
        options[layer.name] = option
    return Joint(widths=widths, options=options)
