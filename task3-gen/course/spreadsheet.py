"""Texts of others in a CSV file that a spreadsheet opens."""

import re

FORMULA = re.compile(r"[=+\-@＝＋－＠\t\r]")


def cell(text: str) -> str:
    """``text``, which a spreadsheet then takes for no formula."""
    return f"'{text}" if FORMULA.match(text) else text
