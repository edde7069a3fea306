"""Attacks on the product: wrong calls, hostile files, kills, full disks, two runs in one folder."""
