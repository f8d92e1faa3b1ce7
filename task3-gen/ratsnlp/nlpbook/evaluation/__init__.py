"""Evaluation: how well a model predicts real reviews, and how close to real reviews those are that it writes."""
