"""Channels, zeros and bits chosen together: the smallest network that still does the job."""
