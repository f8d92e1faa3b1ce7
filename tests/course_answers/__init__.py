"""For each step: answers that are right though they are not the solution's, and typical wrong ones with the words of
the sentence that they get. An answer stands in place of a blank's line, in its indentation."""
