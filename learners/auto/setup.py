"""What a run of `auto` works with: its images, what it may choose, what it wants."""

import dataclasses
import functools
from typing import Any

import keras

from learners.auto.config import AutoConfig
from learners.auto.files import DecidingFile, float_bytes
from learners.auto.joint import Joint
from learners.auto.meter import NUM_IMAGES, OutputErrors
from learners.auto.offers import Offer, Option, make_offer
from learners.auto.places import Places, find_places
from learners.auto.record import Record
from learners.auto.search import Goal
from learners.auto.solving import rounded_graph
from learners.auto.tables import Tables, measure
from learners.auto.workshop import Judge, Workshop
from learners.budget import Budget
from learners.channels.budget import ChannelBudget, joint_words
from learners.context import StageContext
from learners.reconstruction.sampling import Sampler, training_sampler
from learners.search.journal import search_folder
from learners.search.scoring import held_out_images
from utils.errors import InputError
from utils.graph import ChannelGroup, Graph, to_keras
from utils.progress import WorkProgress


class Setup:
    """Puts together what a run works with.

    Args:
        context: what to do.
        model: the network before.

    Attributes:
        context: the same, training without the images that decide where they can be held out.
        held_out: whether they are.
    """

    def __init__(self, context: StageContext, model: keras.Model) -> None:
        self._model = model
        self._config: AutoConfig = context.stage.config
        self._helper = context.helper
        self._images, self.held_out = held_out_images(
            context.helper, self._config.nb_smpls_check, self.num_images
        )
        self.context = dataclasses.replace(context, holds_out=self.held_out)

    @functools.cached_property
    def num_images(self) -> int:
        """Training images that closed forms are taken from: half where none are held out."""
        try:
            self._helper.build_dataset_train(enbl_trn_val_split=True)
        except InputError:  # the helper cannot split
            return max(min(self._config.nb_smpls, self._helper.nb_smpls_train // 2), 1)
        return self._config.nb_smpls

    def sampler(self) -> Sampler:
        """Draw these."""
        return training_sampler(
            self._helper,
            num_images=self.num_images,
            num_positions=self._config.nb_crops_per_smpl,
            seed=self.context.run.seed,
        )

    def others(self) -> list[Any] | None:
        """Draw training images that closed forms are not taken from; None where there are none."""
        wanted = self.num_images + NUM_IMAGES
        batches: Any = self._helper.build_dataset_calibration(wanted)
        left = batches.unbatch().skip(self.num_images).batch(NUM_IMAGES)
        found = [batch[0] if isinstance(batch, tuple) else batch for batch in left.take(1)]
        return found or None

    def offer(self) -> Offer:
        """Say what may be chosen."""
        export = self.context.run.export
        return make_offer(
            export.kinds(),
            export.convert.target,
            patterns=self._config.offered_patterns,
            bits_min=self._config.bits_min,
        )

    def tables(self, places: Places, offer: Offer) -> Tables:
        """Measure what every choice costs."""
        with WorkProgress("measuring choices", "layers") as progress:
            return measure(
                places, offer, self.sampler(), others=self.others(), on_layer=progress.update
            )

    def workshop(
        self, places: Places, offer: Offer, tables: Tables, shared: dict[str, Any]
    ) -> Workshop:
        """Get everything ready to make candidates.

        Args:
            places: what is up for choice.
            offer: what may be chosen.
            tables: what it costs.
            shared: what a continued run must share.
        """
        context, images = self.context, self._images
        convert = context.run.export.convert
        judge = Judge(
            file=DecidingFile(offer, convert, self._helper, images, self._model),
            errors=OutputErrors(self._model, images),
            record=Record(
                search_folder(context.stage.artefact_path), shared, resume=context.run.resume
            ),
        )
        return Workshop(
            places,
            offer,
            tables,
            self.sampler(),
            judge,
            widths=width_budget(places, self._config, context.budget),
            round_to=self._config.round_to,
        )

    def goal(self, offer: Offer) -> Goal:
        """Say what is wanted."""
        budget = self.context.budget
        max_drop = self._config.max_drop(None if budget is None else budget.text)
        max_bytes = None
        for limit in () if budget is None else budget.limits:
            if limit.kind == "bytes":
                full = 1.0 if limit.share is None else float_bytes(self._model, offer.kind)
                max_bytes = limit.target(full)
        words = [] if budget is None else [budget.text]
        words += [] if max_drop is None else [f"max_drop:{max_drop:g}"]
        return Goal(
            max_drop=max_drop,
            max_bytes=max_bytes,
            num_candidates=self._config.nb_candidates,
            text=",".join(words),
        )


def places_of(graph: Graph, config: AutoConfig) -> Places:
    """Say what is up for choice."""
    return find_places(graph, residual=config.residual, skip_op_names=config.skip_op_names)


def rest_of(workshop: Workshop) -> float:
    """Count the bytes of a file besides its kernels: of the whole network, rounded."""
    offer, places = workshop.offer, workshop.places
    bits = max(option.bits for option in offer.options)
    graph = rounded_graph(places.graph, places.layers, bits, offer.grid)
    whole = Joint(
        widths={group.name: group.size for group in places.groups},
        options={layer.name: Option(bits=bits) for layer in places.layers},
    )
    return workshop.judge.file.count(to_keras(graph)) - workshop.expect(whole).bytes


def width_budget(places: Places, config: AutoConfig, budget: Budget | None) -> ChannelBudget | None:
    """Set the limits up that follow from channels; None where only bytes are limited, or nothing.

    Raises:
        InputError: if no channels meet them.
    """
    if budget is None:
        return None
    pairs = zip(budget.text.split(","), budget.limits, strict=True)
    left = [(text.strip(), limit) for text, limit in pairs if limit.kind != "bytes"]
    if not left:
        return None
    text = ",".join(each for each, _ in left)
    wanted = Budget(text, tuple(limit for _, limit in left), budget.target)

    def wider() -> tuple[ChannelGroup, ...]:
        return places_of(places.graph, dataclasses.replace(config, residual="joint")).groups

    if not places.groups:
        joint = joint_words(places.graph, wider(), wanted, config.round_to, config.PREFIX)
        raise InputError(
            f"The budget {text} cannot be met: no channels of {places.graph.name} can go. Give a "
            f"budget for bytes{', or ' if joint else ''}{joint}."
        )
    return ChannelBudget(
        places.graph,
        places.groups,
        wanted,
        round_to=config.round_to,
        latency_step=config.channel_search.latency_step,
        prefix=config.PREFIX,
        wider=wider if config.residual == "inner" else None,
    )
