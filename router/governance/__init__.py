"""What may happen at all, whoever asks: the feature register and the stage that obeys it.

This package must not know quotes, positions or executors.
"""
