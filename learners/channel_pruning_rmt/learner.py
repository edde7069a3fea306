"""The learner `chn-pruned-rmt`: channel pruning by reconstruction, remastered.

The recipe, after He, Zhang & Sun, "Channel Pruning for Accelerating Very Deep Neural Networks",
ICCV 2017, arXiv:1707.06168:

1. settle how many channels of each group stay (one ratio, a budget, a search, or a setting file);
2. layer after layer choose them by the error they leave and refit the kernels by least squares
   (`learners/reconstruction`);
3. cut: the network becomes small before it is fine-tuned;
4. fine-tune, with distillation from the network before where asked.
"""

from typing import Any

from learners.base import Trained
from learners.channels.criteria import CRITERIA
from learners.channels.learner import ChannelLearner
from learners.channels.selection import SelectionOptions
from learners.identity import file_digest
from utils.files import load_keras_model


class ChannelPrunedRmtLearner(ChannelLearner):
    """Choose channels, cut, fine-tune."""

    def train(self) -> Trained:
        """Carry out the recipe."""
        if self.config.wants_search() and self.context.setting is None:
            return self.searched(self.graph(self.model))
        saved = self.saved_network()
        if saved is not None:  # a killed run: the selection is done
            model = saved
        elif self.config.warm_start:
            model = load_keras_model(self.config.save_path_ws, self.context.run.allow_unsafe)
        else:
            model = self.pruned(self.graph(self.model))
        self.fine_tune(model)
        return Trained(model)

    def fingerprint(self) -> dict[str, Any]:
        """Compare the warm-start file's content too."""
        own = {}
        if self.config.warm_start:
            own["warm_start_file"] = file_digest(self.config.save_path_ws)
        return {**super().fingerprint(), **own}

    def options(self) -> SelectionOptions:
        """Translate the flags."""
        return SelectionOptions(
            criterion=CRITERIA[self.config.criterion],
            num_iterations=self.config.ista_nb_iters,
            refit_all=self.config.refit_all,
            compensate=self.config.compensate,
        )
