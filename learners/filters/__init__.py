"""Filters, what makes channels: scored, set to zero, cut, by learners and own training loops."""
