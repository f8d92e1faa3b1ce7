"""How any task of this library is trained: the trainer, resuming, records, optimizers,
fast layers. It knows no task."""
