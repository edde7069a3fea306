"""What is pruned when, how the learning rate goes, who teaches: from flags or a YAML document.

The document has the form of Adlik's model optimizer:

    version: 1
    pruners:
      first:
        criterion: l1_norm
        prune_type: auto_prune            # or specified_layer_prune
        ratio: 0.1
        layers_to_be_pruned: [conv2]      # a list, or a mapping of ratios
    prune_schedulers:
      - pruner: {func_name: first}
        epochs: [0, 2]
    lr_schedulers:
      - warmup_epochs: 1
      - {start_epoch: 1, end_epoch: 4, multiplier: 1.0}
      - {start_epoch: 4, multiplier: 0.1}
    distill: {alpha: 0.4, temperature: 4}

Ratios are fractions of the *original* width, also where filters went before. TensorFlow is not
needed to read it: wrong documents are refused before it is loaded.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from utils.document import Section, load
from utils.errors import InputError

CRITERIA = ("l1_norm", "l2_norm", "bn_gamma", "geometric_median", "taylor", "obs", "random")
AUTO, SPECIFIED = "auto_prune", "specified_layer_prune"
_FULL = 1.0 - 1e-9  # ten times 0.1 is a little less than 1, and leaves nothing
_ALL = "all layers"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pruner:
    """How filters go at one step.

    Attributes:
        name: for messages.
        criterion: a row of the table of criteria.
        ratio: fraction of the original filters that go; None where a budget rules.
        layers: the layers that lose filters, each with a fraction; None for all that can.
    """

    name: str
    criterion: str
    ratio: float | None
    layers: Mapping[str, float | None] | None = None


@dataclasses.dataclass(frozen=True)
class Step:
    """What is pruned after `epoch` epochs of training."""

    epoch: float
    pruners: tuple[Pruner, ...]


@dataclasses.dataclass(frozen=True)
class Rates:
    """The learning rate's course.

    Attributes:
        warmup_epochs: it rises linearly from 0 so long.
        stages: (first epoch, multiplier), in order; before the first it is 1.
    """

    warmup_epochs: float = 0.0
    stages: tuple[tuple[float, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Distill:
    """Loss = alpha * loss of the labels + (1 - alpha) * T^2 * KL(teacher || network) + decay.

    Both networks' outputs are softened by T. As in Adlik's documents alpha is the labels' share;
    `--dst_alpha` of the learner `distillation` is the teachers'.

    Attributes:
        alpha: in [0, 1).
        temperature: T > 0.
        teacher_path: a network file; None for the network before the first compression.
    """

    alpha: float
    temperature: float
    teacher_path: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """All of it.

    Attributes:
        steps: in the order of their epochs.
        rates: None for a cosine to zero.
        distill: None without.
        notes: sentences about keys without effect.
        source: what gives it, for messages.
    """

    steps: tuple[Step, ...]
    rates: Rates | None = None
    distill: Distill | None = None
    notes: tuple[str, ...] = ()
    source: str = "`fp_prune_ratio`"

    @property
    def has_ratios(self) -> bool:
        """Whether ratios say how much goes; else a budget or a setting must."""
        return any(_ratios(pruner) for step in self.steps for pruner in step.pruners)


def parse_layers(text: str, ratio: float | None, source: str) -> dict[str, float | None]:
    """Read layers separated by commas, each with a ratio of its own or the common one.

    Raises:
        InputError: for an empty place, a layer given twice, a ratio outside (0, 1).

    Example:
        >>> parse_layers("conv2, fc1:0.7", 0.5, "`fp_layers`")
        {'conv2': 0.5, 'fc1': 0.7}
    """
    found: dict[str, float | None] = {}
    for part in text.split(","):
        name, colon, share = (piece.strip() for piece in part.rpartition(":"))
        if not colon:
            name, own = share, ratio
        else:
            own = _share(share, f"{source}: {name}")
        if not name or name in found:
            raise InputError(
                f"{source} must be layers separated by commas, each once, e.g. conv2,fc1:0.7. "
                f"Received: {text!r}."
            )
        found[name] = own
    return found


def _share(text: str, source: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0.0 < share < 1.0:
        raise InputError(f"{source} must have a ratio in (0, 1). Received: {text!r}.")
    return share


def read_recipe(path: str) -> Recipe:
    """Read a document.

    Args:
        path: the YAML file.

    Returns:
        The recipe.

    Raises:
        InputError: one clear line for whatever is wrong with it.
    """
    source = f"--fp_config={path}"
    keys = ("version", "pruners", "prune_schedulers", "lr_schedulers", "distill")
    document = Section(source, "", load(path, source), keys)
    if document.number("version", 1, default=1) != 1:
        document.refuse("version", f"must be 1. Received: {document.raw('version')!r}")
    steps = _steps(document, _pruners(document))
    _check_widths(steps, source)
    recipe = Recipe(steps=steps, rates=_rates(document), source=source)
    if not document.has("distill"):
        return recipe
    distill, notes = _distill(document)
    return dataclasses.replace(recipe, distill=distill, notes=notes)


def _pruners(document: Section) -> dict[str, Pruner]:
    sections = document.raw("pruners")
    if not isinstance(sections, Mapping) or not sections:
        document.refuse("pruners", f"must be a mapping of pruners. Received: {sections!r}")
    return {str(name): _pruner(document, str(name), value) for name, value in sections.items()}


def _pruner(document: Section, name: str, value: object) -> Pruner:
    keys = ("criterion", "prune_type", "ratio", "layers_to_be_pruned")
    section = Section(document.source, f"pruners.{name}", value, keys)
    kind = section.text("prune_type", (AUTO, SPECIFIED), AUTO)
    criterion = section.text("criterion", CRITERIA, "l1_norm")
    ratio = _ratio(section, "ratio", section.raw("ratio")) if section.has("ratio") else None
    if kind == AUTO:
        if section.has("layers_to_be_pruned"):
            section.refuse("layers_to_be_pruned", f"needs `prune_type: {SPECIFIED}`")
        return Pruner(name=name, criterion=criterion, ratio=ratio)
    layers = _layers(section, ratio)
    return Pruner(name=name, criterion=criterion, ratio=ratio, layers=layers)


def _layers(section: Section, ratio: float | None) -> dict[str, float | None]:
    """Read the names, with ratios of their own where they are a mapping."""
    value = section.raw("layers_to_be_pruned")
    if isinstance(value, Mapping) and value:
        place = "layers_to_be_pruned"
        return {str(n): _ratio(section, f"{place}.{n}", each) for n, each in value.items()}
    names = section.items("layers_to_be_pruned")
    for name in names:
        if not isinstance(name, str) or names.count(name) > 1:
            what = "must be names of layers, each once, or a mapping of ratios"
            section.refuse("layers_to_be_pruned", f"{what}. Received: {name!r}")
    return dict.fromkeys(names, ratio)


def _ratio(section: Section, key: str, value: object) -> float:
    ratio = section.as_number(key, value, 0.0)
    if not 0.0 < ratio < _FULL:
        section.refuse(key, f"must be in (0, 1): 1 would empty the layer. Received: {value!r}")
    return ratio


def _steps(document: Section, pruners: Mapping[str, Pruner]) -> tuple[Step, ...]:
    found: list[tuple[float, Pruner]] = []
    for index, value in enumerate(document.items("prune_schedulers")):
        place = f"prune_schedulers[{index}]"
        section = Section(document.source, place, value, ("pruner", "epochs"))
        inner = Section(section.source, f"{place}.pruner", section.raw("pruner"), ("func_name",))
        pruner = pruners[inner.text("func_name", tuple(pruners))]
        epochs = [section.as_number("epochs", each, 0.0) for each in section.items("epochs")]
        found += [(epoch, pruner) for epoch in epochs]
        if any(b <= a for a, b in itertools.pairwise(epochs)):
            section.refuse("epochs", f"must rise. Received: {section.raw('epochs')!r}")
    order = [epoch for epoch, _ in found]
    if order != sorted(order):
        what = "must be in the order of their epochs, one after the other"
        document.refuse("prune_schedulers", f"{what}. Received: {_listed(order)}")
    used = {pruner.name for _, pruner in found}
    for name in pruners:
        if name not in used:
            document.refuse(f"pruners.{name}", "is in no entry of `prune_schedulers`")
    return tuple(
        Step(epoch, tuple(pruner for at, pruner in found if at == epoch))
        for epoch in dict.fromkeys(order)
    )


def _rates(document: Section) -> Rates | None:
    if not document.has("lr_schedulers"):
        return None
    warmup, stages, end = 0.0, [], 0.0
    keys = ("name", "class", "warmup_epochs", "start_epoch", "end_epoch", "multiplier", "verbose")
    for index, value in enumerate(document.items("lr_schedulers")):
        section = Section(document.source, f"lr_schedulers[{index}]", value, keys)
        if section.has("warmup_epochs"):
            for key in ("start_epoch", "end_epoch", "multiplier"):
                if section.has(key):
                    section.refuse(key, "does not belong in an entry with `warmup_epochs`")
            if index:
                section.refuse("warmup_epochs", "must stand in the first entry, once")
            warmup = end = section.number("warmup_epochs", 0.0)
            continue
        start = section.number("start_epoch", 0.0)
        if start < end:
            what = f"must be at least {end:g}, where what stands before it ends"
            section.refuse("start_epoch", f"{what}. Received: {start:g}")
        end = section.number("end_epoch", 0.0) if section.has("end_epoch") else float("inf")
        if end <= start:
            what = f"must be larger than `start_epoch` ({start:g})"
            section.refuse("end_epoch", f"{what}. Received: {end:g}")
        stages.append((start, section.number("multiplier", 0.0)))
    return Rates(warmup, tuple(stages))


def _distill(document: Section) -> tuple[Distill, tuple[str, ...]]:
    idle = ("student_name", "model_load_func")
    keys = ("alpha", "temperature", "teacher_path", *idle)
    section = Section(document.source, "distill", document.raw("distill"), keys)
    alpha = section.number("alpha", 0.0)
    temperature = section.number("temperature", 0.0, default=4.0)
    if alpha >= 1.0:
        what = "is the labels' share and must be in [0, 1): 1 would leave the teacher out"
        section.refuse("alpha", f"{what}. Received: {alpha:g}")
    if not temperature:
        section.refuse("temperature", "must be larger than 0. Received: 0")
    path = section.text("teacher_path") if section.has("teacher_path") else None
    if path is not None and "," in path:
        section.refuse("teacher_path", f"takes one file. Received: {path!r}")
    notes = (
        f"fp_config: `distill.{key}` has no effect: the student is the network at hand, a teacher "
        "is a network file."
        for key in idle
        if section.has(key)
    )
    return Distill(alpha, temperature, path), tuple(notes)


def _check_widths(steps: Sequence[Step], source: str) -> None:
    """Refuse ratios that together leave a layer nothing, and steps with and without ratios.

    Whether `auto_prune` takes from a layer that another pruner names is seen with the network.
    """
    pruners = [pruner for step in steps for pruner in step.pruners]
    with_ratios = [bool(_ratios(pruner)) for pruner in pruners]
    if any(with_ratios) and not all(with_ratios):
        name = pruners[with_ratios.index(False)].name
        raise InputError(f"{source}: `pruners.{name}` has no ratio and others have. Give it one.")
    removed: dict[str, float] = {}
    for pruner in pruners:
        for name, share in _ratios(pruner).items():
            removed[name] = removed.get(name, 0.0) + share
            if removed[name] >= _FULL:
                raise InputError(
                    f"{source}: {name} would lose all filters: ratios are fractions of the "
                    f"original width, and with `pruners.{pruner.name}` they add up to "
                    f"{removed[name]:g}. Let them stay below 1."
                )


def _ratios(pruner: Pruner) -> dict[str, float]:
    shares = {_ALL: pruner.ratio} if pruner.layers is None else pruner.layers
    return {name: share for name, share in shares.items() if share is not None}


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
