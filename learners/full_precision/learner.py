"""The learner `full-prec`: trains the network as it is."""

from learners.base import AbstractLearner, Trained


class FullPrecLearner(AbstractLearner):
    """Train on the helper's loss and schedule, from fresh or given weights."""

    def train(self) -> Trained:
        """Train the network in place and return it."""
        if self.context.run.enbl_warm_start:
            self.helper.warm_start(self.model)
        self.train_from_scratch(self.model)
        return Trained(self.model)
