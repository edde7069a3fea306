"""Commands over the same code as `main.py`; nothing imports them."""
