"""A run from its flags to its report: plan, stages, measurement. No method is known here."""
