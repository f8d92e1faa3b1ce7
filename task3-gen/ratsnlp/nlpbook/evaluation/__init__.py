"""The yardstick: how well a model knows real reviews, and how like real reviews are those that it writes."""
