"""The model zoo: finished runs in folders of a fixed layout, with a checklist of what was tried."""
