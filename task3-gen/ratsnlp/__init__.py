"""A drop-in for the library of ratsgo's nlpbook: the book's import lines work unchanged.

The package has the name of the original on purpose, so that ``from ratsnlp import nlpbook`` and
``from ratsnlp.nlpbook.generation import GenerationTask`` are the very lines of the book. What differs
from ratsnlp 1.0.53:

* only sentence generation (``ratsnlp.nlpbook.generation``) is here;
* it runs on today's PyTorch, Lightning and transformers;
* padding is not in the loss, ``token_type_ids`` are not fed to the model, the learning rate warms up and decays, unless
  ``recipe="book"`` asks for the numbers of the original (see :mod:`ratsnlp.nlpbook.generation.recipes`);
* there is no feature cache on disk;
* a user's mistake is one Korean line (:class:`ratsnlp.nlpbook.UserError`), not a traceback from a library.
"""
